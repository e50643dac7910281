//! What every command shares: which script, which environment, which colours.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;

use crate::cli::Exit;
use crate::cli::fail;
use crate::clock::Clock;
use crate::downstream::Listen;
use crate::script::LoadOptions;
use crate::script::listener;
use crate::telemetry::log::Level;

/// Options that stand before or after any command.
#[derive(Args)]
pub(super) struct Settings {
    /// Read environment variables for the script (`env.NAME`, `secret "NAME"`) from this file of NAME=value lines
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) env_file: Option<PathBuf>,
}

impl Settings {
    /// The environment a script sees: the process's, over that of `--env-file`.
    pub(super) fn environment(&self) -> Result<BTreeMap<String, String>, String> {
        let mut all = BTreeMap::new();
        if let Some(file) = &self.env_file {
            let text =
                std::fs::read_to_string(file).map_err(|error| format!("--env-file {}: {error}", file.display()))?;
            all =
                env_file(&text).map_err(|line| format!("--env-file {}:{line}: expected NAME=value", file.display()))?;
        }
        // A variable that is not UTF-8 is none a script could use.
        all.extend(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        );
        Ok(all)
    }

    /// The script at `given` or at its usual place, and what loading needs.
    pub(super) fn load(&self, given: Option<&Path>) -> Result<(PathBuf, LoadOptions), Exit> {
        let options = LoadOptions {
            env: self.environment().map_err(|message| fail(Exit::Usage, &message))?,
            secrets_dir: Self::secrets(),
            clock: Clock::real(),
            dev: false,
            ..LoadOptions::default()
        };
        Ok((script(given)?, options))
    }

    /// Where secrets lie as files.
    pub(super) fn secrets() -> Option<PathBuf> {
        std::env::var_os("MOONGATE_SECRETS").filter(|path| !path.is_empty()).map(PathBuf::from)
    }
}

/// Which script: the one given, else the first of the usual places.
pub(super) fn script(given: Option<&Path>) -> Result<PathBuf, Exit> {
    if let Some(file) = given {
        return Ok(file.to_owned());
    }
    usual().ok_or_else(|| {
        let places = USUAL.join(" nor ");
        fail(Exit::Script, &format!("no script: neither {places} is there; `moongate init` writes a first one"))
    })
}

/// The script at one of the usual places, if it is there.
pub(super) fn usual() -> Option<PathBuf> {
    let named = std::env::var_os("MOONGATE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| USUAL.iter().map(PathBuf::from).find(|file| file.is_file()))
}

/// An address to listen on, as options take it.
pub(super) fn listen(text: &str) -> Result<Listen, String> {
    listener(text).map_err(|(message, label)| format!("{message}; {label}"))
}

/// `MOONGATE_LOG`, where it is set.
pub(super) fn log_level() -> Result<Option<Level>, String> {
    let Some(word) = std::env::var_os("MOONGATE_LOG").filter(|word| !word.is_empty()) else { return Ok(None) };
    let word = word.to_string_lossy();
    Level::of(&word).map(Some).ok_or_else(|| format!("MOONGATE_LOG={word}: write debug, info, warn or error"))
}

/// Whether text on stderr may be coloured.
pub(super) fn color() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stderr().is_terminal()
}

/// Whether text on stdout may be coloured.
pub(super) fn color_out() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stdout().is_terminal()
}

/// The lines of an environment file; the number of the first line that is none.
fn env_file(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut all = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or(index + 1)?;
        let name = name.trim();
        if name.is_empty() || !name.chars().all(|symbol| symbol.is_ascii_alphanumeric() || symbol == '_') {
            return Err(index + 1);
        }
        all.insert(name.to_owned(), unquoted(value.trim()).to_owned());
    }
    Ok(all)
}

fn unquoted(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

const USUAL: [&str; 2] = ["./gateway.lua", "/etc/moongate/gateway.lua"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_file() {
        let all = env_file("# secrets\nexport A=1\n\nB = \"two words\"\nC='x=y'\nD=\n").unwrap();
        let all: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(all, [("A", "1"), ("B", "two words"), ("C", "x=y"), ("D", "")]);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        assert_eq!(env_file("A=1\nnonsense\n"), Err(2));
        assert_eq!(env_file("a b=1"), Err(1));
        assert_eq!(env_file("=1"), Err(1));
    }

    #[test]
    fn a_script_that_is_given_is_taken_as_it_is() {
        assert_eq!(script(Some(Path::new("x.lua"))), Ok("x.lua".into()));
    }
}
