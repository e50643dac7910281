//! Every folder in `examples/` runs, and answers as its transcript says.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::support::binary;
use crate::support::binary::Binary;
use crate::support::binary::Setup;
use crate::support::client::Client;
use crate::support::temp::Dir;
use crate::support::tls::Authority;
use crate::support::tls::Visitor;

#[test]
fn every_example_answers_as_its_transcript_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let example = entry.unwrap().path();
        if !example.is_dir() {
            continue;
        }
        let transcript = std::fs::read_to_string(example.join("transcript.txt"))
            .unwrap_or_else(|error| panic!("{}: no transcript.txt: {error}", example.display()));
        let dir = Dir::new();
        copy(&example, dir.path());
        let authority = certificates(&dir);
        let issuer = issuer(&dir);
        let dir = Arc::new(dir);
        let mut setup = Setup::again(&dir);
        if let Some(issuer) = &issuer {
            dir.write("issuer.env", format!("ISSUER=http://{}", issuer.address()));
            setup = setup.argument("--env-file").argument("$DIR/issuer.env");
        }
        let gateway = setup.start();
        let mut client = gateway.client();
        for turn in turns(&transcript) {
            if let (Some(name), Some(authority)) = (&turn.caller, &authority) {
                client = caller(authority, name, gateway.address());
            }
            turn.play(&mut client, &example);
            played += 1;
        }
    }
    assert!(played >= 10, "only {played} requests in all examples");
}

/// The issuer that an example asks, a gateway too.
fn issuer(dir: &Dir) -> Option<Binary> {
    let text = std::fs::read_to_string(dir.join("issuer.lua")).ok()?;
    Some(binary::script(&text).start())
}

/// What an example's `certs.sh` makes, made here.
fn certificates(dir: &Dir) -> Option<Authority> {
    if !dir.join("certs.sh").exists() {
        return None;
    }
    let authority = Authority::new("Example CA");
    dir.write("certs/ca.pem", &authority.pem);
    let server = authority.server(&["localhost"]);
    dir.write("certs/server.pem", &server.cert);
    dir.write("certs/server.key", &server.key);
    Some(authority)
}

fn caller(authority: &Authority, name: &str, address: SocketAddr) -> Client {
    let visitor = match name {
        "" => Visitor::of(authority),
        name => Visitor::showing(authority, &authority.client(name, &[])),
    };
    visitor.try_connect(address, "localhost").unwrap()
}

/// One request of a transcript and what must come back.
///
/// ```text
/// ~ orders                  from here on over TLS, by this caller's certificate; `~` alone: without one
/// > POST /orders            the request line
/// > x-shop: bikes           its fields
/// > {"n":1}                 its body, the first line that is no field
/// < 201                     the status
/// < content-type: json      a field that contains this; `retry-after:` is enough for one that must be there
/// < "n":1                   text the body contains; a line that starts with ! must not be there
/// ```
#[derive(Default)]
struct Turn {
    line: usize,
    caller: Option<String>,
    request: Vec<String>,
    expected: Vec<String>,
}

impl Turn {
    fn play(&self, client: &mut Client, example: &Path) {
        let (method, target) = self.request[0].split_once(' ').expect("METHOD /target");
        let fields: Vec<_> = self.request[1..].iter().map_while(|line| field(line)).collect();
        let body = self.request[1 + fields.len()..].join("\n");
        let answer = client.call(method, target, &fields, body);
        let place = format!("{}/transcript.txt:{}: {}", example.display(), self.line, self.request[0]);
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status.to_string(), self.expected[0], "{place}: {text}");
        for expected in &self.expected[1..] {
            let met = match (field(expected), expected.strip_prefix('!')) {
                (_, Some(absent)) => !text.contains(absent),
                (Some((name, value)), _) => answer.all(name).iter().any(|got| got.contains(value)),
                (None, None) => text.contains(expected.as_str()),
            };
            assert!(met, "{place}: {expected:?} is not met by {answer:?}\n{text}");
        }
    }
}

/// `name: value`, as far as it looks like one.
fn field(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(": ").or_else(|| Some((line.strip_suffix(':')?, "")))?;
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-').then_some((name, value))
}

fn turns(transcript: &str) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    let mut caller = None;
    for (index, line) in transcript.lines().enumerate() {
        if let Some(text) = line.strip_prefix("> ") {
            if turns.last().is_none_or(|turn| !turn.expected.is_empty()) {
                turns.push(Turn { line: index + 1, caller: caller.take(), ..Turn::default() });
            }
            turns.last_mut().unwrap().request.push(text.to_owned());
        } else if let Some(name) = line.strip_prefix('~') {
            caller = Some(name.trim().to_owned());
        } else if let Some(text) = line.strip_prefix("< ") {
            turns.last_mut().expect("a request first").expected.push(text.to_owned());
        } else {
            assert!(
                line.is_empty() || line.starts_with('#'),
                "{}: {line:?} is neither `>` nor `<`, `~` nor `#`",
                index + 1
            );
        }
    }
    turns
}

/// Examples that bring tests pass them, all routes of the shop among them.
#[test]
fn the_tests_of_examples_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = binary::run(root, &["test", "examples", "--coverage"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let shop = text.split("routes and the answers").find(|part| part.contains("/v1/products")).expect("the shop");
    assert!(!shop.contains("never exercised"), "{text}");
}

/// The README's Lua runs as printed, and what it says to curl answers.
#[test]
fn the_readme_runs_as_printed() {
    let readme: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let blocks: Vec<_> = text.split("```lua\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty(), "the README shows no Lua");
    for block in blocks {
        let gateway = binary::script(block).start();
        for target in curled(&text) {
            let answer = gateway.client().get(&target);
            assert!(answer.status < 500, "{target}: {answer:?}\n{block}");
        }
    }
    assert!(!curled(&text).is_empty(), "the README has nobody curl anything");
}

/// What the README says of tests is so: those before a text that `moongate test` prints fail as it says, others pass.
#[test]
fn the_readmes_tests_say_what_is_printed() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (before, after) = text.split_once("```luau\n").expect("the README shows a test");
    let (tests, after) = after.split_once("```").unwrap();
    let said = after.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let script = before.rsplit("```lua\n").next().and_then(|rest| rest.split("```").next()).unwrap();
    let dir = Dir::new();
    dir.write("gateway_test.lua", tests);
    dir.write("gateway.lua", script);
    let output = binary::run(dir.path(), &["test"]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(1) && printed.starts_with(said), "{printed}");
    dir.write("gateway.lua", script.replace("to = \"orders\"", "to = \"orders\", strip_prefix = \"/v1\""));
    let output = binary::run(dir.path(), &["test"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

fn curled(readme: &str) -> Vec<String> {
    let lines = readme.lines().filter(|line| line.contains("curl ") && !line.contains("-X") && !line.contains(" -d"));
    lines
        .filter_map(|line| {
            Some(format!("/{}", line.split("localhost:8080/").nth(1)?.split(['\'', '"', ' ', '`']).next()?))
        })
        .collect()
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
