//! A question to the admin listener of a gateway that runs.

use std::io::Read as _;
use std::io::Write;
use std::net::TcpStream;
use std::net::ToSocketAddrs as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use clap::Args;

use crate::cli::Exit;
use crate::cli::fail;
use crate::downstream::Listen;
use crate::script::listener;

/// Where the gateway is asked, and as whom.
#[derive(Args)]
pub(super) struct Admin {
    /// The admin listener of the gateway
    #[arg(long, value_name = "ADDR", env = "MOONGATE_ADMIN", default_value = "127.0.0.1:9901")]
    admin: String,
    /// Its token, where it has one
    #[arg(long, value_name = "TOKEN", env = "MOONGATE_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// An answer: status and body.
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Admin {
    /// Asks, and ends the command where there is no answer, or one that says no.
    pub(super) fn ask(&self, method: &str, target: &str) -> Result<Said, Exit> {
        let said = self.exchange(method, target).map_err(|cause| {
            fail(Exit::Failed, &format!("no answer from the admin listener at {}: {cause}", self.admin))
        })?;
        if said.status < 300 {
            return Ok(said);
        }
        let problem: serde_json::Value = serde_json::from_str(&said.body).unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("the admin listener refused");
        Err(fail(Exit::Failed, detail))
    }

    fn exchange(&self, method: &str, target: &str) -> Result<Said, String> {
        let token = self.token.as_ref().map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        if token.trim_end().contains(['\r', '\n']) {
            return Err("the token has a line break".to_owned());
        }
        let request = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n{token}connection: close\r\n\r\n");
        let address = listener(&self.admin).map_err(|(message, _)| message)?;
        let answer = match address {
            Listen::Tcp(address) => {
                let local = if address.ip().is_unspecified() {
                    format!("127.0.0.1:{}", address.port())
                } else {
                    address.to_string()
                };
                let address = local.to_socket_addrs().map_err(text)?.next().ok_or("it is no address")?;
                let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(text)?;
                stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
                talk(stream, &request)
            }
            Listen::Unix(path) => {
                let stream = UnixStream::connect(path).map_err(text)?;
                stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
                talk(stream, &request)
            }
        }?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("its answer is no HTTP")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("its answer is no HTTP")?;
        Ok(Said { status, body: body.to_owned() })
    }
}

/// Everything that is said until the connection ends.
fn talk(mut stream: impl std::io::Read + Write, request: &str) -> Result<String, String> {
    stream.write_all(request.as_bytes()).map_err(text)?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).map_err(text)?;
    String::from_utf8(answer).map_err(|_| "its answer is no text".to_owned())
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

/// How long the gateway may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// More is no answer of ours.
const MOST: u64 = 64 << 20;
