//! Brokers that `--engine` names.

use fanfare::SocketIoBuilder;
use fanfare_nats::Nats;
use fanfare_postgres::Postgres;
use fanfare_redis::Classic;

use crate::exit::Failure;

/// Prefix of everything that the demo keeps in a broker.
const PREFIX: &str = "fanfare-demo";

/// Adapter for a broker, to wait for its connection.
pub(super) enum Engine {
    Redis(fanfare_redis::RedisAdapter),
    Nats(fanfare_nats::NatsAdapter),
    Postgres(fanfare_postgres::PostgresAdapter),
}

/// Description of the broker of an address; `None` if there is no adapter for it.
pub(in crate::demo) fn kind(address: &str) -> Option<&'static str> {
    match address.split_once("://")?.0 {
        "redis" | "rediss" => Some("Connected by Redis"),
        "nats" | "tls" => Some("Connected by NATS"),
        "postgres" | "postgresql" => Some("Connected by PostgreSQL"),
        _ => None,
    }
}

impl Engine {
    /// Creates the adapter for an address.
    pub(super) fn new(address: &str) -> Result<Self, Failure> {
        let wrong = |why: &dyn std::fmt::Display| {
            Failure::usage("the broker cannot be used").because(why).fix(
                "write an address such as redis://127.0.0.1:6379, nats://127.0.0.1:4222 or postgres://user:password@127.0.0.1/database",
            )
        };
        match kind(address) {
            Some("Connected by Redis") => Classic::new(address)
                .key(PREFIX)
                .adapter()
                .map(Self::Redis)
                .map_err(|error| wrong(&error)),
            Some("Connected by NATS") => Nats::new(address)
                .prefix(PREFIX)
                .adapter()
                .map(Self::Nats)
                .map_err(|error| wrong(&error)),
            Some(_) => Postgres::new(address)
                .channel_prefix(PREFIX)
                .table("fanfare_demo_attachments")
                .adapter()
                .map(Self::Postgres)
                .map_err(|error| wrong(&error)),
            None => Err(wrong(&"there is no adapter for this kind of address")),
        }
    }

    pub(super) fn add_to(&self, builder: SocketIoBuilder) -> SocketIoBuilder {
        match self {
            Self::Redis(adapter) => builder.adapter(adapter.clone()),
            Self::Nats(adapter) => builder.adapter(adapter.clone()),
            Self::Postgres(adapter) => builder.adapter(adapter.clone()),
        }
    }

    /// Waits for the connection.
    pub(super) async fn ready(&self) {
        match self {
            Self::Redis(adapter) => adapter.ready().await,
            Self::Nats(adapter) => adapter.ready().await,
            Self::Postgres(adapter) => adapter.ready().await,
        }
    }
}
