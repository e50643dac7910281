//! TLS before a service in clear text, each connection passed on as it is.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio::task::spawn_local;

use crate::support::tls::Pair;

/// Passes on until it is dropped.
pub(crate) struct Front {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Shows the certificate of `pair`, and leads to `service`.
pub(crate) fn before(service: SocketAddr, pair: &Pair) -> Front {
    let acceptor = pair.acceptor(&["http/1.1"]);
    let (stop, stopped) = oneshot::channel();
    let (ready, address) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            ready.send(listener.local_addr().unwrap()).unwrap();
            spawn_local(async move {
                while let Ok((client, _)) = listener.accept().await {
                    let acceptor = acceptor.clone();
                    spawn_local(async move {
                        // Whoever does not like the certificate is gone by now.
                        let Ok(mut client) = acceptor.accept(client).await else { return };
                        let mut service = TcpStream::connect(service).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut service).await;
                    });
                }
            });
            let _ = stopped.await;
        });
    });
    Front { address: address.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
}

impl Front {
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}
