//! Who the caller is, as data: claims that a step found, shared, without a table of any script.

use std::borrow::Cow;
use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use crate::proxy::Exchange;

/// What steps found out about the caller. While this is empty a script may still hold `req.user` or `req.key` of its
/// own making, which [`crate::proxy::Hooks::lookup`] reads: one of the two is the truth, never both.
#[derive(Default)]
pub struct User {
    claims: RefCell<Option<Arc<Value>>>,
    key: RefCell<Option<Rc<str>>>,
    /// Somebody else found out who calls, and did not tell.
    vouched: Cell<bool>,
}

impl User {
    /// The claims, an object.
    pub fn claims(&self) -> Option<Arc<Value>> {
        self.claims.borrow().clone()
    }

    /// The name of the credential.
    pub fn key(&self) -> Option<Rc<str>> {
        self.key.borrow().clone()
    }

    /// Another caller.
    pub fn set_claims(&self, claims: Option<Arc<Value>>) {
        let before = self.claims.replace(claims);
        drop(before);
    }

    /// Another credential.
    pub fn set_key(&self, key: Option<Rc<str>>) {
        let before = self.key.replace(key);
        drop(before);
    }

    /// Whether claims are here.
    pub fn has_claims(&self) -> bool {
        self.claims.borrow().is_some()
    }

    /// Notes that the caller was let in as somebody in particular.
    pub fn vouch(&self) {
        self.vouched.set(true);
    }

    /// Whether a step found out who calls.
    pub fn is_known(&self) -> bool {
        self.vouched.get() || self.has_claims() || self.has_key()
    }

    /// Whether a key is here.
    pub fn has_key(&self) -> bool {
        self.key.borrow().is_some()
    }

    /// The claim that `names` lead to, or all of them, as text; `None` also when the claims are not here.
    pub(crate) fn text(&self, names: &[String]) -> Option<String> {
        let claims = self.claims.borrow();
        text(at(claims.as_deref()?, names)?).map(Cow::into_owned)
    }
}

/// The id of the caller, `id` or `sub`, for limits and keys of caches.
pub fn id(exchange: &Rc<Exchange>) -> Option<String> {
    let names = ["id", "sub"];
    if let Some(claims) = exchange.user.claims.borrow().as_deref() {
        return names.iter().find_map(|name| text(claims.get(name)?)).map(Cow::into_owned);
    }
    let hooks = &exchange.site.hooks;
    names.iter().find_map(|name| hooks.lookup(exchange, &["user".to_owned(), (*name).to_owned()]))
}

/// Members by name, places in a list from 1 as in Lua.
fn at<'a>(claims: &'a Value, names: &[String]) -> Option<&'a Value> {
    names.iter().try_fold(claims, |value, name| match value {
        Value::Array(list) => list.get(name.parse::<usize>().ok()?.checked_sub(1)?),
        value => value.get(name),
    })
}

/// Text as it is, anything else as JSON, nothing for null.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        value => Some(Cow::Owned(value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn claims_are_read_by_name_and_place() {
        let user = User::default();
        assert_eq!(user.text(&names(&["sub"])), None);
        user.set_claims(Some(Arc::new(serde_json::json!({ "sub": "u1", "n": 7, "none": null, "roles": ["a", "b"] }))));
        assert_eq!(user.text(&names(&["sub"])).as_deref(), Some("u1"));
        assert_eq!(user.text(&names(&["n"])).as_deref(), Some("7"));
        assert_eq!(user.text(&names(&["roles", "1"])).as_deref(), Some("a"));
        assert_eq!(user.text(&names(&["roles"])).as_deref(), Some(r#"["a","b"]"#));
        for absent in [&["none"][..], &["roles", "0"], &["roles", "3"], &["sub", "x"], &["other"]] {
            assert_eq!(user.text(&names(absent)), None, "{absent:?}");
        }
        assert_eq!(user.text(&[]).as_deref(), Some(r#"{"sub":"u1","n":7,"none":null,"roles":["a","b"]}"#));
    }
}
