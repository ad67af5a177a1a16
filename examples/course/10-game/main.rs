//! Step 10: a small multiplayer game. The server decides everything; the pages steer and draw.

mod world;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use fanfare::recovery::ConnectionStateRecovery;
use fanfare::{Data, EmitError, EventError, Extension, Namespace, Socket, SocketIo, State};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::MissedTickBehavior;
use world::World;

/// Time between two pictures of the world: twenty in a second.
const TICK: Duration = Duration::from_millis(50);

/// The world, which all handlers share.
#[derive(Debug, Clone)]
struct Game(Arc<Mutex<World>>);

/// The number of a player, which its socket carries.
#[derive(Debug, Clone, Copy)]
struct Number(u32);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let game = Game(Arc::new(Mutex::new(World::new(getrandom::u32()?))));
    let main = Namespace::new("/")
        .on_connect(connected)
        .on("steer", steer)
        .on_disconnect(disconnected);
    let io = SocketIo::builder()
        .serve_embedded_client()
        .connection_state_recovery(ConnectionStateRecovery::new())
        .namespace(main)
        .state(game.clone())
        .build()?;
    tokio::spawn(run(io.clone(), game));
    course::serve(io, include_str!("index.html")).await
}

// ANCHOR: run
/// Positions that a page draws. Numbers are rounded: a page does not see the difference.
#[derive(Debug, Serialize)]
struct Picture {
    players: Vec<(u32, u16, u16)>,
    star: (u16, u16),
}

impl Picture {
    fn of(world: &World) -> Self {
        let round = |(x, y): (f32, f32)| (x as u16, y as u16);
        let players = world.players().map(|(number, player)| {
            let (x, y) = round((player.x, player.y));
            (number, x, y)
        });
        Self {
            players: players.collect(),
            star: round(world.star),
        }
    }
}

/// Moves the world on, and shows it to the players, until the program ends.
async fn run(io: SocketIo, game: Game) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let mut world = game.0.lock();
        let caught = world.step(TICK.as_secs_f32());
        let mut sent = io.volatile().emit("world", &Picture::of(&world)).map(drop);
        if caught {
            sent = sent.and_then(|()| scores(&io, &world));
        }
        if let Err(error) = sent {
            eprintln!("the world was not sent: {error}");
        }
    }
}

/// Sends the scores. They change rarely and must not be lost, so they are not volatile.
fn scores(io: &SocketIo, world: &World) -> Result<(), EmitError> {
    let scores: BTreeMap<u32, u32> = world
        .players()
        .map(|(number, player)| (number, player.score))
        .collect();
    io.emit("scores", &scores).map(drop)
}
// ANCHOR_END: run

// ANCHOR: handlers
async fn connected(
    socket: Socket,
    io: SocketIo,
    State(game): State<Game>,
    known: Option<Extension<Number>>,
) -> Result<(), EventError> {
    let mut world = game.0.lock();
    let number = match known {
        // A player who comes back: the same place, the same score.
        Some(Extension(Number(number))) if world.come_back(number) => number,
        _ => match world.enter() {
            Some(number) => number,
            None => {
                socket.emit("full", world::MAX_PLAYERS)?;
                return Ok(());
            }
        },
    };
    socket.extensions().insert(Number(number));
    socket.emit("you", (number, world::WIDTH, world::HEIGHT))?;
    Ok(scores(&io, &world)?)
}

async fn steer(
    Data((x, y)): Data<(f32, f32)>,
    State(game): State<Game>,
    Extension(Number(number)): Extension<Number>,
) {
    game.0.lock().steer(number, x, y);
}

async fn disconnected(
    io: SocketIo,
    State(game): State<Game>,
    known: Option<Extension<Number>>,
) -> Result<(), EmitError> {
    let mut world = game.0.lock();
    if let Some(Extension(Number(number))) = known {
        world.leave(number);
    }
    scores(&io, &world)
}
// ANCHOR_END: handlers
