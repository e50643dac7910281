//! Writes an answer: head and first bytes in one piece, then as the body comes and the client reads.

use std::future::poll_fn;
use std::io::IoSlice;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use crate::downstream::serve_h1::Connection;
use crate::downstream::serve_h1::State;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Response;
use crate::http::Version;
use crate::http::h1::tokens;
use crate::http::h1::write;
use crate::http::h2;
use crate::http::headers::Known;

/// Pieces up to this size are copied behind what waits to be written; larger ones are written from where they are.
const SMALL: usize = 4 << 10;
/// When so much waits, it is written before more is gathered.
const GATHERED: usize = 16 << 10;

/// An answer that did not reach its end; the connection must not be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Body bytes that were sent.
    pub sent: u64,
    /// Why.
    pub why: Broke,
}

/// Why an answer broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broke {
    /// The client closed or reset the connection.
    Client,
    /// The client did not take our bytes in time.
    Slow,
    /// The body broke off where it came from.
    Body(BodyError),
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    None,
    /// This many bytes are still to come.
    Length(u64),
    Chunked,
    /// The connection's end is the body's.
    Close,
}

/// An answer on its way out.
struct Sending {
    out: Vec<u8>,
    /// How much of `out` is written.
    at: usize,
    mode: Mode,
    /// Bytes still to come of the chunk whose size was written.
    chunk: usize,
    ended: bool,
    trailers: bool,
    /// Body bytes handed to the system or standing in `out`.
    sent: u64,
    /// The deadline for a client that does not read is running.
    slow: bool,
}

impl Connection {
    /// Writes `response`: status, fields, `Date`, framing and body; the number of body bytes sent. `head`: without body.
    ///
    /// A body that breaks off cuts the connection, so that it cannot look complete; so does dropping the future.
    pub async fn answer(&mut self, response: &mut Response, head: bool) -> Result<u64, Gone> {
        self.asked.head |= head;
        let mut sending = self.compose(response);
        let after = std::mem::replace(&mut self.state, State::Cut);
        self.end_means_end = sending.mode == Mode::Close;
        let body = &mut response.body;
        let mut done = poll_fn(|cx| self.poll_send(cx, Some(body), &mut sending)).await;
        if let Err(Broke::Body(_)) = done {
            // what came before the break may reach the client
            done = poll_fn(|cx| self.poll_send(cx, None, &mut sending)).await.and(done);
        }
        self.wire.tools.buffers.give(sending.out);
        match done {
            Ok(()) => {
                self.state = after;
                self.end_means_end = false;
                self.settle();
                Ok(sending.sent)
            }
            Err(why) => Err(Gone { sent: sending.sent, why }),
        }
    }

    /// Tells the client these hints ahead of its answer (103, RFC 8297).
    pub fn hint(&self, fields: &Headers) {
        if self.asked.version == Version::Http10 {
            return;
        }
        {
            let mut out = self.wire.interim.borrow_mut();
            write::status_line(&mut out, 103);
            fields.write_to(&mut out, |known| !h2::is_of_a_connection(known) && known != Known::ContentLength);
            out.extend_from_slice(b"\r\n");
        }
        // What cannot be written now goes with the answer, which also notices a client that is gone.
        let _ = self.wire.poll_interim(&mut Context::from_waker(Waker::noop()));
    }

    /// After a whole answer: what does the connection do next?
    fn settle(&mut self) {
        if self.state == State::Open && !self.can_pass_over() {
            self.state = State::Linger;
        }
        let quiet = self.wire.unread.borrow().is_none() && !self.wire.held.get() && self.wire.input.borrow().is_empty();
        if self.state == State::Linger && !self.asked.keep_alive && quiet {
            // the client itself said that it sends nothing more
            self.state = State::Cut;
        }
    }

    /// The head, and how the body will be framed.
    fn compose(&mut self, response: &Response) -> Sending {
        let status = response.status;
        let bodiless = self.asked.head || matches!(status, 101 | 204 | 304);
        let old = self.asked.version == Version::Http10;
        let mode = match response.body.left() {
            _ if bodiless => Mode::None,
            Some(left) => Mode::Length(left),
            None if old => Mode::Close,
            None => Mode::Chunked,
        };
        let asks_close = response
            .headers
            .known(Known::Connection)
            .any(|value| tokens(value).any(|option| option.eq_ignore_ascii_case(b"close")));
        let close =
            asks_close || !self.asked.keep_alive || mode == Mode::Close || self.draining() || !self.can_pass_over();
        self.state = if close { State::Linger } else { State::Open };

        let mut out = self.wire.tools.buffers.take();
        out.append(&mut self.wire.interim.borrow_mut());
        write::status_line(&mut out, status);
        let announced = response.headers.known(Known::Trailer).next().is_some();
        let keeps_length = bodiless && status != 101 && status != 204;
        let mut has_date = false;
        response.headers.write_to(&mut out, |known| {
            has_date |= known == Known::Date;
            match known {
                Known::Connection
                | Known::KeepAlive
                | Known::ProxyConnection
                | Known::TransferEncoding
                | Known::Te
                | Known::Http2Settings => false,
                Known::Trailer => mode == Mode::Chunked,
                Known::Upgrade => status == 101 || status == 426,
                Known::ContentLength => keeps_length,
                _ => true,
            }
        });
        if !has_date {
            self.wire.tools.date.write(&mut out, &self.wire.tools.clock);
        }
        match mode {
            Mode::Length(length) => write::content_length(&mut out, length),
            Mode::Chunked => write::chunked(&mut out),
            // what a GET would have been told
            Mode::None if self.asked.head && !response.headers.has("content-length") => {
                if let (Some(length), false) = (response.body.left(), matches!(response.body, Body::Empty)) {
                    write::content_length(&mut out, length);
                }
            }
            Mode::None | Mode::Close => {}
        }
        self.write_connection(&mut out, response, close, old);
        out.extend_from_slice(b"\r\n");
        Sending {
            out,
            at: 0,
            mode,
            chunk: 0,
            ended: matches!(mode, Mode::None | Mode::Length(0)),
            trailers: self.asked.trailers || announced,
            sent: 0,
            slow: false,
        }
    }

    fn write_connection(&self, out: &mut Vec<u8>, response: &Response, close: bool, old: bool) {
        match response.status {
            101 | 426 => {
                out.extend_from_slice(b"connection: upgrade\r\n");
                if let (false, Some(protocol)) = (response.headers.has("upgrade"), &self.asked.upgrade) {
                    write::field(out, "upgrade", protocol.as_bytes());
                }
            }
            _ if close => out.extend_from_slice(b"connection: close\r\n"),
            _ if old => out.extend_from_slice(b"connection: keep-alive\r\n"),
            _ => {}
        }
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        mut body: Option<&mut Body>,
        sending: &mut Sending,
    ) -> Poll<Result<(), Broke>> {
        loop {
            let mut starved = false;
            if let (Some(body), false, true) = (body.as_deref_mut(), sending.ended, sending.out.len() < GATHERED) {
                match body.poll_fill(cx) {
                    Poll::Pending => starved = true,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Broke::Body(error))),
                    Poll::Ready(Ok([])) => {
                        sending.end(body).map_err(Broke::Body)?;
                        continue;
                    }
                    Poll::Ready(Ok(data)) => {
                        sending.check(data.len()).map_err(Broke::Body)?;
                        if data.len() <= SMALL {
                            let taken = sending.gather(data);
                            body.consume(taken);
                            continue;
                        }
                        match self.poll_write_large(cx, data, sending) {
                            Poll::Ready(Ok(taken)) => {
                                body.consume(taken);
                                continue;
                            }
                            Poll::Ready(Err(why)) => return Poll::Ready(Err(why)),
                            Poll::Pending => return self.poll_slow(cx, sending),
                        }
                    }
                }
            }
            if sending.at < sending.out.len() {
                match self.wire.poll_write(cx, &sending.out[sending.at..]) {
                    Poll::Ready(Ok(n)) if n > 0 => self.wrote(sending, n),
                    Poll::Ready(_) => return Poll::Ready(Err(Broke::Client)),
                    Poll::Pending => return self.poll_slow(cx, sending),
                }
                continue;
            }
            match self.wire.poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Broke::Client)),
                Poll::Pending if sending.ended || body.is_none() => return self.poll_slow(cx, sending),
                Poll::Pending => {}
            }
            if sending.ended || body.is_none() {
                return Poll::Ready(Ok(()));
            } else if starved {
                return self.wire.poll_gone(cx).map(|()| Err(Broke::Client));
            }
        }
    }

    /// Writes what waits and `data` behind it, without copying; how many bytes of `data` went.
    fn poll_write_large(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
        sending: &mut Sending,
    ) -> Poll<Result<usize, Broke>> {
        let n = sending.open_chunk(data.len());
        let whole = sending.mode == Mode::Chunked && n == sending.chunk;
        let parts = [
            IoSlice::new(&sending.out[sending.at..]),
            IoSlice::new(&data[..n]),
            IoSlice::new(if whole { b"\r\n" } else { b"" }),
        ];
        match self.wire.poll_write_vectored(cx, &parts) {
            Poll::Ready(Ok(written)) if written > 0 => {
                let ahead = written.min(sending.out.len() - sending.at);
                self.wrote(sending, ahead);
                let taken = (written - ahead).min(n);
                sending.took(taken, written - ahead - taken);
                Poll::Ready(Ok(taken))
            }
            Poll::Ready(_) => Poll::Ready(Err(Broke::Client)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn wrote(&self, sending: &mut Sending, n: usize) {
        self.wire.answered.set(true);
        sending.slow = false;
        sending.at += n;
        if sending.at == sending.out.len() {
            sending.out.clear();
            sending.at = 0;
        }
    }

    /// The client does not read: how long is that borne?
    fn poll_slow(&self, cx: &mut Context<'_>, sending: &mut Sending) -> Poll<Result<(), Broke>> {
        if !sending.slow {
            sending.slow = true;
            self.write_alarm.set_after(self.asked.body_timeout);
        }
        self.write_alarm.poll(cx).map(|()| Err(Broke::Slow))
    }
}

impl Sending {
    /// More than was announced is as wrong as less.
    fn check(&self, n: usize) -> Result<(), BodyError> {
        match self.mode {
            Mode::Length(left) if n as u64 > left => Err(BodyError::Malformed),
            _ => Ok(()),
        }
    }

    /// In the chunked coding, announces a chunk of `n` bytes unless one is open; how many of them belong to it.
    fn open_chunk(&mut self, n: usize) -> usize {
        if self.mode != Mode::Chunked {
            return n;
        }
        if self.chunk == 0 {
            write::chunk_size(&mut self.out, n);
            self.chunk = n;
        }
        n.min(self.chunk)
    }

    /// Copies `data`, or as much as belongs to the open chunk; how many bytes.
    fn gather(&mut self, data: &[u8]) -> usize {
        let n = self.open_chunk(data.len());
        self.out.extend_from_slice(&data[..n]);
        self.took(n, 0);
        n
    }

    /// Counts `n` bytes of data as gone, and so many of the CRLF behind them.
    fn took(&mut self, n: usize, of_crlf: usize) {
        self.sent += n as u64;
        match &mut self.mode {
            Mode::Length(left) => {
                *left -= n as u64;
                self.ended = *left == 0;
            }
            Mode::Chunked if self.chunk > 0 => {
                self.chunk -= n;
                if self.chunk == 0 {
                    self.out.extend_from_slice(&b"\r\n"[of_crlf..]);
                }
            }
            _ => {}
        }
    }

    /// The body has no more: was that all?
    fn end(&mut self, body: &mut Body) -> Result<(), BodyError> {
        match self.mode {
            Mode::Length(left) if left > 0 => return Err(BodyError::Cut),
            Mode::Chunked if self.chunk > 0 => return Err(BodyError::Cut),
            Mode::Chunked => {
                let trailers = if self.trailers { body.trailers() } else { None };
                write::last_chunk(&mut self.out, trailers.as_ref());
            }
            _ => {}
        }
        self.ended = true;
        Ok(())
    }
}
