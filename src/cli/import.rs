//! `moongate import`: a gateway.lua out of what another tool is configured by.

mod draft;
mod kong;
mod lua;
mod openapi;

use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use serde_json::Value;

use crate::cli::Exit;
use crate::cli::fail;
use crate::cli::say;
use crate::transform::yaml;

/// Write a gateway.lua out of an OpenAPI document or a configuration of Kong
///
/// Prints a script to begin with, and says on standard error what it could not translate and what is left to write:
/// whatever is not known keeps requests out, never lets them in.
///
///   moongate import openapi petstore.yaml > gateway.lua && moongate check
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Import {
    #[command(subcommand)]
    from: From,
}

#[derive(Subcommand)]
enum From {
    /// An OpenAPI document (3.0, 3.1; YAML or JSON), which stays the contract
    Openapi {
        /// The document
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// A declarative configuration of Kong (`deck gateway dump`, kong.yaml)
    Kong {
        /// The configuration
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

impl Import {
    pub(super) fn run(self) -> Exit {
        let (file, drafted) = match &self.from {
            From::Openapi { file } => (file, read(file).and_then(|document| openapi::draft(&document, file))),
            From::Kong { file } => (file, read(file).and_then(|config| kong::draft(&config))),
        };
        match drafted {
            Ok(draft) => {
                say(format_args!("{}", draft.text()));
                draft.notes().iter().for_each(|note| eprintln!("note: {note}"));
                Exit::Fine
            }
            Err(message) => fail(Exit::Failed, &format!("{}: {message}", file.display())),
        }
    }
}

/// JSON is read as such: as YAML, what it indents by tabs would be none.
fn read(file: &Path) -> Result<Value, String> {
    let text = std::fs::read(file).map_err(|error| error.to_string())?;
    if text.trim_ascii_start().starts_with(b"{") {
        return serde_json::from_slice(&text).map_err(|error| format!("no JSON: {error}"));
    }
    yaml::decode(&text).map_err(|error| format!("no YAML: {error}"))
}

/// The text at `name`; empty where there is none.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// The texts of the list at `name`.
fn texts<'a>(value: &'a Value, name: &str) -> Vec<&'a str> {
    items(value, name).iter().filter_map(Value::as_str).collect()
}

/// The list at `name`; empty where there is none.
fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}
