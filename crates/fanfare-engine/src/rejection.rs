/// Reason for which a connection was closed or a request rejected before Engine.IO handled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpRejection {
    /// A new connection sent no complete request in time ([`Serve::header_timeout`](crate::serve::Serve)).
    HeaderTimeout,
    /// The client has read nothing of a response for too long ([`Serve::write_timeout`](crate::serve::Serve)).
    WriteTimeout,
    /// The head of a request is too long: [`Serve::max_header_bytes`](crate::serve::Serve), or, for one that opens
    /// a session, [`Limits::max_header_bytes`](fanfare_protocol::Limits).
    HeadTooLong,
    /// Too many connections wait for a request
    /// ([`Serve::max_idle_connections`](crate::serve::Serve)).
    IdleConnections,
    /// A load balancer's connection has no PROXY protocol header
    /// ([`Serve::proxy_protocol`](crate::serve::Serve)).
    ProxyHeader,
    /// The input is not HTTP.
    NotHttp,
    /// There are too many sessions ([`Limits::max_connections`](fanfare_protocol::Limits)), or new ones are not
    /// accepted.
    Connections,
}

impl HttpRejection {
    /// Name as a label of metrics: `header_timeout`, `write_timeout`, …
    pub const fn as_str(self) -> &'static str {
        match self {
            HttpRejection::HeaderTimeout => "header_timeout",
            HttpRejection::WriteTimeout => "write_timeout",
            HttpRejection::HeadTooLong => "head_too_long",
            HttpRejection::IdleConnections => "idle_connections",
            HttpRejection::ProxyHeader => "proxy_header",
            HttpRejection::NotHttp => "not_http",
            HttpRejection::Connections => "connections",
        }
    }
}
