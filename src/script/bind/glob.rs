//! `glob "…"` and `cidr "…"`: does a text fit, does an address lie within.

use mlua::Lua;
use mlua::MetaMethod;
use mlua::Table;
use mlua::UserData;
use mlua::UserDataMethods;

use crate::primitive::cidr::Cidr;
use crate::primitive::glob::Glob;
use crate::script::bind::function;
use crate::script::bind::text::Text;

struct Fits(Glob);

struct Network(Cidr);

/// `glob`, `cidr`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let glob = function(lua, "glob", |lua, text: String| {
        bounded("glob", &text)?;
        let glob = Glob::new(&text).map_err(|fault| mlua::Error::runtime(format!("glob: {fault}")))?;
        lua.create_userdata(Fits(glob))
    })?;
    let cidr = function(lua, "cidr", |lua, text: String| {
        bounded("cidr", &text)?;
        let cidr = Cidr::parse(&text).map_err(|fault| mlua::Error::runtime(format!("cidr: {fault}")))?;
        lua.create_userdata(Network(cidr))
    })?;
    words.set("glob", glob)?;
    words.set("cidr", cidr)
}

fn bounded(word: &str, text: &str) -> mlua::Result<()> {
    if text.len() <= LONGEST_PATTERN {
        return Ok(());
    }
    Err(mlua::Error::runtime(format!("{word}: {LONGEST_PATTERN} bytes at most")))
}

impl UserData for Fits {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // What is not there, or is no text, fits no glob: a missing header must not raise.
        methods.add_method("match", |_, glob, text: Option<Text>| {
            let Some(text) = text else { return Ok(false) };
            text.within("glob: match", LONGEST)?;
            Ok(std::str::from_utf8(&text.bytes()).is_ok_and(|text| glob.0.matches(text)))
        });
        methods.add_meta_method(MetaMethod::ToString, |_, glob, ()| Ok(format!("glob {:?}", glob.0.source())));
    }
}

impl UserData for Network {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // What is no address lies in no network.
        methods.add_method("has", |_, network, text: Option<Text>| {
            let Some(text) = text else { return Ok(false) };
            let bytes = text.bytes();
            let address = std::str::from_utf8(&bytes).ok().filter(|text| text.len() <= 64);
            Ok(address.and_then(|address| network.0.has_text(address)).unwrap_or(false))
        });
        methods.add_meta_method(MetaMethod::ToString, |_, network, ()| Ok(format!("cidr \"{}\"", network.0.net())));
    }
}

const LONGEST: usize = 64 << 10;
const LONGEST_PATTERN: usize = 4096;
