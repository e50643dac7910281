//! `moongate run`: serve.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;

use crate::cli::Exit;
use crate::cli::fail;
use crate::cli::settings;
use crate::cli::settings::Settings;
use crate::clock::Clock;
use crate::downstream::Listen;
use crate::gateway;
use crate::gateway::AdminOption;
use crate::gateway::Options;
use crate::gateway::StartError;
use crate::telemetry::log;

/// Serve; every saved change is live
///
/// Serves the gateway that the script describes. Every saved change is loaded, checked, shown as a diff and live at
/// once; a broken file changes nothing. HUP reloads, TERM and INT let requests end and leave, a second one leaves now.
#[derive(Args)]
pub(super) struct Run {
    /// The script
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Show script errors, with file and line, to clients
    #[arg(long)]
    dev: bool,
    /// Do not load the script again when it changes
    #[arg(long)]
    no_watch: bool,
    /// Worker threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// Listen here instead of where the script says: ":8080", "127.0.0.1:8080", "unix:/run/moongate.sock"; may be
    /// repeated
    #[arg(long, value_name = "ADDR", value_parser = settings::listen)]
    listen: Vec<Listen>,
    /// Put the admin listener here, or `off`
    #[arg(long, value_name = "ADDR|off", env = "MOONGATE_ADMIN", hide_env_values = true, value_parser = admin)]
    admin: Option<AdminOption>,
    /// Keep what outlives the process in this folder: the last script that loaded is used at the next start when the
    /// file is broken then
    #[arg(long, value_name = "DIR", alias = "last-good")]
    state: Option<PathBuf>,
    /// Listen also where another process still does, which is about to leave (to swap the binary)
    #[arg(long)]
    takeover: bool,
}

impl Run {
    pub(super) fn run(self, settings: &Settings) -> Exit {
        let options = match self.options(settings) {
            Ok(options) => options,
            Err(exit) => return exit,
        };
        if let Some(level) = options.log {
            log::configure(level, false);
        }
        match gateway::start(options) {
            Ok(running) => {
                running.banner().iter().for_each(|line| log::info(line, &[]));
                running.wait().map_or_else(|error| failed(&error), |()| Exit::Fine)
            }
            Err(error) => failed(&error),
        }
    }

    fn options(self, settings: &Settings) -> Result<Options, Exit> {
        let usage = |message: String| fail(Exit::Usage, &message);
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Options {
            file: settings::script(self.file.as_deref())?,
            listen: (!self.listen.is_empty()).then_some(self.listen),
            admin: self.admin.unwrap_or_default(),
            workers: self.workers.map_or_else(cores, usize::from),
            watch: !self.no_watch,
            state: self.state,
            dev: self.dev,
            clock: Clock::real(),
            env: settings.environment().map_err(usage)?,
            secrets: Settings::secrets(),
            takeover: self.takeover,
            signals: true,
            terminal: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            log: settings::log_level().map_err(usage)?,
        })
    }
}

fn failed(error: &StartError) -> Exit {
    match error {
        StartError::Script(faults) => {
            eprint!("{}", faults.render(settings::color()));
            Exit::Script
        }
        StartError::Build(text) => {
            eprintln!("error: {text}");
            Exit::Script
        }
        StartError::Bind(_) | StartError::System(_) => {
            eprintln!("error: {error}");
            Exit::Failed
        }
    }
}

fn admin(text: &str) -> Result<AdminOption, String> {
    if text == "off" { Ok(AdminOption::Off) } else { settings::listen(text).map(AdminOption::At) }
}
