//! Task that keeps the connections: one listens, the other sends.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_cluster::{Health, QueueReader, reconnection_delays, turn_len};
use fanfare_protocol::{deadline, finite};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use tokio_postgres::{AsyncMessage, Client, Notification};

use crate::log_target;
use crate::node::Node;
use crate::outgoing::{Item, Statement, statements};

/// Timeout of an attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest delay between two attempts to connect.
const MAX_DELAY: Duration = Duration::from_millis(500);
/// Interval between the checks of both connections.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Timeout for an answer of the server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);
/// Interval between the checks for due heartbeats.
const TICK: Duration = Duration::from_millis(50);
/// Maximum number of messages that are sent before the server has answered.
const BATCH: usize = 1024;
/// Maximum number of rows that are read at the same time.
const ROWS: usize = 32;
/// Longest row that is read, in bytes.
const MAX_ROW_BYTES: i32 = 64 << 20;

/// Reason for which there is no connection.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{}", describe(.0))]
    Server(#[from] tokio_postgres::Error),
    #[error("PostgreSQL closed the connection")]
    Closed,
    #[error("PostgreSQL did not answer for {0:?}")]
    Silent(Duration),
}

/// Formats an error with its causes.
fn describe(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

/// Guard that reports the end of the task.
struct Ended(Arc<Node>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended();
    }
}

/// Connects repeatedly until the adapter is closed.
pub(crate) async fn run(node: Arc<Node>, mut queue: QueueReader<Item>) {
    let _ended = Ended(node.clone());
    let mut backoff = reconnection_delays(MAX_DELAY);
    let mut give_up = deadline(Instant::now(), node.options.max_outage);
    while !node.is_closed() {
        let connected = within_outage(&node, &mut queue, give_up, connect(&node)).await;
        let lost = match connected {
            Err(lost) => lost,
            Ok(connections) => {
                let served = serve(&node, &mut queue, connections).await;
                if node.health.get().is_ready() {
                    backoff.reset();
                    give_up = deadline(Instant::now(), node.options.max_outage);
                }
                node.disconnected();
                match served {
                    Ok(()) => return,
                    Err(lost) => lost,
                }
            }
        };
        if node.health.down(Instant::now(), &lost) {
            tracing::warn!(target: log_target::CLUSTER, error = %lost, "not connected to PostgreSQL, trying again");
        } else {
            tracing::debug!(target: log_target::CLUSTER, error = %lost, "not connected to PostgreSQL, trying again");
        }
        let pause = async {
            tokio::time::sleep(backoff.next_delay()).await;
            Ok(())
        };
        let _ = within_outage(&node, &mut queue, give_up, pause).await;
    }
}

/// Waits for a step of connecting. When there has been no connection for too long, the queue is emptied.
async fn within_outage<T>(
    node: &Node,
    queue: &mut QueueReader<Item>,
    give_up: Instant,
    step: impl Future<Output = Result<T, Lost>>,
) -> Result<T, Lost> {
    let mut step = pin!(tokio::time::timeout(CONNECT_TIMEOUT, step));
    tokio::select! {
        biased;
        done = &mut step => return done.unwrap_or(Err(Lost::Silent(CONNECT_TIMEOUT))),
        () = tokio::time::sleep_until(give_up.into()) => {}
    }
    if node.give_up() {
        let dropped = queue.clear();
        if dropped > 0 {
            node.lose();
        }
        let outage = node.options.max_outage;
        tracing::warn!(target: log_target::CLUSTER, ?outage, dropped, "no connection to PostgreSQL for long: messages are dropped");
    }
    step.await.unwrap_or(Err(Lost::Silent(CONNECT_TIMEOUT)))
}

type Connection = tokio_postgres::Connection<
    tokio_postgres::Socket,
    <crate::tls::Connector as tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket>>::Stream,
>;

/// The connection that sends, and the one that listens.
struct Connections {
    sender: (Client, Connection),
    /// `None` for an emitter.
    listener: Option<(Client, Connection)>,
}

async fn connect(node: &Node) -> Result<Connections, Lost> {
    Ok(Connections {
        sender: node.server.connect(node.tls.0.clone()).await?,
        listener: match node.emits_only {
            true => None,
            false => Some(node.server.connect(node.tls.0.clone()).await?),
        },
    })
}

/// Uses the connections until one is lost, or until the queue has been sent after the adapter was closed.
async fn serve(
    node: &Node,
    queue: &mut QueueReader<Item>,
    connections: Connections,
) -> Result<(), Lost> {
    let Connections {
        sender: (sender, sending),
        listener,
    } = connections;
    let (listener, mut listening) = listener.unzip();
    let notifications = stream::poll_fn(move |context| match &mut listening {
        Some(listening) => listening.poll_message(context),
        None => Poll::Pending,
    });
    let receive = async {
        // Rows are fetched concurrently, and messages are handled in their order.
        let messages = notifications.map(async |message| match message? {
            AsyncMessage::Notification(notification) => {
                message_of(node, &sender, notification).await
            }
            _ => Ok(None),
        });
        // What has arrived together is handled together; other tasks run in between.
        let mut ready = pin!(messages.buffered(ROWS).ready_chunks(ROWS));
        while let Some(messages) = ready.next().await {
            let mut lost = None;
            let received = messages
                .into_iter()
                .map_while(|message| message.map_err(|error| lost = Some(error)).ok());
            let mut received: Vec<_> = received.flatten().collect();
            while !received.is_empty() {
                let turn = turn_len(received.iter().map(|(_, payload)| payload.len()));
                node.receive_all(received.drain(..turn));
                tokio::task::yield_now().await;
            }
            if let Some(lost) = lost {
                return lost;
            }
        }
        Lost::Closed
    };
    tokio::select! {
        ended = sending => Err(ended.map_or_else(Lost::from, |()| Lost::Closed)),
        lost = receive => Err(lost),
        sent = send(node, queue, &sender, listener.as_ref()) => sent,
    }
}

/// Returns the message of a notification, which may be in a row.
async fn message_of(
    node: &Node,
    client: &Client,
    notification: Notification,
) -> Result<Option<(String, Bytes)>, Lost> {
    let channel = notification.channel().to_owned();
    let payload = Bytes::copy_from_slice(notification.payload().as_bytes());
    let Some(id) = node.row_of(&channel, &payload) else {
        return Ok(Some((channel, payload)));
    };
    let table = &node.options.table;
    let query =
        format!("SELECT payload FROM {table} WHERE id = $1 AND octet_length(payload) <= $2");
    let row = client.query_opt(&query, &[&id, &MAX_ROW_BYTES]).await;
    let Some(row) = accepted(row.map_err(Lost::from))?.flatten() else {
        tracing::warn!(target: log_target::CLUSTER, id, "a message is gone, or too long");
        return Ok(None);
    };
    let payload: Vec<u8> = row.try_get(0)?;
    Ok(Some((channel, payload.into())))
}

async fn send(
    node: &Node,
    queue: &mut QueueReader<Item>,
    sender: &Client,
    listener: Option<&Client>,
) -> Result<(), Lost> {
    // Notifications are not stored, so there is nothing to make durable.
    in_time(sender.batch_execute("SET synchronous_commit = off")).await?;
    let table = &node.options.table;
    if node.options.create_table {
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {table} \
             (id bigserial UNIQUE, created_at timestamptz DEFAULT NOW(), payload bytea)"
        );
        if let Err(error) = sender.batch_execute(&create).await {
            // Another node may create it at the same time, or this one may lack the permission, which it does not need
            // if the table exists.
            tracing::debug!(target: log_target::CLUSTER, error = %describe(&error), "the table was not created");
        }
    }
    if let Some(listener) = listener {
        listen(node, listener, true).await?;
    }
    node.connected();
    node.health.set(Health::Up);
    tracing::info!(target: log_target::CLUSTER, "connected to PostgreSQL");
    let mut sender_sql = Sql::prepare(sender, table).await?;
    let clean =
        format!("DELETE FROM {table} WHERE created_at < NOW() - make_interval(secs => $1::float8)");
    let mut ticks = tokio::time::interval(TICK);
    let mut checks = tokio::time::interval(CHECK_INTERVAL);
    let cleanup = node.options.cleanup_interval;
    let mut cleanups =
        tokio::time::interval_at(deadline(Instant::now(), cleanup).into(), finite(cleanup));
    for interval in [&mut ticks, &mut checks, &mut cleanups] {
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            count = queue.next_batch(&mut batch, BATCH) => {
                if count == 0 {
                    return Ok(());
                }
                let sent = sender_sql.publish(sender, batch.drain(..)).await;
                if !matches!(sent, Ok(true)) {
                    node.lose();
                }
                sent?;
            }
            () = node.changed.notified() => {
                if let Some(listener) = listener {
                    listen(node, listener, false).await?;
                }
            }
            _ = ticks.tick() => node.handle_timeouts(),
            _ = checks.tick() => {
                let both = async {
                    tokio::try_join!(sender.simple_query(""), listener.unwrap_or(sender).simple_query(""))
                };
                in_time(both).await?;
            }
            _ = cleanups.tick() => {
                let age = cleanup.as_secs_f64();
                if let Err(error) = sender.execute(&clean, &[&age]).await {
                    let error = describe(&error);
                    tracing::warn!(target: log_target::CLUSTER, %error, "old messages are not deleted");
                }
            }
        }
    }
}

/// Prepared statements of a connection.
struct Sql {
    notify: tokio_postgres::Statement,
    /// Statement for long messages, prepared when the first is sent: the table may not exist.
    insert: Option<tokio_postgres::Statement>,
    insert_text: String,
}

impl Sql {
    async fn prepare(client: &Client, table: &str) -> Result<Self, Lost> {
        let notify = "SELECT pg_notify(channel, payload) \
             FROM unnest($1::text[], $2::text[]) AS message(channel, payload)";
        let insert_text = format!(
            "WITH row AS (INSERT INTO {table} (payload) VALUES ($3) RETURNING id) \
             SELECT pg_notify($1::text, $2::text || id || '\"}}') FROM row"
        );
        Ok(Self {
            notify: in_time(client.prepare(notify)).await?,
            insert: None,
            insert_text,
        })
    }

    /// Sends messages. All statements are sent before the first is answered. A statement that the server rejects is
    /// logged; returns whether all were accepted.
    async fn publish(
        &mut self,
        client: &Client,
        items: impl IntoIterator<Item = Item>,
    ) -> Result<bool, Lost> {
        let mut flushes = Vec::new();
        let messages = items.into_iter().filter_map(|item| match item {
            Item::Message(message) => Some(message),
            Item::Flush(waiting) => {
                flushes.push(waiting);
                None
            }
        });
        let statements = statements(messages);
        let mut all = true;
        let is_insert = |statement: &Statement| matches!(statement, Statement::Insert(..));
        if self.insert.is_none() && statements.iter().any(is_insert) {
            let prepared = in_time(client.prepare(&self.insert_text)).await;
            self.insert = accepted(prepared)?;
        }
        let sent = statements
            .into_iter()
            .map(async |statement| match statement {
                Statement::Notify(channels, texts) => {
                    client.execute(&self.notify, &[&channels, &texts]).await
                }
                Statement::Insert(channel, head, data) => match &self.insert {
                    Some(insert) => client.execute(insert, &[&channel, &head, &data]).await,
                    None => Ok(0),
                },
            });
        for sent in in_time(async { Ok(join_all(sent).await) }).await? {
            all &= accepted(sent.map_err(Lost::from))?.is_some_and(|rows| rows > 0);
        }
        if all {
            for waiting in flushes {
                let _ = waiting.send(());
            }
        }
        Ok(all)
    }
}

/// Returns the server's answer; `None`, with a log message, if it rejected the statement.
fn accepted<T>(answer: Result<T, Lost>) -> Result<Option<T>, Lost> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Lost::Server(error)) if error.as_db_error().is_some() && !error.is_closed() => {
            let error = describe(&error);
            tracing::error!(target: log_target::CLUSTER, %error, "PostgreSQL rejects a statement: a message is lost");
            Ok(None)
        }
        Err(lost) => Err(lost),
    }
}

/// Listens to channels, and introduces this node there.
async fn listen(node: &Node, client: &Client, all: bool) -> Result<(), Lost> {
    let changes = node.take_changes(all);
    let mut sql = String::new();
    for (channel, opened) in &changes {
        let verb = if *opened { "LISTEN" } else { "UNLISTEN" };
        let name = channel.replace('"', "\"\"");
        sql.push_str(&format!("{verb} \"{name}\";"));
    }
    in_time(client.batch_execute(&sql)).await?;
    if all {
        node.connected();
    }
    node.introduce(&changes);
    Ok(())
}

async fn in_time<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Lost> {
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Lost::Silent(ANSWER_TIMEOUT)),
    }
}
