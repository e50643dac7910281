//! `require`, `include`, `env`, `secret`, `file`: what a script may read, and what never leaves it.

use crate::support::binary;
use crate::support::gateway;

#[test]
fn modules_are_found_beside_the_file_then_at_the_root_and_never_outside() {
    let gateway = gateway::script(
        r#"
        local a = require "policies.auth"
        local b = require "./policies/auth"
        local words = require "moongate"
        words.route "GET /" { function() return { text = a.name .. tostring(a == b) .. a.inner } end }
        "#,
    )
    .file("policies/auth.lua", r#"return { name = "auth", inner = require "./inner" }"#)
    .file("policies/inner.lua", r#"return "inner""#)
    .start();
    assert_eq!(gateway.get("/").text(), "authtrueinner");
    let outside = std::env::temp_dir().join(format!("moongate-outside-{}.lua", std::process::id()));
    std::fs::write(&outside, "return 1").unwrap();
    let name = outside.file_stem().unwrap().to_string_lossy().into_owned();
    for path in [
        format!("../{name}"),
        format!("./../{name}"),
        outside.with_extension("").to_string_lossy().into_owned(),
        "policies/../../x".into(),
    ] {
        let error =
            gateway::script(&format!("local x = require {path:?}")).file("policies/a.lua", "").try_start().err();
        assert!(error.is_some(), "{path} was read");
    }
    std::fs::remove_file(outside).unwrap();
    let error = gateway::script(r#"require "./a""#)
        .file("a.lua", r#"return require "./b""#)
        .file("b.lua", r#"return require "./a""#)
        .try_start()
        .err()
        .unwrap();
    assert!(error.contains(".lua"), "{error}");
}

#[test]
fn a_symlink_out_of_the_folder_is_not_followed() {
    let gateway = gateway::script(
        r#"local ok, v = pcall(file, "link") route "GET /" { function() return { text = tostring(v) } end }"#,
    );
    std::os::unix::fs::symlink("/etc/passwd", gateway.dir().join("link")).unwrap();
    if let Ok(gateway) = gateway.try_start() {
        assert!(!gateway.get("/").text().contains("root:"));
    }
}

#[test]
fn env_and_files_come_from_the_snapshot_of_the_load() {
    let gateway = gateway::script(
        r#"
        local text = file "greeting.txt"
        route "GET /" { function() return { text = text .. " " .. tostring(env.SHOP) .. " " .. tostring(env.UNSET) } end }
        "#,
    )
    .file("greeting.txt", "hello")
    .env("SHOP", "bikes")
    .start();
    assert_eq!(gateway.get("/").text(), "hello bikes nil");
    let error = gateway::script(r#"local k = secret "NOWHERE""#).try_start().err().expect("a missing secret");
    assert!(error.contains("NOWHERE") && error.contains("gateway.lua:1"), "{error}");
}

#[test]
fn a_secret_works_and_is_never_shown() {
    let gateway = binary::script(
        r#"
        local key = secret "API_KEY"
        route "GET /equal" { function(req) return crypto.equal(req.headers["x-key"] or "", key) and 204 or 401 end }
        route "GET /json" { function() return { json = { key = key } } end }
        route "GET /text" { function() return { text = tostring(key) } end }
        route "GET /header" { function() return { text = "", headers = { ["x-key"] = `{key}` } } end }
        route "GET /log" { function() log.info("the key", { key = key }) print(key) return 204 end }
        route "GET /error" { function() error("with " .. tostring(key)) end }
        route "GET /echo" { function(req) req.headers["x-sent"] = key end, to = "echo:" }
        "#,
    )
    .file(".env", "API_KEY=s3cr3t-value")
    .argument("--env-file")
    .argument("$DIR/.env")
    .argument("--dev")
    .start();
    let mut client = gateway.client();
    assert_eq!(client.call("GET", "/equal", &[("x-key", "s3cr3t-value")], "").status, 204);
    assert_eq!(client.call("GET", "/equal", &[("x-key", "wrong")], "").status, 401);
    for target in ["/json", "/text", "/header", "/log", "/error"] {
        let answer = client.get(target);
        assert!(
            !format!("{answer:?}{}", String::from_utf8_lossy(&answer.body)).contains("s3cr3t"),
            "{target}: {answer:?}"
        );
    }
    assert_eq!(client.get("/echo").echoed("x-sent").as_deref(), Some("s3cr3t-value"), "it works wherever text does");
    assert!(!gateway.admin().get("/state").text().contains("s3cr3t"));
    assert!(!gateway.output().contains("s3cr3t"), "{}", gateway.output());
    gateway.logs("<secret API_KEY>");
}
