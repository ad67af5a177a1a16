//! A server over TLS: tokio-rustls below, [`SocketIo`] on top.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use fanfare::{ServeOptions, SocketIo, serve_connection_with};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio_rustls::TlsAcceptor;

/// Serves until the process ends. Sessions are resumed by tickets, which costs the server no memory.
pub(crate) async fn serve(
    address: impl ToSocketAddrs,
    io: SocketIo,
    cert: &Path,
    key: &Path,
) -> Result<(), Box<dyn Error>> {
    let certs = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certs, PrivateKeyDer::from_pem_file(key)?)?;
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(address).await?;
    let mut options = ServeOptions::default();
    options.secure = true;
    loop {
        let (stream, address) = listener.accept().await?;
        let (acceptor, io, options) = (acceptor.clone(), io.clone(), options.clone());
        tokio::spawn(async move {
            // Small frames must not wait for the acknowledgement of others.
            let _ = stream.set_nodelay(true);
            if let Ok(stream) = acceptor.accept(stream).await {
                serve_connection_with(stream, address, io, options).await;
            }
        });
    }
}
