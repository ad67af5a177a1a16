//! Rejections of requests to join a namespace.

use fanfare_engine::{MessageBuilder, Protocol};
use fanfare_protocol::Escaped;

use super::Conn;
use crate::codec::Codec;
use crate::handler::ConnectError;
use crate::log_target;
use crate::server::NoNamespace;

pub(super) fn reject(conn: &Conn, namespace: &str, error: &ConnectError) {
    if conn.protocol() == Protocol::V4 {
        return send_connect_error(conn, namespace, error);
    }
    send_rejection(conn, namespace, |codec, buf| {
        codec.write_error(buf, namespace, error.message(), error.data());
    });
}

pub(super) fn reject_namespace(conn: &Conn, name: &str, why: NoNamespace) {
    conn.state().io.stats.rejected(why.cause());
    // An object, which clients of every version understand.
    send_connect_error(conn, name, &ConnectError::new(why.to_string()));
}

fn send_connect_error(conn: &Conn, namespace: &str, error: &ConnectError) {
    send_rejection(conn, namespace, |codec, buf| {
        codec.write_connect_error(buf, namespace, error.message(), error.data());
    });
}

fn send_rejection(conn: &Conn, namespace: &str, write: impl FnOnce(&Codec, &mut MessageBuilder)) {
    let result = conn.send_with(|buf| write(&conn.state().io.codec, buf));
    if result.is_err() {
        let namespace = Escaped(namespace);
        tracing::debug!(target: log_target::SOCKET, %namespace, "the client went before it was rejected");
    }
}
