//! The access log: lines gathered per worker, written by one thread, dropped and counted when it cannot keep up.

use std::cell::RefCell;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use crate::telemetry::log;

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
}

impl Target {
    /// The target that `to` names: empty or `stdout`, `stderr`, `file:path`, `syslog://host[:port]`.
    pub fn parse(to: &str) -> Result<Self, String> {
        match to {
            "" | "stdout" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            _ => match (to.strip_prefix("file:"), to.strip_prefix("syslog://")) {
                (Some(path), _) if !path.is_empty() => Ok(Self::File(path.to_owned())),
                (_, Some(host)) if !host.is_empty() => Ok(Self::Syslog(with_port(host))),
                _ => Err(format!(
                    "`{to}` is no place for a log; write \"stdout\", \"stderr\", \"file:a.log\" or \"syslog://host:514\""
                )),
            },
        }
    }
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
}

/// The writer thread's other end, shared by all workers.
#[derive(Clone)]
pub struct AccessWriter {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl AccessWriter {
    /// Batches that may wait for the thread.
    const WAITING: usize = 256;

    /// Starts the thread.
    pub fn start(target: Target) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(Self::WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&dropped);
        thread::Builder::new().name("access-log".into()).spawn(move || write_all(&receiver, target, &told))?;
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

    /// Lines lost because the thread could not keep up.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// One worker's end of it.
    pub fn lines(&self) -> AccessLog {
        AccessLog { lines: RefCell::new(Vec::new()), writer: Some(self.clone()) }
    }

    fn send(&self, lines: Vec<u8>) {
        if let Err(TrySendError::Full(Message::Lines(lines)) | TrySendError::Disconnected(Message::Lines(lines))) =
            self.sender.try_send(Message::Lines(lines))
        {
            let lost = memchr::memchr_iter(b'\n', &lines).count() as u64;
            self.dropped.fetch_add(lost, Ordering::Relaxed);
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

enum Sink {
    Stdout,
    Stderr,
    File(File),
    Syslog(UdpSocket),
}

impl Sink {
    fn open(target: &Target) -> io::Result<Self> {
        Ok(match target {
            Target::Stdout => Self::Stdout,
            Target::Stderr => Self::Stderr,
            Target::File(path) => Self::File(OpenOptions::new().create(true).append(true).open(path)?),
            Target::Syslog(host) => {
                let socket = UdpSocket::bind("[::]:0").or_else(|_| UdpSocket::bind("0.0.0.0:0"))?;
                socket.connect(host)?;
                Self::Syslog(socket)
            }
        })
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().write_all(lines),
            Self::Stderr => io::stderr().write_all(lines),
            Self::File(file) => file.write_all(lines),
            Self::Syslog(socket) => {
                lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).try_for_each(|line| {
                    // Facility local0, severity informational (RFC 5424 §6.2.1); the line carries its own time.
                    let datagram = [b"<134>1 - - moongate - - - ".as_slice(), line].concat();
                    socket.send(&datagram).map(drop)
                })
            }
        }
    }
}

fn write_all(receiver: &Receiver<Message>, mut target: Target, dropped: &AtomicU64) {
    let mut sink = opened(&target);
    let mut told = 0;
    for message in receiver {
        match message {
            Message::Switch(next) => {
                target = next;
                sink = opened(&target);
            }
            Message::Flush(done) => drop(done.send(())),
            Message::Lines(lines) => {
                let written = sink.as_mut().map_or(Ok(()), |sink| sink.write(&lines));
                if let Err(error) = written {
                    log::warn("the access log cannot be written", &[("error", &error)]);
                    sink = opened(&target);
                }
            }
        }
        let lost = dropped.load(Ordering::Relaxed);
        if lost > told {
            log::warn("access log lines were dropped", &[("lines", &(lost - told))]);
            told = lost;
        }
    }
}

fn opened(target: &Target) -> Option<Sink> {
    Sink::open(target)
        .map_err(|error| {
            log::error("the access log cannot be opened", &[("to", &format!("{target:?}")), ("error", &error)])
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::AccessWriter;
    use super::Target;

    #[test]
    fn targets_are_told_apart() {
        assert_eq!(Target::parse(""), Ok(Target::Stdout));
        assert_eq!(Target::parse("file:/var/log/a.log"), Ok(Target::File("/var/log/a.log".into())));
        assert_eq!(Target::parse("syslog://logs"), Ok(Target::Syslog("logs:514".into())));
        assert_eq!(Target::parse("syslog://[::1]:1514"), Ok(Target::Syslog("[::1]:1514".into())));
        assert!(Target::parse("files:a").is_err());
    }

    #[test]
    fn lines_reach_the_file_and_a_switch_opens_it_again() {
        let folder = std::env::temp_dir().join(format!("moongate-access-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.log");
        let writer = AccessWriter::start(Target::File(path.display().to_string())).unwrap();
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
