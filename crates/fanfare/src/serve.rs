//! The server alone, without a framework: an HTTP server for Socket.IO.
//!
//! [`serve()`](crate::serve()) prepares it; [`Serve`] takes options, then what it serves:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use fanfare::SocketIo;
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let io = SocketIo::builder().build()?;
//! fanfare::serve(io)
//!     .header_timeout(Duration::from_secs(5))
//!     .proxy_protocol("10.0.0.0/8".parse()?)
//!     .bind("0.0.0.0:3000")
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! It returns when [`SocketIo::close`] or [`SocketIo::drain`] has completed; after `close` no handler runs any more.
//!
//! # Other streams
//!
//! A Unix socket, or any other stream that can be read and written:
//!
//! ```no_run
//! use fanfare::SocketIo;
//! use tokio::net::UnixListener;
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let serve = fanfare::serve(SocketIo::builder().build()?);
//! let listener = UnixListener::bind("/run/chat.sock")?;
//! loop {
//!     let (stream, _) = listener.accept().await?;
//!     tokio::spawn(serve.clone().connection(stream, None));
//! }
//! # }
//! ```
//!
//! TLS, whose handshake has a timeout:
//!
//! ```no_run
//! use fanfare::SocketIo;
//! use tokio_rustls::TlsAcceptor;
//!
//! # async fn f(tls: TlsAcceptor, io: SocketIo) -> std::io::Result<()> {
//! let serve = fanfare::serve(io).secure(true);
//! let listener = fanfare::serve::bind("0.0.0.0:443").await?;
//! loop {
//!     let (stream, address) = listener.accept().await?;
//!     let _ = stream.set_nodelay(true); // small messages do not wait for the acknowledgement of others
//!     tokio::spawn(serve.clone().handshake(tls.accept(stream), address));
//! }
//! # }
//! ```

use fanfare_engine::http::HttpRejection;
#[doc(inline)]
pub use fanfare_engine::serve::{IdleConnections, OpenSessions, Serve, Served, bind};

use crate::server::SocketIo;
use crate::service::SocketIoService;

/// Requests of open sessions go to the engine at once, because all that [`SocketIoService`] adds concerns handshakes and
/// files.
impl Served for SocketIo {
    type Service = SocketIoService;

    fn service(&self) -> SocketIoService {
        Self::service(self)
    }

    async fn closed(&self) {
        self.0.closed.wait().await;
    }

    async fn ended(&self) {
        Self::ended(self).await;
    }

    fn connections(&self) -> IdleConnections {
        self.0.idle_connections.clone()
    }

    fn sessions(&self) -> Option<OpenSessions> {
        // The application's function is called for each request.
        let unseen = self.0.peer_of.is_none();
        unseen.then(|| OpenSessions::of(self.engine()))
    }

    fn rejected(&self, rejection: HttpRejection) {
        self.0.stats.rejected(rejection.as_str());
    }
}
