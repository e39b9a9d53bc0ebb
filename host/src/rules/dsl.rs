//! BeTrace's own language as the compiler of rule files.

use betrace_dsl::diagnostic::{Diagnostic, Level};

use super::compile::{Compiled, CompiledRule, Message, Source};

/// Compiles the source of one file, its diagnostics rendered for a person.
pub fn compile(source: Source<'_>) -> Compiled {
    let output = betrace_dsl::compile_changed(source.stem, source.bytes, source.known);
    let path = source.path.display().to_string();
    let text = String::from_utf8_lossy(source.bytes);
    let message = |diagnostic: &Diagnostic| Message {
        error: diagnostic.level == Level::Error,
        text: diagnostic.render(&path, &text, false),
        painted: diagnostic.render(&path, &text, true),
    };
    Compiled {
        messages: output.diagnostics.iter().map(message).collect(),
        rules: output
            .rules
            .into_iter()
            .map(|rule| CompiledRule {
                id: rule.id,
                source: rule.source,
                clean: rule.clean,
                component: rule.component,
            })
            .collect(),
    }
}
