//! Lock and socket for the scheduler of `shuttle`.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use shuttle::sync::Condvar;

pub(crate) use shuttle::sync::MutexGuard;

/// Mutex with the interface of `parking_lot`'s.
#[derive(Debug)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Mutex(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("no test panics under a lock")
    }
}

#[derive(Debug)]
struct State {
    /// Number of bytes that the socket takes before it blocks.
    room: usize,
    /// Bytes that the peer has not read.
    written: Vec<u8>,
    /// Waker of the writer that waits for space.
    writer: Option<Waker>,
    ended: bool,
}

/// A socket with a small buffer.
#[derive(Debug)]
pub(crate) struct Socket {
    state: shuttle::sync::Mutex<State>,
    arrived: Condvar,
}

impl Socket {
    pub(super) fn new(room: usize) -> Arc<Socket> {
        Arc::new(Socket {
            state: shuttle::sync::Mutex::new(State {
                room,
                written: Vec::new(),
                writer: None,
                ended: false,
            }),
            arrived: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics under a lock")
    }

    /// Reads what is there, as the peer, and waits for it. `None`: the stream has ended.
    pub(super) fn read(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        while state.written.is_empty() {
            if state.ended {
                return None;
            }
            state = self
                .arrived
                .wait(state)
                .expect("no test panics under a lock");
        }
        let data = std::mem::take(&mut state.written);
        state.room += data.len();
        let writer = state.writer.take();
        drop(state);
        writer.into_iter().for_each(Waker::wake);
        Some(data)
    }

    /// As tokio's: leaves the waker if there is no space.
    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        if state.room > 0 {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Write half with the interface of tokio's.
#[derive(Debug)]
pub(crate) struct OwnedWriteHalf(pub(super) Arc<Socket>);

impl OwnedWriteHalf {
    pub(crate) fn try_write(&self, data: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        let n = data.len().min(state.room);
        if n == 0 && !data.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.room -= n;
        state.written.extend_from_slice(&data[..n]);
        self.0.arrived.notify_one();
        Ok(n)
    }

    /// As tokio's, for a stream that ends anyway: here it ends with the half.
    pub(crate) fn forget(self) {}

    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let pieces: Vec<&[u8]> = slices.iter().map(|slice| &**slice).collect();
        self.try_write(&pieces.concat())
    }
}

impl AsRef<Socket> for OwnedWriteHalf {
    fn as_ref(&self) -> &Socket {
        &self.0
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.arrived.notify_one();
    }
}
