//! Syntax errors: Luau's message, put in words that say what to write instead.

use super::Diagnostic;
use super::sketch::Span;

/// From `mlua::Error::SyntaxError`'s message (`gateway.lua:3: Expected …`).
pub(crate) fn explain(file: &str, message: &str, source: &str) -> Diagnostic {
    let (line, text) = split(message).unwrap_or((0, message));
    let text = text.lines().next().unwrap_or(text).trim();
    let code = source.lines().nth((line as usize).saturating_sub(1)).unwrap_or_default();
    let base = |message: &str| Diagnostic::error(message).at(file, line);
    match recognise(code, text) {
        Some((message, label, token)) => mark(base(message).label(label), file, line, code, token),
        None => {
            let (said, help) = reword(text);
            let token = got(text);
            let fault = base(&said).help(help);
            match token {
                Some(token) => mark(fault, file, line, code, token),
                None => fault,
            }
        }
    }
}

/// `chunk:line: text`; the chunk may itself have colons.
pub(crate) fn split(message: &str) -> Option<(u32, &str)> {
    let mut rest = message;
    loop {
        let (_, after) = rest.split_once(':')?;
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        if digits > 0 && after[digits..].starts_with(':') {
            return Some((after[..digits].parse().ok()?, after[digits + 1..].trim_start()));
        }
        rest = after;
    }
}

fn mark(fault: Diagnostic, file: &str, line: u32, code: &str, token: &str) -> Diagnostic {
    match find(code, token) {
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
        ("<const>", "`<const>` is not in this language", "write `local` alone"),
        ("<close>", "`<close>` is not in this language", "write `local` alone"),
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
    if plain.contains("else if") && text.contains("'end'") {
        return Some(("`else if` opens a block of its own", "write `elseif`", "else if"));
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
fn reword(text: &str) -> (String, String) {
    let lower = |text: &str| {
        let mut symbols = text.chars();
        symbols.next().map_or_else(String::new, |first| first.to_lowercase().chain(symbols).collect::<String>())
    };
    let said = lower(text.trim_end_matches('.')).replace('\'', "`");
    let help = if text.contains("to close '{'") && text.contains("got '=") {
        "a key that is not a plain name is written in brackets: [\"x-key\"] = …"
    } else if text.contains("to close '{'") && (text.contains("did you forget") || text.contains("got <eof>")) {
        "a `}` is missing"
    } else if text.contains("to close '{'") {
        "entries of a table are separated by commas; is one missing at the end of the line before?"
    } else if text.contains("to close '('") {
        "a `)` or a comma is missing"
    } else if text.contains("'end'") && text.contains("got <eof>") {
        "every `function`, `if … then`, `for … do` and `while … do` needs its own `end`"
    } else if text.contains("'then'") {
        "write `if condition then … end`"
    } else if text.contains("'do'") {
        "write `for … do … end` or `while … do … end`"
    } else if text.contains("Incomplete statement") {
        "a line must be an assignment, a call or a declaration: `name = value`, `name(…)`, `local name = value`"
    } else if text.contains("Malformed string") {
        "the text is not closed on its line: add the missing quote, or write [[ … ]] for several lines"
    } else if text.contains("identifier when parsing expression") {
        "a value is missing here"
    } else {
        ""
    };
    (said, help.to_owned())
}
