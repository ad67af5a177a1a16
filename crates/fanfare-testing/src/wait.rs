//! Waiting with a deadline.

use std::time::Duration;

/// Time within which [`within`] and [`until`] expect what they wait for. It is long, so that a busy machine does not
/// fail a test; with a paused clock it is virtual.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Interval at which [`until`] checks its condition.
const CHECK_INTERVAL: Duration = Duration::from_millis(2);

/// Waits for a future, at most [`DEADLINE`], and returns its output.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (sender, receiver) = tokio::sync::oneshot::channel();
/// sender.send(1).unwrap();
/// assert_eq!(fanfare_testing::within("the number", receiver).await, Ok(1));
/// # }
/// ```
///
/// # Panics
/// If the future has not completed by then. The message begins with `what`.
pub async fn within<F: IntoFuture>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} did not happen within {DEADLINE:?}"),
    }
}

/// Waits until a condition holds for which there is no notification, at most [`DEADLINE`]. It is checked every 2 ms, so
/// that a paused clock advances by that much.
///
/// ```
/// # use fanfare::SocketIo;
/// # use fanfare_testing::{TestServer, until};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let io = SocketIo::builder().build()?;
/// let server = TestServer::start(io.clone());
/// let socket = server.client().await?;
/// socket.disconnect();
/// until("the client is gone", || io.clients_count() == 0).await;
/// # Ok(())
/// # }
/// ```
///
/// # Panics
/// If the condition does not hold by then. The message begins with `what`.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    within(what, async {
        while !condition() {
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    })
    .await;
}
