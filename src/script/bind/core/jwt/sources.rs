//! Which keys a token may be verified with, and whether it is believed.

use std::cell::OnceCell;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use mlua::Function;
use mlua::Lua;
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
use crate::script::bind::declared::Declared;
use crate::script::bind::declared::text;
use crate::script::bind::json;
use crate::script::bind::jwks;
use crate::script::bind::text::Text;
use crate::script::context::Context;
use crate::script::live::Ask;
use crate::script::live::KeySet;
use crate::script::live::Source as Address;

/// Where keys come from.
pub(super) enum Source {
    /// Known while loading.
    Fixed(Rc<Vec<Key>>),
    /// Fetched; for tokens of this issuer only, where one is named.
    Remote(Remote),
    /// `function(claims, header)` says it.
    Asked { gives: Gives, function: Function },
}

/// What a function for keys returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    /// The secret.
    Secret,
    /// The key as text.
    Key,
    /// Where the keys are.
    Address { discovery: bool },
}

/// A key set that others fetch.
pub(super) struct Remote {
    pub(super) issuer: Option<String>,
    pub(super) address: Address,
    set: OnceCell<Arc<KeySet>>,
    /// Nobody keeps it fresh: whoever asks does.
    loose: bool,
}

/// All sources of one step.
pub(super) struct Sources {
    list: Vec<Source>,
    /// What functions returned, as keys.
    made: RefCell<Made>,
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
    /// It is of another issuer.
    Other,
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

impl Source {
    pub(super) fn fixed(keys: Vec<Key>) -> Self {
        Self::Fixed(Rc::new(keys))
    }
}

impl Remote {
    /// A set that the file declares, for tokens of `issuer` where one is named.
    pub(super) fn new(issuer: Option<String>, address: Address) -> Self {
        Self { issuer, address, set: OnceCell::new(), loose: false }
    }

    /// A set that is named while requests run; one that the file declares as well is that one.
    pub(super) fn named(lua: &Lua, address: Address) -> Self {
        let loose = !Declared::of(lua).keeps(&address);
        Self { loose, ..Self::new(None, address) }
    }

    fn set(&self, context: &Context) -> Option<&Arc<KeySet>> {
        if self.loose {
            return Some(self.set.get_or_init(|| context.live().ring().set(&self.address)));
        }
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
            let base = jwks::issuer(&self.address.address);
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
        let claims = OnceCell::new();
        // Read when they are needed: what is signed wrongly is not worth it.
        let said = || match claims.get() {
            Some(read) => Ok(read),
            None => token.claims().map(|read| claims.get_or_init(|| read)),
        };
        let mut why = Refused::Token(Fault::Claim("`iss` is not an issuer whose tokens are taken".to_owned()));
        for source in &self.list {
            let tried = match source {
                Source::Fixed(keys) => jwt::verify(&token, keys.iter(), &rules.algorithms).map_err(Refused::Token),
                Source::Asked { gives, function } => {
                    let value = asked(lua, function, said()?, &token).map_err(Refused::Script)?;
                    match (gives, value) {
                        (_, Value::Nil) => Err(Fault::UnknownKey(token.header().kid.clone()).into()),
                        (Gives::Address { discovery }, value) => {
                            let address = options::address(&value, *discovery).map_err(Refused::Script)?;
                            let remote = Remote::named(lua, address);
                            self.remote(&context, &remote, &token, issuer(said()?), rules, last)
                        }
                        (gives, value) => {
                            let keys = self.made(lua, value, *gives == Gives::Secret).map_err(Refused::Script)?;
                            jwt::verify(&token, keys.iter(), &rules.algorithms).map_err(Refused::Token)
                        }
                    }
                }
                Source::Remote(remote) => self.remote(&context, remote, &token, issuer(said()?), rules, last),
            };
            match tried {
                Ok(()) => {
                    let until = rules.check(token.header(), said()?, context.unix())?;
                    return Ok((claims.into_inner().unwrap_or_default(), until));
                }
                Err(Refused::Other) => {}
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
        context: &Rc<Context>,
        remote: &Remote,
        token: &Token<'_>,
        issuer: Option<&str>,
        rules: &Rules,
        last: bool,
    ) -> Result<(), Refused> {
        let set = remote.set(context).ok_or(Refused::NoKeys)?;
        if !remote.is_of(set, issuer) {
            return Err(Refused::Other);
        }
        let look = || if remote.loose { jwks::look(context, set).map_err(Refused::Script) } else { Ok(()) };
        look()?;
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
                look()?;
                *self.pending.borrow_mut() = Some(Missing { set: Arc::clone(set), kid, turns });
                Err(Refused::Fetch)
            }
            Ask::Unknown => Err(fault.into()),
            Ask::Nothing => Err(Refused::NoKeys),
        }
    }

    /// What a function returned as keys; the same text is not read again.
    fn made(&self, lua: &Lua, value: Value, secret: bool) -> mlua::Result<Rc<Vec<Key>>> {
        self.made.borrow_mut().keys(&lua.unpack(value)?, secret).map_err(mlua::Error::runtime)
    }
}

fn issuer(claims: &Map<String, Json>) -> Option<&str> {
    claims.get("iss").and_then(Json::as_str)
}

/// What a function says of the keys of a token.
fn asked(lua: &Lua, function: &Function, claims: &Map<String, Json>, token: &Token<'_>) -> mlua::Result<Value> {
    let claims = json::from_json(lua, &Json::Object(claims.clone()))?;
    let header = json::from_json(lua, &Json::Object(token.header().members.clone()))?;
    let still = Context::of(lua).still("a function for keys");
    let value = function.call((claims, header));
    drop(still);
    value
}

/// Texts that were read as keys.
#[derive(Default)]
pub(super) struct Made(Lru<Rc<Vec<Key>>>);

impl Made {
    /// The keys that `text` is.
    pub(super) fn keys(&mut self, text: &Text, secret: bool) -> Result<Rc<Vec<Key>>, String> {
        let name = options::name_of(text);
        if let Some(known) = self.0.get(&name) {
            return Ok(Rc::clone(known));
        }
        let keys = Rc::new(options::keys(text, secret)?);
        self.0.insert(&name, Rc::clone(&keys));
        if self.0.len() > MOST_MADE {
            self.0.pop_oldest();
        }
        Ok(keys)
    }
}

/// Most of them kept.
const MOST_MADE: usize = 256;
