//! What policies keep across reloads, while the file loads: each gets its identity from the place that first holds it.

use std::cell::Cell;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;

use mlua::Lua;

use super::Session;
use super::here;
use crate::script::diagnose::Anchor;

/// A live object that the value of a policy will have.
pub(crate) struct Slot {
    word: String,
    name: Option<String>,
    config: String,
    anchor: Anchor,
    identity: OnceCell<String>,
    /// The value was only the beginning of another: `word "x" { more }`.
    refined: Cell<bool>,
}

/// All slots of one load, in the order made.
#[derive(Default)]
pub(crate) struct Slots {
    all: Vec<Rc<Slot>>,
    /// How many a place holds of a word.
    ordinals: HashMap<(String, String), usize>,
}

impl Slot {
    /// The policy's word.
    pub(crate) fn word(&self) -> &str {
        &self.word
    }

    /// How the object was declared.
    pub(crate) fn config(&self) -> &str {
        &self.config
    }

    /// What it is found by, once loading has ended.
    pub(crate) fn identity(&self) -> Option<&str> {
        self.identity.get().map(String::as_str)
    }
}

impl Session {
    /// Notes an object of the policy that is being made.
    pub(crate) fn slot(&self, lua: &Lua, word: &str, name: Option<&str>, config: String) -> Rc<Slot> {
        let (name, anchor) = (name.map(str::to_owned), here(lua, word, None));
        let slot =
            Slot { word: word.to_owned(), name, config, anchor, identity: OnceCell::new(), refined: Cell::new(false) };
        let slot = Rc::new(slot);
        self.slots.borrow_mut().all.push(Rc::clone(&slot));
        slot
    }

    /// How many there are: those made from here on belong to the value that is being made.
    pub(crate) fn slots_made(&self) -> usize {
        self.slots.borrow().all.len()
    }

    /// The value with these objects was only the beginning of another: they are nobody's unless a list has them.
    pub(crate) fn refined(&self, slots: &[usize]) {
        let all = self.slots.borrow();
        slots.iter().filter_map(|index| all.all.get(*index)).for_each(|slot| slot.refined.set(true));
    }

    /// `holder` (gateway, group or route) lists a value with these objects; the first to do so names them.
    pub(super) fn hold(&self, holder: &str, slots: &[usize]) {
        for index in slots {
            let slot = self.slots.borrow().all.get(*index).map(Rc::clone);
            if let Some(slot) = slot {
                slot.refined.set(false);
                self.identify(&slot, holder);
            }
        }
    }

    /// Objects of values that stand in no list: functions call them.
    pub(super) fn hold_rest(&self) {
        let all = self.slots.borrow().all.clone();
        for slot in all {
            self.identify(&slot, "functions");
        }
    }

    fn identify(&self, slot: &Rc<Slot>, holder: &str) {
        if slot.identity.get().is_some() {
            return;
        }
        let identity = match &slot.name {
            Some(name) => format!("{}:{name}", slot.word),
            None => {
                let mut slots = self.slots.borrow_mut();
                let ordinal = slots.ordinals.entry((holder.to_owned(), slot.word.clone())).or_default();
                *ordinal += 1;
                format!("{} of {holder} #{ordinal}", slot.word)
            }
        };
        if !slot.refined.get() && !self.object(identity.clone(), slot.config.clone()) {
            let name = slot.name.as_deref().unwrap_or_default();
            let said = format!("two `{}` are named `{name}`, and differ", slot.word);
            self.fault(slot.anchor.clone(), said, "same name, same counters: give one another name", "");
        }
        let _ = slot.identity.set(identity);
    }
}
