//! The data path over real sockets, with plain Rust hooks instead of a script.

use std::cell::RefCell;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use tokio::task::LocalSet;

use crate::clock::Alarm;
use crate::clock::Clock;
use crate::downstream::Peer;
use crate::downstream::Stream;
use crate::http::Response;
use crate::plan::HostRule;
use crate::plan::Plan;
use crate::plan::Route;
use crate::plan::To;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Hooks;
use crate::proxy::Run;
use crate::proxy::Shared;
use crate::proxy::Site;
use crate::proxy::Verdict;
use crate::proxy::Wants;
use crate::proxy::Worker;
use crate::proxy::serve;
use crate::route;
use crate::telemetry::AccessLog;
use crate::telemetry::metrics::Registry;
use crate::upstream;
use crate::upstream::Address;
use crate::upstream::HostConfig;
use crate::upstream::Upstream;

/// Hooks that note what they saw, refuse `/closed` and decorate every answer.
#[derive(Default)]
struct Plain(Rc<RefCell<Vec<String>>>);

impl Hooks for Plain {
    fn wants(&self, _route: Option<usize>) -> Wants {
        Wants { steps: true, on_response: true, on_error: true, on_log: true }
    }

    fn steps(&self, exchange: &Rc<Exchange>) -> Run<Verdict> {
        let path = exchange.request.borrow().path.clone();
        self.0.borrow_mut().push(format!("step {path}"));
        match path.as_str() {
            "/closed" => Run::Done(Verdict::Fail(Failure::new(Code::Rejected, "closed"))),
            "/late" => Run::Wait(Box::pin(async {
                tokio::task::yield_now().await;
                Verdict::Answer(Response::with(200, "text/plain", "late".to_owned()))
            })),
            _ => Run::Done(Verdict::Continue),
        }
    }

    fn on_response(&self, _exchange: &Rc<Exchange>, mut response: Response) -> Run<Response> {
        response.headers.set("x-seen", "yes");
        Run::Done(response)
    }

    fn on_log(&self, exchange: &Rc<Exchange>) {
        let record = exchange.record.borrow();
        self.0.borrow_mut().push(format!("log {} {:?}", record.status, record.reason));
    }
}

fn upstream(name: &str, address: Address) -> upstream::Config {
    upstream::Config::new(name, vec![HostConfig { address, weight: 1, backup: false }])
}

fn route(pattern: &str, methods: &[&str], to: Option<&str>) -> Route {
    Route {
        name: pattern.into(),
        pattern: pattern.into(),
        matcher: route::Config {
            methods: methods.iter().map(|&method| method.to_owned()).collect(),
            path: pattern.into(),
            ..Default::default()
        },
        to: to.map(|name| To::Upstream(name.into(), String::new())),
        host: HostRule::Auto,
        ..Route::default()
    }
}

/// Serves one connection with these routes; what the client got, and what the hooks saw.
fn talk(routes: Vec<Route>, client: impl FnOnce(SocketAddr) -> String + Send + 'static) -> (String, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let plan = Plan { routes, upstreams: vec![upstream("echo", Address::Echo)], ..Plan::default() };
        let worker = Worker::new(0, 1, Clock::real(), Registry::default(), AccessLog::default());
        let upstreams = plan
            .upstreams
            .iter()
            .map(|config| {
                let shared = upstream::Shared::new(config.clone(), None).unwrap();
                Rc::new(Upstream::new(shared, Rc::clone(&worker.pools)))
            })
            .collect();
        let seen = Rc::new(RefCell::new(Vec::new()));
        let table = Arc::new(plan.table().unwrap());
        let shared = Arc::new(Shared::build(Arc::new(plan), table, 1, false).unwrap());
        worker.switch(Rc::new(Site { shared, upstreams, hooks: Rc::new(Plain(Rc::clone(&seen))), watch: None }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = thread::spawn(move || client(address));
        let (stream, peer) = listener.accept().await.unwrap();
        serve(worker, Stream::Tcp(stream), Peer { address: Some(peer), local: Some(address) }).await;
        let got = client.join().unwrap();
        let seen = seen.borrow().clone();
        (got, seen)
    })
}

/// Sends bytes, ends our side, reads everything.
fn raw(bytes: &'static str) -> impl FnOnce(SocketAddr) -> String + Send + 'static {
    move |address| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut got = String::new();
        stream.read_to_string(&mut got).unwrap();
        got
    }
}

#[test]
fn a_request_goes_through_steps_to_its_service_and_back() {
    let request = "GET /users/7?q=1 HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
    let (got, seen) = talk(vec![route("/users/{id}", &["GET"], Some("echo"))], raw(request));
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{got}");
    assert!(got.contains("x-seen: yes\r\n"), "{got}");
    assert!(got.to_lowercase().contains("x-request-id: "), "{got}");
    assert!(got.contains("\"path\": \"/users/7\""), "{got}");
    assert!(got.contains("127.0.0.1"), "the peer's address is forwarded: {got}");
    assert!(!got.contains("6.6.6.6"), "an untrusted peer's claim is not: {got}");
    assert!(got.contains("1.1 moongate"), "{got}");
    assert_eq!(seen, ["step /users/7", "log 200 None"]);
}

#[test]
fn requests_on_one_connection_are_answered_in_order() {
    let requests = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
                    POST /late HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n\
                    GET /none HTTP/1.1\r\nHost: h\r\n\r\n";
    let routes = vec![route("/a", &["POST"], Some("echo")), route("/late", &[], None)];
    let (got, seen) = talk(routes, raw(requests));
    let statuses: Vec<_> = got.match_indices("HTTP/1.1 ").map(|(at, _)| &got[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "200", "404"], "{got}");
    assert!(got.contains("abc"), "{got}");
    assert!(got.contains("\"code\":\"route.none\""), "{got}");
    assert_eq!(seen[4], "step /none", "steps of the gateway run without a route too");
}

#[test]
fn failures_are_problem_documents_with_the_code() {
    let (got, seen) = talk(vec![route("/closed", &[], Some("echo"))], raw("GET /closed HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert!(got.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{got}");
    assert!(got.contains("content-type: application/problem+json\r\n"), "{got}");
    assert!(got.contains("\"code\":\"rejected\""), "{got}");
    assert_eq!(seen, ["step /closed", "log 403 Some(\"rejected\")"]);
}

#[test]
fn a_method_no_route_takes_is_405_with_allow() {
    let (got, _) = talk(vec![route("/a", &["GET", "PUT"], Some("echo"))], raw("POST /a HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert!(got.starts_with("HTTP/1.1 405 "), "{got}");
    let allow = got.lines().find(|line| line.to_lowercase().starts_with("allow:")).unwrap();
    assert!(allow.contains("GET") && allow.contains("PUT") && allow.contains("HEAD"), "{allow}");
}

#[test]
fn what_breaks_http_is_answered_and_the_connection_closed() {
    let request = "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    let (got, _) = talk(vec![route("/", &[], Some("echo"))], raw(request));
    assert!(got.starts_with("HTTP/1.1 400 "), "{got}");
    assert!(got.contains("connection: close\r\n"), "{got}");
    assert_eq!(got.matches("HTTP/1.1 ").count(), 1, "{got}");
}

#[test]
fn the_future_of_a_request_stays_small() {
    fn returned<A, B, F>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }
    // It is made anew for each request: one that is kept twice on the way shows here.
    assert!(returned::<&'static Rc<Exchange>, &'static Alarm, _>(super::answer) < 6 << 10);
}
