//! A trie of path segments; the most specific branch is tried first, with backtracking.

use std::collections::HashMap;
use std::ops::ControlFlow;

use foldhash::fast::FixedState;

use crate::route::pattern::Kind;
use crate::route::pattern::MOST_PARAMS;
use crate::route::pattern::Segment;

/// Where a pattern ends: an index into the table's list of terminals.
pub(crate) type Terminal = u32;

/// The trie.
#[derive(Debug)]
pub(crate) struct Paths {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    literals: Literals,
    /// `{id:int}`, `{id:uuid}`
    typed: Vec<(Kind, u32)>,
    /// Text around a parameter, the more telling first.
    affixes: Vec<(Affix, u32)>,
    param: Option<u32>,
    here: Option<Terminal>,
    tail: Option<Terminal>,
    /// Whether there is anything but literals to try for a segment.
    branches: bool,
}

/// Children by their text: a few are compared one by one, more are hashed.
#[derive(Debug, Default)]
struct Literals {
    few: Vec<(Box<str>, u32)>,
    many: HashMap<Box<str>, u32, FixedState>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Affix {
    prefix: String,
    kind: Kind,
    suffix: String,
}

/// The parameters of the branch being looked at, as ranges of the path.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Captures {
    ranges: [(u32, u32); MOST_PARAMS],
    count: usize,
}

impl Captures {
    /// The ranges, in pattern order.
    pub(crate) fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges[..self.count]
    }

    #[allow(clippy::cast_possible_truncation, reason = "a path is bounded far below 4 GiB")]
    fn push(&mut self, start: usize, end: usize) {
        self.ranges[self.count] = (start as u32, end as u32);
        self.count += 1;
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Paths {
    /// The terminal of `pattern`, made by `make` when it is new.
    pub(crate) fn insert(&mut self, segments: &[Segment], make: impl FnOnce() -> Terminal) -> Terminal {
        let mut at = 0;
        for segment in segments {
            at = match segment {
                Segment::Tail => {
                    let node = &mut self.nodes[at as usize];
                    node.branches = true;
                    return *node.tail.get_or_insert_with(make);
                }
                other => self.child(at, other),
            };
        }
        *self.nodes[at as usize].here.get_or_insert_with(make)
    }

    /// Shows every terminal that `path` reaches, most specific first, until `visit` breaks.
    pub(crate) fn walk<B>(
        &self,
        path: &str,
        visit: &mut dyn FnMut(Terminal, &Captures) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let mut captures = Captures::default();
        self.descend(0, path, path.starts_with('/').then_some(1), &mut captures, visit)
    }

    /// `start` is where the next segment begins; `None` when the path is used up.
    fn descend<B>(
        &self,
        mut at: u32,
        path: &str,
        mut start: Option<usize>,
        captures: &mut Captures,
        visit: &mut dyn FnMut(Terminal, &Captures) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        loop {
            let node = &self.nodes[at as usize];
            let Some(begin) = start else {
                if let Some(here) = node.here {
                    visit(here, captures)?;
                }
                return Self::tail(node, path.len(), path.len(), captures, visit);
            };
            let end = segment_end(path, begin);
            let next = (end < path.len()).then_some(end + 1);
            let segment = &path[begin..end];
            if let Some(child) = node.literals.get(segment) {
                if !node.branches {
                    // Nothing to come back for.
                    (at, start) = (child, next);
                    continue;
                }
                self.descend(child, path, next, captures, visit)?;
            }
            if !node.branches {
                return ControlFlow::Continue(());
            }
            self.placeholders(node, path, (begin, end), next, captures, visit)?;
            return Self::tail(node, begin, path.len(), captures, visit);
        }
    }

    /// The children that take whatever a segment holds.
    fn placeholders<B>(
        &self,
        node: &Node,
        path: &str,
        range: (usize, usize),
        next: Option<usize>,
        captures: &mut Captures,
        visit: &mut dyn FnMut(Terminal, &Captures) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let segment = &path[range.0..range.1];
        if segment.is_empty() {
            return ControlFlow::Continue(());
        }
        for (kind, child) in &node.typed {
            if kind.accepts(segment) {
                self.capture(*child, path, next, range, captures, visit)?;
            }
        }
        for (affix, child) in &node.affixes {
            if let Some((from, to)) = affix.inner(segment) {
                self.capture(*child, path, next, (range.0 + from, range.0 + to), captures, visit)?;
            }
        }
        match node.param {
            Some(child) => self.capture(child, path, next, range, captures, visit),
            None => ControlFlow::Continue(()),
        }
    }

    fn capture<B>(
        &self,
        child: u32,
        path: &str,
        next: Option<usize>,
        range: (usize, usize),
        captures: &mut Captures,
        visit: &mut dyn FnMut(Terminal, &Captures) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        captures.push(range.0, range.1);
        let flow = self.descend(child, path, next, captures, visit);
        captures.count -= 1;
        flow
    }

    fn tail<B>(
        node: &Node,
        start: usize,
        end: usize,
        captures: &mut Captures,
        visit: &mut dyn FnMut(Terminal, &Captures) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let Some(tail) = node.tail else { return ControlFlow::Continue(()) };
        captures.push(start, end);
        let flow = visit(tail, captures);
        captures.count -= 1;
        flow
    }

    fn child(&mut self, at: u32, segment: &Segment) -> u32 {
        let fresh = u32::try_from(self.nodes.len()).expect("a script cannot declare four billion segments");
        let node = &mut self.nodes[at as usize];
        node.branches |= !matches!(segment, Segment::Literal(_));
        let child = match segment {
            Segment::Literal(text) => node.literals.get_or_insert(text, fresh),
            Segment::Param(Kind::Text) => *node.param.get_or_insert(fresh),
            Segment::Param(kind) => find_or_insert(&mut node.typed, *kind, fresh, |kind| *kind),
            Segment::Affix { prefix, kind, suffix } => {
                let affix = Affix { prefix: prefix.clone(), kind: *kind, suffix: suffix.clone() };
                find_or_insert(&mut node.affixes, affix, fresh, Affix::rank)
            }
            Segment::Tail => at,
        };
        if child == fresh {
            self.nodes.push(Node::default());
        }
        child
    }
}

impl Literals {
    fn get(&self, segment: &str) -> Option<u32> {
        if self.many.is_empty() {
            return self.few.iter().find(|(text, _)| **text == *segment).map(|(_, child)| *child);
        }
        self.many.get(segment).copied()
    }

    fn get_or_insert(&mut self, text: &str, fresh: u32) -> u32 {
        if let Some(child) = self.get(text) {
            return child;
        }
        if self.many.is_empty() && self.few.len() < FEW {
            self.few.push((text.into(), fresh));
        } else {
            self.many.extend(self.few.drain(..));
            self.many.insert(text.into(), fresh);
        }
        fresh
    }
}

/// Where the segment that begins at `start` ends. Segments are short: a plain loop is quicker than a search.
fn segment_end(path: &str, start: usize) -> usize {
    path.as_bytes()[start..].iter().position(|byte| *byte == b'/').map_or(path.len(), |length| start + length)
}

/// So many texts are compared one by one.
const FEW: usize = 4;

impl Affix {
    /// The parameter's range in `segment`, when the text around it is there and it is of its type.
    fn inner(&self, segment: &str) -> Option<(usize, usize)> {
        let inner = segment.strip_prefix(self.prefix.as_str())?.strip_suffix(self.suffix.as_str())?;
        (!inner.is_empty() && self.kind.accepts(inner)).then_some((self.prefix.len(), self.prefix.len() + inner.len()))
    }

    /// More text first, then a longer prefix, then the typed one, then by text: never by the order written.
    fn rank(&self) -> (std::cmp::Reverse<usize>, std::cmp::Reverse<usize>, Kind, String, String) {
        let (prefix, suffix) = (self.prefix.len(), self.suffix.len());
        let text = (self.prefix.clone(), self.suffix.clone());
        (std::cmp::Reverse(prefix + suffix), std::cmp::Reverse(prefix), self.kind, text.0, text.1)
    }
}

fn find_or_insert<T: PartialEq, K: Ord>(list: &mut Vec<(T, u32)>, key: T, fresh: u32, rank: impl Fn(&T) -> K) -> u32 {
    if let Some((_, child)) = list.iter().find(|(known, _)| *known == key) {
        return *child;
    }
    let place = list.partition_point(|(known, _)| rank(known) < rank(&key));
    list.insert(place, (key, fresh));
    fresh
}

/// The other form of a pattern: without its trailing slash, or with one; `None` where there is no other.
pub(crate) fn other_form(segments: &[Segment]) -> Option<Vec<Segment>> {
    let slash = Segment::Literal(String::new());
    match segments {
        [] | [.., Segment::Tail] => None,
        [root] if *root == slash => None,
        [shorter @ .., last] if *last == slash => Some(shorter.to_vec()),
        _ => Some(segments.iter().cloned().chain([slash]).collect()),
    }
}
