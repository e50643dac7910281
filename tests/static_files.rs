//! `static`: files of a folder, their conditions and ranges, and no way out of it.

use std::os::unix::fs::symlink;

use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::wait;

fn site(options: &str) -> Gateway {
    let setup = gateway::script(&format!(
        r#"
        route "GET /files/{{rest*}}" {{ static "public" {{ {options} }}, function() return {{ text = "the next step" }} end }}
        route "/favicon.ico" {{ static "public" }}
        "#
    ));
    for (name, text) in [
        ("public/index.html", "<h1>home</h1>"),
        ("public/app.js", "plain();"),
        ("public/app.js.gz", "coded"),
        ("public/sub/index.html", "sub"),
        ("public/sub/ä b.txt", "spaced"),
        ("public/favicon.ico", "icon"),
        ("public/.env", "hidden"),
        ("outside.txt", "outside"),
    ] {
        setup.dir().write(name, text);
    }
    let public = setup.dir().join("public");
    symlink("../outside.txt", public.join("out.txt")).unwrap();
    std::fs::write(public.join("large.bin"), (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>())
        .unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, public.join("pipe"), rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    setup.start()
}

#[test]
fn files_come_with_type_validators_and_index() {
    let gateway = site(r#"cache_control = "max-age=60""#);
    let script = gateway.get("/files/app.js").with(200);
    assert_eq!((script.text(), script.header("content-type")), ("plain();", Some("text/javascript; charset=utf-8")));
    assert_eq!((script.header("accept-ranges"), script.header("cache-control")), (Some("bytes"), Some("max-age=60")));
    assert_eq!(script.header("content-length"), Some("8"));
    let (tag, date) = (script.header("etag").unwrap(), script.header("last-modified").unwrap());
    for condition in [("if-none-match", tag), ("if-modified-since", date)] {
        let unchanged = gateway.call("GET", "/files/app.js", &[condition], "").with(304);
        assert!(unchanged.body.is_empty() && unchanged.header("etag") == Some(tag), "{condition:?}");
    }
    gateway.call("GET", "/files/app.js", &[("if-match", "\"other\"")], "").with(412);
    let head = gateway.call("HEAD", "/files/large.bin", &[], "").with(200);
    assert_eq!((head.header("content-length"), head.body.len()), (Some("4000000"), 0));
    for (target, text) in [
        ("/files/", "<h1>home</h1>"),
        ("/files/sub/", "sub"),
        ("/files/sub/%C3%A4%20b.txt", "spaced"),
        ("/favicon.ico", "icon"),
        ("/files/sub/../app.js", "plain();"),
    ] {
        assert_eq!(gateway.get(target).with(200).text(), text, "{target}");
    }
    for (target, location) in [("/files/sub?a=1", "/files/sub/?a=1"), ("/files", "/files/")] {
        assert_eq!(gateway.get(target).with(308).header("location"), Some(location), "{target}");
    }
    let posted = gateway.call("POST", "/favicon.ico", &[], "x").with(405);
    assert_eq!(posted.header("allow"), Some("GET, HEAD"));
}

#[test]
fn ranges_are_parts_of_the_file_as_it_is() {
    let gateway = site("");
    let range = |fields: &[(&str, &str)]| gateway.call("GET", "/files/large.bin", fields, "");
    let part = range(&[("range", "bytes=1048570-1048581")]).with(206);
    assert_eq!(part.header("content-range"), Some("bytes 1048570-1048581/4000000"));
    let whole: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    assert_eq!(part.body, whole[1_048_570..1_048_582]);
    assert_eq!(range(&[("range", "bytes=-500000")]).with(206).body, whole[3_500_000..]);
    let beyond = range(&[("range", "bytes=4000000-")]).with(416);
    assert_eq!(beyond.header("content-range"), Some("bytes */4000000"));
    assert_eq!(range(&[("range", "bytes=0-1,5-6")]).with(200).body.len(), 4_000_000, "several: the whole");
    let stale = range(&[("range", "bytes=0-1"), ("if-range", "\"stale\"")]).with(200);
    assert_eq!(stale.body, whole);
    let tag = stale.header("etag").unwrap().to_owned();
    range(&[("range", "bytes=0-1"), ("if-range", &tag)]).with(206);
}

#[test]
fn nothing_outside_the_folder_is_served() {
    let gateway = site("");
    let long = format!("/files/{}", "a".repeat(300));
    for target in [
        "/files/../outside.txt",
        "/files/%2e%2e/outside.txt",
        "/files/..%2foutside.txt",
        "/files/sub/%2e%2e/%2e%2e/outside.txt",
        "/files/..%5coutside.txt",
        "/files//etc/passwd",
        "/files/%00",
        "/files/app.js%00.png",
        "/files/app.js%0d%0a",
        "/files/out.txt",
        "/files/.env",
        "/files/%2eenv",
        "/files/pipe",
        "/files/app.js/",
        "/files/none",
        &long,
    ] {
        let answer = gateway.get(target);
        assert!(answer.status == 404 || answer.status == 400, "{target}: {answer:?}");
        assert!(!answer.body.windows(7).any(|part| part == b"outside"), "{target}");
    }
    gateway.get("/files/none").refused(404, "route.none");
    assert_eq!(gateway.get("/files/app.js").text(), "plain();");
}

#[test]
fn where_there_is_no_file_another_answers() {
    let pass = site(r#"missing = "pass""#);
    assert_eq!(pass.get("/files/none").text(), "the next step");
    assert_eq!(pass.get("/files/.env").text(), "the next step");
    assert_eq!(pass.get("/files/app.js").text(), "plain();");
    let app = site(r#"fallback = "index.html", precompressed = true"#);
    assert_eq!(app.get("/files/deep/link").with(200).text(), "<h1>home</h1>");
    let coded = app.call("GET", "/files/app.js", &[("accept-encoding", "gzip, br")], "").with(200);
    assert_eq!((coded.text(), coded.header("content-encoding")), ("coded", Some("gzip")));
    assert_eq!(coded.header("content-type"), Some("text/javascript; charset=utf-8"));
    let plain = app.get("/files/app.js").with(200);
    assert_eq!((plain.text(), plain.header("vary")), ("plain();", Some("Accept-Encoding")));
    assert_ne!(plain.header("etag"), coded.header("etag"));
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_breaks_off() {
    let gateway = site("");
    let path = gateway.dir().join("public/huge.bin");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(64 << 20).unwrap();
    let mut client = gateway.client();
    client.send("GET /files/huge.bin HTTP/1.1\r\nhost: a\r\n\r\n");
    let (answer, _) = client.head();
    assert_eq!(answer.header("content-length"), Some("67108864"));
    file.set_len(1 << 20).unwrap();
    assert!(client.rest().len() < 64 << 20, "it looked complete");
    gateway.get("/files/huge.bin").with(200);
}

#[test]
fn a_client_that_leaves_in_the_middle_is_no_trouble() {
    let gateway = site("");
    let file = std::fs::File::create(gateway.dir().join("public/huge.bin")).unwrap();
    file.set_len(1 << 30).unwrap();
    for _ in 0..5 {
        let mut client = gateway.client();
        client.send("GET /files/huge.bin HTTP/1.1\r\nhost: a\r\n\r\n");
        client.head();
    }
    gateway.get("/files/app.js").with(200);
    wait::until("they are gone", || gateway.metric("http_server_active_requests") == 0.0);
}
