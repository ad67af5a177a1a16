//! Stream of a client whose WebSocket is relayed.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::oneshot;

use crate::stream::{Duplex, HttpStream, KeepBusy, Taken, Takeover};

/// Time for which a client may take nothing of what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Request of a client for a WebSocket that is relayed.
pub struct RelayUpgrade(Source);

enum Source {
    Hyper(OnUpgrade, Option<KeepBusy>),
    Own(oneshot::Receiver<Taken>),
}

impl fmt::Debug for RelayUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayUpgrade")
    }
}

impl RelayUpgrade {
    pub(crate) fn hyper(upgrade: OnUpgrade, busy: Option<KeepBusy>) -> Self {
        Self(Source::Hyper(upgrade, busy))
    }

    pub(crate) fn own(takeover: &Takeover) -> Self {
        let (give, taken) = oneshot::channel();
        takeover.set(move |stream| {
            // The relay may have given up meanwhile.
            let _ = give.send(stream);
        });
        Self(Source::Own(taken))
    }

    /// Returns the stream to the client, once the response with status 101 was sent.
    ///
    /// # Errors
    /// The client went away before, or the response had another status.
    pub async fn stream(self) -> io::Result<RelayStream> {
        match self.0 {
            Source::Hyper(upgrade, busy) => {
                let upgraded = upgrade.await.map_err(io::Error::other)?;
                Ok(RelayStream {
                    stream: Box::pin(TokioIo::new(upgraded)),
                    _busy: busy,
                })
            }
            Source::Own(taken) => {
                let gone = |_| io::Error::from(io::ErrorKind::NotConnected);
                let taken = taken.await.map_err(gone)?;
                let http = HttpStream::new(taken.early, taken.stream, WRITE_TIMEOUT);
                let mut stream = Box::pin(TokioIo::new(http));
                stream.write_all(&taken.head).await?;
                Ok(RelayStream {
                    stream,
                    _busy: None,
                })
            }
        }
    }
}

/// Stream to a client whose WebSocket is relayed: its frames, as they are.
pub struct RelayStream {
    stream: Pin<Box<dyn Duplex>>,
    /// Marks the HTTP connection below, which may carry other streams, as in use.
    _busy: Option<KeepBusy>,
}

impl fmt::Debug for RelayStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayStream")
    }
}

impl AsyncRead for RelayStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for RelayStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }
}
