//! Where an exchange's request goes: which upstream, which path, which Host.

use std::rc::Rc;

use crate::primitive::split::Split;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Override;
use crate::proxy::lookup::render;
use crate::proxy::site::Host;
use crate::proxy::site::Rewrite;
use crate::proxy::site::Setting;
use crate::proxy::site::Target;
use crate::transform::template::Template;
use crate::upstream::Upstream;

/// A destination, fully worked out.
pub(crate) struct Destination {
    pub(crate) upstream: Rc<Upstream>,
    /// Path and query.
    pub(crate) target: String,
    /// The Host field; `None`: the chosen host's own name.
    pub(crate) host: Option<Rc<str>>,
}

/// Works out where `exchange` goes by its route's settings and what `with` says instead.
pub(crate) async fn destination(exchange: &Rc<Exchange>, with: &Override) -> Result<Destination, Failure> {
    let place = place(exchange, with).await?;
    let mut target = match &with.path {
        Some(path) => path.clone(),
        None => path(exchange)?,
    };
    if !place.prefix.is_empty() {
        target.insert_str(0, &place.prefix);
    }
    if !target.starts_with('/') && target != "*" {
        target.insert(0, '/');
    }
    let host = host(exchange, place.own_name)?;
    Ok(Destination { upstream: place.upstream, target, host })
}

struct Place {
    upstream: Rc<Upstream>,
    prefix: String,
    own_name: bool,
}

async fn place(exchange: &Rc<Exchange>, with: &Override) -> Result<Place, Failure> {
    if let Some(name) = &with.to {
        return named(exchange, name).await;
    }
    match &setting(exchange)?.to {
        Target::Nowhere => Err(Failure::new(Code::NoAnswer, "nothing answers this request")),
        Target::Upstream(index, prefix) => Ok(planned(exchange, *index, prefix)),
        Target::Split(split, members, key) => Ok(planned(exchange, chosen(exchange, split, members, key)?, "")),
        Target::Template(template) => {
            let text = render(exchange, template, None)?;
            if !template.fixes_origin() {
                check_host(exchange, &text)?;
            }
            named(exchange, &text).await
        }
        Target::Function => {
            let text = exchange.site.hooks.target(exchange).get().await?;
            named(exchange, &text).await
        }
    }
}

fn planned(exchange: &Exchange, index: usize, prefix: &str) -> Place {
    let upstream = Rc::clone(&exchange.site.upstreams[index]);
    Place { upstream, prefix: prefix.to_owned(), own_name: exchange.site.shared.own_name[index] }
}

fn chosen(exchange: &Rc<Exchange>, split: &Split, members: &[usize], key: &Template) -> Result<usize, Failure> {
    let mut key = render(exchange, key, None)?;
    if key.is_empty() {
        key = exchange.client.get().map(|address| address.to_string()).unwrap_or_default();
    }
    Ok(members[split.pick(&key)])
}

/// An upstream by name, with a path behind it or without; or a URL.
async fn named(exchange: &Rc<Exchange>, text: &str) -> Result<Place, Failure> {
    let (upstream, prefix) = exchange.site.find(&exchange.worker, text).await?;
    let own_name = text.starts_with("https://")
        || exchange.site.shared.names.get(upstream.name().as_ref()).is_some_and(|&i| exchange.site.shared.own_name[i]);
    Ok(Place { upstream, prefix: prefix.trim_end_matches('/').to_owned(), own_name })
}

/// The host that a template produced must be one the script allowed.
fn check_host(exchange: &Exchange, text: &str) -> Result<(), Failure> {
    if exchange.site.shared.names.contains_key(text) {
        return Ok(());
    }
    let host = url::Url::parse(text).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    if exchange.setting().is_some_and(|setting| setting.to_hosts.iter().any(|glob| glob.matches(&host))) {
        return Ok(());
    }
    Err(Failure::new(Code::UpstreamUnknown, "the service this request names may not be called")
        .because(format!("`{text}` is no upstream, and its host matches nothing in `to_hosts`")))
}

fn path(exchange: &Rc<Exchange>) -> Result<String, Failure> {
    let rewritten = match exchange.setting().map(|setting| &setting.path) {
        Some(Rewrite::Template(template)) => Some(render(exchange, template, None)?),
        _ => None,
    };
    let request = exchange.request.borrow();
    let mut target = match (exchange.setting().map(|setting| &setting.path), rewritten) {
        (_, Some(text)) => text,
        (Some(Rewrite::Strip(prefix)), None) => stripped(&request.path, prefix).to_owned(),
        _ => {
            let mut target =
                String::with_capacity(request.path.len() + 1 + request.query.as_ref().map_or(0, String::len));
            target.push_str(&request.path);
            target
        }
    };
    if let Some(query) = &request.query {
        // A rewrite that carries a query of its own keeps the client's behind it.
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str(query);
    }
    Ok(target)
}

/// Cuts `prefix` off where a segment ends; a path without it stays.
fn stripped<'a>(path: &'a str, prefix: &str) -> &'a str {
    match path.strip_prefix(prefix.trim_end_matches('/')) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

fn host(exchange: &Rc<Exchange>, own_name: bool) -> Result<Option<Rc<str>>, Failure> {
    let keep = || Some(exchange.request.borrow().host.clone());
    match exchange.setting().map_or(&Host::Auto, |setting| &setting.host) {
        Host::Auto if own_name => Ok(None),
        Host::Auto | Host::Keep => Ok(keep()),
        Host::Upstream => Ok(None),
        Host::Template(template) => render(exchange, template, None).map(|text| Some(Rc::from(text))),
    }
}

fn setting(exchange: &Exchange) -> Result<&Setting, Failure> {
    exchange.setting().ok_or_else(|| crate::proxy::respond::unrouted(exchange))
}

#[cfg(test)]
mod tests {
    use super::stripped;

    #[test]
    fn a_prefix_is_cut_where_a_segment_ends() {
        assert_eq!(stripped("/api/users", "/api"), "/users");
        assert_eq!(stripped("/api", "/api"), "/");
        assert_eq!(stripped("/api/", "/api/"), "/");
        assert_eq!(stripped("/apis", "/api"), "/apis");
        assert_eq!(stripped("/other", "/api"), "/other");
    }
}
