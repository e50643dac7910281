//! `moongate init`: a first script.

use std::fs::File;
use std::io::ErrorKind;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;

use crate::cli::Exit;
use crate::cli::say;
use crate::cli::types;

/// Write a first gateway.lua
///
/// Writes a short gateway.lua that runs at once, over the built-in echo service, and what an editor completes and checks it
/// with (.luarc.json and .moongate/, see `moongate types`). Never overwrites a script or settings.
#[derive(Args)]
pub(super) struct Init {
    /// Where to write it
    #[arg(value_name = "FILE", default_value = "gateway.lua")]
    file: PathBuf,
}

impl Init {
    pub(super) fn run(self) -> Exit {
        let shown = self.file.display();
        match File::create_new(&self.file).and_then(|mut file| file.write_all(FIRST.as_bytes())) {
            Ok(()) => {
                let argument = if self.file.as_os_str() == "gateway.lua" { String::new() } else { format!(" {shown}") };
                say(format_args!(
                    "wrote {shown}\n\n  moongate run{argument}\n  curl 'http://localhost:8080/hello?name=you'\n"
                ));
                let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty());
                match types::write(folder.unwrap_or_else(|| Path::new("."))) {
                    Ok(_) => say(format_args!(
                        "\nEditors find the vocabulary through .luarc.json (`moongate types --help`).\n"
                    )),
                    Err(message) => eprintln!("warning: no editor was set up: {message}"),
                }
                Exit::Fine
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                eprintln!("error: {shown} is there already; nothing was written");
                Exit::Failed
            }
            Err(error) => {
                eprintln!("error: {shown}: {error}");
                Exit::Failed
            }
        }
    }
}

/// Twelve lines.
pub(super) const FIRST: &str = r#"gateway { listen = ":8080" }

upstream "service" { "echo:" }  -- built in, answers with the request it got; put "10.0.0.11:9000" here

route "GET /hello" {            -- curl 'http://localhost:8080/hello?name=you'
  function(req) return { json = { hello = req.query.name or "world" } } end,
}

route "/api/{rest*}" {          -- curl http://localhost:8080/api/users/7 -d 'a body'
  function(req) req.headers["x-greeted-by"] = "moongate" end,
  to = "service",
}
"#;
