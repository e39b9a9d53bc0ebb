//! Rule files to a published rule set.
//!
//! ```text
//! paths -> sources::find -> files -> compile::load -> rules and problems -> Published -> workers, batch by batch
//! ```
//! A file that is broken is a problem with a name and a reason; the rules of the others run.

pub mod compile;
pub mod dsl;
pub mod library;
pub mod publication;
pub mod sources;
pub mod stamp;
pub mod update;
pub mod watch;

pub use compile::{Compiled, CompiledRule, Loaded, Message, Problem, load};
pub use publication::Published;
pub use sources::{SourceError, SourceFile, SourceKind, Sources};
