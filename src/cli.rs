//! The command line: one file a command.

mod ask;
mod check;
mod diff;
mod docs;
mod drain;
mod explain;
mod import;
mod init;
mod purge;
mod reach;
mod record;
mod reload;
mod replay;
mod rollback;
mod routes;
mod run;
mod settings;
mod test;
mod top;
mod types;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

use settings::Settings;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Fine = 0,
    /// It ran and failed: a port is taken, a check of the surroundings did not hold.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The script does not load.
    Script = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Writes to standard output. A reader that left early (`| head`) is no fault of ours.
fn say(text: std::fmt::Arguments<'_>) {
    let _ = std::io::stdout().write_fmt(text);
}

/// An API gateway you program instead of configure: one binary, one gateway.lua, live on save.
#[derive(Parser)]
#[command(name = "moongate", version, max_term_width = 100, after_help = AFTER, disable_help_subcommand = true)]
#[command(arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "\
Where a command takes FILE and none is given: $MOONGATE_CONFIG, then ./gateway.lua, then /etc/moongate/gateway.lua.

First steps:
  moongate init            write a gateway.lua that runs at once
  moongate run             serve it; every save is live
  moongate test            run the tests beside it, offline
  moongate docs route      what a word means and which options it has

Exit codes: 0 fine, 1 it ran and failed, 2 bad command line, 3 the script does not load.
Environment: MOONGATE_CONFIG, MOONGATE_LOG (debug, info, warn, error), MOONGATE_ADMIN (as --admin),
MOONGATE_ADMIN_TOKEN (as --token), MOONGATE_SECRETS (a folder with one file a secret), NO_COLOR.";

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Routes(routes::Routes),
    Init(init::Init),
    Import(import::Import),
    Test(test::Test),
    Explain(explain::Explain),
    Types(types::Types),
    Diff(diff::Compare),
    Reload(reload::Reload),
    Rollback(rollback::Rollback),
    Docs(docs::Docs),
    Drain(drain::Drain),
    Purge(purge::Purge),
    Record(record::Record),
    Replay(replay::Replay),
    Top(top::Top),
}

/// Runs the command line `arguments` (the first is the program's name).
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(message) => {
            // Help on stdout is fine; a message on stderr that nobody reads changes nothing.
            let _ = message.print();
            return if message.use_stderr() { Exit::Usage } else { Exit::Fine };
        }
    };
    let settings = &cli.settings;
    match cli.command {
        Command::Run(run) => run.run(settings),
        Command::Check(check) => check.run(settings),
        Command::Routes(routes) => routes.run(settings),
        Command::Init(init) => init.run(),
        Command::Import(import) => import.run(),
        Command::Test(test) => test.run(settings),
        Command::Explain(explain) => explain.run(settings),
        Command::Types(types) => types.run(),
        Command::Diff(diff) => diff.run(settings),
        Command::Reload(reload) => reload.run(),
        Command::Rollback(rollback) => rollback.run(settings),
        Command::Docs(docs) => docs.run(),
        Command::Drain(drain) => drain.run(),
        Command::Purge(purge) => purge.run(),
        Command::Record(record) => record.run(),
        Command::Replay(replay) => replay.run(settings),
        Command::Top(top) => top.run(),
    }
}

/// Ends with `exit`, saying why.
fn fail(exit: Exit, message: &str) -> Exit {
    eprintln!("error: {message}");
    exit
}

#[cfg(test)]
mod tests;
