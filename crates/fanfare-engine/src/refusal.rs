/// Why a connection was cut or a request refused before Engine.IO came into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpRefusal {
    /// No request has come in time on a new connection, or only a part of one
    /// ([`ServeOptions::header_timeout`](crate::ServeOptions)).
    HeaderTimeout,
    /// The client has taken nothing of an answer for too long ([`ServeOptions::write_timeout`](crate::ServeOptions)).
    WriteTimeout,
    /// The head of a request is too long: [`ServeOptions::max_header_bytes`](crate::ServeOptions), or, for one that opens
    /// a session, [`Limits::max_header_bytes`](fanfare_protocol::Limits).
    HeadTooLong,
    /// Too many connections wait for a request
    /// ([`ServeOptions::max_idle_connections`](crate::ServeOptions)).
    IdleConnections,
    /// A load balancer's connection has no PROXY protocol header
    /// ([`ServeOptions::proxy_protocol`](crate::ServeOptions)).
    ProxyHeader,
    /// What has come is not HTTP.
    NotHttp,
    /// There are too many sessions ([`Limits::max_connections`](fanfare_protocol::Limits)), or no new ones are taken.
    Connections,
}

impl HttpRefusal {
    /// The name, as a label of metrics: `header_timeout`, `write_timeout`, …
    pub const fn as_str(self) -> &'static str {
        match self {
            HttpRefusal::HeaderTimeout => "header_timeout",
            HttpRefusal::WriteTimeout => "write_timeout",
            HttpRefusal::HeadTooLong => "head_too_long",
            HttpRefusal::IdleConnections => "idle_connections",
            HttpRefusal::ProxyHeader => "proxy_header",
            HttpRefusal::NotHttp => "not_http",
            HttpRefusal::Connections => "connections",
        }
    }
}
