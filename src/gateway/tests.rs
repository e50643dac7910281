//! A gateway in this process: what a reload does to its listeners, and how it leaves.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::scratch::Scratch;
use super::*;

/// A gateway of a script with this `gateway { … }` that answers with what it got.
fn start_with(scratch: &Scratch, settings: &str, change: impl FnOnce(&mut Options)) -> Result<Running, StartError> {
    let mut options = Options::new(save(scratch, settings));
    options.admin = AdminOption::At(Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))));
    change(&mut options);
    start(options)
}

fn save(scratch: &Scratch, settings: &str) -> PathBuf {
    scratch.write("gateway.lua", &format!("gateway {{ {settings} }}\nroute \"/{{rest*}}\" {{ to = \"echo:\" }}\n"))
}

/// A port nobody listens on at the moment.
fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// One GET on an open connection; the status line.
fn get(stream: &mut (impl Read + Write)) -> io::Result<String> {
    stream.write_all(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !answer.ends_with(b"}\n") && !answer.ends_with(b"}") {
        match stream.read(&mut piece)? {
            0 => break,
            n => answer.extend_from_slice(&piece[..n]),
        }
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

const OK: &str = "HTTP/1.1 200 OK";

#[test]
fn listeners_come_and_go_and_connections_stay() {
    let scratch = Scratch::new();
    let (first, second) = (free(), free());
    let socket = scratch.path().join("mg.sock");
    let gateway = start_with(&scratch, &format!("listen = \"127.0.0.1:{first}\""), |_| {}).unwrap();
    let mut kept = TcpStream::connect(("127.0.0.1", first)).unwrap();
    assert_eq!(get(&mut kept).unwrap(), OK);

    save(&scratch, &format!("listen = {{ \"127.0.0.1:{second}\", \"unix:{}\" }}", socket.display()));
    assert_eq!(gateway.reload(), Ok(2));
    assert_eq!(get(&mut kept).unwrap(), OK, "its listener is gone, the connection is not");
    assert_eq!(get(&mut TcpStream::connect(("127.0.0.1", second)).unwrap()).unwrap(), OK);
    assert_eq!(get(&mut UnixStream::connect(&socket).unwrap()).unwrap(), OK);
    let refused = || TcpStream::connect(("127.0.0.1", first)).is_err();
    wait_until("the old listener is closed", refused);

    save(&scratch, &format!("listen = \":{second}\""));
    assert_eq!(gateway.reload(), Ok(3), "the same port at another address");
    assert_eq!(get(&mut TcpStream::connect(("127.0.0.1", second)).unwrap()).unwrap(), OK);
    wait_until("the socket file is gone", || !socket.exists());
    gateway.stop();
}

#[test]
fn a_taken_address_changes_nothing() {
    let scratch = Scratch::new();
    let port = free();
    let gateway = start_with(&scratch, &format!("listen = \"127.0.0.1:{port}\""), |_| {}).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    save(&scratch, &format!("listen = {{ \"127.0.0.1:{}\", \"{address}\" }}", free()));
    let error = gateway.reload().unwrap_err();
    assert!(error.contains(&address.to_string()), "{error}");
    assert_eq!(gateway.generation(), 1);
    assert_eq!(get(&mut TcpStream::connect(("127.0.0.1", port)).unwrap()).unwrap(), OK);
    gateway.stop();
}

#[test]
fn a_taken_address_at_the_start_is_named() {
    let scratch = Scratch::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = start_with(&scratch, &format!("listen = \"{address}\""), |_| {}).err().expect("it is taken");
    assert!(matches!(&error, StartError::Bind(_)) && error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn the_admin_listener_follows_the_script() {
    let scratch = Scratch::new();
    let port = free();
    let listen = format!("listen = \"127.0.0.1:{}\"", free());
    let gateway = start_with(&scratch, &format!("{listen}, admin = false"), |options| {
        options.admin = AdminOption::Script;
    })
    .unwrap();
    assert_eq!(gateway.admin(), None);
    save(&scratch, &format!("{listen}, admin = \"127.0.0.1:{port}\""));
    assert_eq!(gateway.reload(), Ok(2));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    save(&scratch, &format!("{listen}, admin = false"));
    assert_eq!(gateway.reload(), Ok(3));
    wait_until("the admin listener is closed", || TcpStream::connect(("127.0.0.1", port)).is_err());
    gateway.stop();
}

#[test]
fn during_the_delay_connections_are_accepted_then_no_more() {
    let scratch = Scratch::new();
    let port = free();
    let clock = Clock::fake(Duration::from_secs(1_000_000));
    let settings = format!("listen = \"127.0.0.1:{port}\", drain = {{ delay = \"5s\", max = \"20s\" }}");
    let gateway = start_with(&scratch, &settings, |options| options.clock = clock.clone()).unwrap();
    let mut idle = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(get(&mut idle).unwrap(), OK);
    let status = Arc::clone(&gateway.status);
    let leaving = std::thread::spawn(|| gateway.stop());
    wait_until("it drains", || status.draining());
    assert_eq!(get(&mut TcpStream::connect(("127.0.0.1", port)).unwrap()).unwrap(), OK, "within the delay");
    wait_until("it has left", || {
        clock.advance(Duration::from_millis(500));
        leaving.is_finished()
    });
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert_eq!(idle.read(&mut [0; 16]).unwrap(), 0, "closed, not reset");
}

#[test]
fn the_last_good_script_is_used_when_the_file_is_broken_at_the_start() {
    let scratch = Scratch::new();
    let port = free();
    let keep = |options: &mut Options| options.state = Some(scratch.path().join("state"));
    start_with(&scratch, &format!("listen = \"127.0.0.1:{port}\""), keep).unwrap().stop();
    let broken = scratch.write("gateway.lua", "gateway { listen = ");
    let mut options = Options::new(broken.clone());
    options.admin = AdminOption::Off;
    assert!(matches!(start(options.clone()), Err(StartError::Script(_))), "without a state folder");
    keep(&mut options);
    let gateway = start(options).unwrap();
    assert_eq!(get(&mut TcpStream::connect(("127.0.0.1", port)).unwrap()).unwrap(), OK);
    let now = gateway.status.now();
    assert!(now.last_good && now.failure.is_some());
    save(&scratch, &format!("listen = \"127.0.0.1:{port}\""));
    assert_eq!(gateway.reload(), Ok(2));
    assert!(!gateway.status.now().last_good);
    gateway.stop();
}

#[track_caller]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..5000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("never: {what}");
}
