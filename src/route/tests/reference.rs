//! The table against a matcher that looks at every route on its own and picks the best by sorting.

use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;
use crate::route::pattern::Kind;
use crate::route::pattern::Segment;

/// How specific a segment is; smaller is more.
type Rank = (u8, Reverse<usize>, Reverse<usize>, Kind, String, String);

fn rank(segment: &Segment) -> Rank {
    let plain = |class, kind| (class, Reverse(0), Reverse(0), kind, String::new(), String::new());
    match segment {
        Segment::Literal(_) => plain(0, Kind::Int),
        Segment::Param(Kind::Text) => plain(3, Kind::Text),
        Segment::Param(kind) => plain(1, *kind),
        Segment::Affix { prefix, kind, suffix } => {
            (2, Reverse(prefix.len() + suffix.len()), Reverse(prefix.len()), *kind, prefix.clone(), suffix.clone())
        }
        Segment::Tail => plain(4, Kind::Text),
    }
}

fn path_matches(segments: &[Segment], path: &[&str]) -> bool {
    match (segments, path) {
        ([], []) | ([Segment::Tail], _) => true,
        ([segment, segments @ ..], [text, path @ ..]) => {
            let fits = match segment {
                Segment::Literal(literal) => literal == text,
                Segment::Param(kind) => !text.is_empty() && kind.accepts(text),
                Segment::Affix { prefix, kind, suffix } => {
                    text.len() > prefix.len() + suffix.len()
                        && text.starts_with(prefix)
                        && text.ends_with(suffix)
                        && kind.accepts(&text[prefix.len()..text.len() - suffix.len()])
                }
                Segment::Tail => unreachable!("a tail is last"),
            };
            fits && path_matches(segments, path)
        }
        _ => false,
    }
}

fn host_rank(pattern: Option<&str>, host: &str) -> Option<Reverse<usize>> {
    match pattern {
        None => Some(Reverse(0)),
        Some(pattern) => match pattern.strip_prefix('*') {
            Some(suffix) => (host.len() > suffix.len() && host.ends_with(suffix)).then_some(Reverse(suffix.len())),
            None => (pattern == host).then_some(Reverse(usize::MAX)),
        },
    }
}

fn naive(routes: &[Config], method: &str, host: &str, path: &str, field: bool) -> Found {
    let mut best: Option<(_, Found)> = None;
    let mut allowed: Vec<Method> = Vec::new();
    for (index, route) in routes.iter().enumerate() {
        let Some(host) = host_rank(route.host.as_deref(), host) else { continue };
        if !route.conditions.is_empty() && !field {
            continue;
        }
        let named = route.methods.iter().any(|known| known == method);
        let as_get = method == "HEAD" && route.methods.iter().any(|known| known == "GET");
        let any = route.methods.is_empty();
        let pattern = Pattern::parse(&route.path).expect("a pattern");
        let mut forms = vec![(0, pattern.segments.clone())];
        if route.slash != Slash::Strict && route.path != "/" && pattern.segments.last() != Some(&Segment::Tail) {
            let mut other = pattern.segments.clone();
            if other.last() == Some(&Segment::Literal(String::new())) {
                other.pop();
            } else {
                other.push(Segment::Literal(String::new()));
            }
            forms.push((if route.slash == Slash::Ignore { 1 } else { 2 }, other));
        }
        for (form, segments) in forms {
            let pieces: Vec<&str> = path[1..].split('/').collect();
            if !path_matches(&segments, &pieces) {
                continue;
            }
            if !(named || as_get || any) {
                allowed.extend(route.methods.iter().map(|method| Method::of(method)));
                continue;
            }
            let method_rank = if named {
                0
            } else if as_get {
                1
            } else {
                2
            };
            let segments: Vec<Rank> = segments.iter().map(rank).collect();
            let key = (host, segments, form, method_rank, Reverse(route.conditions.len()), !route.when, index);
            let found = match form {
                2 if path.ends_with('/') => Found::Redirect(path.trim_end_matches('/').to_owned()),
                2 => Found::Redirect(format!("{path}/")),
                _ => Found::Route(index),
            };
            if best.as_ref().is_none_or(|(known, _)| key < *known) {
                best = Some((key, found));
            }
        }
    }
    if let Some((_, found)) = best {
        return found;
    }
    if allowed.is_empty() {
        return Found::None;
    }
    if allowed.contains(&Method::Get) {
        allowed.push(Method::Head);
    }
    allowed.sort_by(|left, right| left.as_str().cmp(right.as_str()));
    allowed.dedup();
    Found::Method(allowed)
}

fn route() -> impl Strategy<Value = Config> {
    let segment = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "1", "d", "e", "f"]),
        1 => Just("{p:int}"),
        2 => prop::sample::select(vec!["{p}.x", "v{p}", "v{p:int}", "{p}x"]),
        2 => Just("{p}"),
    ];
    let path = (prop::collection::vec(segment, 0..4), prop::sample::select(vec!["", "", "", "/", "/{rest*}"]));
    let methods = prop::sample::select(vec![vec![], vec!["GET"], vec!["POST", "GET"], vec!["HEAD"], vec!["PUT"]]);
    let host = prop::sample::select(vec![None, None, Some("a.h.c"), Some("*.h.c"), Some("*.c")]);
    let slash = prop::sample::select(vec![Slash::Strict, Slash::Strict, Slash::Ignore, Slash::Redirect]);
    (path, methods, host, slash, any::<bool>(), any::<bool>()).prop_map(
        |(path, methods, host, slash, matched, when)| {
            let (segments, end) = path;
            let segments = segments.iter().enumerate();
            let mut path: String =
                segments.map(|(at, part)| format!("/{}", part.replace("{p", &format!("{{p{at}")))).collect();
            path.push_str(end);
            let condition = Condition { part: Part::Header, name: "x".into(), want: Want::Present };
            Config {
                methods: methods.into_iter().map(str::to_owned).collect(),
                host: host.map(str::to_owned),
                path: if path.is_empty() { "/".to_owned() } else { path },
                conditions: if matched { vec![condition] } else { Vec::new() },
                when,
                slash,
                place: (String::new(), 0),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_table_agrees_with_the_reference(
        routes in prop::collection::vec(route(), 1..24),
        paths in prop::collection::vec("(/(a|b|1|d|e|v1|v1\\.x|1x|c)?){1,4}", 1..12),
        method in prop::sample::select(vec!["GET", "HEAD", "POST", "DELETE"]),
        host in prop::sample::select(vec!["a.h.c", "z.h.c", "z.c", "other"]),
        field in any::<bool>(),
    ) {
        // Routes that tie are left out, as the table itself says.
        let mut routes = routes;
        let table = loop {
            match Table::build(&routes) {
                Ok(table) => break table,
                Err(faults) => {
                    let fault = &faults[0];
                    let other = fault.other.expect("these patterns are good, so it is a tie");
                    prop_assert_eq!(&routes[fault.route].conditions, &routes[other].conditions);
                    routes.remove(fault.route);
                }
            }
        };
        let mut headers = Headers::default();
        if field {
            headers.add("x", "1");
        }
        let method_value = Method::of(method);
        for path in &paths {
            let view = View { method: &method_value, host, path, query: None, headers: &headers, sni: None, json: Json::None };
            let mut params = Params::default();
            let Ok(found) = table.find(&view, &mut params, &mut |_: usize, _: &Params| Ok::<_, Infallible>(true));
            // A path that begins with two slashes is never redirected; the reference does not know that.
            if !path.starts_with("//") {
                prop_assert_eq!(&found, &naive(&routes, method, host, path, field), "{} {}{}", method, host, path);
            }
            if let Found::Route(index) = found {
                let names: Vec<_> = params.list.iter().map(|(name, _)| name.to_string()).collect();
                let pattern = Pattern::parse(&routes[index].path).expect("a pattern");
                prop_assert_eq!(names, pattern.names().map(str::to_owned).collect::<Vec<_>>());
                let ranking = table.ranking(&view);
                let first = ranking.iter().find(|candidate| matches!(candidate.outcome, Outcome::Takes | Outcome::AsksWhen));
                prop_assert_eq!(first.map(|candidate| candidate.route), Some(index));
            }
        }
    }
}
