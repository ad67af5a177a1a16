//! Process of one node.

use std::time::Duration;

use axum::serve::ListenerExt;
use fanfare::{SocketIo, SocketIoBuilder};
use fanfare_relay::Relay;
use tokio::sync::{mpsc, oneshot};

use super::adapter::Hub;
use super::engine::Engine;
use super::wire::{self, Frame, Kind};
use super::{FromNode, KEY, ToNode};
use crate::demo::chat::Hall;
use crate::demo::cluster::{Controls, Numbers, Site};
use crate::demo::{Folders, Started, failed, http, notifications, server};
use crate::exit::{Code, Failure, Outcome};

/// Time in which a draining node closes its connections.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// Interval at which a node sends its numbers.
const COUNT_INTERVAL: Duration = Duration::from_millis(400);
/// Time that a node waits for a broker before it gives up.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs the node with this id, such as `2-1`, until it has drained or the demo has gone.
pub(in crate::demo) async fn run(id: &str, engine: Option<&str>, folders: Folders) -> Outcome {
    let number = id.split('-').next().and_then(|number| number.parse().ok());
    let (Some(number), Ok(key)) = (number, std::env::var(KEY)) else {
        return Err(Failure::usage("--node is for the demo itself")
            .fix("start nodes with `fanfare demo --nodes 3`"));
    };
    let listener = fanfare::serve::bind("127.0.0.1:0")
        .await
        .map_err(failed("a node cannot listen"))?;
    let address = listener
        .local_addr()
        .map_err(failed("the address cannot be known"))?;
    let relay =
        Relay::new(key, address.to_string()).map_err(failed("the relay cannot be set up"))?;
    let out = wire::writer(crate::out::frames());
    let hub = Hub::new(id.to_owned(), out.clone());
    let engine = engine.map(Engine::new).transpose()?;

    let (started, board) = (Started::now(folders), notifications::Board::default());
    let site = Site {
        number,
        controls: Some(Controls::new(controls(out.clone()))),
        numbers: Numbers::default(),
        hall: Hall::new(id),
    };
    let in_cluster = |builder: SocketIoBuilder| {
        let builder = builder.relay(relay.clone());
        match &engine {
            Some(engine) => engine.add_to(builder),
            None => builder.adapter(hub.clone()),
        }
    };
    let io = server(started.clone(), board.clone(), site.clone(), in_cluster)
        .map_err(failed("the server cannot be built"))?;
    if let Some(engine) = &engine {
        let connected = tokio::time::timeout(ENGINE_TIMEOUT, engine.ready()).await;
        if connected.is_err() {
            let state = io.cluster().map(|cluster| cluster.health().to_string());
            return Err(
                Failure::new(Code::Unreachable, "a node cannot connect to the broker")
                    .because(state.unwrap_or_default())
                    .fix("check the address that --engine has, and that the broker runs"),
            );
        }
    }
    let app = http::router(&io, started, board.clone());
    let listener = listener.tap_io(|stream| {
        // Small packets must not wait for each other. If the option cannot be set, only latency suffers.
        let _ = stream.set_nodelay(true);
    });
    let closed = io.clone();
    let closed = async move { closed.closed().await };
    let serving = axum::serve(listener, app).with_graceful_shutdown(closed);

    let (peers_known, first_peers) = oneshot::channel();
    let reading = read(io.clone(), site.hall.clone(), hub, relay, peers_known);
    let starting = async {
        send(
            &out,
            &FromNode::Started {
                port: address.port(),
            },
        )
        .await;
        // A node that starts late first gets what the others have stored.
        if first_peers.await.is_ok() {
            site.numbers.catch_up(&io).await;
            site.hall.catch_up(&io).await;
            board.catch_up(&io).await;
            send(&out, &FromNode::Ready).await;
        }
        count(&io, &out).await;
    };
    tokio::select! {
        result = serving => result.map_err(failed("the server failed"))?,
        () = reading => {}
        () = starting => {}
    }
    Ok(Code::Ok)
}

/// Starts to pass what pages ask for on to the demo.
fn controls(out: mpsc::Sender<Frame>) -> impl Fn(u8, crate::demo::cluster::Action) -> bool {
    move |node, action| {
        let control = FromNode::Control { node, action };
        out.try_send(Frame::control(&control)).is_ok()
    }
}

async fn send(out: &mpsc::Sender<Frame>, message: &FromNode) {
    // Without the demo, reading ends as well.
    let _ = out.send(Frame::control(message)).await;
}

/// Sends the numbers of this node again and again.
async fn count(io: &SocketIo, out: &mpsc::Sender<Frame>) {
    let mut ticks = tokio::time::interval(COUNT_INTERVAL);
    loop {
        ticks.tick().await;
        let messages = io.cluster().map(|cluster| cluster.messages());
        let (messages_out, messages_in) = messages.unwrap_or_default();
        let counts = FromNode::Counts {
            clients: io.clients_count(),
            messages_out,
            messages_in,
        };
        send(out, &counts).await;
    }
}

/// Handles frames until the demo is gone, or the node has drained.
async fn read(io: SocketIo, hall: Hall, hub: Hub, relay: Relay, first: oneshot::Sender<()>) {
    let mut input = tokio::io::stdin();
    let mut first = Some(first);
    while let Some(frame) = wire::read(&mut input).await {
        if frame.kind != Kind::Control {
            hub.receive(&frame.content);
            continue;
        }
        match frame.value() {
            Some(ToNode::Peers { ids, addresses }) => {
                hub.set_peers(ids.clone());
                let (io, hall) = (io.clone(), hall.clone());
                tokio::spawn(async move {
                    hall.keep_nodes(&io, &ids).await;
                    crate::demo::notifications::show_audience(&io).await;
                });
                // These are addresses.
                let _ = relay.set_peers(addresses);
                if let Some(first) = first.take() {
                    let _ = first.send(());
                }
            }
            Some(ToNode::State(state)) => crate::demo::cluster::show(&io, &state),
            Some(ToNode::Drain) => {
                let io = io.clone();
                tokio::spawn(async move { io.drain(DRAIN_TIME).await });
            }
            None => {}
        }
    }
}
