//! A secret in a script's hands: works wherever text does, shows itself nowhere.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::hint::black_box;
use std::rc::Rc;

use mlua::AnyUserData;
use mlua::Lua;
use mlua::MetaMethod;
use mlua::UserData;
use mlua::UserDataMethods;
use mlua::Value;

/// A value that prints as `<secret NAME>`; what is made of it (`..`, `base64.encode`) is secret too.
#[derive(Clone)]
pub(crate) struct Secret {
    name: Rc<str>,
    value: Rc<Hidden>,
}

/// Bytes that are overwritten when they are let go.
struct Hidden(Vec<u8>);

impl Secret {
    /// The secret called `name`.
    pub(crate) fn new(name: &str, value: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), value: Rc::new(Hidden(value.into())) }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The value, for a primitive that sends or hashes it.
    pub(crate) fn reveal(&self) -> &[u8] {
        &self.value.0
    }

    /// Another value, made of this one and just as secret.
    pub(crate) fn derive(&self, value: impl Into<Vec<u8>>) -> Self {
        Self { name: Rc::clone(&self.name), value: Rc::new(Hidden(value.into())) }
    }

    /// What stands for it in logs, JSON and dumps.
    pub(crate) fn mark(&self) -> String {
        format!("<secret {}>", self.name)
    }

    /// The secret that `value` is, if it is one.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        value.as_userdata().and_then(|data| data.borrow::<Self>().ok()).map(|secret| secret.clone())
    }

    /// Hands it to `lua`, which from now on knows its mark.
    pub(crate) fn push(self, lua: &Lua) -> mlua::Result<AnyUserData> {
        if let Some(marks) = lua.app_data_ref::<Marks>() {
            marks.0.borrow_mut().insert(self.mark());
        }
        lua.create_userdata(self)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        self.0.fill(0);
        black_box(&self.0);
    }
}

/// Made once, with the machine: app data cannot be added while any of it is looked at.
pub(crate) fn install(lua: &Lua) {
    lua.set_app_data(Marks::default());
}

/// The marks of a machine's secrets.
#[derive(Default)]
struct Marks(RefCell<BTreeSet<String>>);

/// The mark of a secret that stands in `text`: it was turned to text by interpolation, and what would be sent is not
/// the secret. Costs one search while there are no `<secret `s.
pub(crate) fn leaked(lua: &Lua, text: &[u8]) -> Option<String> {
    memchr::memmem::find(text, b"<secret ")?;
    let marks = lua.app_data_ref::<Marks>()?;
    let marks = marks.0.borrow();
    marks.iter().find(|mark| memchr::memmem::find(text, mark.as_bytes()).is_some()).cloned()
}

impl UserData for Secret {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, secret, ()| Ok(secret.mark()));
        methods.add_meta_function(MetaMethod::Concat, concat);
        methods.add_meta_function(MetaMethod::Eq, |_, (_, _): (Value, Value)| -> mlua::Result<bool> {
            Err(mlua::Error::runtime("secrets do not compare with `==`; use crypto.equal(a, b)"))
        });
    }
}

fn concat(lua: &Lua, (left, right): (Value, Value)) -> mlua::Result<AnyUserData> {
    let secret = Secret::of(&left).or_else(|| Secret::of(&right));
    let secret = secret.ok_or_else(|| mlua::Error::runtime("no secret to join"))?;
    let mut joined = Vec::new();
    for part in [&left, &right] {
        match (Secret::of(part), part) {
            (Some(part), _) => joined.extend_from_slice(part.reveal()),
            (None, Value::String(text)) => joined.extend_from_slice(&text.as_bytes()),
            (None, Value::Number(_) | Value::Integer(_)) => joined.extend_from_slice(part.to_string()?.as_bytes()),
            (None, other) => {
                let message = format!("{} and a value of type {} do not join", secret.mark(), other.type_name());
                return Err(mlua::Error::runtime(message));
            }
        }
    }
    if joined.len() > LONGEST {
        return Err(mlua::Error::runtime(format!("{} would become longer than 1 MB", secret.mark())));
    }
    secret.derive(joined).push(lua)
}

/// Secrets live outside the machine's memory limit, so they are bounded here.
const LONGEST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Lua {
        let lua = Lua::new();
        install(&lua);
        let secret = Secret::new("KEY", "hunter2").push(&lua).unwrap();
        lua.globals().set("key", secret).unwrap();
        lua
    }

    #[test]
    fn joining_keeps_it_secret() {
        let lua = machine();
        let joined: Value = lua.load("return 'Bearer ' .. key .. 5 .. key").eval().unwrap();
        assert_eq!(Secret::of(&joined).unwrap().reveal(), b"Bearer hunter25hunter2");
        assert_eq!(joined.to_string().unwrap(), "<secret KEY>");
    }

    #[test]
    fn text_made_by_interpolation_is_recognised() {
        let lua = machine();
        let text: String = lua.load("return `token {key}`").eval().unwrap();
        assert_eq!(leaked(&lua, text.as_bytes()), Some("<secret KEY>".into()));
        assert_eq!(leaked(&lua, b"a <secret OTHER> mark"), None);
    }

    #[test]
    fn comparing_and_joining_with_a_table_raise() {
        let lua = machine();
        for script in ["return key == (key .. '')", "return key .. {}"] {
            let error = lua.load(script).eval::<Value>().unwrap_err().to_string();
            assert!(error.contains("crypto.equal") || error.contains("do not join"), "{error}");
        }
    }

    #[test]
    fn a_joined_secret_is_bounded() {
        let lua = machine();
        let error = lua.load("local k = key; for _ = 1, 40 do k = k .. k end").exec().unwrap_err().to_string();
        assert!(error.contains("longer than 1 MB"), "{error}");
    }
}
