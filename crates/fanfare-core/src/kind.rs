//! Kinds of handlers, and the context of each.

/// Kind of a handler: the occasion on which it runs, for example an event or a connection.
///
/// The kind decides about the extractors and return types of the handler.
pub trait HandlerKind: 'static {
    /// Socket of the side that runs the handler.
    type Socket: 'static;
    /// Values that are available to handlers of this kind.
    type Context<'a>: HasSocket<Socket = Self::Socket>;
}

/// Context with a socket, as every handler kind has.
pub trait HasSocket {
    /// Socket of the side that runs the handler.
    type Socket;

    /// Returns the socket concerned.
    fn socket(&self) -> &Self::Socket;

    /// Returns the name of the event for logs, for example `connect` or `disconnect` if it is not an event of the peer.
    fn event_name(&self) -> &str;
}
