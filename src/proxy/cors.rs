//! Cross-origin requests: preflights are answered before every step, and every answer says who may read it.

use std::rc::Rc;
use std::sync::Arc;

use crate::http::Method;
use crate::http::Response;
use crate::http::headers::Known;
use crate::plan;
use crate::primitive::cors::Asked;
use crate::primitive::cors::Config;
use crate::primitive::cors::Cors;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::respond;
use crate::route::Found;

/// The policy in force for one request, and whom it decides about.
pub struct Standing {
    policy: Arc<Cors>,
    /// As the client sent it; steps may hide the field from the service.
    origin: Option<Box<[u8]>>,
    /// What is asked for, when the request is a preflight.
    asked: Option<Asked>,
}

/// The answer to a preflight: matched as the method it asks for, before every step (S-60). `None` for any other
/// request, and where no policy is in force: then it is an ordinary `OPTIONS`.
pub(crate) fn preflight(exchange: &Rc<Exchange>) -> Result<Option<Response>, Failure> {
    let site = &exchange.site;
    if !site.shared.has_cors || exchange.request.borrow().method != Method::Options {
        return Ok(None);
    }
    let Some(asked) = Asked::of(&exchange.request.borrow().headers) else { return Ok(None) };
    match site.route(exchange, Some(&asked.method))? {
        Found::Route(index) if site.shared.settings[index].cors.is_some() => exchange.route.set(Some(index)),
        Found::Route(_) => return Ok(None),
        // A request that no route takes is answered under the gateway's policy, unless a route answers OPTIONS itself.
        _ if site.shared.cors.is_none() => return Ok(None),
        _ if matches!(site.route(exchange, None)?, Found::Route(_)) => return Ok(None),
        _ => {}
    }
    if stand(exchange, Some(asked)).is_some() {
        return Ok(Some(Response::new(204)));
    }
    exchange.route.set(None);
    Ok(None)
}

/// Notes whom the policy of the chosen route decides about, before steps run.
pub(crate) fn begin(exchange: &Rc<Exchange>) {
    if exchange.site.shared.has_cors {
        stand(exchange, None);
    }
}

/// What every answer says, errors too; it stands in place of what the service said.
pub(crate) fn finish(exchange: &Rc<Exchange>, response: &mut Response) {
    if !exchange.site.shared.has_cors {
        return;
    }
    let Some(standing) = stand(exchange, None) else { return };
    let origin = standing.origin.as_deref();
    match &standing.asked {
        Some(asked) => standing.policy.preflight(origin, asked, &mut response.headers),
        None => standing.policy.decorate(origin, &mut response.headers),
    }
}

fn stand(exchange: &Rc<Exchange>, asked: Option<Asked>) -> Option<&Standing> {
    let shared = &exchange.site.shared;
    let (policy, declared) = match exchange.route.get() {
        Some(index) => (&shared.settings[index].cors, &shared.plan.routes[index].cors),
        None => (&shared.cors, &shared.plan.gateway.cors),
    };
    let policy = policy.as_ref()?;
    if let Some(known) = exchange.cors.get() {
        return known.as_ref();
    }
    let conditional = declared.as_ref().is_some_and(|declared| declared.when);
    let standing = (!conditional || holds(exchange)).then(|| {
        let origin = exchange.request.borrow().headers.known(Known::Origin).next().map(Box::from);
        Standing { policy: Arc::clone(policy), origin, asked }
    });
    // A preflight that `when` sends on is an ordinary request, of a route yet to be chosen.
    if standing.is_none() && exchange.request.borrow().method == Method::Options {
        return None;
    }
    exchange.cors.get_or_init(|| standing).as_ref()
}

/// Whether `when` says so; a mistake there is told, and opens nothing.
fn holds(exchange: &Rc<Exchange>) -> bool {
    exchange.site.hooks.cors(exchange).unwrap_or_else(|failure| {
        respond::report(exchange, &failure);
        false
    })
}

/// Policies prepared once each, however many routes stand under them.
#[derive(Default)]
pub(crate) struct Policies<'a>(Vec<(&'a Config, Arc<Cors>)>);

impl<'a> Policies<'a> {
    /// The policy that was declared.
    pub(crate) fn get(&mut self, declared: Option<&'a plan::Cors>) -> Result<Option<Arc<Cors>>, String> {
        let Some(declared) = declared else { return Ok(None) };
        if let Some((_, policy)) = self.0.iter().find(|(config, _)| **config == declared.policy) {
            return Ok(Some(Arc::clone(policy)));
        }
        let policy = Arc::new(Cors::new(&declared.policy).map_err(|fault| format!("cors: {fault}"))?);
        self.0.push((&declared.policy, Arc::clone(&policy)));
        Ok(Some(policy))
    }
}
