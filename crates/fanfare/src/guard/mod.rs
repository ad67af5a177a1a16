//! Who may come in, and how much those inside may send.

mod admission;
mod bucket;
mod rate;

pub use admission::Admission;
pub(crate) use admission::{Door, Held};
pub use rate::{Excess, RateLimits};
pub(crate) use rate::{Meter, Verdict};
