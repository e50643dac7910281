//! The keep-alive race (STANDARDS C-06): a service that closes right after each answer, and requests that must not be
//! sent twice.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::clock::Clock;
use crate::upstream::Outbound;
use crate::upstream::tests::backend::Gate;
use crate::upstream::tests::backend::host;
use crate::upstream::tests::backend::post;
use crate::upstream::tests::backend::run;
use crate::upstream::tests::backend::text;

const CALLS: u32 = 10_000;
const SIDE_BY_SIDE: u32 = 8;

/// A service on a thread of its own that answers one request a connection and closes without a word; it notes how often
/// each target was asked for.
fn hasty() -> (SocketAddr, Arc<Mutex<HashMap<String, u32>>>) {
    let seen = Arc::new(Mutex::new(HashMap::new()));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let notes = Arc::clone(&seen);
    std::thread::spawn(move || {
        run(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let notes = Arc::clone(&notes);
                tokio::task::spawn_local(async move {
                    let mut buffer = Vec::new();
                    while !buffer.ends_with(b"body") {
                        match stream.read_buf(&mut buffer).await {
                            Ok(length) if length > 0 => {}
                            _ => return,
                        }
                    }
                    let target = String::from_utf8_lossy(&buffer).split(' ').nth(1).unwrap_or_default().to_owned();
                    *notes.lock().entry(target).or_default() += 1;
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                });
            }
        });
    });
    (address, seen)
}

/// Errors among [`CALLS`] posts, and the most often one of them arrived.
fn posts(is_unsafe: bool) -> (u32, u32) {
    let (address, seen) = hasty();
    let errors = Rc::new(Cell::new(0));
    let counted = Rc::clone(&errors);
    run(async move {
        let gate = Gate::with(vec![host(address)], Clock::real(), |config| config.retry.is_unsafe = is_unsafe);
        let next = Rc::new(Cell::new(0));
        let callers: Vec<_> = (0..SIDE_BY_SIDE)
            .map(|_| {
                let (upstream, next, errors) = (Rc::clone(&gate.upstream), Rc::clone(&next), Rc::clone(&counted));
                tokio::task::spawn_local(async move {
                    while next.get() < CALLS {
                        next.set(next.get() + 1);
                        let outbound = Outbound { target: format!("/{}", next.get()), ..post("body") };
                        match upstream.send(outbound).await {
                            Ok(answer) => assert_eq!(text(answer).await, (200, "ok".into())),
                            Err(_) => errors.set(errors.get() + 1),
                        }
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
    });
    let seen = seen.lock();
    assert!(seen.len() as u32 + errors.get() >= CALLS);
    (errors.get(), seen.values().copied().max().unwrap_or_default())
}

#[test]
fn no_post_is_sent_twice_and_hardly_any_fails() {
    let (errors, most) = posts(false);
    assert_eq!(most, 1, "a POST arrived twice");
    assert!(errors * 1000 < CALLS, "{errors} of {CALLS} failed");
}

#[test]
fn with_unsafe_none_fails() {
    assert_eq!(posts(true).0, 0);
}
