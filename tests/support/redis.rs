//! A small Redis: keys that expire, messages, scripts that really run; and it can be hung, slow, mad or dead.

mod keys;
mod resp;

use std::collections::HashMap;
use std::io::BufReader;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use keys::Keys;
use resp::Reply;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As it should.
    Well,
    /// Not at all.
    Silent,
    /// Each answer so much later.
    Slow(Duration),
    /// With bytes that mean nothing.
    Mad,
    /// Greets, and then with errors.
    Refusing(&'static str),
}

/// A server that runs until it is killed or dropped.
pub(crate) struct Redis {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    mood: Mutex<Mood>,
    keys: Mutex<Keys>,
    connections: Mutex<HashMap<usize, Connection>>,
    /// Commands that were understood, but for greetings and pings.
    calls: AtomicUsize,
    password: Option<&'static str>,
    dead: Mutex<bool>,
}

struct Connection {
    writer: Arc<Mutex<TcpStream>>,
    /// Where it listens.
    channels: Vec<Vec<u8>>,
}

/// A server without keys.
pub(crate) fn serve() -> Redis {
    guarded(None)
}

/// One that wants a password.
pub(crate) fn guarded(password: Option<&'static str>) -> Redis {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let shared = Arc::new(Shared {
        mood: Mutex::new(Mood::Well),
        keys: Mutex::default(),
        connections: Mutex::default(),
        calls: AtomicUsize::new(0),
        password,
        dead: Mutex::new(false),
    });
    let address = listener.local_addr().unwrap();
    let thread = Some(accept(listener, &shared));
    Redis { address, shared, thread }
}

impl Redis {
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn mood(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    /// Its own time goes on by so much.
    pub(crate) fn advance(&self, by: Duration) {
        self.shared.keys.lock().unwrap().advance(by);
    }

    /// What is under a key, as other programs see it.
    pub(crate) fn value(&self, key: &str) -> Option<String> {
        self.shared.keys.lock().unwrap().get(key.as_bytes()).map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    /// Another program sets a key.
    pub(crate) fn put(&self, key: &str, value: &str) {
        self.shared.keys.lock().unwrap().set(key.as_bytes(), value.as_bytes(), None);
    }

    /// Every key.
    pub(crate) fn names(&self) -> Vec<String> {
        self.shared.keys.lock().unwrap().names()
    }

    /// Commands so far.
    pub(crate) fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// Connections that are open.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.lock().unwrap().len()
    }

    /// Killed: nobody listens any more, and every connection is closed.
    pub(crate) fn kill(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        *self.shared.dead.lock().unwrap() = true;
        let _ = TcpStream::connect(self.address);
        thread.join().unwrap();
        for connection in self.shared.connections.lock().unwrap().values() {
            let _ = connection.writer.lock().unwrap().shutdown(Shutdown::Both);
        }
    }

    /// Back again at the same address, with the keys it had.
    pub(crate) fn revive(&mut self) {
        assert!(self.thread.is_none(), "it is alive");
        *self.shared.dead.lock().unwrap() = false;
        let listener = crate::support::wait::find("the port is free", || TcpListener::bind(self.address).ok());
        self.thread = Some(accept(listener, &self.shared));
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn accept(listener: TcpListener, shared: &Arc<Shared>) -> JoinHandle<()> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if *shared.dead.lock().unwrap() {
                return;
            }
            let (shared, id) = (Arc::clone(&shared), NEXT.fetch_add(1, Ordering::Relaxed));
            let _ = stream.set_nodelay(true);
            let writer = Arc::new(Mutex::new(stream.try_clone().unwrap()));
            shared
                .connections
                .lock()
                .unwrap()
                .insert(id, Connection { writer: Arc::clone(&writer), channels: Vec::new() });
            std::thread::spawn(move || {
                talk(&shared, id, stream, &writer);
                shared.connections.lock().unwrap().remove(&id);
            });
        }
    })
}

/// One connection, to its end.
fn talk(shared: &Shared, id: usize, stream: TcpStream, writer: &Mutex<TcpStream>) {
    let (mut input, lua) = (BufReader::new(stream), keys::machine());
    let (mut three, mut known) = (false, shared.password.is_none());
    while let Some(words) = resp::read(&mut input) {
        let name = String::from_utf8_lossy(&words[0]).to_ascii_uppercase();
        let mood = *shared.mood.lock().unwrap();
        let greeting = matches!(name.as_str(), "HELLO" | "AUTH" | "SELECT" | "CLIENT" | "PING");
        if !greeting {
            shared.calls.fetch_add(1, Ordering::Relaxed);
        }
        match mood {
            Mood::Silent => continue,
            Mood::Slow(time) => std::thread::sleep(time),
            Mood::Mad => {
                let _ = writer.lock().unwrap().write_all(b"220 mail.example ESMTP\r\n");
                continue;
            }
            Mood::Well | Mood::Refusing(_) => {}
        }
        let reply = match (name.as_str(), mood) {
            ("HELLO", _) => {
                three = words.get(1).is_some_and(|word| word == b"3");
                let password =
                    words.iter().position(|word| word.eq_ignore_ascii_case(b"AUTH")).map(|at| &words[at + 2]);
                known |= shared.password.is_some_and(|own| password.is_some_and(|given| given == own.as_bytes()));
                if known { Reply::hello() } else { Reply::Error("WRONGPASS invalid username-password pair".into()) }
            }
            _ if !known => Reply::Error("NOAUTH Authentication required.".into()),
            ("SUBSCRIBE" | "UNSUBSCRIBE", _) => {
                listen(shared, id, &name, &words[1..], writer);
                continue;
            }
            ("CLIENT" | "SELECT", _) => Reply::Status("OK"),
            ("PING", _) => Reply::Status("PONG"),
            (_, Mood::Refusing(error)) => Reply::Error(error.into()),
            ("PUBLISH", _) => publish(shared, &words[1], &words[2]),
            _ => shared.keys.lock().unwrap().call(&lua, &name, &words[1..]),
        };
        if writer.lock().unwrap().write_all(&reply.bytes(three)).is_err() {
            return;
        }
    }
}

fn listen(shared: &Shared, id: usize, name: &str, channels: &[Vec<u8>], writer: &Mutex<TcpStream>) {
    let mut connections = shared.connections.lock().unwrap();
    let Some(Connection { channels: own, .. }) = connections.get_mut(&id) else { return };
    for channel in channels {
        own.retain(|other| other != channel);
        if name == "SUBSCRIBE" {
            own.push(channel.clone());
        }
        let told = [name.to_ascii_lowercase().as_bytes(), channel].map(|word| Reply::Bulk(word.to_vec()));
        let told = Reply::Push([&told[..], &[Reply::Int(own.len() as i64)]].concat());
        let _ = writer.lock().unwrap().write_all(&told.bytes(true));
    }
}

fn publish(shared: &Shared, channel: &[u8], value: &[u8]) -> Reply {
    let message = [b"message".as_slice(), channel, value].map(|word| Reply::Bulk(word.to_vec()));
    let message = Reply::Push(message.to_vec()).bytes(true);
    let connections = shared.connections.lock().unwrap();
    let hearing = connections.values().filter(|one| one.channels.iter().any(|own| own == channel));
    let heard = hearing.map(|one| one.writer.lock().unwrap().write_all(&message)).filter(Result::is_ok);
    Reply::Int(heard.count() as i64)
}
