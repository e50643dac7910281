//! Graceful stop: ready no more, accept on, finish what is under way, then leave; a second signal leaves at once (U-77).

use std::time::Duration;

use rustix::process::Signal;

use crate::support::binary;
use crate::support::gateway;
use crate::support::upstream;
use crate::support::wait;

#[test]
fn requests_in_flight_finish_and_the_exit_is_clean() {
    let service = upstream::serve(|conn| {
        while conn.request().is_some() {
            std::thread::park_timeout(Duration::from_millis(400));
            conn.send(upstream::ok("finished"));
        }
    });
    let mut gateway =
        binary::script(r#"gateway { drain = { delay = "0s", max = "10s" } } route "/" { to = "service" }"#)
            .service("service", &service)
            .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    wait::until("it is in flight", || service.calls() == 1);
    let mut idle = gateway.client();
    gateway.signal(Signal::TERM);
    let answer = client.answer();
    assert_eq!((answer.text(), answer.header("connection")), ("finished", Some("close")));
    assert!(client.closed() && idle.closed());
    assert_eq!(gateway.ended(), Some(0));
}

#[test]
fn during_the_delay_it_serves_on_but_is_not_ready() {
    let mut gateway = binary::script(
        r#"gateway { drain = { delay = "1500ms", max = "5s" } } route "/" { function() return 204 end }"#,
    )
    .start();
    let mut kept = gateway.client();
    kept.get("/").with(204);
    assert_eq!(gateway.admin().get("/readyz").status, 200);
    gateway.signal(Signal::TERM);
    wait::until("readiness is 503", || gateway.admin().get("/readyz").status == 503);
    assert_eq!(gateway.admin().get("/livez").status, 200);
    assert_eq!(gateway.client().get("/").status, 204, "new connections are accepted while load balancers look away");
    let answer = kept.get("/").with(204);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(gateway.ended(), Some(0));
}

#[test]
fn what_does_not_finish_is_cut_at_the_deadline() {
    let service = upstream::serve(|conn| {
        conn.request();
        conn.linger();
    });
    let mut gateway =
        binary::script(r#"gateway { drain = { delay = "0s", max = "500ms" } } route "/" { to = "service" }"#)
            .service("service", &service)
            .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    wait::until("it is in flight", || service.calls() == 1);
    let watch = wait::Stopwatch::start();
    gateway.signal(Signal::INT);
    gateway.ended();
    assert!(watch.elapsed() < Duration::from_secs(5), "{:?}", watch.elapsed());
    assert!(client.closed() || client.rest().starts_with(b"HTTP/1.1 50"));
}

#[test]
fn a_second_signal_stops_at_once() {
    let service = upstream::serve(|conn| {
        conn.request();
        conn.linger();
    });
    let mut gateway =
        binary::script(r#"gateway { drain = { delay = "30s", max = "30s" } } route "/" { to = "service" }"#)
            .service("service", &service)
            .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    wait::until("it is in flight", || service.calls() == 1);
    gateway.signal(Signal::TERM);
    wait::until("draining has begun", || gateway.admin().get("/readyz").status == 503);
    gateway.signal(Signal::TERM);
    let watch = wait::Stopwatch::start();
    gateway.ended();
    assert!(watch.elapsed() < Duration::from_secs(3), "{:?}", watch.elapsed());
    assert!(gateway.output().contains("told twice, leaving at once"), "{}", gateway.output());
}

#[test]
fn a_second_signal_with_nothing_under_way_is_no_cause_for_a_warning() {
    let mut gateway =
        binary::script(r#"gateway { drain = { delay = "30s", max = "30s" } } route "/" { function() return 204 end }"#)
            .start();
    let mut idle = gateway.client();
    idle.get("/").with(204);
    gateway.signal(Signal::TERM);
    wait::until("draining has begun", || gateway.admin().get("/readyz").status == 503);
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.ended(), Some(0));
    assert!(idle.closed());
    assert!(gateway.output().contains("told twice, leaving at once"), "{}", gateway.output());
    assert!(!gateway.output().contains("still under way"), "{}", gateway.output());
}

#[test]
fn spawned_work_and_on_log_are_drained() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        gateway { drain = { delay = "0s", max = "5s" }, on_log = function(req) fetch "service/log" end }
        route "GET /" { function() spawn(function() sleep "200ms" fetch "service/spawned" end) return 204 end }
        on("stop", function() fetch "service/stop" end)
        "#,
    )
    .service("service", &service)
    .start();
    gateway.get("/").with(204);
    gateway.stop();
    let mut targets: Vec<_> = service.seen().into_iter().map(|seen| seen.target).collect();
    targets.sort();
    assert_eq!(targets, ["/log", "/spawned", "/stop"]);
}

#[test]
fn a_taken_port_is_exit_1_naming_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = crate::support::temp::Dir::new();
    dir.write("gateway.lua", r#"route "/" { function() return 204 end }"#);
    let output = binary::run(dir.path(), &["run", "--listen", &address, "--admin", "off"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address), "{output:?}");
}
