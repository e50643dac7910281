//! The chunked coding (RFC 9112 §7.1), decoded in place: strict sizes, bounded extensions and trailers.

use crate::http::Headers;
use crate::http::h1::fields;
use crate::http::trailers::may_trail;

/// Most bytes of chunk extensions in one body.
const EXTENSIONS: usize = 8 << 10;
/// Most bytes of trailer fields.
const TRAILERS: usize = 16 << 10;
/// Most trailer fields.
const TRAILER_COUNT: usize = 64;

/// A decoder that is shown the bytes as they arrive and says which are data.
#[derive(Default)]
pub struct Chunked {
    state: State,
    /// The size being read, then the bytes of the chunk still to come.
    left: u64,
    digits: u8,
    extensions: usize,
    trailer: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a line after the last chunk.
    Trailer,
    /// Inside a trailer line.
    TrailerLine,
    TrailerLf,
    LastLf,
    Done,
}

/// What the bytes shown are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// After the framing bytes, this many bytes of data are at hand; at least one. Tell [`Chunked::took`] how many were used.
    Data(usize),
    /// Framing only: show more.
    More,
    /// The body is over; bytes after the framing belong to the next message.
    End,
}

/// The framing is broken, or larger than we bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chunked coding is malformed")]
pub struct Broken;

impl Chunked {
    /// A decoder at the start of a body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at `input`, everything that arrived and was not yet taken: how many framing bytes to drop first, and what follows them.
    pub fn next(&mut self, input: &[u8]) -> Result<(usize, Piece), Broken> {
        let mut at = 0;
        while self.state != State::Data && self.state != State::Done {
            if let State::Extension | State::TrailerLine = self.state {
                at += self.line(&input[at..])?;
            }
            let Some(&byte) = input.get(at) else { return Ok((at, Piece::More)) };
            self.state = self.step(byte)?;
            at += 1;
        }
        if self.state == State::Done {
            return Ok((at, Piece::End));
        }
        let ready = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len() - at);
        Ok((at, if ready == 0 { Piece::More } else { Piece::Data(ready) }))
    }

    /// `n` bytes of the data that [`Piece::Data`] announced were taken.
    pub fn took(&mut self, n: usize) {
        self.left = self.left.saturating_sub(n as u64);
        if self.left == 0 && self.state == State::Data {
            self.state = State::DataCr;
        }
    }

    /// Whether the end was seen.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The trailer fields, once the end was seen; those that frame, route or authenticate a message are left out (RFC 9110 §6.5.1).
    pub fn trailers(&mut self) -> Option<Headers> {
        if self.state != State::Done || self.trailer.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.trailer);
        let mut room = [httparse::EMPTY_HEADER; TRAILER_COUNT];
        let places: Vec<_> = parse(&bytes, &mut room)
            .ok()?
            .iter()
            .filter(|field| may_trail(field.name.as_bytes()))
            .map(|field| (fields::place(&bytes, field.name.as_bytes()), fields::place(&bytes, field.value)))
            .collect();
        let mut headers = Headers::over(bytes);
        for (name, value) in places {
            headers.register(name, value);
        }
        (!headers.is_empty()).then_some(headers)
    }

    /// Passes over the middle of a line up to its CR: how many bytes that was.
    fn line(&mut self, input: &[u8]) -> Result<usize, Broken> {
        let end = memchr::memchr2(b'\r', b'\n', input).unwrap_or(input.len());
        let part = &input[..end];
        if self.state == State::Extension {
            self.extensions += part.len();
            let sound = part.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
            if self.extensions > EXTENSIONS || !sound {
                return Err(Broken);
            }
        } else {
            self.keep(part)?;
        }
        Ok(end)
    }

    fn step(&mut self, byte: u8) -> Result<State, Broken> {
        match (self.state, byte) {
            (State::Size, b'\r') if self.digits > 0 => Ok(State::SizeLf),
            (State::Size, b';') if self.digits > 0 => Ok(State::Extension),
            (State::Size, _) => self.digit(byte),
            (State::Extension, b'\r') => Ok(State::SizeLf),
            (State::SizeLf, b'\n') => {
                self.digits = 0;
                Ok(if self.left == 0 { State::Trailer } else { State::Data })
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size),
            (State::Trailer, b'\r') => Ok(State::LastLf),
            (State::Trailer, b'!'..=b'~') => {
                self.keep(&[byte])?;
                Ok(State::TrailerLine)
            }
            (State::TrailerLine, b'\r') => Ok(State::TrailerLf),
            (State::TrailerLf, b'\n') => {
                self.keep(b"\r\n")?;
                Ok(State::Trailer)
            }
            (State::LastLf, b'\n') => self.finish(),
            _ => Err(Broken),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<State, Broken> {
        let value = char::from(byte).to_digit(16).ok_or(Broken)?;
        if self.digits == 16 {
            return Err(Broken);
        }
        self.digits += 1;
        self.left = (self.left << 4) | u64::from(value);
        Ok(State::Size)
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), Broken> {
        if self.trailer.len() + part.len() > TRAILERS {
            return Err(Broken);
        }
        self.trailer.extend_from_slice(part);
        Ok(())
    }

    /// The trailer section is checked before the body counts as complete.
    fn finish(&mut self) -> Result<State, Broken> {
        if !self.trailer.is_empty() {
            self.trailer.extend_from_slice(b"\r\n");
            parse(&self.trailer, &mut [httparse::EMPTY_HEADER; TRAILER_COUNT])?;
        }
        Ok(State::Done)
    }
}

fn parse<'a, 'r>(bytes: &'a [u8], room: &'r mut [httparse::Header<'a>]) -> Result<&'r [httparse::Header<'a>], Broken> {
    match httparse::parse_headers(bytes, room) {
        Ok(httparse::Status::Complete((length, fields))) if length == bytes.len() => Ok(fields),
        _ => Err(Broken),
    }
}
