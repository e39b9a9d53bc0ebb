//! Source to tokens.
//!
//! Every byte belongs to one token, to white space or to a comment. Runs of characters that have no place are one token
//! and one diagnostic.

use super::token::{Kind, Logic, Operator, Token, classify};
use crate::diagnostic::{Code, Diagnostic, Sink, Span};

/// What the lexer found; the last token is the end, an empty one.
pub(super) struct Lexed {
    pub(super) tokens: Vec<Token>,
    /// The `///` comments.
    pub(super) descriptions: Vec<Span>,
}

/// Splits a source into tokens.
pub(super) fn lex(source: &str, sink: &mut Sink) -> Lexed {
    let mut lexer = Lexer {
        source,
        at: 0,
        lexed: Lexed {
            tokens: Vec::new(),
            descriptions: Vec::new(),
        },
        sink,
    };
    // Editors of one family start files with a mark that says "UTF-8".
    if source.starts_with('\u{feff}') {
        lexer.at = '\u{feff}'.len_utf8();
    }
    while let Some(first) = lexer.rest().chars().next() {
        lexer.token(first);
    }
    let end = Span::new(source.len(), source.len());
    lexer.lexed.tokens.push(Token {
        kind: Kind::End,
        span: end,
    });
    lexer.lexed
}

struct Lexer<'s, 'd> {
    source: &'s str,
    at: usize,
    lexed: Lexed,
    sink: &'d mut Sink,
}

impl Lexer<'_, '_> {
    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or("")
    }

    /// Consumes at least one character.
    fn token(&mut self, first: char) {
        match first {
            ' ' | '\t' | '\n' | '\r' => self.at += 1,
            '#' => self.comment(),
            '/' if self.rest().starts_with("//") => self.comment(),
            '"' | '\'' => self.quoted(first),
            _ if is_name(first) => self.name(first),
            _ => self.symbol(),
        }
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let span = Span::new(self.at, self.at + length);
        self.lexed.tokens.push(Token { kind, span });
        self.at += length;
    }

    fn comment(&mut self) {
        let line = self.rest().split('\n').next().unwrap_or("");
        let length = line.len();
        // Four slashes are a line drawn across the page.
        if line.starts_with("///") && !line.starts_with("////") {
            self.lexed
                .descriptions
                .push(Span::new(self.at, self.at + length));
        }
        self.at += length;
    }

    fn quoted(&mut self, quote: char) {
        let mut escaped = false;
        let mut control = None;
        for (at, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => return self.unterminated(at),
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if c == quote => {
                    if let Some(at) = control {
                        self.control_in_text(at);
                    }
                    return self.push(Kind::Quoted, at + c.len_utf8());
                }
                '\t' | '\r' => {}
                _ if c.is_control() => control = Some(self.at + at),
                _ => {}
            }
        }
        self.unterminated(self.rest().len());
    }

    fn unterminated(&mut self, length: usize) {
        let span = Span::new(self.at, self.at + length);
        let quote = if self.rest().starts_with('"') {
            '"'
        } else {
            '\''
        };
        self.sink.push(
            Diagnostic::new(
                Code::UnterminatedText,
                span,
                "quoted text does not end on its line",
            )
            .here(format!("no closing {quote}"))
            .help(r"a line break inside text is written `\n`"),
        );
        self.push(Kind::Unknown, length);
    }

    fn control_in_text(&mut self, at: usize) {
        let text = self
            .source
            .get(at..)
            .and_then(|rest| rest.chars().next())
            .unwrap_or('\0');
        let escape = format!("\\u{{{:x}}}", text as u32);
        self.sink.push(
            Diagnostic::new(
                Code::UnexpectedCharacter,
                Span::new(at, at + text.len_utf8()),
                format!("control character U+{:04X} in quoted text", text as u32),
            )
            .help(format!("write it `{escape}`")),
        );
    }

    /// A word or a number; after a dot always a word.
    fn name(&mut self, first: char) {
        let after_dot = self
            .lexed
            .tokens
            .last()
            .is_some_and(|last| last.kind == Kind::Dot && last.span.end as usize == self.at);
        if after_dot {
            let length = word_length(self.rest());
            return self.push(Kind::Word, length);
        }
        if first.is_ascii_digit() {
            let length = number_length(self.rest());
            let kind = number_kind(self.rest().get(..length).unwrap_or(""));
            return self.push(kind, length);
        }
        let length = word_length(self.rest());
        let kind = classify(self.rest().get(..length).unwrap_or(""));
        self.push(kind, length);
    }

    fn symbol(&mut self) {
        let bytes = self.rest().as_bytes();
        let at = |at: usize| bytes.get(at).copied().unwrap_or_default();
        let (kind, length) = match (at(0), at(1), at(2)) {
            (b'=' | b'!', b'=', b'=') => (Kind::Foreign, 3),
            (b'=', b'=', _) => (Kind::Comparison(Operator::Equal), 2),
            (b'!', b'=', _) => (Kind::Comparison(Operator::NotEqual), 2),
            (b'<', b'=', _) => (Kind::Comparison(Operator::LessOrEqual), 2),
            (b'>', b'=', _) => (Kind::Comparison(Operator::GreaterOrEqual), 2),
            (b'=', b'>', _) => (Kind::Arrow, 2),
            (b'=' | b'!', b'~', _) | (b'<', b'>', _) => (Kind::Foreign, 2),
            (b'&', b'&', _) => (Kind::Logic(Logic::And), 2),
            (b'|', b'|', _) => (Kind::Logic(Logic::Or), 2),
            (b'!', ..) => (Kind::Logic(Logic::Not), 1),
            (b'<', ..) => (Kind::Comparison(Operator::Less), 1),
            (b'>', ..) => (Kind::Comparison(Operator::Greater), 1),
            (b'=', ..) => (Kind::Foreign, 1),
            (b'(', ..) => (Kind::OpenParen, 1),
            (b')', ..) => (Kind::CloseParen, 1),
            (b'[', ..) => (Kind::OpenBracket, 1),
            (b']', ..) => (Kind::CloseBracket, 1),
            (b'{', ..) => (Kind::OpenBrace, 1),
            (b'}', ..) => (Kind::CloseBrace, 1),
            (b',', ..) => (Kind::Comma, 1),
            (b':', ..) => (Kind::Colon, 1),
            (b'.', ..) => (Kind::Dot, 1),
            (b'-', ..) => (Kind::Minus, 1),
            (b'*', ..) => (Kind::Star, 1),
            (b'+' | b'/' | b'%', ..) => (Kind::Arithmetic, 1),
            (b'|' | b'&', ..) => (Kind::SetOperator, 1),
            _ => return self.unknown(),
        };
        self.push(kind, length);
    }

    fn unknown(&mut self) {
        let length: usize = self
            .rest()
            .chars()
            .take_while(|c| has_no_place(*c))
            .map(char::len_utf8)
            .sum();
        let first = self.rest().chars().next().unwrap_or('\0');
        // `symbol` sends only what has no place; one character is consumed whatever happens.
        let length = length.max(first.len_utf8());
        let span = Span::new(self.at, self.at + length);
        self.sink.push(unknown(first, span));
        self.push(Kind::Unknown, length);
    }
}

/// Says what the character is and what was probably meant.
fn unknown(first: char, span: Span) -> Diagnostic {
    let number = first as u32;
    let shown = if first.is_control() || first.is_whitespace() {
        format!("character U+{number:04X} has no place here")
    } else {
        format!("`{first}` has no place here")
    };
    let diagnostic = Diagnostic::new(Code::UnexpectedCharacter, span, shown);
    match first {
        '\0' => diagnostic.help("save the file as UTF-8 text"),
        '\u{201c}'..='\u{201f}' => diagnostic.help("text is put in straight quotes: \"…\""),
        '\u{2018}'..='\u{201b}' => diagnostic.help("text is put in straight quotes: '…'"),
        '\u{2010}'..='\u{2015}' | '\u{2212}' => diagnostic.help("a dash is written `-`"),
        '≥' => diagnostic.help("write `>=`"),
        '≤' => diagnostic.help("write `<=`"),
        '≠' => diagnostic.help("write `!=`"),
        ';' => diagnostic.help("nothing separates the parts of a rule; leave it out"),
        '`' => diagnostic.help("text takes single or double quotes"),
        _ if first.is_whitespace() => diagnostic.help("replace it with a plain space"),
        _ if first.is_alphanumeric() => diagnostic.help(
            "names outside of quotes are made of ASCII letters, digits, `_`, `-` and dots; put others in quotes",
        ),
        _ => diagnostic,
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Starts no token.
fn has_no_place(c: char) -> bool {
    !is_name(c) && !c.is_ascii_whitespace() && !"\"'#=!<>&|()[]{},:.-*+/%".contains(c)
        || c == '\u{c}'
}

/// Letters, digits, `_`, and dashes that something of a name follows: `a-b` is a name, `a- b` a subtraction.
fn word_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut end = 0;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'-' => {}
            _ if is_name(*byte as char) => end = at + 1,
            _ => break,
        }
    }
    end
}

/// As a word, with dots that a digit follows and the sign of an exponent: `1.5s`, `1e-9`, `2024-01-01`.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut end = 0;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'-' => {}
            b'.' if at == end && digit(at + 1) => {}
            b'+' if at == end && is_exponent(text.get(..at).unwrap_or("")) && digit(at + 1) => {}
            _ if is_name(*byte as char) => end = at + 1,
            _ => break,
        }
    }
    end
}

/// A number and an `e`, short enough that looking is cheap.
fn is_exponent(text: &str) -> bool {
    const LONGEST: usize = 400;
    text.len() < LONGEST
        && text.ends_with(['e', 'E'])
        && text
            .bytes()
            .rev()
            .skip(1)
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn number_kind(text: &str) -> Kind {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let dots = number.bytes().filter(|byte| *byte == b'.').count();
    match unit {
        _ if dots > 1 => Kind::Odd,
        "" if dots == 0 => Kind::Int,
        "" => Kind::Float,
        "ns" | "us" | "ms" | "s" | "m" | "h" => Kind::Duration,
        _ => match unit.strip_prefix(['e', 'E']) {
            Some(exponent) => {
                let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                if all { Kind::Float } else { Kind::Odd }
            }
            None => Kind::Odd,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Vec<(Kind, &str)> {
        let lexed = lex(source, &mut Sink::default());
        let tokens = lexed.tokens.iter().filter(|token| token.kind != Kind::End);
        tokens
            .map(|token| (token.kind, token.span.text(source)))
            .collect()
    }

    #[test]
    fn a_dash_belongs_to_a_name_and_a_minus_has_spaces() {
        assert_eq!(kinds("a-b"), [(Kind::Word, "a-b")]);
        assert_eq!(
            kinds("a - b"),
            [(Kind::Word, "a"), (Kind::Minus, "-"), (Kind::Word, "b")]
        );
        assert_eq!(
            kinds("a- b"),
            [(Kind::Word, "a"), (Kind::Minus, "-"), (Kind::Word, "b")]
        );
        assert_eq!(kinds("-5"), [(Kind::Minus, "-"), (Kind::Int, "5")]);
    }

    #[test]
    fn numbers_are_told_from_what_only_starts_like_one() {
        for (text, kind) in [
            ("0", Kind::Int),
            ("12.5", Kind::Float),
            ("1e9", Kind::Float),
            ("1.5E-3", Kind::Float),
            ("1e+3", Kind::Float),
            ("250us", Kind::Duration),
            ("1.5s", Kind::Duration),
            ("5xx", Kind::Odd),
            ("10sec", Kind::Odd),
            ("1.2.3", Kind::Odd),
            ("2024-01-01", Kind::Odd),
            ("550e8400-e29b", Kind::Odd),
            ("1e", Kind::Odd),
        ] {
            assert_eq!(kinds(text), [(kind, text)]);
        }
    }

    #[test]
    fn after_a_dot_any_word_is_a_segment() {
        assert_eq!(
            kinds("user.not.5xx"),
            [
                (Kind::Word, "user"),
                (Kind::Dot, "."),
                (Kind::Word, "not"),
                (Kind::Dot, "."),
                (Kind::Word, "5xx")
            ]
        );
    }

    #[test]
    fn characters_without_a_place_are_one_token_and_one_diagnostic() {
        let mut sink = Sink::default();
        lex("a \0\0\0é\u{1}", &mut sink);
        assert_eq!(sink.errors(), 1);
    }
}
