//! One session as a state machine without I/O and without a clock.
//!
//! A [`Session`] is told what happens (requests, packets, connections lost, time passing) and answers with
//! [`Actions`]: what its driver has to do now. It never sees message contents and owns no heap memory. The driver
//! owns the queue of outgoing packets and the transports.
//!
//! Rules that hold in every order of events, and that the tests check:
//!
//! - The driver is told [`Actions::CLOSED`] exactly once, and nothing but releases of what still waits after it.
//! - At most one GET waits and at most one POST is under way; a second one closes the session.
//! - What is queued goes to one transport at a time: a GET until [`Actions::SWITCH`], the WebSocket from then on.

mod actions;
mod config;
mod machine;
mod state;
mod upgrade;

pub use actions::{Actions, Answer, Received, Refused, Tail};
pub use config::SessionConfig;
pub use machine::Session;
pub use state::{Lane, Revision, Stage, TransportKind};
