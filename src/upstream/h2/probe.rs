//! One question on a connection of its own, for checks of a host's health.

use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;

use bytes::Bytes;
use http::HeaderMap;
use http::Request;
use http::request::Builder;

use crate::http::Headers;
use crate::http::h2::headers;
use crate::upstream::socket::Socket;

/// What a call of gRPC brought: the head, the message with its frame, the trailers.
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) fields: Headers,
    pub(crate) message: Vec<u8>,
    pub(crate) trailers: Headers,
}

/// The most of a message that is read.
const MOST: usize = 16 << 10;

/// The status that `GET path` is answered with.
pub(crate) async fn get(socket: Socket, path: &str, host: &str, secure: bool) -> Result<u16, String> {
    let request = request(path, host, secure).header("accept", "*/*").body(()).map_err(text)?;
    let (mut sender, connection) = h2::client::handshake(socket).await.map_err(text)?;
    let (answer, _) = sender.send_request(request, true).map_err(text)?;
    along(connection, answer).await.map(|answer| answer.status().as_u16()).map_err(text)
}

/// What the call of `path` with one message is answered with.
pub(crate) async fn call(
    socket: Socket,
    path: &str,
    host: &str,
    secure: bool,
    message: Vec<u8>,
) -> Result<Heard, String> {
    let request = request(path, host, secure).method(http::Method::POST);
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    let request = request.body(()).map_err(text)?;
    let (mut sender, connection) = h2::client::handshake(socket).await.map_err(text)?;
    let (answer, mut stream) = sender.send_request(request, false).map_err(text)?;
    stream.send_data(Bytes::from(message), true).map_err(text)?;
    along(connection, async {
        let (head, mut body) = answer.await.map_err(text)?.into_parts();
        let mut message = Vec::new();
        while let Some(piece) = body.data().await {
            let piece = piece.map_err(text)?;
            if message.len() + piece.len() > MOST {
                return Err("its answer is too long".to_owned());
            }
            message.extend_from_slice(&piece);
        }
        let trailers = body.trailers().await.map_err(text)?;
        let all = |map: &HeaderMap| headers(map, |_, _, _| true);
        let trailers = trailers.as_ref().map(all).unwrap_or_default();
        Ok(Heard { status: head.status.as_u16(), fields: all(&head.headers), message, trailers })
    })
    .await
}

fn request(path: &str, host: &str, secure: bool) -> Builder {
    let scheme = if secure { "https" } else { "http" };
    Request::builder()
        .uri(format!("{scheme}://{host}{path}"))
        .version(http::Version::HTTP_2)
        .header("user-agent", "moongate-health")
}

/// What `work` comes to while `connection` is kept going; it fails by itself when the connection does.
async fn along<T>(connection: impl Future, work: impl Future<Output = T>) -> T {
    let (mut connection, mut work) = (pin!(connection), pin!(work));
    let mut over = false;
    poll_fn(|cx| {
        over = over || connection.as_mut().poll(cx).is_ready();
        work.as_mut().poll(cx)
    })
    .await
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
