//! What came of the tests, for people, for programs and for build servers.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use super::play::Played;
use super::play::Ran;
use crate::script::suite::Failed;

/// For people: a line a file, and each failure with what led there.
pub(super) fn text(played: &[Played], took: Duration, color: bool) -> String {
    let paint = |code: &str, text: &str| if color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() };
    let mut out = String::new();
    let width = played.iter().map(|file| file.test.display().to_string().chars().count()).max().unwrap_or(0);
    for file in played {
        let name = file.test.display().to_string();
        if let Some(fault) = &file.fault {
            let _ = writeln!(out, "{} {name} (testing {})", paint("31", "does not load"), file.script.display());
            let _ = writeln!(out, "{}", fault.trim_end());
            continue;
        }
        let failed = file.tests.iter().filter(|test| test.failed.is_some()).count();
        let sum = format!("{} passed", file.tests.len() - failed);
        let sum = if failed > 0 { format!("{sum}, {}", paint("31", &format!("{failed} failed"))) } else { sum };
        let _ = writeln!(out, "{name:width$}  {sum}");
        for test in &file.tests {
            if let Some(why) = &test.failed {
                let _ = write!(out, "\n{}", failure(&name, test, why, &paint));
            }
        }
        if failed > 0 {
            out.push('\n');
        }
    }
    let (passed, failed) = count(played);
    let _ = writeln!(out, "{passed} passed, {failed} failed, in {:.2} s", took.as_secs_f64());
    out
}

fn failure(file: &str, test: &Ran, why: &Failed, paint: &impl Fn(&str, &str) -> String) -> String {
    let mut out = format!("{} {}\n", paint("31", "FAILED"), paint("1", &test.name));
    for line in why.message.lines() {
        let _ = writeln!(out, "  {line}");
    }
    // What has no place of its own is shown where the test stands.
    let (at, line) = if why.file.is_empty() { (file, test.line) } else { (place(file, &why.file), why.line) };
    let gutter = " ".repeat(line.to_string().len());
    let _ = writeln!(out, "  {gutter}--> {at}:{line}");
    if !why.source.trim().is_empty() {
        let _ = writeln!(out, "  {gutter} |\n  {line} | {}", why.source.trim_end());
    }
    if !why.request.is_empty() {
        let _ = writeln!(out, "  last request: {}", why.request);
    }
    for step in &why.steps {
        let _ = writeln!(out, "    {step}");
    }
    for log in &why.logs {
        let _ = writeln!(out, "  log: {}", log.replace('\n', "\n    "));
    }
    out
}

/// The test file as it was given, others as the script names them.
fn place<'a>(test: &'a str, file: &'a str) -> &'a str {
    let same = std::path::Path::new(test).file_name().is_some_and(|name| name == file);
    if same { test } else { file }
}

fn count(played: &[Played]) -> (usize, usize) {
    let tests = || played.iter().flat_map(|file| &file.tests);
    let failed = tests().filter(|test| test.failed.is_some()).count();
    (tests().count() - failed, failed)
}

/// For programs.
pub(super) fn json(played: &[Played]) -> Value {
    let test = |test: &Ran| {
        let mut value = json!({
            "name": test.name,
            "line": test.line,
            "ok": test.failed.is_none(),
            "seconds": test.took.as_secs_f64(),
        });
        if let Some(why) = &test.failed {
            value["failed"] = json!({
                "message": why.message,
                "file": why.file,
                "line": why.line,
                "request": why.request,
                "steps": why.steps,
                "logs": why.logs,
            });
        }
        value
    };
    let file = |file: &Played| {
        json!({
            "file": file.test,
            "script": file.script,
            "fault": file.fault,
            "tests": file.tests.iter().map(test).collect::<Vec<_>>(),
        })
    };
    let (passed, failed) = count(played);
    json!({ "passed": passed, "failed": failed, "files": played.iter().map(file).collect::<Vec<_>>() })
}

/// For build servers: the form that JUnit made common.
pub(super) fn junit(played: &[Played]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for file in played {
        let name = escape(&file.test.display().to_string());
        let failed = file.tests.iter().filter(|test| test.failed.is_some()).count();
        let errors = usize::from(file.fault.is_some());
        let (tests, seconds) =
            (file.tests.len(), file.tests.iter().map(|test| test.took).sum::<Duration>().as_secs_f64());
        let _ = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failed}\" errors=\"{errors}\" time=\"{seconds:.3}\">"
        );
        if let Some(fault) = &file.fault {
            let text = escape(fault.trim_end());
            let _ = writeln!(out, "    <testcase name=\"loads\" classname=\"{name}\"><error>{text}</error></testcase>");
        }
        for test in &file.tests {
            let (own, seconds) = (escape(&test.name), test.took.as_secs_f64());
            let _ = write!(out, "    <testcase name=\"{own}\" classname=\"{name}\" time=\"{seconds:.3}\"");
            match &test.failed {
                None => out.push_str("/>\n"),
                Some(why) => {
                    let plain = |_: &str, text: &str| text.to_owned();
                    let all = escape(failure(&file.test.display().to_string(), test, why, &plain).trim_end());
                    let said = escape(&why.message);
                    let _ = writeln!(out, ">\n      <failure message=\"{said}\">{all}</failure>\n    </testcase>");
                }
            }
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Text as XML 1.0 may hold it.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push('\t'),
            symbol if symbol.is_control() || matches!(symbol, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            symbol => out.push(symbol),
        }
    }
    out
}
