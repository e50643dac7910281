//! `moongate types`: the vocabulary as editors read it, from the same tables that check options.

mod luals;
mod luau;

use std::path::Path;
use std::path::PathBuf;

use clap::Args;

use crate::cli::Exit;
use crate::cli::fail;
use crate::cli::say;
use crate::script::docs::Documented;

/// Write type definitions for editors
///
/// Writes what editors complete and check scripts with, generated from the tables that this binary
/// checks options with:
///
///   .moongate/types.lua       for the Lua language server (LuaLS), found through .luarc.json
///   .moongate/types.d.luau    for luau-lsp: set luau-lsp.types.definitionFiles to it
///
/// .luarc.json is written beside them unless there is one. `moongate init` does this too.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Types {
    /// The folder of the script
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Print one of them instead: luals or luau
    #[arg(long, value_name = "KIND", value_parser = ["luals", "luau"])]
    print: Option<String>,
}

impl Types {
    pub(super) fn run(self) -> Exit {
        match self.print.as_deref() {
            Some("luals") => say(format_args!("{}", luals::text(&super::docs::policies()))),
            Some(_) => say(format_args!("{}", luau::text(&super::docs::policies()))),
            None => match write(&self.folder) {
                Ok(written) => written.iter().for_each(|file| say(format_args!("wrote {}\n", file.display()))),
                Err(message) => return fail(Exit::Failed, &message),
            },
        }
        Exit::Fine
    }
}

/// Sets an editor up for the scripts of `folder`; what was written.
pub(super) fn write(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let policies: Vec<Documented> = super::docs::policies();
    let own = folder.join(".moongate");
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::create_dir_all(&own).map_err(|error| failed(&own, error))?;
    let mut written = Vec::new();
    for (name, text) in [("types.lua", luals::text(&policies)), ("types.d.luau", luau::text(&policies))] {
        let path = own.join(name);
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
        written.push(path);
    }
    let settings = folder.join(".luarc.json");
    if !settings.exists() {
        std::fs::write(&settings, SETTINGS).map_err(|error| failed(&settings, error))?;
        written.push(settings);
    }
    Ok(written)
}

/// Luau as LuaLS can read it: its operators, and the names that are no Lua of 5.1.
const SETTINGS: &str = r#"{
  "$schema": "https://raw.githubusercontent.com/LuaLS/vscode-lua/master/setting/schema.json",
  "runtime.version": "Lua 5.1",
  "runtime.nonstandardSymbol": ["+=", "-=", "*=", "/=", "%=", "continue", "`"],
  "workspace.library": [".moongate"],
  "diagnostics.disable": ["lowercase-global"]
}
"#;

#[cfg(test)]
mod tests;
