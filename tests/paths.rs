//! One canonical path, used for matching and forwarding alike (S-10, U-67 to U-69).

use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;
use crate::support::upstream::Upstream;

fn guarded(path: &str) -> (Upstream, Gateway) {
    let service = upstream::answers(|seen| upstream::ok(&seen.target));
    let gateway = gateway::script(
        r#"
        gateway { limits = { path = "$PATH" } }
        route "/admin/{rest*}" { function() return 403 end }
        route "/echo/{rest*}" { function(req) return { json = { path = req.path, raw = req.raw_path, rest = req.params.rest } } end }
        route "/{rest*}" { to = "service" }
        "#,
    )
    .with("$PATH", path)
    .service("service", &service)
    .start();
    (service, gateway)
}

#[test]
fn no_spelling_of_a_guarded_path_gets_past_the_guard() {
    for policy in ["reject", "keep", "decode"] {
        let (_service, gateway) = guarded(policy);
        for target in [
            "/admin",
            "/admin/",
            "/admin/x",
            "/%61dmin/x",
            "/%61%64%6D%69%6E/x",
            "/a/../admin/x",
            "/./admin/x",
            "/a/%2e%2e/admin/x",
            "/a/%2E./admin/x",
            "/a/b/../../admin/x",
            "/../admin/x",
            "/admin/../admin/x",
            "/x/..%2fadmin/x",
            "/x/..%5cadmin/x",
            "/x/..\\admin/x",
            "/x;/../admin/x",
            "/x%00/../admin/x",
            "/x;a=b/../admin/x",
            "/x/..;/admin/x",
            "/x/..;a=b/admin/x",
            "/%2e%2e;/admin/x",
            "/x//../admin/x",
            "/x/%252e%252e/admin/x",
            "/%2561dmin/x",
            "/x/%25%32%65%25%32%65/admin/x",
            "/x/..%252fadmin/x",
            "/x/%c0%ae%c0%ae/admin/x",
            "/x/..%c0%afadmin/x",
            "/x\\..\\admin/x",
            "/x/.%2e\\admin/x",
            "http://x/admin/x",
            "http://x/a/%2e%2e/admin/x",
        ] {
            let answer = gateway.get(target);
            if answer.status == 200 {
                // Then what was sent on must not be something a server could take for /admin.
                let mut sent = answer.text().to_lowercase().replace("%2e", ".");
                if policy != "keep" {
                    sent = sent.replace("%2f", "/").replace("%5c", "/").replace('\\', "/");
                }
                let resolved = resolve(&sent);
                assert!(!resolved.starts_with("/admin"), "{policy}: {target} was forwarded as {}", answer.text());
            } else {
                assert!(matches!(answer.status, 400 | 403), "{policy}: {target} gave {}", answer.status);
            }
        }
    }
}

#[test]
fn the_service_sees_the_path_that_was_matched() {
    let pieces = [
        "/", "//", "a", "..", ".", "%2e", "%2E%2e", "%2f", "%5C", "\\", ";", ";x=1", "%25", "2e", "%00", "%c0%ae", "ä",
    ];
    let service = upstream::answers(|seen| upstream::ok(&seen.target));
    for policy in ["reject", "keep", "decode"] {
        let script = r#"
            gateway { limits = { path = "$PATH" } }
            route "/{rest*}" { function(req) req.headers["x-matched"] = req.path end, to = "service" }
        "#;
        let gateway = gateway::script(script).with("$PATH", policy).service("service", &service).start();
        let mut client = gateway.client();
        let mut dice = 7_u64;
        for _ in 0..600 {
            let mut target = "/".to_owned();
            for _ in 0..6 {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                target.push_str(pieces[usize::try_from(dice >> 33).unwrap() % pieces.len()]);
            }
            let answer = client.get(&target);
            if answer.header("connection") == Some("close") {
                client = gateway.client();
            }
            if answer.status != 200 {
                assert_eq!(answer.status, 400, "{policy} {target}: {answer:?}");
                continue;
            }
            let seen = service.last();
            assert_eq!(seen.header("x-matched"), Some(seen.target.as_str()), "{policy} {target}");
            let parts = seen.target.split('/').any(|part| matches!(part, "." | ".."));
            assert!(!parts && answer.text() == seen.target, "{policy} {target} became {}", seen.target);
        }
    }
}

/// What a lenient server makes of a path.
fn resolve(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[test]
fn ambiguous_characters_are_rejected_by_default() {
    let (service, gateway) = guarded("reject");
    for target in ["/a%2Fb", "/a%2fb", "/a%5Cb", "/a\\b", "/a%00b", "/admin;x", "/admin;x/y", "/x/..;/admin"] {
        gateway.get(target).refused(400, "request.path");
    }
    assert_eq!(service.calls(), 0);
}

#[test]
fn keep_passes_them_as_they_are() {
    let (_service, gateway) = guarded("keep");
    for target in ["/a%2Fb", "/a;v=1/b", "/a//b"] {
        assert_eq!(gateway.get(target).with(200).text(), target);
    }
}

#[test]
fn unreserved_is_decoded_escapes_are_upper_case_and_the_rest_stays() {
    let (_service, gateway) = guarded("reject");
    for (asked, sent) in [
        ("/%7Euser", "/~user"),
        ("/a%c3%a4", "/a%C3%A4"),
        ("/a/./b/../c", "/a/c"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/a//b", "/a//b"),
        ("/a+b", "/a+b"),
        ("/a%20b", "/a%20b"),
        ("/a:b@c", "/a:b@c"),
        ("/a?x=/../%2F", "/a?x=/../%2F"),
    ] {
        assert_eq!(gateway.get(asked).with(200).text(), sent, "{asked}");
    }
    let seen = gateway.get("/echo/%7Ea/../b%20c").json();
    assert_eq!(seen, serde_json::json!({ "path": "/echo/b%20c", "raw": "/echo/%7Ea/../b%20c", "rest": "b c" }));
}
