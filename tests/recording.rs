//! A reload rehearsed: requests of a running gateway recorded, and played through scripts that are the same and that are not.

use std::process::Child;
use std::process::Stdio;

use serde_json::Value;

use crate::support::binary;
use crate::support::binary::Binary;
use crate::support::upstream;

const SCRIPT: &str = r#"
gateway { request_id {} }
local members = api_key { keys = { ["k-0123456789"] = { sub = "ann" } } }
route "/users/{id}" { members, function(req) req.headers["x-sub"] = req.user.sub end, to = "users" }
route "/down" { to = "none" }
route "/{rest*}" { mock { json = { fine = true } } }
upstream "none" { "NOBODY", retry = { times = 0 } }
"#;

fn record(gateway: &Binary, arguments: &[&str]) -> Child {
    let mut command = binary::command();
    command.env("MOONGATE_ADMIN", gateway.admin_address().to_string()).current_dir(gateway.dir().path());
    let child = command.arg("record").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It has begun once the gateway knows of it.
    while gateway.admin().get("/trace").json()["orders"].as_array().unwrap().is_empty() {
        std::thread::yield_now();
    }
    child
}

fn replay(gateway: &Binary, arguments: &[&str]) -> (i32, String) {
    let arguments = [&["replay"], arguments].concat();
    let output = binary::run(gateway.dir().path(), &arguments);
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.code().unwrap(), text)
}

#[test]
fn recorded_requests_show_what_another_script_would_change() {
    let service = upstream::answers(|seen| {
        upstream::answer(200, &[("content-type", "application/json")], format!("{{\"path\":\"{}\"}}", seen.target))
    });
    let script = SCRIPT.replace("NOBODY", &upstream::nobody().to_string());
    let gateway = binary::script(&script).service("users", &service).start();
    let child = record(&gateway, &["-n", "5", "--for", "60s", "-o", "kept.json"]);
    let mut client = gateway.client().host("x");
    let key = [("x-api-key", "k-0123456789"), ("content-type", "application/json")];
    client.call("POST", "/users/7?q=1", &key, r#"{"password":"hush","n":1}"#).with(200);
    client.get("/users/8").with(401);
    client.get("/other").with(200);
    client.get("/down").with(502);
    client.call("GET", "/users/9", &key, "").with(200);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "5 requests recorded to kept.json\n");
    let kept = gateway.dir().read("kept.json");
    for leak in ["k-0123456789", "hush"] {
        assert!(!kept.contains(leak), "{leak} is in\n{kept}");
    }
    let recording: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(recording["requests"][0]["user"]["sub"], "ann");
    assert_eq!(recording["requests"][0]["calls"][0]["answer"]["text"], r#"{"path":"/users/7?q=1"}"#);
    assert!(!gateway.admin().get("/trace").text().contains("\"records\""), "nothing is asked for any more");

    let same = replay(&gateway, &["kept.json"]);
    assert_eq!(same, (0, "5 the same, 0 would differ\n".to_owned()));

    let changed = gateway
        .dir()
        .read("gateway.lua")
        .replace("/users/{id}\" { members,", "/users/{id}\" { strip_prefix = \"/users\", ");
    let changed = changed.replace("req.user.sub end", "\"nobody\" end").replace("fine = true", "fine = false");
    gateway.dir().write("next.lua", &changed);
    let (code, said) = replay(&gateway, &["kept.json", "next.lua"]);
    assert_eq!(code, 1, "{said}");
    for part in [
        "POST /users/7?q=1 (",
        "call - users POST /users/7\n",
        "call + users POST /7\n",
        "status: 401 -> 404",
        r#"body: {"fine":true} -> {"fine":false}"#,
        "1 the same, 4 would differ",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let (_, json) = replay(&gateway, &["kept.json", "next.lua", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 5);
}

#[test]
fn what_is_no_recording_or_no_script_is_said() {
    let gateway = binary::script("route \"/{rest*}\" { mock {} }").start();
    for (name, text) in [("a.json", "x"), ("b.json", "{}"), ("c.json", r#"{"requests":[]}"#)] {
        gateway.dir().write(name, text);
        assert_eq!(replay(&gateway, &[name]).0, 1, "{name}");
    }
    gateway.dir().write(
        "d.json",
        r#"{"requests":[{}, null, 7, {"time":1e300}, {"time":-5,"request":{"method":"GET","target":"/"}}]}"#,
    );
    let (code, said) = replay(&gateway, &["d.json"]);
    assert!(code <= 1 && said.contains("not played"), "{said}");
    gateway.dir().write("broken.lua", "rout \"/\" {}");
    gateway.dir().write("e.json", r#"{"requests":[{"request":{"method":"GET","target":"/"}}]}"#);
    assert_eq!(replay(&gateway, &["e.json", "broken.lua"]).0, 3);
    assert_eq!(replay(&gateway, &["missing.json"]).0, 1);
}
