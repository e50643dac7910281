//! From tokens to names and places.

use full_moon::node::Node;
use full_moon::tokenizer::Position;
use full_moon::tokenizer::TokenReference;
use full_moon::tokenizer::TokenType;

use crate::script::diagnose::sketch::Span;
use crate::script::diagnose::sketch::Table;

/// What the arguments of a call say about themselves.
#[derive(Default)]
pub(super) struct Arguments {
    pub(super) subject: Option<(String, Span)>,
    pub(super) table: Option<Table>,
    pub(super) spans: Vec<Span>,
}

impl Arguments {
    pub(super) fn text(&mut self, token: &TokenReference, span: Span) {
        self.spans.push(span);
        self.subject = Some((literal(token), span));
    }

    pub(super) fn join(&mut self, next: Self) {
        self.subject = self.subject.take().or(next.subject);
        self.table = self.table.take().or(next.table);
    }
}

pub(super) fn name(token: &TokenReference) -> String {
    match token.token().token_type() {
        TokenType::Identifier { identifier } => identifier.to_string(),
        _ => token.token().to_string(),
    }
}

pub(super) fn literal(token: &TokenReference) -> String {
    match token.token().token_type() {
        TokenType::StringLiteral { literal, .. } => literal.to_string(),
        _ => token.token().to_string(),
    }
}

/// How many lines of the file stand above what is walked.
#[derive(Clone, Copy, Default)]
pub(super) struct Above(pub(super) usize);

impl Above {
    pub(super) fn line(self, at: Position) -> u32 {
        u32::try_from(self.0 + at.line()).unwrap_or(u32::MAX)
    }

    /// The line a token begins in.
    pub(super) fn begins(self, token: &TokenReference) -> u32 {
        self.line(token.token().start_position())
    }

    pub(super) fn span(self, token: &TokenReference) -> Span {
        self.between(token.token().start_position(), token.token().end_position())
    }

    pub(super) fn range(self, node: &impl Node) -> Span {
        node.range().map_or_else(Span::default, |(start, end)| self.between(start, end))
    }

    fn between(self, start: Position, end: Position) -> Span {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let one = start.line() == end.line();
        let width = if one { end.character().saturating_sub(start.character()) } else { usize::MAX };
        Span { line: self.line(start), column: number(start.character()), width: number(width) }
    }
}

/// Whether `value` is a function that does nothing but `return true`.
pub(super) fn always(value: &full_moon::ast::Expression) -> bool {
    let full_moon::ast::Expression::Function(function) = value else { return false };
    let block = function.body().block();
    let Some(full_moon::ast::LastStmt::Return(last)) = block.last_stmt() else { return false };
    block.stmts().next().is_none() && last.returns().len() == 1 && last.returns().to_string().trim() == "true"
}

/// The second parameter of `function(req, res)`, by its name a response.
pub(super) fn response(value: &full_moon::ast::Expression, above: Above) -> Option<(String, Span)> {
    let full_moon::ast::Expression::Function(function) = value else { return None };
    let mut parameters = function.body().parameters().iter();
    let second = parameters.nth(1)?;
    let full_moon::ast::Parameter::Name(token) = second else { return None };
    let named = name(token);
    (parameters.next().is_none() && matches!(named.as_str(), "res" | "resp" | "response"))
        .then(|| (named, above.span(token)))
}

/// `on_error = function(err)`: the first parameter is the request, whatever it is called.
pub(super) fn misnamed(key: &str, value: &full_moon::ast::Expression, above: Above) -> Option<(String, String, Span)> {
    let full_moon::ast::Expression::Function(function) = value else { return None };
    let mut parameters = function.body().parameters().iter();
    let Some(full_moon::ast::Parameter::Name(token)) = parameters.next() else { return None };
    let named = name(token);
    let wrong = match key {
        "on_error" => matches!(named.as_str(), "err" | "e" | "error" | "failure"),
        "on_response" | "on_log" => matches!(named.as_str(), "res" | "resp" | "response"),
        _ => false,
    };
    (wrong && parameters.next().is_none()).then(|| (key.to_owned(), named, above.span(token)))
}
