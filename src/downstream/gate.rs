//! How many clients may be connected: all of them, and those of each address. The newest are refused, the rest are served.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use parking_lot::Mutex;

/// Counts the client connections of all workers together.
#[derive(Clone, Default)]
pub struct Gate(Arc<Counts>);

#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    /// Only those that [`Ticket::belongs_to`] was asked about; never more than are open.
    addresses: Mutex<HashMap<IpAddr, usize, RandomState>>,
}

/// One open connection; counted until dropped.
pub struct Ticket {
    gate: Gate,
    /// Whom it is counted for.
    holder: Option<IpAddr>,
}

impl Gate {
    /// How many are open.
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// A place for one more, where at most `most` may be open.
    pub fn enter(&self, most: usize) -> Option<Ticket> {
        // Dropped at once where it was one too many.
        let before = self.0.open.fetch_add(1, Ordering::Relaxed);
        let ticket = Ticket { gate: self.clone(), holder: None };
        (before < most).then_some(ticket)
    }
}

impl Ticket {
    /// Counts it for `address` too (IPv6: its /64, which is one customer's); false where that has `most` already.
    pub fn belongs_to(&mut self, address: IpAddr, most: usize) -> bool {
        let holder = holder(address);
        let mut addresses = self.gate.0.addresses.lock();
        let open = addresses.entry(holder).or_default();
        if self.holder.is_none() && *open < most {
            *open += 1;
            self.holder = Some(holder);
        }
        self.holder.is_some()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.gate.0.open.fetch_sub(1, Ordering::Relaxed);
        let Some(holder) = self.holder else { return };
        let mut addresses = self.gate.0.addresses.lock();
        let Some(open) = addresses.get_mut(&holder) else { return };
        *open -= 1;
        if *open == 0 {
            addresses.remove(&holder);
        }
    }
}

fn holder(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_newest_is_refused_until_one_leaves() {
        let gate = Gate::default();
        let held: Vec<_> = (0..3).map_while(|_| gate.enter(2)).collect();
        assert_eq!((held.len(), gate.open()), (2, 2));
        drop(held);
        assert!(gate.open() == 0 && gate.enter(2).is_some());
        assert!(gate.enter(0).is_none());
    }

    #[test]
    fn an_address_has_its_share_and_takes_nobody_elses() {
        let gate = Gate::default();
        let enter = |text: &str| {
            let mut ticket = gate.enter(100)?;
            ticket.belongs_to(address(text), 2).then_some(ticket)
        };
        let (first, second) = (enter("192.0.2.1"), enter("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some() && enter("192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some());
        drop(second);
        let again = enter("192.0.2.1");
        assert!(again.is_some() && enter("192.0.2.1").is_none());
        drop((first, again));
        assert!(gate.open() == 0 && gate.0.addresses.lock().is_empty(), "nothing is left behind");
    }

    #[test]
    fn a_network_of_ipv6_is_one_holder() {
        let gate = Gate::default();
        let mut tickets: Vec<_> = (0..3).filter_map(|_| gate.enter(100)).collect();
        assert!(tickets[0].belongs_to(address("2001:db8:0:1::1"), 1));
        assert!(!tickets[1].belongs_to(address("2001:db8:0:1:ffff::2"), 1));
        assert!(tickets[2].belongs_to(address("2001:db8:0:2::1"), 1));
        drop(tickets);
        assert!(gate.0.addresses.lock().is_empty());
    }
}
