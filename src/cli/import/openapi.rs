//! An OpenAPI document: the script serves it as its contract.

use std::path::Component;
use std::path::Path;

use serde_json::Value;
use url::Url;

use super::draft::Draft;
use super::items;
use super::lua;
use super::text;
use crate::primitive::openapi::METHODS;

/// The script for `document`, which lies at `file`.
pub(super) fn draft(document: &Value, file: &Path) -> Result<Draft, String> {
    check(document)?;
    let mut draft = Draft::default();
    let place = place(file, &mut draft);
    let title = text(&document["info"], "title");
    draft.line(format_args!(
        "-- From {place} by `moongate import openapi`. The document stays the contract: it is read and"
    ));
    draft.line("-- watched like this file, and requests that break it are refused.");
    draft.gap();
    draft.line("gateway { listen = \":8080\" }");
    draft.gap();
    let upstream = Some(lua::slug(title)).filter(|name| !name.is_empty()).unwrap_or_else(|| "service".to_owned());
    let (origin, base) = server(document, &mut draft);
    draft.line(format_args!("upstream {} {{ {} }}", lua::text(&upstream), lua::text(&origin)));
    draft.gap();
    let security = security(document, &mut draft);
    serve(document, &place, &upstream, &base, &security, &mut draft);
    beside(document, &mut draft);
    Ok(draft)
}

fn check(document: &Value) -> Result<(), String> {
    if document["swagger"].is_string() {
        return Err("this is Swagger 2.0; convert it to OpenAPI 3 first".to_owned());
    }
    // YAML reads an unquoted 3.0 as a number.
    let version = document["openapi"].to_string();
    if !version.trim_matches('"').starts_with('3') {
        return Err("no OpenAPI document: it does not begin with `openapi: 3…`".to_owned());
    }
    if document["paths"].as_object().is_none_or(|paths| paths.is_empty()) {
        return Err("it has no `paths`: there is nothing to serve".to_owned());
    }
    Ok(())
}

/// The document as the script names it: nothing outside its folder can be read.
fn place(file: &Path, draft: &mut Draft) -> String {
    let inside = file.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if inside {
        return file.strip_prefix(".").unwrap_or(file).display().to_string();
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    draft.note(format!("put {name} beside the script: it reads nothing outside its folder"));
    name
}

/// Origin and path of the first server.
fn server(document: &Value, draft: &mut Draft) -> (String, String) {
    let servers = items(document, "servers");
    for other in servers.iter().skip(1) {
        draft.note(format!("servers: only the first is asked, not {}", text(other, "url")));
    }
    let mut address = servers.first().map_or("", |server| text(server, "url")).to_owned();
    let variables = servers.first().and_then(|server| server["variables"].as_object());
    for (name, variable) in variables.into_iter().flatten() {
        address = address.replace(&format!("{{{name}}}"), text(variable, "default"));
        draft.note(format!("servers: the variable `{name}` has its default, {}", text(variable, "default")));
    }
    if let Some(url) = Url::parse(&address).ok().filter(|url| url.has_host()) {
        return (url.origin().ascii_serialization(), url.path().trim_end_matches('/').to_owned());
    }
    draft.note(format!("servers: no host is named; {GUESS} is a guess"));
    let base = if address.starts_with('/') { address.trim_end_matches('/').to_owned() } else { String::new() };
    (GUESS.to_owned(), base)
}

/// A step for each scheme; the names they are bound to.
fn security(document: &Value, draft: &mut Draft) -> Vec<(String, String)> {
    let schemes = document["components"]["securitySchemes"].as_object();
    let mut bound = Vec::new();
    for (scheme, terms) in schemes.into_iter().flatten() {
        if bound.is_empty() {
            draft.line("-- Who may call, by the document's security schemes.");
        }
        let name = lua::name(scheme);
        let (step, note) = step(terms);
        draft.line(format_args!("local {name} = {step}"));
        draft.note(format!("security scheme `{scheme}`: {note}"));
        bound.push((scheme.clone(), name));
    }
    draft.gap();
    bound
}

/// A step that lets nobody in until what the document does not say is written, and what that is.
fn step(terms: &Value) -> (String, String) {
    match (text(terms, "type"), text(terms, "scheme").to_ascii_lowercase().as_str()) {
        ("apiKey", _) => {
            let from = format!("{}:{}", text(terms, "in"), text(terms, "name"));
            let step = format!("api_key {{ function(key) end, from = {} }}", lua::text(&from));
            (
                step,
                "write whose keys there are: keys = { [\"sha256:…\"] = { sub = \"ann\" } } instead of the function"
                    .to_owned(),
            )
        }
        ("http", "basic") => {
            let note =
                "write who may come in: users = { ann = \"$2b$…\" }, or file = \"htpasswd\", instead of the function";
            ("basic_auth { function(name, password) end }".to_owned(), note.to_owned())
        }
        ("openIdConnect", _) => {
            let issuer = text(terms, "openIdConnectUrl").trim_end_matches("/.well-known/openid-configuration");
            let step = format!("jwt {{ discovery = {} }}", lua::text(issuer));
            (step, "write who you are: audience = \"…\"".to_owned())
        }
        ("http", "bearer") | ("oauth2", _) => {
            let note =
                "the document does not say whose tokens are taken: write issuer, jwks and audience (or discovery)";
            (format!("jwt {{ jwks = \"{NOBODY}\" }}"), note.to_owned())
        }
        ("mutualTLS", _) => {
            let note = "certificates come with tls = { client_ca = \"ca.pem\" } of a listener";
            ("mtls {}".to_owned(), note.to_owned())
        }
        (kind, scheme) => {
            let kind = format!("{kind} {scheme}");
            let step = "steps { function() reject(401, \"not translated\") end }";
            (step.to_owned(), format!("there is no policy for {}: nobody passes", kind.trim()))
        }
    }
}

fn serve(document: &Value, place: &str, upstream: &str, base: &str, security: &[(String, String)], draft: &mut Draft) {
    let indent = if base.is_empty() { "" } else { "  " };
    if !base.is_empty() {
        draft.line(format_args!("group {} {{", lua::text(base)));
    }
    draft.line(format_args!("{indent}openapi {} {{", lua::text(place)));
    draft.line(format_args!("{indent}  to = {},", lua::text(upstream)));
    if !security.is_empty() {
        let steps = security.iter().map(|(scheme, name)| lua::entry(scheme, name));
        draft.line(format_args!("{indent}  security = {},", lua::table(steps)));
    }
    draft.line(format_args!(
        "{indent}  -- operations = {{ name = {{ rate_limit \"100/min\" }} }} adds steps to one of these:"
    ));
    for (operation, name) in operations(document) {
        draft.line(format_args!("{indent}  --   {name:24}  {operation}"));
    }
    draft.line(format_args!("{indent}}}{}", if base.is_empty() { "" } else { "," }));
    if !base.is_empty() {
        draft.line("}");
    }
}

/// Method and path, and the name, of each operation.
fn operations(document: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            let Some(operation) = item.get(method) else { continue };
            let id = text(operation, "operationId");
            let shown = format!("{} {path}", method.to_ascii_uppercase());
            let id = if id.is_empty() { shown.clone() } else { id.to_owned() };
            all.push((shown, id));
        }
    }
    all
}

/// What a document may have that no route comes of.
fn beside(document: &Value, draft: &mut Draft) {
    if document["webhooks"].is_object() {
        draft.note("webhooks: requests of the service to others do not pass here");
    }
}

/// Where services are until somebody says so.
const GUESS: &str = "http://127.0.0.1:9000";
/// Keys that are nobody's: no token is taken.
const NOBODY: &str = "https://issuer.invalid/jwks.json";
