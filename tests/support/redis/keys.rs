//! Keys with expiry, the commands on them, and scripts that use them.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use mlua::Lua;
use mlua::Value;
use mlua::Variadic;

use super::resp::Reply;

/// Everything the server knows.
#[derive(Default)]
pub(super) struct Keys {
    held: BTreeMap<Vec<u8>, (Vec<u8>, Option<Duration>)>,
    scripts: HashMap<Vec<u8>, Vec<u8>>,
    ahead: Duration,
}

/// A machine for scripts.
pub(super) fn machine() -> Lua {
    Lua::new()
}

impl Keys {
    pub(super) fn advance(&mut self, by: Duration) {
        self.ahead += by;
    }

    fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + self.ahead
    }

    pub(super) fn names(&self) -> Vec<String> {
        let now = self.now();
        let live = self.held.iter().filter(|(_, (_, due))| due.is_none_or(|due| due > now));
        live.map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect()
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let (value, due) = self.held.get(key)?;
        due.is_none_or(|due| due > self.now()).then(|| value.clone())
    }

    pub(super) fn set(&mut self, key: &[u8], value: &[u8], millis: Option<u64>) {
        let due = millis.map(|millis| self.now() + Duration::from_millis(millis));
        self.held.insert(key.to_vec(), (value.to_vec(), due));
    }

    /// One command.
    pub(super) fn call(&mut self, lua: &Lua, name: &str, words: &[Vec<u8>]) -> Reply {
        let word = |at: usize| words.get(at).map(Vec::as_slice).unwrap_or_default();
        let number = |at: usize| std::str::from_utf8(word(at)).ok().and_then(|word| word.parse::<i64>().ok());
        match name {
            "TIME" => {
                let now = self.now();
                let part = |number: u64| Reply::Bulk(number.to_string().into_bytes());
                Reply::Array(vec![part(now.as_secs()), part(now.subsec_micros().into())])
            }
            "GET" => self.get(word(0)).map_or(Reply::Nil, Reply::Bulk),
            "SET" => {
                let millis = words.get(2).filter(|word| word.eq_ignore_ascii_case(b"PX")).and_then(|_| number(3));
                if words.len() > 2 && millis.is_none_or(|millis| millis <= 0) {
                    return Reply::Error("ERR syntax error".into());
                }
                self.set(word(0), word(1), millis.map(i64::unsigned_abs));
                Reply::Status("OK")
            }
            "DEL" => {
                let lived = self.get(word(0)).is_some();
                self.held.remove(word(0));
                Reply::Int(lived.into())
            }
            "PEXPIRE" => {
                let value = self.get(word(0));
                value.inspect(|value| self.set(word(0), value, number(1).map(i64::unsigned_abs)));
                Reply::Int(1)
            }
            "INCRBY" => match (self.integer(word(0)), number(1)) {
                (Some(old), Some(by)) => self.keep(word(0), (old + by).to_string()),
                _ => Reply::Error("ERR value is not an integer or out of range".into()),
            },
            "INCRBYFLOAT" => {
                let float = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<f64>().ok());
                let old = self.get(word(0)).map_or(Some(0.0), |old| float(&old));
                match (old, float(word(1))) {
                    (Some(old), Some(by)) => self.keep(word(0), (old + by).to_string()),
                    _ => Reply::Error("ERR value is not a valid float".into()),
                }
            }
            "SCAN" => self.scan(number(0).unwrap_or(0), word(2)),
            "EVAL" => {
                self.scripts.insert(digest(word(0)), word(0).to_vec());
                self.run(lua, word(0), &words[1..])
            }
            "EVALSHA" => match self.scripts.get(word(0)).cloned() {
                Some(script) => self.run(lua, &script, &words[1..]),
                None => Reply::Error("NOSCRIPT No matching script. Please use EVAL.".into()),
            },
            other => Reply::Error(format!("ERR unknown command `{other}`")),
        }
    }

    fn integer(&self, key: &[u8]) -> Option<i64> {
        self.get(key).map_or(Some(0), |old| String::from_utf8(old).ok()?.parse().ok())
    }

    /// A new value with the expiry of the old one.
    fn keep(&mut self, key: &[u8], value: String) -> Reply {
        let due = self.get(key).and_then(|_| self.held.get(key)).and_then(|(_, due)| *due);
        self.held.insert(key.to_vec(), (value.clone().into_bytes(), due));
        Reply::Bulk(value.into_bytes())
    }

    /// Three keys a page; patterns are a prefix with escapes and a star.
    fn scan(&self, cursor: i64, pattern: &[u8]) -> Reply {
        let (mut prefix, mut escaped) = (Vec::new(), false);
        for &byte in pattern.strip_suffix(b"*").unwrap_or(pattern) {
            escaped = byte == b'\\' && !escaped;
            if !escaped {
                prefix.push(byte);
            }
        }
        let names: Vec<_> = self.held.keys().filter(|key| self.get(key).is_some()).collect();
        let from = usize::try_from(cursor).unwrap();
        let page = names.iter().skip(from).take(3).filter(|key| key.starts_with(&prefix));
        let page = page.map(|key| Reply::Bulk(key.to_vec())).collect();
        let next = if from + 3 < names.len() { from + 3 } else { 0 };
        Reply::Array(vec![Reply::Bulk(next.to_string().into_bytes()), Reply::Array(page)])
    }

    /// Runs a script: how many keys, keys, arguments.
    fn run(&mut self, lua: &Lua, script: &[u8], words: &[Vec<u8>]) -> Reply {
        let count: usize = String::from_utf8_lossy(&words[0]).parse().unwrap();
        let (keys, arguments) = words[1..].split_at(count);
        let texts =
            |words: &[Vec<u8>]| lua.create_sequence_from(words.iter().map(|word| lua.create_string(word).unwrap()));
        let cell = std::cell::RefCell::new(self);
        let done = lua.scope(|scope| {
            let redis = lua.create_table()?;
            let call = scope.create_function(|lua, words: Variadic<mlua::LuaString>| {
                let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
                let name = String::from_utf8_lossy(&words[0]).to_ascii_uppercase();
                to_lua(lua, cell.borrow_mut().call(lua, &name, &words[1..]))
            })?;
            redis.set("call", call)?;
            let globals = lua.globals();
            globals.set("redis", redis)?;
            globals.set("KEYS", texts(keys)?)?;
            globals.set("ARGV", texts(arguments)?)?;
            compiled(lua, script)?.call::<Value>(()).map(from_lua)
        });
        done.unwrap_or_else(|error| Reply::Error(format!("ERR {}", error.to_string().replace(['\r', '\n'], " "))))
    }
}

/// A script is compiled once a connection.
fn compiled(lua: &Lua, script: &[u8]) -> mlua::Result<mlua::Function> {
    let name = String::from_utf8_lossy(&digest(script)).into_owned();
    if let Ok(known) = lua.named_registry_value(&name) {
        return Ok(known);
    }
    let made = lua.load(script).set_name("=script").into_function()?;
    lua.set_named_registry_value(&name, &made)?;
    Ok(made)
}

fn to_lua(lua: &Lua, reply: Reply) -> mlua::Result<Value> {
    Ok(match reply {
        Reply::Int(number) => Value::Number(number as f64),
        Reply::Bulk(bytes) => Value::String(lua.create_string(bytes)?),
        Reply::Nil => Value::Boolean(false),
        Reply::Array(items) => {
            let items = items.into_iter().map(|item| to_lua(lua, item)).collect::<mlua::Result<Vec<_>>>()?;
            Value::Table(lua.create_sequence_from(items)?)
        }
        Reply::Error(text) => return Err(mlua::Error::runtime(text)),
        _ => Value::Table(lua.create_table_from([("ok", "OK")])?),
    })
}

fn from_lua(value: Value) -> Reply {
    match value {
        Value::Integer(number) => Reply::Int(number),
        Value::Number(number) => Reply::Int(number as i64),
        Value::String(text) => Reply::Bulk(text.as_bytes().to_vec()),
        Value::Boolean(true) => Reply::Int(1),
        Value::Table(table) => Reply::Array(table.sequence_values().map(|item| from_lua(item.unwrap())).collect()),
        _ => Reply::Nil,
    }
}

/// The digest that scripts are called by, as the gateway's own `hash.sha1` has it.
fn digest(text: &[u8]) -> Vec<u8> {
    let digest = moongate::primitive::digest::Hash::Sha1.digest(text);
    moongate::primitive::codec::hex_encode(digest).into_bytes()
}
