use serde_json::Value;
use serde_json::json;

use crate::http::Body;
use crate::http::Method;
use crate::upstream::Address;
use crate::upstream::HostConfig;
use crate::upstream::Outbound;
use crate::upstream::tests::backend::Gate;
use crate::upstream::tests::backend::get;
use crate::upstream::tests::backend::post;
use crate::upstream::tests::backend::run;
use crate::upstream::tests::backend::text;

fn echo() -> Gate {
    Gate::to(vec![HostConfig { address: Address::Echo, weight: 1, backup: false }])
}

async fn seen(outbound: Outbound) -> Value {
    let answer = echo().send(outbound).await.unwrap();
    assert_eq!(answer.response.headers.text("content-type"), Some("application/json"));
    serde_json::from_str(&text(answer).await.1).unwrap()
}

#[test]
fn it_answers_with_the_request_it_got() {
    run(async {
        let fields = b"Accept: a\r\nX-Two: 1\r\nx-two: 2\r\n".to_vec();
        let outbound = Outbound { fields, host: Some("users.dev".into()), ..get("/a/b?x=1&y=%20z&x=2") };
        let wanted = json!({
            "method": "GET", "path": "/a/b", "query": { "x": ["1", "2"], "y": " z" }, "host": "users.dev",
            "headers": { "accept": "a", "x-two": "1, 2" }, "body": "",
        });
        assert_eq!(seen(outbound).await, wanted);
        assert_eq!(seen(post("{\"a\":1}")).await["body"], "{\"a\":1}");
        assert_eq!(seen(post(vec![0xff, 0])).await["body_base64"], "/wA=");
    });
}

#[test]
fn a_large_body_is_read_whole_and_shown_in_part() {
    run(async {
        let seen = seen(post(vec![b'z'; 3 << 20])).await;
        assert_eq!((seen["body"].as_str().unwrap().len(), &seen["truncated"]), (1 << 20, &json!(true)));
    });
}

#[test]
fn head_gets_no_body_and_nothing_is_counted_as_connection() {
    run(async {
        let gate = echo();
        let answer = gate.send(Outbound { method: Method::Head, ..get("/") }).await.unwrap();
        assert!(matches!(answer.response.body, Body::Empty));
        assert_eq!((answer.response.host.as_deref(), gate.pools.count()), (Some("echo:"), (0, 0)));
    });
}
