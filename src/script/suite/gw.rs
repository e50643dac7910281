//! `gw`: the gateway under test, as a test calls it.

use std::cell::RefCell;
use std::rc::Rc;

use mlua::Lua;
use mlua::Table;
use mlua::UserData;
use mlua::UserDataMethods;
use mlua::Value;
use serde_json::Value as Json;

use super::Answered;
use super::Asked;
use super::Stage;
use super::answer;
use super::asked;
use super::mock;
use super::socket;
use super::under_way::UnderWay;
use crate::script::bind::json;
use crate::script::bind::options::duration;
use crate::script::declare::read;

/// The gateway of one test.
pub(super) struct Gw {
    pub(super) seat: Seat,
    pub(super) last: Last,
}

/// Where a test plays; left once it is over: the collector may keep longer what it called.
#[derive(Clone)]
pub(super) struct Seat(Rc<RefCell<Option<Rc<dyn Stage>>>>);

impl Seat {
    pub(super) fn new(stage: &Rc<dyn Stage>) -> Self {
        Self(Rc::new(RefCell::new(Some(Rc::clone(stage)))))
    }

    pub(super) fn stage(&self) -> mlua::Result<Rc<dyn Stage>> {
        self.0.borrow().clone().ok_or_else(|| mlua::Error::runtime("gw: its test is over"))
    }

    pub(super) fn leave(&self) {
        drop(self.0.take());
    }
}

/// The last request and its answer, for whoever must explain a failure.
#[derive(Clone, Default)]
pub(super) struct Last(Rc<RefCell<Option<(Asked, Answered)>>>);

impl Last {
    pub(super) fn note(&self, asked: Asked, answered: Answered) {
        *self.0.borrow_mut() = Some((asked, answered));
    }

    pub(super) fn take(&self) -> Option<(Asked, Answered)> {
        self.0.take()
    }
}

impl Gw {
    fn stage(&self) -> mlua::Result<Rc<dyn Stage>> {
        self.seat.stage()
    }

    fn ask(&self, lua: &Lua, method: &str, (url, options): (String, Option<Table>)) -> mlua::Result<Table> {
        let asked = asked::asked(lua, method, &url, options.as_ref())?;
        let answered = self.stage()?.ask(asked.clone()).map_err(mlua::Error::runtime)?;
        let table = answer::table(lua, &answered);
        self.last.note(asked, answered);
        table
    }

    fn start(&self, lua: &Lua, method: &str, url: &str, options: Option<&Table>) -> mlua::Result<UnderWay> {
        let asked = asked::asked(lua, method, url, options)?;
        let ticket = self.stage()?.start(asked.clone()).map_err(mlua::Error::runtime)?;
        Ok(UnderWay { seat: self.seat.clone(), last: self.last.clone(), asked, ticket, answer: Rc::default() })
    }

    fn websocket(&self, lua: &Lua, url: &str, options: Option<&Table>) -> mlua::Result<Table> {
        let mut asked = asked::asked(lua, "GET", url, options)?;
        socket::dress(&mut asked)?;
        let (answered, socket) = self.stage()?.open(asked.clone()).map_err(mlua::Error::runtime)?;
        let table = answer::table(lua, &answered)?;
        self.last.note(asked, answered);
        socket::held(lua, table, socket, &self.seat)
    }
}

impl UserData for Gw {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        for method in ["get", "head", "post", "put", "patch", "delete", "options"] {
            methods.add_method(method, move |lua, gw, args| gw.ask(lua, method, args));
        }
        methods.add_method("request", |lua, gw, (method, url, options): (String, String, Option<Table>)| {
            gw.ask(lua, &method, (url, options))
        });
        methods.add_method("start", |lua, gw, (method, url, options): (String, String, Option<Table>)| {
            gw.start(lua, &method, &url, options.as_ref())
        });
        methods.add_method("websocket", |lua, gw, (url, options): (String, Option<Table>)| {
            gw.websocket(lua, &url, options.as_ref())
        });
        methods.add_method("mock", |lua, gw, (upstream, with): (String, Value)| {
            let (stand_in, calls) = mock::stand_in(lua, &with)?;
            gw.stage()?.mock(&upstream, stand_in).map_err(mlua::Error::runtime)?;
            let table = lua.create_table()?;
            table.raw_set("calls", calls)?;
            Ok(table)
        });
        methods.add_method("down", |_, gw, (upstream, host): (String, Option<String>)| {
            gw.stage()?.down(&upstream, host.as_deref(), true).map_err(mlua::Error::runtime)
        });
        methods.add_method("up", |_, gw, (upstream, host): (String, Option<String>)| {
            gw.stage()?.down(&upstream, host.as_deref(), false).map_err(mlua::Error::runtime)
        });
        methods.add_method("advance", |_, gw, by: Value| {
            gw.stage()?.advance(duration(&by)?).map_err(mlua::Error::runtime)
        });
        methods.add_method("token", |_, gw, claims: Option<Table>| {
            let claims = claims.map_or(Ok(Json::Null), |claims| json::to_json(&Value::Table(claims)));
            let claims = match claims.map_err(|fault| mlua::Error::runtime(format!("gw:token: {fault}")))? {
                Json::Object(claims) => claims,
                Json::Null => serde_json::Map::new(),
                Json::Array(list) if list.is_empty() => serde_json::Map::new(),
                _ => return Err(mlua::Error::runtime("gw:token: claims are a table of names and values")),
            };
            gw.stage()?.token(claims).map_err(|fault| mlua::Error::runtime(format!("gw:token: {fault}")))
        });
        methods.add_method("purge", |_, gw, tag: Option<String>| Ok(gw.stage()?.purge(tag.as_deref().unwrap_or("*"))));
        methods.add_method("metric", |_, gw, (name, labels): (String, Option<Table>)| {
            let mut wanted = Vec::new();
            for (name, value) in labels.map(|labels| read::sorted(&labels)).unwrap_or_default() {
                wanted.push((name, value.to_string()?));
            }
            Ok(gw.stage()?.metric(&name, &wanted))
        });
        methods.add_method("logs", |lua, gw, ()| {
            let lines = gw.stage()?.logs().into_iter().map(|entry| {
                let table = lua.create_table()?;
                table.raw_set("level", entry.level.as_str())?;
                table.raw_set("message", entry.message)?;
                table.raw_set("fields", lua.create_table_from(entry.fields)?)?;
                Ok(table)
            });
            lines.collect::<mlua::Result<Vec<_>>>()
        });
    }
}
