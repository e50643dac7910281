//! What a loaded script leaves in one machine: its functions, by the plan's indices.

use std::collections::BTreeMap;

use mlua::Function;
use mlua::Table;

use crate::plan::Place;
use crate::script::declare::read;

/// Every function of one machine.
pub(crate) struct Pipelines {
    /// `on_request` of `gateway { … }`.
    pub(crate) on_request: Option<Function>,
    /// For requests without a route: the gateway's own steps and level.
    pub(crate) bare: Pipeline,
    /// One for each route of the plan, same index.
    pub(crate) routes: Vec<Pipeline>,
    /// `every`, `after` and `on`, in the order of the plan's timers.
    pub(crate) timers: Vec<Timer>,
    /// Functions of the access log.
    pub(crate) access: Access,
    /// `hash_by` functions, by the upstream's name.
    pub(crate) hashers: BTreeMap<String, Function>,
}

/// `every`, `after` or `on`.
pub(crate) struct Timer {
    /// The word.
    pub(crate) word: String,
    /// Seconds, or an event's name.
    pub(crate) argument: String,
    /// What runs.
    pub(crate) function: Function,
}

/// Functions of the access log.
#[derive(Default)]
pub(crate) struct Access {
    /// Field and function, sorted by name.
    pub(crate) fields: Vec<(String, Function)>,
    /// Which answers are logged.
    pub(crate) when: Option<Function>,
}

/// What runs for one route.
pub(crate) struct Pipeline {
    /// Outer levels first, `skip` already applied, nested `steps { }` flattened where they have no `when` of their own.
    pub(crate) steps: Vec<Step>,
    /// `when` of the groups and of the route: all must hold.
    pub(crate) when: Vec<Function>,
    /// `when` of the cross-origin policy in force.
    pub(crate) cors: Option<Function>,
    /// `to = function`.
    pub(crate) target: Option<Function>,
    /// Inner to outer: route, its groups, gateway.
    pub(crate) levels: Vec<Level>,
    /// Functions on its WebSockets.
    pub(crate) socket: Option<Socket>,
}

/// The functions of `websocket = { … }`.
pub(crate) struct Socket {
    /// `open(ws)`
    pub(crate) open: Option<Function>,
    /// `message(ws, data)` or `message(ws, data, from)`
    pub(crate) message: Option<Function>,
    /// It names the third parameter, and sees what the service says too.
    pub(crate) both: bool,
    /// `close(ws, code, reason)`
    pub(crate) close: Option<Function>,
}

impl Socket {
    /// `None` when there is no function.
    pub(crate) fn read(table: &Table) -> Option<Self> {
        let function = |name| read::function(table, name);
        let (open, message, close) = (function("open"), function("message"), function("close"));
        let both = message.as_ref().is_some_and(|function| {
            let info = function.info();
            info.num_params >= 3 || info.is_vararg
        });
        (open.is_some() || message.is_some() || close.is_some()).then_some(Self { open, message, both, close })
    }
}

/// One step.
#[derive(Clone)]
pub(crate) struct Step {
    /// `function(req)` or `function(req, next)`.
    pub(crate) call: Function,
    /// Two or more declared parameters: it wraps what follows.
    pub(crate) wraps: bool,
    /// Whether it may wait; `false` only for a policy that declares `waits = false`: then it runs as a plain call.
    pub(crate) waits: bool,
    /// `when` of the policy.
    pub(crate) when: Option<Function>,
    /// `status` and `detail` of a policy that decides: what a refusal says instead.
    pub(crate) status: Option<u16>,
    /// See `status`.
    pub(crate) detail: Option<String>,
    /// `enforce = false`: a refusal is counted and logged, not applied.
    pub(crate) enforce: bool,
    /// The policy's word, or `function`.
    pub(crate) word: String,
    /// `gateway`, `group` or `route`.
    pub(crate) level: &'static str,
    /// Where it stands.
    pub(crate) place: Place,
}

/// The functions of one level.
#[derive(Clone, Default)]
pub(crate) struct Level {
    /// `gateway`, `group` or `route`.
    pub(crate) name: &'static str,
    /// `on_response`.
    pub(crate) on_response: Option<Function>,
    /// `on_error`.
    pub(crate) on_error: Option<Function>,
    /// `on_log`.
    pub(crate) on_log: Option<Function>,
    /// `errors`: code or glob (`quota.*`, `*`) and what answers: a function or a table whose strings are templates.
    pub(crate) errors: Vec<(String, mlua::Value)>,
}
