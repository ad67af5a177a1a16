//! `fanfare demo --nodes`: several servers behind a balancer, each a process of its own.
//!
//! The demo starts the processes and talks to them over their standard input and output. Without a broker it also passes the
//! messages of the cluster on, as a broker would ([`adapter`]); with `--engine` the nodes connect to a broker themselves.

mod adapter;
mod balancer;
mod engine;
mod wire;
mod worker;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

pub(super) use self::engine::kind as engine_kind;
use self::wire::{Frame, Kind};
pub(super) use self::worker::run as run_node;
use super::cluster::{Action, ClusterState, NodeView, Phase};
use crate::exit::Failure;
use crate::out::{self, text};

/// Maximum number of nodes.
pub(super) const MAX_NODES: u8 = 9;
/// Interval at which the pages get the state of the nodes.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
/// Environment variable with the key of the relay.
const KEY: &str = "FANFARE_DEMO_KEY";

/// Frame of a node about itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum FromNode {
    /// It listens on this port and takes part in the cluster.
    Started { port: u16 },
    /// It knows what the others know, and may get clients.
    Ready,
    /// Its numbers.
    Counts {
        clients: usize,
        messages_out: u64,
        messages_in: u64,
    },
    /// A page asks for this.
    Control { node: u8, action: Action },
}

/// Frame for a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum ToNode {
    /// The other nodes, with the addresses at which they listen.
    Peers {
        ids: Vec<String>,
        addresses: Vec<String>,
    },
    /// The state of all nodes, for the pages.
    State(ClusterState),
    /// The node shall drain and end.
    Drain,
}

/// The nodes.
pub(super) struct Supervisor {
    /// Address of the broker, if there is one.
    engine: Option<String>,
    /// Options with folders, which each node serves.
    folders: Vec<(&'static str, PathBuf)>,
    key: String,
    slots: Mutex<Vec<Slot>>,
}

/// A node, running or not.
struct Slot {
    view: NodeView,
    /// Id of the running process, new after each start.
    id: String,
    starts: u64,
    started: Instant,
    port: u16,
    /// Whether it takes part in the cluster.
    joined: bool,
    out: Option<mpsc::Sender<Frame>>,
    kill: Option<oneshot::Sender<()>>,
}

/// Runs the balancer and the nodes until the future is dropped.
pub(super) async fn run(
    listener: TcpListener,
    nodes: u8,
    engine: Option<String>,
    folders: Vec<(&'static str, PathBuf)>,
) -> Result<(), Failure> {
    let slot = |number| Slot {
        view: NodeView::new(number),
        id: String::new(),
        starts: 0,
        started: Instant::now(),
        port: 0,
        joined: false,
        out: None,
        kill: None,
    };
    let supervisor = Arc::new(Supervisor {
        engine,
        folders,
        key: fanfare_cluster::unique_id() + &fanfare_cluster::unique_id(),
        slots: Mutex::new((1..=nodes).map(slot).collect()),
    });
    for number in 1..=nodes {
        supervisor
            .start(number)
            .map_err(super::failed("a node cannot be started"))?;
    }
    let reporting = supervisor.clone();
    let reports = async move {
        let mut ticks = tokio::time::interval(REPORT_INTERVAL);
        loop {
            ticks.tick().await;
            reporting.report();
        }
    };
    tokio::select! {
        ended = balancer::run(listener, supervisor) => ended.map_err(super::failed("the balancer failed")),
        () = reports => Ok(()),
    }
}

impl Supervisor {
    /// Starts the process of a node, unless it runs.
    fn start(self: &Arc<Self>, number: u8) -> std::io::Result<()> {
        let mut slots = self.slots.lock();
        let Some(slot) = slots.get_mut(usize::from(number).wrapping_sub(1)) else {
            return Ok(());
        };
        if slot.out.is_some() {
            return Ok(());
        }
        slot.starts += 1;
        slot.id = format!("{number}-{}", slot.starts);
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["demo", "--node", &slot.id])
            .env(KEY, &self.key);
        if let Some(engine) = &self.engine {
            command.args(["--engine", engine]);
        }
        for (option, folder) in &self.folders {
            command.arg(option).arg(folder);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
            return Ok(()); // both are pipes
        };
        let (kill, killed) = oneshot::channel();
        slot.out = Some(wire::writer(input));
        slot.kill = Some(kill);
        slot.started = Instant::now();
        slot.view = NodeView::new(number);
        slot.view.phase = Phase::Starting;
        slot.view.pid = child.id().unwrap_or_default();
        let id = slot.id.clone();
        drop(slots);
        let this = self.clone();
        tokio::spawn(async move {
            let reading = async {
                while let Some(frame) = wire::read(&mut output).await {
                    this.handle(number, frame);
                }
            };
            tokio::select! {
                () = reading => {}
                _ = killed => {}
            }
            this.ended(number, &id, child).await;
        });
        Ok(())
    }

    /// Ends a node: by force, if it has not ended by itself.
    async fn ended(self: &Arc<Self>, number: u8, id: &str, mut child: Child) {
        // SIGKILL on Unix: the node cannot say goodbye. It fails if the process has ended.
        let _ = child.start_kill();
        let status = child.wait().await;
        let mut slots = self.slots.lock();
        let Some(slot) = slots.iter_mut().find(|slot| slot.id == id) else {
            return;
        };
        slot.view.phase = match slot.view.phase {
            Phase::Draining if status.is_ok_and(|status| status.success()) => Phase::Drained,
            _ => Phase::Killed,
        };
        slot.view.clients = 0;
        (slot.out, slot.kill, slot.joined, slot.port) = (None, None, false, 0);
        drop(slots);
        self.tell_peers();
        tracing::info!(target: "fanfare::demo", node = number, "a node has ended");
    }

    fn handle(self: &Arc<Self>, number: u8, frame: Frame) {
        match frame.kind {
            Kind::Message => {
                for slot in self.slots.lock().iter().filter(|slot| slot.joined) {
                    if slot.view.number != number {
                        pass_on(slot, Kind::Message, number, &frame);
                    }
                }
            }
            Kind::Answer => {
                let slots = self.slots.lock();
                if let Some(slot) = slots.iter().find(|slot| slot.view.number == frame.node) {
                    pass_on(slot, Kind::Answer, number, &frame);
                }
            }
            Kind::Control => {
                if let Some(message) = frame.value() {
                    self.control(number, message);
                }
            }
        }
    }

    fn control(self: &Arc<Self>, number: u8, message: FromNode) {
        match message {
            FromNode::Started { port } => {
                self.change(number, |slot| {
                    slot.port = port;
                    slot.joined = true;
                });
                self.tell_peers();
            }
            FromNode::Ready => self.change(number, |slot| slot.view.phase = Phase::Ready),
            FromNode::Counts {
                clients,
                messages_out,
                messages_in,
            } => self.change(number, |slot| {
                slot.view.clients = clients;
                slot.view.messages_out = messages_out;
                slot.view.messages_in = messages_in;
            }),
            FromNode::Control { node, action } => self.act(node, action),
        }
    }

    fn act(self: &Arc<Self>, node: u8, action: Action) {
        match action {
            Action::Start => {
                if let Err(error) = self.start(node) {
                    out::error(&text!("a node cannot be started: {}", error));
                }
            }
            Action::Kill => self.change(node, |slot| {
                if let Some(kill) = slot.kill.take() {
                    let _ = kill.send(()); // it may have ended by itself
                }
            }),
            Action::Drain => self.change(node, |slot| {
                if slot.view.phase == Phase::Ready {
                    slot.view.phase = Phase::Draining;
                    send(slot, Frame::control(&ToNode::Drain));
                }
            }),
        }
    }

    fn change(&self, node: u8, change: impl FnOnce(&mut Slot)) {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.iter_mut().find(|slot| slot.view.number == node) {
            change(slot);
        }
    }

    /// Tells each node which others take part.
    fn tell_peers(&self) {
        let slots = self.slots.lock();
        for slot in slots.iter() {
            let others = || {
                slots
                    .iter()
                    .filter(|other| other.joined && other.id != slot.id)
            };
            let address = |other: &Slot| format!("127.0.0.1:{}", other.port);
            let peers = ToNode::Peers {
                ids: others().map(|other| other.id.clone()).collect(),
                addresses: others().map(address).collect(),
            };
            send(slot, Frame::control(&peers));
        }
    }

    /// Sends the state of all nodes to each.
    fn report(&self) {
        let mut slots = self.slots.lock();
        for slot in slots.iter_mut() {
            let runs = slot.out.is_some();
            slot.view.uptime = if runs {
                slot.started.elapsed().as_secs()
            } else {
                0
            };
        }
        let state = ClusterState {
            engine: super::cluster::engine_name(self.engine.as_deref()).to_owned(),
            nodes: slots.iter().map(|slot| slot.view.clone()).collect(),
        };
        let frame = Frame::control(&ToNode::State(state));
        slots.iter().for_each(|slot| send(slot, frame.clone()));
    }

    /// Returns the ports of the nodes that may get clients.
    fn ready_ports(&self) -> Vec<u16> {
        let slots = self.slots.lock();
        let ready = slots.iter().filter(|slot| slot.view.phase == Phase::Ready);
        ready.map(|slot| slot.port).collect()
    }
}

fn pass_on(slot: &Slot, kind: Kind, from: u8, frame: &Frame) {
    let frame = Frame {
        kind,
        node: from,
        content: frame.content.clone(),
    };
    send(slot, frame);
}

/// Sends a frame to a node. One that does not read misses it: its memory here is bounded.
fn send(slot: &Slot, frame: Frame) {
    if let Some(out) = &slot.out
        && out.try_send(frame).is_err()
    {
        tracing::debug!(target: "fanfare::demo", node = slot.view.number, "a frame was dropped");
    }
}
