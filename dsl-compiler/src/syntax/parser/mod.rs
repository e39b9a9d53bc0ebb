//! Tokens to AST, by recursive descent.
//!
//! ```text
//! file        = bare | { declaration }
//! bare        = { item [ "," ] }                            (a rule whose id is the file's stem)
//! declaration = { "///" … } "rule" id "{" { item [ "," ] } "}"
//! id          = word { "." word }
//! item        = setting | body
//! setting     = "severity" ":" word | "tags" ":" "[" [ tag { "," tag } [ "," ] ] "]" | "message" ":" text
//! tag         = word { "." word } | text
//! body        = ( "detect" | "expect" | "when" | "always" | "never" ) "{" condition "}" | condition
//!
//! condition   = and { ( "or" | "||" ) and }
//! and         = not { ( "and" | "&&" ) not }
//! not         = { "not" | "!" } test
//! test        = operand [ comparison ]
//! comparison  = ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) operand
//!             | [ "not" ] "in" "[" [ condition { "," condition } [ "," ] ] "]"
//!             | ( "contains" | "starts_with" | "ends_with" | "like" | "matches" ) operand
//! operand     = primary { "." word [ arguments ] }
//! primary     = [ "-" ] number | [ "-" ] duration | text | "true" | "false" | "(" condition ")"
//!             | name | name "[" text "]" | word arguments
//! name        = word { "." word } [ ".*" ]                  (no spaces inside)
//! arguments   = "(" [ condition { "," condition } [ "," ] ] ")"
//! ```
//!
//! A method word ends a name where `(` or `.where(` follows, and `exists` where the name ends. What the language will
//! have later is parsed as far as it takes to say so and to go on behind it.
//!
//! Recovery: a mistake inside brackets is skipped to the closing one, a mistake in a body to its brace, and a `rule x`
//! ends whatever was left open before it. Two errors are never told of one token. Every loop consumes a token.

mod arguments;
mod expression;
pub(crate) mod hint;
mod item;
mod later;
mod name;

use super::ast::{File, Rule, Word};
use super::lexer::Lexed;
use super::limits::MAX_NESTING;
use super::token::{Kind, Token};
use super::{Known, alone};
use crate::diagnostic::{Code, Diagnostic, Sink, Span};

/// Parses the tokens of a file.
pub(super) fn file(
    source: &str,
    lexed: Lexed,
    known: &dyn Fn(&str, &str) -> Known,
    sink: &mut Sink,
) -> File {
    let mut parser = Parser {
        source,
        known,
        tokens: lexed.tokens,
        descriptions: lexed.descriptions,
        description: 0,
        at: 0,
        depth: 0,
        told: None,
        failures: 0,
        sink,
    };
    parser.file()
}

/// The mistake was told; what was being parsed is given up.
struct Told;

type Parsed<T> = Result<T, Told>;

struct Parser<'s, 'd> {
    source: &'s str,
    /// Rules to pass over, by their ids and texts.
    known: &'d dyn Fn(&str, &str) -> Known,
    tokens: Vec<Token>,
    descriptions: Vec<Span>,
    /// The first description that no rule has taken or passed.
    description: usize,
    at: usize,
    depth: u32,
    /// The token that the last mistake was told of.
    told: Option<usize>,
    /// How often parsing failed, told or not.
    failures: usize,
    sink: &'d mut Sink,
}

impl Parser<'_, '_> {
    fn file(&mut self) -> File {
        let mut file = File::default();
        let before = self.troubles();
        while self.kind() != Kind::End && !self.sink.has_enough() {
            if self.rule_starts() {
                file.rules.push(self.declaration());
            } else if self.later_declaration_starts() {
                self.later_declaration();
            } else if self.misspelled_rule_starts() {
                self.misspelled_rule();
                file.rules.push(self.declaration());
            } else {
                file.rules.push(self.bare());
            }
        }
        file.broken = self.troubles() > before;
        file
    }

    fn bare(&mut self) -> Rule {
        let start = self.here();
        let description = self.description();
        let mut rule = Rule {
            id: None,
            span: start,
            description,
            settings: Vec::new(),
            bodies: Vec::new(),
            known: None,
            broken: false,
        };
        let before = self.troubles();
        while self.kind() != Kind::End
            && !self.declaration_starts()
            && !self.misspelled_rule_starts()
            && !self.sink.has_enough()
        {
            if self.kind() == Kind::CloseBrace {
                let _: Parsed<()> = self.unexpected("a rule or a condition");
                self.advance();
                continue;
            }
            self.item(&mut rule);
        }
        rule.broken = self.troubles() > before;
        rule.span = start.to(self.previous());
        rule
    }

    fn declaration(&mut self) -> Rule {
        let start = self.here();
        let description = self.description();
        self.advance();
        let before = self.troubles();
        let id = self.rule_id();
        self.after_rule_id();
        let mut rule = Rule {
            id,
            span: start,
            description,
            settings: Vec::new(),
            bodies: Vec::new(),
            known: None,
            broken: false,
        };
        if self.troubles() == before && self.pass_over(&mut rule) {
            return rule;
        }
        if let Ok(open) = self.expect(Kind::OpenBrace, "`{`") {
            while !matches!(self.kind(), Kind::End | Kind::CloseBrace)
                && !self.rule_starts()
                && !self.sink.has_enough()
            {
                self.item(&mut rule);
            }
            if self.kind() == Kind::CloseBrace {
                self.advance();
            } else {
                self.unclosed(open, "`}`");
            }
        } else {
            self.skip_to_declaration();
        }
        rule.broken = self.troubles() > before;
        rule.span = start.to(self.previous());
        rule
    }

    /// Passes over the braces of a rule that is known. The same words have been parsed without a mistake before, so that
    /// its end is where its braces match.
    fn pass_over(&mut self, rule: &mut Rule) -> bool {
        let Some(id) = &rule.id else {
            return false;
        };
        let Some(closing) = self.closing_brace() else {
            return false;
        };
        let span = rule.span.to(self.token_at(closing).span);
        let known = (self.known)(&id.text, &alone(span, &rule.description, self.source));
        rule.known = Some(known);
        if known != Known::Clean {
            return false;
        }
        self.at += closing;
        self.advance();
        rule.span = span;
        true
    }

    /// How far ahead the brace closes that opens here. Not looked for behind where another rule starts, so that each word
    /// is passed once.
    fn closing_brace(&self) -> Option<usize> {
        let mut depth = 0_usize;
        for ahead in 0.. {
            match self.kind_at(ahead) {
                Kind::OpenBrace => depth += 1,
                Kind::End => return None,
                _ if depth == 0 || self.rule_starts_at(ahead) => return None,
                Kind::CloseBrace if depth == 1 => return Some(ahead),
                Kind::CloseBrace => depth -= 1,
                _ => {}
            }
        }
        None
    }

    /// `rule` and a word that is no operator: two names never follow each other inside a condition.
    fn rule_starts(&self) -> bool {
        self.rule_starts_at(0)
    }

    fn rule_starts_at(&self, ahead: usize) -> bool {
        let is_rule = self.kind_at(ahead) == Kind::Word && self.text_at(ahead) == "rule";
        is_rule
            && match self.kind_at(ahead + 1) {
                Kind::Word | Kind::Quoted | Kind::Odd | Kind::Int | Kind::OpenBrace => true,
                Kind::Reserved(_) | Kind::Logic(_) => self.kind_at(ahead + 2) == Kind::OpenBrace,
                _ => false,
            }
    }

    fn declaration_starts(&self) -> bool {
        self.rule_starts() || self.later_declaration_starts()
    }

    fn skip_to_declaration(&mut self) {
        while self.kind() != Kind::End && !self.declaration_starts() {
            self.advance();
        }
        self.told = Some(self.at);
    }

    /// The `///` lines between the previous token and this one.
    fn description(&mut self) -> String {
        let after = if self.at == 0 { 0 } else { self.previous().end };
        let before = self.here().start;
        let mut lines: Vec<&str> = Vec::new();
        while let Some(span) = self.descriptions.get(self.description) {
            if span.start >= before {
                break;
            }
            self.description += 1;
            if span.start >= after {
                let line = span.text(self.source).trim_end();
                let line = line.strip_prefix("///").unwrap_or(line);
                lines.push(line.strip_prefix(' ').unwrap_or(line));
            }
        }
        lines.join("\n")
    }
}

/// Tokens, one after the other.
impl Parser<'_, '_> {
    fn token_at(&self, ahead: usize) -> Token {
        // The last token is the end, and there always is one.
        let end = Token {
            kind: Kind::End,
            span: Span::default(),
        };
        let last = self.tokens.len().saturating_sub(1);
        self.tokens
            .get((self.at + ahead).min(last))
            .copied()
            .unwrap_or(end)
    }

    fn kind(&self) -> Kind {
        self.kind_at(0)
    }

    fn kind_at(&self, ahead: usize) -> Kind {
        self.token_at(ahead).kind
    }

    fn here(&self) -> Span {
        self.token_at(0).span
    }

    fn text(&self) -> &str {
        self.here().text(self.source)
    }

    fn text_at(&self, ahead: usize) -> &str {
        self.token_at(ahead).span.text(self.source)
    }

    /// Where the last consumed token stands.
    fn previous(&self) -> Span {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        before.map_or(Span::default(), |token| token.span)
    }

    /// Whether nothing stands between the token `ahead` and the one before it.
    fn adjacent(&self, ahead: usize) -> bool {
        let before = match ahead {
            0 => self.previous(),
            _ => self.token_at(ahead - 1).span,
        };
        before.end == self.token_at(ahead).span.start
    }

    fn advance(&mut self) -> Span {
        let span = self.here();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        span
    }

    fn expect(&mut self, kind: Kind, name: &str) -> Parsed<Span> {
        if self.kind() == kind {
            Ok(self.advance())
        } else {
            self.unexpected(name)
        }
    }
}

/// Mistakes, and getting behind them.
impl Parser<'_, '_> {
    /// Tells a mistake about the token at hand, unless one was told of it already.
    fn fail<T>(&mut self, diagnostic: Diagnostic) -> Parsed<T> {
        self.failures += 1;
        // What the lexer could not read, it told.
        if self.told != Some(self.at) && self.kind() != Kind::Unknown {
            self.sink.push(diagnostic);
        }
        self.told = Some(self.at);
        Err(Told)
    }

    /// More of them than before something was parsed: it is broken.
    fn troubles(&self) -> usize {
        self.failures + self.sink.errors()
    }

    /// `expected a value, found …`.
    fn unexpected<T>(&mut self, expected: &str) -> Parsed<T> {
        let found = self.found();
        self.fail(
            Diagnostic::new(
                Code::Unexpected,
                self.here(),
                format!("expected {expected}, found {found}"),
            )
            .here(format!("expected {expected}")),
        )
    }

    /// How the token at hand is called in a message.
    fn found(&self) -> String {
        /// Longer words say enough by their start.
        const LONGEST: usize = 40;
        match self.kind() {
            Kind::End => "the end of the file".to_owned(),
            Kind::Quoted => "quoted text".to_owned(),
            _ => match self.text().char_indices().nth(LONGEST) {
                Some((at, _)) => format!("`{}…`", self.text().get(..at).unwrap_or("")),
                None => format!("`{}`", self.text()),
            },
        }
    }

    fn unclosed(&mut self, open: Span, close: &str) {
        let found = self.found();
        let bracket = open.text(self.source).to_owned();
        let here = self.here();
        let diagnostic =
            Diagnostic::new(Code::Unclosed, open, format!("`{bracket}` is never closed"))
                .here("opened here");
        let _: Parsed<()> =
            self.fail(diagnostic.label(here, format!("expected {close} before {found}")));
    }

    /// Parses what stands between an opening bracket, which is the token at hand, and its closing one, a level deeper.
    /// None: there was a mistake, and all is skipped to behind the closing bracket.
    fn bracketed<T>(
        &mut self,
        close: Kind,
        name: &str,
        inside: impl FnOnce(&mut Self) -> Parsed<T>,
    ) -> Parsed<Option<T>> {
        let open = self.advance();
        let parsed = self.deeper(inside);
        if self.kind() == close
            && let Ok(value) = parsed
        {
            self.advance();
            return Ok(Some(value));
        }
        if parsed.is_ok() {
            match self.kind() {
                Kind::End | Kind::CloseBrace => self.unclosed(open, name),
                _ => {
                    let (here, found) = (self.here(), self.found());
                    let message = format!("expected an operator or {name}, found {found}");
                    let diagnostic = Diagnostic::new(Code::Unexpected, here, message)
                        .here(format!("expected an operator or {name}"));
                    let _: Parsed<()> = self.fail(self.operator_hint(diagnostic));
                }
            }
        }
        if self.skip_to(close) {
            Ok(None)
        } else {
            Err(Told)
        }
    }

    /// Runs a parser one level deeper, if there is one.
    fn deeper<T>(&mut self, inside: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_NESTING {
            return self.fail(
                Diagnostic::new(
                    Code::NestingTooDeep,
                    self.here(),
                    format!("nested more than {MAX_NESTING} deep"),
                )
                .help("split the condition into several rules or clauses"),
            );
        }
        self.depth += 1;
        let parsed = inside(self);
        self.depth -= 1;
        parsed
    }

    /// Skips to behind the closing bracket that belongs to an opening one already consumed. Gives up, consuming nothing
    /// further, at a brace that closes something around it, at a new rule, and at the end.
    fn skip_to(&mut self, close: Kind) -> bool {
        let mut open: Vec<Kind> = Vec::new();
        loop {
            let kind = self.kind();
            if kind == Kind::End || self.rule_starts() {
                break;
            }
            match kind {
                Kind::OpenParen => open.push(Kind::CloseParen),
                Kind::OpenBracket => open.push(Kind::CloseBracket),
                Kind::OpenBrace => open.push(Kind::CloseBrace),
                _ if open.is_empty() && kind == close => {
                    self.advance();
                    return true;
                }
                Kind::CloseBrace => {
                    // A brace closes what was left open inside it.
                    match open.iter().rposition(|closer| *closer == Kind::CloseBrace) {
                        Some(at) => open.truncate(at),
                        None if close == Kind::CloseBrace => {
                            self.advance();
                            return true;
                        }
                        None => break,
                    }
                }
                Kind::CloseParen | Kind::CloseBracket if open.last() == Some(&kind) => {
                    open.pop();
                }
                _ => {}
            }
            self.advance();
        }
        self.told = Some(self.at);
        false
    }

    /// The token at hand as a word, consumed.
    fn word(&mut self) -> Word {
        let text = self.text().to_owned();
        Word {
            text,
            span: self.advance(),
            quoted: false,
        }
    }
}
