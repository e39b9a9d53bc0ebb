//! What stands in a rule: settings and bodies.

use super::{Parsed, Parser, Told};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::syntax::ast::{
    Body, BodyKind, Expression, ExpressionKind, Rule, Setting, SettingValue, Word,
};
use crate::syntax::token::Kind;
use crate::syntax::{ID_HELP, literal};

const SETTINGS: &[&str] = &["severity", "tags", "message"];
const BODIES: &[&str] = &["detect", "expect", "when", "always", "never"];

impl Parser<'_, '_> {
    /// One setting or body; consumes at least one token.
    pub(super) fn item(&mut self, rule: &mut Rule) {
        let before = self.at;
        match self.item_inner(rule) {
            Err(Told) => self.skip_item(before),
            // As between the parts of a JSON object.
            Ok(()) if self.kind() == Kind::Comma => {
                self.advance();
            }
            Ok(()) => {}
        }
        debug_assert!(self.at > before || self.kind() == Kind::End);
    }

    fn item_inner(&mut self, rule: &mut Rule) -> Parsed<()> {
        match (self.kind(), self.kind_at(1)) {
            (Kind::Word, Kind::Colon) => rule.settings.push(self.setting()?),
            (Kind::Word, Kind::Foreign)
                if self.text_at(1) == "=" && SETTINGS.contains(&self.text()) =>
            {
                return self.setting_with_equals();
            }
            (Kind::Word, Kind::OpenBrace) => rule.bodies.push(self.body()?),
            (Kind::Word, Kind::Duration) if self.text() == "over" => return self.window(),
            (Kind::Word, _) if self.condition_without_braces() => {
                let keyword = self.text().to_owned();
                self.advance();
                return self.fail(
                    Diagnostic::new(
                        Code::Unexpected,
                        self.here(),
                        format!("expected `{{`, found {}", self.found()),
                    )
                    .here("expected `{`")
                    .help(format!("a condition stands in braces: `{keyword} {{ … }}`")),
                );
            }
            _ => rule.bodies.push(self.bare_condition()?),
        }
        Ok(())
    }

    /// `detect spans…`: a body's word and the start of a name or a value.
    fn condition_without_braces(&self) -> bool {
        let starts = matches!(self.kind_at(1), Kind::Word | Kind::Quoted | Kind::Logic(_));
        starts && BodyKind::of(self.text()).is_some() && !self.logic_operator_at(1)
    }

    fn bare_condition(&mut self) -> Parsed<Body> {
        let condition = self.condition()?;
        if !self.item_ends() {
            let found = self.found();
            let diagnostic = Diagnostic::new(
                Code::Unexpected,
                self.here(),
                format!("expected an operator or the end of the condition, found {found}"),
            )
            .here("expected an operator");
            return self.fail(self.operator_hint(diagnostic));
        }
        Ok(Body {
            kind: BodyKind::Bare,
            keyword: condition.span,
            condition,
        })
    }

    /// Whether what follows can follow an item.
    fn item_ends(&self) -> bool {
        matches!(self.kind(), Kind::End | Kind::CloseBrace)
            || self.item_starts()
            || self.comma_before_an_item()
    }

    fn comma_before_an_item(&self) -> bool {
        let starts = |kind| matches!(kind, Kind::Colon | Kind::OpenBrace);
        self.kind() == Kind::Comma
            && match self.kind_at(1) {
                Kind::End | Kind::CloseBrace => true,
                Kind::Word => starts(self.kind_at(2)),
                _ => false,
            }
    }

    fn item_starts(&self) -> bool {
        let word = self.kind() == Kind::Word;
        (word && matches!(self.kind_at(1), Kind::Colon | Kind::OpenBrace))
            || (word && self.text() == "over" && self.kind_at(1) == Kind::Duration)
            || self.declaration_starts()
            || self.misspelled_rule_starts()
    }

    /// To the next item, the end of the rule, or the next rule.
    fn skip_item(&mut self, before: usize) {
        loop {
            match self.kind() {
                Kind::End => break,
                Kind::CloseBrace => break,
                _ if self.at > before && self.item_starts() => break,
                Kind::OpenBrace => {
                    self.advance();
                    self.skip_to(Kind::CloseBrace);
                }
                _ => {
                    self.advance();
                }
            }
        }
        self.told = Some(self.at);
    }

    fn setting(&mut self) -> Parsed<Setting> {
        if !SETTINGS.contains(&self.text()) {
            let word = self.text().to_owned();
            return self.fail(
                Diagnostic::new(
                    Code::UnknownSetting,
                    self.here(),
                    format!("a rule has no setting `{word}`"),
                )
                .did_you_mean(&word, SETTINGS.iter().copied())
                .help("the settings are `severity`, `tags` and `message`"),
            );
        }
        let name = self.word();
        self.advance();
        let value = match name.text.as_str() {
            "severity" => SettingValue::Severity(self.setting_word("a severity")?),
            "tags" => SettingValue::Tags(self.tags()?),
            _ => SettingValue::Message(self.message()?),
        };
        Ok(Setting {
            keyword: name.span,
            value,
        })
    }

    fn message(&mut self) -> Parsed<Word> {
        if self.kind() == Kind::Quoted {
            self.quoted()
        } else {
            self.unexpected("quoted text")
        }
    }

    /// A dotted word or quoted text.
    fn setting_word(&mut self, expected: &str) -> Parsed<Word> {
        match self.kind() {
            Kind::Quoted => self.quoted(),
            Kind::Word | Kind::Odd | Kind::Reserved(_) | Kind::Logic(_)
                if self
                    .text()
                    .starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') =>
            {
                let span = self.dotted();
                Ok(Word {
                    text: span.text(self.source).to_owned(),
                    span,
                    quoted: false,
                })
            }
            _ => self.unexpected(expected),
        }
    }

    fn tags(&mut self) -> Parsed<Vec<Word>> {
        if self.kind() != Kind::OpenBracket {
            return self.unexpected("`[`");
        }
        let tags = self.bracketed(Kind::CloseBracket, "`]`", |parser| {
            parser.listed(Kind::CloseBracket, |parser| parser.setting_word("a tag"))
        })?;
        Ok(tags.unwrap_or_default())
    }

    fn body(&mut self) -> Parsed<Body> {
        let Some(kind) = BodyKind::of(self.text()) else {
            let word = self.text().to_owned();
            return self.fail(
                Diagnostic::new(
                    Code::UnknownSetting,
                    self.here(),
                    format!("a rule has no body `{word}`"),
                )
                .did_you_mean(&word, BODIES.iter().copied())
                .help("the bodies are `detect`, `expect`, and `when` with `always` and `never`"),
            );
        };
        let keyword = self.advance();
        let condition = self.bracketed(Kind::CloseBrace, "`}`", Self::condition)?;
        let condition = condition.unwrap_or(Expression {
            kind: ExpressionKind::Invalid,
            span: self.previous(),
        });
        Ok(Body {
            kind,
            keyword,
            condition,
        })
    }

    /// The id after `rule`.
    pub(super) fn rule_id(&mut self) -> Option<Word> {
        if self.kind() == Kind::OpenBrace {
            let _: Parsed<()> = self.unexpected("a rule's id");
            // The brace is not at fault, and what it holds is parsed.
            self.told = None;
            return Some(Word {
                text: String::new(),
                span: self.here(),
                quoted: true,
            });
        }
        if self.kind() == Kind::Quoted {
            return self.quoted().ok();
        }
        let span = self.dotted();
        Some(Word {
            text: span.text(self.source).to_owned(),
            span,
            quoted: false,
        })
    }

    /// What still belongs to an id, and should not: told, and skipped to the brace.
    pub(super) fn after_rule_id(&mut self) {
        if self.kind() == Kind::OpenBrace || !self.adjacent(0) {
            return;
        }
        let found = self.found();
        let diagnostic = Diagnostic::new(
            Code::InvalidId,
            self.here(),
            format!("{found} can't stand in a rule's id"),
        )
        .help(ID_HELP);
        let _: Parsed<()> = self.fail(diagnostic);
        while !matches!(self.kind(), Kind::OpenBrace | Kind::End) && !self.declaration_starts() {
            self.advance();
        }
    }

    /// The token at hand and the segments behind it.
    fn dotted(&mut self) -> Span {
        let mut span = self.advance();
        while self.kind() == Kind::Dot && self.adjacent(0) && self.segment_follows() {
            self.advance();
            span = span.to(self.advance());
        }
        span
    }

    /// Quoted text, which is the token at hand. In a regular expression a backslash that escapes nothing is the
    /// expression's own, so that `'\d+'` and `'\\d+'` are the same.
    pub(super) fn quoted(&mut self) -> Result<Word, Told> {
        let regex = matches!(self.previous().text(self.source), "matches" | "imatches");
        let span = self.advance();
        let sink = &mut *self.sink;
        let text = literal::text(span.text(self.source), span.start, |told| {
            if !regex {
                sink.push(told);
            }
        });
        Ok(Word {
            text,
            span,
            quoted: true,
        })
    }
}
