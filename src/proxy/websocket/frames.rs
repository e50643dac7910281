//! The door of tungstenite: messages out of frames and frames out of messages, over any stream, by polling.

use std::io;
use std::io::Read;
use std::io::Write;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::WebSocketContext;

use super::Close;
use super::Message;
use super::Side;
use crate::http::message::Duplex;

/// What came next.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A whole message.
    Message(Message),
    /// The peer closes; it was answered.
    Close(Close),
    /// The peer broke the protocol: it is told so with this code, and nothing more is read.
    Broken(Close),
    /// The stream has ended.
    Gone,
}

/// One peer's stream of frames.
pub struct Frames {
    stream: Box<dyn Duplex>,
    context: WebSocketContext,
    /// Whether a byte has passed since it was last asked.
    touched: bool,
}

/// A socket that says nothing keeps little memory.
const BUFFER: usize = 4 << 10;

impl Frames {
    /// `peer` is at the other end of `stream`; `early` is what it sent already, `limit` the largest message.
    pub fn new(stream: Box<dyn Duplex>, early: Vec<u8>, peer: Side, limit: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            // One message at a time is written, and nothing is read while it waits: a few pongs come on top.
            .max_write_buffer_size(usize::MAX)
            .max_message_size(Some(limit))
            .max_frame_size(Some(limit));
        let role = match peer {
            Side::Client => Role::Server,
            Side::Service => Role::Client,
        };
        let context = WebSocketContext::from_partially_read(early, role, Some(config));
        Self { stream, context, touched: false }
    }

    /// The next event. Pings are answered on the way.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            let read = self.with(cx, |context, io| context.read(io));
            return Poll::Ready(match read {
                Ok(Frame::Text(text)) => Event::Message(Message { text: true, data: Bytes::from(text) }),
                Ok(Frame::Binary(data)) => Event::Message(Message { text: false, data }),
                Ok(Frame::Close(frame)) => Event::Close(frame.map_or_else(
                    || Close::new(1005, ""),
                    |frame| Close { code: frame.code.into(), reason: frame.reason.to_string() },
                )),
                Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_)) => continue,
                Err(error) => match fault(&error) {
                    Fault::Later => return Poll::Pending,
                    Fault::Gone => Event::Gone,
                    Fault::Broken(close) => Event::Broken(close),
                },
            });
        }
    }

    /// Ready when all that was written is on its way.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        match self.with(cx, |context, io| context.flush(io)) {
            Ok(()) | Err(Error::ConnectionClosed) => Poll::Ready(Ok(())),
            Err(error) => match fault(&error) {
                Fault::Later => Poll::Pending,
                _ => Poll::Ready(Err(())),
            },
        }
    }

    /// Writes a message, once the last one is on its way.
    pub fn write(&mut self, cx: &mut Context<'_>, message: Message) {
        let frame = match message.text {
            // What comes here was checked: else it would be sent as what it is.
            true => Utf8Bytes::try_from(message.data.clone()).map_or(Frame::Binary(message.data), Frame::Text),
            false => Frame::Binary(message.data),
        };
        // What cannot be written now is written with the next flush, which also says when the peer is gone.
        let _ = self.with(cx, |context, io| context.write(io, frame));
    }

    /// Writes the close frame, once.
    pub fn close(&mut self, cx: &mut Context<'_>, close: &Close) {
        let frame = (close.code != 1005)
            .then(|| CloseFrame { code: close.code.into(), reason: Utf8Bytes::from(close.reason.as_str()) });
        let _ = self.with(cx, |context, io| context.close(io, frame));
    }

    /// After the last frame: says so, and reads what still comes until the peer has closed too.
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).is_err() {
            return Poll::Ready(());
        }
        let mut waste = [0; 1024];
        loop {
            let mut buf = ReadBuf::new(&mut waste);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }

    /// Whether a byte has passed since it was last asked.
    pub fn touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    fn with<R>(&mut self, cx: &mut Context<'_>, call: impl FnOnce(&mut WebSocketContext, &mut Io<'_, '_>) -> R) -> R {
        let mut io = Io { stream: &mut *self.stream, cx, touched: false };
        let result = call(&mut self.context, &mut io);
        self.touched |= io.touched;
        result
    }
}

enum Fault {
    Later,
    Gone,
    Broken(Close),
}

fn fault(error: &Error) -> Fault {
    match error {
        Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock => Fault::Later,
        Error::Capacity(_) => Fault::Broken(Close::new(1009, "the message is too large")),
        Error::Utf8(_) => Fault::Broken(Close::new(1007, "the text is not UTF-8")),
        Error::Protocol(tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            Fault::Gone
        }
        Error::Protocol(_) => Fault::Broken(Close::new(1002, "this is no WebSocket frame")),
        _ => Fault::Gone,
    }
}

/// A stream that is polled, for one who reads and writes.
struct Io<'a, 'b> {
    stream: &'a mut dyn Duplex,
    cx: &'a mut Context<'b>,
    touched: bool,
}

impl Io<'_, '_> {
    fn done(&mut self, polled: Poll<io::Result<usize>>) -> io::Result<usize> {
        match polled {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(done) => {
                self.touched |= matches!(done, Ok(1..));
                done
            }
        }
    }
}

impl Read for Io<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(buf);
        let polled = Pin::new(&mut *self.stream).poll_read(self.cx, &mut buf);
        let read = buf.filled().len();
        self.done(polled.map_ok(|()| read))
    }
}

impl Write for Io<'_, '_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let polled = Pin::new(&mut *self.stream).poll_write(self.cx, buf);
        self.done(polled)
    }

    fn flush(&mut self) -> io::Result<()> {
        let polled = Pin::new(&mut *self.stream).poll_flush(self.cx);
        self.done(polled.map_ok(|()| 0)).map(drop)
    }
}
