//! New connections: how many, how fast, from whom.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::bucket::{Bucket, Rate};

/// Bounds on new connections. What is refused gets `503 Service Unavailable` with `Retry-After`, and is counted as
/// `fanfare_refused_total` by its cause. The total is [`Limits::max_connections`](crate::Limits::max_connections).
///
/// ```
/// use fanfare::{Admission, SocketIo};
///
/// let io = SocketIo::builder()
///     .admission(Admission::new().connections_per_second(200).connections_per_address(50))
///     .build()?;
/// # Ok::<(), fanfare::BuildError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Admission {
    per_second: Option<u32>,
    burst: Option<Duration>,
    per_address: Option<u32>,
    retry_after: Option<Duration>,
}

impl Admission {
    /// No bounds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Most new connections in a second, on average.
    pub fn connections_per_second(mut self, n: u32) -> Self {
        self.per_second = Some(n);
        self
    }

    /// For how long the rate may be used up at once. Default: 1 s.
    pub fn burst(mut self, burst: Duration) -> Self {
        self.burst = Some(burst);
        self
    }

    /// Most connections at a time from one address; for IPv6 from one /64 network, which is what one subscriber has.
    ///
    /// Behind proxies set [`trusted_proxies`](crate::SocketIoBuilder::trusted_proxies) too, or all connections come
    /// from one address. Connections whose address is not known are not counted.
    pub fn connections_per_address(mut self, n: u32) -> Self {
        self.per_address = Some(n);
        self
    }

    /// What `Retry-After` says. Default: 5 s.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

type Addresses = Arc<Mutex<HashMap<IpAddr, u32, foldhash::quality::RandomState>>>;

/// Where new connections are let in.
#[derive(Debug)]
pub(crate) struct Door {
    rate: Option<Rate>,
    bucket: Mutex<Bucket>,
    per_address: Option<u32>,
    /// Those that have connections now.
    addresses: Addresses,
    pub(crate) retry_after: Duration,
}

impl Door {
    pub(crate) fn new(admission: &Admission) -> Self {
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

    /// Whether somebody may come in; else the cause.
    pub(crate) fn ask(&self, address: Option<IpAddr>, now: Instant) -> Result<(), &'static str> {
        if let (Some(most), Some(address)) = (self.per_address, address) {
            let held = self.addresses.lock().get(&network(address)).copied();
            if held.unwrap_or(0) >= most {
                return Err("connections_per_address");
            }
        }
        match self.rate {
            Some(rate) if !self.bucket.lock().take(rate, 1, now) => Err("connection_rate"),
            _ => Ok(()),
        }
    }

    /// Counts a connection for as long as the guard lives. The second is false if it is one too many: several that
    /// asked at the same moment have all been told yes.
    pub(crate) fn enter(&self, address: Option<IpAddr>) -> (Option<Box<Held>>, bool) {
        let (Some(most), Some(address)) = (self.per_address, address) else {
            return (None, true);
        };
        let network = network(address);
        let mut addresses = self.addresses.lock();
        let held = addresses.entry(network).or_default();
        *held += 1;
        let fits = *held <= most;
        let guard = Held {
            addresses: self.addresses.clone(),
            network,
        };
        (Some(Box::new(guard)), fits)
    }
}

/// A connection of an address.
#[derive(Debug)]
pub(crate) struct Held {
    addresses: Addresses,
    network: IpAddr,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut addresses = self.addresses.lock();
        if let Some(held) = addresses.get_mut(&self.network) {
            *held -= 1;
            if *held == 0 {
                addresses.remove(&self.network);
                if addresses.capacity() > 64 && addresses.len() < addresses.capacity() / 4 {
                    addresses.shrink_to_fit();
                }
            }
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
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
        let door = Door::new(&Admission::new().connections_per_address(2));
        let now = Instant::now();
        let (a, b) = (door.enter(ip("2001:db8::1")), door.enter(ip("2001:db8::2")));
        assert!(a.1 && b.1);
        assert_eq!(
            door.ask(ip("2001:db8::3"), now),
            Err("connections_per_address")
        );
        assert_eq!(door.ask(ip("2001:db8:0:1::3"), now), Ok(()));
        assert_eq!(door.ask(None, now), Ok(()));
        let third = door.enter(ip("2001:db8::3"));
        assert!(!third.1, "one that slipped through is seen");
        drop((a, third));
        assert_eq!(door.ask(ip("2001:db8::3"), now), Ok(()));
        drop(b);
        assert!(door.addresses.lock().is_empty());
        let mapped = (door.enter(ip("::ffff:1.2.3.4")), door.enter(ip("1.2.3.4")));
        assert!(door.ask(ip("1.2.3.4"), now).is_err());
        drop(mapped);
    }

    #[test]
    fn the_rate_of_new_connections() {
        let door = Door::new(&Admission::new().connections_per_second(3));
        let start = Instant::now();
        let came_in = |now| (0..10).filter(|_| door.ask(None, now).is_ok()).count();
        assert_eq!(came_in(start), 3);
        assert_eq!(came_in(start + Duration::from_millis(300)), 1);
        assert_eq!(came_in(start + Duration::from_secs(9)), 3);
    }
}
