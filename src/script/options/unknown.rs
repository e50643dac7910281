//! An option nobody knows: what was most likely meant.

use super::Check;
use super::List;
use crate::script::diagnose::Segment;
use crate::script::diagnose::Spot;
use crate::script::words;
use crate::script::words::Kind;
use crate::script::words::Opt;

impl Check<'_> {
    /// Tells that `key` is no option here.
    pub(super) fn unknown(&mut self, key: &str, options: &[Opt]) {
        let place = self.place();
        self.anchor.path.push(Segment::Key(key.to_owned()));
        let outermost = self.anchor.path.len() == 1;
        if outermost && self.list == List::Steps && self.is_step(key) {
            let later = words::find(key).is_some_and(|word| word.kind == Kind::Later);
            let said = format!("`{key}` is a step, not an option of {place}");
            let help = if later { format!("besides, `{key}` is not in this version") } else { String::new() };
            let label = format!("write `{key} …` in the list part, without `=`");
            self.session.fault(
                crate::script::diagnose::Anchor { spot: Spot::Key, ..self.anchor.clone() },
                said,
                label,
                help,
            );
        } else if outermost && self.list == List::Steps && matches!(key, "route" | "group" | "include") {
            self.fault(
                format!("`{key}` is no option of {place}"),
                format!("write `{key} …` in the list part, without `=`"),
                Spot::Key,
            );
        } else {
            let said = format!("unknown option `{key}` in {place}");
            self.fault(said, self.advice(key, options, outermost), Spot::Key);
        }
        self.anchor.path.pop();
    }

    /// An option the contract promises and this version does not have.
    pub(super) fn later(&self, key: &str) {
        self.fault(
            format!("`{key}` of {} is not in this version", self.owner),
            "it comes in a later version",
            Spot::Key,
        );
    }

    fn is_step(&self, key: &str) -> bool {
        let builtin = words::STDLIB.contains(&key) && key != "timeout";
        builtin || words::find(key).is_some_and(later_step) || self.session.is_policy(key)
    }

    fn advice(&self, key: &str, options: &[Opt], outermost: bool) -> String {
        let names = || options.iter().map(|option| option.name.as_ref()).filter(|name| *name != "1");
        if outermost && let Some(told) = habit(&self.anchor.word, key) {
            return told.to_owned();
        }
        if let Some(near) = words::nearest(key, names()) {
            return format!("did you mean `{near}`?");
        }
        if outermost
            && let Some(owner) = ["gateway", "route", "group", "upstream"].into_iter().find(|owner| has(owner, key))
        {
            return format!("`{key}` is an option of `{owner}`");
        }
        let all: Vec<&str> = names().collect();
        match all.len() {
            0 => "it takes no options".to_owned(),
            1..=8 => format!("options are {}", all.join(", ")),
            _ => format!("`moongate docs {}` lists the options", self.anchor.word),
        }
    }
}

fn later_step(word: &words::Word) -> bool {
    word.kind == Kind::Later && !matches!(word.name, "xml" | "yaml" | "trace" | "schema" | "openapi")
}

fn has(word: &str, option: &str) -> bool {
    words::find(word).is_some_and(|word| word.option(option).is_some())
}

/// What other gateways call it.
fn habit(word: &str, key: &str) -> Option<&'static str> {
    let lower = key.to_ascii_lowercase();
    Some(match (word, lower.as_str()) {
        (
            "route" | "group",
            "upstream" | "backend" | "target" | "proxy" | "proxy_pass" | "service" | "url" | "dest" | "destination"
            | "forward",
        ) => "did you mean `to`?",
        ("route", "method" | "methods" | "path" | "paths" | "pattern" | "hosts") => {
            "it goes into the text: route \"GET|POST example.com/path\" { … }"
        }
        ("group", "prefix" | "path" | "host" | "hosts") => "it goes into the text: group \"example.com/prefix\" { … }",
        (
            "route" | "group" | "gateway",
            "handler" | "handle" | "action" | "run" | "fn" | "func" | "middleware" | "middlewares" | "plugins"
            | "steps" | "policies" | "before",
        ) => "write the steps themselves in the list part, without `=`",
        ("route" | "group" | "gateway", "after" | "on_answer" | "response") => "did you mean `on_response`?",
        ("route" | "group", "rate" | "limit") => "a limit is a step",
        ("route", "methods_allowed") => "it goes into the text: route \"GET|POST /path\" { … }",
        (
            "upstream",
            "servers" | "targets" | "nodes" | "addresses" | "address" | "host" | "url" | "urls" | "endpoints",
        ) => "write the addresses themselves in the list part: upstream \"name\" { \"10.0.0.1:80\" }",
        ("upstream", "port" | "scheme") => "it goes into the address: upstream \"name\" { \"10.0.0.1:80\" }",
        ("upstream", "lb" | "algorithm" | "strategy" | "policy" | "load_balancing") => "did you mean `balance`?",
        ("upstream", "retries") => "write `retry = { times = 2 }`",
        ("gateway", "port" | "bind" | "address" | "addr" | "ports") => "did you mean `listen`?",
        ("gateway", "routes" | "groups") => "routes stand beside `gateway`, not inside it",
        ("gateway", "upstreams") => "write upstream \"name\" { … } beside `gateway`",
        ("gateway", "trusted_proxies") => "did you mean `trust_proxies`?",
        ("gateway", "body_limit" | "max_body" | "client_max_body_size") => "write `limits = { body = \"10MB\" }`",
        ("gateway", "access_log") => "write `log = { access = … }`",
        _ => return None,
    })
}
