//! `moongate routes`: the table of routes.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::ask::Admin;
use crate::cli::say;
use crate::cli::settings;
use crate::cli::settings::Settings;
use crate::gateway::listing;
use crate::gateway::listing::Listed;
use crate::script::load;

/// List the routes
///
/// Lists every route in the order written: pattern (`+n`: with n further conditions), where it goes, its steps, its
/// place in the script; then the upstreams with their hosts.
#[derive(Args)]
pub(super) struct Routes {
    /// The script
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Ask a running gateway instead: its routes, and its upstreams with every host's health and load
    #[arg(long, conflicts_with = "file")]
    live: bool,
    #[command(flatten)]
    admin: Admin,
}

impl Routes {
    pub(super) fn run(self, settings: &Settings) -> Exit {
        if self.live {
            return self.ask();
        }
        let (file, options) = match settings.load(self.file.as_deref()) {
            Ok(ready) => ready,
            Err(exit) => return exit,
        };
        match load(&file, &options) {
            Ok(loaded) => {
                let plan = loaded.program.plan();
                let (routes, upstreams) = (listing::routes(plan).collect::<Vec<_>>(), listing::upstreams(plan));
                if self.json {
                    say(format_args!("{}\n", json!({ "routes": routes, "upstreams": upstreams })));
                } else {
                    say(format_args!("{}", listing::table(&routes)));
                    show(&json!(upstreams));
                }
                Exit::Fine
            }
            Err(faults) if self.json => {
                say(format_args!("{}\n", faults.to_json()));
                Exit::Script
            }
            Err(faults) => {
                eprint!("{}", faults.render(settings::color()));
                Exit::Script
            }
        }
    }
}

impl Routes {
    fn ask(&self) -> Exit {
        let text = match self.admin.ask("GET", "/state") {
            Ok(text) => text,
            Err(exit) => return exit,
        };
        let state: Value = serde_json::from_str(&text).unwrap_or_default();
        let (routes, upstreams) = (&state["routes"], &state["upstreams"]);
        if self.json {
            say(format_args!("{}\n", json!({ "routes": routes, "upstreams": upstreams })));
        } else {
            let routes: Vec<Listed> = serde_json::from_value(routes.clone()).unwrap_or_default();
            say(format_args!("{}", listing::table(&routes)));
            show(upstreams);
        }
        Exit::Fine
    }
}

/// Each upstream with its hosts.
fn show(upstreams: &Value) {
    for upstream in upstreams.as_array().into_iter().flatten() {
        let text = |name: &str| upstream[name].as_str().unwrap_or_default();
        let panic = if upstream["panic"] == true { ", too few hosts are well: all are asked" } else { "" };
        say(format_args!("\nupstream {} ({}{panic})\n", text("name"), text("balance")));
        say(format_args!("{}", listing::hosts(&upstream["hosts"])));
    }
}
