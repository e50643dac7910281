//! What became of one request, for people: step by step as `moongate explain` tells it, and as a waterfall of times.

use std::fmt::Write as _;

use serde_json::Value;

/// What happened, in the order it did: routes, steps, calls, the answer.
pub fn told(method: &str, url: &str, story: &Value) -> String {
    let mut out = format!("{method} {url}\n\nroutes that host and path reach, in the order they are asked\n");
    routes(&mut out, list(&story["routes"]));
    out.push_str("\nsteps\n");
    if list(&story["steps"]).is_empty() {
        out.push_str("  none\n");
    }
    for step in list(&story["steps"]) {
        let took = match step["seconds"].as_f64() {
            Some(took) if took > 0.0 => format!(" after {}s", rounded(took)),
            _ => String::new(),
        };
        let _ = writeln!(out, "  {}{took}", step_line(step));
        changes(&mut out, step, "             ");
    }
    for call in list(&story["calls"]) {
        let _ = writeln!(out, "\nupstream {} at {} is asked", text(&call["upstream"]), text(&call["host"]));
        let _ = writeln!(out, "  {} {}", text(&call["method"]), target(call));
        fields(&mut out, &call["headers"]);
        for attempt in list(&call["attempts"]).iter().rev().skip(1).rev() {
            let _ = writeln!(out, "  attempt at {}: {}", text(&attempt["host"]), came(attempt));
        }
        if let Some(error) = call["error"].as_str() {
            let _ = writeln!(out, "  no answer: {error}");
        }
    }
    answer(&mut out, &story["answer"]);
    out
}

/// When what happened, and how long it took: a row and a bar each.
pub fn waterfall(story: &Value) -> String {
    let (request, answer) = (&story["request"], &story["answer"]);
    let total = story["seconds"].as_f64().unwrap_or_default();
    let code = answer["code"].as_str().map(|code| format!(" {code}")).unwrap_or_default();
    let cache = answer["cache"].as_str().map(|cache| format!(", cache {cache}")).unwrap_or_default();
    let mut out = format!(
        "{} {} -> {}{code} in {}, from {}{cache}\n",
        text(&request["method"]),
        text(&request["target"]),
        answer["status"],
        millis(total),
        text(&answer["from"]),
    );
    let route = match story["route"]["name"].as_str() {
        Some(name) => format!("route {name} ({})", place(&story["route"]["place"])),
        None => "no route".to_owned(),
    };
    let _ = writeln!(
        out,
        "trace {}, request {}, {route}, {} bytes in, {} out",
        text(&story["id"]),
        text(&story["request_id"]),
        request["bytes"],
        answer["bytes"],
    );
    if let Some(cause) = answer["cause"].as_str() {
        let _ = writeln!(out, "because: {cause}");
    }
    let rows = rows(story);
    let width = rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
    out.push('\n');
    for row in rows {
        let _ = writeln!(
            out,
            "  {:width$}  {:>10} {:>10}  |{}|",
            row.label,
            millis(row.at),
            millis(row.took),
            bar(row.at, row.took, total)
        );
        for change in row.changes {
            let _ = writeln!(out, "      {change}");
        }
    }
    out
}

struct Row {
    label: String,
    at: f64,
    took: f64,
    changes: Vec<String>,
}

impl Row {
    fn new(label: String, part: &Value) -> Self {
        let number = |name: &str| part[name].as_f64().unwrap_or_default();
        Self { label, at: number("at"), took: number("seconds"), changes: Vec::new() }
    }
}

/// Steps and calls by the time they began, then the answer.
fn rows(story: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    for step in list(&story["steps"]) {
        let mut row = Row::new(step_line(step), step);
        row.changes = list(&step["changes"]).iter().map(|change| text(change).to_owned()).collect();
        rows.push(row);
    }
    for call in list(&story["calls"]) {
        let bytes =
            format!("{} bytes out, {} in", call["sent"]["bytes"], call["answer"]["bytes"].as_u64().unwrap_or(0));
        let line = format!("call     {} {} {} ({bytes})", text(&call["upstream"]), text(&call["method"]), target(call));
        let mut row = Row::new(line, call);
        row.changes.extend(call["error"].as_str().map(|error| format!("no answer: {error}")));
        rows.push(row);
        let attempts = list(&call["attempts"]);
        rows.extend(attempts.iter().map(|one| Row::new(format!("  at     {} {}", text(&one["host"]), came(one)), one)));
    }
    // A call stays before its attempts: the sort keeps the order of what began at the same time.
    rows.sort_by(|a, b| a.at.total_cmp(&b.at));
    let total = story["seconds"].as_f64().unwrap_or_default();
    let head = story["answer"]["at"].as_f64().unwrap_or(total);
    let label = format!("answer   {}", story["answer"]["status"]);
    rows.push(Row { label, at: head, took: total - head, changes: Vec::new() });
    rows
}

/// Where in the whole it happened.
fn bar(at: f64, took: f64, total: f64) -> String {
    if total <= 0.0 {
        return " ".repeat(WIDTH);
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a column between 0 and WIDTH")]
    let column = |time: f64| ((time / total * WIDTH as f64).round() as usize).min(WIDTH);
    let start = column(at).min(WIDTH - 1);
    let end = column(at + took).max(start + 1);
    format!("{}{}{}", " ".repeat(start), "=".repeat(end - start), " ".repeat(WIDTH - end))
}

fn routes(out: &mut String, routes: &[Value]) {
    if routes.is_empty() {
        out.push_str("  none\n");
    }
    let width = routes.iter().map(|route| text(&route["name"]).chars().count()).max().unwrap_or(0);
    for route in routes {
        let mark = if route["takes"] == true { '>' } else { ' ' };
        let name = text(&route["name"]);
        let _ = writeln!(out, "{mark} {name:width$}  {}  ({})", text(&route["why"]), place(&route["place"]));
    }
}

fn step_line(step: &Value) -> String {
    let (outcome, word) = (text(&step["outcome"]), text(&step["word"]));
    format!("{outcome:8} {word} ({}, {})", place(&step["place"]), text(&step["level"]))
}

fn changes(out: &mut String, step: &Value, indent: &str) {
    for change in list(&step["changes"]) {
        let _ = writeln!(out, "{indent}{}", text(change));
    }
}

/// Host comes first, whatever comes with it.
fn fields(out: &mut String, headers: &Value) {
    let pair = |field: &Value| (text(&field[0]).to_owned(), text(&field[1]).to_owned());
    let (host, others): (Vec<_>, Vec<_>) = list(headers).iter().map(pair).partition(|(name, _)| name == "host");
    for (name, value) in host.iter().take(1).chain(&others) {
        let _ = writeln!(out, "  {name}: {value}");
    }
}

fn answer(out: &mut String, answer: &Value) {
    let code = answer["code"].as_str().map(|code| format!(" {code}")).unwrap_or_default();
    let _ = writeln!(out, "\nanswer {}{code}, from {}", answer["status"], text(&answer["from"]));
    if let Some(cause) = answer["cause"].as_str() {
        let _ = writeln!(out, "  because: {cause}");
    }
    for field in list(&answer["headers"]) {
        let _ = writeln!(out, "  {}: {}", text(&field[0]), text(&field[1]));
    }
    let body = text(&answer["body"]);
    if !body.is_empty() {
        let shown: String = body.chars().take(SHOWN).collect();
        let rest = if shown.len() < body.len() { "…" } else { "" };
        let _ = writeln!(out, "\n  {}{rest}", shown.trim_end().replace('\n', "\n  "));
    }
}

fn target(call: &Value) -> String {
    let query = call["query"].as_str().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}{query}", text(&call["path"]))
}

/// What an attempt came to.
fn came(attempt: &Value) -> String {
    attempt["error"].as_str().map_or_else(|| attempt["status"].to_string(), str::to_owned)
}

fn place(place: &Value) -> String {
    format!("{}:{}", text(&place["file"]), place["line"])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn millis(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1000.0)
}

/// To the microsecond, without what a reader does not need.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

/// Characters of a body that are shown.
const SHOWN: usize = 2000;
/// Columns of a bar.
const WIDTH: usize = 40;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_waterfall_has_a_row_for_all_that_took_time() {
        let place = json!({ "file": "gateway.lua", "line": 3 });
        let story = json!({
            "id": "1-2", "request_id": "r1", "seconds": 0.04,
            "request": { "method": "GET", "target": "/a", "bytes": 0 },
            "route": { "name": "/a", "place": place },
            "steps": [{
                "word": "jwt", "level": "route", "place": place, "outcome": "passed", "changes": ["header x = 1"],
                "at": 0.0, "seconds": 0.001,
            }],
            "calls": [{
                "upstream": "users", "method": "GET", "path": "/a", "query": null, "at": 0.01, "seconds": 0.02,
                "attempts": [
                    { "host": "10.0.0.1:80", "at": 0.01, "seconds": 0.01, "error": "10.0.0.1:80: refused" },
                    { "host": "10.0.0.2:80", "at": 0.02, "seconds": 0.01, "status": 200 },
                ],
                "sent": { "bytes": 0 }, "answer": { "status": 200, "bytes": 5 },
            }],
            "answer": { "status": 200, "from": "upstream", "bytes": 5, "at": 0.03, "cache": "miss" },
        });
        let expected = "\
GET /a -> 200 in 40.00 ms, from upstream, cache miss
trace 1-2, request r1, route /a (gateway.lua:3), 0 bytes in, 5 out

  passed   jwt (gateway.lua:3, route)           0.00 ms    1.00 ms  |=                                       |
      header x = 1
  call     users GET /a (0 bytes out, 5 in)    10.00 ms   20.00 ms  |          ====================          |
    at     10.0.0.1:80 10.0.0.1:80: refused    10.00 ms   10.00 ms  |          ==========                    |
    at     10.0.0.2:80 200                     20.00 ms   10.00 ms  |                    ==========          |
  answer   200                                 30.00 ms   10.00 ms  |                              ==========|
";
        assert_eq!(waterfall(&story), expected);
    }

    #[test]
    fn a_bar_stays_within_its_columns() {
        for (at, took, total) in [(0.0, 0.0, 0.0), (0.0, 9.0, 1.0), (2.0, 1.0, 1.0), (1.0, 0.0, 1.0), (-1.0, 0.5, 1.0)]
        {
            assert_eq!(bar(at, took, total).chars().count(), WIDTH, "{at} {took} {total}");
        }
    }
}
