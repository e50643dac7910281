//! Requests bent at random: whatever comes of them, client and service agree on how many there were.

use crate::support::gateway;
use crate::support::upstream;

/// Bytes that parsers have disagreed about.
const BENT: &[&[u8]] = &[
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    b" ",
    b"\t",
    b"\0",
    b":",
    b",",
    b";",
    b"\x0b",
    b"\x0c",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"0",
    b"5",
    b"f",
    b"-",
    b"+",
    b"chunked",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"0\r\n\r\n",
    b"Host: b\r\n",
    b"#",
    b"%",
    b"%0d%0a",
    b"HTTP/1.1",
    b"\r\n\r\n",
    b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n",
];

const STRAIGHT: &[&str] = &[
    "GET /a HTTP/1.1\r\nHost: a\r\nX-One: 1\r\n\r\n",
    "POST /b?c=d HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST /f HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n3;q=1\r\nabc\r\n0\r\nx: y\r\n\r\n",
    "PUT /g HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\nContent-Length: 0\r\n\r\n",
];

/// A small generator (xorshift), so that a failure can be repeated.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }
}

fn bend(dice: &mut Dice, straight: &str) -> Vec<u8> {
    let mut bytes = straight.as_bytes().to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        let with = BENT[dice.below(BENT.len())];
        match dice.below(3) {
            0 => drop(bytes.splice(at..at, with.iter().copied())),
            1 => drop(bytes.splice(at..=at, with.iter().copied())),
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}

/// The service parses strictly (two framings, bare CR or LF, no Host: it panics), which fails this test too.
#[test]
fn client_and_service_agree_on_every_bent_request() {
    let service = upstream::answers(|_| upstream::ok("ok"));
    let gateway = gateway::before(&service);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for round in 0..1_500 {
        let bent = bend(&mut dice, STRAIGHT[round % STRAIGHT.len()]);
        let before = service.calls();
        let mut client = gateway.client();
        client.try_send(&bent);
        client.half_close();
        let told = client.rest();
        let served = told.windows(13).filter(|window| window == b"HTTP/1.1 200 ").count();
        let seen = service.calls() - before;
        let shown = String::from_utf8_lossy(&bent);
        assert_eq!(served, seen, "round {round}: {shown:?} was told {:?}", String::from_utf8_lossy(&told));
        let inner = shown.matches("GET /inner").count();
        assert!(seen <= 1 + inner, "round {round}: {shown:?} became {seen} requests");
    }
    assert!(service.calls() > 100, "hardly a request passed: this test tests nothing");
    assert_eq!(gateway.get("/after").text(), "ok");
}
