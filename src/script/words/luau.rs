//! What comes with the language; listed so that every other name can be called unknown.

use super::Kind;
use super::Word;
use super::word;

const NAMES: &[(&str, &str)] = &[
    ("assert", "raises when its first argument is false"),
    ("error", "raises"),
    ("getmetatable", "the metatable of a value"),
    ("ipairs", "walks a list"),
    ("newproxy", "an empty userdata"),
    ("next", "the next pair of a table"),
    ("pairs", "walks a table"),
    ("pcall", "calls and catches errors (not `reject`)"),
    ("print", "writes to the log"),
    ("rawequal", "compares without metamethods"),
    ("rawget", "reads without metamethods"),
    ("rawlen", "length without metamethods"),
    ("rawset", "writes without metamethods"),
    ("select", "some of its arguments"),
    ("setmetatable", "gives a table a metatable"),
    ("tonumber", "a number from text"),
    ("tostring", "text from anything"),
    ("type", "the type of a value"),
    ("typeof", "the type of a value, userdata by name"),
    ("unpack", "the values of a list"),
    ("xpcall", "pcall with a handler"),
    ("load", "compiles text (never bytecode)"),
    ("loadstring", "compiles text (never bytecode)"),
    ("getfenv", "the globals a function sees"),
    ("setfenv", "the globals a function sees"),
    ("gcinfo", "memory in use, in KB"),
    ("collectgarbage", "\"count\": memory in use, in KB"),
    ("bit", "bit operations under LuaJIT's names"),
    ("bit32", "bit operations"),
    ("buffer", "fixed-size bytes"),
    ("coroutine", "coroutines"),
    ("debug", "traceback and info"),
    ("math", "mathematics"),
    ("os", "time, date, clock, difftime"),
    ("string", "text"),
    ("table", "tables"),
    ("utf8", "Unicode text"),
    ("vector", "three numbers in one value"),
    ("_G", "the table of globals, read-only"),
    ("_VERSION", "\"Luau\""),
];

pub(super) fn words() -> Vec<Word> {
    NAMES.iter().map(|(name, doc)| word(Kind::Language, name, name, doc, "")).collect()
}
