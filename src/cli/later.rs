//! Commands that later versions have: known by name, so that nobody thinks they misspelt them.

use std::ffi::OsString;

use clap::Args;
use clap::Subcommand;

use crate::cli::Exit;

/// Whatever follows.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(super) struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _rest: Vec<OsString>,
}

/// One variant a command.
#[derive(Subcommand)]
pub(super) enum Later {
    #[command(hide = true)]
    Import(Rest),
    #[command(hide = true)]
    Top(Rest),
}

impl Later {
    /// Says so.
    pub(super) fn run(self) -> Exit {
        let (name, instead) = match self {
            Self::Import(_) => ("import", ""),
            Self::Top(_) => ("top", "; see /metrics and /state of the admin listener"),
        };
        eprintln!("error: `moongate {name}` is not in this version{instead}");
        Exit::Usage
    }
}
