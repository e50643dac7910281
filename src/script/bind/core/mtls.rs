//! `core.mtls(lists, own, forward)`: a function of `req` that checks the client's certificate, and of who shows it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;
use serde_json::json;

use super::exchange;
use crate::net::Certificate;
use crate::primitive::mtls::Config;
use crate::primitive::mtls::Mtls;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::script::declare::read;
use crate::script::handle;
use crate::script::wait;

/// The function refuses, or says who the caller is; with `own` it returns the certificate, and the policy says it.
pub(super) fn mtls(lua: &Lua, (lists, own, forward): (Table, bool, bool)) -> mlua::Result<Function> {
    let list = |name| read::texts(&lists, name);
    let config = Config { fingerprints: list("fingerprints"), subjects: list("subjects"), san: list("san") };
    let accepted = Mtls::new(&config).map_err(|error| mlua::Error::runtime(error.to_string()))?;
    wait::strict(lua, "mtls", move |lua, req: Value| {
        let exchange = exchange(lua, &req)?;
        let Some(shown) = exchange.client_certificate() else {
            return wait::fail(Failure::new(Code::MtlsMissing, "a client certificate is needed here"));
        };
        let now = i64::try_from(exchange.worker.clock.unix().as_secs()).unwrap_or(i64::MAX);
        if let Err(denied) = accepted.check(shown, now) {
            let failure = Failure::new(Code::MtlsDenied, "this client certificate is not accepted here");
            return wait::fail(failure.because(format!("{}: {denied}", shown.subject)));
        }
        if own {
            return handle::certificate(lua, shown).map(Some);
        }
        handle::identify(lua, &exchange, Some(Arc::new(claims(shown))), None)?;
        if forward {
            send_on(&exchange, shown);
        }
        Ok(None)
    })
}

/// `core.client_cert(req)`: the certificate goes on to the service.
pub(super) fn client_cert(lua: &Lua, req: Value) -> mlua::Result<()> {
    let exchange = exchange(lua, &req)?;
    if let Some(shown) = exchange.client_certificate() {
        send_on(&exchange, shown);
    }
    Ok(())
}

/// RFC 9440 §2.2, §2.3: a byte sequence of a structured field, and a list of those behind it.
fn send_on(exchange: &Exchange, shown: &Certificate) {
    let value = |der: &[u8]| format!(":{}:", STANDARD.encode(der));
    let chain: Vec<_> = exchange.tls().into_iter().flat_map(|session| &session.chain).map(|der| value(der)).collect();
    let headers = &mut exchange.request.borrow_mut().headers;
    headers.set("Client-Cert", value(&shown.der));
    if !chain.is_empty() {
        headers.set("Client-Cert-Chain", chain.join(", "));
    }
}

/// `req.user` of whoever shows this certificate.
fn claims(shown: &Certificate) -> serde_json::Value {
    json!({
        "sub": shown.common_name.as_deref().unwrap_or(&shown.subject),
        "subject": shown.subject,
        "issuer": shown.issuer,
        "serial": shown.serial,
        "san": shown.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "fingerprint": shown.fingerprint(),
    })
}
