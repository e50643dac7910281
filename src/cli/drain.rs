//! `moongate drain`: a host of a running gateway finishes what it has and gets nothing new.

use clap::Args;

use crate::cli::Exit;
use crate::cli::ask::Admin;
use crate::cli::say;
use crate::gateway::listing;
use crate::primitive::form;

/// Take a host out, and in again
///
/// Tells a running gateway to send nothing new to a host: what it is busy with is finished, a reload changes nothing
/// about it. Shows the hosts of the upstream then.
#[derive(Args)]
pub(super) struct Drain {
    /// The upstream's name
    #[arg(value_name = "UPSTREAM")]
    upstream: String,
    /// The host's address, as `moongate routes --live` shows it
    #[arg(value_name = "HOST")]
    host: String,
    /// Take it in again
    #[arg(long)]
    undo: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

impl Drain {
    pub(super) fn run(&self) -> Exit {
        let which = [("upstream", self.upstream.as_str()), ("host", self.host.as_str())];
        let pairs = which.into_iter().chain(self.undo.then_some(("undo", "true")));
        match self.admin.ask("POST", &format!("/drain?{}", form::encode(pairs))) {
            Err(exit) => exit,
            Ok(text) if self.json => {
                say(format_args!("{}", text));
                Exit::Fine
            }
            Ok(text) => {
                let answer: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
                say(format_args!("{}", listing::hosts(&answer["hosts"])));
                Exit::Fine
            }
        }
    }
}
