//! Operation of a cluster by people and programs: who is there, draining a server, spreading the connections.
//!
//! [`Operations`] does it from any server for all servers of the cluster, and offers it over HTTP, for the command
//! `fanfare cluster` and for load balancers. Without it, nothing of this can be reached.
//!
//! ```no_run
//! use fanfare::SocketIo;
//! use fanfare::operations::{Operations, OperationsOptions};
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let io = SocketIo::builder().build()?; // with an adapter
//! let key = std::fs::read_to_string("/run/secrets/operations")?;
//! let options = OperationsOptions::new(key.trim())?.name("web-1")?;
//! let operations = Operations::start(&io, options)?;
//! tokio::spawn(operations.serve().bind("127.0.0.1:3001"));
//! fanfare::serve(io).bind("0.0.0.0:3000").await?;
//! # Ok(())
//! # }
//! ```
//!
//! # HTTP
//!
//! | request | response |
//! |---|---|
//! | `GET /status` | the [`ClusterStatus`] |
//! | `POST /drain?node=web-1&within=30s` | the [`NodeStatus`] of the server that begins to drain: one of the cluster by its id or its name; without `node` the one that is asked |
//! | `POST /rebalance?within=60s&share=0.5` | the [`RebalanceReport`] |
//! | `GET /healthz` | 200 while the server runs |
//! | `GET /readyz` | 200 if clients may be sent here, else 503 with the reason |
//!
//! The first three need the header `Authorization: Bearer <key>`; the key is compared in constant time. Times are
//! numbers with `ms`, `s` or `m`. Errors are problem documents (RFC 9457). The last part of the path counts, so the
//! service may be mounted under any prefix.
//!
//! # Between the servers
//!
//! Requests to the other servers are server-side events with the reserved name `fanfare:operations`, so they pass
//! through every adapter, and Node.js servers ignore them. Each request has an authentication code (HMAC-SHA-256) under
//! the key, and is carried out once: a program that can publish to the broker, but does not know the key, can neither drain a server
//! nor repeat an earlier request. Servers that do not answer within two seconds, such as those of Node.js, are reported as
//! missing.

mod balance;
mod http;
mod key;
mod order;
mod status;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use self::balance::{NodeMove, RebalanceReport};
pub use self::http::{OperationsFuture, OperationsService};
use self::key::Key;
use self::order::{Command, EVENT};
pub use self::status::{ClusterStatus, NodeState, NodeStatus};
use crate::adapter::ServerEvent;
use crate::log_target;
use crate::serve::{Serve, Served};
use crate::server::{IoInner, SocketIo};

/// Time that a server may take to drain, and the connections of a rebalancing to close, unless told otherwise.
pub const DEFAULT_WITHIN: Duration = Duration::from_secs(30);

/// Minimum length of a key, in bytes.
const MIN_KEY_BYTES: usize = 16;
/// Maximum length of a name, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// Number of carried-out requests of other servers whose ids are remembered.
const MAX_SEEN: usize = 4096;

/// Error of the operation of a cluster.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OperationsError {
    /// The key is too short.
    #[error("a key of {0} bytes is too short: it needs at least {MIN_KEY_BYTES}")]
    ShortKey(usize),
    /// The name cannot be used.
    #[error(
        "{0:?} is no name of a server: 1 to {MAX_NAME_BYTES} letters, digits, `.`, `_`, `:` or `-`"
    )]
    InvalidName(String),
    /// Operations of this server have already been started.
    #[error("the operations of this server have already been started")]
    AlreadyStarted,
    /// No server that answers has this id or name.
    #[error("no server {node:?} answers; those that do: {}", known.join(", "))]
    #[non_exhaustive]
    UnknownNode {
        /// Id or name that was asked for.
        node: String,
        /// Names of the servers that answered.
        known: Vec<String>,
    },
    /// Several servers have this name.
    #[error("{count} servers have the name {node:?}: use the id of one of them")]
    #[non_exhaustive]
    AmbiguousNode {
        /// Name that was asked for.
        node: String,
        /// Number of servers with this name.
        count: usize,
    },
    /// The share of connections is not above 0 and at most 1.
    #[error("{0} is no share of the connections: it must be above 0 and at most 1")]
    InvalidShare(f64),
    /// The other servers cannot be reached.
    #[error("the other servers cannot be reached: {0}")]
    Unreachable(String),
}

/// Options of [`Operations`].
#[derive(Debug, Clone)]
pub struct OperationsOptions {
    key: Key,
    name: Option<String>,
}

impl OperationsOptions {
    /// Creates the options. `key` is the secret of the operators, the same on all servers.
    ///
    /// # Errors
    /// [`OperationsError::ShortKey`] below 16 bytes.
    pub fn new(key: impl AsRef<[u8]>) -> Result<Self, OperationsError> {
        let key = key.as_ref();
        let checked = Key::new(key).filter(|_| key.len() >= MIN_KEY_BYTES);
        Ok(Self {
            key: checked.ok_or(OperationsError::ShortKey(key.len()))?,
            name: None,
        })
    }

    /// Sets the name under which people know this server, such as that of its host. Default: its id, which is random.
    ///
    /// # Errors
    /// [`OperationsError::InvalidName`].
    pub fn name(mut self, name: impl Into<String>) -> Result<Self, OperationsError> {
        let name = name.into();
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        if !(1..=MAX_NAME_BYTES).contains(&name.len()) || !name.bytes().all(is_valid) {
            let shown = name.chars().take(2 * MAX_NAME_BYTES).collect();
            return Err(OperationsError::InvalidName(shown));
        }
        self.name = Some(name);
        Ok(self)
    }
}

/// Operation of the cluster of a server. Cheap to clone.
#[derive(Clone)]
pub struct Operations {
    io: SocketIo,
    node: Arc<Node>,
}

/// This server, as its operations know it.
pub(crate) struct Node {
    io: Weak<IoInner>,
    id: String,
    name: Option<String>,
    key: Key,
    started: Instant,
    draining: AtomicBool,
    /// Ids of the last requests that were carried out.
    seen: Mutex<VecDeque<String>>,
}

impl Operations {
    /// Starts to answer the requests of other servers. Once for each server.
    ///
    /// # Errors
    /// [`OperationsError::AlreadyStarted`].
    pub fn start(io: &SocketIo, options: OperationsOptions) -> Result<Self, OperationsError> {
        let node = Arc::new(Node {
            io: Arc::downgrade(&io.0),
            id: fanfare_cluster::unique_id(),
            name: options.name,
            key: options.key,
            started: Instant::now(),
            draining: AtomicBool::new(false),
            seen: Mutex::default(),
        });
        let receiver = node.clone();
        let handler = move |event: ServerEvent| {
            receiver.receive(event);
            Box::pin(std::future::ready(())) as _
        };
        let first = io.0.own_events.set((EVENT, Arc::new(handler))).is_ok();
        if !first {
            return Err(OperationsError::AlreadyStarted);
        }
        let io = io.clone();
        Ok(Self { io, node })
    }

    /// Returns the random id of this server.
    pub fn id(&self) -> &str {
        &self.node.id
    }

    /// Returns the state of all servers of the cluster. Takes up to two seconds if servers do not answer.
    pub async fn status(&self) -> ClusterStatus {
        let mut status = ClusterStatus::new(&self.io, &self.node);
        match self.ask(&Command::Status).await {
            Ok(answers) => status.take(answers),
            Err(error) => status.error = Some(error.to_string()),
        }
        status
    }

    /// Drains a server of the cluster, named by its id or name; `None`: this one. Returns its state once it has begun: see
    /// [`status`](Self::status) for its progress, and [`SocketIo::drain`] for what happens. Then its
    /// [`serve`](crate::serve()) returns, and the process usually ends.
    ///
    /// # Errors
    /// If no server, or more than one, has this id or name, or the other servers cannot be reached.
    pub async fn drain(
        &self,
        node: Option<&str>,
        within: Duration,
    ) -> Result<NodeStatus, OperationsError> {
        let node = match node {
            Some(node) if !self.node.is(node) => node,
            _ => return Ok(self.node.drain(&self.io, within)),
        };
        let target = self.status().await.find(node)?.clone();
        let command = Command::Drain {
            node: target.id,
            within,
        };
        let mut answers = self.ask(&command).await?;
        let drained = answers.nodes.iter().position(|answer| answer.carried_out);
        match drained {
            Some(index) => Ok(answers.nodes.swap_remove(index).node),
            None => Err(OperationsError::UnknownNode {
                node: node.to_owned(),
                known: answers.names(),
            }),
        }
    }

    /// Closes connections of the servers that have more than their part, so that the clients reconnect and the load
    /// balancer gives them to others: of each such server `share` of the connections that it has too many, paced as by
    /// [`SocketIo::rebalance`] over at most `within`. Returns what has begun.
    ///
    /// The part is the mean of the servers that are ready. A server with up to a twentieth more keeps them. Behind a
    /// balancer that selects servers in turn, some clients return to the server that they left: then repeat it.
    ///
    /// # Errors
    /// If the share is not above 0 and at most 1, or the other servers cannot be reached.
    pub async fn rebalance(
        &self,
        share: f64,
        within: Duration,
    ) -> Result<RebalanceReport, OperationsError> {
        if !(share > 0.0 && share <= 1.0) {
            return Err(OperationsError::InvalidShare(share));
        }
        let status = self.status().await;
        if let Some(error) = status.error {
            return Err(OperationsError::Unreachable(error));
        }
        let mut report = RebalanceReport::new(&status.nodes, share);
        report.missing = status.missing;
        for NodeMove { id, closing, .. } in &report.moves {
            let (node, close) = (id.clone(), *closing);
            if self.node.is(&node) {
                self.node.rebalance(&self.io, close, within);
                continue;
            }
            let command = Command::Rebalance {
                node,
                close,
                within,
            };
            self.tell(&command)?;
        }
        Ok(report)
    }

    /// Returns the HTTP service, to mount it in axum, hyper and other frameworks made of `tower` services.
    ///
    /// ```no_run
    /// # fn f(operations: fanfare::operations::Operations) {
    /// let router: axum::Router = axum::Router::new().nest_service("/operations", operations.service());
    /// # }
    /// ```
    pub fn service(&self) -> OperationsService {
        OperationsService::new(self.clone())
    }

    /// Serves [`service`](Self::service) alone, on an address of its own. It ends when the server has been closed or
    /// drained.
    ///
    /// The traffic is not encrypted: bind it to the loopback interface or a private network, or put it behind TLS.
    pub fn serve(&self) -> Serve<Self> {
        fanfare_engine::serve(self.clone())
    }
}

impl Served for Operations {
    type Service = OperationsService;

    fn service(&self) -> OperationsService {
        Self::service(self)
    }

    async fn closed(&self) {
        self.io.closed().await;
    }
}

impl Node {
    /// Whether this is the id or the name of this server.
    fn is(&self, node: &str) -> bool {
        self.id == node || self.name.as_deref() == Some(node)
    }

    /// Begins to drain, unless that has begun.
    fn drain(self: &Arc<Self>, io: &SocketIo, within: Duration) -> NodeStatus {
        let first = !self.draining.swap(true, Ordering::AcqRel) && io.is_ready();
        if first {
            tracing::info!(target: log_target::DRAIN, ?within, "an operator drains this server");
            let io = io.clone();
            tokio::spawn(async move { io.drain(within).await });
        }
        let mut status = NodeStatus::of(self, io);
        status.state = NodeState::Draining;
        status
    }

    fn rebalance(&self, io: &SocketIo, close: usize, within: Duration) {
        tracing::info!(target: log_target::DRAIN, close, ?within, "an operator moves connections of this server");
        let io = io.clone();
        tokio::spawn(async move { io.close_at_random(close, within).await });
    }
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operations")
            .field("id", &self.node.id)
            .field("name", &self.node.name)
            .finish_non_exhaustive()
    }
}
