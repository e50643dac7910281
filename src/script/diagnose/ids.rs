//! The ids of warnings: what each is about, and the comment that silences it.

use super::Diagnostic;

/// Id and meaning of every warning, by name.
pub const LINTS: &[(&str, &str)] = &[
    ("always-when", "a `when` that always holds: it can be left out"),
    (
        "backticks",
        "`{name}` inside backticks is Luau's own interpolation, filled while the file loads; templates stand in quotes",
    ),
    (
        "captured-local",
        "a local of the file is written inside a function: each worker has its own copy, and a reload forgets it",
    ),
    ("empty-group", "a group without routes: nothing runs there"),
    ("empty-include", "an `include` that matches no file"),
    ("host-or-path", "what stands before the path of a route or group looks like a path, and is taken for a host"),
    (
        "idle-cache",
        "a `cache` behind identity whose time holds for nobody: it needs `private` or the service's own word",
    ),
    ("no-client-certificate", "`mtls` where no listener asks clients for a certificate: it refuses everybody"),
    ("parameter-name", "a parameter is called after something else than what it gets"),
    ("shadowed-route", "a route that another one leaves nothing for"),
    ("store-in-memory", "counters are shared through a store that is in memory"),
    ("unkeyed-field", "a field that is read while a cached answer is made, and is not in its key or `vary`"),
    ("unknown-event", "`on` hears an event that nothing emits"),
    ("unknown-member", "a value is asked for something it does not have"),
    ("unreachable-step", "a step or `to` behind a step that always answers"),
    ("unused-upstream", "an upstream that no route and no function names"),
    ("unverified", "`verify = false`: anybody on the way can be this service"),
];

/// Whether a comment in `text` silences `warning`: `-- moongate: allow ID` on its line, or on a line of its own above.
pub(crate) fn allowed(warning: &Diagnostic, text: &str) -> bool {
    let Some(at) = (warning.line as usize).checked_sub(1) else { return false };
    let mut lines = text.lines().skip(at.saturating_sub(1)).take(2);
    let (above, own) = if at == 0 { (None, lines.next()) } else { (lines.next(), lines.next()) };
    let above = above.filter(|line| line.trim_start().starts_with("--"));
    [above, own].into_iter().flatten().any(|line| allows(line, warning.id))
}

fn allows(line: &str, id: &str) -> bool {
    let Some((_, list)) = line.split_once("-- moongate: allow ") else { return false };
    !id.is_empty() && list.split([',', ' ']).any(|word| word == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(line: u32) -> Diagnostic {
        Diagnostic::warning("unused-upstream", "x").at("gateway.lua", line)
    }

    #[test]
    fn a_comment_silences_its_line_or_the_one_below() {
        let text = "upstream \"a\" {} -- moongate: allow unused-upstream\n\n-- moongate: allow backticks, unused-upstream\nupstream \"b\" {}\nupstream \"c\" {}\n";
        assert!(allowed(&on(1), text));
        assert!(!allowed(&on(2), text), "the comment above belongs to the code before it");
        assert!(allowed(&on(4), text));
        assert!(!allowed(&on(5), text));
        assert!(!allowed(&on(0), text) && !allowed(&on(99), text));
        assert!(!allowed(&Diagnostic::warning("backticks", "x").at("gateway.lua", 1), text));
    }

    #[test]
    fn ids_are_in_order_and_stand_once() {
        assert!(LINTS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
