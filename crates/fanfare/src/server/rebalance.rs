//! Moving of connections to the other servers of a cluster.

use std::time::Duration;

use tokio::time::Instant;

use super::SocketIo;
use super::pace::{Random, close_paced};
use crate::log_target;

/// Error of [`rebalance`](SocketIo::rebalance): the share is not between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is no share of the connections: it must be between 0 and 1")]
pub struct InvalidShareError(pub f64);

impl SocketIo {
    /// Closes a share of the connections, from 0 to 1, so that their clients reconnect and a load balancer gives them
    /// to other servers: for a server that has more than its part, as all have after one was added or restarted.
    /// Returns the number of connections that it closed.
    ///
    /// The connections are chosen at random and closed as by [`drain`](Self::drain): one after the other with jitter, at
    /// least 10 ms apart if `within` allows it, each after the messages that were sent to it. Their sockets are
    /// disconnected with the reason `server shutting down`, after which recovery restores them elsewhere. The server
    /// accepts new connections all the while; what the load balancer gives back to it, it keeps.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn f(io: fanfare::SocketIo) -> Result<(), fanfare::server::InvalidShareError> {
    /// let closed = io.rebalance(0.25, Duration::from_secs(60)).await?;
    /// println!("{closed} clients were asked to reconnect");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InvalidShareError`]; no connection is closed.
    ///
    /// # Cancel safety
    /// The connections that were not closed before the call was dropped stay open.
    pub async fn rebalance(
        &self,
        share: f64,
        within: Duration,
    ) -> Result<usize, InvalidShareError> {
        if !(0.0..=1.0).contains(&share) {
            return Err(InvalidShareError(share));
        }
        let count = (self.clients_count() as f64 * share).round() as usize;
        Ok(self.close_at_random(count, within).await)
    }

    /// Closes this many connections, see [`rebalance`](Self::rebalance). Returns the number of those that were open.
    pub(crate) async fn close_at_random(&self, count: usize, within: Duration) -> usize {
        let engine = self.engine();
        let mut connections = Vec::with_capacity(engine.connections());
        engine.for_each(|conn| connections.push(conn.clone()));
        Random::new().shuffle(&mut connections);
        connections.truncate(count);
        let chosen = connections.len();
        let closed = close_paced(connections, Instant::now(), within).await;
        tracing::debug!(target: log_target::DRAIN, chosen, closed, "connections were moved");
        closed
    }
}
