//! Admission control, rate limits, and the policy for slow consumers. [`Limits`](crate::Limits) bounds one client.

mod admission;
mod bucket;
mod fair;
mod rate;

pub use admission::ConnectionLimits;
pub(crate) use admission::{AdmissionControl, ConnectionPermit, PER_ADDRESS};
pub(crate) use fair::{FairShare, Owner};
pub(crate) use rate::{Meter, Verdict};
pub use rate::{RateLimitAction, RateLimits};

pub use fanfare_engine::{OutboxUnit, SlowConsumer};
