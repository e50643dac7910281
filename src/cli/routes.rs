//! `moongate routes`: the table of routes.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::say;
use crate::cli::settings;
use crate::cli::settings::Settings;
use crate::gateway::listing;
use crate::script::load;

/// List the routes
///
/// Lists every route in the order written: pattern (`+n`: with n further conditions), where it goes, its steps, its
/// place in the script.
#[derive(Args)]
pub(super) struct Routes {
    /// The script
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Routes {
    pub(super) fn run(self, settings: &Settings) -> Exit {
        let (file, options) = match settings.load(self.file.as_deref()) {
            Ok(ready) => ready,
            Err(exit) => return exit,
        };
        match load(&file, &options) {
            Ok(loaded) => {
                let routes = listing::routes(loaded.program.plan());
                if self.json {
                    say(format_args!("{}\n", json!({ "routes": routes })));
                } else {
                    say(format_args!("{}", listing::table(&routes)));
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
