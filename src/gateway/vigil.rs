//! What happens to hosts, told to whoever wants to know: the log, the metrics, the script.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::gateway::admin::Desk;
use crate::script::live::Event;
use crate::store::Value;
use crate::telemetry::log;
use crate::upstream;
use crate::upstream::news::Change;
use crate::upstream::news::News;

/// Tells every change, for as long as it is polled.
pub(super) async fn keep(news: News, desk: Arc<Desk>) {
    let mut panicking = BTreeSet::new();
    loop {
        for change in desk.clock.timeout(LOOK, news.next()).await.unwrap_or_default() {
            tell(&change, &desk);
        }
        // hosts that are drained, found, or gone by a reload change who may be asked as well
        let upstreams = desk.hosts.lock().clone();
        panicking.retain(|name| upstreams.iter().any(|shared| shared.config().name == *name));
        for shared in &upstreams {
            alarm(shared, &desk, &mut panicking);
        }
    }
}

/// How soon it is noticed that too few hosts are well.
const LOOK: Duration = Duration::from_secs(1);

fn tell(change: &Change, desk: &Desk) {
    let Change { upstream, host, up, reason } = change;
    let fields: [(&str, &dyn Display); 3] = [("upstream", upstream), ("host", host), ("reason", reason)];
    if *up {
        log::info("a host is up again", &fields)
    } else {
        log::warn("a host is down", &fields)
    }
    let (event, to) = if *up { ("host_up", "up") } else { ("host_down", "down") };
    let help = "Hosts that went down or were ejected, and that came back.";
    let labels = [("upstream", upstream.as_str()), ("to", to)];
    desk.metrics.counter("moongate_upstream_host_changes_total", help, &labels).add(1);
    let bus = desk.live.bus();
    if bus.hears(event) {
        let what = json!({ "upstream": upstream, "host": &**host, "reason": reason });
        bus.emit(Event { name: event.to_owned(), args: vec![Some(Value::Json(Box::new(what)))] });
    }
}

/// Says when too few hosts are well, and when that is over.
fn alarm(shared: &upstream::Shared, desk: &Desk, panicking: &mut BTreeSet<String>) {
    let name = &shared.config().name;
    let fields: [(&str, &dyn Display); 1] = [("upstream", name)];
    if shared.lineup(desk.clock.now()).panic {
        if panicking.insert(name.clone()) {
            log::warn("too few hosts are well: all are asked, whatever is known of them", &fields);
        }
    } else if panicking.remove(name) {
        log::info("enough hosts are well again", &fields);
    }
}

/// Series of hosts, made anew each time they are looked at: those of hosts that are gone go with them.
pub(super) fn measure(hosts: &[Arc<upstream::Shared>], desk: &Desk) {
    let now = desk.clock.now();
    for name in [UP, BUSY, PANIC] {
        desk.metrics.forget(name);
    }
    for shared in hosts {
        let state = shared.state(now);
        let upstream = ("upstream", state.name.as_str());
        let help = "Whether too few hosts are well and all are asked.";
        desk.metrics.gauge(PANIC, help, &[upstream]).set(state.panic.into());
        for host in &state.hosts {
            let labels = [upstream, ("host", &*host.host)];
            let up = host.state == upstream::vitals::Standing::Up;
            let help = "Whether the host may be asked: not down, ejected or drained.";
            desk.metrics.gauge(UP, help, &labels).set(up.into());
            desk.metrics.gauge(BUSY, "Requests the host is busy with.", &labels).set(host.in_flight.into());
        }
    }
}

const UP: &str = "moongate_upstream_host_up";
const BUSY: &str = "moongate_upstream_host_in_flight";
const PANIC: &str = "moongate_upstream_panic";
