//! Opens connections to each kind of deployment.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, IntoConnectionInfo, Pipeline,
    ProtocolVersion, PushInfo, RedisError, RedisResult, Value,
};

use super::subscriptions::{Channel, ChannelKind};
use crate::server::{ConfigError, Deployment, RedisServer};

/// Timeout for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Receiver of pushed messages. It runs on the task that reads the connection, which reads nothing more meanwhile.
pub(super) type OnPush = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// Opener of connections.
pub(super) enum Connector {
    Single(Client),
    #[cfg(feature = "redis-cluster")]
    Cluster(Vec<ConnectionInfo>, Option<Vec<u8>>),
    #[cfg(feature = "sentinel")]
    Sentinel {
        service: String,
        sentinels: Vec<ConnectionInfo>,
        roots: Option<Vec<u8>>,
    },
}

fn invalid(error: &RedisError) -> ConfigError {
    ConfigError::Address(error.to_string())
}

fn parse(url: &str) -> Result<ConnectionInfo, ConfigError> {
    let info = url
        .into_connection_info()
        .map_err(|error| invalid(&error))?;
    let settings = info.redis_settings().clone();
    let settings = settings
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("fanfare-redis", env!("CARGO_PKG_VERSION"));
    Ok(info.set_redis_settings(settings))
}

/// Certificates that are trusted.
#[cfg(feature = "tls")]
fn trusted(roots: Option<&[u8]>) -> Option<redis::TlsCertificates> {
    roots.map(|roots| redis::TlsCertificates {
        client_tls: None,
        root_cert: Some(roots.to_vec()),
    })
}

/// Checks that there is at least one certificate, and that all can be read.
#[cfg(feature = "tls")]
fn check(roots: Option<&[u8]>) -> Result<(), ConfigError> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};

    let Some(roots) = roots else {
        return Ok(());
    };
    let invalid = |error: &dyn std::fmt::Display| {
        ConfigError::Option(format!("the root certificates are invalid: {error}"))
    };
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(roots) {
        certificate.map_err(|error| invalid(&error))?;
        count += 1;
    }
    match count {
        0 => Err(invalid(&"there is no certificate")),
        _ => Ok(()),
    }
}

fn client(info: ConnectionInfo, roots: Option<&[u8]>) -> Result<Client, ConfigError> {
    #[cfg(feature = "tls")]
    check(roots)?;
    #[cfg(feature = "tls")]
    if let Some(certificates) = trusted(roots)
        && matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. })
    {
        return Client::build_with_tls(info, certificates).map_err(|error| invalid(&error));
    }
    let _ = roots;
    Client::open(info).map_err(|error| invalid(&error))
}

#[cfg(any(feature = "redis-cluster", feature = "sentinel"))]
fn parse_all(urls: &[String]) -> Result<Vec<ConnectionInfo>, ConfigError> {
    if urls.is_empty() {
        return Err(ConfigError::Address("the list is empty".to_owned()));
    }
    urls.iter().map(|url| parse(url)).collect()
}

impl Connector {
    pub(super) fn new(server: &RedisServer) -> Result<Self, ConfigError> {
        let roots = server.roots.as_deref();
        Ok(match &server.deployment {
            Deployment::Single(url) => Self::Single(client(parse(url)?, roots)?),
            #[cfg(feature = "redis-cluster")]
            Deployment::Cluster(urls) => {
                let nodes = parse_all(urls)?;
                // Checks the certificates.
                client(nodes[0].clone(), roots)?;
                Self::Cluster(nodes, roots.map(<[u8]>::to_vec))
            }
            #[cfg(feature = "sentinel")]
            Deployment::Sentinel { service, sentinels } => {
                let sentinels = parse_all(sentinels)?;
                client(sentinels[0].clone(), roots)?;
                Self::Sentinel {
                    service: service.clone(),
                    sentinels,
                    roots: roots.map(<[u8]>::to_vec),
                }
            }
        })
    }

    pub(super) async fn connect(&self, on_push: OnPush) -> RedisResult<Connection> {
        let push = move |info| {
            on_push(info);
            Ok::<(), redis::aio::SendError>(())
        };
        // The link itself detects missing answers: a stalled server is not a lost connection.
        let config = || {
            AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT_TIMEOUT))
                .set_response_timeout(None)
        };
        match self {
            Self::Single(client) => {
                let config = config().set_push_sender(push);
                let connection = client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await?;
                Ok(Connection::Single(connection))
            }
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(nodes, roots) => {
                let builder = redis::cluster::ClusterClientBuilder::new(nodes.clone())
                    .use_protocol(ProtocolVersion::RESP3)
                    .connection_timeout(CONNECT_TIMEOUT)
                    .response_timeout(super::ANSWER_TIMEOUT)
                    .push_sender(push);
                #[cfg(feature = "tls")]
                let builder = match trusted(roots.as_deref()) {
                    Some(certificates) => builder.certs(certificates),
                    None => builder,
                };
                let _ = roots;
                let client = builder.build()?;
                Ok(Connection::Cluster(client.get_async_connection().await?))
            }
            #[cfg(feature = "sentinel")]
            Self::Sentinel {
                service,
                sentinels,
                roots,
            } => {
                let mut client = sentinel(service, sentinels, roots.as_deref())?;
                let config = config().set_push_sender(push);
                let connection = client.get_async_connection_with_config(&config).await?;
                Ok(Connection::Single(connection))
            }
        }
    }
}

/// Creates a client of the master of a service, which has the settings of the first sentinel.
#[cfg(feature = "sentinel")]
fn sentinel(
    service: &str,
    sentinels: &[ConnectionInfo],
    roots: Option<&[u8]>,
) -> RedisResult<redis::sentinel::SentinelClient> {
    use redis::sentinel::{SentinelClientBuilder, SentinelServerType};

    let addresses = sentinels.iter().map(|info| info.addr().clone());
    let master = SentinelServerType::Master;
    let mut builder = SentinelClientBuilder::new(addresses, service, master)?
        .set_client_to_redis_protocol(ProtocolVersion::RESP3)
        .set_client_to_sentinel_protocol(ProtocolVersion::RESP3);
    if let Some(first) = sentinels.first() {
        let settings = first.redis_settings();
        builder = builder.set_client_to_redis_db(settings.db());
        if let Some(username) = settings.username() {
            builder = builder
                .set_client_to_redis_username(username)
                .set_client_to_sentinel_username(username);
        }
        if let Some(password) = settings.password() {
            builder = builder
                .set_client_to_redis_password(password)
                .set_client_to_sentinel_password(password);
        }
        #[cfg(feature = "tls")]
        if matches!(first.addr(), redis::ConnectionAddr::TcpTls { .. }) {
            let mode = redis::TlsMode::Secure;
            builder = builder
                .set_client_to_redis_tls_mode(mode)
                .set_client_to_sentinel_tls_mode(mode);
            if let Some(certificates) = trusted(roots) {
                builder = builder
                    .set_client_to_redis_certificates(certificates.clone())
                    .set_client_to_sentinel_certificates(certificates);
            }
        }
    }
    let _ = roots;
    builder.build()
}

/// An open connection. Clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection),
    #[cfg(feature = "redis-cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

impl Connection {
    /// Sends commands in one batch, and returns their replies in order.
    ///
    /// # Errors
    /// If the connection is lost. A rejected command is no error: the rejection is its reply.
    pub(super) async fn send(&mut self, commands: Vec<Cmd>) -> RedisResult<Vec<Value>> {
        match self {
            Self::Single(connection) => {
                let count = commands.len();
                let mut pipeline = Pipeline::with_capacity(count);
                for command in commands {
                    pipeline.add_command(command);
                }
                connection.req_packed_commands(&pipeline, 0, count).await
            }
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => cluster::send(connection, commands).await,
        }
    }

    /// Changes subscriptions, all of the same kind and direction.
    pub(super) async fn subscribe(
        &mut self,
        kind: ChannelKind,
        channels: &[&Channel],
        on: bool,
    ) -> RedisResult<()> {
        match self {
            Self::Single(_) => {
                // One confirmation each, which comes in the place of a reply.
                let commands = channels
                    .iter()
                    .map(|channel| {
                        let mut command = Cmd::new();
                        command.arg(kind.command(on)).arg(&*channel.name);
                        command
                    })
                    .collect();
                for reply in self.send(commands).await? {
                    if let Value::ServerError(error) = reply {
                        return Err(error.into());
                    }
                }
                Ok(())
            }
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => cluster::subscribe(connection, kind, channels, on).await,
        }
    }

    /// Returns the number of subscribers of a channel, on all nodes.
    pub(super) async fn subscribers(
        &mut self,
        kind: ChannelKind,
        channel: &str,
    ) -> RedisResult<usize> {
        let mut command = Cmd::new();
        command.arg("PUBSUB");
        command.arg(match kind {
            ChannelKind::Sharded => "SHARDNUMSUB",
            _ => "NUMSUB",
        });
        command.arg(channel);
        match self {
            Self::Single(connection) => {
                let reply = connection.req_packed_command(&command).await?;
                Ok(second_number(&reply))
            }
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => cluster::subscribers(connection, &command).await,
        }
    }
}

/// Returns the number in the reply of `NUMSUB`, which follows the channel.
fn second_number(reply: &Value) -> usize {
    match reply {
        Value::Array(items) => match items.get(1) {
            Some(Value::Int(count)) => usize::try_from(*count).unwrap_or(0),
            _ => 0,
        },
        // RESP3 has a map.
        Value::Map(pairs) => match pairs.first() {
            Some((_, Value::Int(count))) => usize::try_from(*count).unwrap_or(0),
            _ => 0,
        },
        _ => 0,
    }
}

#[cfg(feature = "redis-cluster")]
mod cluster {
    use std::collections::HashMap;

    use redis::aio::ConnectionLike;
    use redis::cluster_async::ClusterConnection;
    use redis::cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo};
    use redis::{Arg, Cmd, Pipeline, RedisResult, Value};

    use super::super::subscriptions::{Channel, ChannelKind};
    use super::second_number;

    /// Returns the key or channel that determines the node of a command; empty if any node accepts it.
    fn key_of(command: &Cmd) -> Vec<u8> {
        let mut args = command.args_iter().map(|arg| match arg {
            Arg::Simple(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        });
        let name = args.next().unwrap_or_default();
        match &*name {
            b"PUBLISH" | b"PING" => Vec::new(),
            _ => args.next().unwrap_or_default(),
        }
    }

    /// Sends commands to the nodes of their keys or channels. Commands of the same key or channel keep their order;
    /// others are sent concurrently.
    pub(super) async fn send(
        connection: &ClusterConnection,
        commands: Vec<Cmd>,
    ) -> RedisResult<Vec<Value>> {
        let mut groups: HashMap<Vec<u8>, (Pipeline, Vec<usize>)> = HashMap::new();
        let count = commands.len();
        for (index, command) in commands.into_iter().enumerate() {
            let (pipeline, indices) = groups.entry(key_of(&command)).or_default();
            pipeline.add_command(command);
            indices.push(index);
        }
        let sent = groups.into_values().map(|(pipeline, indices)| {
            let mut connection = connection.clone();
            async move {
                let count = indices.len();
                let replies = connection.req_packed_commands(&pipeline, 0, count).await?;
                Ok::<_, redis::RedisError>((indices, replies))
            }
        });
        let mut all = vec![Value::Nil; count];
        for group in futures_util::future::join_all(sent).await {
            let (indices, replies) = group?;
            for (index, reply) in indices.into_iter().zip(replies) {
                if let Some(slot) = all.get_mut(index) {
                    *slot = reply;
                }
            }
        }
        Ok(all)
    }

    pub(super) async fn subscribe(
        connection: &mut ClusterConnection,
        kind: ChannelKind,
        channels: &[&Channel],
        on: bool,
    ) -> RedisResult<()> {
        for channel in channels {
            let name = &*channel.name;
            match (kind, on) {
                (ChannelKind::Exact, true) => connection.subscribe(name).await?,
                (ChannelKind::Exact, false) => connection.unsubscribe(name).await?,
                (ChannelKind::Pattern, true) => connection.psubscribe(name).await?,
                (ChannelKind::Pattern, false) => connection.punsubscribe(name).await?,
                (ChannelKind::Sharded, true) => connection.ssubscribe(name).await?,
                (ChannelKind::Sharded, false) => connection.sunsubscribe(name).await?,
            }
        }
        Ok(())
    }

    pub(super) async fn subscribers(
        connection: &mut ClusterConnection,
        command: &Cmd,
    ) -> RedisResult<usize> {
        let masters =
            RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None::<ResponsePolicy>));
        let reply = connection.route_command(command.clone(), masters).await?;
        Ok(match reply {
            Value::Map(replies) => replies.iter().map(|(_, reply)| second_number(reply)).sum(),
            Value::Array(replies) => replies.iter().map(second_number).sum(),
            _ => 0,
        })
    }
}
