//! The whole of `res`: in wrappers, in `on_response`, in `on_log`.

use crate::support::gateway;
use crate::support::upstream;

#[test]
fn where_an_answer_came_from_is_told() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        local function tell(req, next)
          local res = next()
          return { json = { status = res.status, from = res.from, upstream = res.upstream or json.null, host = res.host or json.null, type = type(res.took) } }
        end
        route "GET /up" { tell, to = "service" }
        route "GET /step" { tell, function() return 201 end }
        "#,
    )
    .service("service", &service)
    .start();
    let up = gateway.get("/up").json();
    assert_eq!(
        (&up["from"], &up["upstream"], &up["status"]),
        (&"upstream".into(), &"service".into(), &200.into()),
        "{up}"
    );
    assert!(up["host"].as_str().unwrap().contains(&service.address().to_string()), "{up}");
    let step = gateway.get("/step").json();
    assert_eq!(
        (&step["from"], &step["upstream"], &step["status"]),
        (&"step".into(), &serde_json::Value::Null, &201.into())
    );
}

#[test]
fn answers_are_read_changed_and_copied() {
    let service = upstream::answers(|_| {
        upstream::answer(200, &[("content-type", "application/json"), ("etag", "\"a\""), ("x-drop", "1")], r#"{"a":1}"#)
    });
    let gateway = gateway::script(
        r#"
        route "GET /json" { function(req, next) local res = next() local t = res:json() t.b = 2 res:set_json(t) res.status = 203 res.headers["x-drop"] = nil end, to = "service" }
        route "GET /text" { function(req, next) local res = next() res:set_body(res:text() .. "!") end, to = "service" }
        route "GET /replace" { function(req, next) next():replace("a", "b") end, to = "service" }
        route "GET /copy" { function(req, next) local res = next() local c = res:copy() c.status = 299 return c end, to = "service" }
        route "GET /try" { function(req, next) local res = next() res:set_body("{") local v, err = res:try_json() return { text = tostring(v) } end, to = "service" }
        route "GET /chunks" { function(req, next) local n = 0 for chunk in next():chunks() do n += #chunk end return { text = tostring(n) } end, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let json = gateway.get("/json").with(203);
    assert_eq!(
        (json.text(), json.header("x-drop"), json.header("content-length")),
        (r#"{"a":1,"b":2}"#, None, Some("13"))
    );
    assert_ne!(json.header("etag"), Some("\"a\""));
    assert_eq!(gateway.get("/text").text(), "{\"a\":1}!");
    assert_eq!(gateway.get("/replace").text(), r#"{"b":1}"#);
    assert_eq!(gateway.get("/copy").status, 299);
    assert_eq!(gateway.get("/try").text(), "nil");
    assert_eq!(gateway.get("/chunks").text(), "7");
}

#[test]
fn on_response_runs_inner_to_outer_for_every_answer() {
    let gateway = gateway::script(
        r#"
        local function mark(name) return function(req, res) res.headers:add("x-by", name .. res.status) end end
        gateway { on_response = mark "gateway" }
        group "/g" { on_response = mark "group",
          route "GET /a" { function() return 200 end, on_response = mark "route" },
          route "GET /r" { function() reject(403) end, on_response = function(req, res) return { status = 200, text = "replaced " .. res.error.code } end },
        }
        "#,
    )
    .start();
    assert_eq!(gateway.get("/g/a").all("x-by"), ["route200", "group200", "gateway200"]);
    let replaced = gateway.get("/g/r").with(200);
    assert_eq!((replaced.text(), replaced.all("x-by")), ("replaced rejected", vec!["group200", "gateway200"]));
    assert_eq!(gateway.get("/nowhere").all("x-by"), ["gateway404"]);
    assert_eq!(gateway.raw("GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n").status, 400);
}

#[test]
fn on_log_runs_after_the_last_byte_and_may_wait_without_delaying_anyone() {
    let service = upstream::answers(|seen| upstream::ok(&seen.target));
    let gateway = gateway::script(
        r#"
        local seen = store "seen" {}
        gateway { on_log = function(req, res)
          if req.path ~= "/a" then return end
          sleep "50ms"
          fetch("service/log?status=" .. res.status .. "&bytes=" .. res.bytes .. "&took=" .. tostring(res.took >= 0))
        end }
        route "GET /{rest*}" { to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let mut client = gateway.client();
    assert_eq!(client.get("/a").text(), "/a");
    assert_eq!(client.get("/b").text(), "/b", "the next request waits for nobody's log");
    crate::support::wait::until("it was logged", || {
        service.seen().iter().any(|seen| seen.target == "/log?status=200&bytes=2&took=true")
    });
}

#[test]
fn a_stream_written_by_a_script_obeys_back_pressure() {
    let gateway = gateway::script(
        r#"
        local sent = store "sent" {}
        route "GET /stream" { function() return { stream = function(write)
          for i = 1, 4000 do write(string.rep("x", 65536)) sent:incr("n", 1) end
        end } end }
        route "GET /sent" { function() return { text = tostring(sent:get "n" or 0) } end }
        "#,
    )
    .start();
    let mut client = gateway.client();
    client.send("GET /stream HTTP/1.1\r\nhost: x\r\n\r\n");
    client.head();
    let mut last = String::new();
    crate::support::wait::until("the writer stalls", || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let now = gateway.get("/sent").text().to_owned();
        std::mem::replace(&mut last, now.clone()) == now && now != "0"
    });
    assert!(
        last.parse::<usize>().unwrap() < 1000,
        "{last} pieces of 64 KB were written to a reader that does not read"
    );
    client.reset();
    gateway.get("/sent").with(200);
}
