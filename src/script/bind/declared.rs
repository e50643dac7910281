//! Live objects that a file declares (`store`, `limiter`, `metrics`), by identity.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use mlua::Function;
use mlua::Lua;
use serde::de::DeserializeOwned;

use crate::script::context::Context;
use crate::script::declare::Session;
use crate::script::declare::here;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Spot;
use crate::script::driver::fault;
use crate::script::live::KeySet;
use crate::script::live::STORE;
use crate::script::live::Source;
use crate::script::offline;
use crate::store;

/// The declarations of one machine.
#[derive(Default)]
pub(crate) struct Declared {
    /// Identity and configuration; `None` while only a reference was seen.
    objects: RefCell<BTreeMap<String, Option<String>>>,
    subscribers: RefCell<Vec<Rc<Subscriber>>>,
    keys: RefCell<Vec<Source>>,
}

/// `store:subscribe(channel, fn)`
pub(crate) struct Subscriber {
    /// The store's name.
    pub(crate) store: String,
    /// What it listens to.
    pub(crate) channel: String,
    /// What runs in the control machine.
    pub(crate) function: Function,
}

impl Declared {
    /// The declarations of the machine that `lua` belongs to.
    pub(crate) fn of(lua: &Lua) -> Rc<Self> {
        let declared = lua.app_data_ref::<Rc<Self>>().expect("every machine with words has it");
        Rc::clone(&declared)
    }

    /// Made once, with the machine: app data cannot be added while any of it is looked at.
    pub(super) fn install(lua: &Lua) {
        lua.set_app_data(Rc::new(Self::default()));
    }

    /// Functions that hear a store's messages.
    pub(crate) fn subscribers(&self) -> Vec<Rc<Subscriber>> {
        self.subscribers.borrow().clone()
    }

    /// Notes a function that hears a store's messages.
    pub(crate) fn subscribe(lua: &Lua, store: &str, channel: String, function: Function) -> mlua::Result<()> {
        if !Context::of(lua).loading() {
            return Err(mlua::Error::runtime("`subscribe` stands at the top level of the file, not in a function"));
        }
        let subscriber = Rc::new(Subscriber { store: store.to_owned(), channel, function });
        Self::of(lua).subscribers.borrow_mut().push(subscriber);
        Ok(())
    }

    /// Whether somebody must hear messages or keep keys fresh, once per gateway.
    pub(crate) fn runs_beside(&self) -> bool {
        !self.subscribers.borrow().is_empty() || !self.keys.borrow().is_empty()
    }

    /// Key sets that somebody must keep fresh.
    pub(crate) fn keys(&self) -> Vec<Source> {
        self.keys.borrow().clone()
    }

    /// Whether somebody keeps this one fresh.
    pub(crate) fn keeps(&self, source: &Source) -> bool {
        self.keys.borrow().contains(source)
    }

    /// Notes a key set: what shares an address shares the keys.
    pub(crate) fn key_set(lua: &Lua, word: &str, source: &Source) -> mlua::Result<()> {
        Session::of(lua, word)?.object(source.identity(), text(source));
        let context = Context::of(lua);
        if context.offline().is_some()
            && let Some(set) = context.live().object::<KeySet>(&source.identity(), &text(source))
        {
            // Nothing is fetched: the keys are those that a test signs with.
            set.found(offline::public(), None, FOR_EVER, context.clock().now());
        }
        let declared = Self::of(lua);
        let mut keys = declared.keys.borrow_mut();
        if !keys.contains(source) {
            keys.push(source.clone());
        }
        Ok(())
    }

    /// Notes an object without configuration: it is there, be it declared here or by another line.
    pub(crate) fn mention(lua: &Lua, word: &str, name: &str) -> mlua::Result<()> {
        let (declared, identity) = (Self::of(lua), format!("{word}:{name}"));
        let known = declared.objects.borrow().contains_key(&identity);
        if !known && !Context::of(lua).loading() {
            let message = format!("no {word} `{name}` is declared; declare it at the top level of the file");
            return Err(mlua::Error::runtime(message));
        }
        if !known {
            let text = if identity.starts_with(STORE) { text(&store::Config::default()) } else { String::new() };
            Session::of(lua, word)?.object(identity.clone(), text);
            declared.objects.borrow_mut().insert(identity, None);
        }
        Ok(())
    }

    /// Notes an object with its configuration.
    pub(crate) fn declare(lua: &Lua, word: &str, name: &str, config: String) -> mlua::Result<()> {
        if !Context::of(lua).loading() {
            let message = format!("{word} `{name}` is declared at the top level of the file, not in a function");
            return Err(mlua::Error::runtime(message));
        }
        let declared = Self::of(lua);
        let (mut objects, identity) = (declared.objects.borrow_mut(), format!("{word}:{name}"));
        let known = objects.entry(identity.clone()).or_default();
        if known.as_ref().is_some_and(|known| *known != config) {
            return Err(mlua::Error::runtime(format!("{word} `{name}` is declared twice, with different options")));
        }
        Session::of(lua, word)?.object(identity, config.clone());
        *known = Some(config);
        Ok(())
    }

    /// A mistake in a declaration: while loading it is told with the others, and the load reads on.
    pub(crate) fn told(lua: &Lua, word: &str, name: &str, declared: mlua::Result<()>) -> mlua::Result<()> {
        let Err(error) = declared else { return Ok(()) };
        if !Context::of(lua).loading() {
            return Err(error);
        }
        let anchor = Anchor { spot: Spot::Subject, ..here(lua, word, Some(name)) };
        Session::of(lua, word)?.fault(anchor, fault::message(&error), "", "");
        Ok(())
    }

    /// The configuration of an object, when it has one.
    pub(crate) fn config<C: DeserializeOwned>(&self, identity: &str) -> Option<C> {
        let objects = self.objects.borrow();
        objects.get(identity)?.as_ref().and_then(|text| serde_json::from_str(text).ok())
    }
}

/// A configuration as the plan keeps it: equal text is an unchanged object.
pub(crate) fn text(config: &impl serde::Serialize) -> String {
    serde_json::to_string(config).expect("a configuration is plain data with names for keys")
}

/// Refuses the use of a live object while the file loads: loading must be quick and repeatable.
pub(crate) fn running(lua: &Lua, what: &str) -> mlua::Result<Rc<Context>> {
    let context = Context::of(lua);
    if context.loading() {
        return Err(mlua::Error::runtime(format!("{what} cannot be used while the file loads")));
    }
    Ok(context)
}

/// A name of a store, limiter or metric.
pub(crate) fn named(word: &str, name: &str) -> mlua::Result<()> {
    if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
        return Err(mlua::Error::runtime(format!("{word}: a name of 1 to 128 characters expected, got `{name}`")));
    }
    Ok(())
}

/// Keys of a gateway without sockets are not fetched again.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
