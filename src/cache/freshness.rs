//! What may be stored, how long it is fresh, and when it may be used: RFC 9111 §3 and §4 as pure functions of headers
//! and time.

use std::time::Duration;

use super::control::Control;
use crate::http::Headers;
use crate::http::Method;
use crate::http::date;

/// What the route's author says beyond the messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The lifetime of answers that name none; with `override_answer` of all.
    pub ttl: Option<Duration>,
    /// Whether `ttl` rules over the answer's own lifetime.
    pub override_answer: bool,
    /// How long a stale answer is served while it is refreshed, where the answer does not say.
    pub stale: Option<Duration>,
    /// How long a stale answer stands in for a failed service, where the answer does not say.
    pub stale_if_error: Option<Duration>,
    /// Statuses the route's lifetime applies to besides those of plain answers: negative caching, when told.
    pub statuses: Vec<u16>,
    /// Whether the user is part of the key: the cache is then private to each of them.
    pub private: bool,
}

/// The request an answer was made for.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a Method,
    /// What it asks of caches.
    pub control: &'a Control,
    /// Whether it carried credentials: an Authorization field, or an identity that a step found.
    pub identified: bool,
}

/// When an answer arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Since the Unix epoch.
    pub unix: Duration,
    /// From the request to the answer's head.
    pub delay: Duration,
}

/// How long a stored answer may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// Its age when it arrived (§4.2.3).
    pub initial_age: Duration,
    /// How old it may be and still fresh (§4.2.1).
    pub fresh: Duration,
    /// How much longer it may be served while it is refreshed (RFC 5861 §3).
    pub while_revalidate: Duration,
    /// How much longer it may stand in for a failed service (RFC 5861 §4).
    pub if_error: Duration,
    /// Never served without asking, once it is stale (§5.2.2.2).
    pub must_revalidate: bool,
    /// Not served stale because a client would take it so (§4.2.4).
    pub strict: bool,
    /// Never served without asking at all (§5.2.2.4).
    pub always_ask: bool,
    /// Does not change while it is fresh (RFC 8246).
    pub immutable: bool,
}

/// Why an answer is not stored (RFC 9111 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The method's answers are not stored.
    Method,
    /// The status is neither cacheable by default nor listed.
    Status,
    /// The request or the answer says `no-store`.
    NoStore,
    /// For one user, and the user is not part of the key.
    Private,
    /// The request carried credentials and the answer does not permit sharing (§3.5).
    Authorization,
    /// It sets a cookie.
    SetCookie,
    /// `Vary: *`, or by a field that the gateway writes or a step changed on the way: no request tells its value.
    Vary,
    /// A part of a representation.
    Partial,
    /// Neither the answer nor the route says how long it is fresh.
    Lifetime,
    /// Larger than the route stores.
    Size,
    /// The route's author says no.
    Told,
}

impl Why {
    /// A word for `Cache-Status`' detail and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::Vary => "vary",
            Self::Partial => "partial",
            Self::Lifetime => "no-lifetime",
            Self::Size => "size",
            Self::Told => "told",
        }
    }
}

/// Whether an answer may be stored, and how long it may then be used (§3, §4.2).
pub fn store(asked: Asked<'_>, status: u16, headers: &Headers, rules: &Rules, arrival: Arrival) -> Result<Life, Why> {
    let control = Control::of_response(headers);
    allowed(asked, status, headers, rules, &control)?;
    let now = arrival.unix.as_secs();
    let named = explicit(&control, headers, now);
    // Refusals and redirects are not what a route's lifetime means, unless it lists them.
    let ttl = rules.ttl.filter(|_| PLAIN.contains(&status) || rules.statuses.contains(&status));
    let fresh = match (named, ttl) {
        (_, Some(ttl)) if rules.override_answer => ttl,
        (Some(named), _) => named,
        (None, _) if control.no_cache => Duration::ZERO,
        (None, Some(ttl)) => ttl,
        (None, None) => return Err(Why::Lifetime),
    };
    let always_ask = control.no_cache && !rules.override_answer;
    let must_revalidate = always_ask || control.must_revalidate && !rules.override_answer;
    // `s-maxage` forbids what is stale too (§5.2.2.10), but for what the answer itself allows beside it (RFC 5861).
    let strict = must_revalidate || control.s_maxage.is_some() && !rules.override_answer;
    let grace = |said: Option<u64>, told: Option<Duration>| match said {
        Some(said) if !must_revalidate => Duration::from_secs(said),
        None if !strict => told.unwrap_or_default(),
        _ => Duration::ZERO,
    };
    Ok(Life {
        initial_age: initial_age(headers, arrival),
        fresh,
        while_revalidate: grace(control.stale_while_revalidate, rules.stale),
        if_error: grace(control.stale_if_error, rules.stale_if_error),
        must_revalidate,
        strict,
        always_ask,
        immutable: control.immutable,
    })
}

/// §3: everything but the lifetime.
fn allowed(asked: Asked<'_>, status: u16, headers: &Headers, rules: &Rules, control: &Control) -> Result<(), Why> {
    if !matches!(asked.method, Method::Get | Method::Head) && asked.method.as_str() != "QUERY" {
        return Err(Why::Method);
    }
    if status == 206 || headers.has("content-range") {
        return Err(Why::Partial);
    }
    if !UNDERSTOOD.contains(&status) && !rules.statuses.contains(&status) {
        return Err(Why::Status);
    }
    let understood = control.must_understand && UNDERSTOOD.contains(&status);
    if asked.control.no_store || (control.no_store && !understood) {
        return Err(Why::NoStore);
    }
    if control.private && !rules.private {
        return Err(Why::Private);
    }
    let shared = control.public || control.s_maxage.is_some() || control.must_revalidate;
    if asked.identified && !shared && !rules.private {
        return Err(Why::Authorization);
    }
    if headers.has("set-cookie") {
        return Err(Why::SetCookie);
    }
    let named = |name: &[u8]| WRITTEN.iter().any(|written| name.trim_ascii().eq_ignore_ascii_case(written));
    if headers.all("vary").any(|line| line.split(|&byte| byte == b',').any(named)) {
        return Err(Why::Vary);
    }
    Ok(())
}

/// What no key can tell: anything, and the fields that the gateway writes anew for each request it sends on.
const WRITTEN: [&[u8]; 9] = [
    b"*",
    b"x-forwarded-for",
    b"x-forwarded-port",
    b"x-real-ip",
    b"forwarded",
    b"via",
    b"x-request-id",
    b"traceparent",
    b"tracestate",
];

/// The lifetime the answer names itself (§4.2.1); an `Expires` that is no date has passed (§5.3).
fn explicit(control: &Control, headers: &Headers, now: u64) -> Option<Duration> {
    if let Some(seconds) = control.lifetime() {
        return Some(Duration::from_secs(seconds));
    }
    let expires = headers.get("expires")?;
    let date = headers.get("date").and_then(|text| date::parse(text, now)).unwrap_or(now);
    Some(Duration::from_secs(date::parse(expires, now).map_or(0, |at| at.saturating_sub(date))))
}

/// The age at arrival (§4.2.3): what the answer says, or what its date implies, whichever is more.
fn initial_age(headers: &Headers, arrival: Arrival) -> Duration {
    let now = arrival.unix.as_secs();
    let date = headers.get("date").and_then(|text| date::parse(text, now)).unwrap_or(now);
    let apparent = Duration::from_secs(now.saturating_sub(date));
    // Of several values the first counts, and what is no number is passed over (§5.1).
    let said = headers.text("age").and_then(|text| text.split(',').next()?.trim().parse::<u32>().ok());
    apparent.max(Duration::from_secs(said.unwrap_or(0).into()) + arrival.delay)
}

/// What may be done with a stored answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Serve it.
    Fresh,
    /// Serve it; it is stale, and the client accepts that (§5.2.1.2).
    Stale,
    /// Serve it and refresh it behind the client's back (RFC 5861 §3).
    Behind,
    /// Ask the service first.
    Ask,
}

/// Whether a stored answer of this age satisfies a request (§4.2, §5.2.1). `may_refresh`: a client's `no-cache`,
/// `max-age` and `min-fresh` are heeded; `expired`: it was purged softly.
pub fn usable(life: &Life, age: Duration, asked: &Control, may_refresh: bool, expired: bool) -> Use {
    if life.always_ask {
        return Use::Ask;
    }
    let left = if expired { Duration::ZERO } else { life.fresh.saturating_sub(age) };
    let is_fresh = !left.is_zero();
    let insists = may_refresh && !(life.immutable && is_fresh);
    if insists && (asked.no_cache || asked.max_age.is_some_and(|most| age.as_secs() > most)) {
        return Use::Ask;
    }
    if insists && asked.min_fresh.is_some_and(|least| left.as_secs() < least) {
        return Use::Ask;
    }
    if is_fresh {
        return Use::Fresh;
    }
    let stale_for = if expired { Duration::ZERO } else { age.saturating_sub(life.fresh) };
    if life.must_revalidate {
        return Use::Ask;
    }
    if stale_for < life.while_revalidate {
        return Use::Behind;
    }
    if !expired && !life.strict && asked.max_stale.is_some_and(|most| stale_for.as_secs() <= most) {
        return Use::Stale;
    }
    Use::Ask
}

/// Whether a stale answer may stand in when the service fails (RFC 5861 §4). The request may ask for it too.
pub fn stands_in(life: &Life, age: Duration, asked: &Control) -> bool {
    let grace = life.if_error.max(asked.stale_if_error.map_or(Duration::ZERO, Duration::from_secs));
    !life.must_revalidate && !life.always_ask && age.saturating_sub(life.fresh) < grace
}

/// Statuses that are understood and may be stored with a lifetime of their own (RFC 9110 §15.1), but 206.
const UNDERSTOOD: [u16; 14] = [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501];
/// Those to which a route's lifetime applies.
const PLAIN: [u16; 6] = [200, 203, 204, 300, 301, 308];

#[cfg(test)]
mod tests;
