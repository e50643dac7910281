//! Memory of heads that are gone, for those to come: a request needs some four times, and always about as much.

use std::cell::RefCell;

use super::List;

/// Lists kept by a thread.
const KEPT: usize = 128;
/// Those whose fields took more bytes than this are freed.
const LARGEST: usize = 4 << 10;
/// The same for their number.
const MOST: usize = 64;

thread_local! {
    #[allow(clippy::vec_box, reason = "a list goes from hand to hand in its box")]
    static SPARE: RefCell<Vec<Box<List>>> = const { RefCell::new(Vec::new()) };
}

/// An empty list.
#[inline]
pub(super) fn take() -> Box<List> {
    SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten().unwrap_or_else(fresh)
}

#[cold]
fn fresh() -> Box<List> {
    Box::new(List { fields: Vec::with_capacity(16), ..List::default() })
}

/// Gives a list back. A thread that ends keeps none.
#[inline]
pub(super) fn give(mut list: Box<List>) {
    if list.bytes.capacity() > LARGEST || list.fields.capacity() > MOST {
        return;
    }
    list.bytes.clear();
    list.fields.clear();
    list.present = 0;
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < KEPT {
            spare.push(list);
        }
    });
}
