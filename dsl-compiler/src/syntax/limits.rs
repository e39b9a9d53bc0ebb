//! What one file may hold. These are part of the language: a rule that compiles on one machine compiles on all, so they
//! are not settings.

/// Of one file: thousands of rules as people write them, and small enough to be parsed in well under a second.
pub const MAX_FILE_BYTES: usize = 4 << 20;

/// Of one rule, from `rule` to its closing brace: a hundred times what is written by hand, and a bound on the code and
/// the memory that one rule can cost the host.
pub const MAX_RULE_BYTES: usize = 64 << 10;

/// Of parentheses, lists, arguments and `not`s in each other: what keeps every recursion of the compiler inside a small
/// stack.
pub const MAX_NESTING: u32 = 100;

/// Of a rule's id, which is a metric label and part of file names.
pub const MAX_ID_BYTES: usize = 128;

/// What a rule's id is made of, for whoever wrote another one.
pub(crate) const ID_HELP: &str =
    "an id is made of ASCII letters, digits, `_` and `-`, with dots between, at most 128 bytes";
