//! Where one WebSocket frame ends and the next begins (RFC 6455 §5.2), without looking at what they say.

/// The place in a stream of frames.
#[derive(Debug, Default)]
pub struct Boundary {
    /// The head under way.
    head: [u8; HEAD],
    have: usize,
    /// Bytes of the payload still to come.
    payload: u64,
    /// A message is under way: a frame that does not end one came, and none that does.
    closed: bool,
}

/// The longest head: two bytes, eight of length, four of mask.
const HEAD: usize = 14;

impl Boundary {
    /// These bytes have passed.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let taken = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= taken as u64;
                bytes = &bytes[taken..];
                continue;
            }
            let taken = (self.size() - self.have).min(bytes.len());
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == self.size() {
                self.payload = self.length();
                self.closed |= self.head[0] & 0x0f == 8;
                self.have = 0;
            }
        }
    }

    /// Bytes to the next boundary as far as is known; 0 at one.
    pub fn left(&self) -> usize {
        match self.have {
            0 => usize::try_from(self.payload).unwrap_or(usize::MAX),
            have => self.size() - have,
        }
    }

    /// Whether a close frame has passed: nothing may follow it.
    pub fn closed(&self) -> bool {
        self.closed
    }

    /// How long the head under way is, as far as is known.
    fn size(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let extended = match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + extended + if self.head[1] & 0x80 == 0 { 0 } else { 4 }
    }

    fn length(&self) -> u64 {
        let bytes = match self.head[1] & 0x7f {
            126 => &self.head[2..4],
            127 => &self.head[2..10],
            short => return u64::from(short),
        };
        bytes.iter().fold(0, |length, &byte| length << 8 | u64::from(byte))
    }
}

#[cfg(test)]
mod tests {
    use super::Boundary;

    #[test]
    fn boundaries_are_found_however_the_bytes_are_cut() {
        let mut stream = vec![0x81, 0x85, 1, 2, 3, 4, 9, 9, 9, 9, 9]; // masked, 5 bytes
        let first = stream.len();
        stream.extend([0x82, 126, 1, 0]);
        stream.extend([7; 256]);
        let second = stream.len();
        stream.extend([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        stream.extend(vec![7; 65536]);
        let third = stream.len();
        stream.extend([0x89, 0x80, 1, 2, 3, 4]); // an empty ping
        for size in [1, 2, 3, 7, 1000, stream.len()] {
            let (mut boundary, mut at) = (Boundary::default(), 0);
            for piece in stream.chunks(size) {
                boundary.pass(piece);
                at += piece.len();
                let is_one = [first, second, third, stream.len()].contains(&at);
                assert_eq!(boundary.left() == 0, is_one, "at {at}, by {size}");
            }
            assert!(!boundary.closed());
            boundary.pass(&[0x88, 0]);
            assert!(boundary.closed());
        }
    }

    #[test]
    fn what_is_left_never_leads_beyond_the_boundary() {
        let mut boundary = Boundary::default();
        let stream = [0x81, 0xfe, 0, 3, 1, 2, 3, 4, 9, 9, 9];
        boundary.pass(&stream[..1]);
        let mut at = 1;
        while boundary.left() > 0 {
            let next = at + boundary.left();
            boundary.pass(&stream[at..next]);
            at = next;
        }
        assert_eq!(at, stream.len());
    }
}
