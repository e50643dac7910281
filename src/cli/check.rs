//! `moongate check`: everything a start would find wrong, without a socket.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::reach;
use crate::cli::say;
use crate::cli::settings;
use crate::cli::settings::Settings;
use crate::gateway;
use crate::plan::Plan;
use crate::script::diagnose;
use crate::script::diagnose::Diagnostic;
use crate::script::load;

/// Load everything, open no socket, report every mistake
///
/// Loads the script and everything it needs, opens no socket, and reports every mistake with its place. Exit code 3 when
/// it does not load.
#[derive(Args)]
pub(super) struct Check {
    /// The script
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Warnings count as mistakes
    #[arg(long)]
    strict: bool,
    /// Also look up and connect to each upstream (exit code 1 when one cannot be reached)
    #[arg(long)]
    connect: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self, settings: &Settings) -> Exit {
        let (file, options) = match settings.load(self.file.as_deref()) {
            Ok(ready) => ready,
            Err(exit) => return exit,
        };
        let loaded = match load(&file, &options) {
            Ok(loaded) => loaded,
            Err(faults) => {
                if self.json {
                    say(format_args!("{}\n", faults.to_json()));
                } else {
                    eprint!("{}", faults.render(settings::color()));
                }
                return Exit::Script;
            }
        };
        let plan = loaded.program.plan();
        if let Err(fault) = gateway::check(&loaded.program) {
            return self.report(&[Diagnostic::error(fault)], &[], plan, Exit::Script);
        }
        let exit = if self.strict && !loaded.warnings.is_empty() { Exit::Script } else { Exit::Fine };
        let unreachable = if self.connect { reach::try_all(plan) } else { Vec::new() };
        let exit = if exit == Exit::Fine && !unreachable.is_empty() { Exit::Failed } else { exit };
        self.report(&loaded.warnings, &unreachable, plan, exit)
    }

    fn report(&self, found: &[Diagnostic], unreachable: &[String], plan: &Plan, exit: Exit) -> Exit {
        if self.json {
            let report = json!({
                "ok": exit == Exit::Fine,
                "routes": plan.routes.len(),
                "upstreams": plan.upstreams.len(),
                "found": found.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
                "unreachable": unreachable,
            });
            say(format_args!("{report}\n"));
            return exit;
        }
        eprint!("{}", diagnose::render(found, settings::color()));
        for upstream in unreachable {
            eprintln!("error: {upstream}");
        }
        if exit == Exit::Fine {
            say(format_args!(
                "fine: {}, {}\n",
                count(plan.routes.len(), "route"),
                count(plan.upstreams.len(), "upstream")
            ));
        }
        exit
    }
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
