//! The writing half: an answer's head and body, in as few writes as can be, framed by us alone.

use std::future::poll_fn;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use tokio::io::AsyncWrite;

use crate::clock::Moment;
use crate::downstream::serve_h1::Connection;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Response;
use crate::http::Version;
use crate::http::h1::write;
use crate::http::headers::Known;

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

/// How the answer's body is told from what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framed {
    /// None may be sent.
    Bodiless,
    Length(u64),
    Chunked,
    Close,
}

impl Connection {
    /// Writes `response`; body bytes sent. `head` says that the request was HEAD.
    pub async fn answer(&mut self, response: &mut Response, head: bool) -> Result<u64, Gone> {
        self.home.answering.set(true);
        let framed = self.frame(response, head);
        self.now.keep_alive =
            self.now.keep_alive && framed != Framed::Close && !self.tools.drain.is_on() && self.spare();
        let mut out = self.tools.buffers.take();
        self.head_into(&mut out, response, framed, head);
        let mut sent = 0;
        let result = match framed {
            Framed::Bodiless => self.flush(&mut out).await.map_err(Broke::from),
            _ => self.body(&mut out, &mut response.body, framed, &mut sent).await,
        };
        self.tools.buffers.give(out);
        self.alarm.set(Moment::NEVER);
        result.map(|()| sent).map_err(|why| {
            self.now.keep_alive = false;
            Gone { sent, why }
        })
    }

    fn frame(&self, response: &Response, head: bool) -> Framed {
        if head || response.status < 200 || matches!(response.status, 204 | 304) {
            return Framed::Bodiless;
        }
        match response.body.left() {
            Some(length) => Framed::Length(length),
            None if self.now.version == Version::Http10 => Framed::Close,
            None => Framed::Chunked,
        }
    }

    /// Whether what the client may still send of its request leaves the connection usable.
    fn spare(&self) -> bool {
        let Some(reader) = self.home.reader.take() else { return true };
        let spare = reader.is_over() || (self.home.interim.get() == 0 && reader.is_small());
        self.home.reader.set(Some(reader));
        spare
    }

    fn head_into(&self, out: &mut Vec<u8>, response: &Response, framed: Framed, head: bool) {
        write::status_line(out, response.status);
        // What a body would have had may be told where none is sent (RFC 9110 §8.6).
        let keeps_length = head || response.status == 304;
        response.headers.write_to(out, |known| match known {
            Known::ContentLength => keeps_length,
            Known::TransferEncoding | Known::Connection | Known::KeepAlive | Known::ProxyConnection | Known::Te => {
                false
            }
            Known::Upgrade => response.status == 101 || response.status == 426,
            _ => true,
        });
        if response.headers.known(Known::Date).next().is_none() && response.status >= 200 {
            self.tools.date.write(out, &self.tools.clock);
        }
        match framed {
            Framed::Length(length) => write::content_length(out, length),
            Framed::Chunked => write::chunked(out),
            Framed::Bodiless | Framed::Close => {}
        }
        if response.status == 101 || response.status == 426 {
            out.extend_from_slice(b"connection: upgrade\r\n");
        } else if !self.now.keep_alive {
            out.extend_from_slice(b"connection: close\r\n");
        } else if self.now.version == Version::Http10 {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Passes the body on piece by piece; the next piece is asked for when the one before is with the kernel.
    async fn body(&mut self, out: &mut Vec<u8>, body: &mut Body, framed: Framed, sent: &mut u64) -> Result<(), Broke> {
        let mut left = if let Framed::Length(length) = framed { length } else { u64::MAX };
        while left > 0 {
            let ready = poll_fn(|cx| match body.poll_fill(cx) {
                Poll::Ready(filled) => Poll::Ready(filled.map(|data| Some(data.len()))),
                // Nothing at hand: what was written so far must not wait for it.
                Poll::Pending if !out.is_empty() => Poll::Ready(Ok(None)),
                Poll::Pending => Poll::Pending,
            })
            .await;
            let ready = match ready {
                Ok(ready) => ready,
                Err(error) => {
                    // The head may be out already: the client must see that this is not the end.
                    let _ = self.flush(out).await;
                    return Err(Broke::Body(error));
                }
            };
            match ready {
                None => self.flush(out).await?,
                Some(0) if framed == Framed::Chunked => {
                    let trailers = if self.now.trailers { body.trailers() } else { None };
                    write::last_chunk(out, trailers.as_ref());
                    break;
                }
                Some(0) if framed == Framed::Close => break,
                Some(0) => return Err(Broke::Body(BodyError::Cut)),
                Some(n) => {
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(n).min(MOST);
                    if framed == Framed::Chunked {
                        write::chunk_size(out, n);
                    }
                    self.piece(out, body, n).await?;
                    if framed == Framed::Chunked {
                        out.extend_from_slice(b"\r\n");
                    }
                    left -= n as u64;
                    *sent += n as u64;
                }
            }
        }
        self.flush(out).await?;
        Ok(())
    }

    /// Writes `out` and then the first `n` bytes at hand of `body`, which are consumed.
    async fn piece(&mut self, out: &mut Vec<u8>, body: &mut Body, n: usize) -> Result<(), Broke> {
        let mut at = 0;
        let total = out.len() + n;
        poll_fn(|cx| {
            while at < total {
                let data = match body.poll_fill(cx) {
                    Poll::Ready(Ok(data)) if data.len() >= n => &data[..n],
                    _ => return Poll::Ready(Err(Broke::Body(BodyError::Cut))),
                };
                let slices =
                    [IoSlice::new(&out[at.min(out.len())..]), IoSlice::new(&data[at.saturating_sub(out.len())..])];
                match self.poll_write(cx, &slices) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(written) => at += written?,
                }
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        body.consume(n);
        out.clear();
        Ok(())
    }

    async fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Stopped> {
        let mut at = 0;
        poll_fn(|cx| {
            while at < out.len() {
                match self.poll_write(cx, &[IoSlice::new(&out[at..])]) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(written) => at += written?,
                }
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        out.clear();
        Ok(())
    }

    /// Writes some of `slices`; a client that takes nothing for too long is given up.
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<Result<usize, Stopped>> {
        let written = if let [only] = slices {
            Pin::new(&mut self.write).poll_write(cx, only)
        } else {
            Pin::new(&mut self.write).poll_write_vectored(cx, slices)
        };
        match written {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(Stopped::Client)),
            Poll::Ready(written) => {
                self.alarm.set(Moment::NEVER);
                Poll::Ready(written.map_err(|_: io::Error| Stopped::Client))
            }
            Poll::Pending => {
                self.alarm.arm(self.patience);
                self.alarm.poll(cx).map(|()| Err(Stopped::Slow))
            }
        }
    }
}

/// Why the client takes no more bytes.
enum Stopped {
    Client,
    Slow,
}

impl From<Stopped> for Broke {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Client => Self::Client,
            Stopped::Slow => Self::Slow,
        }
    }
}

/// The largest piece written at once: a chunk of a body that is in memory whole is not announced as one.
const MOST: usize = 256 << 10;
