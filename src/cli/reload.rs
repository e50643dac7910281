//! `moongate reload`: has the gateway that runs read its script again.

use clap::Args;
use serde_json::Value;

use crate::cli::Exit;
use crate::cli::ask;
use crate::cli::ask::Admin;
use crate::cli::fail;
use crate::cli::say;

/// Have the running gateway read its script again
///
/// Asks the running gateway, at its admin listener, to load its files now, as saving one of them does. What has a mistake
/// changes nothing: the mistake is shown, and what ran goes on.
#[derive(Args)]
pub(super) struct Reload {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

impl Reload {
    pub(super) fn run(&self) -> Exit {
        match self.admin.answer("POST", "/reload", "") {
            Err(message) => fail(Exit::Failed, &message),
            Ok((200, text)) => {
                if self.json {
                    say(format_args!("{text}"));
                } else {
                    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
                    say(format_args!("generation {} runs\n", answer["generation"]));
                }
                Exit::Fine
            }
            Ok((status, text)) => refused(&ask::refusal(status, &text)),
        }
    }
}

/// A script that does not load is told of as `moongate check` does.
fn refused(said: &str) -> Exit {
    if said.starts_with("error: ") {
        eprintln!("{}", said.trim_end());
        return Exit::Script;
    }
    fail(Exit::Failed, said)
}
