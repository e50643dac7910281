//! `moongate diff`: what a reload from one script to another would change.

use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::say;
use crate::cli::settings;
use crate::cli::settings::Settings;
use crate::gateway::diff::Diff;
use crate::script::Loaded;
use crate::script::load;

/// Show what a reload from one script to another would change
///
/// Loads both scripts, opens no socket, and shows what is declared differently: `+` for what comes, `-` for what goes, `~`
/// for what changes. Exit code 0 when both load, whether they differ or not; 3 when one does not.
#[derive(Args)]
pub(super) struct Compare {
    /// The script that runs
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The script that would take over
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub(super) fn run(self, settings: &Settings) -> Exit {
        let (old, new) = match (loaded(&self.old, settings), loaded(&self.new, settings)) {
            (Ok(old), Ok(new)) => (old.program, new.program),
            (Err(exit), _) | (_, Err(exit)) => return exit,
        };
        let diff = Diff::between(old.plan(), new.plan());
        let same = sources(&old) == sources(&new);
        if self.json {
            say(format_args!("{}\n", json!({ "same": same, "declared": diff.to_json() })));
        } else if same {
            say(format_args!("the same files\n"));
        } else if diff.is_empty() {
            say(format_args!("nothing declared differs; the code of functions does, or only the layout\n"));
        } else {
            say(format_args!("{diff}"));
        }
        Exit::Fine
    }
}

/// What was read, whatever the file itself is called.
fn sources(program: &crate::script::Program) -> Vec<Vec<u8>> {
    program.sources().map(|(_, text)| text.to_vec()).collect()
}

fn loaded(file: &Path, settings: &Settings) -> Result<Loaded, Exit> {
    let (file, options) = settings.load(Some(file))?;
    load(&file, &options).map_err(|faults| {
        eprint!("{}", faults.render(settings::color()));
        Exit::Script
    })
}
