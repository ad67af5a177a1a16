//! Requests between the servers of a cluster for the sessions of clients that come back to another server.
//!
//! Without a log of the adapter, each server keeps its log and the sessions of its clients in memory. When a client comes
//! back to another server, all servers are asked for its private id. The one that has it lends the session: the
//! restoring server runs its middlewares with it, and then asks for the missed events, page by page. The last page ends
//! the session at the lender. A client whose loss the lender has not noticed is disconnected there.
//!
//! Where the adapter has a log and a store of sessions, the other servers are asked only for a session that is not in the
//! store: one of them may not have noticed that the client is gone.
//!
//! Events that reach both servers while the client changes over are recognised by their numbers.

mod ahead;
mod borrow;
mod lend;
mod wire;

pub(super) use ahead::Ahead;
pub(crate) use borrow::PeerClaim;
pub(super) use borrow::release;
pub(crate) use lend::answer_peer;
