//! Which operation a request belongs to, where no route has decided it: a trie of path segments.

use std::collections::HashMap;

use super::Found;

#[derive(Debug)]
pub(super) struct Paths {
    nodes: Vec<Node>,
    /// Prefixes under which the paths may stand.
    bases: Vec<String>,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, usize>,
    /// Text before and after one parameter, its name, where it leads.
    params: Vec<(String, String, String, usize)>,
    methods: Vec<(String, usize)>,
}

impl Paths {
    pub(super) fn new<'a>(operations: impl Iterator<Item = (&'a str, &'a str)>, bases: Vec<String>) -> Self {
        let mut paths = Self { nodes: vec![Node::default()], bases };
        for (index, (method, path)) in operations.enumerate() {
            let mut at = 0;
            for segment in path.split('/').skip(1) {
                at = paths.child(at, segment);
            }
            paths.nodes[at].methods.push((method.to_owned(), index));
        }
        paths
    }

    fn child(&mut self, at: usize, segment: &str) -> usize {
        let fresh = self.nodes.len();
        let node = &mut self.nodes[at];
        let child = match segment.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
            None => *node.literals.entry(segment.to_owned()).or_insert(fresh),
            Some((before, (name, after))) => {
                let known = node.params.iter().find(|(b, a, n, _)| b == before && a == after && n == name);
                match known.map(|param| param.3) {
                    Some(child) => child,
                    None => {
                        node.params.push((before.to_owned(), after.to_owned(), name.to_owned(), fresh));
                        // The more text around a parameter, the more telling.
                        node.params.sort_by_key(|(before, after, ..)| std::cmp::Reverse(before.len() + after.len()));
                        fresh
                    }
                }
            }
        };
        if child == fresh {
            self.nodes.push(Node::default());
        }
        child
    }

    pub(super) fn find(&self, method: &str, path: &str) -> Result<Found, Vec<String>> {
        let mut methods = Vec::new();
        let below = self.bases.iter().filter_map(|base| path.strip_prefix(base.as_str()));
        for path in std::iter::once(path).chain(below) {
            let segments: Vec<&str> = path.split('/').skip(1).collect();
            let mut params = Vec::new();
            if let Some(found) = self.walk(0, &segments, method, &mut params, &mut methods) {
                return Ok((found, params));
            }
        }
        Err(methods)
    }

    fn walk(
        &self,
        at: usize,
        segments: &[&str],
        method: &str,
        params: &mut Vec<(String, String)>,
        methods: &mut Vec<String>,
    ) -> Option<usize> {
        let node = &self.nodes[at];
        let Some((segment, rest)) = segments.split_first() else {
            let named = |wanted: &str| node.methods.iter().find(|(method, _)| method == wanted);
            // HEAD follows GET.
            let found = named(method).or_else(|| named("GET").filter(|_| method == "HEAD"));
            if found.is_none() {
                methods.extend(node.methods.iter().map(|(method, _)| method.clone()));
            }
            return found.map(|(_, index)| *index);
        };
        if let Some(&child) = node.literals.get(*segment)
            && let Some(found) = self.walk(child, rest, method, params, methods)
        {
            return Some(found);
        }
        for (before, after, name, child) in &node.params {
            let inner = segment.strip_prefix(before.as_str()).and_then(|rest| rest.strip_suffix(after.as_str()));
            let Some(inner) = inner.filter(|inner| !inner.is_empty()) else { continue };
            params.push((name.clone(), percent_encoding::percent_decode_str(inner).decode_utf8_lossy().into_owned()));
            if let Some(found) = self.walk(*child, rest, method, params, methods) {
                return Some(found);
            }
            params.pop();
        }
        None
    }
}
