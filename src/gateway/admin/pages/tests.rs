//! Who gets which page, and what it says.

use std::time::Duration;

use super::*;
use crate::http::Method;
use crate::plan::Plan;

fn request(method: &str, path: &str) -> Request {
    Request { method: Method::of(method), path: path.into(), host: "localhost:9901".into(), ..Request::default() }
}

fn desk() -> Desk {
    let metrics = Registry::default();
    Desk {
        live: Arc::default(),
        clock: Clock::fake(Duration::from_secs(1_800_000_000)),
        status: Arc::new(Status::new(&metrics)),
        metrics,
        file: "gateway.lua".into(),
        workers: 2,
        listeners: Mutex::new(vec![":8080".into()]),
        hosts: Mutex::default(),
        generations: Mutex::default(),
        watches: OnceLock::new(),
    }
}

fn body(mut answer: Response) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    String::from_utf8(runtime.block_on(answer.body.collect(1 << 20)).unwrap().to_vec()).unwrap()
}

fn status(request: &Request, token: Option<&str>) -> u16 {
    page(request, token).map_or_else(|answer| answer.status, |_| 200)
}

#[test]
fn each_page_has_its_method() {
    assert_eq!(status(&request("GET", "/state"), None), 200);
    assert_eq!(status(&request("HEAD", "/metrics"), None), 200);
    assert_eq!(status(&request("POST", "/reload"), None), 200);
    assert_eq!(status(&request("GET", "/reload"), None), 405, "a link must not reload");
    assert_eq!(status(&request("POST", "/state"), None), 405);
    assert_eq!(status(&request("GET", "/etc/passwd"), None), 404);
}

#[test]
fn a_page_of_another_site_cannot_reload() {
    let mut foreign = request("POST", "/reload");
    foreign.headers.set("origin", "http://evil.example");
    assert_eq!(status(&foreign, None), 403);
    let rebound = Request { host: "evil.example:9901".into(), ..request("GET", "/state") };
    assert_eq!(status(&rebound, None), 403);
}

#[test]
fn with_a_token_probes_alone_are_open() {
    let from_afar = |path| Request { host: "10.0.0.7:9901".into(), ..request("GET", path) };
    assert_eq!(status(&from_afar("/readyz"), Some("t")), 200);
    assert_eq!(status(&from_afar("/livez"), Some("t")), 200);
    assert_eq!(status(&from_afar("/metrics"), Some("t")), 401);
    let mut known = from_afar("/metrics");
    known.headers.set("authorization", "Bearer t");
    assert_eq!(status(&known, Some("t")), 200);
}

#[test]
fn readiness_follows_the_gateway() {
    let desk = desk();
    assert_eq!(desk.sheet(Page::Ready, true).status, 503, "nothing loaded yet");
    desk.status.took_over(1, "abc", Arc::default(), Duration::from_secs(7), false);
    assert_eq!(desk.sheet(Page::Ready, true).status, 200);
    desk.status.failed("error: no", Value::Null, Duration::from_secs(9));
    let broken = desk.sheet(Page::Ready, true).into_response();
    assert_eq!(broken.status, 200, "a broken file does not interrupt service");
    let told = body(broken);
    assert!(told.contains(r#""last_reload":"failed""#) && told.contains("error: no"), "{told}");
    assert!(!body(desk.sheet(Page::Ready, false).into_response()).contains("error: no"), "strangers learn no reasons");
    desk.status.drain();
    assert_eq!(desk.sheet(Page::Ready, true).status, 503);
    assert_eq!(desk.sheet(Page::Live, true).status, 200);
}

#[test]
fn the_state_names_the_last_failure_until_it_is_over() {
    let desk = desk();
    let plan = Plan { upstreams: Vec::new(), ..Plan::default() };
    desk.status.took_over(3, "abc", Arc::new(plan), Duration::from_secs(7), false);
    desk.status.failed("error: unknown word", Value::Null, Duration::from_secs(9));
    let state = desk.state();
    assert_eq!(state["generation"], 3);
    assert_eq!(state["listeners"][0], ":8080");
    assert_eq!(state["last_failure"]["text"], "error: unknown word");
    desk.status.restored();
    assert_eq!(desk.state()["last_failure"], Value::Null);
}

#[test]
fn metrics_tell_the_generation_and_the_last_result() {
    let desk = desk();
    desk.status.took_over(4, "abc", Arc::default(), Duration::ZERO, false);
    desk.status.failed("error", Value::Null, Duration::ZERO);
    let text = body(desk.sheet(Page::Metrics, true).into_response());
    for line in [
        "moongate_config_generation 4",
        "moongate_config_last_reload_success 0",
        "moongate_config_reloads_total{result=\"failed\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_reload_answers_with_the_generation_or_the_fault() {
    assert_eq!(body(reloaded(Ok(8))), "{\"generation\":8}\n");
    let failed = reloaded(Err("error: unknown option `x`".into()));
    assert_eq!(failed.status, 422);
    assert!(body(failed).contains("unknown option `x`"));
}
