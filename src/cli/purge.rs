//! `moongate purge`: tells a running gateway what to forget.

use clap::Args;

use crate::cli::Exit;
use crate::cli::ask::Admin;
use crate::cli::fail;
use crate::cli::say;
use crate::primitive::form;

/// Forget stored answers of a running gateway, by tag, key or path
///
/// Asks the admin listener of a running gateway to forget answers: softly (they are served until they have been asked
/// for again) or --hard. A key is a route's own (`key = …`), an address (http://host/path?query) or that of a value.
/// Exit code 1 when the gateway cannot be reached or refuses.
#[derive(Args)]
pub(super) struct Purge {
    /// What carries these tags
    #[arg(value_name = "TAG")]
    tags: Vec<String>,
    /// What is stored under this key; may be repeated
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// What lies under this path
    #[arg(long, value_name = "PATH")]
    prefix: Option<String>,
    /// Everything
    #[arg(long)]
    all: bool,
    /// At once, also where a stale answer could stand in
    #[arg(long)]
    hard: bool,
    /// In this space only [default: in all]
    #[arg(long, value_name = "NAME")]
    space: Option<String>,
    /// What the gateway answers, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

impl Purge {
    pub(super) fn run(self) -> Exit {
        if !self.all && self.tags.is_empty() && self.key.is_empty() && self.prefix.is_none() {
            return fail(Exit::Usage, "say what to forget: TAG…, --key KEY, --prefix PATH or --all");
        }
        let text = match self.admin.ask("POST", &format!("/purge?{}", self.query())) {
            Ok(text) => text,
            Err(exit) => return exit,
        };
        if self.json {
            say(format_args!("{text}"));
            return Exit::Fine;
        }
        let spaces = serde_json::from_str::<serde_json::Value>(&text).ok();
        let spaces = spaces.as_ref().and_then(|answer| answer["spaces"].as_array());
        let spaces: Vec<&str> = spaces.into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
        match &spaces[..] {
            [] => say(format_args!("nothing is stored\n")),
            names => say(format_args!("purged in {}\n", names.join(", "))),
        }
        Exit::Fine
    }

    fn query(&self) -> String {
        let tags = self.tags.iter().map(|tag| ("tag", tag.as_str())).chain(self.all.then_some(("tag", "*")));
        let keys = self.key.iter().map(|key| ("key", key.as_str()));
        let rest = [("prefix", &self.prefix), ("space", &self.space)];
        let rest = rest.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        form::encode(tags.chain(keys).chain(rest).chain(self.hard.then_some(("hard", "true"))))
    }
}
