//! A machine as scripts find it.

use super::*;
use crate::script::wait::tests::machine;

fn eval(text: &str) -> Result<String, String> {
    let (lua, _context) = machine();
    let function = compile(&lua, "gateway.lua", text).map_err(|error| error.to_string())?;
    let value = function.call::<Value>(()).map_err(|error| driver::fault::message(&error))?;
    value.to_string().map_err(|error| error.to_string())
}

#[test]
fn a_global_cannot_be_assigned_by_any_way() {
    let message = "gateway.lua:1: global `count` is not declared; write `local count`";
    assert_eq!(eval("count = 1").unwrap_err(), message);
    assert!(eval("print = 1").unwrap_err().contains("cannot be replaced"));
    assert!(eval("_G.count = 1").is_err());
    assert!(eval("rawset(_G, 'count', 1)").is_err());
    assert!(eval("rawset(getfenv(), 'count', 1)").is_err());
    assert!(eval("string.rep = 1").is_err());
    assert!(eval("setmetatable(getfenv(), {})").is_err());
    assert!(eval("getmetatable('').__index = {}").is_err());
}

#[test]
fn an_unknown_name_is_an_error_with_its_line() {
    assert_eq!(eval("local x\nreturn upstrem").unwrap_err(), "gateway.lua:2: unknown name `upstrem`");
}

#[test]
fn nothing_reaches_files_processes_or_bytecode() {
    for name in ["io", "package", "newproxy", "require", "dofile", "loadfile", "os.execute", "os.getenv", "debug.info"]
    {
        let text = format!("local v = {name}; assert(v == nil); return 'absent'");
        assert!(eval(&text).is_err() || eval(&text).unwrap() == "absent", "{name} is there");
    }
    let message = eval("local f, why = load('\\27Lua'); assert(f == nil); return why").unwrap();
    assert!(!message.is_empty());
    assert_eq!(eval("return load('return 1 + 1')()").unwrap(), "2");
    assert!(eval("return loadstring('return x', 'c')").is_ok());
    assert_eq!(eval("return load('return x', '=c', 't', { x = 7 })()").unwrap(), "7");
}

#[test]
fn pasted_scripts_find_what_they_expect() {
    assert_eq!(eval("return bit.tohex(bit.bxor(0xff00, 0x0ff0)) .. bit.bnot(0)").unwrap(), "0000f0f0-1");
    assert_eq!(
        eval("return bit.lshift(1, 31) .. ' ' .. bit.rol(0x80000000, 1) .. ' ' .. bit.tohex(-1, 4)").unwrap(),
        "-2147483648 1 ffff"
    );
    assert_eq!(eval("return select('#', unpack({ 1, 2, 3 })) .. table.concat(table.pack(1, 2))").unwrap(), "312");
    assert_eq!(
        eval("return os.date('!%Y-%m-%d', 0) .. type(os.time()) .. type(os.clock())").unwrap(),
        "1970-01-01numbernumber"
    );
    assert_eq!(eval("local ok, e = xpcall(error, debug.traceback, 'no') return type(e)").unwrap(), "string");
}

#[test]
fn loading_sees_the_time_of_the_snapshot_and_the_same_chance() {
    assert_eq!(eval("return os.time()").unwrap(), "1700000000");
    assert_eq!(eval("return math.random(1e9)").unwrap(), eval("return math.random(1e9)").unwrap());
}

#[test]
fn errors_of_rust_functions_are_text_to_a_script() {
    let (lua, _context) = machine_with(|lua| {
        let fail = lua.create_function(|_, ()| Err::<(), _>(mlua::Error::runtime("no such thing")))?;
        lua.globals().set("fail", fail)
    });
    let text = "local ok, why = pcall(function()\n fail() end) return tostring(ok) .. type(why) .. why";
    let value: String = compile(&lua, "gateway.lua", text).unwrap().call(()).unwrap();
    assert_eq!(value, "falsestringgateway.lua:2: no such thing");
}

fn machine_with(words: impl Fn(&Lua) -> mlua::Result<()>) -> (Lua, Rc<Context>) {
    crate::script::wait::tests::machine_with(words)
}
