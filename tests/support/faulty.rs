//! Services that fail on purpose, each in one way.

use crate::support::upstream;
use crate::support::upstream::Conn;
use crate::support::upstream::Upstream;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A RST instead of an answer.
    ResetBeforeTheHead,
    /// Half of a head, then a RST.
    ResetWithinTheHead,
    /// A head that promises a body, then a RST.
    ResetAfterTheHead,
    /// Every answer is the last on its connection, and the close is not announced.
    ClosesSilently,
    /// Not a byte.
    Stalls,
    /// No HTTP.
    Garbage,
    /// A body shorter than its length.
    TooShort,
    /// More bytes than the length.
    TooLong,
    /// The connection ends within a chunk.
    HalfAChunk,
    /// A head without end.
    FloodsTheHead,
    /// Two answers to one request.
    AnswersTwice,
}

pub(crate) const ALL: [Fault; 11] = [
    Fault::ResetBeforeTheHead,
    Fault::ResetWithinTheHead,
    Fault::ResetAfterTheHead,
    Fault::ClosesSilently,
    Fault::Stalls,
    Fault::Garbage,
    Fault::TooShort,
    Fault::TooLong,
    Fault::HalfAChunk,
    Fault::FloodsTheHead,
    Fault::AnswersTwice,
];

/// A service with this fault; its good bytes are `faulty`.
pub(crate) fn serve(fault: Fault) -> Upstream {
    upstream::serve(move |conn| while conn.request().is_some() && fail(fault, conn) {})
}

/// Answers one request; whether the connection goes on.
fn fail(fault: Fault, conn: &mut Conn) -> bool {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";
    match fault {
        Fault::ResetBeforeTheHead => conn.reset(),
        Fault::ResetWithinTheHead => {
            conn.send("HTTP/1.1 200 OK\r\ncontent-le");
            conn.linger_a_little();
            conn.reset();
        }
        Fault::ResetAfterTheHead => {
            conn.send(head);
            conn.linger_a_little();
            conn.reset();
        }
        Fault::ClosesSilently => {
            conn.send(upstream::ok("faulty"));
        }
        Fault::Stalls => conn.linger(),
        Fault::Garbage => {
            conn.send("220 mail.example ESMTP\r\n");
            conn.linger();
        }
        Fault::TooShort => {
            conn.send([head, "faulty"].concat());
        }
        Fault::TooLong => {
            conn.send([&upstream::ok("faulty")[..], b" and more"].concat());
            return true;
        }
        Fault::HalfAChunk => {
            conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n14\r\nfaulty");
        }
        Fault::FloodsTheHead => {
            conn.send("HTTP/1.1 200 OK\r\n");
            while conn.send("x-flood: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n") {}
        }
        Fault::AnswersTwice => {
            conn.send([upstream::ok("faulty"), upstream::ok("poison")].concat());
            return true;
        }
    }
    false
}
