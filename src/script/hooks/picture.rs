//! A request as it stands between two steps, and what differs from one to the next.

use std::collections::BTreeMap;
use std::rc::Rc;

use mlua::Lua;
use serde_json::Value as Json;

use crate::http::Body;
use crate::proxy::Exchange;
use crate::proxy::watch::Watch;
use crate::proxy::watch::key;
use crate::proxy::watch::redact::Redactor;
use crate::script::bind::json;
use crate::script::handle;

/// What a step may change of a request.
pub(super) struct Picture {
    /// Which exchange it is of.
    pub(super) exchange: usize,
    parts: BTreeMap<String, String>,
}

impl Picture {
    /// `exchange` now. Of a real request credentials are not shown, and of its body how much there is of it.
    pub(super) fn of(lua: &Lua, exchange: &Rc<Exchange>) -> Self {
        let mut parts = BTreeMap::new();
        let real = exchange.site.watch.as_ref().map(|watch| watch.redactor());
        {
            let request = exchange.request.borrow();
            parts.insert("method".to_owned(), request.method.as_str().to_owned());
            parts.insert("path".to_owned(), request.path.clone());
            parts.insert("host".to_owned(), request.host.to_string());
            if let Some(query) = &request.query {
                parts.insert("query".to_owned(), query.clone());
            }
            for (_, name, value) in request.headers.iter() {
                let name = format!("header {}", String::from_utf8_lossy(name).to_ascii_lowercase());
                let value = String::from_utf8_lossy(value);
                parts.entry(name).and_modify(|all| *all = format!("{all}, {value}")).or_insert_with(|| value.into());
            }
            if let Body::Full(bytes) = &request.body {
                let text = match &real {
                    Some(real) => format!("{} bytes {}", bytes.len(), real.mark(&String::from_utf8_lossy(bytes))),
                    None => String::from_utf8_lossy(bytes).into_owned(),
                };
                parts.insert("body".to_owned(), text);
            }
        }
        if let Some(claims) = handle::claims(lua, exchange) {
            parts.insert("user".to_owned(), claims.to_string());
        }
        let ctx = handle::kept(lua, exchange, "ctx").and_then(|ctx| json::to_json(&ctx).ok());
        if let Some(Json::Object(members)) = ctx {
            parts.extend(members.into_iter().map(|(name, value)| (format!("ctx.{name}"), value.to_string())));
        }
        if let Some(real) = &real {
            parts.iter_mut().for_each(|(name, value)| *value = redacted(real, name, value));
        }
        Self { exchange: key(exchange), parts }
    }

    /// Hides what only became known as a credential after this picture was taken.
    pub(super) fn hide(&mut self, watch: &Watch) {
        let real = watch.redactor();
        self.parts.values_mut().for_each(|value| *value = real.text(value));
    }

    /// What is different in `after`, one line each.
    pub(super) fn changes(&self, after: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, new) in &after.parts {
            match self.parts.get(name) {
                Some(old) if old == new => {}
                // A body that was only read is no change.
                None if name == "body" => {}
                Some(old) => lines.push(format!("{name}: {} -> {}", short(old), short(new))),
                None => lines.push(format!("{name} = {}", short(new))),
            }
        }
        let gone = self.parts.keys().filter(|name| !after.parts.contains_key(*name) && *name != "body");
        lines.extend(gone.map(|name| format!("{name} removed")));
        lines
    }
}

/// A part as somebody may see it who watches a real request.
fn redacted(real: &Redactor<'_>, name: &str, value: &str) -> String {
    match name {
        "query" => real.query(value),
        "body" => value.to_owned(),
        "user" => {
            let mut claims = serde_json::from_str(value).unwrap_or(Json::Null);
            real.json(&mut claims);
            claims.to_string()
        }
        _ => real.named(name, value),
    }
}

/// Long texts are cut where a reader has understood.
fn short(text: &str) -> String {
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

/// Characters of a value that are shown.
const MOST: usize = 100;

#[cfg(test)]
mod tests {
    use super::Picture;

    fn picture(parts: &[(&str, &str)]) -> Picture {
        Picture {
            exchange: 0,
            parts: parts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn changes_are_told_by_what_they_are() {
        let before = picture(&[("path", "/v1/x"), ("header a", "1"), ("header b", "2")]);
        let after = picture(&[("path", "/x"), ("header a", "1"), ("user", "{}"), ("body", "read")]);
        assert_eq!(before.changes(&after), ["path: /v1/x -> /x", "user = {}", "header b removed"]);
        assert_eq!(before.changes(&before), Vec::<String>::new());
    }

    #[test]
    fn a_body_that_is_replaced_is_a_change_and_long_values_are_cut() {
        let before = picture(&[("body", "a")]);
        let long = "é".repeat(200);
        let said = before.changes(&picture(&[("body", &long)]));
        assert_eq!(said, [format!("body: a -> {}… (400 bytes)", "é".repeat(100))]);
    }
}
