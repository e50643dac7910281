//! What commands ask of a running gateway: one request to its admin listener.

use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::cli::Exit;
use crate::cli::fail;
use crate::cli::settings;
use crate::downstream::Listen;
use crate::gateway::listing;

/// Which admin listener, and with which token.
#[derive(Args)]
pub(super) struct Admin {
    /// Where the admin listener is
    #[arg(long, value_name = "ADDR", env = "MOONGATE_ADMIN", hide_env_values = true, default_value = "127.0.0.1:9901")]
    admin: String,
    /// Its token, where it has one; better in the environment, since command lines are seen by everybody
    #[arg(long, value_name = "TOKEN", env = "MOONGATE_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Admin {
    /// Asks, and says why the command ends where the answer is not what was wanted.
    pub(super) fn ask(&self, method: &str, target: &str) -> Result<String, Exit> {
        self.put(method, target, "")
    }

    /// The same with something to read.
    pub(super) fn put(&self, method: &str, target: &str, body: &str) -> Result<String, Exit> {
        match self.answer(method, target, body) {
            Ok((status, text)) if status < 300 => Ok(text),
            Ok((status, text)) => Err(fail(Exit::Failed, &refusal(status, &text))),
            Err(message) => Err(fail(Exit::Failed, &message)),
        }
    }

    /// Status and text of the answer, or why there is none.
    pub(super) fn answer(&self, method: &str, target: &str, body: &str) -> Result<(u16, String), String> {
        let at = settings::listen(&self.admin).map_err(|message| format!("--admin: {message}"))?;
        exchange(&at, self.token.as_deref(), (method, target, body), TIME)
    }
}

/// Status and text of the answer, or why there is none within `time`.
pub(super) fn exchange(
    at: &Listen,
    token: Option<&str>,
    (method, target, body): (&str, &str, &str),
    time: Duration,
) -> Result<(u16, String), String> {
    let token = token.filter(|token| !token.is_empty());
    if token.is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err("the token has characters that no field can carry".to_owned());
    }
    let field = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\n{field}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let shown = listing::listen(at);
    let answer = match at {
        Listen::Tcp(address) => connect(*address, time).and_then(|stream| {
            stream.set_read_timeout(Some(time))?;
            talk(stream, &head)
        }),
        Listen::Unix(path) => UnixStream::connect(path).and_then(|stream| {
            stream.set_read_timeout(Some(time))?;
            talk(stream, &head)
        }),
    };
    let answer = answer.map_err(|error| format!("the admin listener at {shown} does not answer: {error}"))?;
    read(&answer).ok_or_else(|| format!("what answers at {shown} is no admin listener"))
}

/// Where the machine has no IPv6, a listener on every address is one on every IPv4 address.
fn connect(address: SocketAddr, time: Duration) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&reachable(address), time).or_else(|error| match address.ip() {
        IpAddr::V6(ip) if ip.is_unspecified() => {
            TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())), time)
        }
        _ => Err(error),
    })
}

/// A listener on all addresses is reached by the one of this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let own = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(own, address.port())
}

fn talk(mut stream: impl Read + Write, head: &str) -> std::io::Result<Vec<u8>> {
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer)?;
    Ok(answer)
}

/// Status and text of a whole answer, which ends with its connection.
fn read(answer: &[u8]) -> Option<(u16, String)> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// What a refusal says.
pub(super) fn refusal(status: u16, text: &str) -> String {
    let problem: Option<Value> = serde_json::from_str(text).ok();
    let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str());
    match detail {
        Some(detail) if status == 401 => format!("{detail} ($MOONGATE_ADMIN_TOKEN or --token)"),
        Some(detail) => detail.to_owned(),
        None => format!("the admin listener answered {status}"),
    }
}

/// How long an answer may take.
const TIME: Duration = Duration::from_secs(10);
/// And how large it may be.
const LARGEST: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_or_is_none() {
        let fine = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(read(fine), Some((404, "{}".to_owned())));
        for none in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 \r\n\r\n", "HTTP/1.1 2\u{20ac}\r\n\r\n"]
        {
            assert_eq!(read(none.as_bytes()), None, "{none:?}");
        }
        assert_eq!(read(b"HTTP/1.1 200 OK\r\n\r\n\xff"), None);
    }

    #[test]
    fn refusals_say_why() {
        assert_eq!(refusal(400, r#"{"detail":"say what"}"#), "say what");
        assert_eq!(refusal(401, r#"{"detail":"a token"}"#), "a token ($MOONGATE_ADMIN_TOKEN or --token)");
        assert_eq!(refusal(502, "<html>"), "the admin listener answered 502");
    }

    #[test]
    fn all_addresses_are_reached_by_this_machine_s_own() {
        for (address, reached) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:2", "[::1]:2"), ("10.0.0.1:3", "10.0.0.1:3")] {
            assert_eq!(reachable(address.parse().unwrap()).to_string(), reached);
        }
    }
}
