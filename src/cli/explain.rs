//! `moongate explain`: one request through the real steps, told step by step.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::ask::Admin;
use crate::cli::fail;
use crate::cli::say;
use crate::cli::settings;
use crate::cli::settings::Settings;
use crate::clock::Clock;
use crate::gateway::listing::story;
use crate::gateway::stage::Play;
use crate::gateway::stage::Stage;
use crate::gateway::stage::explain::Explained;
use crate::gateway::stage::explain::Looked;
use crate::proxy::watch;
use crate::script::LoadOptions;
use crate::script::load;
use crate::script::suite::Asked;

/// Show what happens to one request, step by step
///
/// Sends one request through the real script and its real policies, with mocks for services, and
/// shows which route takes it and why the others do not, each step with its place, outcome and
/// changes, what the service would be asked, and the answer. Nothing is sent anywhere, unless with
/// --live: then the gateway that runs is asked, by its admin listener, and its services with it.
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
    /// Ask the running gateway: a real request, through what runs now to real services, with the time it all took
    #[arg(long)]
    live: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

impl Explain {
    pub(super) fn run(self, settings: &Settings) -> Exit {
        let asked = match self.asked() {
            Ok(asked) => asked,
            Err(message) => return fail(Exit::Usage, &message),
        };
        if self.live {
            return self.live(&asked);
        }
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
            Ok(explained) => self.tell(&asked, &as_json(&explained)),
            Err(message) => fail(Exit::Failed, &message),
        }
    }

    /// Asks the running gateway instead.
    fn live(&self, asked: &Asked) -> Exit {
        if self.user.is_some() {
            return fail(
                Exit::Usage,
                "a running gateway takes nobody's word for who they are: send a credential with -H",
            );
        }
        let question = json!({
            "method": asked.method,
            "url": asked.url,
            "headers": asked.headers,
            "body": String::from_utf8_lossy(&asked.body),
            "ip": asked.ip,
        });
        let text = match self.admin.put("POST", "/explain", &question.to_string()) {
            Ok(text) => text,
            Err(exit) => return exit,
        };
        match serde_json::from_str(&text) {
            Ok(story) => self.tell(asked, &story),
            Err(_) => fail(Exit::Failed, "what the admin listener answers makes no sense"),
        }
    }

    fn tell(&self, asked: &Asked, story: &Value) -> Exit {
        if self.json {
            say(format_args!("{story}\n"));
        } else {
            say(format_args!("{}", story::told(&asked.method, &asked.url, story)));
            if self.live {
                say(format_args!("\n{}", story::waterfall(story)));
            }
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

fn as_json(explained: &Explained) -> Value {
    let answered = &explained.answered;
    let routes = explained.routes.iter().map(Looked::to_json);
    let steps = answered.steps.iter().map(watch::step);
    let fields = |list: &[(String, String)]| list.iter().map(|(name, value)| json!([name, value])).collect::<Vec<_>>();
    let calls = explained.calls.iter().map(|call| {
        let others = call.headers.iter().filter(|(name, _)| name != "host").cloned();
        let headers: Vec<_> = std::iter::once(("host".to_owned(), call.host.clone())).chain(others).collect();
        json!({
            "upstream": call.upstream,
            "host": call.at,
            "method": call.method,
            "path": call.path,
            "query": call.query,
            "headers": fields(&headers),
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
