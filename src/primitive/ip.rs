//! Sets of addresses, and who may come in: sorted ranges that do not overlap, so that a hundred thousand entries cost
//! one binary search.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::sync::Arc;

use super::cidr::Cidr;

/// First and last address, both of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// IPv4, and IPv4 in IPv6 form.
    V4(u32, u32),
    /// IPv6.
    V6(u128, u128),
}

/// A text that is no address, network or range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Not an address at all.
    #[error("`{0}` is no address, network or range; write \"10.0.0.1\", \"10.0.0.0/8\" or \"10.0.0.1-10.0.0.9\"")]
    Unreadable(String),
    /// `b-a`
    #[error("`{0}` ends before it begins")]
    Backwards(String),
    /// One end IPv4, the other IPv6.
    #[error("`{0}` begins in one family of addresses and ends in the other")]
    Mixed(String),
}

impl Range {
    /// Reads `10.0.0.1`, `10.0.0.0/8` or `10.0.0.1-10.0.0.9`.
    pub fn parse(text: &str) -> Result<Self, EntryError> {
        let text = text.trim();
        let unreadable = || EntryError::Unreadable(text.chars().take(60).collect());
        let Some((first, last)) = text.split_once('-') else {
            let net = Cidr::parse(text).map_err(|_| unreadable())?.net();
            return Ok(match (net.network(), net.broadcast()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => Self::V4(first.into(), last.into()),
                (IpAddr::V6(first), IpAddr::V6(last)) => Self::V6(first.into(), last.into()),
                _ => return Err(unreadable()),
            });
        };
        let address = |text: &str| text.trim().parse::<IpAddr>().map(|address| address.to_canonical());
        match (address(first), address(last)) {
            (Ok(first), Ok(last)) if first.is_ipv4() == last.is_ipv4() && first > last => {
                Err(EntryError::Backwards(text.to_owned()))
            }
            (Ok(IpAddr::V4(first)), Ok(IpAddr::V4(last))) => Ok(Self::V4(first.into(), last.into())),
            (Ok(IpAddr::V6(first)), Ok(IpAddr::V6(last))) => Ok(Self::V6(first.into(), last.into())),
            (Ok(_), Ok(_)) => Err(EntryError::Mixed(text.to_owned())),
            _ => Err(unreadable()),
        }
    }

    /// Whether a text could be meant for an address: only such characters.
    pub fn looks_like(text: &str) -> bool {
        text.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':' | b'/' | b'-' | b' '))
    }
}

/// A set of addresses.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct IpSet {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl IpSet {
    /// The addresses of one file: an entry a line, `#` begins a comment. The error names the line.
    pub fn parse(text: &[u8]) -> Result<Self, (usize, EntryError)> {
        let mut ranges = Vec::new();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = String::from_utf8_lossy(line);
            let line = if index == 0 { line.trim_start_matches('\u{feff}') } else { &line };
            let entry = line.split('#').next().unwrap_or_default().trim();
            if !entry.is_empty() {
                ranges.push(Range::parse(entry).map_err(|fault| (index + 1, fault))?);
            }
        }
        Ok(ranges.into_iter().collect())
    }

    /// Whether it has the address; IPv4 in IPv6 form is IPv4.
    pub fn has(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => within(&self.v4, Ipv4Addr::to_bits(address)),
            IpAddr::V6(address) => within(&self.v6, Ipv6Addr::to_bits(address)),
        }
    }

    /// How many ranges are left after those that touch were joined.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FromIterator<Range> for IpSet {
    fn from_iter<I: IntoIterator<Item = Range>>(ranges: I) -> Self {
        let mut set = Self::default();
        for range in ranges {
            match range {
                Range::V4(first, last) => set.v4.push((first, last)),
                Range::V6(first, last) => set.v6.push((first, last)),
            }
        }
        merge(&mut set.v4, |last| last.checked_add(1));
        merge(&mut set.v6, |last| last.checked_add(1));
        set
    }
}

/// Sorts, and joins what overlaps or touches.
fn merge<T: Copy + Ord>(ranges: &mut Vec<(T, T)>, next: impl Fn(T) -> Option<T>) {
    ranges.sort_unstable();
    ranges.dedup_by(|range, before| {
        let joins = next(before.1).is_none_or(|next| range.0 <= next);
        if joins {
            before.1 = before.1.max(range.1);
        }
        joins
    });
    ranges.shrink_to_fit();
}

fn within<T: Copy + Ord>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after.checked_sub(1).is_some_and(|at| ranges[at].1 >= address)
}

/// Who may come in.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// If present, only these.
    pub allow: Option<Vec<Arc<IpSet>>>,
    /// Never these, whatever `allow` says.
    pub deny: Vec<Arc<IpSet>>,
}

/// A decision about addresses.
#[derive(Debug)]
pub struct IpFilter(Config);

/// Why an address may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// On a list of those who may not.
    #[error("it is denied")]
    Listed,
    /// On no list of those who may.
    #[error("it is not among those allowed")]
    Unlisted,
    /// The client has no address (a Unix socket), and only some may come in.
    #[error("the client has no address")]
    Unknown,
}

impl IpFilter {
    /// A filter.
    pub fn new(config: Config) -> Self {
        Self(config)
    }

    /// Whether `address` may come in; what is denied is denied first.
    pub fn check(&self, address: Option<IpAddr>) -> Result<(), Denied> {
        let any = |sets: &[Arc<IpSet>], address| sets.iter().any(|set| set.has(address));
        match (address, &self.0.allow) {
            (Some(address), _) if any(&self.0.deny, address) => Err(Denied::Listed),
            (Some(address), Some(allow)) if !any(allow, address) => Err(Denied::Unlisted),
            (None, Some(_)) => Err(Denied::Unknown),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
