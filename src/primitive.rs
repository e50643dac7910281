//! Pure jobs, one each: no Lua, no socket, no sibling.
