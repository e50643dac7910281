//! The access log: lines gathered per worker, written by one thread, dropped and counted when it cannot keep up.

mod sink;

use std::cell::RefCell;
use std::io;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::telemetry::log;
use crate::telemetry::metrics::Counter;
use sink::Sink;

/// Where lines end up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to a file, opened again on every reload (so that it may be rotated).
    File(String),
    /// RFC 5424 datagrams over UDP to `host:port`.
    Syslog(String),
    /// POSTed to a URL in batches, one JSON object a line.
    Post(String),
}

/// Lines for a URL.
#[derive(Debug)]
pub struct Batch {
    /// Where they go.
    pub url: String,
    /// Whole lines.
    pub lines: Vec<u8>,
}

impl Target {
    /// The target that `to` names: empty or `stdout`, `stderr`, `file:path`, `syslog://host[:port]`, a URL.
    pub fn parse(to: &str) -> Result<Self, String> {
        match to {
            "" | "stdout" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            _ => match (to.strip_prefix("file:"), to.strip_prefix("syslog://")) {
                (Some(path), _) if !path.is_empty() => Ok(Self::File(path.to_owned())),
                (_, Some(host)) if is_host(host) => Ok(Self::Syslog(with_port(host))),
                (None, None) if is_url(to) => Ok(Self::Post(to.to_owned())),
                _ => Err(format!("`{to}` is no place for the access log")),
            },
        }
    }
}

fn is_host(host: &str) -> bool {
    let bare = host.trim_end_matches('/');
    !bare.is_empty() && !bare.starts_with(':') && !bare.contains(['/', '?', '#', '@', ' '])
}

fn is_url(text: &str) -> bool {
    let url = url::Url::parse(text);
    url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty()))
}

fn with_port(host: &str) -> String {
    let bare = host.trim_end_matches('/');
    let has_port = bare.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) && !bare.ends_with(']');
    if has_port { bare.to_owned() } else { format!("{bare}:514") }
}

enum Message {
    Lines(Vec<u8>),
    Switch(Target),
    Flush(SyncSender<()>),
    Close,
}

/// The writer thread's other end, shared by all workers.
#[derive(Clone)]
pub struct AccessWriter {
    sender: SyncSender<Message>,
    dropped: Counter,
}

impl AccessWriter {
    /// Batches that may wait for the thread.
    const WAITING: usize = 256;

    /// Starts the thread; lines for a URL go to `posts`, those that are lost are counted.
    pub fn start(target: Target, dropped: Counter, posts: mpsc::Sender<Batch>) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(Self::WAITING);
        let lost = dropped.clone();
        thread::Builder::new().name("access-log".into()).spawn(move || write_all(&receiver, target, &lost, &posts))?;
        Ok(Self { sender, dropped })
    }

    /// Writes to `target` from now on; a file is opened again even when its name is the same.
    pub fn switch(&self, target: Target) {
        // A thread that is gone has said why.
        let _ = self.sender.send(Message::Switch(target));
    }

    /// Waits until everything handed over so far is written, but not for ever.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.sender.send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(Duration::from_secs(2));
        }
    }

    /// Nothing more is written: the thread ends, and with it its end of `posts`.
    pub fn close(&self) {
        // A thread that is gone needs no telling.
        let _ = self.sender.send(Message::Close);
    }

    /// One worker's end of it.
    pub fn lines(&self) -> AccessLog {
        AccessLog { lines: RefCell::new(Vec::new()), writer: Some(self.clone()) }
    }

    fn send(&self, lines: Vec<u8>) {
        if let Err(TrySendError::Full(Message::Lines(lines)) | TrySendError::Disconnected(Message::Lines(lines))) =
            self.sender.try_send(Message::Lines(lines))
        {
            self.dropped.add(count(&lines));
        }
    }
}

/// One worker's lines on their way to the writer.
#[derive(Default)]
pub struct AccessLog {
    lines: RefCell<Vec<u8>>,
    writer: Option<AccessWriter>,
}

impl AccessLog {
    /// Lines are handed over once there are this many bytes of them.
    const BATCH: usize = 32 << 10;

    /// Lets `write` append one line (without its end).
    pub fn line(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(_) = &self.writer else { return };
        let mut lines = self.lines.borrow_mut();
        write(&mut lines);
        lines.push(b'\n');
        if lines.len() >= Self::BATCH {
            drop(lines);
            self.flush();
        }
    }

    /// Hands over what there is.
    pub fn flush(&self) {
        let Some(writer) = &self.writer else { return };
        let lines = std::mem::take(&mut *self.lines.borrow_mut());
        if !lines.is_empty() {
            writer.send(lines);
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

fn write_all(receiver: &Receiver<Message>, mut target: Target, dropped: &Counter, posts: &mpsc::Sender<Batch>) {
    let mut trouble = Trouble::default();
    let mut sink = trouble.open(&target, posts);
    for message in receiver {
        match message {
            Message::Switch(next) => {
                target = next;
                trouble = Trouble { told: trouble.told, ..Trouble::default() };
                sink = trouble.open(&target, posts);
            }
            Message::Flush(done) => drop(done.send(())),
            Message::Close => return,
            Message::Lines(lines) => {
                if sink.is_none() {
                    sink = trouble.open(&target, posts);
                }
                let Some(open) = &mut sink else {
                    dropped.add(count(&lines));
                    continue;
                };
                match open.write(lines) {
                    Ok(()) => trouble.failing = false,
                    Err(lost) => {
                        dropped.add(lost.lines);
                        trouble.tell("the access log cannot be written", &lost.why);
                        sink = trouble.open(&target, posts);
                    }
                }
            }
        }
        trouble.count(dropped.value());
    }
}

/// What was said about lines that are lost: the first time, and then each time there are twice as many.
#[derive(Default)]
struct Trouble {
    failing: bool,
    told: u64,
}

impl Trouble {
    fn open(&mut self, target: &Target, posts: &mpsc::Sender<Batch>) -> Option<Sink> {
        match Sink::open(target, posts) {
            Ok(sink) => Some(sink),
            Err(error) => {
                self.tell(&format!("the access log cannot be opened at {target:?}"), &error.to_string());
                None
            }
        }
    }

    fn tell(&mut self, what: &str, why: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            log::error(what, &[("error", &why)]);
        }
    }

    fn count(&mut self, lost: u64) {
        if lost > self.told * 2 {
            log::warn("access log lines were dropped", &[("lines", &lost)]);
            self.told = lost;
        }
    }
}

fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

#[cfg(test)]
mod tests {
    use super::AccessWriter;
    use super::Counter;
    use super::Target;
    use super::mpsc;

    fn start(target: Target) -> AccessWriter {
        AccessWriter::start(target, Counter::default(), mpsc::channel(1).0).unwrap()
    }

    #[test]
    fn lines_for_a_url_are_handed_on_and_counted_when_nobody_takes_them() {
        let (sender, mut posts) = mpsc::channel(1);
        let dropped = Counter::default();
        let writer = AccessWriter::start(Target::Post("http://logs/".into()), dropped.clone(), sender).unwrap();
        let lines = writer.lines();
        for line in ["one", "two"] {
            lines.line(|out| out.extend_from_slice(line.as_bytes()));
            lines.flush();
        }
        writer.flush();
        assert_eq!(dropped.value(), 1);
        let batch = posts.blocking_recv().unwrap();
        assert_eq!((batch.url.as_str(), batch.lines.as_slice()), ("http://logs/", &b"one\n"[..]));
        writer.close();
        assert!(posts.blocking_recv().is_none(), "nobody sends any more");
    }

    #[test]
    fn targets_are_told_apart() {
        assert_eq!(Target::parse(""), Ok(Target::Stdout));
        assert_eq!(Target::parse("file:/var/log/a.log"), Ok(Target::File("/var/log/a.log".into())));
        assert_eq!(Target::parse("syslog://logs"), Ok(Target::Syslog("logs:514".into())));
        assert_eq!(Target::parse("syslog://[::1]:1514"), Ok(Target::Syslog("[::1]:1514".into())));
        assert_eq!(Target::parse("https://logs/in?x=1"), Ok(Target::Post("https://logs/in?x=1".into())));
        for wrong in ["files:a", "file:", "syslog://", "syslog://:514", "syslog://a/b", "http://", "ftp://a", "logs"] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lines_reach_the_file_and_a_switch_opens_it_again() {
        let folder = std::env::temp_dir().join(format!("moongate-access-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.log");
        let writer = start(Target::File(path.display().to_string()));
        let lines = writer.lines();
        lines.line(|out| out.extend_from_slice(b"one"));
        lines.flush();
        while std::fs::read(&path).unwrap_or_default() != b"one\n" {
            std::thread::yield_now();
        }
        std::fs::rename(&path, folder.join("a.log.1")).unwrap();
        writer.switch(Target::File(path.display().to_string()));
        lines.line(|out| out.extend_from_slice(b"two"));
        drop(lines);
        while std::fs::read(&path).unwrap_or_default() != b"two\n" {
            std::thread::yield_now();
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
