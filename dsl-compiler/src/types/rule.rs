//! Files and rules: ids, settings, and which bodies go together.

use std::collections::HashMap;

use super::tree::{Clause, ClauseKind, Rule, Severity};
use super::{Checker, lints};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::syntax::ast::{self, Body, BodyKind, SettingValue, Word};
use crate::syntax::{ID_HELP, Known, MAX_ID_BYTES, MAX_RULE_BYTES};

const SEVERITIES: &[(&str, Severity)] = &[
    ("info", Severity::Info),
    ("low", Severity::Low),
    ("medium", Severity::Medium),
    ("high", Severity::High),
    ("critical", Severity::Critical),
];

/// The `when` of a rule, and what can break.
type Bodies = (Option<Clause>, Vec<(ClauseKind, Clause)>);

impl Checker<'_, '_> {
    pub(super) fn file(&mut self, file: &ast::File, stem: &str) -> Vec<Rule> {
        if file.rules.is_empty() && !file.broken {
            let end = Span::new(self.source.len(), self.source.len());
            self.sink.push(
                Diagnostic::new(Code::EmptyFile, end, "the file holds no rule").help(
                    "a rule is a condition, as in `payment.*.count() > 3`, or `rule some-id { … }`",
                ),
            );
        }
        self.one_kind_of_file(file);
        self.distinct_ids(file);
        file.rules
            .iter()
            .filter(|rule| rule.known != Some(Known::Clean))
            .filter_map(|rule| self.rule(rule, stem))
            .collect()
    }

    fn one_kind_of_file(&mut self, file: &ast::File) {
        let bare = file.rules.iter().find(|rule| rule.id.is_none());
        let declared = file.rules.iter().find_map(|rule| rule.id.as_ref());
        if let (Some(bare), Some(declared)) = (bare, declared)
            && !bare.broken
        {
            self.sink.push(
                Diagnostic::new(
                    Code::MixedFile,
                    bare.span,
                    "a file holds either one bare body or rule declarations",
                )
                .here("this stands outside of a rule")
                .label(declared.span, "a rule is declared here")
                .help("put it into a declaration: `rule some-id { … }`"),
            );
        }
    }

    fn distinct_ids(&mut self, file: &ast::File) {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for id in file.rules.iter().filter_map(|rule| rule.id.as_ref()) {
            if id.text.is_empty() {
                continue;
            }
            match seen.get(id.text.as_str()) {
                Some(first) => self.sink.push(
                    Diagnostic::new(
                        Code::DuplicateRule,
                        id.span,
                        format!("two rules have the id `{}`", self.quote(id.span, "…")),
                    )
                    .label(*first, "the first one"),
                ),
                None => {
                    seen.insert(&id.text, id.span);
                }
            }
        }
    }

    fn rule(&mut self, rule: &ast::Rule, stem: &str) -> Option<Rule> {
        if self.sink.has_enough() {
            return None;
        }
        let size = (rule.span.end - rule.span.start) as usize;
        if size > MAX_RULE_BYTES && rule.broken {
            return None;
        }
        if size > MAX_RULE_BYTES {
            self.sink.push(
                Diagnostic::new(
                    Code::RuleTooLarge,
                    rule.id.as_ref().map_or(rule.span, |id| id.span),
                    format!("the rule has {size} bytes, of at most {MAX_RULE_BYTES}"),
                )
                .help("split it into several rules"),
            );
            return None;
        }
        let id = self.id(rule, stem);
        let settings = self.settings(rule);
        let bodies = self.bodies(rule);
        let ((severity, tags, message), (when, clauses)) = (settings?, bodies?);
        let rule = Rule {
            id: id?,
            span: rule
                .id
                .as_ref()
                .map_or(Span::new(0, self.source.len()), |id| id.span),
            declaration: match rule.id {
                Some(_) => rule.span,
                None => Span::new(0, self.source.len()),
            },
            description: rule.description.clone(),
            severity,
            tags,
            message,
            when,
            clauses,
        };
        lints::rule(&rule, self.source, self.sink);
        Some(rule)
    }

    fn id(&mut self, rule: &ast::Rule, stem: &str) -> Option<String> {
        let Some(id) = &rule.id else {
            return self.stem(rule, stem);
        };
        if id.text.is_empty() && rule.broken {
            return None;
        }
        if id.text.len() > MAX_ID_BYTES {
            self.sink.push(Diagnostic::new(
                Code::IdTooLong,
                id.span,
                format!(
                    "the rule's id has {} bytes, of at most {MAX_ID_BYTES}",
                    id.text.len()
                ),
            ));
            return None;
        }
        if !is_id(&id.text) {
            let written = self.quote(id.span, "this");
            self.sink.push(
                Diagnostic::new(
                    Code::InvalidId,
                    id.span,
                    format!("`{written}` can't be a rule's id"),
                )
                .help(ID_HELP),
            );
            return None;
        }
        Some(id.text.clone())
    }

    fn stem(&mut self, rule: &ast::Rule, stem: &str) -> Option<String> {
        if is_id(stem) && stem.len() <= MAX_ID_BYTES {
            return Some(stem.to_owned());
        }
        let shown: String = stem.chars().take(MAX_ID_BYTES).collect();
        self.sink.push(
            Diagnostic::new(
                Code::InvalidId,
                rule.span,
                format!("the file's name, `{shown}`, can't be the rule's id"),
            )
            .here("a bare body is named after its file")
            .help(ID_HELP)
            .help("rename the file, or declare the rule: `rule some-id { … }`"),
        );
        None
    }

    fn settings(&mut self, rule: &ast::Rule) -> Option<(Severity, Vec<String>, String)> {
        let mut first: HashMap<&str, Span> = HashMap::new();
        let mut severity = Some(Severity::default());
        let mut tags = Vec::new();
        let mut message = Some(String::new());
        for setting in &rule.settings {
            let name = setting.value.name();
            if let Some(first) = first.get(name) {
                self.sink.push(
                    Diagnostic::new(
                        Code::SecondSetting,
                        setting.keyword,
                        format!("`{name}` is set twice"),
                    )
                    .label(*first, "set here first"),
                );
                continue;
            }
            first.insert(name, setting.keyword);
            match &setting.value {
                SettingValue::Severity(word) => severity = self.severity(word),
                SettingValue::Tags(words) => tags = self.tags(words),
                SettingValue::Message(word) => message = self.message(word),
            }
        }
        Some((severity?, tags, message?))
    }

    fn severity(&mut self, word: &Word) -> Option<Severity> {
        let found = SEVERITIES.iter().find(|(name, _)| *name == word.text);
        if found.is_none() {
            let names = SEVERITIES.iter().map(|(name, _)| *name);
            self.sink.push(
                Diagnostic::new(
                    Code::UnknownSeverity,
                    word.span,
                    format!(
                        "there is no severity `{}`",
                        self.quote(word.span, "like this")
                    ),
                )
                .did_you_mean(&word.text, names)
                .help("severities are `info`, `low`, `medium`, `high` and `critical`"),
            );
        }
        found.map(|(_, severity)| *severity)
    }

    fn tags(&mut self, words: &[Word]) -> Vec<String> {
        let mut first: HashMap<&str, Span> = HashMap::new();
        for word in words {
            if let Some(first) = first.insert(&word.text, word.span) {
                self.sink.push(
                    Diagnostic::new(Code::RepeatedElement, word.span, "the tag is given twice")
                        .label(first, "given here first"),
                );
            }
        }
        words.iter().map(|word| word.text.clone()).collect()
    }

    fn message(&mut self, word: &Word) -> Option<String> {
        if !word.text.contains(['{', '}']) {
            return Some(word.text.clone());
        }
        self.sink.push(
            Diagnostic::new(
                Code::MessageExpressionsNotYet,
                word.span,
                "expressions in messages are not supported yet",
            )
            .here("braces are reserved for them")
            .help("say it without braces"),
        );
        None
    }

    fn bodies(&mut self, rule: &ast::Rule) -> Option<Bodies> {
        let fits = self.bodies_fit(rule);
        let mut when = None;
        let mut clauses = Vec::new();
        let mut complete = true;
        for body in &rule.bodies {
            let Some(condition) = self.condition(&body.condition) else {
                complete = false;
                continue;
            };
            let clause = Clause {
                condition,
                span: body.condition.span,
            };
            match body.kind {
                BodyKind::When => when = Some(clause),
                BodyKind::Bare | BodyKind::Detect => clauses.push((ClauseKind::Detect, clause)),
                BodyKind::Expect => clauses.push((ClauseKind::Expect, clause)),
                BodyKind::Always => clauses.push((ClauseKind::Always, clause)),
                BodyKind::Never => clauses.push((ClauseKind::Never, clause)),
            }
        }
        (fits && complete && !rule.broken).then_some((when, clauses))
    }

    /// Whether the bodies are one condition, or one `when` with its clauses.
    fn bodies_fit(&mut self, rule: &ast::Rule) -> bool {
        let errors = self.sink.errors();
        let mut single: Option<&Body> = None;
        let mut when: Option<&Body> = None;
        let mut clause: Option<&Body> = None;
        for body in &rule.bodies {
            match body.kind {
                BodyKind::When => match when {
                    Some(first) => self.second_when(first, body),
                    None => when = Some(body),
                },
                BodyKind::Always | BodyKind::Never => clause = clause.or(Some(body)),
                _ => match single {
                    Some(first) => self.second_body(first, body),
                    None => single = Some(body),
                },
            }
        }
        match (single, when.or(clause)) {
            (Some(a), Some(b)) if a.keyword.start < b.keyword.start => self.second_body(a, b),
            (Some(a), Some(b)) => self.second_body(b, a),
            (None, None) if !rule.broken => self.no_body(rule),
            _ => match (when, clause) {
                (None, Some(clause)) if !rule.broken => self.clause_without_when(clause),
                (Some(when), None) if !rule.broken => self.when_alone(when),
                _ => {}
            },
        }
        self.sink.errors() == errors
    }

    fn second_when(&mut self, first: &Body, second: &Body) {
        self.sink.push(
            Diagnostic::new(Code::SecondWhen, second.keyword, "a rule has one `when`")
                .label(first.keyword, "the first one")
                .help("join the conditions with `and`, or declare a second rule"),
        );
    }

    fn second_body(&mut self, first: &Body, second: &Body) {
        let message = if first.kind == second.kind {
            format!(
                "a rule has one body, and this is {} again",
                second.kind.name()
            )
        } else {
            format!(
                "{} and {} don't go together",
                first.kind.name(),
                second.kind.name()
            )
        };
        self.sink.push(
            Diagnostic::new(Code::SecondBody, second.keyword, message)
                .label(first.keyword, "the first body")
                .help("a rule has one condition, one `detect`, one `expect`, or one `when` with `always` and `never`")
                .help("declare a second rule, or join conditions with `and` and `or`"),
        );
    }

    fn no_body(&mut self, rule: &ast::Rule) {
        let span = rule.id.as_ref().map_or(rule.span, |id| id.span);
        self.sink.push(
            Diagnostic::new(Code::MissingBody, span, "the rule has no condition")
                .help("say when it signals: `detect { … }`, `expect { … }`, or `when { … }` with `always` or `never`"),
        );
    }

    fn clause_without_when(&mut self, clause: &Body) {
        let name = clause.kind.name();
        self.sink.push(
            Diagnostic::new(
                Code::ClauseWithoutWhen,
                clause.keyword,
                format!("{name} without `when`"),
            )
            .help("say in which traces it holds: `when { … }`")
            .help("what holds in every trace is `expect { … }`, what holds in none `detect { … }`"),
        );
    }

    fn when_alone(&mut self, when: &Body) {
        self.sink.push(
            Diagnostic::new(
                Code::WhenAlone,
                when.keyword,
                "`when` without `always` or `never`",
            )
            .help("say what has to hold then: `always { … }` or `never { … }`")
            .help("to signal where the condition is true, write `detect { … }`"),
        );
    }
}

/// Words of letters, digits, `_` and inner dashes, with dots between.
fn is_id(text: &str) -> bool {
    text.split('.').all(|segment| {
        !segment.is_empty()
            && !segment.starts_with('-')
            && !segment.ends_with('-')
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    })
}
