//! Options of HTTP responses: cross-origin requests, the cookie, compression.

mod compression;
mod cookie;
mod cors;

pub(crate) use compression::ON_THE_FLY;
pub use compression::{ContentEncoding, HttpCompression};
pub use cookie::{Cookie, CookiePriority, SameSite};
pub(crate) use cors::add;
pub use cors::{Cors, CorsOrigin};
