//! DNS messages (RFC 1035 §4): one question out, the records of its answer in.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// Types of records.
/// An IPv4 address.
pub const A: u16 = 1;
/// Another name.
pub const CNAME: u16 = 5;
/// An IPv6 address.
pub const AAAA: u16 = 28;
/// A service (RFC 2782).
pub const SRV: u16 = 33;

/// The class of the Internet.
const IN: u16 = 1;

/// Aliases followed before one answer.
const TURNS: usize = 8;

/// A record as far as it is of use here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Lower case, without the dot at the end.
    pub name: String,
    /// Seconds.
    pub lifetime: u32,
    /// What it says.
    pub data: Data,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Where a name leads.
    Address(IpAddr),
    /// The name's other name.
    Alias(String),
    /// Where a service is.
    #[allow(missing_docs, reason = "as RFC 2782 names them")]
    Service { priority: u16, weight: u16, port: u16, target: String },
}

/// An answer to the question that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 0: fine, 3: there is no such name.
    pub code: u8,
    /// There is more than fits; it is to be asked over TCP.
    pub truncated: bool,
    /// What was answered.
    pub records: Vec<Record>,
}

/// A question for the records of type `kind` that `name` has.
pub fn query(id: u16, name: &str, kind: u16) -> Result<Vec<u8>, String> {
    // recursion is desired
    let mut out = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length));
        out.push(length.ok_or_else(|| format!("`{name}` is no name"))?);
        out.extend_from_slice(label.as_bytes());
    }
    if out.len() > 12 + 254 {
        return Err(format!("`{name}` is too long for a name"));
    }
    out.push(0);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&IN.to_be_bytes());
    Ok(out)
}

/// Understands `bytes` as an answer to `query`; `None` when they are none, or make no sense.
pub fn answer(bytes: &[u8], query: &[u8]) -> Option<Answer> {
    let mut reader = Reader { bytes, at: 12 };
    let head = bytes.get(..12)?;
    let is_answer = head[..2] == query[..2] && head[2] & 0x80 != 0 && head[4..6] == [0, 1];
    let question = bytes.get(12..query.len())?;
    if !is_answer || !question.eq_ignore_ascii_case(&query[12..]) {
        return None;
    }
    reader.at = query.len();
    let mut answer = Answer { code: head[3] & 0x0f, truncated: head[2] & 2 != 0, records: Vec::new() };
    if answer.truncated {
        return Some(answer);
    }
    for _ in 0..u16::from_be_bytes([head[6], head[7]]) {
        answer.records.extend(reader.record()?);
    }
    Some(answer)
}

impl Answer {
    /// The records of `name`, over its aliases, and for how many seconds all of that holds.
    pub fn of(&self, name: &str) -> (Vec<&Data>, u32) {
        let mut owner = name.trim_end_matches('.').to_ascii_lowercase();
        let mut lifetime = u32::MAX;
        for _ in 0..TURNS {
            let alias = self.records.iter().find_map(|record| match &record.data {
                Data::Alias(target) if record.name == owner => Some((target, record.lifetime)),
                _ => None,
            });
            let Some((target, holds)) = alias else { break };
            lifetime = lifetime.min(holds);
            owner.clone_from(target);
        }
        let own = |record: &&Record| record.name == owner && !matches!(record.data, Data::Alias(_));
        let own: Vec<_> = self.records.iter().filter(own).collect();
        let lifetime = own.iter().map(|record| record.lifetime).fold(lifetime, u32::min);
        (own.into_iter().map(|record| &record.data).collect(), lifetime)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// The next record; `Some(None)` for one of another type.
    #[allow(
        clippy::option_option,
        reason = "a record of no use and a message that makes no sense are different things"
    )]
    fn record(&mut self) -> Option<Option<Record>> {
        let name = self.name()?;
        let (kind, class) = (self.short()?, self.short()?);
        let lifetime = (u32::from(self.short()?) << 16) | u32::from(self.short()?);
        let length = usize::from(self.short()?);
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        let data = self.data(kind, length).filter(|_| class == IN);
        self.at = end;
        Some(data.map(|data| Record { name, lifetime, data }))
    }

    fn data(&mut self, kind: u16, length: usize) -> Option<Data> {
        let bytes = &self.bytes[self.at..self.at + length];
        match kind {
            A => Some(Data::Address(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into())),
            AAAA => Some(Data::Address(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into())),
            CNAME => Some(Data::Alias(self.name()?)),
            SRV => Some(Data::Service {
                priority: self.short()?,
                weight: self.short()?,
                port: self.short()?,
                target: self.name()?,
            }),
            _ => None,
        }
    }

    fn short(&mut self) -> Option<u16> {
        let bytes = self.bytes.get(self.at..self.at + 2)?;
        self.at += 2;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A name, with pointers into what came before (RFC 1035 §4.1.4): each leads further back, so that none goes round.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let (mut at, mut back, mut after) = (self.at, self.at, None);
        loop {
            let length = usize::from(*self.bytes.get(at)?);
            if length == 0 {
                self.at = after.unwrap_or(at + 1);
                return Some(name);
            }
            if length >= 0xc0 {
                let to = ((length & 0x3f) << 8) | usize::from(*self.bytes.get(at + 1)?);
                after.get_or_insert(at + 2);
                (at, back) = (to < back).then_some((to, to))?;
                continue;
            }
            let label = self.bytes.get(at + 1..at + 1 + length).filter(|_| length < 64)?;
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(&std::str::from_utf8(label).ok()?.to_ascii_lowercase());
            if name.len() > 253 {
                return None;
            }
            at += 1 + length;
        }
    }
}

#[cfg(test)]
mod tests;
