//! Forgetting from outside: `moongate purge`, and keys as the admin listener takes them.

use std::process::Output;

use crate::caching::counting;
use crate::support::answer::Answer;
use crate::support::binary;
use crate::support::binary::Binary;
use crate::support::gateway;
use crate::support::temp::Dir;
use crate::support::upstream;

const SCRIPT: &str = r#"
    gateway { admin = { "127.0.0.1:0", token = secret "ADMIN" } }
    cache.space "big" { max = "1MB" }
    route "GET /own/{id}" { cache { "1h", key = "p{id}" }, to = "s" }
    route "GET /big/{rest*}" { cache { "1h", space = "big", tags = "big" }, to = "s" }
    route "GET /{rest*}" { cache { "1h", tags = { "t:{path}", "all" } }, to = "s" }
"#;

fn purge(gateway: &Binary, token: &str, arguments: &[&str]) -> Output {
    let mut command = binary::command();
    command.env("MOONGATE_ADMIN", gateway.admin_address().to_string()).env("MOONGATE_ADMIN_TOKEN", token);
    command.arg("purge").args(arguments).output().unwrap()
}

fn hit(answer: &Answer) -> bool {
    answer.header("cache-status").unwrap().starts_with("moongate; hit")
}

#[test]
fn the_command_line_tells_a_running_gateway_what_to_forget() {
    let service = counting(&[]);
    let gateway = binary::script(SCRIPT)
        .service("s", &service)
        .file("admin.env", "ADMIN=s3cret")
        .argument("--env-file")
        .argument("$DIR/admin.env")
        .start();
    let mut client = gateway.client().host("x");
    let targets = ["/a", "/b/c", "/own/1", "/big/a"];
    let mut kept = |arguments: &[&str]| {
        for target in targets {
            client.get(target).with(200);
        }
        let output = purge(&gateway, "s3cret", arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?} {output:?}");
        assert!(
            output.stdout.starts_with(if arguments.contains(&"--json") { b"{" } else { b"purged in " }),
            "{output:?}"
        );
        targets.map(|target| hit(&client.get(target)))
    };
    assert_eq!(kept(&["t:/a", "--hard"]), [false, true, true, true]);
    assert_eq!(kept(&["t:/a", "t:/b/c", "--hard", "--json"]), [false, false, true, true]);
    assert_eq!(kept(&["--key", "p1", "--hard"]), [true, true, false, true], "a key of the route's own");
    assert_eq!(kept(&["--key", "http://x/a"]), [false, true, true, true], "an address");
    assert_eq!(kept(&["--prefix", "/b", "--hard"]), [true, false, true, false]);
    assert_eq!(kept(&["--prefix", "/b", "--hard", "--space", "main"]), [true, false, true, true]);
    assert_eq!(kept(&["--all", "--hard", "--space", "big"]), [true, true, true, false]);
    assert_eq!(kept(&["--all", "--hard"]), [false; 4]);
    assert_eq!(kept(&["odd tag & more=1", "--hard"]), [true; 4]);
}

#[test]
fn a_purge_that_cannot_be_done_says_why() {
    let service = counting(&[]);
    let gateway = binary::script(SCRIPT)
        .service("s", &service)
        .file("admin.env", "ADMIN=s3cret")
        .argument("--env-file")
        .argument("$DIR/admin.env")
        .start();
    gateway.client().host("x").get("/a").with(200);
    let says = |output: Output, code: i32, what: &str| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && text.contains(what), "{output:?}");
        assert!(!text.contains("s3cret"));
    };
    says(purge(&gateway, "wrong", &["--all"]), 1, "$MOONGATE_ADMIN_TOKEN");
    says(purge(&gateway, "", &["--all"]), 1, "$MOONGATE_ADMIN_TOKEN");
    says(purge(&gateway, "s3cret\r\nx: y", &["--all"]), 1, "no field can carry");
    says(purge(&gateway, "s3cret", &["--all", "--space", "none"]), 1, "there is no cache space `none`");
    says(purge(&gateway, "s3cret", &["--hard"]), 2, "say what to forget");
    let nobody = upstream::nobody().to_string();
    says(purge(&gateway, "s3cret", &["--all", "--admin", &nobody]), 1, "does not answer");
    says(purge(&gateway, "s3cret", &["--all", "--admin", "nonsense"]), 1, "--admin");
    let stranger = upstream::serve(|conn| {
        if conn.request().is_some() {
            conn.send("SSH-2.0-nonsense\r\n");
        }
    });
    says(purge(&gateway, "s3cret", &["--all", "--admin", &stranger.address().to_string()]), 1, "no admin listener");
    assert!(hit(&gateway.client().host("x").get("/a")), "nothing was forgotten");
    assert_eq!(binary::run(Dir::new().path(), &["purge", "--help"]).status.code(), Some(0));
}

#[test]
fn keys_name_answers_of_every_variant_and_values() {
    let service = upstream::answers(|seen| {
        let fields = [("vary", "accept-language")];
        upstream::answer(200, &fields, seen.header("accept-language").unwrap_or("none"))
    });
    let script = r#"
        on("purge", function(event) log.info("purged " .. json.encode(event.keys)) end)
        route "GET /purge" { function(req) return { text = tostring(cache.purge { key = req.query.key, hard = true }) } end }
        route "GET /value" { function() return { text = cache.remember("k", "1h", function() return uuid() end) } end }
        route "GET /own/{id}" { cache { "1h", key = "p{id}" }, to = "s" }
        route "GET /{rest*}" { cache { "1h" }, to = "s" }"#;
    let gateway = gateway::script(script).service("s", &service).start();
    let ask = |target: &str, language: &str| hit(&gateway.call("GET", target, &[("accept-language", language)], ""));
    for target in ["/own/1", "/own/2", "/a"] {
        assert!(!ask(target, "de") && !ask(target, "en") && ask(target, "de") && ask(target, "en"), "{target}");
    }
    let value = gateway.get("/value").text().to_owned();
    assert_eq!(gateway.get("/value").text(), value);
    assert_eq!(gateway.get("/purge?key=p1").text(), "1");
    assert!(!ask("/own/1", "de") && !ask("/own/1", "en") && ask("/own/2", "de") && ask("/a", "de"));
    assert_eq!(gateway.admin().call("POST", "/purge?key=http://test.local/a", &[], "").with(200).at("/purges"), 1);
    assert!(!ask("/a", "de") && !ask("/a", "en") && ask("/own/2", "de"));
    assert_eq!(gateway.get("/value").text(), value);
    gateway.get("/purge?key=k").with(200);
    assert_ne!(gateway.get("/value").text(), value);
}
