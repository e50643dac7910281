//! `moongate rollback`: asks the gateway that runs to go back to what ran before.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::cli::Exit;
use crate::cli::fail;
use crate::cli::say;
use crate::cli::settings::Settings;
use crate::downstream::Listen;
use crate::script::listener;
use crate::script::load;

/// Bring back what ran before the last reload
///
/// Asks the running gateway, at its admin listener, to go back to the generation before the last reload. The script that
/// ran until then stays out until one of its files changes.
///
/// Where the admin listener is, and its token, is read from the script, which must load for that; with --admin the script
/// is not looked at.
#[derive(Args)]
pub(super) struct Rollback {
    /// The script
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Where the admin listener is
    #[arg(long, value_name = "ADDR", env = "MOONGATE_ADMIN", hide_env_values = true, value_parser = address)]
    admin: Option<Listen>,
    /// Its token, where it has one; better in the environment, since command lines are seen by everybody
    #[arg(long, value_name = "TOKEN", env = "MOONGATE_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Rollback {
    pub(super) fn run(self, settings: &Settings) -> Exit {
        let (at, token) = match self.target(settings) {
            Ok(target) => target,
            Err(exit) => return exit,
        };
        match post(&at, "/rollback", token.as_deref()) {
            Ok((200, body)) => {
                let generation = body.get("generation").and_then(Value::as_u64).unwrap_or_default();
                say(format_args!("generation {generation} runs\n"));
                Exit::Fine
            }
            Ok((status, body)) => {
                let detail = body.get("detail").and_then(Value::as_str).unwrap_or("no reason was given");
                fail(Exit::Failed, &format!("the gateway answered {status}: {detail}"))
            }
            Err(error) => fail(Exit::Failed, &format!("no gateway answers at {}: {error}", shown(&at))),
        }
    }

    fn target(&self, settings: &Settings) -> Result<(Listen, Option<String>), Exit> {
        let given = self.token.clone().filter(|token| !token.is_empty());
        if let Some(at) = &self.admin {
            return Ok((at.clone(), given));
        }
        let (file, options) = settings.load(self.file.as_deref())?;
        let loaded = load(&file, &options).map_err(|faults| {
            eprint!("{}", faults.render(crate::cli::settings::color()));
            fail(Exit::Script, "say where the admin listener is: --admin ADDR")
        })?;
        let admin = loaded.program.plan().gateway.admin.as_ref();
        let admin = admin.ok_or_else(|| fail(Exit::Failed, "this script has its admin listener off"))?;
        let own = admin.token.as_ref().and_then(|name| String::from_utf8(loaded.program.secret(name)?).ok());
        Ok((admin.address.clone(), given.or(own)))
    }
}

/// The status and the body of an answer.
fn post(at: &Listen, path: &str, token: Option<&str>) -> std::io::Result<(u16, Value)> {
    let field = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request =
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{field}content-length: 0\r\nconnection: close\r\n\r\n");
    let mut answer = Vec::new();
    match at {
        Listen::Tcp(address) => {
            let mut address = *address;
            if address.ip().is_unspecified() {
                address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
            }
            let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(request.as_bytes())?;
            stream.take(MOST).read_to_end(&mut answer)?;
        }
        Listen::Unix(path) => {
            let mut stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(request.as_bytes())?;
            stream.take(MOST).read_to_end(&mut answer)?;
        }
    }
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("this is no HTTP"))?;
    Ok((status, serde_json::from_str(body).unwrap_or_default()))
}

fn shown(at: &Listen) -> String {
    match at {
        Listen::Tcp(address) => address.to_string(),
        Listen::Unix(path) => format!("unix:{path}"),
    }
}

fn address(text: &str) -> Result<Listen, String> {
    listener(text).map_err(|(message, label)| format!("{message}; {label}"))
}

/// A reload takes less.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most of an answer that is read.
const MOST: u64 = 1 << 20;
