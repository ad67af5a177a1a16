//! The server: what its builder takes and what a [`SocketIo`] reports.

mod build;
pub(crate) mod builder;
mod check;
mod drain;
pub(crate) mod handle;
mod http;
mod namespaces;
mod observe;
mod pace;
mod rebalance;
mod task_tracker;

pub(crate) use builder::SocketIoBuilder;
pub use drain::DrainReport;
pub(crate) use handle::{IoInner, SocketIo};
use handle::{PeerOf, ShareOf};
pub(crate) use namespaces::{NamespaceListener, NoNamespace, Share};
pub use rebalance::InvalidShareError;
pub(crate) use task_tracker::{Latch, TaskTracker, run_or_spawn};

pub use crate::stats::Stats;
