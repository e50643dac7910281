//! The reference of what the standard library makes, read from its own declarations.

use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use crate::clock::Clock;
use crate::script::context::Setting;
use crate::script::context::Snapshot;
use crate::script::live::Live;
use crate::script::load;
use crate::script::load::files::Files;
use crate::script::words::Opt;

/// A policy as its declaration tells it.
#[derive(Clone, Debug)]
pub struct Documented {
    /// The word.
    pub name: String,
    /// What its steps do: a sentence or two.
    pub doc: String,
    /// What may be written between the braces.
    pub options: Vec<Opt>,
}

/// Every policy of the standard library, by name.
pub fn policies() -> Result<Vec<Documented>, String> {
    let gateway = crate::plan::Gateway::default();
    let setting = Setting {
        worker: None,
        live: Arc::new(Live::default()),
        control: true,
        clock: Clock::real(),
        snapshot: Arc::new(Snapshot { root: PathBuf::from("."), ..Snapshot::default() }),
        step: gateway.step,
        memory: gateway.memory,
        offline: None,
    };
    let files = Rc::new(Files::on_disk(Path::new(".")));
    let (_lua, _context, session) = load::open(setting, &files).map_err(|error| error.to_string())?;
    let policies = session.policies.borrow();
    let documented = policies.values().map(|policy| Documented {
        name: policy.name.clone(),
        doc: policy.doc.clone(),
        options: policy.documented(),
    });
    Ok(documented.collect())
}
