//! Each word in a real machine, its mistakes and hostile inputs included.

use std::sync::Arc;

use super::testing::NOW;
use super::testing::eval;
use super::testing::fault;
use super::testing::machine;
use super::testing::open;
use crate::clock::Clock;
use crate::script::secret::Secret;

/// Checks, each of which is a Lua expression.
fn hold(checks: &[&str]) {
    let lua = machine();
    lua.globals().set_readonly(false);
    for check in checks {
        let held: bool =
            lua.load(*check).set_name("@check.lua").eval().unwrap_or_else(|error| panic!("{check}: {error}"));
        assert!(held, "{check}");
    }
}

#[test]
fn base64_and_hex() {
    hold(&[
        r#"return base64.encode("hi?>") == "aGk/Pg==" and base64.decode("aGk/Pg==") == "hi?>""#,
        r#"return base64.url.encode("hi?>") == "aGk_Pg" and base64.url.decode("aGk_Pg") == "hi?>""#,
        r#"local v, err = base64.decode("a*b") return v == nil and type(err) == "string""#,
        r#"return hex.encode("\0\255") == "00ff" and hex.decode("00FF") == "\0\255""#,
        r#"local v, err = hex.decode("0g") return v == nil and type(err) == "string""#,
        r#"return base64.encode(12) == base64.encode("12")"#,
        r#"return base64.encode(("x"):rep(3)) == "eHh4""#,
    ]);
    assert!(fault("base64.encode(nil)").contains("bad argument #1 to `base64.encode`: text expected, got nil"));
    assert!(fault("base64.encode(('x'):rep(17 * 1024 * 1024))").contains("more than the 16777216 it takes"));
    assert!(fault("base64.url.encode = 1").contains("readonly"));
}

#[test]
fn hashes_and_keyed_hashes() {
    hold(&[
        r#"return hash.sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad""#,
        r#"return hash.sha1("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d""#,
        r#"return hash.md5("abc") == "900150983cd24fb0d6963f7d28e17f72""#,
        r#"return #hash.sha384("") == 96 and #hash.sha512("") == 128"#,
        r#"return hmac.sha256("key", "The quick brown fox jumps over the lazy dog") == "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8""#,
        r#"return hmac.md5 == nil"#,
    ]);
    assert!(fault("hash.sha256({})").contains("text expected, got table"));
    assert!(fault("hmac.sha256('k')").contains("text expected, got nil"));
}

#[test]
fn comparison_and_chance() {
    hold(&[
        r#"return crypto.equal("a", "a") and not crypto.equal("a", "b") and not crypto.equal("a", "ab")"#,
        r#"return not crypto.equal(nil, nil) and not crypto.equal(nil, "a") and not crypto.equal("a", nil)"#,
        r#"return #crypto.random(16) == 16 and crypto.random(16) ~= crypto.random(16) and crypto.random(0) == """#,
        r#"return #uuid() == 36 and uuid() ~= uuid() and uuid():sub(15, 15) == "4""#,
        r#"return uuid.v7():sub(15, 15) == "7""#,
        // 2027-01-15T08:00:00Z in milliseconds is 0x01a31871e400.
        r#"return uuid.v7():sub(1, 13) == "01a3185c-5000""#,
    ]);
    assert!(fault("crypto.random(1e9)").contains("bytes at once"));
    assert!(fault("crypto.random(-1)").contains("crypto.random"));
}

#[test]
fn secrets_work_in_primitives_and_stay_secret() {
    let lua = machine();
    let secret = Secret::new("KEY", "hunter2").push(&lua).unwrap();
    let held: bool = lua
        .load(
            r#"local key = ...
            assert(crypto.equal(key, "hunter2") and not crypto.equal(key, "hunter3"))
            assert(hash.sha256(key) == hash.sha256("hunter2"))
            assert(hmac.sha256(key, "x") == hmac.sha256("hunter2", "x"))
            local basic = base64.encode("me:" .. key)
            assert(tostring(basic) == "<secret KEY>")
            assert(crypto.equal(basic, base64.encode("me:hunter2")))
            assert(tostring(hex.encode(key)) == "<secret KEY>")
            assert(tostring(url.encode(key)) == "<secret KEY>")
            assert(tostring(cookie.format("sid", key)) == "<secret KEY>")
            assert(crypto.equal(cookie.format("sid", key), "sid=hunter2"))
            return true"#,
        )
        .call(secret)
        .unwrap();
    assert!(held);
}

#[test]
fn urls_forms_and_cookies() {
    hold(&[
        r#"local u = url.parse("https://me:pw@example.com:8443/a%20b?x=1#top")
           return u.scheme == "https" and u.host == "example.com" and u.port == 8443 and u.path == "/a%20b"
             and u.query == "x=1" and u.fragment == "top" and u.user == "me" and u.password == "pw""#,
        r#"local u, err = url.parse("not a url") return u == nil and type(err) == "string""#,
        r#"return url.encode("a b/ü") == "a%20b%2F%C3%BC" and url.decode("a%20b%2F") == "a b/""#,
        r#"return url.join("https://a.dev/x/y", "../z") == "https://a.dev/z""#,
        r#"local first, all = form.decode("a=1&b=%C3%BC+x&a=2")
           return first.a == "1" and first.b == "ü x" and all[3][1] == "a" and all[3][2] == "2" and #all == 3"#,
        r#"return form.encode { b = "x y", a = { 1, 2 }, c = true } == "a=1&a=2&b=x+y&c=true""#,
        r#"local c = cookie.parse('sid=1; theme="dark"; sid=2') return c.sid == "1" and c.theme == "dark""#,
        r#"return next(cookie.parse(nil)) == nil"#,
        r#"local c = cookie.format("sid", "x", { path = "/", http_only = true, secure = true, same_site = "lax", max_age = "1h" })
           return c == "sid=x; Path=/; Max-Age=3600; SameSite=Lax; Secure; HttpOnly""#,
    ]);
    assert!(
        fault("cookie.format('sid', 'x', { paht = '/' })")
            .contains("unknown option `paht` in cookie `sid`; did you mean `path`?")
    );
    assert!(fault("cookie.format('sid', 'a;b')").contains("cookie.format"));
    assert!(fault("cookie.format('s', 'x', { same_site = 'maybe' })").contains("strict, lax or none, not `maybe`"));
    assert!(fault("cookie.format('s', 'x', { secure = 1 })").contains("true or false expected, got number"));
    assert!(fault("form.encode { a = print }").contains("`a` is no text, number or boolean"));
    assert!(fault("form.encode { 'x' }").contains("a number as a name"));
    assert!(fault("form.decode(('a=1&'):rep(20000))").contains("more than 10000 fields"));
    assert!(fault("url.encode(('x'):rep(2 * 1024 * 1024))").contains("it takes"));
}

#[test]
fn dates() {
    hold(&[
        "return time.now() == 1800000000 and time.ms() == 1800000000000",
        r#"return time.format(0) == "1970-01-01T00:00:00Z" and time.format() == "2027-01-15T08:00:00Z""#,
        r#"return time.format(0, "http") == "Thu, 01 Jan 1970 00:00:00 GMT""#,
        r#"return time.format(0, "%Y/%m") == "1970/01""#,
        r#"return time.parse("1970-01-01T00:01:00Z") == 60"#,
        r#"return time.parse("Thu, 01 Jan 1970 00:00:00 GMT") == 0"#,
        r#"local t, err = time.parse("yesterday") return t == nil and type(err) == "string""#,
        r#"local t, err = time.parse(("9"):rep(1e6)) return t == nil and err == "too long for a date""#,
    ]);
    assert!(fault("time.format(1e300)").contains("time.format"));
    assert!(fault("time.format(0/0)").contains("time.format"));
    assert!(fault("time.format(0, 'nonsense')").contains("time.format"));
}

#[test]
fn while_loading_time_and_chance_come_from_the_snapshot() {
    let clock = Clock::fake(NOW);
    let text = "return time.now(), uuid(), uuid(), uuid.v7()";
    let load = || open(&clock, &Arc::default()).load(text).eval::<(f64, String, String, String)>().unwrap();
    let (first, second) = (load(), load());
    assert_eq!(first, second, "every worker must come to the same plan");
    assert!((first.0 - 1_799_999_940.0).abs() < 1e-6);
    assert_ne!(first.1, first.2);
    let error = open(&clock, &Arc::default()).load("crypto.random(8)").exec().unwrap_err().to_string();
    assert!(error.contains("not while the file loads"), "{error}");
}

#[test]
fn regular_expressions() {
    hold(&[
        r#"return regex("^(\\w+)-(\\d+)$"):match("ab-12") == "ab""#,
        r#"local a, b = regex("^(\\w+)-(\\d+)$"):match("ab-12") return a == "ab" and b == "12""#,
        r#"return regex("\\d+"):match("ab-12") == "12" and regex("\\d+"):match("ab") == nil"#,
        r#"local a, b = regex("(a)|(b)"):match("b") return a == nil and b == "b""#,
        r#"local from, to, group = regex("b(c+)"):find("abccd") return from == 2 and to == 4 and group == "cc""#,
        r#"return regex("a"):find("aXa", 2) == 3 and regex("a"):find("a", 99) == nil"#,
        r#"return regex("\\d+"):replace("a1b22", "<$0>") == "a<1>b<22>""#,
        r#"return regex("\\d"):replace("a1b2", "", 1) == "ab2""#,
        r#"return regex("(\\d)"):replace("a1b2", function(all, d) return d == "1" and "one" or nil end) == "aoneb2""#,
        r#"return regex(""):replace("ab", function() return "-" end) == "-a-b-""#,
        r#"local parts = regex(",\\s*"):split("a, b,c") return #parts == 3 and parts[2] == "b" and parts[3] == "c""#,
        r#"return #regex(","):split("a,b,c", 2) == 2"#,
        r#"return regex("^a+$"):test("aaa") and not regex("^a+$"):test("b")"#,
        r#"return tostring(regex "a") == 'regex "a"'"#,
        // What kills a backtracking engine.
        r#"return regex("^(a+)+$"):match(("a"):rep(100000) .. "!") == nil"#,
    ]);
    assert!(fault("regex '('").contains("regex: "));
    assert!(fault(r#"regex("(\\w{1000}){1000}")"#).contains("regex: "));
    assert!(fault("regex('a'):match(('a'):rep(5 * 1024 * 1024))").contains("more than the 4194304 it takes"));
    assert!(fault("regex('a'):replace(('a'):rep(1024 * 1024), ('x'):rep(1024))").contains("larger than 4194304"));
    assert!(
        fault("regex('a'):replace(('a'):rep(10000), function() return ('x'):rep(1024) end)").contains("larger than")
    );
    assert!(fault("regex('a'):replace('a', 5)").contains("takes a text or a function, got number"));
    assert!(fault("regex('a'):match(nil)").contains("text expected, got nil"));
}

#[test]
fn globs_and_networks() {
    hold(&[
        r#"local g = glob "*.example.com" return g:match("a.example.com") and not g:match("example.com") and not g:match(nil)"#,
        r#"local n = cidr "10.0.0.0/8" return n:has("10.1.2.3") and not n:has("11.0.0.1") and not n:has("x") and not n:has(nil)"#,
        r#"return cidr("2001:db8::/32"):has("2001:db8::1") and cidr("10.0.0.0/8"):has("::ffff:10.0.0.1")"#,
        r#"return not glob("a*"):match("a\255")"#,
    ]);
    assert!(fault("cidr '10.0.0.0/99'").contains("cidr: "));
    assert!(fault("glob '[a'").contains("glob: "));
}

#[test]
fn log_takes_any_value_and_never_fails() {
    let lua = machine();
    let secret = Secret::new("KEY", "hunter2").push(&lua).unwrap();
    lua.load(
        r#"local key = ...
        log.info("hello", { n = 1, t = { a = { 1 } }, f = print, key = key, [5] = "five", ["bad name="] = "\n" })
        log.error(nil) log.warn({ 1 }) log.debug(("x"):rep(1e6)) log.info("a\nb")
        local t = {} t.t = t log.info("cycle", { t = t }) log.info(key)"#,
    )
    .call::<()>(secret)
    .unwrap();
}

#[test]
fn what_is_huge_is_refused_before_it_is_worked_on() {
    for (script, expected) in [
        ("json.encode(('\\0'):rep(20 * 1024 * 1024))", "grows larger than 16 MB"),
        ("hmac.sha256(('k'):rep(17 * 1024 * 1024), 'x')", "it takes"),
        ("regex(('a'):rep(100000))", "a pattern has 65536 bytes at most"),
        ("glob(('a'):rep(5000))", "glob: 4096 bytes at most"),
        ("cidr(('1'):rep(5000))", "cidr: 4096 bytes at most"),
        ("json.get({}, '$' .. ('.a'):rep(5000))", "4096 bytes at most"),
        ("form.encode { a = ('x'):rep(5 * 1024 * 1024) }", "it takes"),
        ("cookie.format('a', ('x'):rep(100000))", "it takes"),
    ] {
        let error = fault(script);
        assert!(error.contains(expected), "{script}: {error}");
    }
}

#[test]
fn results_do_not_depend_on_who_asks() {
    assert_eq!(eval::<String>("return json.encode(json.decode('{\"b\":1,\"a\":2}'))"), r#"{"b":1,"a":2}"#);
}
