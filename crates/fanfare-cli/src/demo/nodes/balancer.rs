//! Load balancer of the demo: each connection goes to the next node that is ready.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::Supervisor;

/// Response if no node is ready.
const NO_NODE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-type: text/plain\r\ncontent-length: 19\r\nconnection: close\r\n\r\nNo node is running\n";

/// Passes connections on until the future is dropped.
pub(super) async fn run(listener: TcpListener, supervisor: Arc<Supervisor>) -> io::Result<()> {
    let turn = Arc::new(AtomicUsize::new(0));
    loop {
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            // Of a client that is gone already, or for lack of file descriptors: then others have to end first.
            Err(_) => {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let (supervisor, turn) = (supervisor.clone(), turn.clone());
        tokio::spawn(async move { pass_on(client, &supervisor, &turn).await });
    }
}

async fn pass_on(mut client: TcpStream, supervisor: &Supervisor, turn: &AtomicUsize) {
    let ports = supervisor.ready_ports();
    let first = turn.fetch_add(1, Ordering::Relaxed);
    for offset in 0..ports.len() {
        let port = ports[(first + offset) % ports.len()];
        // A node that has just been killed refuses it: the next one gets it.
        if let Ok(mut node) = TcpStream::connect(("127.0.0.1", port)).await {
            // If the option cannot be set, only latency suffers.
            let _ = client.set_nodelay(true);
            let _ = node.set_nodelay(true);
            // An error means that one side is gone, and closes both.
            let _ = copy_bidirectional(&mut client, &mut node).await;
            return;
        }
    }
    let _ = client.write_all(NO_NODE).await;
}
