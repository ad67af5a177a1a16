//! One session as a state machine without I/O and without a clock.
//!
//! Its driver reports events (requests, packets, lost connections, passing time) to a [`Session`], which answers with
//! the [`Actions`] to carry out now. It never sees message contents and owns no heap memory. The driver owns the queue
//! of outgoing packets and the transports.
//!
//! Rules that hold in every order of events, and that the tests check:
//!
//! - The driver gets [`Actions::CLOSED`] exactly once, and after it only the release of pending requests.
//! - At most one GET and at most one POST is pending; a second one closes the session.
//! - The queue goes to one transport at a time: a GET until [`Actions::SWITCH`], the WebSocket from then on.

mod actions;
mod config;
mod machine;
mod polling;
mod state;
mod upgrade;

pub use actions::{Actions, Answer, Received, SessionRejection, Tail};
pub use config::SessionConfig;
pub use machine::Session;
pub use state::Stage;
