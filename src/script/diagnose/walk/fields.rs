//! Which field of the request an expression reads.

use full_moon::ast::Call;
use full_moon::ast::Expression;
use full_moon::ast::FunctionArgs;
use full_moon::ast::Index;
use full_moon::ast::Prefix;
use full_moon::ast::Suffix;

use super::Walker;
use super::tokens::Above;
use super::tokens::literal;
use super::tokens::name;
use crate::script::diagnose::sketch::Field;
use crate::script::diagnose::sketch::Span;

impl Walker {
    /// `req.headers["x-shop"]`, `req.headers:all("x-shop")`, `req.cookies.sid`, `req:bearer()`, `req:accepts(…)`.
    pub(super) fn field<'a>(&mut self, prefix: &Prefix, mut suffixes: impl Iterator<Item = &'a Suffix>) {
        let Prefix::Name(owner) = prefix else { return };
        if name(owner) != "req" || self.depth_of("req").unwrap_or_default() == 0 {
            return;
        }
        let Some((field, span)) = read(suffixes.next(), suffixes.next(), self.above) else { return };
        let within = self.functions.iter().map(|&index| self.sketch.functions[index].line).collect();
        self.sketch.fields.push(Field { name: field, span, within });
    }
}

/// The field that what stands behind `req` reads, in lower case, and where it is named.
fn read(first: Option<&Suffix>, second: Option<&Suffix>, above: Above) -> Option<(String, Span)> {
    match first? {
        Suffix::Index(Index::Dot { name: member, .. }) => match name(member).as_str() {
            "cookies" => Some(("cookie".to_owned(), above.span(member))),
            "headers" => named(second?, above),
            _ => None,
        },
        Suffix::Call(Call::MethodCall(call)) => match name(call.name()).as_str() {
            "bearer" => Some(("authorization".to_owned(), above.span(call.name()))),
            "accepts" => Some(("accept".to_owned(), above.span(call.name()))),
            _ => None,
        },
        _ => None,
    }
}

/// `.accept`, `["x-shop"]`, `:all("x-shop")`
fn named(suffix: &Suffix, above: Above) -> Option<(String, Span)> {
    let token = match suffix {
        Suffix::Index(Index::Dot { name: member, .. }) => {
            return Some((name(member).to_ascii_lowercase(), above.span(member)));
        }
        Suffix::Index(Index::Brackets { expression: Expression::String(token), .. }) => token,
        Suffix::Call(Call::MethodCall(call)) if name(call.name()) == "all" => match call.args() {
            FunctionArgs::String(token) => token,
            FunctionArgs::Parentheses { arguments, .. } => match arguments.iter().next()? {
                Expression::String(token) => token,
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    };
    Some((literal(token).to_ascii_lowercase(), above.span(token)))
}
