//! The cluster page: namespace `/cluster`. It shows the nodes of `fanfare demo --nodes`, controls them, and counts that no
//! message is lost meanwhile.
//!
//! A page numbers its messages. A node that receives a number has all other nodes store it before it acknowledges, so
//! that the number survives the node; each node emits it to its own clients once. A client that reconnects says which number
//! it has, and gets those that it missed from the node that it reaches.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use fanfare::adapter::{ServerEvent, ServerSideEmitError};
use fanfare::typed::{Contract, Typed, TypedEvent, TypedSocket};
use fanfare::{Ack, Data, EmitError, EventError, Namespace, SocketIo, State};
use garde::Validate;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::chat::Hall;
use super::others;
use super::problem::{Form, Problem, rejection};

/// Maximum length of the id of a count, in characters.
const MAX_ID_CHARS: usize = 64;
/// Maximum number of counts, and of the last numbers of each, that a node keeps.
const MAX_COUNTS: usize = 256;
const MAX_NUMBERS: usize = 4096;
/// Maximum number of numbers that a client has received from another node before this one.
const MAX_MISSED: u64 = 16;
/// Room of the pages that watch the nodes.
const WATCHERS: &str = "watchers";

/// Node, as far as the namespace needs it.
#[derive(Debug, Clone, Default)]
pub(super) struct Site {
    /// Number of the node, from 1; 0 if the server is alone.
    pub(super) number: u8,
    pub(super) controls: Option<Controls>,
    pub(super) numbers: Numbers,
    pub(super) hall: Hall,
}

/// Passes on what pages ask for; returns `false` if that is not possible now.
#[derive(Clone)]
pub(super) struct Controls(Arc<dyn Fn(u8, Action) -> bool + Send + Sync>);

impl Controls {
    pub(super) fn new(act: impl Fn(u8, Action) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(act))
    }
}

impl std::fmt::Debug for Controls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Controls")
    }
}

/// Returns what connects the nodes, for people.
pub(super) fn engine_name(address: Option<&str>) -> &'static str {
    match address {
        None => "No broker: the demo passes their messages on",
        Some(address) => super::nodes::engine_kind(address).unwrap_or_default(),
    }
}

/// Contract of the namespace.
#[derive(Contract)]
#[contract(
    namespace = "/cluster",
    auth = Auth,
    from_clients(Count, Control),
    from_server(Here, ClusterState, Number)
)]
pub(super) struct ClusterPage;

/// Without a count, the connection is that of a page that watches the nodes.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Auth {
    /// Id of the count whose numbers the connection receives.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "String"))]
    count: Option<String>,
    /// Highest number that it has received: all up to it have arrived.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "u64"))]
    last: u64,
}

/// The first event after the connection: the node that has it; 0 if there are no nodes.
#[derive(Debug, Serialize, TypedEvent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Here {
    node: u8,
}

/// State of the nodes, twice a second.
#[derive(Debug, Clone, Default, Serialize, Deserialize, TypedEvent)]
#[event(name = "state")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ClusterState {
    /// Engine that connects the nodes.
    pub(super) engine: String,
    pub(super) nodes: Vec<NodeView>,
}

/// A node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct NodeView {
    /// From 1.
    pub(super) number: u8,
    pub(super) phase: Phase,
    /// Number of its connections.
    pub(super) clients: usize,
    /// Number of messages to other nodes since its start.
    pub(super) messages_out: u64,
    /// Number of messages of other nodes since its start.
    pub(super) messages_in: u64,
    /// Time since its start, in seconds.
    pub(super) uptime: u64,
    /// Id of its process.
    pub(super) pid: u32,
}

impl NodeView {
    pub(super) fn new(number: u8) -> Self {
        Self {
            number,
            phase: Phase::Killed,
            clients: 0,
            messages_out: 0,
            messages_in: 0,
            uptime: 0,
            pid: 0,
        }
    }
}

/// Phase in the life of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    Starting,
    Ready,
    Draining,
    Drained,
    Killed,
}

/// A number of the count, sent to all its connections once.
#[derive(Debug, Serialize, TypedEvent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Number(u64);

/// Sends a number of a count. It may be sent again: each connection receives it once.
#[derive(Debug, Deserialize, TypedEvent, Validate)]
#[event(ack = Counted, arguments(request))]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Count {
    #[garde(length(chars, min = 1, max = MAX_ID_CHARS))]
    count: String,
    #[garde(range(min = 1))]
    number: u64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Counted {
    /// Number of nodes that have stored it.
    stored: usize,
}

/// Kills, drains or starts a node.
#[derive(Debug, Deserialize, TypedEvent)]
#[event(ack = (), arguments(request))]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Control {
    node: u8,
    action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    rename_all = "lowercase",
    expecting = "an action: kill, drain or start"
)]
pub(super) enum Action {
    /// Ends the process with SIGKILL.
    Kill,
    Drain,
    Start,
}

pub(super) fn namespace(site: &Site) -> Namespace<ClusterPage> {
    let (storing, sending) = (site.numbers.clone(), site.numbers.clone());
    Namespace::new("/cluster")
        .on_server_event("store", move |event| store(storing.clone(), event))
        .on_server_event("numbers", move |event| numbers(sending.clone(), event))
        .contract::<ClusterPage>()
        .ack_errors(rejection)
        .on_connect(welcome)
        .on_event(count)
        .on_event(control)
}

/// Sends the state of the nodes to the pages on this node.
pub(super) fn show(io: &SocketIo, state: &ClusterState) {
    let watchers = io.typed::<ClusterPage>().to(WATCHERS).local();
    // A page that cannot keep up is disconnected, and comes back.
    let _ = watchers.volatile().emit(state);
}

async fn welcome(
    socket: TypedSocket<ClusterPage>,
    Form(Data(auth)): Form<Data<Option<Auth>>>,
    State(site): State<Site>,
) -> Result<(), EventError> {
    socket.emit(&Here { node: site.number })?;
    match auth {
        Some(Auth {
            count: Some(count),
            last,
        }) => site.numbers.join(&socket, &count, last)?,
        _ => {
            socket.join(WATCHERS)?;
            if site.controls.is_none() {
                socket.emit(&ClusterState::default())?;
            }
        }
    }
    Ok(())
}

async fn control(
    Typed(request): Typed<Control>,
    State(site): State<Site>,
) -> Result<Ack<()>, EventError> {
    let Some(Controls(act)) = site.controls else {
        return Err(Problem::new(
            "alone",
            "This server has no nodes: start `fanfare demo --nodes 3`.",
        )
        .into());
    };
    match act(request.node, request.action) {
        true => Ok(Ack(())),
        false => Err(Problem::new("busy", "The demo does not answer. Please try again.").into()),
    }
}

async fn count(
    io: SocketIo,
    Typed(request): Typed<Count>,
    State(site): State<Site>,
) -> Result<Ack<Counted>, EventError> {
    let Count { count, number } = request;
    site.numbers.store(&io, &count, number)?;
    let others = io
        .of("/cluster")
        .server_side_emit_with_ack::<bool>("store", (&count, number));
    let stored = match others.await {
        Ok(answers) => answers.len(),
        // Some others have it, and those that did not answer may be gone.
        Err(ServerSideEmitError::Timeout { responses, .. }) if !responses.is_empty() => {
            responses.len()
        }
        Err(error) => {
            let text = format!("The other nodes did not store it: {error}.");
            return Err(Problem::new("not_stored", text).into());
        }
    };
    Ok(Ack(Counted { stored: stored + 1 }))
}

/// Stores a number that another node has received.
async fn store(numbers: Numbers, event: ServerEvent) {
    let (Ok((count, number)), Some(io)) = (event.data::<(String, u64)>(), event.io()) else {
        return;
    };
    let stored = numbers.store(&io, &count, number).is_ok();
    let _ = event.ack(stored);
}

/// Answers a node that has just started.
async fn numbers(numbers: Numbers, event: ServerEvent) {
    let all = numbers.0.lock().clone();
    let _ = event.ack((all,));
}

type Counts = BTreeMap<String, BTreeSet<u64>>;

/// Numbers that this node has stored, by count.
///
/// The lock is held while they are emitted, so that a client that joins gets each once.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers(Arc<Mutex<Counts>>);

fn room(count: &str) -> String {
    format!("count:{count}")
}

impl Numbers {
    /// Stores a number and emits it to the clients of this node, unless it is stored.
    fn store(&self, io: &SocketIo, count: &str, number: u64) -> Result<(), EmitError> {
        let mut counts = self.0.lock();
        if insert(&mut counts, count, number) {
            let clients = io.typed::<ClusterPage>().to(room(count)).local();
            clients.emit(&Number(number))?;
        }
        Ok(())
    }

    /// Adds a socket to a count, and sends it the numbers above `last`.
    fn join(
        &self,
        socket: &TypedSocket<ClusterPage>,
        count: &str,
        last: u64,
    ) -> Result<(), EventError> {
        if count.chars().count() > MAX_ID_CHARS {
            return Err(Problem::invalid("The id of the count is too long.").into());
        }
        let mut counts = self.0.lock();
        // A node that has just died may have sent a number to this client before its message reached this node.
        for number in unseen(&counts, count, last) {
            insert(&mut counts, count, number);
            let clients = socket.namespace().to(room(count)).local();
            clients.emit(&Number(number))?;
        }
        socket.join(room(count))?;
        if let Some(numbers) = counts.get(count) {
            for &number in numbers.range(last.saturating_add(1)..) {
                socket.emit(&Number(number))?;
            }
        }
        Ok(())
    }

    /// Gets what the other nodes have stored.
    pub(super) async fn catch_up(&self, io: &SocketIo) {
        let answers: Vec<Counts> = others::ask(io, "/cluster", "numbers").await;
        let mut counts = self.0.lock();
        for (count, numbers) in answers.into_iter().flatten() {
            for number in numbers {
                insert(&mut counts, &count, number);
            }
        }
    }
}

/// Returns the numbers that a client has received and this node has not: none if there are more than a node can miss, which
/// the client has made up.
fn unseen(counts: &Counts, count: &str, last: u64) -> RangeInclusive<u64> {
    let stored = counts.get(count).and_then(BTreeSet::last).copied();
    let stored = stored.unwrap_or_default();
    let missed = last.saturating_sub(stored);
    match (1..=MAX_MISSED).contains(&missed) {
        true => stored + 1..=last,
        false => RangeInclusive::new(1, 0),
    }
}

/// Adds a number; returns `false` if it was there. Old ones are removed.
fn insert(counts: &mut Counts, count: &str, number: u64) -> bool {
    if !counts.contains_key(count) && counts.len() >= MAX_COUNTS {
        counts.pop_first();
    }
    let numbers = counts.entry(count.to_owned()).or_default();
    let is_new = numbers.insert(number);
    if numbers.len() > MAX_NUMBERS {
        numbers.pop_first();
    }
    is_new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_a_client_has_are_known() {
        let mut counts = Counts::default();
        assert!(unseen(&counts, "a", 0).is_empty());
        assert_eq!(unseen(&counts, "a", 2), 1..=2);
        insert(&mut counts, "a", 5);
        assert!(unseen(&counts, "a", 5).is_empty());
        assert!(unseen(&counts, "a", 3).is_empty());
        assert_eq!(unseen(&counts, "a", 6), 6..=6);
        assert!(unseen(&counts, "a", u64::MAX).is_empty(), "made up");
    }

    #[test]
    fn counts_are_bounded() {
        let mut counts = Counts::default();
        assert!(insert(&mut counts, "a", 1));
        assert!(!insert(&mut counts, "a", 1));
        for number in 0..MAX_NUMBERS as u64 + 10 {
            insert(&mut counts, "z", number);
        }
        assert_eq!(counts["z"].len(), MAX_NUMBERS);
        assert_eq!(counts["z"].first(), Some(&10));
        for count in 0..MAX_COUNTS {
            insert(&mut counts, &format!("b{count}"), 1);
        }
        assert_eq!(counts.len(), MAX_COUNTS);
    }
}
