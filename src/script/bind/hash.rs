//! `hash` and `hmac`: digests as hexadecimal text.

use mlua::Lua;
use mlua::Table;

use crate::primitive::codec::hex_encode;
use crate::primitive::digest::Hash;
use crate::script::bind::function;
use crate::script::bind::text::LARGEST;
use crate::script::bind::text::Text;

const HASHES: [(&str, &str, &str, Hash); 5] = [
    ("sha256", "hash.sha256", "hmac.sha256", Hash::Sha256),
    ("sha384", "hash.sha384", "hmac.sha384", Hash::Sha384),
    ("sha512", "hash.sha512", "hmac.sha512", Hash::Sha512),
    ("sha1", "hash.sha1", "hmac.sha1", Hash::Sha1),
    ("md5", "hash.md5", "", Hash::Md5),
];

/// `hash`, `hmac`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let (hashes, hmacs) = (lua.create_table()?, lua.create_table()?);
    for (name, hash, hmac, kind) in HASHES {
        let digest = function(lua, hash, move |_, text: Text| {
            text.within(hash, LARGEST)?;
            Ok(hex_encode(kind.digest(&text.bytes())))
        })?;
        hashes.set(name, digest)?;
        if hmac.is_empty() {
            continue;
        }
        let keyed = function(lua, hmac, move |_, (key, text): (Text, Text)| {
            text.within(hmac, LARGEST)?;
            key.within(hmac, LARGEST)?;
            let code = kind.hmac(&key.bytes(), &text.bytes());
            code.map(hex_encode).ok_or_else(|| mlua::Error::runtime(format!("{hmac}: not with this hash")))
        })?;
        hmacs.set(name, keyed)?;
    }
    words.set("hash", hashes)?;
    words.set("hmac", hmacs)
}
