//! A connection to a host, between requests or carrying one.

use std::time::Duration;

use crate::clock::Alarm;
use crate::clock::Moment;
use crate::upstream::pool::Pools;
use crate::upstream::pool::lane::Slot;
use crate::upstream::socket::Socket;

/// An open connection; dropping it closes it and gives its place back.
pub(crate) struct Conn {
    pub(crate) socket: Socket,
    /// The one deadline of whatever it is doing.
    pub(crate) alarm: Alarm,
    /// A request was answered on it before.
    pub(crate) reused: bool,
    /// Not used for another request from then on.
    die: Moment,
    /// Idle since.
    pub(super) since: Moment,
    /// Closed when still idle then.
    pub(super) until: Moment,
    slot: Slot,
}

impl Conn {
    /// A fresh connection in its place.
    pub(crate) fn new(socket: Socket, slot: Slot, pools: &Pools) -> Box<Self> {
        let now = pools.clock.now();
        let alarm = pools.alarms.alarm(&pools.clock);
        let die = slot.end(pools, now);
        Box::new(Self { socket, alarm, reused: false, die, since: now, until: Moment::NEVER, slot })
    }

    /// To the idle ones before it carried anything.
    pub(crate) fn lay_by(mut self: Box<Self>, now: Moment) {
        let lane = self.slot.lane().clone();
        self.since = now;
        self.until = now.after(lane.limits().idle).min(self.die);
        lane.rest(self);
    }

    /// Back to the idle ones, unless its time is over. `peer`: how long the host says it keeps idle connections.
    pub(crate) fn give_back(mut self: Box<Self>, now: Moment, peer: Option<Duration>) {
        let lane = self.slot.lane().clone();
        let mut keep = lane.limits().idle;
        if let Some(peer) = peer {
            keep = keep.min(peer.saturating_sub(Duration::from_secs(1)));
        }
        if keep.is_zero() || now >= self.die || !lane.takes_back() || !self.socket.is_drained() {
            return;
        }
        self.alarm.set(Moment::NEVER);
        if self.reused {
            lane.trust();
        }
        self.reused = true;
        self.since = now;
        self.until = now.after(keep).min(self.die);
        lane.rest(self);
    }
}
