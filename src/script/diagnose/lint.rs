//! What the source alone shows to be wrong: unknown names, written globals, members that do not exist.

use super::Diagnostic;
use super::sketch::Sketch;
use super::sketch::Span;
use crate::script::words;
use crate::script::words::Kind;

/// What one file alone shows.
pub(crate) struct Lint {
    /// The file does not load.
    pub(crate) faults: Vec<Diagnostic>,
    /// It loads, and probably does not do what was meant.
    pub(crate) warnings: Vec<Diagnostic>,
}

/// Judges `sketch`; `own` are the words made by the script's own `policy`.
pub(crate) fn lint(file: &str, sketch: &Sketch, own: &[String], upstreams: &[&str]) -> Lint {
    let mut lint = Lint { faults: Vec::new(), warnings: Vec::new() };
    for (name, span, backtick) in &sketch.reads {
        // A global the file writes itself is told where it is written.
        if words::is_global(name) || own.contains(name) || sketch.writes.iter().any(|(written, ..)| written == name) {
            continue;
        }
        let told = unknown(name, own, *backtick).under(file, *span);
        let told = if upstreams.contains(&name.as_str()) {
            told.label(format!("write \"{name}\": an upstream goes by its name, in quotes"))
        } else {
            told
        };
        // `{ body "10MB" }`: a call in a list, where `=` was meant.
        let called = sketch.calls.iter().any(|call| call.span == *span && call.subject.is_some());
        let told = if called && is_option(name) {
            told.label(format!("an option is written with `=`: {name} = …"))
        } else {
            told
        };
        lint.faults.push(told);
    }
    for (name, span, function) in &sketch.writes {
        lint.faults.push(written(name, *function).under(file, *span));
    }
    for (owner, member, span) in &sketch.members {
        lint.faults.extend(missing(owner, member).map(|fault| fault.under(file, *span)));
    }
    for function in sketch.functions.iter().filter(|function| !function.called && !function.nested) {
        lint.warnings.extend(function.writes.iter().map(|(name, span)| captured(name).under(file, *span)));
    }
    for (word, span) in &sketch.late {
        let said = format!("`{word}` is called in a function that runs for requests, and is for the top of the file");
        let label = format!("move it out: local x = {word} …");
        let label = if matches!(word.as_str(), "require" | "secret" | "file" | "steps") {
            label
        } else {
            "declare it at the top of the file".to_owned()
        };
        lint.faults.push(Diagnostic::error(said).label(label).under(file, *span));
    }
    for (key, name, span) in &sketch.misnamed {
        let second = if key == "on_error" { "err" } else { "res" };
        let said = format!("`{key}` gets the request first, and it is called `{name}` here");
        lint.warnings.push(
            Diagnostic::warning("parameter-name", said)
                .label(format!("write function(req, {second})"))
                .under(file, *span),
        );
    }
    for (name, span) in &sketch.responses {
        let said = format!(
            "the second parameter of a step is the function `next`, not a response, and is called `{name}` here"
        );
        let help = "a step answers by what it returns: return { status = 200, text = \"…\" }; to change the service's answer: local res = next()";
        lint.warnings
            .push(Diagnostic::warning("parameter-name", said).label("name it `next`").help(help).under(file, *span));
    }
    for (owner, member, span) in &sketch.handles {
        lint.warnings.extend(handle(owner, member).map(|warning| warning.under(file, *span)));
    }
    backticks(file, sketch, &mut lint.warnings);
    lint
}

/// A name nobody declared.
pub(crate) fn unknown(name: &str, own: &[String], backtick: bool) -> Diagnostic {
    if let Some(word) = words::find(name).filter(|word| word.kind == Kind::Later) {
        return not_yet(word.name, word.doc);
    }
    let fault = Diagnostic::error(format!("unknown name `{name}`"));
    if let Some(told) = elsewhere(name) {
        return fault.label(told);
    }
    let candidates: Vec<&str> = words::globals().chain(own.iter().map(String::as_str)).collect();
    match words::nearest(name, candidates) {
        _ if backtick => fault
            .label("inside backticks `{…}` is Lua")
            .help(format!("for a template write ordinary quotes: \"…{{{name}}}…\"")),
        Some(near) => fault.label(format!("did you mean `{near}`?")),
        None => fault.label("declare it with `local`, or is it misspelt?"),
    }
}

/// Whether any word has an option of that name, however deep.
fn is_option(name: &str) -> bool {
    fn within(options: &[words::Opt], name: &str) -> bool {
        options.iter().any(|option| option.name == name || option.of.table().is_some_and(|inner| within(inner, name)))
    }
    words::all().iter().any(|word| within(&word.options, name))
}

/// A word of a later version.
pub(crate) fn not_yet(name: &str, doc: &str) -> Diagnostic {
    Diagnostic::error(format!("`{name}` is not in this version"))
        .label("it comes in a later version")
        .help(format!("{name}: {doc}"))
}

/// Names other gateways and dialects have.
fn elsewhere(name: &str) -> Option<&'static str> {
    Some(match name {
        "null" | "None" | "undefined" | "NULL" => "Lua says `nil`; in JSON `json.null`",
        "True" | "TRUE" => "Lua says `true`",
        "False" | "FALSE" => "Lua says `false`",
        "ngx" => "this is not OpenResty: a step gets `req`, an answer is what it returns",
        "kong" => "this is not Kong: a step gets `req`, an answer is what it returns",
        "req" | "request" => "write `function(req) … end` to get it",
        "res" | "response" => "a step gets it from `next()`, on_response as its second parameter",
        "next_step" => "write `function(req, next) … end` to get `next`",
        "err" => "write `function(req, err) … end` to get it",
        "io" | "package" | "dofile" | "loadfile" => "scripts have no files; `file \"name\"` reads one while loading",
        "module" => "write `return { … }` at the end of the file and `require` it",
        "http" | "request_uri" => "did you mean `fetch`?",
        "cjson" => "did you mean `json`?",
        "setTimeout" | "setInterval" => "did you mean `after` or `every`?",
        "console" => "did you mean `log`?",
        "service" | "backend" | "cluster" | "host" | "server" => "did you mean `upstream`?",
        "location" | "path" | "endpoint" | "handle" => "did you mean `route`?",
        "GET" | "POST" | "PUT" | "DELETE" | "PATCH" | "HEAD" | "OPTIONS" => "write `route \"GET /path\" { … }`",
        "headers" => "did you mean `req.headers`?",
        _ => return None,
    })
}

/// A global that is assigned.
fn written(name: &str, function: bool) -> Diagnostic {
    if words::is_global(name) {
        let whose =
            if words::find(name).is_some_and(|word| word.kind == Kind::Language) { "the language" } else { "Moongate" };
        return Diagnostic::error(format!("`{name}` belongs to {whose} and cannot be replaced"))
            .label("choose another name");
    }
    let fault = Diagnostic::error(format!("global `{name}` is not declared"));
    if function {
        fault.label(format!("write `local function {name}`"))
    } else {
        fault.label(format!("write `local {name}`"))
    }
}

/// `json.encod`: a namespace without that member.
fn missing(owner: &str, member: &str) -> Option<Diagnostic> {
    if owner == "os" && !matches!(member, "time" | "date" | "clock" | "difftime") {
        let label = if member == "getenv" { "write `env.NAME`" } else { "it has time, date, clock, difftime" };
        return Some(Diagnostic::error(format!("`os` has no `{member}`")).label(label));
    }
    let members = words::members(owner);
    if members.is_empty() || members.contains(&member) {
        return None;
    }
    let fault = Diagnostic::error(format!("`{owner}` has no `{member}`"));
    Some(match words::nearest(member, members.iter().copied()) {
        Some(near) => fault.label(format!("did you mean `{owner}.{near}`?")),
        None => fault.label(format!("it has {}", members.join(", "))),
    })
}

/// `req.header`: a field the request does not have.
fn handle(owner: &str, member: &str) -> Option<Diagnostic> {
    let known = if owner == "req" { REQUEST } else { RESPONSE };
    if known.contains(&member) {
        return None;
    }
    let what = if owner == "req" { "a request" } else { "a response" };
    let label = match (owner, member) {
        ("req", "body") => "read it with req:text(), req:json() or req:form()".to_owned(),
        ("req", "uri" | "url") => "did you mean `req.path` and `req.query`?".to_owned(),
        ("req", "args" | "params_query") => "did you mean `req.query`?".to_owned(),
        ("req", "remote_addr" | "client_ip" | "client") => "did you mean `req.ip`?".to_owned(),
        ("res", "body") => "read it with res:text() or res:json(), replace it with res:set_body(…)".to_owned(),
        _ => match words::nearest(member, known.iter().copied()) {
            Some(near) => format!("did you mean `{owner}.{near}`?"),
            None if owner == "req" => "a value of your own goes into `req.ctx`".to_owned(),
            None => "`moongate docs` lists the words".to_owned(),
        },
    };
    Some(Diagnostic::warning("unknown-member", format!("{what} has no `{member}`")).label(label))
}

const REQUEST: &[&str] = &[
    "method",
    "path",
    "host",
    "scheme",
    "raw_path",
    "raw_query",
    "version",
    "id",
    "type",
    "query",
    "headers",
    "cookies",
    "params",
    "ip",
    "port",
    "tls",
    "user",
    "key",
    "limits",
    "ctx",
    "route",
    "text",
    "json",
    "form",
    "multipart",
    "try_json",
    "chunks",
    "map",
    "set_body",
    "set_json",
    "accepts",
    "bearer",
    "elapsed",
    "left",
    "forward",
];

const RESPONSE: &[&str] = &[
    "status", "headers", "from", "cache", "upstream", "host", "error", "took", "bytes", "text", "json", "try_json",
    "chunks", "map", "lines", "sse", "replace", "set_body", "set_json", "copy", "ok", "type",
];

/// A local of the file that a request function writes.
fn captured(name: &str) -> Diagnostic {
    Diagnostic::warning(
        "captured-local",
        format!("`{name}` is written inside a function, and each worker has its own copy"),
    )
    .label("shared state has a name")
    .help("use `store`, `limiter` or `metrics`: they are seen by all workers and kept across reloads")
}

/// `{id}` inside backticks where a template was meant: the name is a path parameter of the route around it.
fn backticks(file: &str, sketch: &Sketch, warnings: &mut Vec<Diagnostic>) {
    for (name, span) in &sketch.backticks {
        let parameter = format!("{{{name}");
        let inside = |line: u32, end: u32| line <= span.line && span.line <= end;
        let route = sketch.calls.iter().find(|call| {
            matches!(call.word.as_str(), "route" | "group")
                && inside(call.span.line, call.end)
                && call.subject.as_ref().is_some_and(|(text, _)| text.contains(&parameter))
        });
        if route.is_some() {
            let warning = Diagnostic::warning(
                "backticks",
                format!("`{{{name}}}` inside backticks is the local `{name}`, not the path parameter"),
            )
            .label("evaluated once, while loading")
            .help(format!("for a template write ordinary quotes: \"…{{{name}}}…\""));
            warnings.push(warning.under(file, *span));
        }
    }
}

/// Locals that the function at `line` writes though they were declared outside it.
pub(crate) fn written_by(sketch: &Sketch, line: u32) -> Vec<(String, Span)> {
    sketch
        .functions
        .iter()
        .filter(|function| function.line == line)
        .flat_map(|function| function.writes.clone())
        .collect()
}
