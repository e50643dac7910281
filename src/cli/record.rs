//! `moongate record`: keeps requests of the running gateway, with what services answered, in a file.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::ask::Admin;
use crate::cli::fail;
use crate::cli::say;
use crate::clock::Clock;
use crate::primitive::form;
use crate::primitive::units;

/// Keep requests of the running gateway in a file, to play them through another script
///
/// Has the running gateway keep the next requests, with what its services answered, and writes them to a file that
/// `moongate replay` plays. Credentials are not in it (authorization, cookies, keys, secrets), bodies up to 64 KB are:
/// whoever has the file can read them. It ends with the last request that is wanted, or when the time is over.
#[derive(Args)]
pub(super) struct Record {
    /// How many requests
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    count: usize,
    /// For how long at most
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = duration)]
    lasts: Duration,
    /// Only requests whose path is like this (`/v1/*`)
    #[arg(long, value_name = "GLOB")]
    path: Option<String>,
    /// Only requests of this method
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Only requests to a host like this
    #[arg(long, value_name = "GLOB")]
    host: Option<String>,
    /// Only requests of this client
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<std::net::IpAddr>,
    /// Only requests with this header field; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: GLOB")]
    headers: Vec<String>,
    /// Where they are written
    #[arg(short, long, value_name = "FILE", default_value = "recording.json")]
    output: PathBuf,
    /// Say as JSON what was recorded
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

impl Record {
    pub(super) fn run(self) -> Exit {
        match self.record() {
            Ok(count) if self.json => {
                say(format_args!("{}\n", json!({ "requests": count, "file": self.output })));
                Exit::Fine
            }
            Ok(count) => {
                let requests = if count == 1 { "request" } else { "requests" };
                say(format_args!("{count} {requests} recorded to {}\n", self.output.display()));
                Exit::Fine
            }
            Err(exit) => exit,
        }
    }

    fn record(&self) -> Result<usize, Exit> {
        let answer = self.ask("POST", &format!("/record?{}", self.terms()))?;
        let order = answer["order"].as_u64().unwrap_or_default();
        let clock = Clock::real();
        let end = clock.now().after(self.lasts + GRACE);
        let requests = loop {
            let answer = self.ask("GET", &format!("/record/{order}"))?;
            if answer["open"] != true || clock.now() >= end {
                break answer["requests"].as_array().cloned().unwrap_or_default();
            }
            std::thread::sleep(LOOK);
        };
        let count = requests.len();
        let recording = json!({ "moongate": env!("CARGO_PKG_VERSION"), "requests": requests });
        std::fs::write(&self.output, format!("{recording:#}\n"))
            .map_err(|error| fail(Exit::Failed, &format!("{}: {error}", self.output.display())))?;
        // It is in the file now; the gateway need not keep it.
        self.ask("DELETE", &format!("/record/{order}"))?;
        Ok(count)
    }

    fn ask(&self, method: &str, target: &str) -> Result<Value, Exit> {
        let text = self.admin.ask(method, target)?;
        let nonsense = |_| fail(Exit::Failed, "what the admin listener answers makes no sense");
        serde_json::from_str(&text).map_err(nonsense)
    }

    fn terms(&self) -> String {
        let (count, lasts) = (self.count.to_string(), format!("{}ms", self.lasts.as_millis()));
        let ip = self.ip.map(|ip| ip.to_string());
        let named = [("path", &self.path), ("method", &self.method), ("host", &self.host), ("ip", &ip)];
        let named = named.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        let headers = self.headers.iter().map(|header| ("header", header.as_str()));
        form::encode([("count", count.as_str()), ("for", lasts.as_str())].into_iter().chain(named).chain(headers))
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text).map_err(|fault| fault.to_string())
}

/// What is under way at the end may finish.
const GRACE: Duration = Duration::from_secs(5);
/// How often we ask whether it is over.
const LOOK: Duration = Duration::from_millis(200);
