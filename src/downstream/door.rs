//! What happens between a listener and the first request of a connection: PROXY header, TLS, a sign to the right door.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::downstream::Listen;
use crate::downstream::Peer;
use crate::downstream::Stream;
use crate::downstream::Tools;
use crate::downstream::certs::CertFault;
use crate::downstream::certs::Certs;
use crate::downstream::issued::Issued;
use crate::downstream::listener::Acme;
use crate::downstream::listener::Listener;
use crate::downstream::preface;
use crate::downstream::proxy_protocol;
use crate::downstream::proxy_protocol::Announced;
use crate::downstream::tls;
use crate::downstream::tls::Failed;
use crate::downstream::tls::Greeted;
use crate::downstream::tls::Session;
use crate::http::Scheme;

/// A listener's settings, ready for connections.
#[derive(Clone, Debug, Default)]
pub struct Door {
    /// Its certificates; `None`: clear text.
    pub tls: Option<Arc<Certs>>,
    /// Who must begin with a PROXY header; `None`: nobody.
    pub proxy: Option<Arc<[IpNet]>>,
    /// In clear text: everybody is sent to this port.
    pub redirect: Option<u16>,
    /// In clear text: authorities ask here for proofs of these.
    pub issued: Option<Arc<[Arc<Issued>]>>,
    /// HTTP/2 is spoken: over TLS by ALPN, in clear text to clients that begin with it.
    pub http2: bool,
}

/// Somebody who came in.
pub struct Visitor {
    /// The connection, after PROXY header and handshake.
    pub stream: Stream,
    /// How it came in.
    pub arrival: Rc<Arrival>,
    /// How its handshake ended, where there was one.
    pub welcome: Option<Welcome>,
    /// HTTP/2 is what it speaks.
    pub http2: bool,
    /// What was read already to know that.
    pub early: Vec<u8>,
}

/// How a connection came in, where there is more to say than its address.
#[derive(Debug)]
pub struct Arrival {
    /// The listener.
    pub at: Listen,
    /// Over TLS.
    pub tls: Option<Box<Session>>,
    /// Its requests are told to come another way.
    pub aside: Option<Aside>,
    /// Authorities ask here for proofs of these.
    pub issued: Option<Arc<[Arc<Issued>]>>,
}

/// Where requests go that came the wrong way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// To `https://` at the host they asked for, at this port; `None`: at the port they came to.
    Redirect(Option<u16>),
    /// Nowhere: this port speaks TLS.
    Refuse,
}

/// How an attempt to come in ended; the names of series and log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Welcome {
    /// A handshake was done.
    Secure,
    /// The client spoke HTTP in clear text at a port that speaks TLS.
    Clear,
    /// The client said nothing.
    Silent,
    /// The client took too long.
    Late,
    /// Too many handshakes at once.
    Overload,
    /// The handshake was broken off.
    Failed,
    /// The listener speaks the PROXY protocol, and not with this peer.
    Unlisted,
    /// No PROXY header, or a malformed one.
    Header,
    /// Its address has as many connections as it may.
    Crowded,
    /// An authority was shown that a name is ours.
    Proved,
}

impl Arrival {
    /// How its requests reach us.
    pub fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }
}

impl Welcome {
    /// As a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secure => "ok",
            Self::Clear => "clear_text",
            Self::Silent => "silent",
            Self::Late => "timeout",
            Self::Overload => "overload",
            Self::Failed => "failed",
            Self::Unlisted => "proxy_unlisted",
            Self::Header => "proxy_header",
            Self::Crowded => "per_address",
            Self::Proved => "acme",
        }
    }
}

impl Door {
    /// The doors of `listeners`, in their order; the error names the listener at fault. `issued`: what an authority issued.
    pub fn all(
        listeners: &[Listener],
        issued: &dyn Fn(&Acme) -> Arc<Issued>,
    ) -> Result<Vec<(Listen, Self)>, (Listen, CertFault)> {
        let mut doors = Vec::new();
        for listener in listeners {
            let tls = listener.tls.as_ref().map(|config| Certs::new(config, protocols(listener), issued));
            let tls = tls.transpose().map_err(|fault| (listener.at.clone(), fault))?.map(Arc::new);
            let proxy = listener.proxy.clone().map(Arc::from);
            let http2 = listener.http2;
            doors.push((listener.at.clone(), Self { tls, proxy, redirect: None, issued: None, http2 }));
        }
        let redirecting = |(at, door): &(Listen, Self)| match at {
            Listen::Tcp(address) if door.tls.as_ref().is_some_and(|certs| certs.redirects()) => Some(address.port()),
            _ => None,
        };
        let port = doors.iter().find_map(redirecting);
        let issued: Arc<[_]> =
            doors.iter().filter_map(|(_, door)| door.tls.as_ref()).flat_map(|certs| certs.issued()).cloned().collect();
        for (at, door) in &mut doors {
            if door.tls.is_none() && matches!(at, Listen::Tcp(_)) {
                door.redirect = port;
                door.issued = Some(Arc::clone(&issued)).filter(|issued| !issued.is_empty());
            }
        }
        Ok(doors)
    }

    /// Whether connections are served as they are.
    pub fn is_plain(&self) -> bool {
        let clear = self.tls.is_none() && self.redirect.is_none() && self.issued.is_none();
        clear && self.proxy.is_none() && !self.http2
    }

    /// Takes a fresh connection through, `peer` becoming who a PROXY header says it is, if `admit` then lets it in; the
    /// error says why there is nobody to serve, and the system's words for it.
    pub async fn enter(
        &self,
        at: &Listen,
        mut stream: Stream,
        peer: &mut Peer,
        tools: &Tools,
        limit: Duration,
        admit: impl FnOnce(&Peer) -> bool,
    ) -> Result<Visitor, (Welcome, String)> {
        let end = tools.clock.now().after(limit);
        if let Some(from) = &self.proxy {
            *peer = announced(from, &mut stream, *peer, tools, limit).await?;
        }
        if !admit(peer) {
            return Err((Welcome::Crowded, String::new()));
        }
        let limit = end.since(tools.clock.now());
        let visitor = |stream, tls: Option<Box<Session>>, aside, welcome| {
            let http2 = tls.as_ref().is_some_and(|session| session.alpn == Some("h2"));
            let arrival = Rc::new(Arrival { at: at.clone(), tls, aside, issued: self.issued.clone() });
            Visitor { stream, arrival, welcome, http2, early: Vec::new() }
        };
        let Some(certs) = &self.tls else {
            let begun = if self.http2 { Some(begun(&mut stream, tools, limit).await?) } else { None };
            let (http2, early) = begun.unwrap_or_default();
            let aside = self.redirect.map(|port| Aside::Redirect(Some(port)));
            return Ok(Visitor { http2, early, ..visitor(stream, None, aside, None) });
        };
        let Stream::Tcp(stream) = stream else {
            return Err((Welcome::Failed, "TLS is spoken over TCP alone".to_owned()));
        };
        match tls::greet(stream, certs, &tools.handshakes, limit, &tools.clock).await {
            Ok(Greeted::Secure(stream, session)) => {
                Ok(visitor(Stream::Tls(stream), Some(session), None, Some(Welcome::Secure)))
            }
            Ok(Greeted::Clear(stream)) => {
                let aside = if certs.redirects() { Aside::Redirect(None) } else { Aside::Refuse };
                Ok(visitor(Stream::Tcp(stream), None, Some(aside), Some(Welcome::Clear)))
            }
            Err(Failed::Silent) => Err((Welcome::Silent, String::new())),
            Err(Failed::Late) => Err((Welcome::Late, String::new())),
            Err(Failed::Overload) => Err((Welcome::Overload, String::new())),
            Err(Failed::Proved) => Err((Welcome::Proved, String::new())),
            Err(Failed::Broken(error)) => Err((Welcome::Failed, error.to_string())),
        }
    }
}

/// What ALPN offers, the first that the client knows too being spoken.
fn protocols(listener: &Listener) -> &'static [&'static [u8]] {
    if listener.http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] }
}

/// What a client in clear text speaks, and what was read to know it.
async fn begun(stream: &mut Stream, tools: &Tools, limit: Duration) -> Result<(bool, Vec<u8>), (Welcome, String)> {
    let reading = pin!(preface::read(stream));
    match tools.clock.timeout(limit, reading).await {
        None => Err((Welcome::Late, String::new())),
        Some(Err(error)) => Err((Welcome::Silent, error.to_string())),
        Some(Ok(begun)) => Ok(begun),
    }
}

/// Who a listed proxy says is at the other end.
async fn announced(
    from: &[IpNet],
    stream: &mut Stream,
    peer: Peer,
    tools: &Tools,
    limit: Duration,
) -> Result<Peer, (Welcome, String)> {
    let listed = match peer.address {
        Some(address) => from.iter().any(|network| network.contains(&address.ip().to_canonical())),
        // Whoever may open the socket's file is listed.
        None => true,
    };
    if !listed {
        return Err((Welcome::Unlisted, String::new()));
    }
    let reading = pin!(proxy_protocol::read(stream));
    match tools.clock.timeout(limit, reading).await {
        None => Err((Welcome::Late, String::new())),
        Some(Err(error)) => Err((Welcome::Header, error.to_string())),
        Some(Ok(Announced::Nobody)) => Ok(peer),
        Some(Ok(Announced::Client(client, called))) => Ok(Peer { address: Some(client), local: Some(called) }),
    }
}
