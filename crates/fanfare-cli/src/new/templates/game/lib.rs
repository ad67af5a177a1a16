//! A game for many: everybody steers a dot, and the server moves all of them, 20 times a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use fanfare::{BuildError, Data, DisconnectReason, Namespace, Socket, SocketIo, State};
use serde::{Deserialize, Serialize};

mod web;

/// Time between two steps of the game.
pub const STEP: Duration = Duration::from_millis(50);
/// Way of a dot in one step; the board is 1 wide and 1 high.
pub const SPEED: f32 = 0.01;

/// Player, as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Dot {
    /// Distance from the left side.
    pub x: f32,
    /// Distance from the top.
    pub y: f32,
    /// Colour, in degrees.
    pub hue: u16,
}

/// Direction in which a player steers: each part from -1 to 1.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Direction {
    /// To the right.
    pub x: f32,
    /// Downwards.
    pub y: f32,
}

#[derive(Debug)]
struct Player {
    dot: Dot,
    direction: Direction,
}

/// Players by the ids of their sockets.
#[derive(Debug, Clone, Default)]
struct Game(Arc<Mutex<HashMap<String, Player>>>);

impl Game {
    fn players(&self) -> MutexGuard<'_, HashMap<String, Player>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves all players, and returns the dots by their ids.
    fn step(&self) -> HashMap<String, Dot> {
        let mut players = self.players();
        for player in players.values_mut() {
            player.dot.x = (player.dot.x + player.direction.x * SPEED).clamp(0.0, 1.0);
            player.dot.y = (player.dot.y + player.direction.y * SPEED).clamp(0.0, 1.0);
        }
        players
            .iter()
            .map(|(id, player)| (id.clone(), player.dot))
            .collect()
    }
}

/// Returns the Socket.IO server, and the routes of the website. The game begins at once.
///
/// # Errors
///
/// If the configuration is invalid.
///
/// # Panics
///
/// Outside of a Tokio runtime.
pub fn app() -> Result<(SocketIo, Router), BuildError> {
    let game = Game::default();
    let main = Namespace::new("/")
        .on_connect(enter)
        .on("steer", steer)
        .on_disconnect(leave);
    let io = SocketIo::builder()
        .state(game.clone())
        .namespace(main)
        .build()?;
    tokio::spawn(run(io.clone(), game));
    Ok((io, web::files()))
}

/// Plays until the server ends. The server alone decides where the dots are, so that players cannot cheat.
async fn run(io: SocketIo, game: Game) {
    let mut steps = tokio::time::interval(STEP);
    while io.is_ready() {
        steps.tick().await;
        // A client that is slow gets the next step instead of a queue of old ones.
        if let Err(error) = io.volatile().emit("dots", game.step()) {
            eprintln!("a step was not sent: {error}");
        }
    }
}

async fn enter(socket: Socket, State(game): State<Game>) {
    let mut players = game.players();
    // Golden angle: neighbours in the list have colours that differ.
    let hue = u16::try_from(players.len() * 137 % 360).unwrap_or(0);
    let player = Player {
        dot: Dot {
            x: 0.5,
            y: 0.5,
            hue,
        },
        direction: Direction::default(),
    };
    players.insert(socket.id().to_string(), player);
}

async fn steer(socket: Socket, State(game): State<Game>, Data(to): Data<Direction>) {
    if let Some(player) = game.players().get_mut(socket.id().as_str()) {
        // Clients may send anything.
        player.direction = Direction {
            x: to.x.clamp(-1.0, 1.0),
            y: to.y.clamp(-1.0, 1.0),
        };
    }
}

async fn leave(socket: Socket, State(game): State<Game>, _: DisconnectReason) {
    game.players().remove(socket.id().as_str());
}
