//! Syntax errors: Luau's message, put in words that say what to write instead.

use super::Diagnostic;
use super::sketch::Span;

/// From `mlua::Error::SyntaxError`'s message (`gateway.lua:3: Expected …`).
pub(crate) fn explain(file: &str, message: &str, source: &str) -> Diagnostic {
    let (line, text) = split(message).unwrap_or((0, message));
    let text = text.lines().next().unwrap_or(text).trim();
    if let Some((line, code)) = else_if(source, line, text) {
        let fault = Diagnostic::error("`else if` opens a block of its own").label("write `elseif`").at(file, line);
        return mark(fault, file, line, code, "else if");
    }
    let code = source.lines().nth((line as usize).saturating_sub(1)).unwrap_or_default();
    let base = |message: &str| Diagnostic::error(message).at(file, line);
    match recognise(code, text) {
        Some((message, label, token)) => mark(base(message).label(label), file, line, code, token),
        None => {
            let (said, help) = reword(text, code, source, line);
            let token = got(text);
            let fault = base(&said).help(help);
            if text.contains("after table constructor element") {
                return after_entry(fault, file, line, source);
            }
            if let Some(fault) = unclosed(&fault, file, text, source) {
                return fault;
            }
            match token {
                Some(token) => {
                    // Luau names the column of what it wanted closed: what it got instead stands behind it.
                    let from = text
                        .split("at column ")
                        .nth(1)
                        .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
                    mark_after(fault, file, line, code, token, from.unwrap_or(0))
                }
                None => fault,
            }
        }
    }
}

/// Under the end of the entry before, where the comma belongs.
fn after_entry(fault: Diagnostic, file: &str, line: u32, source: &str) -> Diagnostic {
    let before = source.lines().enumerate().take((line as usize).saturating_sub(1));
    let Some((index, code)) = before.filter(|(_, code)| !blank(code).trim().is_empty()).last() else { return fault };
    let kept = code.split("--").next().unwrap_or(code).trim_end();
    let number = |value: usize| u32::try_from(value).unwrap_or_default();
    let span = Span { line: number(index + 1), column: number(kept.chars().count() + 1), width: 1 };
    fault.under(file, span).label("a comma is missing here").help("")
}

/// What was opened and never closed, when the file ended first.
fn unclosed(fault: &Diagnostic, file: &str, text: &str, source: &str) -> Option<Diagnostic> {
    if !text.contains("got <eof>") {
        return None;
    }
    let told = text.rsplit("to close '").next().filter(|_| text.contains("to close '"))?;
    let (token, rest) = told.split_once('\'')?;
    let digits: String = rest.strip_prefix(" at line ")?.chars().take_while(char::is_ascii_digit).collect();
    let line: u32 = digits.parse().ok()?;
    let code = source.lines().nth(line as usize - 1)?;
    let fault = fault.clone().label(format!("this `{token}` is not closed"));
    Some(mark(fault, file, line, code, token))
}

/// `chunk:line: text`; the chunk may itself have colons.
pub(crate) fn split(message: &str) -> Option<(u32, &str)> {
    let mut rest = message.strip_prefix("syntax error: ").unwrap_or(message);
    if let Some(found) = numbered(rest) {
        return Some(found);
    }
    loop {
        let (_, after) = rest.split_once(':')?;
        if let Some(found) = numbered(after) {
            return Some(found);
        }
        rest = after;
    }
}

/// `line: text`
fn numbered(text: &str) -> Option<(u32, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let rest = text[digits..].strip_prefix(':')?;
    Some((text[..digits].parse().ok()?, rest.trim_start()))
}

/// The `else if` that a missing `end` further down comes from.
fn else_if<'a>(source: &'a str, line: u32, text: &str) -> Option<(u32, &'a str)> {
    let unclosed = text.contains("`end`")
        || text.contains("'end'")
        || text.contains("got '}'")
        || text.contains("got ','")
        || text.contains("got ')'")
        || text.contains("got <eof>");
    if !unclosed {
        return None;
    }
    let upto = source.lines().enumerate().take(line as usize);
    let found = upto.filter(|(_, code)| find(code, "else if").is_some()).last()?;
    Some((u32::try_from(found.0 + 1).ok()?, found.1))
}

fn mark(fault: Diagnostic, file: &str, line: u32, code: &str, token: &str) -> Diagnostic {
    mark_after(fault, file, line, code, token, 0)
}

fn mark_after(fault: Diagnostic, file: &str, line: u32, code: &str, token: &str, from: usize) -> Diagnostic {
    let hidden: String = code.chars().enumerate().map(|(at, c)| if at < from { ' ' } else { c }).collect();
    match find(&hidden, token) {
        Some(column) => {
            let width = u32::try_from(token.chars().count()).unwrap_or(1);
            fault.under(file, Span { line, column, width })
        }
        None => fault,
    }
}

/// The column of `token` outside strings and comments.
fn find(code: &str, token: &str) -> Option<u32> {
    let plain = blank(code);
    let word = token.chars().all(|c| c.is_alphanumeric() || c == '_');
    let mut from = 0;
    while let Some(at) = plain[from..].find(token).map(|at| at + from) {
        let before = plain[..at].chars().next_back();
        let after = plain[at + token.len()..].chars().next();
        let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        if !word || !(inside(before) || inside(after)) {
            return u32::try_from(plain[..at].chars().count() + 1).ok();
        }
        from = at + token.len();
    }
    None
}

/// The line with what stands in quotes or after `--` made blank, byte for byte.
fn blank(code: &str) -> String {
    let mut quote = None;
    let mut escaped = false;
    let mut out = String::with_capacity(code.len());
    let mut symbols = code.chars().peekable();
    while let Some(symbol) = symbols.next() {
        let keep = match quote {
            Some(end) => {
                if escaped {
                    escaped = false;
                } else if symbol == '\\' {
                    escaped = true;
                } else if symbol == end {
                    quote = None;
                }
                false
            }
            None if matches!(symbol, '"' | '\'' | '`') => {
                quote = Some(symbol);
                false
            }
            None if symbol == '-' && symbols.peek() == Some(&'-') => break,
            None => true,
        };
        if keep {
            out.push(symbol);
        } else {
            (0..symbol.len_utf8()).for_each(|_| out.push(' '));
        }
    }
    out
}

/// Habits of other languages: message, label, what to underline.
fn recognise(code: &str, text: &str) -> Option<(&'static str, &'static str, &'static str)> {
    const HABITS: &[(&str, &str, &str)] = &[
        ("<const>", "`<const>` is not in this language", "write `local` alone"),
        ("<close>", "`<close>` is not in this language", "write `local` alone"),
        ("goto", "`goto` is not in this language", "use `continue`, `break` or a function"),
        ("!=", "`!=` is not in this language", "write `~=`"),
        ("&&", "`&&` is not in this language", "write `and`"),
        ("||", "`||` is not in this language", "write `or`"),
        ("++", "`++` is not in this language", "write `+= 1`"),
        ("<<", "`<<` is not in this language", "write `bit32.lshift(a, n)`"),
        (">>", "`>>` is not in this language", "write `bit32.rshift(a, n)`"),
        ("=>", "`=>` is not in this language", "write `function(req) … end`"),
        ("===", "`===` is not in this language", "write `==`"),
        ("&", "infix `&` is not in this language", "write `bit32.band(a, b)`"),
        ("|", "infix `|` is not in this language", "write `bit32.bor(a, b)`"),
        ("~", "infix `~` is not in this language", "write `bit32.bxor(a, b)` or `bit32.bnot(a)`"),
        ("!", "`!` is not in this language", "write `not`"),
        ("fn", "`fn` is not in this language", "write `function(req) … end`"),
        ("func", "`func` is not in this language", "write `function(req) … end`"),
        ("var", "`var` is not in this language", "write `local`"),
        ("let", "`let` is not in this language", "write `local`"),
        ("const", "`const` is not in this language", "write `local`"),
        ("elif", "`elif` is not in this language", "write `elseif`"),
        ("elsif", "`elsif` is not in this language", "write `elseif`"),
        ("?", "`? :` is not in this language", "write `if a then b else c`, also inside an expression"),
        ("#", "`#` is the length operator", "comments begin with `--`"),
    ];
    let plain = blank(code);
    let trimmed = plain.trim_start();
    if trimmed.starts_with("//") || trimmed.starts_with("/*") {
        return Some((
            "comments begin with `--`",
            "write `--` here",
            if trimmed.starts_with("//") { "//" } else { "/*" },
        ));
    }
    if trimmed.starts_with('#') {
        return Some(("comments begin with `--`", "write `--` here", "#"));
    }
    HABITS
        .iter()
        .find(|(token, ..)| *token != "#" && culprit(&plain, token, text))
        .map(|(token, message, label)| (*message, *label, *token))
}

/// Whether `token` stands in the line and is what Luau stumbled over, rather than something valid.
fn culprit(plain: &str, token: &str, text: &str) -> bool {
    let present = match token {
        "~" => plain.replace("~=", "  ").contains('~'),
        "|" | "&" => plain.contains(token),
        "=>" => plain.contains("=>") && !plain.contains(">=>"),
        _ => find(plain, token).is_some(),
    };
    if !present {
        return false;
    }
    match token {
        "goto" | "let" | "var" | "const" | "func" | "fn" | "elif" | "elsif" => {
            text.contains("Incomplete statement") || text.contains("Expected")
        }
        _ => true,
    }
}

/// The token Luau says it got.
fn got(text: &str) -> Option<&str> {
    let after = text.split("got '").nth(1).or_else(|| text.split("got <").next().and(None))?;
    after.split('\'').next().filter(|token| !token.is_empty())
}

/// Luau's sentence and a hint.
fn reword(text: &str, code: &str, source: &str, line: u32) -> (String, String) {
    let lower = |text: &str| {
        let mut symbols = text.chars();
        symbols.next().map_or_else(String::new, |first| first.to_lowercase().chain(symbols).collect::<String>())
    };
    let said = lower(text.trim_end_matches('.')).replace('\'', "`");
    let before = source.lines().take(line as usize).filter(|line| !line.trim().is_empty()).count() > 1;
    let opens = ["then", "do", "function", "else", "repeat"].iter().any(|word| source.contains(word));
    let ended = ["got ','", "got '}'", "got ')'"].iter().any(|got| text.contains(got));
    let has = |part: &str| text.contains(part);
    let declares = ["route", "group", "upstream", "policy"].iter().find(|word| {
        code.trim_start().strip_prefix(**word).is_some_and(|rest| rest.trim_start().starts_with(['"', '\'']))
    });
    let statement = ["return", "if", "local", "for", "while"].iter().any(|word| has(&format!("got '{word}'")));
    if let Some(word) = declares.filter(|_| has("got ','") || has("parsing function name")) {
        let inside = match *word {
            "upstream" => "\"10.0.0.1:80\"",
            "policy" => "step = …",
            _ => "function(req) … end",
        };
        let help = format!("what `{word}` declares stands in a table after its text: {word} \"…\" {{ {inside} }}");
        return (said, help);
    }
    let help = if code.contains("://") && has("got '//'") {
        "text stands in quotes: \"http://…\""
    } else if has("if then else expression") {
        "inside a table `if` is a value: if a then b else c; statements stand in a function: function(req) … end"
    } else if statement && has("parsing expression") {
        "statements stand in a function: { function(req) … end }"
    } else if has("Malformed string") || has("malformed string") || code.matches('"').count() % 2 == 1 {
        "the text is not closed on its line: add the missing quote, or write [[ … ]] for several lines"
    } else if has("to close '{'") && has("got '='") {
        "a key that is not a plain name is written in brackets: [\"x-key\"] = …, [404] = …"
    } else if has("after table constructor element") && before {
        "a comma is missing at the end of the entry before"
    } else if has("to close '{'") && (has("did you forget") || has("got <eof>")) {
        "a `}` is missing"
    } else if has("to close '{'") {
        "entries of a table are separated by commas; is one missing before this?"
    } else if has("to close '('") {
        "a `)` or a comma is missing"
    } else if has("'end'") {
        "every `function`, `if … then`, `for … do` and `while … do` needs its own `end`"
    } else if has("'then'") {
        "write `if condition then … end`"
    } else if has("'do'") {
        "write `for … do … end` or `while … do … end`"
    } else if has("parsing expression") && ended && opens {
        "is an `end` missing above? every `function`, `if … then`, `for … do` and `while … do` needs its own"
    } else if has("Incomplete statement") {
        "a line must be an assignment, a call or a declaration: `name = value`, `name(…)`, `local name = value`"
    } else if has("identifier when parsing expression") {
        "a value is missing here"
    } else {
        ""
    };
    (said, help.to_owned())
}
