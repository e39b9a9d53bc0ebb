//! Conditions, by precedence: `or`, `and`, `not`, comparisons, methods, names and literals.

use super::{Parsed, Parser};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::syntax::ast::{self, Call, Expression, ExpressionKind, TextOperator};
use crate::syntax::literal;
use crate::syntax::token::{Kind, Later, Logic, Operator, Reserved};
use crate::types::tree;

impl Parser<'_, '_> {
    /// A whole condition.
    pub(super) fn condition(&mut self) -> Parsed<Expression> {
        self.chain(Logic::Or, ExpressionKind::Or, |parser| {
            parser.chain(Logic::And, ExpressionKind::And, Self::not)
        })
    }

    /// Operands with one operator between.
    fn chain(
        &mut self,
        operator: Logic,
        make: fn(Vec<Expression>) -> ExpressionKind,
        operand: impl Fn(&mut Self) -> Parsed<Expression>,
    ) -> Parsed<Expression> {
        let first = operand(self)?;
        if self.kind() != Kind::Logic(operator) {
            return Ok(first);
        }
        let start = first.span;
        let mut operands = vec![first];
        while self.kind() == Kind::Logic(operator) {
            self.advance();
            operands.push(operand(self)?);
        }
        Ok(Expression {
            kind: make(operands),
            span: start.to(self.previous()),
        })
    }

    fn not(&mut self) -> Parsed<Expression> {
        if self.kind() != Kind::Logic(Logic::Not) {
            return self.test();
        }
        let start = self.advance();
        let inner = self.deeper(Self::not)?;
        let span = start.to(inner.span);
        Ok(Expression {
            kind: ExpressionKind::Not(Box::new(inner)),
            span,
        })
    }

    /// Whether the token `ahead` is `and` or `or`.
    pub(super) fn logic_operator_at(&self, ahead: usize) -> bool {
        matches!(self.kind_at(ahead), Kind::Logic(Logic::And | Logic::Or))
    }

    fn test(&mut self) -> Parsed<Expression> {
        if let Kind::Reserved(Reserved::Later(Later::Structure)) = self.kind() {
            return self.later(Code::StructureNotYet, "structure operators are");
        }
        let left = self.operand()?;
        let test = match self.kind() {
            Kind::Comparison(operator) => self.comparison(left, operator)?,
            Kind::Reserved(Reserved::In) => self.membership(left, false)?,
            Kind::Logic(Logic::Not) => match self.kind_at(1) {
                Kind::Reserved(Reserved::In) => {
                    self.advance();
                    self.membership(left, true)?
                }
                _ => return self.not_behind(left),
            },
            Kind::Reserved(reserved) => self.reserved_operator(left, reserved)?,
            Kind::Foreign => return self.foreign(),
            _ => return Ok(left),
        };
        self.after_test(test)
    }

    fn comparison(&mut self, left: Expression, operator: Operator) -> Parsed<Expression> {
        let operator = ast::Comparison {
            operator: meaning(operator),
            span: self.advance(),
        };
        let right = self.operand()?;
        let span = left.span.to(right.span);
        let kind = ExpressionKind::Compare(Box::new(left), operator, Box::new(right));
        Ok(Expression { kind, span })
    }

    fn membership(&mut self, left: Expression, negated: bool) -> Parsed<Expression> {
        let keyword = self.advance();
        if self.kind() != Kind::OpenBracket {
            if self.kind() == Kind::Word {
                return self.later(Code::DeclarationsNotYet, "named lists are");
            }
            return self.fail(
                Diagnostic::new(
                    Code::Unexpected,
                    self.here(),
                    format!("expected `[`, found {}", self.found()),
                )
                .here("expected a list")
                .label(keyword, "`in` is followed by a list")
                .help("a list is written `[a, b]`"),
            );
        }
        let start = self.here();
        let items = self.bracketed(Kind::CloseBracket, "`]`", |parser| {
            parser.listed(Kind::CloseBracket, Self::operand)
        })?;
        let list = start.to(self.previous());
        let span = left.span.to(list);
        let kind = match items {
            Some(items) => ExpressionKind::In {
                left: Box::new(left),
                negated,
                items,
                list,
            },
            None => ExpressionKind::Invalid,
        };
        Ok(Expression { kind, span })
    }

    fn reserved_operator(&mut self, left: Expression, reserved: Reserved) -> Parsed<Expression> {
        let operator = match reserved {
            Reserved::Contains => TextOperator::Contains,
            Reserved::StartsWith => TextOperator::StartsWith,
            Reserved::EndsWith => TextOperator::EndsWith,
            Reserved::Like => TextOperator::Like,
            Reserved::Matches => TextOperator::Matches,
            Reserved::Later(later) => return self.later_operator(later),
            Reserved::True | Reserved::False | Reserved::In => return Ok(left),
        };
        self.advance();
        let right = self.operand()?;
        let span = left.span.to(right.span);
        let kind = ExpressionKind::TextTest(Box::new(left), operator, Box::new(right));
        Ok(Expression { kind, span })
    }

    /// Tells of an operator that is not built, and goes on behind its right side.
    fn later_operator(&mut self, later: Later) -> Parsed<Expression> {
        let what = format!("`{}` is", self.text());
        let _: Parsed<()> = self.later(later.code(), &what);
        let span = self.advance();
        self.operand()?;
        if self.kind() == Kind::Reserved(Reserved::Later(Later::Within)) {
            self.advance();
            self.operand()?;
        }
        Ok(Expression {
            kind: ExpressionKind::Invalid,
            span,
        })
    }

    /// A second operator behind a comparison.
    fn after_test(&mut self, test: Expression) -> Parsed<Expression> {
        match self.kind() {
            Kind::Comparison(_)
            | Kind::Reserved(
                Reserved::In
                | Reserved::Contains
                | Reserved::StartsWith
                | Reserved::EndsWith
                | Reserved::Like
                | Reserved::Matches,
            ) => self.fail(
                Diagnostic::new(
                    Code::ChainedComparison,
                    self.here(),
                    format!("a comparison is compared again, with {}", self.found()),
                )
                .label(test.span, "this is true or false already")
                .help("join comparisons with `and`: `a < b and b < c`"),
            ),
            Kind::Reserved(Reserved::Later(later)) => self.later_operator(later),
            Kind::Foreign => self.foreign(),
            _ => Ok(test),
        }
    }

    /// `x not contains y`.
    fn not_behind(&mut self, left: Expression) -> Parsed<Expression> {
        let left = left.span.text(self.source).to_owned();
        let operator = self.text_at(1).to_owned();
        let diagnostic = Diagnostic::new(
            Code::Unexpected,
            self.here(),
            format!("expected an operator, found {}", self.found()),
        )
        .here("only `in` can follow it here");
        let short = left.len() < 60;
        let text = matches!(self.kind_at(1), Kind::Reserved(_));
        self.fail(match text && short {
            true => diagnostic.help(format!("`not` stands first: `not {left} {operator} …`")),
            false => diagnostic,
        })
    }

    fn foreign(&mut self) -> Parsed<Expression> {
        let right = match self.text() {
            "=" | "===" => "==",
            "!==" | "<>" => "!=",
            "=~" => "matches",
            _ => "not … matches",
        };
        self.fail(
            Diagnostic::new(
                Code::UnknownOperator,
                self.here(),
                format!("there is no operator `{}`", self.text()),
            )
            .help(format!("write `{right}`")),
        )
    }

    /// A value with its methods; told where arithmetic follows.
    fn operand(&mut self) -> Parsed<Expression> {
        let left = self.postfix()?;
        let (code, what) = match self.kind() {
            Kind::Minus | Kind::Star | Kind::Arithmetic => {
                (Code::ArithmeticNotYet, "arithmetic is")
            }
            Kind::SetOperator => (Code::SetOperatorsNotYet, "operators between sets are"),
            _ => return Ok(left),
        };
        let _: Parsed<()> = self.later(code, what);
        while matches!(
            self.kind(),
            Kind::Minus | Kind::Star | Kind::Arithmetic | Kind::SetOperator
        ) {
            self.advance();
            self.postfix()?;
        }
        Ok(Expression {
            kind: ExpressionKind::Invalid,
            span: left.span.to(self.previous()),
        })
    }

    fn postfix(&mut self) -> Parsed<Expression> {
        let base = self.primary()?;
        let mut calls = Vec::new();
        let mut invalid = matches!(base.kind, ExpressionKind::Invalid);
        while self.kind() == Kind::Dot {
            if self.kind_at(1) != Kind::Word {
                self.advance();
                return self.unexpected("a method");
            }
            if calls.is_empty() && self.blank_in_a_name() {
                return self.no_blank_in_a_name();
            }
            self.advance();
            let method = self.word();
            let mut arguments = None;
            if self.kind() == Kind::OpenParen {
                arguments = self.arguments(false)?;
                invalid |= arguments.is_none();
            }
            let span = method.span.to(self.previous());
            calls.push(Call {
                method,
                arguments,
                span,
            });
        }
        let span = base.span.to(self.previous());
        if invalid {
            return Ok(Expression {
                kind: ExpressionKind::Invalid,
                span,
            });
        }
        if calls.is_empty() {
            return Ok(base);
        }
        Ok(Expression {
            kind: ExpressionKind::Chain(Box::new(base), calls),
            span,
        })
    }

    fn primary(&mut self) -> Parsed<Expression> {
        let span = self.here();
        let kind = match self.kind() {
            Kind::Reserved(Reserved::True) => self.literal(ExpressionKind::Bool(true)),
            Kind::Reserved(Reserved::False) => self.literal(ExpressionKind::Bool(false)),
            Kind::Int | Kind::Float | Kind::Duration => self.number(false, span),
            Kind::Minus => {
                self.advance();
                match self.kind() {
                    Kind::Int | Kind::Float | Kind::Duration => {
                        let span = span.to(self.here());
                        self.number(true, span)
                    }
                    _ => return self.unexpected("a number"),
                }
            }
            Kind::Quoted => ExpressionKind::Text(self.quoted()?.text),
            Kind::OpenParen => return self.parenthesised(),
            Kind::Word if self.kind_at(1) == Kind::OpenParen => self.function()?,
            Kind::Word => self.named()?,
            Kind::Odd if self.kind_at(1) == Kind::Dot || self.name_position() => self.named()?,
            Kind::Odd => return self.malformed_number(),
            Kind::Reserved(_) => return self.reserved_as_name(),
            Kind::Dot if self.kind_at(1) == Kind::Word => return self.leading_dot(),
            _ => return self.unexpected("a condition or a value"),
        };
        Ok(Expression {
            kind,
            span: span.to(self.previous()),
        })
    }

    fn literal(&mut self, kind: ExpressionKind) -> ExpressionKind {
        self.advance();
        kind
    }

    fn number(&mut self, negative: bool, span: Span) -> ExpressionKind {
        let token = self.token_at(0);
        self.advance();
        let text = token.span.text(self.source);
        let value = match token.kind {
            Kind::Int => literal::int(text, negative, span).map(ExpressionKind::Int),
            Kind::Float => literal::float(text, negative, span).map(ExpressionKind::Float),
            _ => literal::duration(text, negative, span).map(ExpressionKind::Duration),
        };
        value.unwrap_or_else(|told| {
            self.sink.push(told);
            ExpressionKind::Invalid
        })
    }

    fn parenthesised(&mut self) -> Parsed<Expression> {
        let start = self.here();
        let inner = self.bracketed(Kind::CloseParen, "`)`", Self::condition)?;
        let span = start.to(self.previous());
        let kind = inner.map_or(ExpressionKind::Invalid, |inner| inner.kind);
        Ok(Expression { kind, span })
    }

    fn function(&mut self) -> Parsed<ExpressionKind> {
        let name = self.word();
        let quantifies = matches!(name.text.as_str(), "any" | "all" | "none" | "count");
        let arguments = self.arguments(quantifies)?;
        Ok(arguments.map_or(ExpressionKind::Invalid, |arguments| {
            ExpressionKind::Function(name, arguments)
        }))
    }

    /// A name, or a name and a key in brackets.
    fn named(&mut self) -> Parsed<ExpressionKind> {
        let name = self.name()?;
        if self.kind() != Kind::OpenBracket {
            return Ok(ExpressionKind::Name(name));
        }
        let key = self.bracketed(Kind::CloseBracket, "`]`", |parser| match parser.kind() {
            Kind::Quoted => parser.quoted(),
            _ => parser.unexpected("a quoted key"),
        })?;
        Ok(key.map_or(ExpressionKind::Invalid, |key| {
            ExpressionKind::Index(name, key.text)
        }))
    }

    /// Whether a word that starts with a digit can be a name here: where a condition starts or ends.
    fn name_position(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        !matches!(
            before.map(|token| token.kind),
            Some(
                Kind::Comparison(_)
                    | Kind::Reserved(_)
                    | Kind::Comma
                    | Kind::OpenBracket
                    | Kind::Minus
                    | Kind::Arithmetic
                    | Kind::Star
            )
        )
    }

    fn malformed_number(&mut self) -> Parsed<Expression> {
        let text = self.found();
        self.fail(
            Diagnostic::new(
                Code::MalformedNumber,
                self.here(),
                format!("{text} is neither a number nor a duration"),
            )
            .help("the units of durations are `ns us ms s m h`, as in `1.5s`")
            .help("text that starts with a digit is quoted"),
        )
    }

    fn reserved_as_name(&mut self) -> Parsed<Expression> {
        let word = self.text().to_owned();
        self.fail(
            Diagnostic::new(
                Code::ReservedWord,
                self.here(),
                format!("`{word}` is a reserved word, not a name"),
            )
            .help(format!(
                "quote it where it is text or the name of spans: `\"{word}\"`"
            ))
            .help(format!("an attribute of that name is `attr[\"{word}\"]`")),
        )
    }

    /// `.5`, `.where(p)`.
    fn leading_dot(&mut self) -> Parsed<Expression> {
        let word = self.text_at(1).to_owned();
        let diagnostic = Diagnostic::new(
            Code::Unexpected,
            self.here(),
            "expected a condition or a value, found `.`",
        );
        let digits = word.starts_with(|c: char| c.is_ascii_digit());
        self.fail(match digits {
            true => diagnostic.help(format!("a number starts with a digit: `0.{word}`")),
            false => diagnostic.help(format!("name what the method is of: `spans.{word}`")),
        })
    }
}

fn meaning(operator: Operator) -> tree::Comparison {
    match operator {
        Operator::Equal => tree::Comparison::Equal,
        Operator::NotEqual => tree::Comparison::NotEqual,
        Operator::Less => tree::Comparison::Less,
        Operator::LessOrEqual => tree::Comparison::LessOrEqual,
        Operator::Greater => tree::Comparison::Greater,
        Operator::GreaterOrEqual => tree::Comparison::GreaterOrEqual,
    }
}
