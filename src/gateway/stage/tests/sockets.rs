//! WebSockets in tests: handshakes, what functions answer, services that are mocks.

use super::fails;
use super::passes;

const CHAT: &str = r#"
local members = api_key { keys = { k1 = { sub = "ann" } } }
route "GET /chat/{room}" { members, websocket = {
  idle = "1m",
  open = function(ws) ws:send("welcome to " .. ws.req.params.room .. ", " .. ws.req.user.sub) end,
  message = function(ws, data)
    if type(data) == "buffer" then return buffer.fromstring(buffer.tostring(data):reverse()) end
    if data == "quiet" then return false end
    if data == "bye" then return ws:close(4001, "so long") end
    if data == "later" then sleep "5s" end
    return data:upper()
  end,
  close = function(ws, code) log.info("closed " .. code) end,
} }
route "GET /plain" { to = "echo:" }
"#;

#[test]
fn a_test_talks_with_a_gateway_that_is_the_end() {
    passes(
        CHAT,
        r#"
local ann = { user = { sub = "ann" } }
test("who may not is refused like anybody", function(gw)
  local ws = gw:websocket "/chat/tea"
  expect(ws.status).is(401)
  expect(ws.code).is("api_key.missing")
  expect(ws.closed).is(true)
  expect(ws.steps[1].outcome).is("refused")
  expect(function() ws:send "hello" end).raises("the handshake was answered with 401 api_key.missing: no socket is open")
end)
test("messages are answered, passed over, late, or bytes", function(gw)
  local ws = gw:websocket("/chat/tea?x=1", ann)
  expect(ws.status).is(101)
  expect(ws.headers["Sec-WebSocket-Accept"]).exists()
  expect(ws.route.pattern).is("GET /chat/{room}")
  expect(ws.steps[1].outcome).is("passed")
  expect(ws:receive()).is("welcome to tea, ann")
  expect(ws:send "quiet").is(true)
  expect(ws:receive "0s").is_nil()
  ws:send "one" ws:send "two"
  expect(ws:receive()).is("ONE")
  expect(ws:receive()).is("TWO")
  ws:send(buffer.fromstring "abc")
  expect(buffer.tostring(ws:receive())).is("cba")
  ws:send "later"
  expect(ws:receive "4s").is_nil()
  expect(ws:receive()).is("LATER")
  expect(time.now()).is(1893499200 + 5)
  expect(ws.closed).is(false)
end)
test("either side closes", function(gw)
  local ws = gw:websocket("/chat/tea", ann)
  ws:receive()
  ws:send "bye"
  expect(ws:receive()).is_nil()
  expect(ws.close_code).is(4001)
  expect(ws.close_reason).is("so long")
  expect(ws:send "more").is(false)
  local other = gw:websocket("/chat/tea", ann)
  other:close(4002)
  expect(other.closed).is(true)
  expect(gw:logs()).has { message = "closed 4001" }
  expect(gw:logs()).has { message = "closed 4002" }
end)
test("a socket nobody speaks on is closed when its time is over", function(gw)
  local ws = gw:websocket("/chat/tea", ann)
  ws:receive()
  gw:advance "59s"
  expect(ws.closed).is(false)
  expect(ws:receive()).is_nil()
  expect(ws.close_code).is(1001)
  expect(time.now()).is(1893499200 + 60)
end)
test("a handshake may be sent like any request", function(gw)
  local handshake = { upgrade = "websocket", ["sec-websocket-version"] = "8", ["sec-websocket-key"] = "eA==" }
  expect(gw:get("/chat/tea", { user = "ann", headers = handshake }).status).is(426)
  expect(gw:get("/chat/tea", ann).code).is("websocket.required")
end)
"#,
    );
}

const THROUGH: &str = r#"
upstream "chat" { "10.0.0.1:9000" }
upstream "plain" { "10.0.0.1:9000" }
route "GET /ws" { to = "chat", websocket = { message = function(ws, data, from) return from .. ":" .. data end } }
route "GET /bytes" { to = "plain", websocket = { connections = 1 } }
"#;

#[test]
fn a_mock_takes_a_socket_and_talks_like_a_service() {
    passes(
        THROUGH,
        r#"
test("through functions, both ways", function(gw)
  local seen
  local chat = gw:mock("chat", { headers = { ["x-room"] = "tea" }, websocket = {
    open = function(ws) ws:send "hello" end,
    message = function(ws, data) if data == "client:stop" then ws:close(4000, "enough") else return data .. "!" end end,
    close = function(ws, code, reason) seen = code .. reason end,
  } })
  local ws = gw:websocket("/ws", { headers = { ["x-a"] = "1" } })
  expect(ws.status).is(101)
  expect(ws.headers["x-room"]).is("tea")
  expect(ws:receive()).is("service:hello")
  ws:send "x"
  expect(ws:receive()).is("service:client:x!")
  expect(chat.calls[1].headers["x-a"]).is("1")
  expect(chat.calls[1].messages).is { "client:x" }
  ws:send "stop"
  expect(ws:receive()).is_nil()
  expect(ws.close_code).is(4000)
  expect(seen).is("4000enough")
end)
test("what the gateway does not read passes", function(gw)
  local service
  gw:mock("plain", { websocket = { open = function(ws) service = ws end } })
  local ws = gw:websocket "/bytes"
  service:send "when it likes"
  expect(ws:receive()).is("when it likes")
  expect(gw:websocket("/bytes").code).is("websocket.full")
  ws:close()
  expect(service.closed).is(true)
  expect(gw:websocket("/bytes").status).is(101)
end)
test("true listens, and a service may refuse", function(gw)
  local chat = gw:mock("chat", { { websocket = true }, { status = 403, text = "no" } })
  local ws = gw:websocket "/ws"
  ws:send(string.rep("x", 300000))
  expect(#chat.calls[1].messages[1]).is(300007)
  local no = gw:websocket "/ws"
  expect(no.status).is(403)
  expect(no.body).is("no")
end)
test("a service that takes sockets wants nothing else", function(gw)
  gw:mock("plain", { websocket = true })
  expect(gw:get("/bytes").status).is(426)
end)
test("a service that is gone", function(gw)
  gw:mock("chat", { fault = "reset" })
  expect(gw:websocket("/ws").status).is(502)
end)
"#,
    );
}

#[test]
fn what_a_test_gets_wrong_on_a_socket_is_said() {
    let failed = fails(CHAT, "test(\"x\", function(gw)\n  local ws = gw:websocket(\"/plain\", { body = \"x\" })\nend)");
    assert_eq!((failed.message.as_str(), failed.line), ("gw:websocket: a handshake has no body", 2));
    let failed = fails(
        THROUGH,
        "test(\"x\", function(gw)\n  gw:mock(\"chat\", { websocket = true })\n  local ws = gw:websocket(\"/ws\")\n  ws:receive()\nend)",
    );
    let said = "ws:receive: no message came: nothing ends this: nothing is under way, and no timer is set";
    assert_eq!((failed.message.as_str(), failed.line), (said, 4));
    let failed = fails(
        THROUGH,
        "test(\"x\", function(gw)\n  gw:mock(\"chat\", { websocket = { message = function() local x = nil\n return x.y end } })\n  gw:websocket(\"/ws\"):send \"a\"\nend)",
    );
    assert!(failed.message.starts_with("the mock of `chat`: gateway_test.lua:3: "), "{}", failed.message);
    let failed = fails(THROUGH, "test(\"x\", function(gw) gw:mock(\"chat\", { websocket = true, text = \"x\" }) end)");
    assert!(failed.message.contains("write one of the two"), "{}", failed.message);
    let failed = fails(THROUGH, "test(\"x\", function(gw) gw:mock(\"chat\", { websocket = { opne = print } }) end)");
    assert!(failed.message.contains("did you mean `open`?"), "{}", failed.message);
    let failed =
        fails(CHAT, "test(\"x\", function(gw) gw:websocket(\"/chat/tea\", { user = \"ann\" }):send(\"\\xff\") end)");
    assert!(failed.message.contains("ws:send got text that is not UTF-8"), "{}", failed.message);
}
