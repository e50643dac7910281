use crate::script::bind::testing::eval;
use crate::script::bind::testing::fault;
use crate::script::bind::testing::machine;

/// What comes out when `text` is decoded and encoded again.
fn again(text: &str) -> String {
    let lua = machine();
    let json = lua.globals().get::<mlua::Table>("json").unwrap();
    let value: mlua::Value = json.get::<mlua::Function>("decode").unwrap().call(text).unwrap();
    json.get::<mlua::Function>("encode").unwrap().call(value).unwrap()
}

/// Why `text` is not taken.
fn refused(text: &[u8]) -> String {
    super::decode(&machine(), text).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn what_is_decoded_encodes_to_the_same_text() {
    for text in [
        r#"{"z":1,"a":[],"m":{},"b":[1,2,{"y":null,"x":true}],"c":"é\n\"\\"}"#,
        "[]",
        "{}",
        "null",
        "[null,null]",
        "[[],[[]],{}]",
        "0.1",
        "-1.5",
        "9007199254740991",
        "9007199254740993",
        "-123456789012345678901234567890",
        r#"{"id":12345678901234567890,"list":[18446744073709551615]}"#,
        "1e400",
        r#""𝄞""#,
    ] {
        assert_eq!(again(text), text);
    }
    assert_eq!(again(" [ 1 , 2.0 ]\r\n"), "[1,2.0]".replace("2.0", "2"));
    assert_eq!(again(r#""\ud834\udd1e\u0041\/""#), "\"𝄞A/\"");
    assert_eq!(again("\u{feff}1"), "1");
}

#[test]
fn large_integers_survive_an_edit() {
    let text: String = eval(
        r#"local body = json.decode('{"id":9007199254740993,"n":1}')
        body.n += 1
        body.copy = body.id
        return json.encode(body)"#,
    );
    assert_eq!(text, r#"{"id":9007199254740993,"n":2,"copy":9007199254740993}"#);
}

#[test]
fn an_exact_number_prints_and_compares_by_value_and_refuses_to_be_rounded() {
    let checks: bool = eval(
        r#"local a, b = json.decode("9007199254740993"), json.decode("9007199254740993")
        local c, d = json.decode("9007199254740994"), json.decode("-9007199254740993")
        assert(a == b and a ~= c and a < c and c > a and a <= b and d < a)
        assert(json.decode("123456789012345678901") > a)
        assert(not pcall(function() return a > 5 end) and a:number() > 5)
        assert(tostring(a) == "9007199254740993" and `{a}` == "9007199254740993" and "n" .. a == "n9007199254740993")
        assert(a:number() == 9007199254740992)
        return true"#,
    );
    assert!(checks);
    for operation in ["a + 1", "1 - a", "a * a", "-a", "a % 2", "a // 2", "a ^ 2"] {
        let error = fault(&format!("local a = json.decode('9007199254740993') return {operation}"));
        assert!(error.contains("9007199254740993 does not fit a number exactly"), "{operation}: {error}");
    }
}

#[test]
fn faults_name_the_offset() {
    for (text, expected) in [
        ("", "unexpected the end where a value should be at offset 0"),
        ("{\"a\":1,}", "unexpected `}` where a name should be at offset 7"),
        ("[1 2]", "unexpected `2` where `,` or `]` should be at offset 3"),
        ("[1,]", "unexpected `]` where a value should be at offset 3"),
        ("{\"a\" 1}", "unexpected `1` where `:` should be at offset 5"),
        ("{a:1}", "unexpected `a` where a name should be at offset 1"),
        ("1 x", "unexpected `x` after the value at offset 2"),
        ("01", "unexpected `1` after the value at offset 1"),
        ("1.", "unexpected the end where a digit should be at offset 2"),
        ("-", "unexpected the end where a digit should be at offset 1"),
        ("1e", "unexpected the end where a digit should be at offset 2"),
        ("+1", "unexpected `+` where a value should be at offset 0"),
        ("tru", "unexpected `t` where a value should be at offset 0"),
        ("nul", "unexpected `n` where a value should be at offset 0"),
        ("NaN", "unexpected `N` where a value should be at offset 0"),
        ("\"abc", "unfinished string at offset 4"),
        ("\"a\nb\"", "control character in a string; escape it at offset 2"),
        ("\"\\x\"", "unexpected `x` after `\\` at offset 2"),
        ("\"\\u12g4\"", "`\\u` needs four hexadecimal digits at offset 2"),
        ("\"\\ud800\"", "half of a surrogate pair at offset 1"),
        ("\"\\udc00\"", "half of a surrogate pair at offset 1"),
        ("\"\\ud800\\u0041\"", "half of a surrogate pair at offset 1"),
        ("'a'", "unexpected `'` where a value should be at offset 0"),
        ("[1]//", "unexpected `/` after the value at offset 3"),
    ] {
        assert_eq!(refused(text.as_bytes()), expected, "{text}");
    }
    assert_eq!(refused(b"[\"a\xff\"]"), "invalid UTF-8 at offset 3");
}

#[test]
fn depth_length_and_digits_are_bounded() {
    assert_eq!(again(&("[".repeat(128) + &"]".repeat(128))), "[".repeat(128) + &"]".repeat(128));
    assert_eq!(refused("[".repeat(1_000_000).as_bytes()), "nested deeper than 128 at offset 128");
    assert_eq!(refused("{\"a\":".repeat(200).as_bytes()), "nested deeper than 128 at offset 640");
    assert!(refused(" ".repeat((16 << 20) + 1).as_bytes()).contains("larger than 16 MB"));
    assert_eq!(refused("7".repeat(5000).as_bytes()), "a number of more than 4096 digits at offset 0");
}

#[test]
fn a_private_key_of_a_library_is_an_ordinary_name() {
    let text = r#"{"$serde_json::private::Number":"123"}"#;
    assert_eq!(again(text), text);
}

#[test]
fn a_repeated_name_counts_once_and_the_last_wins() {
    assert_eq!(again(r#"{"a":1,"b":2,"a":3}"#), r#"{"a":3,"b":2}"#);
}

#[test]
fn tables_of_a_script_encode_sorted_and_lists_as_lists() {
    assert_eq!(eval::<String>("return json.encode { b = 1, a = { 1, 'x' }, c = {} }"), r#"{"a":[1,"x"],"b":1,"c":{}}"#);
    assert_eq!(eval::<String>("return json.encode { json.array {}, json.array(), json.null }"), "[[],[],null]");
    assert_eq!(eval::<String>("local t = json.decode '[1]' t[1] = nil return json.encode(t)"), "[]");
    assert_eq!(
        eval::<String>("return json.encode(1e16) .. json.encode(0.1) .. json.encode(-5)"),
        "1e160.1-5".replace("1e16", "10000000000000000")
    );
    assert_eq!(eval::<String>("return json.encode('\\0\\127</script>')"), "\"\\u0000\\u007f</script>\"");
    assert_eq!(eval::<String>("return tostring(json.null)"), "null");
}

#[test]
fn what_has_no_json_form_is_refused_with_its_path() {
    for (value, expected) in [
        ("{ a = { b = print } }", "a function has no JSON form at $.a.b"),
        ("{ 1, 2, { x = 0/0 } }", "NaN has no JSON form at $[3].x"),
        ("math.huge", "inf has no JSON form at $"),
        ("{ 1, nil, 3 }", "a list with holes"),
        ("{ [5] = 1 }", "a table with the number 5 as a name (use tostring) at $"),
        ("{ 1, a = 2 }", "a table with a list part and also the name `a` at $"),
        ("{ [true] = 1 }", "a table with a boolean as a name at $"),
        ("'\\255'", "text that is not UTF-8 has no JSON form (base64.encode it) at $"),
        ("coroutine.create(print)", "a thread has no JSON form at $"),
    ] {
        let error = fault(&format!("return json.encode({value})"));
        assert!(error.contains(expected), "{value}: {error}");
    }
    let error = fault("local t = {} t.t = t return json.encode(t)");
    assert!(error.contains("nested deeper than 128"), "{error}");
}

#[test]
fn a_small_value_cannot_grow_into_endless_text() {
    let error = fault("local t = { 'xxxxxxxx' } for _ = 1, 40 do t = { t, t } end return json.encode(t)");
    assert!(error.contains("grows larger than 16 MB"), "{error}");
}

#[test]
fn get_leads_to_one_place() {
    let text = r#"local v = json.decode('{"a":{"b":[10,20,{"c.d":"x"}]},"é":1}')"#;
    for (path, expected) in [
        ("$.a.b[0]", "10"),
        ("$.a.b[-2]", "20"),
        ("$['a']['b'][2]['c.d']", "x"),
        ("$.a[\"b\"][1]", "20"),
        ("$.é", "1"),
        ("$.a.x.y", "nil"),
        ("$.a.b[9]", "nil"),
        ("$.a.b[-9]", "nil"),
        ("$.é.x", "nil"),
    ] {
        let path = path.replace('\'', "\\'");
        assert_eq!(eval::<String>(&format!("{text} return tostring(json.get(v, '{path}'))")), expected, "{path}");
    }
    for path in ["a", "$a", "$.", "$..a", "$.*", "$[*]", "$[a]", "$['a", "$['a'", "$[1", "$[?(@.a)]", "$[0:2]"] {
        let path = path.replace('\'', "\\'");
        assert!(fault(&format!("{text} json.get(v, '{path}')")).contains("json.get: "), "{path}");
    }
}

#[test]
fn a_secret_is_written_as_its_mark() {
    let lua = machine();
    let secret = crate::script::secret::Secret::new("KEY", "hunter2").push(&lua).unwrap();
    let text: String = lua.load("return json.encode { key = ... }").call(secret).unwrap();
    assert_eq!(text, r#"{"key":"<secret KEY>"}"#);
}

#[test]
fn misuse_says_what_was_given() {
    assert!(fault("json.decode(nil)").contains("bad argument #1 to `json.decode`: text expected, got nil"));
    assert!(fault("json.decode {}").contains("text expected, got table"));
    assert!(fault("json.array(table.freeze {})").contains("frozen"));
}
