//! Compiles BeTrace rules to WebAssembly components: source → tokens → AST → typed tree → plan → module → component.
//!
//! Pure: text in, bytes or diagnostics out. It knows no WebAssembly runtime and does no I/O.
//!
//! ```
//! let output = betrace_dsl::compile("too-many-sales", b"spans.where(service == sales).count() > 10");
//! assert!(output.diagnostics.is_empty());
//! assert_eq!(output.rules[0].id, "too-many-sales");
//! assert!(output.rules[0].component.starts_with(b"\0asm"));
//!
//! let output = betrace_dsl::compile("slow", b"spans.where(duration > 1000)");
//! assert_eq!(output.diagnostics[0].code.as_str(), "E0305");
//! assert!(output.rules.is_empty());
//! ```

#![deny(missing_docs)]

pub mod diagnostic;
pub mod emit;
pub mod plan;
#[doc(hidden)]
pub mod reference;
pub mod syntax;
pub mod types;

use diagnostic::{Code, Diagnostic, Level, Sink, Span};
pub use syntax::Known;
use syntax::alone;
use types::tree;

/// What compiling a file gives.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// In source order; empty where a diagnostic is an error.
    pub rules: Vec<CompiledRule>,
    /// In source order; warnings too.
    pub diagnostics: Vec<Diagnostic>,
}

/// A rule as a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledRule {
    /// As declared, or the file's stem.
    pub id: String,
    /// The rule alone: a file of the same stem that holds just this compiles to the same component.
    pub source: String,
    /// Whether there is nothing to be said of it.
    pub clean: bool,
    /// WebAssembly of the world `batch-rule`; empty for a rule that [`compile_changed`]'s caller has.
    pub component: Vec<u8>,
}

/// Rules of a file that are told to be too much for a component, before the others are left alone: finding that out can
/// take a second for each, and a file has room for thousands.
const MAX_REFUSED: usize = 16;

/// Compiles a file. `stem` is its name without its ending, the id of a bare body.
pub fn compile(stem: &str, source: &[u8]) -> Output {
    compile_changed(stem, source, &|_, _| Known::No)
}

/// Compiles a file of which the caller has some rules already: those whose id and [`CompiledRule::source`] are `known`
/// come without a component, and clean ones are only passed over, so that editing one rule of a thousand compiles one.
pub fn compile_changed(stem: &str, source: &[u8], known: &dyn Fn(&str, &str) -> Known) -> Output {
    let mut sink = Sink::default();
    let (text, file, rules) = match readable(source) {
        Ok(text) => {
            let file = syntax::parse_changed(text, known, &mut sink);
            let rules = types::check(&file, stem, text, &mut sink);
            (text, file, rules)
        }
        Err(diagnostic) => {
            sink.push(diagnostic);
            ("", syntax::ast::File::default(), Vec::new())
        }
    };
    let mut output = Output {
        rules: Vec::new(),
        diagnostics: sink.finish(),
    };
    if is_broken(&output.diagnostics) {
        return output;
    }
    let mut checked = rules.iter();
    let mut refused = 0;
    for rule in &file.rules {
        let compiled = match (rule.known, &rule.id) {
            (Some(Known::Clean), Some(id)) => Ok(CompiledRule {
                id: id.text.clone(),
                source: alone(rule.span, &rule.description, text).into_owned(),
                clean: true,
                component: Vec::new(),
            }),
            // Without an error each of the others has checked.
            (asked, _) => match checked.next() {
                Some(rule) => {
                    let known = |source: &str| asked.unwrap_or_else(|| known(&rule.id, source));
                    compiled(rule, text, known, &output.diagnostics)
                }
                None => break,
            },
        };
        match compiled {
            Ok(rule) => output.rules.push(rule),
            Err(diagnostic) => {
                output.diagnostics.push(diagnostic);
                refused += 1;
            }
        }
        if refused >= MAX_REFUSED {
            break;
        }
    }
    if refused > 0 {
        output.rules.clear();
    }
    output
}

fn compiled(
    rule: &tree::Rule,
    text: &str,
    known: impl Fn(&str) -> Known,
    diagnostics: &[Diagnostic],
) -> Result<CompiledRule, Diagnostic> {
    let source = alone(rule.declaration, &rule.description, text);
    let component = match known(&source) {
        Known::No => component(rule, text)?,
        Known::Warned | Known::Clean => Vec::new(),
    };
    let is_within =
        |span: Span| span.start >= rule.declaration.start && span.end <= rule.declaration.end;
    let mut labels = diagnostics.iter().flat_map(|diagnostic| &diagnostic.labels);
    Ok(CompiledRule {
        id: rule.id.clone(),
        source: source.into_owned(),
        clean: !labels.any(|label| is_within(label.span)),
        component,
    })
}

/// A component that says how a rule came to its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// WebAssembly of the world `explain-rule`.
    pub component: Vec<u8>,
}

/// Compiles the explanation of one rule of a file: its parts, each with an answer of its own, from the plan that
/// [`compile`] emits. Mistakes in the other rules are no matter.
///
/// ```
/// let source = b"spans.where(service == sales).count() > 10";
/// let explanation = betrace_dsl::explain("too-many-sales", source, "too-many-sales").unwrap();
/// assert!(explanation.component.starts_with(b"\0asm"));
/// ```
pub fn explain(stem: &str, source: &[u8], id: &str) -> Result<Explanation, Vec<Diagnostic>> {
    let (rules, mut diagnostics) = check(stem, source);
    let Some(rule) = rules.iter().find(|rule| rule.id == id) else {
        diagnostics.retain(|diagnostic| diagnostic.level == Level::Error);
        diagnostics.push(Diagnostic::new(
            Code::NoSuchRule,
            Span::default(),
            format!("the file holds no rule `{id}` that could be explained"),
        ));
        return Err(diagnostics);
    };
    let text = readable(source).unwrap_or_default();
    let component = explained(rule, text).map_err(|diagnostic| vec![diagnostic])?;
    Ok(Explanation { component })
}

fn explained(rule: &tree::Rule, source: &str) -> Result<Vec<u8>, Diagnostic> {
    let explanation = plan::explain(rule, source)?;
    refuse_excess(rule, &explanation.plan)?;
    emit::explanation(&explanation).map_err(|error| not_emitted(rule, &error))
}

fn component(rule: &tree::Rule, source: &str) -> Result<Vec<u8>, Diagnostic> {
    let plan = plan::plan(rule, source)?;
    refuse_excess(rule, &plan)?;
    emit::component(&plan).map_err(|error| not_emitted(rule, &error))
}

fn refuse_excess(rule: &tree::Rule, plan: &plan::Plan) -> Result<(), Diagnostic> {
    match plan.manifest.excess() {
        None => Ok(()),
        Some(excess) => Err(Diagnostic::new(Code::RuleTooWide, rule.span, excess)
            .help("split it into several rules")),
    }
}

fn not_emitted(rule: &tree::Rule, error: &emit::EmitError) -> Diagnostic {
    Diagnostic::new(Code::NotEmitted, rule.span, error.to_string())
}

fn is_broken(diagnostics: &[Diagnostic]) -> bool {
    diagnostics
        .iter()
        .any(|diagnostic| diagnostic.level == Level::Error)
}

/// Source to typed tree: the rules of a file that check, and all that is to be said of it. `stem` is the file's name
/// without its ending, the id of a bare body.
pub fn check(stem: &str, source: &[u8]) -> (Vec<tree::Rule>, Vec<Diagnostic>) {
    let mut sink = Sink::default();
    let rules = match readable(source) {
        Ok(source) => {
            let file = syntax::parse(source, &mut sink);
            types::check(&file, stem, source, &mut sink)
        }
        Err(diagnostic) => {
            sink.push(diagnostic);
            Vec::new()
        }
    };
    (rules, sink.finish())
}

/// The source as text, if it is text and not too much of it.
fn readable(source: &[u8]) -> Result<&str, Diagnostic> {
    if source.len() > syntax::MAX_FILE_BYTES {
        let (size, most) = (source.len(), syntax::MAX_FILE_BYTES);
        return Err(Diagnostic::new(
            Code::FileTooLarge,
            Span::default(),
            format!("the file has {size} bytes, of at most {most}"),
        )
        .help("spread the rules over several files"));
    }
    std::str::from_utf8(source).map_err(|error| {
        let at = error.valid_up_to();
        let byte = source.get(at).copied().unwrap_or_default();
        Diagnostic::new(
            Code::InvalidUtf8,
            Span::new(at, at + 1),
            "the file is not UTF-8 text",
        )
        .here(format!("byte 0x{byte:02X} is out of place"))
        .help("save the file as UTF-8")
    })
}
