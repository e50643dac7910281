//! Hosts that functions of the script tell: from the control machine to the upstreams they belong to.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::clock::Alarms;
use crate::clock::Clock;
use crate::plan::Plan;
use crate::script::HOSTS;
use crate::script::live::Flag;
use crate::script::live::Live;
use crate::script::task_identity;
use crate::script::told_hosts;
use crate::store;
use crate::telemetry::log;
use crate::upstream::Address;
use crate::upstream::Shared;
use crate::upstream::resolve;
use crate::upstream::resolve::Lookup;

/// An upstream, and what its function told last.
struct Told {
    shared: Arc<Shared>,
    flag: Arc<Flag>,
    seen: u64,
    /// What was wrong with it, for as long as that lasts: it is said once.
    complaint: Option<String>,
    /// Its hosts whose names have no address at present.
    failing: BTreeSet<Address>,
}

/// Hands over what is told, for as long as it is polled. What makes no sense changes nothing.
pub(super) async fn keep(plan: Arc<Plan>, upstreams: Vec<Arc<Shared>>, live: Arc<Live>, clock: Clock, lookup: Lookup) {
    let mut all: Vec<_> = plan
        .timers
        .iter()
        .filter(|(word, ..)| word == HOSTS)
        .filter_map(|(word, argument, _)| {
            let name = argument.rsplit_once(' ')?.0;
            let shared = upstreams.iter().find(|shared| shared.config().name == name)?;
            let flag = live.flag(&task_identity(word, argument, 0));
            let (shared, complaint, failing) = (Arc::clone(shared), None, BTreeSet::new());
            Some(Told { shared, flag, seen: 0, complaint, failing })
        })
        .collect();
    if all.is_empty() {
        return;
    }
    loop {
        for told in &mut all {
            let version = told.flag.version();
            if std::mem::replace(&mut told.seen, version) != version {
                told.hand_over(&lookup).await;
            }
        }
        clock.sleep(Alarms::TICK).await;
    }
}

impl Told {
    async fn hand_over(&mut self, lookup: &Lookup) {
        let Some(value) = self.flag.value() else { return };
        let hosts = match &*value {
            store::Value::Json(value) => told_hosts(value),
            _ => Err("`hosts` must return a list of addresses".to_owned()),
        };
        match hosts {
            Ok(hosts) => {
                self.complaint = None;
                resolve::told(&self.shared, hosts, lookup, &mut self.failing).await;
            }
            Err(fault) if self.complaint.as_ref() == Some(&fault) => {}
            Err(fault) => {
                log::error(
                    "a function told hosts that make no sense; the last ones stay in use",
                    &[("upstream", &self.shared.config().name), ("cause", &fault)],
                );
                self.complaint = Some(fault);
            }
        }
    }
}
