//! Tables as written: entries, what stands in them, and functions that will run for requests.

use full_moon::ast;
use full_moon::ast::Expression;

use super::Walker;
use super::tokens;
use super::tokens::literal;
use super::tokens::name;
use crate::script::diagnose::sketch::Entry;
use crate::script::diagnose::sketch::Span;
use crate::script::diagnose::sketch::Table;

impl Walker {
    pub(super) fn table(&mut self, table: &ast::TableConstructor) -> Table {
        let mut entries = Vec::new();
        let mut index = 0;
        for field in table.fields() {
            let (key, value) = match field {
                ast::Field::NameKey { key, value, .. } => (Some((name(key), self.above.span(key))), value),
                ast::Field::ExpressionKey { key: Expression::String(key), value, .. } => {
                    (Some((literal(key), self.above.span(key))), value)
                }
                ast::Field::ExpressionKey { key, value, .. } => {
                    self.expression(key);
                    (Some((key.to_string().trim().to_owned(), self.above.range(key))), value)
                }
                ast::Field::NoKey(value) => {
                    index += 1;
                    self.sketch.responses.extend(tokens::response(value, self.above));
                    (None, value)
                }
                _ => continue,
            };
            if let (Some((name, _)), Expression::String(text)) = (&key, value)
                && name == "code"
            {
                self.sketch.codes.push(literal(text));
            }
            let inner = match value {
                Expression::TableConstructor(inner) => Some(self.table(inner)),
                other => {
                    let request = matches!(other, Expression::Function(_)) && is_request(key.as_ref());
                    self.requests += usize::from(request);
                    self.expression(other);
                    self.requests -= usize::from(request);
                    None
                }
            };
            if let Some((name, _)) = &key {
                self.sketch.misnamed.extend(tokens::misnamed(name, value, self.above));
            }
            let index = if key.is_none() { index } else { 0 };
            entries.push(Entry {
                key,
                index,
                value: self.above.range(value),
                table: inner,
                always: tokens::always(value),
            });
        }
        Table { entries }
    }
}

/// Whether a function at this key (or in the list part) is called for requests, not while loading.
fn is_request(key: Option<&(String, Span)>) -> bool {
    key.is_none_or(|(name, _)| name.starts_with("on_") || name == "when")
}
