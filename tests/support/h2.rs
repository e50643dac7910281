//! A client of HTTP/2 on the `h2` crate: its connection runs on a thread of its own, requests are made from the test's.

use std::future::Future;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;

use bytes::Bytes;
use h2::RecvStream;
use h2::SendStream;
use h2::client::Builder;
use h2::client::ResponseFuture;
use h2::client::SendRequest;
use http::HeaderMap;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::support::answer::Answer;
use crate::support::gateway::Gateway;
use crate::support::tls::Visitor;
use crate::support::wait::PATIENCE;

/// One connection.
pub(crate) struct Client {
    runtime: Runtime,
    send: SendRequest<Bytes>,
    connection: Option<JoinHandle<Result<(), h2::Error>>>,
    scheme: &'static str,
    host: String,
}

/// A request on its way.
pub(crate) struct Call {
    answer: Option<ResponseFuture>,
    /// Its body, unless it was sent whole.
    pub(crate) body: SendStream<Bytes>,
}

/// An answer whose body is still to come.
pub(crate) struct Streaming {
    pub(crate) head: Answer,
    pub(crate) body: RecvStream,
}

impl Client {
    /// In clear text, with prior knowledge.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::with(address, &Builder::new(), None)
    }

    /// Over TLS, asking for `name`.
    pub(crate) fn secure(visitor: &Visitor, gateway: &Gateway, name: &str) -> Self {
        Self::with(gateway.address(), &Builder::new(), Some((visitor.clone(), name.to_owned())))
    }

    /// As `settings` say.
    pub(crate) fn with(address: SocketAddr, settings: &Builder, tls: Option<(Visitor, String)>) -> Self {
        let (scheme, host) = match &tls {
            Some((_, name)) => ("https", name.clone()),
            None => ("http", "test.local".to_owned()),
        };
        let (tell, heard) = mpsc::channel();
        let settings = settings.clone();
        let connection = std::thread::spawn(move || {
            runtime().block_on(async move {
                let stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                match tls {
                    None => drive(stream, &settings, tell).await,
                    Some((visitor, name)) => drive(visitor.shake(stream, &name).await, &settings, tell).await,
                }
            })
        });
        let send = heard.recv_timeout(PATIENCE).expect("a connection of HTTP/2");
        Self { runtime: runtime(), send, connection: Some(connection), scheme, host }
    }

    #[track_caller]
    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.call("GET", target, &[], b"")
    }

    /// A whole request and its answer; anything else fails the test.
    #[track_caller]
    pub(crate) fn call(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let mut call = self.start(method, target, fields, body.as_ref().is_empty());
        if !body.as_ref().is_empty() {
            self.send(&mut call, body.as_ref(), true);
        }
        self.answer(&mut call).unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }

    /// Begins a request; `whole`: no body follows.
    #[track_caller]
    pub(crate) fn start(&mut self, method: &str, target: &str, fields: &[(&str, &str)], whole: bool) -> Call {
        let uri = format!("{}://{}{target}", self.scheme, self.host);
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        self.request(request.body(()).unwrap(), whole).unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }

    /// Begins this request.
    pub(crate) fn request(&mut self, request: http::Request<()>, whole: bool) -> Result<Call, h2::Error> {
        let send = &mut self.send;
        self.runtime.block_on(timely(poll_fn(|cx| send.poll_ready(cx))))?;
        let (answer, body) = send.send_request(request, whole)?;
        Ok(Call { answer: Some(answer), body })
    }

    /// Sends a piece of a body as the gateway opens its window.
    pub(crate) fn send(&self, call: &mut Call, body: &[u8], last: bool) {
        self.try_send(call, body, last).unwrap_or_else(|error| panic!("sending: {error}"));
    }

    /// The same; a gateway that wants no more is no failure.
    pub(crate) fn try_send(&self, call: &mut Call, mut body: &[u8], last: bool) -> Result<(), h2::Error> {
        while !body.is_empty() {
            call.body.reserve_capacity(body.len());
            let room = match self.runtime.block_on(timely(poll_fn(|cx| call.body.poll_capacity(cx)))) {
                Some(room) => room?.min(body.len()),
                None => return Ok(()),
            };
            let (piece, rest) = body.split_at(room);
            call.body.send_data(Bytes::copy_from_slice(piece), last && rest.is_empty())?;
            body = rest;
            if last && rest.is_empty() {
                return Ok(());
            }
        }
        if last { call.body.send_data(Bytes::new(), true) } else { Ok(()) }
    }

    /// Sends as much of a body as the gateway's windows take without anybody reading it.
    pub(crate) fn fill(&self, call: &mut Call) {
        call.body.reserve_capacity(1 << 20);
        self.block_on(async {
            loop {
                let room = call.body.capacity();
                if room > 0 {
                    call.body.send_data(vec![b'x'; room].into(), false).unwrap();
                    continue;
                }
                let wait = std::time::Duration::from_millis(20);
                #[allow(clippy::disallowed_methods, reason = "no word says that a window stays shut")]
                if tokio::time::timeout(wait, poll_fn(|cx| call.body.poll_capacity(cx))).await.is_err() {
                    break;
                }
            }
        });
    }

    /// The status of the next interim answer; `None` when the answer itself comes first.
    pub(crate) fn interim(&self, call: &mut Call) -> Option<u16> {
        let answer = call.answer.as_mut().expect("an answer that was not read yet");
        let interim = self.block_on(poll_fn(|cx| answer.poll_informational(cx)))?;
        Some(interim.unwrap().status().as_u16())
    }

    /// The answer with its body and trailers.
    pub(crate) fn answer(&self, call: &mut Call) -> Result<Answer, h2::Error> {
        let Streaming { head, body } = self.head(call)?;
        self.rest(head, body)
    }

    /// The answer's head.
    pub(crate) fn head(&self, call: &mut Call) -> Result<Streaming, h2::Error> {
        let answer = call.answer.take().expect("an answer that was not read yet");
        let (parts, body) = self.runtime.block_on(timely(answer))?.into_parts();
        let head = Answer { status: parts.status.as_u16(), headers: fields(&parts.headers), ..Answer::default() };
        Ok(Streaming { head, body })
    }

    /// The next piece of a body; `None` at its end.
    pub(crate) fn piece(&self, body: &mut RecvStream) -> Option<Result<Bytes, h2::Error>> {
        let piece = self.runtime.block_on(timely(body.data()))?;
        if let Ok(piece) = &piece {
            let _ = body.flow_control().release_capacity(piece.len());
        }
        Some(piece)
    }

    fn rest(&self, mut answer: Answer, mut body: RecvStream) -> Result<Answer, h2::Error> {
        while let Some(piece) = self.piece(&mut body) {
            answer.body.extend_from_slice(&piece?);
        }
        if let Some(trailers) = self.runtime.block_on(timely(body.trailers()))? {
            answer.trailers = fields(&trailers);
        }
        Ok(answer)
    }

    /// Waits for the end of the connection: its requests were answered, it was told to leave.
    pub(crate) fn over(mut self) -> Result<(), h2::Error> {
        self.connection.take().expect("a connection").join().unwrap()
    }

    /// Runs `work` on this client's time.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(timely(work))
    }
}

async fn drive(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    settings: &Builder,
    tell: mpsc::Sender<SendRequest<Bytes>>,
) -> Result<(), h2::Error> {
    let (send, connection) = settings.handshake(stream).await?;
    tell.send(send).unwrap();
    connection.await
}

async fn timely<T>(work: impl Future<Output = T>) -> T {
    #[allow(clippy::disallowed_methods, reason = "tests wait in real time, with an end")]
    tokio::time::timeout(PATIENCE, work).await.expect("something to happen in time")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn fields(map: &HeaderMap) -> Vec<(String, String)> {
    map.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect()
}
