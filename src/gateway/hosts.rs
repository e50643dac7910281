//! Hosts that functions of the script tell: from the control machine to the upstreams they belong to.

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
use crate::upstream::Shared;
use crate::upstream::resolve;
use crate::upstream::resolve::Lookup;

/// An upstream, and what its function told last.
struct Told {
    shared: Arc<Shared>,
    flag: Arc<Flag>,
    seen: u64,
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
            Some(Told { shared: Arc::clone(shared), flag: live.flag(&task_identity(word, argument, 0)), seen: 0 })
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
    async fn hand_over(&self, lookup: &Lookup) {
        let Some(value) = self.flag.value() else { return };
        let hosts = match &*value {
            store::Value::Json(value) => told_hosts(value),
            _ => Err("`hosts` must return a list of addresses".to_owned()),
        };
        match hosts {
            Ok(hosts) => resolve::told(&self.shared, hosts, lookup).await,
            Err(fault) => log::error(
                "a function told hosts that make no sense; the last ones stay in use",
                &[("upstream", &self.shared.config().name), ("cause", &fault)],
            ),
        }
    }
}
