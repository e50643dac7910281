//! Exchanges for tests, without sockets.

use std::rc::Rc;
use std::sync::Arc;

use crate::downstream::Peer;
use crate::http::Request;
use crate::plan::Plan;
use crate::proxy::Exchange;
use crate::proxy::Hooks;
use crate::proxy::Site;
use crate::proxy::hooks::NoHooks;
use crate::proxy::site::Shared;
use crate::route::Param;
use crate::route::Params;
use crate::script::context::Context;

/// An exchange on the context's worker, with a generation that has nothing but it.
pub(in crate::script) fn exchange(context: &Rc<Context>, request: Request) -> Rc<Exchange> {
    exchange_at(context, request, site(Plan::default(), Rc::new(NoHooks)))
}

/// A generation without upstreams.
pub(in crate::script) fn site(plan: Plan, hooks: Rc<dyn Hooks>) -> Rc<Site> {
    let table = Arc::new(plan.table().unwrap());
    let shared = Arc::new(Shared::build(Arc::new(plan), table, 1, false).unwrap());
    Rc::new(Site { shared, upstreams: Vec::new(), hooks, watch: None })
}

/// An exchange of this generation.
pub(in crate::script) fn exchange_at(context: &Rc<Context>, request: Request, site: Rc<Site>) -> Rc<Exchange> {
    let peer = Peer { address: Some(([10, 1, 2, 3], 4711).into()), local: None };
    let exchange = Exchange::begin(&context.worker().unwrap(), site, request, peer);
    let list = vec![("id".into(), Param::Int(7)), ("name".into(), Param::Text("ann".into()))];
    *exchange.params.borrow_mut() = Params { list };
    exchange
}
