//! Stores that limits name: whether they are declared, and shared with anybody.

use crate::plan::Plan;
use crate::script::declare::Session;
use crate::script::live::STORE;
use crate::store;
use crate::suggest;

/// Once all stores are declared.
pub(super) fn judge(session: &Session, plan: &Plan) {
    for (name, anchor) in session.stores.borrow().iter() {
        let Some(config) = plan.objects.get(&format!("{STORE}{name}")) else {
            let known = plan.objects.keys().filter_map(|identity| identity.strip_prefix(STORE));
            let label = suggest::closest(name, known).map_or_else(
                || format!("write store \"{name}\" {{ redis = \"redis://host:6379\" }}"),
                |near| format!("did you mean `{near}`?"),
            );
            session.fault(anchor.clone(), format!("no store `{name}`"), label, "");
            continue;
        };
        let near = serde_json::from_str::<store::Config>(config).is_ok_and(|config| config.redis.is_none());
        if near {
            let said =
                format!("store `{name}` is in this process: what is counted there is shared with no other gateway");
            session.warn("store-in-memory", anchor.clone(), said, "give it `redis`, or leave `store` away");
        }
    }
}
