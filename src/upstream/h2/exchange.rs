//! One request and its answer on one stream, driven by whoever waits for it.

use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use h2::Reason;
use h2::RecvStream;
use h2::client::ResponseFuture;

use crate::clock::Alarm;
use crate::clock::Clock;
use crate::clock::Moment;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Method;
use crate::http::h1::Framing;
use crate::http::h2::headers;
use crate::http::headers::Known;
use crate::upstream::Hear;
use crate::upstream::Protocol;
use crate::upstream::SendError;
use crate::upstream::Timeouts;
use crate::upstream::attempt::Errand;
use crate::upstream::attempt::Lost;
use crate::upstream::attempt::attempt as attempt_h1;
use crate::upstream::h1::INTERIM;
use crate::upstream::h1::Reply;
use crate::upstream::h2::fields;
use crate::upstream::h2::incoming::Held;
use crate::upstream::h2::incoming::Incoming;
use crate::upstream::h2::outgoing::Fault;
use crate::upstream::h2::outgoing::Outgoing;
use crate::upstream::h2::trunks::Way;
use crate::upstream::h2::trunks::way;
use crate::upstream::retry::Setback;
use crate::upstream::upload::Upload;

/// Sends the errand's request on a stream, and returns when the answer's head is known.
pub(crate) async fn attempt(errand: &Errand<'_>, mut upload: Upload) -> Result<(Reply, Moment), Box<Lost>> {
    let &Errand { pools, shared, lane, outbound, .. } = errand;
    let lost = |error, setback, upload| Err(Box::new(Lost { error, setback, upload }));
    let either = lane.host.protocol == Protocol::Auto;
    if either && (outbound.upgrade.is_some() || lane.trunks.is_old(lane)) {
        return attempt_h1(errand, upload).await;
    }
    let refused = |cause: String| SendError::Protocol { host: errand.host(), cause };
    if outbound.upgrade.is_some() {
        return lost(refused("an upgrade cannot be sent over HTTP/2".into()), None, upload);
    }
    let guard = lane.host.enter();
    let lease = match way(errand).await {
        Ok(Way::Stream(lease)) => lease,
        Ok(Way::Http1) => {
            // it counts itself
            drop(guard);
            return attempt_h1(errand, upload).await;
        }
        Err((error, setback)) => return lost(error, setback, upload),
    };
    let head = match fields::request(outbound, &lane.host, upload.framing) {
        Ok(head) => head,
        Err(cause) => return lost(refused(cause), None, upload),
    };
    upload.keep();
    let bodiless = upload.framing == Framing::None;
    let (answer, stream) = match lease.sender().send_request(head, bodiless) {
        Ok(pair) => pair,
        // the connection ended since it was chosen
        Err(_) => {
            let error = SendError::Reset { host: errand.host(), reused: lease.is_proven() };
            return lost(error, Some(Setback::Unsent), upload);
        }
    };
    let mut call = Call {
        answer,
        outgoing: Outgoing::new(stream, upload, bodiless),
        deaf: false,
        interim: 0,
        alarm: pools.alarms.alarm(&pools.clock),
    };
    let (clock, timeouts) = (&pools.clock, &shared.config().timeout);
    match poll_fn(|cx| call.poll(cx, timeouts, outbound.deadline, clock, outbound.hear.as_deref())).await {
        Ok(answer) => {
            lease.prove();
            let now = clock.now();
            let again = errand.policy.on_status.contains(&answer.status().as_u16());
            let to_head = outbound.method == Method::Head;
            let held = |outgoing| Held { outgoing, alarm: call.alarm, idle: timeouts.idle, lease, guard };
            Ok((finish(answer, call.outgoing, call.deaf, held, to_head, again), now))
        }
        Err(broke) => {
            if matches!(broke, Broke::Late) {
                lease.suspect(timeouts.response / 2);
            }
            let (error, setback) = told(broke, errand.host(), lease.is_proven());
            let mut upload = call.outgoing.into_upload();
            upload.rewind();
            lost(error, setback, upload)
        }
    }
}

/// A request under way.
struct Call {
    answer: ResponseFuture,
    outgoing: Outgoing,
    /// The host takes no more of the body; what it has to say is still read.
    deaf: bool,
    /// Interim answers so far.
    interim: u32,
    alarm: Alarm,
}

/// Why a stream brought no answer.
enum Broke {
    Stream(h2::Error),
    Late,
    Body(BodyError),
    /// Interim answers that make no sense: why.
    Interim(&'static str),
}

impl Call {
    /// Sends what can be sent, until the answer's head is known.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        timeouts: &Timeouts,
        deadline: Moment,
        clock: &Clock,
        hear: Option<&dyn Hear>,
    ) -> Poll<Result<http::Response<RecvStream>, Broke>> {
        if !self.deaf {
            match self.outgoing.poll(cx) {
                Poll::Ready(Err(Fault::Body(error))) => return Poll::Ready(Err(Broke::Body(error))),
                Poll::Ready(Err(Fault::Refused)) => self.deaf = true,
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            if std::mem::take(&mut self.outgoing.progress) {
                // a client that is slow to send is no fault of the service's
                let starved = self.outgoing.starved;
                let patience = if starved { Moment::NEVER } else { clock.now().after(timeouts.response) };
                self.alarm.set(patience.min(deadline));
            }
        }
        self.listen(cx, hear)?;
        if let Poll::Ready(answer) = Pin::new(&mut self.answer).poll(cx) {
            return Poll::Ready(answer.map_err(Broke::Stream));
        }
        ready!(self.alarm.poll(cx));
        Poll::Ready(Err(Broke::Late))
    }

    /// What the host says ahead of its answer; hints are for who wants to hear them.
    fn listen(&mut self, cx: &mut Context<'_>, hear: Option<&dyn Hear>) -> Result<(), Broke> {
        while let Poll::Ready(Some(Ok(interim))) = self.answer.poll_informational(cx) {
            self.interim += 1;
            if self.interim > INTERIM {
                return Err(Broke::Interim("too many interim answers"));
            }
            if interim.status() == http::StatusCode::SWITCHING_PROTOCOLS {
                return Err(Broke::Interim("it switched protocols, which HTTP/2 does not know"));
            }
            if let (103, Some(hear)) = (interim.status().as_u16(), hear) {
                hear.hint(headers(interim.headers(), |known, _, _| known != Known::ContentLength));
            }
        }
        Ok(())
    }
}

/// The answer as the caller gets it. `again`: another attempt may follow.
fn finish(
    answer: http::Response<RecvStream>,
    outgoing: Outgoing,
    deaf: bool,
    held: impl FnOnce(Option<Box<Outgoing>>) -> Held,
    to_head: bool,
    again: bool,
) -> Reply {
    let (parts, stream) = answer.into_parts();
    let (head, length) = fields::response(parts, to_head);
    let (over, early) = (stream.is_end_stream(), !outgoing.is_done());
    let (outgoing, upload) = if outgoing.is_done() {
        let upload = outgoing.into_upload();
        (None, (again && upload.is_replayable()).then(|| Box::new(upload)))
    } else {
        (Some(Box::new(outgoing)).filter(|_| !deaf && !over), None)
    };
    let body = if over { Body::Empty } else { Body::stream(Incoming::new(stream, length, early, held(outgoing))) };
    Reply { head, body, tunnel: None, upload }
}

/// What the end of a stream means: an error, and what follows from it for another attempt.
fn told(broke: Broke, host: String, reused: bool) -> (SendError, Option<Setback>) {
    let error = match broke {
        Broke::Late => return (SendError::Timeout { host, phase: "answer" }, Some(Setback::Late)),
        Broke::Body(error) => return (SendError::Body(error), None),
        Broke::Interim(cause) => return (SendError::Protocol { host, cause: cause.into() }, None),
        Broke::Stream(error) => error,
    };
    // the host says it has not looked at the request (RFC 9113 §8.7)
    if error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM)) {
        return (SendError::Reset { host, reused: false }, Some(Setback::Unsent));
    }
    if error.is_io() {
        return (SendError::Reset { host, reused }, Some(if reused { Setback::Reset } else { Setback::Died }));
    }
    if error.is_remote() && error.reason() != Some(Reason::HTTP_1_1_REQUIRED) {
        return (SendError::Reset { host, reused: false }, Some(Setback::Died));
    }
    (SendError::Protocol { host, cause: error.to_string() }, None)
}
