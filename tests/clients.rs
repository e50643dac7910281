//! Clients that others wrote, where this machine has them: a WebSocket client, a client of gRPC, curl over HTTP/1.1.

use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::h2_service;
use crate::support::program::python;
use crate::support::program::run;
use crate::support::tls::Authority;
use crate::support::upstream;

const TLS: &str = r#"tls = { cert = "a.pem", key = "a.key" }"#;

/// Over TLS for `a.dev`; who signed its certificate stands in `ca.pem`.
fn secure(authority: &Authority, script: &str) -> gateway::Setup {
    let pair = authority.server(&["a.dev"]);
    let files = [("a.pem", &pair.cert), ("a.key", &pair.key), ("ca.pem", &authority.pem)];
    let setup = gateway::script(&format!("gateway {{ {TLS} }} {script}"));
    files.into_iter().fold(setup, |setup, (name, text)| setup.file(name, text))
}

fn port(gateway: &Gateway) -> String {
    gateway.address().port().to_string()
}

fn ca(gateway: &Gateway) -> String {
    gateway.dir().join("ca.pem").display().to_string()
}

const SOCKETS: &str = r#"
import asyncio, ssl, sys, websockets

async def main(ca, port, path):
    tls = ssl.create_default_context(cafile=ca)
    where = dict(host="127.0.0.1", port=int(port), ssl=tls, server_hostname="a.dev")
    async with websockets.connect("wss://a.dev:%s%s" % (port, path), subprotocols=["chat"], **where) as socket:
        await socket.send("hello")
        print(await socket.recv())
        await socket.send(["in ", "frag", "ments"])
        print(await socket.recv())
        await socket.send(b"\0\xff" * 100000)
        print(len(await socket.recv()))
        await (await socket.ping(b"there?"))
        await socket.send("bye")
        try:
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            print(closed.code, closed.reason)

asyncio.run(main(*sys.argv[1:]))
"#;

#[test]
fn a_websocket_client_talks_to_the_gateway_and_through_it() {
    let end = gateway::script(
        r#"
        route "/end" { websocket = { message = function(ws, data)
          if data == "bye" then ws:close(4001, "so long") else ws:send(data) end
        end } }
        "#,
    )
    .start();
    let authority = Authority::new("CA");
    let script = r#"
        route "/end" { to = "end" }
        route "/read" { to = "end", rewrite = "/end", websocket = { message = function(ws, data) return data end } }
        upstream "end" { "$END" }
    "#;
    let through = secure(&authority, script).with("$END", end.address()).start();
    for path in ["/end", "/read"] {
        let said = python("websockets", SOCKETS, &[&ca(&through), &port(&through), path]);
        assert!(said.is_none_or(|said| said == "hello\nin fragments\n200000\n4001 so long\n"), "{path}");
    }
}

const CALLS: &str = r#"
import grpc, sys, threading

over = threading.Event()

def endless():
    yield b"x"
    over.wait()

def main(ca, port):
    credentials = grpc.ssl_channel_credentials(open(ca, "rb").read())
    options = [("grpc.ssl_target_name_override", "a.dev")]
    with grpc.secure_channel("127.0.0.1:" + port, credentials, options) as channel:
        same = lambda data: data
        unary = channel.unary_unary("/pkg.Echo/Say", same, same)
        print(unary(b"hello", timeout=20))
        stream = channel.stream_stream("/pkg.Echo/Talk", same, same)
        print(b" ".join(stream(iter([b"a", b"b" * 70000, b"c"]), timeout=20))[-3:])
        for method in ["/pkg.None/Say", "/pkg.Closed/Say", "/pkg.Down/Say"]:
            try:
                channel.unary_unary(method, same, same)(b"", timeout=20)
            except grpc.RpcError as error:
                print(error.code().name, "-", error.details())
        try:
            for piece in channel.stream_stream("/pkg.Late/Watch", same, same)(endless()):
                print(piece)
        except grpc.RpcError as error:
            print(error.code().name, "-", error.details())
        over.set()

main(*sys.argv[1:])
"#;

#[test]
fn a_client_of_grpc_is_served_and_understands_what_the_gateway_says() {
    let service = h2_service::echo();
    let authority = Authority::new("CA");
    let script = r#"
        upstream "echo" { "$ECHO", protocol = "grpc" }
        upstream "down" { "127.0.0.1:1", protocol = "grpc", retry = { times = 0 } }
        route "/pkg.Echo/{method}" { to = "echo" }
        route "/pkg.Late/{method}" { to = "echo", timeout = { head = "5s", total = "1s" } }
        route "/pkg.Down/{method}" { to = "down" }
        route "/pkg.Closed/{method}" { function() reject(403, "closed for today") end }
    "#;
    let gateway = secure(&authority, script).with("$ECHO", service.address()).start();
    let Some(said) = python("grpc", CALLS, &[&ca(&gateway), &port(&gateway)]) else { return };
    let expected = [
        "b'hello'",
        "b'b c'",
        "UNIMPLEMENTED - no route matches this request",
        "PERMISSION_DENIED - closed for today",
        "UNAVAILABLE - the service cannot be reached",
        "b'x'",
        "DEADLINE_EXCEEDED - the request took too long",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn curl_is_served_over_http_1_with_bodies_both_ways_and_hints() {
    let service = upstream::serve(|conn| {
        while let Some(seen) = conn.request() {
            conn.send("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
            conn.send(upstream::ok(&seen.body));
        }
    });
    let authority = Authority::new("CA");
    let gateway = secure(&authority, r#"route "POST /" { to = "service" }"#).service("service", &service).start();
    let body = "x".repeat(300_000);
    let file = format!("@{}", gateway.dir().write("body", &body).display());
    let (url, name) = (format!("https://a.dev:{}/", port(&gateway)), format!("a.dev:{}:127.0.0.1", port(&gateway)));
    let ca = ca(&gateway);
    let common = ["-sS", "--http1.1", "--cacert", &ca, "--resolve", &name, "--data-binary", &file];
    let plain = run("curl", &[&common[..], &["-w", " %{http_version} %{ssl_verify_result}", &url]].concat());
    assert!(plain.is_none_or(|said| said == format!("{body} 1.1 0")), "as it was sent");
    let fields = ["-H", "Expect: 100-continue", "-H", "Sec-Fetch-Mode: cors", "-D", "-", "-o", "/dev/null", &url];
    let Some(said) = run("curl", &[&common[..], &fields].concat()) else { return };
    let statuses: Vec<_> = said.lines().filter(|line| line.starts_with("HTTP/1.1 ")).collect();
    assert_eq!(statuses, ["HTTP/1.1 100 Continue", "HTTP/1.1 103 Early Hints", "HTTP/1.1 200 OK"], "{said}");
}
