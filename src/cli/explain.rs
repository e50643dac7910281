//! `moongate explain`: one request through the real steps, told step by step.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::fail;
use crate::cli::say;
use crate::cli::settings;
use crate::cli::settings::Settings;
use crate::clock::Clock;
use crate::gateway::stage::Play;
use crate::gateway::stage::Stage;
use crate::gateway::stage::explain::Explained;
use crate::script::LoadOptions;
use crate::script::load;
use crate::script::suite::Asked;

/// Show what happens to one request, step by step, offline
///
/// Sends one request through the real script and its real policies, with mocks for services, and
/// shows which route takes it and why the others do not, each step with its place, outcome and
/// changes, what the service would be asked, and the answer. Nothing is sent anywhere.
///
///   moongate explain GET /v1/orders/7 -H 'x-tenant: bikes' -u '{"sub":"ann","plan":"free"}'
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Explain {
    /// The method
    #[arg(value_name = "METHOD")]
    method: String,
    /// A path with or without query, or a URL
    #[arg(value_name = "URL")]
    url: String,
    /// The script
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// A header field; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The body
    #[arg(short, long, value_name = "BODY")]
    data: Option<String>,
    /// Pass the steps that authenticate as this user: claims as JSON, or a name
    #[arg(short, long, value_name = "CLAIMS")]
    user: Option<String>,
    /// The client's address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<std::net::IpAddr>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) fn run(self, settings: &Settings) -> Exit {
        let asked = match self.asked() {
            Ok(asked) => asked,
            Err(message) => return fail(Exit::Usage, &message),
        };
        let (file, options) = match settings.load(self.file.as_deref()) {
            Ok(ready) => ready,
            Err(exit) => return exit,
        };
        let clock = Clock::fake(Clock::real().unix());
        let options = LoadOptions { offline: true, clock: clock.clone(), ..options };
        let loaded = match load(&file, &options) {
            Ok(loaded) => loaded,
            Err(faults) => {
                eprint!("{}", faults.render(settings::color()));
                return Exit::Script;
            }
        };
        let explained = Play::new(loaded.program).and_then(|play| Stage::open(&play, &clock)?.explain(asked.clone()));
        match explained {
            Ok(explained) if self.json => say(format_args!("{}\n", as_json(&explained))),
            Ok(explained) => say(format_args!("{}", as_text(&asked, &explained))),
            Err(message) => return fail(Exit::Failed, &message),
        }
        Exit::Fine
    }

    fn asked(&self) -> Result<Asked, String> {
        let mut headers = Vec::new();
        for line in &self.headers {
            let (name, value) = line.split_once(':').ok_or_else(|| format!("-H '{line}': write 'name: value'"))?;
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        let user = self.user.as_deref().map(|text| match serde_json::from_str(text) {
            Ok(claims @ Value::Object(_)) => claims,
            _ => json!({ "sub": text }),
        });
        if !self.url.starts_with('/') && !self.url.contains("://") {
            return Err(format!("`{}`: write a path that begins with / or a URL", self.url));
        }
        Ok(Asked {
            method: self.method.to_ascii_uppercase(),
            url: self.url.clone(),
            headers,
            body: self.data.clone().unwrap_or_default().into(),
            ip: self.ip,
            user,
            key: None,
        })
    }
}

fn as_text(asked: &Asked, explained: &Explained) -> String {
    let mut out =
        format!("{} {}\n\nroutes that host and path reach, in the order they are asked\n", asked.method, asked.url);
    let answered = &explained.answered;
    if explained.routes.is_empty() {
        out.push_str("  none\n");
    }
    let width = explained.routes.iter().map(|looked| looked.name.chars().count()).max().unwrap_or(0);
    for looked in &explained.routes {
        let mark = if looked.takes { '>' } else { ' ' };
        let (file, line) = &looked.place;
        let _ = writeln!(out, "{mark} {:width$}  {}  ({file}:{line})", looked.name, looked.why);
    }
    out.push_str("\nsteps\n");
    if answered.steps.is_empty() {
        out.push_str("  none\n");
    }
    for trod in &answered.steps {
        let took =
            if trod.took > Duration::ZERO { format!(" after {}s", trod.took.as_secs_f64()) } else { String::new() };
        let (file, line) = &trod.place;
        let _ = writeln!(out, "  {:8} {} ({file}:{line}, {}){took}", trod.outcome.as_str(), trod.word, trod.level);
        for change in &trod.changes {
            let _ = writeln!(out, "             {change}");
        }
    }
    for call in &explained.calls {
        let query = call.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "\nupstream {} at {} is asked\n  {} {}{query}",
            call.upstream, call.at, call.method, call.path
        );
        let _ = writeln!(out, "  host: {}", call.host);
        for (name, value) in call.headers.iter().filter(|(name, _)| name != "host") {
            let _ = writeln!(out, "  {name}: {value}");
        }
    }
    let code = answered.code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
    let _ = writeln!(out, "\nanswer {}{code}, from {}", answered.status, answered.from);
    if let Some(cause) = &answered.cause {
        let _ = writeln!(out, "  because: {cause}");
    }
    for (name, value) in &answered.headers {
        let _ = writeln!(out, "  {name}: {value}");
    }
    if !answered.body.is_empty() {
        let body = String::from_utf8_lossy(&answered.body);
        let shown: String = body.chars().take(SHOWN).collect();
        let rest = if shown.len() < body.len() { "…" } else { "" };
        let _ = writeln!(out, "\n  {}{rest}", shown.trim_end().replace('\n', "\n  "));
    }
    out
}

fn as_json(explained: &Explained) -> Value {
    let answered = &explained.answered;
    let place = |(file, line): &(String, u32)| json!({ "file": file, "line": line });
    let routes = explained.routes.iter().map(|looked| {
        json!({ "name": looked.name, "place": place(&looked.place), "takes": looked.takes, "why": looked.why })
    });
    let steps = answered.steps.iter().map(|trod| {
        json!({
            "word": trod.word,
            "level": trod.level,
            "place": place(&trod.place),
            "outcome": trod.outcome.as_str(),
            "changes": trod.changes,
            "seconds": trod.took.as_secs_f64(),
        })
    });
    let fields = |list: &[(String, String)]| list.iter().map(|(name, value)| json!([name, value])).collect::<Vec<_>>();
    let calls = explained.calls.iter().map(|call| {
        json!({
            "upstream": call.upstream,
            "host": call.at,
            "method": call.method,
            "path": call.path,
            "query": call.query,
            "headers": fields(&call.headers),
            "body": String::from_utf8_lossy(&call.body),
        })
    });
    json!({
        "routes": routes.collect::<Vec<_>>(),
        "steps": steps.collect::<Vec<_>>(),
        "calls": calls.collect::<Vec<_>>(),
        "answer": {
            "status": answered.status,
            "code": answered.code,
            "cause": answered.cause,
            "from": answered.from,
            "headers": fields(&answered.headers),
            "body": String::from_utf8_lossy(&answered.body),
        },
    })
}

/// Characters of a body that are shown.
const SHOWN: usize = 2000;
