//! The protocol of Redis, the server's side.

use std::io::BufRead;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    Status(&'static str),
    Error(String),
    Int(i64),
    Bulk(Vec<u8>),
    Nil,
    Array(Vec<Self>),
    Map(Vec<(Self, Self)>),
    Push(Vec<Self>),
}

impl Reply {
    /// What `HELLO 3` is answered with.
    pub(super) fn hello() -> Self {
        let text = |text: &str| Self::Bulk(text.into());
        Self::Map(vec![
            (text("server"), text("redis")),
            (text("version"), text("7.0.0")),
            (text("proto"), Self::Int(3)),
        ])
    }

    /// On the wire, in RESP3 or RESP2.
    pub(super) fn bytes(&self, three: bool) -> Vec<u8> {
        let many = |sign: char, size: usize, items: &[Self]| {
            let items: Vec<u8> = items.iter().flat_map(|item| item.bytes(three)).collect();
            [format!("{sign}{size}\r\n").as_bytes(), &items].concat()
        };
        match self {
            Self::Status(text) => format!("+{text}\r\n").into_bytes(),
            Self::Error(text) => format!("-{text}\r\n").into_bytes(),
            Self::Int(number) => format!(":{number}\r\n").into_bytes(),
            Self::Bulk(bytes) => [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat(),
            Self::Nil if three => b"_\r\n".to_vec(),
            Self::Nil => b"$-1\r\n".to_vec(),
            Self::Array(items) => many('*', items.len(), items),
            Self::Push(items) => many('>', items.len(), items),
            Self::Map(pairs) => {
                let flat: Vec<_> = pairs.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect();
                if three { many('%', pairs.len(), &flat) } else { many('*', flat.len(), &flat) }
            }
        }
    }
}

/// The words of one command; nothing at the end.
pub(super) fn read(input: &mut impl BufRead) -> Option<Vec<Vec<u8>>> {
    let count = number(input, '*')?;
    (0..count)
        .map(|_| {
            let mut word = vec![0; number(input, '$')? + 2];
            input.read_exact(&mut word).ok()?;
            word.truncate(word.len() - 2);
            Some(word)
        })
        .collect()
}

fn number(input: &mut impl BufRead, sign: char) -> Option<usize> {
    let mut line = String::new();
    input.read_line(&mut line).ok()?;
    line.strip_prefix(sign)?.trim_end().parse().ok()
}
