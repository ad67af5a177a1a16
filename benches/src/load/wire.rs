//! Non-blocking sockets, plain or TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::client::ClientConnection;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use socket2::{Domain, Protocol, Socket, Type};

/// Number of source addresses, so that the ports of one do not run out.
const SOURCES: u64 = 16;

/// Address and TLS settings of the server.
pub(super) struct Dialer {
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    dialed: u64,
}

impl Dialer {
    /// Creates a dialer; `ca` is the certificate to trust, as PEM, without which there is no TLS.
    pub(super) fn new(port: u16, ca: Option<&std::path::Path>) -> anyhow::Result<Dialer> {
        let tls = match ca {
            None => None,
            Some(file) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_file(file)?)?;
                // Resumption is on: a client keeps the server's tickets.
                let config = ClientConfig::builder()
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                Some(Arc::new(config))
            }
        };
        Ok(Dialer {
            port,
            tls,
            dialed: 0,
        })
    }

    pub(super) fn dial(&mut self) -> io::Result<Wire> {
        self.dialed += 1;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        let source = Ipv4Addr::new(127, 0, 0, 2 + (self.dialed % SOURCES) as u8);
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        match socket.connect(&server.into()) {
            Ok(()) => {}
            // EINPROGRESS: the first write waits for it.
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        let tls = match &self.tls {
            None => None,
            Some(config) => {
                let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
                let mut tls =
                    ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                tls.set_buffer_limit(None);
                Some(Box::new(tls))
            }
        };
        Ok(Wire {
            socket: TcpStream::from_std(socket.into()),
            tls,
            unsent: Vec::new(),
        })
    }
}

/// Non-blocking connection.
pub(super) struct Wire {
    pub(super) socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// Bytes that the socket has not accepted yet.
    unsent: Vec<u8>,
}

/// Result of a read.
pub(super) enum Input {
    /// This number of bytes, and perhaps more to read.
    More(usize),
    /// This number of bytes, and nothing more for now.
    Last(usize),
    /// The peer has closed the connection.
    Closed,
}

impl Wire {
    /// Reads the available bytes.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Input> {
        let Some(tls) = &mut self.tls else {
            return match self.socket.read(buffer) {
                Ok(0) => Ok(Input::Closed),
                Ok(n) if n < buffer.len() => Ok(Input::Last(n)),
                Ok(n) => Ok(Input::More(n)),
                Err(error) if is_later(&error) => Ok(Input::Last(0)),
                Err(error) => Err(error),
            };
        };
        let (mut blocked, mut ended) = (false, false);
        match tls.read_tls(&mut self.socket) {
            Ok(0) => ended = true,
            Ok(_) => {}
            Err(error) if is_later(&error) => blocked = true,
            Err(error) => return Err(error),
        }
        tls.process_new_packets().map_err(io::Error::other)?;
        self.write(&[])?;
        let Some(tls) = &mut self.tls else {
            return Ok(Input::Closed);
        };
        match tls.reader().read(buffer) {
            Ok(0) => Ok(Input::Closed),
            Ok(n) => Ok(Input::More(n)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(match (ended, blocked) {
                (true, _) => Input::Closed,
                (_, true) => Input::Last(0),
                _ => Input::More(0),
            }),
            Err(error) => Err(error),
        }
    }

    /// Writes `data` after the bytes that the socket has not accepted yet.
    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.writer().write_all(data)?;
            while tls.wants_write() {
                match tls.write_tls(&mut self.socket) {
                    Ok(_) => {}
                    Err(error) if is_later(&error) => break,
                    Err(error) => return Err(error),
                }
            }
            return Ok(());
        }
        if self.unsent.is_empty() {
            let n = self.try_write(data)?;
            self.unsent.extend_from_slice(&data[n..]);
            return Ok(());
        }
        self.unsent.extend_from_slice(data);
        let unsent = std::mem::take(&mut self.unsent);
        let n = self.try_write(&unsent)?;
        self.unsent = unsent;
        self.unsent.drain(..n);
        Ok(())
    }

    fn try_write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < data.len() {
            match self.socket.write(&data[written..]) {
                Ok(n) => written += n,
                Err(error) if is_later(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Returns whether the TLS session was resumed.
    pub(super) fn is_resumed(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|tls| tls.handshake_kind() == Some(HandshakeKind::Resumed))
    }
}

fn is_later(error: &io::Error) -> bool {
    // NotConnected: the connection is still being made.
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected
    )
}
