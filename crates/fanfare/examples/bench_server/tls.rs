//! A server over TLS: tokio-rustls below, hyper in between, the service of [`SocketIo`] on top.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use fanfare::{RemoteAddr, Secure, SocketIo};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio_rustls::TlsAcceptor;
use tower_layer::Layer;

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
    loop {
        let (stream, address) = listener.accept().await?;
        tokio::spawn(connection(
            acceptor.clone(),
            stream,
            io.clone(),
            RemoteAddr(address),
        ));
    }
}

async fn connection(acceptor: TlsAcceptor, stream: TcpStream, io: SocketIo, address: RemoteAddr) {
    // Small frames must not wait for the acknowledgement of others.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = tower::util::MapRequestLayer::new(
        move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(address);
            request.extensions_mut().insert(Secure(true));
            request
        },
    )
    .layer(io.service());
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(hyper_util::rt::TokioTimer::new());
    // What goes wrong with a connection ends it, and concerns nobody else.
    let _ = http
        .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service))
        .await;
}
