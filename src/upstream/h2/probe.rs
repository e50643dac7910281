//! One question on a connection of its own, for checks of a host's health.

use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;

use http::Request;

use crate::upstream::socket::Socket;

/// The status that `GET path` is answered with.
pub(crate) async fn get(socket: Socket, path: &str, host: &str, secure: bool) -> Result<u16, String> {
    let failed = |error: h2::Error| error.to_string();
    let scheme = if secure { "https" } else { "http" };
    let request = Request::builder()
        .uri(format!("{scheme}://{host}{path}"))
        .version(http::Version::HTTP_2)
        .header("user-agent", "moongate-health")
        .header("accept", "*/*")
        .body(())
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = h2::client::handshake(socket).await.map_err(failed)?;
    let (answer, _) = sender.send_request(request, true).map_err(failed)?;
    let (mut answer, mut connection) = (pin!(answer), pin!(connection));
    poll_fn(|cx| {
        // the answer fails by itself when the connection does
        let _ = connection.as_mut().poll(cx);
        answer.as_mut().poll(cx)
    })
    .await
    .map(|answer| answer.status().as_u16())
    .map_err(failed)
}
