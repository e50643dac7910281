//! Words that any function may call; each entry documents what its binding does.

mod live;
mod waiting;

use super::Kind;
use super::Word;
use super::word;

pub(super) fn words() -> Vec<Word> {
    let mut words = waiting::words();
    words.extend(data());
    words.extend(text());
    words.extend(live::words());
    words
}

/// A word of this kind, with a step around its example.
fn primitive(name: &'static str, form: &'static str, doc: &'static str, example: &'static str) -> Word {
    word(Kind::Primitive, name, form, doc, example)
}

fn data() -> Vec<Word> {
    vec![
        primitive("log", "log.info(message, fields?)", "Writes to the process log; the fields follow the message.", "route \"GET /\" { function(req) log.info(\"hello\", { from = req.ip }) return 204 end }").with(&[
            ("log.debug(message, fields?)", "for whoever looks closely"),
            ("log.info(message, fields?)", "what a calm operator wants to know"),
            ("log.warn(message, fields?)", "something is off, service goes on"),
            ("log.error(message, fields?)", "somebody did not get what they asked for"),
        ]),
        primitive("json", "json.encode(v) · json.decode(text)", "Reads and writes JSON; integers beyond 2^53 pass through exactly.", "route \"GET /\" { function(req) return { text = json.encode({ a = json.array {} }) } end }").with(&[
            ("json.encode(value)", "the value as JSON text"),
            ("json.decode(text)", "the value; bad JSON raises"),
            ("json.try_decode(text)", "the value, or nil and what is wrong"),
            ("json.get(value, \"$.a.b[0]\")", "the first value at a JSONPath, or nil"),
            ("json.array{ … }", "marks a table as a list, also when it is empty"),
            ("json.null", "null inside a value; nil removes the key"),
        ]),
        primitive("yaml", "yaml.decode(text)", "Reads YAML as the JSON it stands for; integers beyond 2^63 lose digits.", "local plans = yaml.decode \"gold: 100\\nfree: 5\"\nroute \"GET /\" { function(req) return { json = plans } end }").with(&[
            ("yaml.decode(text)", "the value; bad YAML raises"),
            ("yaml.try_decode(text)", "the value, or nil and what is wrong"),
        ]),
        primitive("schema", "schema \"pet.json\" · schema { type = \"object\" }", "A JSON Schema (2020-12, 2019-09, 07, 06, 04) from a file in the config folder, JSON or YAML, or from a table; stands where `validate` takes a rule. References lead to places in the same document, formats are asserted, patterns are linear. Files are watched.", "local pet = schema { type = \"object\", required = { \"name\" } }\nroute \"POST /pets\" { validate { body = pet }, to = \"echo:\" }").with(&[
            (":check(value)", "true, or false and a list of { pointer, message }"),
        ]),
        primitive("time", "time.now() · time.format(seconds?, style?)", "Seconds since 1970, and dates as text.", "route \"GET /\" { function(req) return { text = time.format(time.now()) } end }").with(&[
            ("time.now()", "seconds since 1970, with a fraction"),
            ("time.ms()", "whole milliseconds since 1970"),
            ("time.format(seconds?, style?)", "a date as text; ISO 8601 of now unless told otherwise, \"http\" or strftime"),
            ("time.parse(text, style?)", "seconds, or nil and what is wrong"),
        ]),
        primitive("uuid", "uuid() · uuid.v7()", "A random or a time-ordered UUID.", "route \"GET /\" { function(req) return { text = uuid() } end }")
            .with(&[("uuid.v4()", "random; uuid() is short for it"), ("uuid.v7()", "ordered by time")]),
        primitive("regex", "regex \"^[a-z]+$\"", "A regular expression in linear time; made at the top of the file, it is compiled once.", "local word = regex \"^[a-z]+$\"\nroute \"GET /{name}\" { function(req) if not word:test(req.params.name) then reject(404) end return 204 end }").with(&[
            (":test(text)", "whether it matches anywhere"),
            (":match(text)", "the groups of the first match, or the whole; nil without one"),
            (":find(text, from?)", "first and last place, then the groups"),
            (":replace(text, with, limit?)", "with is text with $1, or a function of the match"),
            (":split(text, limit?)", "the pieces between matches"),
        ]),
        primitive("glob", "glob \"*.example.com\"", "A glob: `*` any text, `?` one character, `[ab]`, `{a,b}`.", "local ours = glob \"*.example.com\"\nroute \"GET /\" { function(req) return { json = ours:match(req.host) } end }")
            .with(&[(":match(text)", "whether the whole text fits")]),
        primitive("cidr", "cidr \"10.0.0.0/8\"", "A network.", "local office = cidr \"10.0.0.0/8\"\nroute \"GET /\" { function(req) if not office:has(req.ip) then reject(403) end return 204 end }")
            .with(&[(":has(ip)", "whether the address lies within")]),
    ]
}

fn text() -> Vec<Word> {
    vec![
        primitive(
            "base64",
            "base64.encode(text) · base64.decode(text)",
            "Base64; of a secret it stays secret.",
            "route \"GET /\" { function(req) return { text = base64.encode(\"hello\") } end }",
        )
        .with(&[
            ("base64.encode(text)", "as base64"),
            ("base64.decode(text)", "the bytes, or nil and what is wrong"),
            ("base64.url", "encode and decode for the URL alphabet, without padding"),
        ]),
        primitive("hex", "hex.encode(text) · hex.decode(text)", "Hexadecimal text.", "").with(&[
            ("hex.encode(text)", "two digits a byte"),
            ("hex.decode(text)", "the bytes, or nil and what is wrong"),
        ]),
        primitive(
            "hash",
            "hash.sha256(text)",
            "Digests, as hexadecimal text.",
            "route \"GET /\" { function(req) return { text = hash.sha256(req.path) } end }",
        )
        .with(&[
            ("hash.sha256(text)", "SHA-256"),
            ("hash.sha384(text)", "SHA-384"),
            ("hash.sha512(text)", "SHA-512"),
            ("hash.sha1(text)", "SHA-1, for old protocols"),
            ("hash.md5(text)", "MD5, for old protocols"),
        ]),
        primitive("hmac", "hmac.sha256(key, text)", "Keyed digests, as hexadecimal text; the key may be a secret.", "")
            .with(&[
                ("hmac.sha256(key, text)", "with SHA-256"),
                ("hmac.sha384(key, text)", "with SHA-384"),
                ("hmac.sha512(key, text)", "with SHA-512"),
                ("hmac.sha1(key, text)", "with SHA-1, for old protocols"),
            ]),
        primitive(
            "crypto",
            "crypto.equal(a, b) · crypto.random(n)",
            "Comparison that takes the same time whatever differs; random bytes.",
            "",
        )
        .with(&[("crypto.equal(a, b)", "for secrets, keys and signatures"), ("crypto.random(n)", "n random bytes")]),
        primitive("url", "url.parse(text) · url.join(base, reference)", "Takes URLs apart and puts them together.", "")
            .with(&[
                ("url.parse(text)", "{ scheme, host, port, path, query, … }, or nil and what is wrong"),
                ("url.encode(text)", "percent-encoded as one component"),
                ("url.decode(text)", "percent-decoded"),
                ("url.join(base, reference)", "the reference as seen from base"),
            ]),
        primitive("form", "form.encode(table) · form.decode(text)", "Bodies of application/x-www-form-urlencoded.", "")
            .with(&[
                ("form.encode(table)", "names sorted; a list gives a name several values"),
                ("form.decode(text)", "the first value of each name, and every pair in its order"),
            ]),
        primitive(
            "cookie",
            "cookie.parse(text) · cookie.format(name, value, options?)",
            "Reads a Cookie field, writes a Set-Cookie field.",
            "",
        )
        .with(&[
            ("cookie.parse(text)", "the first value of each name"),
            (
                "cookie.format(name, value, options?)",
                "a Set-Cookie field: path, domain, max_age, secure, http_only, same_site",
            ),
        ]),
    ]
}
