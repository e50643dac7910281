//! `echo:`, the built-in service: answers with the request it got.

use crate::support::gateway;

#[test]
fn it_answers_with_the_request_as_json() {
    let gateway = gateway::script(
        r#"
        upstream "echo" { "echo:" }
        route "/named/{rest*}" { strip_prefix = "/named", to = "echo" }
        route "/direct/{rest*}" { to = "echo:" }
        "#,
    )
    .start();
    let answer =
        gateway.call("POST", "/named/a?b=1", &[("x-mine", "1"), ("content-type", "text/plain")], "hello").with(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let echoed = answer.json();
    assert_eq!(
        (&echoed["method"], &echoed["path"], &echoed["body"]),
        (&"POST".into(), &"/a".into(), &"hello".into()),
        "{echoed}"
    );
    assert_eq!(echoed["query"]["b"], "1");
    assert_eq!(answer.echoed("x-mine").as_deref(), Some("1"));
    assert_eq!(answer.echoed("via").as_deref(), Some("1.1 moongate"));
    gateway.get("/direct/x").with(200);
    assert_eq!(gateway.call("HEAD", "/direct/x", &[], "").with(200).body.len(), 0);
}

#[test]
fn bytes_that_are_no_text_and_large_bodies_stay_json() {
    let gateway = gateway::script(r#"route "/" { to = "echo:" }"#).start();
    gateway.call("POST", "/", &[], [0xff, 0xfe, 0x00, b'"']).with(200).json();
    let answer = gateway.call("POST", "/", &[], vec![b'x'; 200_000]);
    if answer.status == 200 {
        assert_eq!(answer.at("/body").as_str().map(str::len), Some(200_000));
    }
}
