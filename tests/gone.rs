//! A client that leaves: its upstream work is cancelled, a half-close is no leave, neighbours notice nothing.

use std::time::Duration;

use crate::support::gateway;
use crate::support::upstream;
use crate::support::wait;

#[test]
fn a_reset_before_the_answer_cancels_the_upstream() {
    let service = upstream::serve(|conn| {
        if conn.request().is_some() {
            conn.linger();
        }
    });
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    wait::until("the call is under way", || service.open() == 1 && service.calls() == 1);
    client.reset();
    wait::until("the upstream connection is closed", || service.open() == 0);
}

#[test]
fn a_reset_while_the_answer_streams_cancels_the_upstream() {
    let service = upstream::serve(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while conn.send("1000\r\n") && conn.send(vec![b'x'; 4096]) && conn.send("\r\n") {}
    });
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    client.head();
    client.exactly(100_000);
    client.reset();
    wait::until("the upstream connection is closed", || service.open() == 0);
}

#[test]
fn a_half_close_still_gets_its_answer() {
    let service = upstream::serve(|conn| {
        conn.request();
        std::thread::park_timeout(Duration::from_millis(50));
        conn.send(upstream::ok("late"));
        conn.linger();
    });
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    client.half_close();
    assert_eq!(client.answer().text(), "late");
    assert!(client.closed());
}

#[test]
fn a_step_that_waits_is_dropped_with_its_client_and_on_log_says_499() {
    let service = upstream::serve(|conn| {
        if conn.request().is_some() {
            conn.linger();
        }
    });
    let gateway = gateway::script(
        r#"
        local seen = store "seen" {}
        gateway { on_log = function(req, res) if req.path == "/wait" then seen:set("status", res.status) end end }
        route "GET /wait" { function(req) fetch "service/x" return 200 end }
        route "GET /seen" { function() return { text = tostring(seen:get "status") } end }
        "#,
    )
    .service("service", &service)
    .start();
    let mut client = gateway.client();
    client.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n");
    wait::until("the fetch is under way", || service.calls() == 1);
    client.reset();
    wait::until("the fetch is cancelled", || service.open() == 0);
    wait::until("on_log ran", || gateway.get("/seen").text() == "499");
}

#[test]
fn a_thousand_leavers_leave_nothing_behind() {
    let service = upstream::serve(|conn| {
        while let Some(seen) = conn.request() {
            if seen.target == "/stay" {
                conn.send(upstream::ok("ok"));
            }
        }
    });
    let gateway = gateway::before(&service);
    for _ in 0..1_000 {
        let mut client = gateway.client();
        client.send("GET /leave HTTP/1.1\r\nhost: x\r\n\r\n");
        client.reset();
    }
    assert_eq!(gateway.get("/stay").text(), "ok");
    wait::until("every upstream connection is closed or idle", || service.open() <= 1);
    assert_eq!(gateway.metric("http_server_active_requests"), 0.0);
}
