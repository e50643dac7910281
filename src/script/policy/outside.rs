//! What a policy does outside its place in the list: data that the plan takes up, no function.

use mlua::UserData;

use crate::primitive::cors::Config;

/// Returned by the `step` of `cors` in place of a function.
#[derive(Clone)]
pub(crate) struct Outside(pub(crate) Config);

impl UserData for Outside {}
