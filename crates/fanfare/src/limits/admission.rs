//! Admission control for new connections: total rate and number per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::bucket::{Bucket, Rate};
use super::fair::Owner;
use crate::clock;

/// Limits on new connections. A rejected connection gets `503 Service Unavailable` with `Retry-After`, and is counted
/// as `fanfare_rejected_total` by its cause. The total is limited by
/// [`Limits::max_connections`](crate::Limits::max_connections).
///
/// ```
/// use fanfare::limits::ConnectionLimits;
/// use fanfare::SocketIo;
///
/// let io = SocketIo::builder()
///     .admission(ConnectionLimits::new().connections_per_second(200).connections_per_address(50))
///     .build()?;
/// # Ok::<(), fanfare::BuildError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ConnectionLimits {
    per_second: Option<u32>,
    burst: Option<Duration>,
    per_address: Option<u32>,
    retry_after: Option<Duration>,
}

impl ConnectionLimits {
    /// Creates a value without limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the maximum average number of new connections per second.
    pub fn connections_per_second(mut self, n: u32) -> Self {
        self.per_second = Some(n);
        self
    }

    /// Sets the time for which the rate may be used up at once. Default: 1 s.
    pub fn burst(mut self, burst: Duration) -> Self {
        self.burst = Some(burst);
        self
    }

    /// Sets the maximum number of simultaneous connections from one address; for IPv6 from one /64 network, which is
    /// what one subscriber has.
    ///
    /// A connection over the limit waits up to half a second for another one to end before it is rejected: when a page
    /// is reloaded, its new connection may arrive before the old one has ended. As many connections may wait as may be
    /// open.
    ///
    /// Behind proxies set [`trusted_proxies`](crate::SocketIoBuilder::trusted_proxies) too, or all connections have the
    /// address of the proxy. Connections whose address is not known are not counted, which is logged as an error once;
    /// inside axum, provide the address with [`SocketIoBuilder::peer`](crate::SocketIoBuilder::peer).
    pub fn connections_per_address(mut self, n: u32) -> Self {
        self.per_address = Some(n);
        self
    }

    /// Sets the value of `Retry-After`. Default: 5 s.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Returns the name of a limit that rejects every connection, if there is one.
    pub(crate) fn unsound(&self) -> Option<&'static str> {
        let zero = |n: Option<u32>| n == Some(0);
        match self {
            _ if zero(self.per_second) => Some("connections_per_second"),
            _ if zero(self.per_address) => Some("connections_per_address"),
            _ if self.burst == Some(Duration::ZERO) => Some("burst"),
            _ => None,
        }
    }
}

type Addresses = Arc<Mutex<HashMap<Owner, Places, foldhash::quality::RandomState>>>;

/// Connections of one address.
#[derive(Debug, Default)]
struct Places {
    held: u32,
    waiting: u32,
    /// Notified of each connection that ends, once another has waited for one.
    freed: Option<Arc<Notify>>,
}

/// Time that a connection over the limit waits for another one to end.
const RECONNECT_GRACE: Duration = Duration::from_millis(500);

/// Cause under which a connection over the limit per address is rejected.
pub(crate) const PER_ADDRESS: &str = "connections_per_address";

/// Admission control for new connections.
#[derive(Debug)]
pub(crate) struct AdmissionControl {
    rate: Option<Rate>,
    bucket: Mutex<Bucket>,
    per_address: Option<u32>,
    /// Addresses that have connections now.
    addresses: Addresses,
    pub(crate) retry_after: Duration,
}

impl AdmissionControl {
    pub(crate) fn new(admission: &ConnectionLimits) -> Self {
        let burst = admission.burst.unwrap_or(Duration::from_secs(1));
        let rate = |n: u32| Rate::per_second(n.into(), burst);
        Self {
            rate: admission.per_second.map(rate),
            bucket: Mutex::new(Bucket::full()),
            per_address: admission.per_address,
            addresses: Arc::default(),
            retry_after: admission.retry_after.unwrap_or(Duration::from_secs(5)),
        }
    }

    /// Whether the address of a client matters.
    pub(crate) fn counts_addresses(&self) -> bool {
        self.per_address.is_some()
    }

    /// Checks whether a connection may be admitted; the error is the cause of the rejection.
    pub(crate) fn ask(&self, address: Option<IpAddr>, now: Instant) -> Result<(), &'static str> {
        if let (Some(most), Some(address)) = (self.per_address, address) {
            let addresses = self.addresses.lock();
            let places = addresses.get(&Owner::of(Some(address)));
            if places.is_some_and(|places| places.held >= most) {
                return Err(PER_ADDRESS);
            }
        }
        match self.rate {
            Some(rate) if !self.bucket.lock().take(rate, 1, now) => Err("connection_rate"),
            _ => Ok(()),
        }
    }

    /// Reserves a place to wait for a connection of this address to end; `None` if too many wait already.
    pub(crate) fn wait(&self, address: Option<IpAddr>) -> Option<Waiting> {
        let (most, owner) = (self.per_address?, Owner::of(Some(address?)));
        let mut addresses = self.addresses.lock();
        let places = addresses.entry(owner).or_default();
        if places.waiting >= most {
            return None;
        }
        places.waiting += 1;
        let freed = places.freed.get_or_insert_default().clone();
        Some(Waiting {
            addresses: self.addresses.clone(),
            owner,
            address,
            freed,
        })
    }

    /// Counts a connection for as long as the permit lives. The second value is false if the connection is over the
    /// limit: several that asked at the same time may all have been admitted.
    pub(crate) fn enter(&self, address: Option<IpAddr>) -> (Option<Box<ConnectionPermit>>, bool) {
        let (Some(most), Some(address)) = (self.per_address, address) else {
            return (None, true);
        };
        let owner = Owner::of(Some(address));
        let mut addresses = self.addresses.lock();
        let places = addresses.entry(owner).or_default();
        places.held += 1;
        let fits = places.held <= most;
        let guard = ConnectionPermit {
            addresses: self.addresses.clone(),
            owner,
        };
        (Some(Box::new(guard)), fits)
    }
}

/// Permit that counts a connection for its address.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    addresses: Addresses,
    owner: Owner,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        leave(&self.addresses, self.owner, |places| {
            places.held -= 1;
            if let Some(freed) = &places.freed {
                freed.notify_one();
            }
        });
    }
}

/// A connection over the limit, which is admitted if another one ends.
#[derive(Debug)]
pub(crate) struct Waiting {
    addresses: Addresses,
    owner: Owner,
    address: Option<IpAddr>,
    freed: Arc<Notify>,
}

impl Waiting {
    /// Asks again each time that a connection has ended.
    ///
    /// # Errors
    /// The cause if the connection is not admitted in time.
    pub(crate) async fn ask(self, admission: &AdmissionControl) -> Result<(), &'static str> {
        let place = async {
            loop {
                match admission.ask(self.address, clock::now()) {
                    Err(PER_ADDRESS) => {}
                    answer => return answer,
                }
                // A connection that has ended since the check is remembered.
                self.freed.notified().await;
            }
        };
        let answer = tokio::time::timeout(RECONNECT_GRACE, place).await;
        answer.unwrap_or(Err(PER_ADDRESS))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        leave(&self.addresses, self.owner, |places| places.waiting -= 1);
    }
}

/// Updates the counts of an address, and removes the address if it has none left.
fn leave(addresses: &Addresses, owner: Owner, take: impl FnOnce(&mut Places)) {
    let mut addresses = addresses.lock();
    let Some(places) = addresses.get_mut(&owner) else {
        return;
    };
    take(places);
    if places.held == 0 && places.waiting == 0 {
        addresses.remove(&owner);
        if addresses.capacity() > 64 && addresses.len() < addresses.capacity() / 4 {
            addresses.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn addresses_are_counted_while_they_are_held() {
        let admission = AdmissionControl::new(&ConnectionLimits::new().connections_per_address(2));
        let now = Instant::now();
        let (a, b) = (
            admission.enter(ip("2001:db8::1")),
            admission.enter(ip("2001:db8::2")),
        );
        assert!(a.1 && b.1);
        assert_eq!(
            admission.ask(ip("2001:db8::3"), now),
            Err("connections_per_address")
        );
        assert_eq!(admission.ask(ip("2001:db8:0:1::3"), now), Ok(()));
        assert_eq!(admission.ask(None, now), Ok(()));
        let third = admission.enter(ip("2001:db8::3"));
        assert!(!third.1, "one that slipped through is seen");
        drop((a, third));
        assert_eq!(admission.ask(ip("2001:db8::3"), now), Ok(()));
        drop(b);
        assert!(admission.addresses.lock().is_empty());
        let mapped = (
            admission.enter(ip("::ffff:1.2.3.4")),
            admission.enter(ip("1.2.3.4")),
        );
        assert!(admission.ask(ip("1.2.3.4"), now).is_err());
        drop(mapped);
    }

    #[test]
    fn the_rate_of_new_connections() {
        let admission = AdmissionControl::new(&ConnectionLimits::new().connections_per_second(3));
        let start = Instant::now();
        let came_in = |now| (0..10).filter(|_| admission.ask(None, now).is_ok()).count();
        assert_eq!(came_in(start), 3);
        assert_eq!(came_in(start + Duration::from_millis(300)), 1);
        assert_eq!(came_in(start + Duration::from_secs(9)), 3);
    }
}
