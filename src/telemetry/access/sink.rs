//! Where access log lines end up: a stream, a file, a syslog daemon, or whoever posts them to a URL.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::net::UdpSocket;

use tokio::sync::mpsc;

use super::Batch;
use super::Target;
use super::count;
use crate::telemetry::log;

/// An open target.
pub(super) enum Sink {
    Stdout,
    Stderr,
    File(File),
    Syslog(Syslog),
    Post(String, mpsc::Sender<Batch>),
}

/// Lines that did not get where they belong, and why.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) lines: u64,
    pub(super) why: String,
}

impl Sink {
    pub(super) fn open(target: &Target, posts: &mpsc::Sender<Batch>) -> io::Result<Self> {
        Ok(match target {
            Target::Stdout => Self::Stdout,
            Target::Stderr => Self::Stderr,
            Target::File(path) => Self::File(OpenOptions::new().create(true).append(true).open(path)?),
            Target::Syslog(host) => Self::Syslog(Syslog::open(host)?),
            Target::Post(url) => Self::Post(url.clone(), posts.clone()),
        })
    }

    pub(super) fn write(&mut self, lines: Vec<u8>) -> Result<(), Lost> {
        let written = match self {
            Self::Stdout => io::stdout().write_all(&lines),
            Self::Stderr => io::stderr().write_all(&lines),
            Self::File(file) => file.write_all(&lines),
            Self::Syslog(syslog) => return syslog.write(&lines),
            Self::Post(url, posts) => {
                let batch = Batch { url: url.clone(), lines };
                return posts.try_send(batch).map_err(|refused| Lost {
                    lines: count(&refused.into_inner().lines),
                    why: "the receiver does not keep up".to_owned(),
                });
            }
        };
        written.map_err(|error| Lost { lines: count(&lines), why: error.to_string() })
    }
}

/// RFC 5424 messages, one a datagram (RFC 5426).
pub(super) struct Syslog {
    socket: UdpSocket,
    host: String,
}

impl Syslog {
    /// A longer message is cut: it would not fit a datagram.
    const LONGEST: usize = 32 << 10;

    fn open(host: &str) -> io::Result<Self> {
        let bound = UdpSocket::bind("[::]:0").and_then(|socket| socket.connect(host).map(|()| socket));
        let socket = match bound {
            Ok(socket) => socket,
            Err(_) => {
                let socket = UdpSocket::bind("0.0.0.0:0")?;
                socket.connect(host)?;
                socket
            }
        };
        // A daemon that is slow must not hold up the lines behind.
        socket.set_write_timeout(Some(std::time::Duration::from_millis(100)))?;
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name: String = name.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
        Ok(Self { socket, host: if name.is_empty() { "-".to_owned() } else { name } })
    }

    fn write(&self, lines: &[u8]) -> Result<(), Lost> {
        let (mut lost, mut why) = (0, String::new());
        for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let line = &line[..line.len().min(Self::LONGEST)];
            if let Err(error) = self.socket.send(&message(&self.host, std::process::id(), &log::now(), line)) {
                (lost, why) = (lost + 1, error.to_string());
            }
        }
        if lost == 0 { Ok(()) } else { Err(Lost { lines: lost, why }) }
    }
}

/// Facility local0, severity informational; no structured data, the line says it all (RFC 5424 §6).
fn message(host: &str, process: u32, time: &str, line: &[u8]) -> Vec<u8> {
    let mut message = format!("<134>1 {time} {host} moongate {process} access - ").into_bytes();
    message.extend_from_slice(line);
    message
}

#[cfg(test)]
mod tests {
    use super::message;

    #[test]
    fn a_message_is_as_the_rfc_wants_it() {
        let made = message("gw-1", 42, "2026-01-31T12:00:00.000Z", b"GET / 200");
        assert_eq!(made, b"<134>1 2026-01-31T12:00:00.000Z gw-1 moongate 42 access - GET / 200");
    }
}
