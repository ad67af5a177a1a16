//! A server over TLS: tokio-rustls below, [`SocketIo`] on top.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use fanfare::SocketIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::ToSocketAddrs;
use tokio_rustls::TlsAcceptor;

/// Serves until the process ends. Sessions are resumed with tickets, which cost the server no memory.
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
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = fanfare::serve::bind(address).await?;
    let serve = fanfare::serve(io).secure(true);
    loop {
        let (stream, address) = listener.accept().await?;
        // Small frames must not wait for the TCP acknowledgement of earlier ones.
        let _ = stream.set_nodelay(true);
        let handshake = acceptor.accept(stream);
        tokio::spawn(serve.clone().handshake(handshake, address));
    }
}
