//! `moongate rollback`: asks the gateway that runs to go back to what ran before.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::cli::Exit;
use crate::cli::ask;
use crate::cli::fail;
use crate::cli::say;
use crate::cli::settings;
use crate::cli::settings::Settings;
use crate::downstream::Listen;
use crate::script::load;

/// Bring back what ran before the last reload
///
/// Asks the running gateway, at its admin listener, to go back to the generation before the last reload. The script that
/// ran until then stays out until one of its files changes.
///
/// Where the admin listener is, and its token, is read from the script, which must load for that; with --admin the script
/// is not looked at.
#[derive(Args)]
pub(super) struct Rollback {
    /// The script
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Where the admin listener is
    #[arg(long, value_name = "ADDR", env = "MOONGATE_ADMIN", hide_env_values = true, value_parser = settings::listen)]
    admin: Option<Listen>,
    /// Its token, where it has one; better in the environment, since command lines are seen by everybody
    #[arg(long, value_name = "TOKEN", env = "MOONGATE_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Rollback {
    pub(super) fn run(self, settings: &Settings) -> Exit {
        let (at, token) = match self.target(settings) {
            Ok(target) => target,
            Err(exit) => return exit,
        };
        match ask::exchange(&at, token.as_deref(), ("POST", "/rollback", ""), PATIENCE) {
            Ok((200, text)) => {
                let answer: Value = serde_json::from_str(&text).unwrap_or_default();
                let generation = answer["generation"].as_u64().unwrap_or_default();
                say(format_args!("generation {generation} runs\n"));
                Exit::Fine
            }
            Ok((status, text)) => fail(Exit::Failed, &ask::refusal(status, &text)),
            Err(message) => fail(Exit::Failed, &format!("no gateway answers: {message}")),
        }
    }

    fn target(&self, settings: &Settings) -> Result<(Listen, Option<String>), Exit> {
        let given = self.token.clone().filter(|token| !token.is_empty());
        if let Some(at) = &self.admin {
            return Ok((at.clone(), given));
        }
        let (file, options) = settings.load(self.file.as_deref())?;
        let loaded = load(&file, &options).map_err(|faults| {
            eprint!("{}", faults.render(settings::color()));
            fail(Exit::Script, "say where the admin listener is: --admin ADDR")
        })?;
        let admin = loaded.program.plan().gateway.admin.as_ref();
        let admin = admin.ok_or_else(|| fail(Exit::Failed, "this script has its admin listener off"))?;
        let own = admin.token.as_ref().and_then(|name| String::from_utf8(loaded.program.secret(name)?).ok());
        Ok((admin.address.clone(), given.or(own)))
    }
}

/// How long an answer may take: a generation is built before it.
const PATIENCE: Duration = Duration::from_secs(30);
