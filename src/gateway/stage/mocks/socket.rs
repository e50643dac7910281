//! A stand-in's end of a WebSocket.

use std::rc::Rc;

use super::Mocks;
use crate::downstream::Connection;
use crate::http::Request;
use crate::http::Response;
use crate::proxy::websocket::Caller;
use crate::proxy::websocket::Close;
use crate::proxy::websocket::Side;
use crate::proxy::websocket::handshake;
use crate::script::suite::Attendant;
use crate::script::suite::News;

/// The key of a handshake; `None` when no WebSocket is asked for.
pub(super) fn key(request: &Request) -> Option<String> {
    let asks = request.upgrade.as_deref() == Some("websocket");
    request.headers.text("sec-websocket-key").filter(|_| asks).map(|key| key.trim().to_owned())
}

impl Mocks {
    /// Takes the socket that was asked for, by an answer that has the fields of `response`, and talks until it is over.
    pub(super) async fn talk(
        &self,
        mut connection: Connection,
        mut response: Response,
        key: Option<String>,
        attendant: Attendant,
    ) {
        let asked = key.is_some();
        match key {
            Some(key) => handshake::agree(&mut response, &key),
            None => {
                response.status = 426;
                response.headers.set("upgrade", "websocket");
            }
        }
        let answered = connection.answer(&mut response, false).await.is_ok();
        let tunnel = connection.into_tunnel().filter(|_| asked && answered);
        let Some((stream, early)) = tunnel else { return };
        let caller = Rc::new(Caller::new(Side::Client));
        let tell = |news| {
            if let Err(said) = (attendant.0)(&caller, news) {
                self.blame(said);
                caller.close(Close::new(1011, ""));
            }
        };
        tell(News::Opened);
        caller.attend(Box::new(stream), early, |message| tell(News::Message(message))).await;
        tell(News::Closed(caller.closed().unwrap_or_else(|| Close::new(1006, ""))));
    }
}
