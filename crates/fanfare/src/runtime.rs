//! A runtime for servers.

use tokio::runtime::Builder;

/// How often a worker looks into the queue that all workers share: every second time it takes a task.
///
/// A worker's own queue holds 256 tasks; when more connections than that have something to say at once, the rest go to
/// the shared queue, which Tokio empties one task at a time and, by default, the more seldom the shorter the tasks are.
/// A server under load never gets through its own queue, and those others wait.
const SHARED_QUEUE_INTERVAL: u32 = 2;

/// Runs a server to its end on a multi-threaded Tokio runtime that is fair to many connections.
///
/// It is what `#[tokio::main]` makes, with one setting changed
/// ([`global_queue_interval`](Builder::global_queue_interval)): when more than 256 connections are active at once, none
/// of them waits much longer than the others. Nothing else depends on it: every function of this crate works on any
/// Tokio runtime with I/O and time enabled.
///
/// ```no_run
/// use fanfare::SocketIo;
///
/// async fn server() -> Result<(), Box<dyn std::error::Error>> {
///     let io = SocketIo::builder().build()?;
///     Ok(fanfare::serve("127.0.0.1:3000", io).await?)
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     fanfare::block_on(server())?
/// }
/// ```
///
/// # Errors
/// If the threads, or what they wait with, cannot be had from the system.
///
/// # Panics
/// When called from within a runtime.
pub fn block_on<F: Future>(server: F) -> std::io::Result<F::Output> {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .global_queue_interval(SHARED_QUEUE_INTERVAL)
        .build()?;
    Ok(runtime.block_on(server))
}
