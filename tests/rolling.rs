//! Hosts that die and come back under load: nobody who may be asked twice notices.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use crate::support::client::Client;
use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;
use crate::support::upstream::Upstream;
use crate::support::wait;

/// Clients that ask without a pause, and what became of it.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn on(address: SocketAddr) -> Self {
        let (stop, done): (Arc<AtomicBool>, Arc<AtomicUsize>) = Default::default();
        let thread = |method: &'static str| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            std::thread::spawn(move || {
                let (mut client, mut faults) = (Client::connect(address), Vec::new());
                while !stop.load(Ordering::SeqCst) {
                    let answer = client.call(method, "/", &[], "");
                    if answer.status != 200 || answer.text() != "alive" {
                        faults.push(format!("{method}: {answer:?}"));
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                }
                faults
            })
        };
        let threads = ["GET", "PUT", "GET", "DELETE"].map(thread).into();
        Self { stop, done, threads }
    }

    /// Waits for that many more answers.
    fn go_on(&self, more: usize) {
        let goal = self.done.load(Ordering::SeqCst) + more;
        wait::until("the load goes on", || self.done.load(Ordering::SeqCst) >= goal);
    }

    fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    }
}

fn alive(address: SocketAddr) -> Upstream {
    upstream::serve_at(address, |conn| while conn.request().is_some() && conn.send(upstream::ok("alive")) {})
}

fn three() -> (Vec<Option<Upstream>>, Gateway) {
    let services: Vec<_> = (0..3).map(|_| Some(alive("127.0.0.1:0".parse().unwrap()))).collect();
    let address = |index: usize| services[index].as_ref().unwrap().address();
    let gateway = gateway::script(
        r#"
        upstream "three" { "$ONE", "$TWO", "$THREE", retry = { times = 2, budget = 1 } }
        route "/" { to = "three" }
        "#,
    )
    .with("$ONE", address(0))
    .with("$TWO", address(1))
    .with("$THREE", address(2))
    .start();
    (services, gateway)
}

#[test]
fn one_of_three_is_killed_and_no_client_notices() {
    let (mut services, gateway) = three();
    let load = Load::on(gateway.address());
    load.go_on(200);
    services[1] = None;
    load.go_on(600);
    assert_eq!(load.end(), Vec::<String>::new());
}

#[test]
fn all_three_are_restarted_one_after_another_and_no_client_notices() {
    let (mut services, gateway) = three();
    let load = Load::on(gateway.address());
    for service in &mut services {
        load.go_on(100);
        let address = service.as_ref().unwrap().address();
        drop(service.take());
        load.go_on(200);
        *service = Some(alive(address));
        load.go_on(200);
    }
    assert!(services.iter().all(|service| service.as_ref().unwrap().calls() > 0), "a host was not asked again");
    assert_eq!(load.end(), Vec::<String>::new());
}
