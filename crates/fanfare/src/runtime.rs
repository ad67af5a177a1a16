//! Tokio runtime for servers.

use tokio::runtime::Builder;

/// Interval at which a worker polls the queue that all workers share, in tasks: every second time it takes a task.
///
/// A worker's local queue holds 256 tasks; when more connections than that are active at once, the rest go to the
/// shared queue, which Tokio polls one task at a time and, by default, the less often the shorter the tasks are. A
/// server under load never empties its local queue, and the tasks in the shared queue wait.
const SHARED_QUEUE_INTERVAL: u32 = 2;

/// Runs a server to its end on a multi-threaded Tokio runtime that is fair to many connections.
///
/// It equals the runtime of `#[tokio::main]` with one setting changed
/// ([`global_queue_interval`](Builder::global_queue_interval)): when more than 256 connections are active at once, none
/// of them waits much longer than the others. Nothing else depends on it: every function of this crate works on any
/// Tokio runtime with I/O and time enabled.
///
/// ```no_run
/// use fanfare::SocketIo;
///
/// async fn server() -> Result<(), Box<dyn std::error::Error>> {
///     let io = SocketIo::builder().build()?;
///     Ok(fanfare::serve(io).bind("127.0.0.1:3000").await?)
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     fanfare::runtime::block_on(server())?
/// }
/// ```
///
/// # Errors
/// If the system cannot provide the threads or the I/O driver.
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
