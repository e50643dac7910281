//! The same against a Redis of the machine, where there is one.

use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use crate::support::gateway;
use crate::support::temp::Dir;
use crate::support::wait;

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// On a port that was free a moment ago.
fn serve(dir: &Dir) -> Option<(Server, u16)> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("/usr/bin/redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()]);
    let child = command.arg("--dir").arg(dir.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    let server = Server(child);
    wait::until("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    Some((server, port))
}

#[test]
fn a_real_redis_counts_and_stores_the_same() {
    let dir = Dir::new();
    let Some((server, port)) = serve(&dir) else { return eprintln!("skipped: no /usr/bin/redis-server") };
    let script = r#"
        local s = store "s" { redis = "redis://127.0.0.1:PORT/1", ttl = "1h" }
        local heard = store "heard" {}
        s:subscribe("news", function(news) heard:set("news", news) end)
        local function ok() return 204 end
        route "GET /sliding" { rate_limit { "100/min", store = s }, ok }
        route "GET /bucket" { rate_limit { "3/h", "90/day", store = s, window = "bucket" }, ok }
        route "GET /quota" { quota { "5/month", "3/week", store = s }, ok }
        route "GET /fixed" { rate_limit { "3/h", store = s, window = "fixed" }, ok }
        route "GET /store" { function()
          s:set("a", { 1, "zwei" }) s:set("t", "5") s:incr("n", 2) s:incr("n", 0.5)
          s:update("u", function(old) return (old or 0) + 1 end)
          s:set("gone", 1) s:delete "gone"
          return { json = { s:get "a", s:get "t", s:get "n", s:get "u", s:get "gone" == nil, s:keys "" } }
        end }
        route "GET /publish" { function() return { text = tostring(s:publish("news", "hello")) } end }
        route "GET /heard" { function() return { text = tostring(heard:get "news") } end }
    "#;
    let start = || gateway::script(script).with("PORT", port).workers(2).start();
    let (one, two) = (start(), start());
    let statuses = |target: &str| [&one, &two, &one, &two].map(|gateway| gateway.get(target).status);
    assert_eq!(one.get("/store").json(), serde_json::json!([[1, "zwei"], "5", 2.5, 1, true, ["a", "n", "t", "u"]]));
    assert_eq!(statuses("/bucket"), [204, 204, 204, 429]);
    assert_eq!(statuses("/quota"), [204, 204, 204, 429]);
    assert_eq!(statuses("/fixed"), [204, 204, 204, 429]);
    let passed: usize = std::thread::scope(|scope| {
        let load = [&one, &two, &one, &two].map(|gateway| {
            scope.spawn(move || {
                let mut client = gateway.client();
                (0..50).filter(|_| client.get("/sliding").status == 204).count()
            })
        });
        load.map(|load| load.join().unwrap()).iter().sum()
    });
    assert_eq!(passed, 100);
    wait::until("both listen", || one.get("/publish").text() == "2");
    wait::until("both hear", || [&one, &two].iter().all(|gateway| gateway.get("/heard").text() == "hello"));
    drop(server);
    assert!(statuses("/sliding").iter().all(|status| matches!(status, 204 | 429)), "it is never a 500");
}
