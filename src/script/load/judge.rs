//! What is wrong with a file that has been run: everything noted, what the sources show, ties, codes.

mod reach;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::cached;
use super::stores;
use crate::plan::Plan;
use crate::plan::To;
use crate::proxy::Code;
use crate::route::table::Table;
use crate::script::declare::Session;
use crate::script::declare::assert;
use crate::script::declare::session::Pending;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Diagnostic;
use crate::script::diagnose::lint;
use crate::script::diagnose::resolve;
use crate::script::diagnose::sketch::Sketch;
use crate::script::diagnose::sketches::Sketches;
use crate::script::diagnose::written_by;
use crate::script::words;

/// The verdict.
pub(super) struct Judged {
    /// It does not load.
    pub(super) faults: Vec<Diagnostic>,
    /// It does, but.
    pub(super) warnings: Vec<Diagnostic>,
    /// What its routes come to.
    pub(super) routes: Table,
}

/// Judges a session whose file has run to its end, or as far as it got.
pub(super) fn judge(session: &Session, plan: &Plan) -> Judged {
    let texts: BTreeMap<String, Arc<str>> =
        session.ran.borrow().iter().filter_map(|name| Some((name.clone(), session.files.text(name).ok()?))).collect();
    let sketches = session.sketches.take().map(Sketches::done).unwrap_or_default();
    let faults = session.diagnostics.borrow().clone();
    let mut judged = Judged { faults, warnings: Vec::new(), routes: Table::default() };
    judged.sources(session, &sketches);
    judged.pending(session);
    codes(session, &sketches);
    loose(session, plan);
    stores::judge(session, plan);
    watched(session, &sketches, &mut judged.faults);
    assert::judge(session, plan);
    for found in session.found() {
        let severe = match found.warning {
            Some(id) => Diagnostic::warning(id, found.message),
            None => Diagnostic::error(found.message),
        };
        let told = place(&sketches, &found.anchor, severe).label(found.label).help(found.help);
        if found.warning.is_some() { judged.warnings.push(told) } else { judged.faults.push(told) }
    }
    if judged.faults.is_empty() {
        judged.ties(plan, &sketches);
    }
    if judged.faults.is_empty() {
        judged.unused(session, plan, &sketches, &texts);
        judged.shadows(plan, &sketches);
        judged.nobody_asks(plan, &sketches);
        judged.warnings.extend(cached::warnings(plan, &sketches));
        judged.unreachable(plan, &sketches);
    }
    judged
}

pub(super) fn place(sketches: &BTreeMap<String, Sketch>, anchor: &Anchor, told: Diagnostic) -> Diagnostic {
    match sketches.get(&anchor.file).and_then(|sketch| resolve(sketch, anchor)) {
        Some(span) => told.under(&anchor.file, span),
        None if anchor.file.is_empty() => told,
        None => told.at(&anchor.file, anchor.line),
    }
}

impl Judged {
    fn sources(&mut self, session: &Session, sketches: &BTreeMap<String, Sketch>) {
        let own = session.own_words();
        // A policy in a file that was not reached still makes its word.
        let declared = sketches.values().flat_map(|sketch| &sketch.calls).filter(|call| call.word == "policy");
        let own: Vec<String> = own
            .into_iter()
            .chain(declared.filter_map(|call| call.subject.as_ref().map(|(name, _)| name.clone())))
            .collect();
        let upstreams = sketches.values().flat_map(|sketch| &sketch.calls).filter(|call| call.word == "upstream");
        let upstreams: Vec<&str> =
            upstreams.filter_map(|call| call.subject.as_ref()).map(|(name, _)| name.as_str()).collect();
        for (file, sketch) in sketches {
            let linted = lint(file, sketch, &own, &upstreams);
            self.faults.extend(linted.faults);
            self.warnings.extend(linted.warnings);
        }
    }

    fn pending(&mut self, session: &Session) {
        if !self.faults.is_empty() {
            return;
        }
        for Pending { anchor, owner, .. } in session.pending.borrow().iter().filter(|pending| !pending.done) {
            let text = anchor.subject.as_deref().unwrap_or_default();
            let label = format!("write {} \"{text}\" {{ … }}", anchor.word);
            session.fault(anchor.clone(), format!("{owner} has no table"), label, "");
        }
    }

    fn ties(&mut self, plan: &Plan, sketches: &BTreeMap<String, Sketch>) {
        let faults = match plan.table() {
            Ok(routes) => {
                self.routes = routes;
                return;
            }
            Err(faults) => faults,
        };
        for fault in faults {
            let anchor = anchor_of(plan, fault.route);
            let other = fault.other.map(|other| {
                let (file, line) = &plan.routes[other].place;
                format!("the other stands at {file}:{line}")
            });
            let help =
                if other.is_some() { "give one of them a `match`, a `when`, another method or path" } else { "" };
            let told = Diagnostic::error(fault.message).label(other.unwrap_or_default()).help(help);
            self.faults.push(place(sketches, &anchor, told));
        }
    }

    /// `mtls` where no listener asks a client for a certificate refuses everybody.
    fn nobody_asks(&mut self, plan: &Plan, sketches: &BTreeMap<String, Sketch>) {
        let tls = plan.gateway.listen.iter().filter_map(|listener| listener.tls.as_ref()).chain(&plan.gateway.tls);
        if tls.flat_map(|tls| &tls.entries).any(|entry| entry.client_ca.is_some()) {
            return;
        }
        let steps = plan.gateway.steps.iter().chain(plan.routes.iter().flat_map(|route| &route.steps));
        let places: BTreeSet<_> = steps.filter(|step| step.word == "mtls").map(|step| step.place.clone()).collect();
        for (file, line) in places {
            let anchor = Anchor { file, line, word: "mtls".into(), ..Anchor::default() };
            let told = Diagnostic::warning(
                "no-client-certificate",
                "`mtls` refuses everybody: no listener asks for a certificate",
            )
            .label("write tls = { …, client_ca = \"ca.pem\" }");
            self.warnings.push(place(sketches, &anchor, told));
        }
    }

    /// Upstreams no route and no visible call uses.
    fn unused(
        &mut self,
        session: &Session,
        plan: &Plan,
        sketches: &BTreeMap<String, Sketch>,
        texts: &BTreeMap<String, Arc<str>>,
    ) {
        let used = session.used.borrow();
        let open = plan.routes.iter().any(|route| matches!(route.to, Some(To::Template(_))));
        for upstream in session.upstreams.borrow().iter().filter(|upstream| !used.contains(&upstream.name) && !open) {
            let quoted = |text: &str| {
                ['"', '\'', '`']
                    .iter()
                    .map(|quote| text.matches(&format!("{quote}{}", upstream.name)).count())
                    .sum::<usize>()
            };
            // Once where it is declared; more than that, and some function may name it.
            if texts.values().map(|text| quoted(text)).sum::<usize>() > 1 {
                continue;
            }
            let (file, line) = upstream.place.clone();
            let anchor = Anchor {
                file,
                line,
                word: "upstream".into(),
                subject: Some(upstream.name.clone()),
                spot: crate::script::diagnose::Spot::Subject,
                ..Anchor::default()
            };
            let told = Diagnostic::warning("unused-upstream", format!("upstream `{}` is not used", upstream.name))
                .label("no route and no function names it");
            self.warnings.push(place(sketches, &anchor, told));
        }
    }

    /// Routes equal but for `when`, where one that always holds stands before another.
    fn shadows(&mut self, plan: &Plan, sketches: &BTreeMap<String, Sketch>) {
        let mut seen: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, route) in plan.routes.iter().enumerate().filter(|(_, route)| route.matcher.when) {
            let config = &route.matcher;
            let key = format!("{:?} {:?} {} {:?}", config.methods, config.host, config.path, config.conditions);
            seen.entry(key).or_default().push(index);
        }
        for twins in seen.values() {
            for (at, &index) in twins.iter().enumerate() {
                if !always(sketches, plan, index) {
                    continue;
                }
                let anchor = Anchor {
                    path: vec![crate::script::diagnose::Segment::Key("when".into())],
                    spot: crate::script::diagnose::Spot::Value,
                    ..anchor_of(plan, index)
                };
                let told = Diagnostic::warning(
                    "always-when",
                    format!("`when` of route `{}` always holds", plan.routes[index].pattern),
                )
                .label("leave it out");
                self.warnings.push(place(sketches, &anchor, told));
                for &later in &twins[at + 1..] {
                    let (file, line) = &plan.routes[index].place;
                    let told = Diagnostic::warning(
                        "shadowed-route",
                        format!("route `{}` is never reached", plan.routes[later].pattern),
                    )
                    .label(format!("the one at {file}:{line} takes every request"));
                    self.warnings.push(place(sketches, &anchor_of(plan, later), told));
                }
                break;
            }
        }
    }
}

fn anchor_of(plan: &Plan, route: usize) -> Anchor {
    let (file, line) = plan.routes[route].place.clone();
    Anchor { file, line, word: "route".into(), spot: crate::script::diagnose::Spot::Subject, ..Anchor::default() }
}

/// Whether `when` of the route is `function() return true end`.
fn always(sketches: &BTreeMap<String, Sketch>, plan: &Plan, route: usize) -> bool {
    let (file, line) = &plan.routes[route].place;
    let Some(sketch) = sketches.get(file) else { return false };
    let call = sketch.calls.iter().find(|call| call.span.line == *line && call.word == "route");
    let entry = call
        .and_then(|call| call.table.as_ref())
        .and_then(|table| table.entries.iter().find(|entry| entry.key.as_ref().is_some_and(|(key, _)| key == "when")));
    entry.is_some_and(|entry| entry.always)
}

/// Names in templates that stand outside any one route.
fn loose(session: &Session, plan: &Plan) {
    for (name, anchor) in session.loose.borrow().iter() {
        let braces = format!("{{{name}");
        if plan.routes.iter().any(|route| route.matcher.path.contains(&braces)) || session.faulty_at(anchor) {
            continue;
        }
        let near = words::nearest(name, crate::transform::template::ROOTS.iter().copied());
        let label = near.map_or_else(
            || "no route has such a parameter; `{{` is a brace".to_owned(),
            |near| format!("did you mean `{{{near}}}`?"),
        );
        session.fault(anchor.clone(), format!("unknown name `{{{name}}}` in a template"), label, "");
    }
}

/// Failure codes named by `errors` and `on`, once all `code = "…"` are known.
fn codes(session: &Session, sketches: &BTreeMap<String, Sketch>) {
    let own: BTreeSet<&str> = sketches.values().flat_map(|sketch| sketch.codes.iter().map(String::as_str)).collect();
    let known: Vec<&str> =
        Code::ALL.iter().map(|(name, ..)| *name).chain(LATER.iter().copied()).chain(own.iter().copied()).collect();
    for (code, anchor) in session.codes.borrow().iter() {
        let matches = match code.strip_suffix('*') {
            Some(front) => known.iter().any(|name| name.starts_with(front)),
            None => known.contains(&code.as_str()),
        };
        if matches {
            continue;
        }
        let label = match words::nearest(code, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if code.parse::<u16>().is_ok() => {
                "errors go by code, such as \"route.none\" or \"upstream.*\", not by status".to_owned()
            }
            None => "`moongate docs codes` lists them; your own are what `reject` gives as `code`".to_owned(),
        };
        session.fault(anchor.clone(), format!("no failure has the code `{code}`"), label, "");
    }
    let emitted: BTreeSet<&str> = sketches
        .values()
        .flat_map(|sketch| &sketch.calls)
        .filter(|call| call.word == "emit")
        .filter_map(|call| call.subject.as_ref())
        .map(|(name, _)| name.as_str())
        .collect();
    for (name, anchor, near) in session.events.borrow().iter() {
        let code = known.contains(&name.as_str());
        if code || emitted.contains(name.as_str()) {
            continue;
        }
        let near = near.or_else(|| words::nearest(name, known.iter().copied().chain(emitted.iter().copied())));
        match near {
            Some(near) => {
                session.fault(anchor.clone(), format!("no event `{name}`"), format!("did you mean `{near}`?"), "")
            }
            None => session.warn(
                "unknown-event",
                anchor.clone(),
                format!("nothing emits `{name}`"),
                "events are start, stop, reload, failure codes and what `emit` names",
            ),
        }
    }
}

/// Codes of words that come later: naming them now does no harm.
const LATER: &[&str] = &[
    "api_key.missing",
    "api_key.unknown",
    "jwt.missing",
    "jwt.invalid",
    "jwt.expired",
    "authorize.denied",
    "rate_limit.exceeded",
    "quota.exceeded",
    "concurrency.full",
    "ip_filter.denied",
    "validate.params",
    "validate.body",
    "validate.type",
];

/// Functions of `every`, `after`, `on` run in a machine of their own: a captured local written there reaches nobody.
fn watched(session: &Session, sketches: &BTreeMap<String, Sketch>, faults: &mut Vec<Diagnostic>) {
    for (word, (file, line)) in session.watched.borrow().iter() {
        let Some(sketch) = sketches.get(file) else { continue };
        for (name, span) in written_by(sketch, *line) {
            let help = if *word == "every" {
                "return the value instead: the handle's :get() gives it to all workers; or use a `store`"
            } else {
                "use a `store`: it is seen by all workers"
            };
            let said = format!(
                "`{name}` is written in a function of `{word}`, which runs once per gateway and not where requests see it"
            );
            faults.push(Diagnostic::error(said).under(file, span).label("no worker would see this").help(help));
        }
    }
}
