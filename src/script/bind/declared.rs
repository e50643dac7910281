//! What a file declares by words of this module: live objects by identity, and functions of the control machine.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use serde::de::DeserializeOwned;

use crate::plan::Place;
use crate::script::context::Context;
use crate::script::live::STORE;
use crate::store;

/// The declarations of one machine.
#[derive(Default)]
pub(crate) struct Declared {
    /// Identity and configuration; `None` while only a reference was seen.
    objects: RefCell<BTreeMap<String, Option<String>>>,
    tasks: RefCell<Vec<Rc<Task>>>,
}

/// A function that the control machine runs.
pub(crate) struct Task {
    /// `every`, `after`, `on` or `subscribe`.
    pub(crate) word: &'static str,
    /// The duration or the event's name, as written.
    pub(crate) argument: String,
    /// Tells it from others across reloads.
    pub(crate) identity: String,
    /// What runs.
    pub(crate) function: Function,
    /// Where it stands.
    pub(crate) place: Place,
}

impl Declared {
    /// The declarations of the machine that `lua` belongs to.
    pub(crate) fn of(lua: &Lua) -> Rc<Self> {
        if let Some(declared) = lua.app_data_ref::<Rc<Self>>() {
            return Rc::clone(&declared);
        }
        let declared = Rc::new(Self::default());
        lua.set_app_data(Rc::clone(&declared));
        declared
    }

    /// The live objects, for the plan.
    pub(crate) fn objects(&self) -> BTreeMap<String, String> {
        let objects = self.objects.borrow();
        let text = |identity: &str, config: &Option<String>| match config {
            Some(config) => config.clone(),
            None if identity.starts_with(STORE) => {
                serde_json::to_string(&store::Config::default()).expect("a plain structure has a JSON form")
            }
            None => String::new(),
        };
        objects.iter().map(|(identity, config)| (identity.clone(), text(identity, config))).collect()
    }

    /// `every`, `after`, `on`, `subscribe`: word, argument, place, for the plan.
    pub(crate) fn timers(&self) -> Vec<(String, String, Place)> {
        let tasks = self.tasks.borrow();
        tasks.iter().map(|task| (task.word.to_owned(), task.argument.replace('\n', " "), task.place.clone())).collect()
    }

    /// The functions of the control machine.
    pub(crate) fn tasks(&self) -> Vec<Rc<Task>> {
        self.tasks.borrow().clone()
    }

    /// Notes a function; its identity is the file, the word, the argument and how many alike came before.
    pub(crate) fn task(lua: &Lua, word: &'static str, argument: String, function: Function) -> mlua::Result<Rc<Task>> {
        if !Context::of(lua).loading() {
            return Err(mlua::Error::runtime(format!(
                "`{word}` stands at the top level of the file, not in a function"
            )));
        }
        let declared = Self::of(lua);
        let place = place(lua);
        let mut tasks = declared.tasks.borrow_mut();
        let alike = |task: &&Rc<Task>| task.word == word && task.argument == argument && task.place.0 == place.0;
        let identity = format!("{word}:{}:{argument}:{}", place.0, tasks.iter().filter(alike).count());
        if word == "every" {
            declared.objects.borrow_mut().insert(identity.clone(), Some(String::new()));
        }
        let task = Rc::new(Task { word, argument, identity, function, place });
        tasks.push(Rc::clone(&task));
        Ok(task)
    }

    /// Notes an object without configuration: it is there, be it declared here or by another line.
    pub(crate) fn mention(lua: &Lua, word: &str, name: &str) -> mlua::Result<()> {
        let (declared, identity) = (Self::of(lua), format!("{word}:{name}"));
        if !Context::of(lua).loading() && !declared.objects.borrow().contains_key(&identity) {
            let message = format!("no {word} `{name}` is declared; declare it at the top level of the file");
            return Err(mlua::Error::runtime(message));
        }
        declared.objects.borrow_mut().entry(identity).or_default();
        Ok(())
    }

    /// Notes an object with its configuration.
    pub(crate) fn declare(lua: &Lua, word: &str, name: &str, config: String) -> mlua::Result<()> {
        if !Context::of(lua).loading() {
            let message = format!("{word} `{name}` is declared at the top level of the file, not in a function");
            return Err(mlua::Error::runtime(message));
        }
        let declared = Self::of(lua);
        let mut objects = declared.objects.borrow_mut();
        let known = objects.entry(format!("{word}:{name}")).or_default();
        if known.as_ref().is_some_and(|known| *known != config) {
            return Err(mlua::Error::runtime(format!("{word} `{name}` is declared twice, with different options")));
        }
        *known = Some(config);
        Ok(())
    }

    /// The configuration of an object, when it has one.
    pub(crate) fn config<C: DeserializeOwned>(&self, identity: &str) -> Option<C> {
        let objects = self.objects.borrow();
        objects.get(identity)?.as_ref().and_then(|text| serde_json::from_str(text).ok())
    }
}

/// File and line of the innermost frame that stands in a file of the script.
pub(crate) fn place(lua: &Lua) -> Place {
    for level in 0..64 {
        let found = lua.inspect_stack(level, |frame| {
            let file = frame.source().source?.strip_prefix('@')?.to_owned();
            Some((file, u32::try_from(frame.current_line()?).ok()?))
        });
        match found {
            Some(Some(place)) => return place,
            Some(None) => {}
            None => break,
        }
    }
    Place::default()
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
