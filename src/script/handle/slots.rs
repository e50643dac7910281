//! Who is behind a `req`: numbered slots with generations, and what Lua values a request keeps.

use std::any::Any;
use std::cell::Cell;
use std::cell::RefCell;
use std::ffi::c_int;
use std::ffi::c_void;
use std::rc::Rc;
use std::rc::Weak;

use mlua::LightUserData;
use mlua::Lua;
use mlua::Value;
use mlua::WeakLua;
use mlua::ffi;

use super::Held;
use crate::proxy::Exchange;

/// The slots of one machine.
pub(crate) struct Slots {
    lua: WeakLua,
    list: RefCell<Vec<Rc<Slot>>>,
    free: RefCell<Vec<usize>>,
}

/// One place for a request.
pub(super) struct Slot {
    generation: Cell<u64>,
    exchange: Cell<*const Exchange>,
    /// Registry references of values that live as long as the request; 0 is none. By [`Keep`].
    pub(super) refs: [Cell<c_int>; Keep::COUNT],
}

/// What a slot may keep.
#[derive(Clone, Copy)]
pub(super) enum Keep {
    Ctx,
    User,
    Limits,
    Key,
    Headers,
    Query,
    Cookies,
    Params,
}

impl Keep {
    const COUNT: usize = 8;
}

/// A request's place in a machine; the exchange owns it, and dropping it makes every `req` stale.
pub(super) struct Seat {
    slots: Rc<Slots>,
    index: usize,
    handle: LightUserData,
    /// What hooks keep for this request.
    kept: Vec<(usize, Rc<dyn Any>)>,
    /// Responses made for it: what nobody sent is let go with it, not when Luau collects it.
    responses: Vec<Weak<Held>>,
}

/// The low bits of a `req`, which tell it from `json.null` and other light values.
const MARK: u64 = 0b1011;
const INDEX_BITS: u64 = 20;

impl Slots {
    pub(super) fn new(lua: &Lua) -> Rc<Self> {
        Rc::new(Self { lua: lua.weak(), list: RefCell::default(), free: RefCell::default() })
    }

    /// The slots of the machine that `lua` belongs to.
    pub(crate) fn of(lua: &Lua) -> Rc<Self> {
        let slots = lua.app_data_ref::<Rc<Self>>().expect("every machine is made with slots");
        Rc::clone(&slots)
    }

    /// The handle of `exchange`, which gets a seat on first use.
    pub(crate) fn seat(self: &Rc<Self>, exchange: &Rc<Exchange>) -> LightUserData {
        let mut hooks = exchange.hooks.borrow_mut();
        if let Some(seat) = hooks.as_ref().and_then(|hooks| hooks.downcast_ref::<Seat>())
            && Rc::ptr_eq(&seat.slots, self)
        {
            return seat.handle;
        }
        let free = self.free.borrow_mut().pop();
        let Some(index) = free.or_else(|| self.grow()) else { return handle(0, 0) };
        let list = self.list.borrow();
        let slot = &list[index];
        slot.exchange.set(Rc::as_ptr(exchange));
        let handle = handle(index, slot.generation.get());
        let before = hooks.replace(Box::new(Seat {
            slots: Rc::clone(self),
            index,
            handle,
            kept: Vec::new(),
            responses: Vec::new(),
        }));
        drop((list, hooks));
        drop(before);
        handle
    }

    /// Another slot; `None` when there are more requests than a handle can tell apart: theirs is over from the start.
    fn grow(&self) -> Option<usize> {
        let mut list = self.list.borrow_mut();
        if list.len() >> INDEX_BITS != 0 {
            return None;
        }
        let slot = Slot { generation: Cell::new(1), exchange: Cell::new(std::ptr::null()), refs: Default::default() };
        list.push(Rc::new(slot));
        Some(list.len() - 1)
    }

    /// The slot that `handle` names, while its request lives.
    #[inline]
    pub(super) fn slot(&self, handle: LightUserData) -> Option<&Slot> {
        let bits = handle.0 as u64;
        if bits & 0b1111 != MARK {
            return None;
        }
        let index = (bits >> 4 & ((1 << INDEX_BITS) - 1)) as usize;
        // SAFETY: nothing is done with the list but this look-up, and a slot's memory stays where it is while the
        // machine lives: slots are never taken off the list.
        let slot = unsafe { self.list.try_borrow_unguarded().ok()?.get(index).map(Rc::as_ptr)?.as_ref()? };
        (slot.generation.get() == bits >> (4 + INDEX_BITS)).then_some(slot)
    }

    /// The exchange that `handle` names, while it lives.
    pub(crate) fn exchange(&self, handle: LightUserData) -> Option<Rc<Exchange>> {
        let exchange = self.slot(handle)?.exchange.get();
        // SAFETY: the pointer came from `Rc::as_ptr` and the exchange is alive: its seat would have cleared the slot.
        unsafe {
            Rc::increment_strong_count(exchange);
            Some(Rc::from_raw(exchange))
        }
    }

    /// A value that `exchange` keeps.
    pub(super) fn kept(self: &Rc<Self>, lua: &Lua, exchange: &Rc<Exchange>, name: &str) -> Option<Value> {
        let keep = match name {
            "ctx" => Keep::Ctx,
            "user" => Keep::User,
            "limits" => Keep::Limits,
            "key" => Keep::Key,
            _ => return None,
        };
        let handle = self.seat(exchange);
        let reference = self.slot(handle)?.refs[keep as usize].get();
        if reference == 0 {
            return None;
        }
        // SAFETY: protected by mlua; pushes one value.
        unsafe {
            let push = |state| {
                ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, reference);
            };
            lua.exec_raw((), push).ok()
        }
    }

    /// Keeps `value` for `exchange`, in place of what it kept.
    pub(super) fn keep(
        self: &Rc<Self>,
        lua: &Lua,
        exchange: &Rc<Exchange>,
        keep: Keep,
        value: Value,
    ) -> mlua::Result<()> {
        let handle = self.seat(exchange);
        let Some(slot) = self.slot(handle) else { return Ok(()) };
        let mut fresh = 0;
        if !value.is_nil() {
            // SAFETY: protected by mlua; the value stands at the top, and `lua_ref` leaves it there.
            unsafe {
                lua.exec_raw::<()>(value, |state| {
                    fresh = ffi::lua_ref(state, -1);
                    ffi::lua_settop(state, 0);
                })?;
            }
        }
        let before = slot.refs[keep as usize].replace(fresh);
        if before > 0 {
            // SAFETY: a reference that `lua_ref` gave and nobody gave back; it neither allocates nor raises.
            lua.exec_raw_lua(|raw| unsafe { ffi::lua_unref(raw.state(), before) });
        }
        Ok(())
    }

    /// What `from` keeps of its own (`ctx`, `user`, `limits`, `key`) is kept by `to` as well.
    pub(super) fn share(self: &Rc<Self>, lua: &Lua, from: &Rc<Exchange>, to: &Rc<Exchange>) -> mlua::Result<()> {
        for (name, place) in [("ctx", Keep::Ctx), ("user", Keep::User), ("limits", Keep::Limits), ("key", Keep::Key)] {
            if let Some(value) = self.kept(lua, from, name) {
                self.keep(lua, to, place, value)?;
            }
        }
        Ok(())
    }

    fn leave(&self, index: usize) {
        let Some(slot) = self.list.borrow().get(index).cloned() else { return };
        slot.exchange.set(std::ptr::null());
        slot.generation.set(slot.generation.get() + 1);
        if slot.refs.iter().any(|reference| reference.get() != 0)
            && let Some(lua) = self.lua.try_upgrade()
        {
            lua.exec_raw_lua(|raw| {
                for reference in &slot.refs {
                    let reference = reference.replace(0);
                    if reference > 0 {
                        // SAFETY: a reference that `lua_ref` gave and nobody gave back; it neither allocates nor raises.
                        unsafe { ffi::lua_unref(raw.state(), reference) };
                    }
                }
            });
        }
        self.free.borrow_mut().push(index);
    }
}

impl Slot {
    /// The exchange; the slot was found by a handle that is not stale, so it is alive.
    #[inline]
    pub(super) fn exchange(&self) -> &Exchange {
        // SAFETY: see `Slots::exchange`; the reference does not outlive the C function that asked for it, during which
        // the driver holds the exchange.
        unsafe { &*self.exchange.get() }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        for held in self.responses.drain(..).filter_map(|held| held.upgrade()) {
            drop(held.take());
        }
        self.slots.leave(self.index);
    }
}

/// Notes a response that was made for `exchange`.
pub(super) fn own(exchange: &Exchange, held: &Rc<Held>) {
    let mut hooks = exchange.hooks.borrow_mut();
    if let Some(seat) = hooks.as_mut().and_then(|hooks| hooks.downcast_mut::<Seat>()) {
        if seat.responses.len().is_power_of_two() {
            seat.responses.retain(|held| held.strong_count() > 0);
        }
        seat.responses.push(Rc::downgrade(held));
    }
}

/// See `handle::stash`.
pub(super) fn stash(exchange: &Exchange, key: usize, value: Rc<dyn Any>) {
    let mut hooks = exchange.hooks.borrow_mut();
    if let Some(seat) = hooks.as_mut().and_then(|hooks| hooks.downcast_mut::<Seat>()) {
        seat.kept.retain(|(other, _)| *other != key);
        seat.kept.push((key, value));
    }
}

/// See `handle::stashed`.
pub(super) fn stashed(exchange: &Exchange, key: usize) -> Option<Rc<dyn Any>> {
    let hooks = exchange.hooks.borrow();
    let seat = hooks.as_ref()?.downcast_ref::<Seat>()?;
    seat.kept.iter().find(|(other, _)| *other == key).map(|(_, value)| Rc::clone(value))
}

/// Whether this light value is a `req`, alive or not.
pub(super) fn is_request(handle: LightUserData) -> bool {
    handle.0 as u64 & 0b1111 == MARK
}

fn handle(index: usize, generation: u64) -> LightUserData {
    let bits = generation << (4 + INDEX_BITS) | (index as u64) << 4 | MARK;
    LightUserData(bits as *mut c_void)
}
