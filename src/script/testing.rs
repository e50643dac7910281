//! Exchanges for tests, without sockets.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use crate::http::Request;
use crate::proxy::Exchange;
use crate::proxy::Site;
use crate::proxy::hooks::NoHooks;
use crate::proxy::site::Shared;
use crate::route::Param;
use crate::route::Params;
use crate::script::context::Context;

/// An exchange on the context's worker, with a generation that has nothing but it.
pub(in crate::script) fn exchange(context: &Rc<Context>, request: Request) -> Rc<Exchange> {
    let site = Rc::new(Site { shared: Arc::new(Shared { generation: 1 }), hooks: Rc::new(NoHooks) });
    exchange_at(context, request, site)
}

/// An exchange of this generation.
pub(in crate::script) fn exchange_at(context: &Rc<Context>, request: Request, site: Rc<Site>) -> Rc<Exchange> {
    let worker = context.worker().unwrap();
    let started = worker.clock.now();
    let list = vec![("id".into(), Param::Int(7)), ("name".into(), Param::Text("ann".into()))];
    Rc::new(Exchange {
        request: request.into(),
        peer: Some(([10, 1, 2, 3], 4711).into()),
        client: Cell::new(None),
        route: Cell::new(None),
        params: Params { list }.into(),
        id: Default::default(),
        started,
        deadline: Cell::new(started.after(std::time::Duration::from_secs(30))),
        failure: Default::default(),
        record: Default::default(),
        hooks: Default::default(),
        worker,
        site,
    })
}
