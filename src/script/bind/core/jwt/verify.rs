//! Which keys a token may be verified with, and whether it is believed.

use std::cell::OnceCell;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::Function;
use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;
use serde_json::Map;
use serde_json::Value as Json;
use tokio::sync::watch;

use super::options;
use crate::clock::Moment;
use crate::lru::Lru;
use crate::primitive::jwt;
use crate::primitive::jwt::Fault;
use crate::primitive::jwt::Key;
use crate::primitive::jwt::Rules;
use crate::primitive::jwt::Token;
use crate::script::bind;
use crate::script::bind::declared::text;
use crate::script::bind::json;
use crate::script::bind::text::Text;
use crate::script::context::Context;
use crate::script::live::Ask;
use crate::script::live::KeySet;
use crate::script::live::Source as Address;

/// Where keys come from.
pub(super) enum Source {
    /// Known while loading.
    Fixed(Vec<Key>),
    /// Fetched; for tokens of this issuer only, where one is named.
    Remote(Remote),
    /// `function(claims, header)` returns the secret, or the key as text.
    Asked { secret: bool, function: Function },
}

/// A key set that others fetch.
pub(super) struct Remote {
    pub(super) issuer: Option<String>,
    pub(super) address: Address,
    set: OnceCell<Arc<KeySet>>,
}

/// All sources of one step.
pub(super) struct Sources {
    list: Vec<Source>,
    /// What functions returned, as keys.
    made: RefCell<Lru<Rc<Vec<Key>>>>,
    /// The fetch that the request at hand must wait for.
    pending: RefCell<Option<Missing>>,
}

/// Keys that are being fetched.
pub(super) struct Missing {
    set: Arc<KeySet>,
    kid: Option<String>,
    pub(super) turns: watch::Receiver<u64>,
}

/// Why a token does not pass.
pub(super) enum Refused {
    /// Its keys are being fetched.
    Fetch,
    /// There have never been keys.
    NoKeys,
    /// It is not believed.
    Token(Fault),
    /// A function of the script failed.
    Script(mlua::Error),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Token(fault)
    }
}

impl Missing {
    /// The fetch has ended: whoever comes with the same id need not wait.
    pub(super) fn note(&self, now: Moment) {
        if self.set.keys().iter().all(|key| key.id() != self.kid.as_deref()) {
            self.set.miss(self.kid.as_deref(), now);
        }
    }
}

impl Remote {
    pub(super) fn new(issuer: Option<String>, address: Address) -> Self {
        Self { issuer, address, set: OnceCell::new() }
    }

    fn set(&self, context: &Context) -> Option<&Arc<KeySet>> {
        if self.set.get().is_none() {
            let found = context.live().object::<KeySet>(&self.address.identity(), &text(&self.address))?;
            let _ = self.set.set(found);
        }
        self.set.get()
    }

    /// Whether it is for tokens of `issuer`.
    fn is_of(&self, set: &KeySet, issuer: Option<&str>) -> bool {
        if let Some(found) = set.issuer() {
            return issuer == Some(found.as_str());
        }
        if self.address.discovery {
            let base = self.address.address.trim_end_matches("/.well-known/openid-configuration");
            return issuer.is_some_and(|issuer| issuer.trim_end_matches('/') == base.trim_end_matches('/'));
        }
        self.issuer.is_none() || self.issuer.as_deref() == issuer
    }
}

impl Sources {
    pub(super) fn new(list: Vec<Source>) -> Self {
        Self { list, made: RefCell::default(), pending: RefCell::default() }
    }

    /// Whether what was verified may be remembered: not where a function has the last word.
    pub(super) fn may_remember(&self) -> bool {
        !self.list.iter().any(|source| matches!(source, Source::Asked { .. }))
    }

    /// Another number whenever any key changed.
    pub(super) fn version(&self) -> u64 {
        self.list.iter().fold(0, |sum, source| match source {
            Source::Remote(remote) => sum.wrapping_add(remote.set.get().map_or(0, |set| set.version())),
            _ => sum,
        })
    }

    /// The fetch that the last [`Refused::Fetch`] was about.
    pub(super) fn missing(&self) -> Option<Missing> {
        self.pending.take()
    }

    /// The claims of `text`, if they may be believed, and until when.
    pub(super) fn verify(
        &self,
        lua: &Lua,
        text: &str,
        rules: &Rules,
        last: bool,
    ) -> Result<(Map<String, Json>, f64), Refused> {
        let context = Context::of(lua);
        let token = Token::parse(text)?;
        let claims = token.claims()?;
        let issuer = claims.get("iss").and_then(Json::as_str);
        let mut why = Refused::Token(Fault::Claim("`iss` is not an issuer whose tokens are taken".to_owned()));
        for source in &self.list {
            let tried = match source {
                Source::Fixed(keys) => jwt::verify(&token, keys, &rules.algorithms).map_err(Refused::Token),
                Source::Asked { secret, function } => {
                    let keys = self.ask(lua, *secret, function, &claims, &token)?;
                    jwt::verify(&token, keys.iter(), &rules.algorithms).map_err(Refused::Token)
                }
                Source::Remote(remote) => {
                    let Some(set) = remote.set(&context) else { return Err(Refused::NoKeys) };
                    if !remote.is_of(set, issuer) {
                        continue;
                    }
                    self.remote(&context, set, &token, rules, last)
                }
            };
            match tried {
                Ok(()) => {
                    let until = rules.check(token.header(), &claims, context.unix())?;
                    return Ok((claims, until));
                }
                Err(Refused::Fetch) => return Err(Refused::Fetch),
                // Of several sources, one that knows the key says more than one that does not.
                Err(Refused::Token(Fault::UnknownKey(_))) if matches!(&why, Refused::Token(Fault::Signature)) => {}
                Err(refused) => why = refused,
            }
        }
        Err(why)
    }

    fn remote(
        &self,
        context: &Context,
        set: &Arc<KeySet>,
        token: &Token<'_>,
        rules: &Rules,
        last: bool,
    ) -> Result<(), Refused> {
        let keys = set.keys();
        let fault = match jwt::verify(token, keys.iter(), &rules.algorithms) {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
        if !matches!(fault, Fault::UnknownKey(_)) {
            return Err(fault.into());
        }
        if last {
            return Err(if keys.is_empty() { Refused::NoKeys } else { fault.into() });
        }
        let kid = token.header().kid.clone();
        match set.ask(kid.as_deref(), context.clock().now()) {
            Ask::Wait(turns) => {
                *self.pending.borrow_mut() = Some(Missing { set: Arc::clone(set), kid, turns });
                Err(Refused::Fetch)
            }
            Ask::Unknown => Err(fault.into()),
            Ask::Nothing => Err(Refused::NoKeys),
        }
    }

    /// Asks a function for the key; what it returned before is not read again.
    fn ask(
        &self,
        lua: &Lua,
        secret: bool,
        function: &Function,
        claims: &Map<String, Json>,
        token: &Token<'_>,
    ) -> Result<Rc<Vec<Key>>, Refused> {
        let asked = || -> mlua::Result<Value> {
            let claims = json::from_json(lua, &Json::Object(claims.clone()))?;
            let header = json::from_json(lua, &Json::Object(token.header().members.clone()))?;
            let still = Context::of(lua).still("a function for keys");
            let value = function.call((claims, header));
            drop(still);
            value
        };
        let value = asked().map_err(Refused::Script)?;
        if value.is_nil() {
            return Ok(Rc::new(Vec::new()));
        }
        let text: Text = lua.unpack(value).map_err(Refused::Script)?;
        let name = options::name_of(&text);
        if let Some(known) = self.made.borrow_mut().get(&name) {
            return Ok(Rc::clone(known));
        }
        let keys = options::keys(&text, secret).map_err(|fault| Refused::Script(mlua::Error::runtime(fault)))?;
        let keys = Rc::new(keys);
        let mut made = self.made.borrow_mut();
        made.insert(&name, Rc::clone(&keys));
        if made.len() > MOST_MADE {
            made.pop_oldest();
        }
        Ok(keys)
    }
}

/// `jwt.verify(token, { secret =, key =, … })`: the claims, or nil and why not.
pub(super) fn function(lua: &Lua) -> mlua::Result<Function> {
    let made: RefCell<Lru<Rc<Vec<Key>>>> = RefCell::default();
    bind::function(lua, "jwt.verify", move |lua, (token, table): (Text, Table)| -> mlua::Result<MultiValue> {
        let (rules, secret, text) = options::of_call(lua, &table)?;
        let name = options::name_of(&text);
        let known = made.borrow_mut().get(&name).cloned();
        let keys = match known {
            Some(keys) => keys,
            None => {
                let fault = |fault| mlua::Error::runtime(format!("jwt.verify: {fault}"));
                let keys = Rc::new(options::keys(&text, secret).map_err(fault)?);
                let mut made = made.borrow_mut();
                made.insert(&name, Rc::clone(&keys));
                if made.len() > MOST_MADE {
                    made.pop_oldest();
                }
                keys
            }
        };
        let now: Duration = Context::of(lua).unix();
        let text = token.utf8("jwt.verify: the token")?;
        let believed = || -> Result<Map<String, Json>, Fault> {
            let token = Token::parse(&text)?;
            jwt::verify(&token, keys.iter(), &rules.algorithms)?;
            let claims = token.claims()?;
            rules.check(token.header(), &claims, now)?;
            Ok(claims)
        };
        match believed() {
            Ok(claims) => json::from_json(lua, &Json::Object(claims))?.into_lua_multi(lua),
            Err(fault) => (Value::Nil, fault.to_string()).into_lua_multi(lua),
        }
    })
}

/// Keys kept of those that functions returned.
const MOST_MADE: usize = 256;
