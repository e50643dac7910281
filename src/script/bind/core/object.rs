//! Live objects of policies: declared when the step is made, named when loading ends, shared by all workers.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use mlua::Lua;

use crate::script::bind::declared::running;
use crate::script::bind::declared::text;
use crate::script::context::Context;
use crate::script::declare::Session;
use crate::script::declare::Slot;
use crate::script::live::Kept;

/// An object that a policy's value owns: one for the value wherever it stands, in all workers, across reloads.
///
/// Its identity is its name, else (route, group or gateway that first holds the value, the word, its ordinal there).
pub(crate) struct Object<T> {
    slot: Rc<Slot>,
    live: OnceCell<Arc<T>>,
}

impl<T: Kept> Object<T> {
    /// Declares it while the step of policy `word` is made.
    pub(crate) fn declare(lua: &Lua, word: &str, name: Option<&str>, config: &T::Config) -> mlua::Result<Self> {
        let slot = Session::of(lua, word)?.slot(lua, word, name, text(config));
        Ok(Self { slot, live: OnceCell::new() })
    }

    /// The object itself; an error while the file loads.
    pub(crate) fn get(&self, lua: &Lua) -> mlua::Result<&Arc<T>> {
        match self.live.get() {
            Some(live) => Ok(live),
            None => self.find(&running(lua, &format!("`{}`", self.slot.word()))?),
        }
    }

    /// What it is found by, once loading has ended.
    pub(crate) fn identity(&self) -> &str {
        self.slot.identity().unwrap_or_default()
    }

    #[cold]
    fn find(&self, context: &Rc<Context>) -> mlua::Result<&Arc<T>> {
        let lost = || mlua::Error::runtime(format!("`{}` was made after loading had ended", self.slot.word()));
        let identity = self.slot.identity().ok_or_else(lost)?;
        let live = context.live().object::<T>(identity, self.slot.config()).ok_or_else(lost)?;
        Ok(self.live.get_or_init(|| live))
    }
}

#[cfg(test)]
mod tests;
