//! What a decoded table remembers of its JSON form: that it was a list, or in which order its names stood.

use std::cell::RefCell;
use std::collections::HashMap;

use mlua::Lua;
use mlua::LuaString;
use mlua::Table;

/// The frozen metatables of one machine: one for lists, one for each order of names met lately.
pub(super) struct Shapes {
    list: Table,
    orders: RefCell<HashMap<Box<[u8]>, Table>>,
}

impl Shapes {
    /// Made once, with the machine: app data cannot be added while any of it is looked at.
    pub(super) fn install(lua: &Lua) -> mlua::Result<()> {
        let list = lua.create_table()?;
        list.raw_set(LIST, true)?;
        list.set_readonly(true);
        lua.set_app_data(Self { list, orders: RefCell::default() });
        Ok(())
    }

    /// Runs `work` with the machine's shapes.
    pub(super) fn with<R>(lua: &Lua, work: impl FnOnce(&Self) -> mlua::Result<R>) -> mlua::Result<R> {
        let shapes = lua.app_data_ref::<Self>().ok_or_else(|| mlua::Error::runtime("the machine is closing"))?;
        work(&shapes)
    }

    /// The metatable of lists.
    pub(super) fn list(&self) -> Table {
        self.list.clone()
    }

    /// The metatable of objects whose names stand in this order. `joined` is each name followed by [`END`].
    pub(super) fn order(&self, lua: &Lua, joined: &[u8], names: &[LuaString]) -> mlua::Result<Table> {
        if let Some(known) = self.orders.borrow().get(joined) {
            return Ok(known.clone());
        }
        let made = lua.create_table_with_capacity(0, 1)?;
        let order = lua.create_sequence_from(names)?;
        order.set_readonly(true);
        made.raw_set(ORDER, order)?;
        made.set_readonly(true);
        if joined.len() <= LONGEST {
            let mut orders = self.orders.borrow_mut();
            if orders.len() >= MOST {
                orders.clear();
            }
            orders.insert(joined.into(), made.clone());
        }
        Ok(made)
    }
}

/// What `table` remembers of its form.
pub(super) enum Form {
    /// Nothing: a table a script made.
    Free,
    /// A list, be it empty.
    List,
    /// An object with its names in this order.
    Object(Table),
}

impl Form {
    /// The form of `table`.
    pub(super) fn of(table: &Table) -> mlua::Result<Self> {
        let Some(meta) = table.metatable() else { return Ok(Self::Free) };
        if meta.raw_get::<Option<bool>>(LIST)? == Some(true) {
            return Ok(Self::List);
        }
        Ok(meta.raw_get::<Option<Table>>(ORDER)?.map_or(Self::Free, Self::Object))
    }
}

/// Makes `table` a list.
pub(super) fn mark(lua: &Lua, table: &Table) -> mlua::Result<()> {
    Shapes::with(lua, |shapes| table.set_metatable(Some(shapes.list())))
}

/// Ends each name in the key of an order; no name holds it, since names are UTF-8.
pub(super) const END: u8 = 0xff;

const LIST: &str = "json.list";
const ORDER: &str = "json.order";

/// Orders kept for the next body of the same form.
const MOST: usize = 512;
/// Longer orders are not kept.
const LONGEST: usize = 2048;
