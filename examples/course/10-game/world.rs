//! The world of the game: players, a star, and the rules. It knows no network and no clock.

use std::collections::BTreeMap;

/// Size of the world, in units.
pub(crate) const WIDTH: f32 = 1000.0;
pub(crate) const HEIGHT: f32 = 600.0;

/// Greatest number of players, with those who are away.
pub(crate) const MAX_PLAYERS: usize = 50;

/// Distance from the centre of a player to the edge, in units.
const RADIUS: f32 = 18.0;

/// Units that a player moves in a second.
const SPEED: f32 = 280.0;

/// Seconds for which the place of a player is kept who is away.
const AWAY: f32 = 30.0;

// ANCHOR: world
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Player {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) score: u32,
    /// Direction in which the player wants to go, at most 1 long.
    steer: (f32, f32),
    /// Seconds since the player went away.
    away: Option<f32>,
}

#[derive(Debug)]
pub(crate) struct World {
    players: BTreeMap<u32, Player>,
    last_number: u32,
    pub(crate) star: (f32, f32),
    random: Random,
}
// ANCHOR_END: world

impl World {
    /// Makes an empty world. The seed decides where stars appear.
    pub(crate) fn new(seed: u32) -> Self {
        let mut random = Random(seed | 1);
        let star = random.place();
        Self {
            players: BTreeMap::new(),
            last_number: 0,
            star,
            random,
        }
    }

    /// Adds a player in the middle, and returns its number, unless the world is full.
    pub(crate) fn enter(&mut self) -> Option<u32> {
        if self.players.len() >= MAX_PLAYERS {
            return None;
        }
        self.last_number += 1;
        let player = Player {
            x: WIDTH / 2.0,
            y: HEIGHT / 2.0,
            score: 0,
            steer: (0.0, 0.0),
            away: None,
        };
        self.players.insert(self.last_number, player);
        Some(self.last_number)
    }

    /// Keeps the place of a player for a while.
    pub(crate) fn leave(&mut self, number: u32) {
        if let Some(player) = self.players.get_mut(&number) {
            player.away = Some(0.0);
            player.steer = (0.0, 0.0);
        }
    }

    /// Brings a player back, and returns whether its place was still there.
    pub(crate) fn come_back(&mut self, number: u32) -> bool {
        let player = self.players.get_mut(&number);
        player.map(|player| player.away = None).is_some()
    }

    // ANCHOR: steer
    /// Takes the direction in which a player wants to go.
    pub(crate) fn steer(&mut self, number: u32, x: f32, y: f32) {
        let length = x.hypot(y);
        if !length.is_finite() {
            return; // nothing that a page of ours sends
        }
        if let Some(player) = self.players.get_mut(&number) {
            // A longer direction is shortened, so that all have the same speed.
            player.steer = (x / length.max(1.0), y / length.max(1.0));
        }
    }
    // ANCHOR_END: steer

    // ANCHOR: step
    /// Moves the world on by some seconds, and returns whether a player has caught the star.
    pub(crate) fn step(&mut self, seconds: f32) -> bool {
        self.players.retain(|_, player| {
            player.away = player.away.map(|away| away + seconds);
            player.away.is_none_or(|away| away < AWAY)
        });
        let mut caught = false;
        for player in self
            .players
            .values_mut()
            .filter(|player| player.away.is_none())
        {
            let (x, y) = player.steer;
            player.x = (player.x + x * SPEED * seconds).clamp(RADIUS, WIDTH - RADIUS);
            player.y = (player.y + y * SPEED * seconds).clamp(RADIUS, HEIGHT - RADIUS);
            let distance = (player.x - self.star.0).hypot(player.y - self.star.1);
            if distance < 2.0 * RADIUS {
                player.score += 1;
                self.star = self.random.place();
                caught = true;
            }
        }
        caught
    }
    // ANCHOR_END: step

    /// Returns the players who are here, with their numbers.
    pub(crate) fn players(&self) -> impl Iterator<Item = (u32, &Player)> {
        let players = self
            .players
            .iter()
            .map(|(number, player)| (*number, player));
        players.filter(|(_, player)| player.away.is_none())
    }
}

/// Numbers that look random, the same for the same seed.
#[derive(Debug)]
struct Random(u32);

impl Random {
    /// Returns a place at a distance from the walls.
    fn place(&mut self) -> (f32, f32) {
        let mut next = |length: f32| {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
            60.0 + (self.0 % 1000) as f32 / 1000.0 * (length - 120.0)
        };
        (next(WIDTH), next(HEIGHT))
    }
}

// ANCHOR: tests
#[cfg(test)]
mod tests {
    use super::*;

    /// A world with one player, and the star out of the way.
    fn world() -> (World, u32) {
        let mut world = World::new(7);
        let number = world.enter().expect("an empty world has room");
        world.star = (60.0, 60.0);
        (world, number)
    }

    fn player(world: &World, number: u32) -> Player {
        let (_, player) = world
            .players()
            .find(|(other, _)| *other == number)
            .expect("is here");
        player.clone()
    }

    #[test]
    fn all_directions_have_the_same_speed() {
        let (mut world, number) = world();
        for (x, y) in [(1.0, 0.0), (5.0, 5.0), (-1000.0, 0.3)] {
            let before = player(&world, number);
            world.steer(number, x, y);
            world.step(0.1);
            let after = player(&world, number);
            let moved = (after.x - before.x).hypot(after.y - before.y);
            assert!((moved - SPEED * 0.1).abs() < 0.01, "{moved}");
        }
    }

    #[test]
    fn walls_stop_a_player() {
        let (mut world, number) = world();
        world.steer(number, 1.0, 1.0);
        world.step(60.0);
        let player = player(&world, number);
        assert_eq!((player.x, player.y), (WIDTH - RADIUS, HEIGHT - RADIUS));
    }

    #[test]
    fn a_star_that_is_caught_appears_elsewhere() {
        let (mut world, number) = world();
        let star = (WIDTH / 2.0 + 30.0, HEIGHT / 2.0);
        world.star = star;
        assert!(world.step(0.05));
        assert_eq!(player(&world, number).score, 1);
        assert_ne!(world.star, star);
    }

    #[test]
    fn directions_that_are_no_numbers_are_ignored() {
        let (mut world, number) = world();
        world.steer(number, f32::INFINITY, 0.0);
        world.steer(number, f32::NAN, 0.0);
        world.step(1.0);
        assert_eq!(player(&world, number).x, WIDTH / 2.0);
    }
    // ANCHOR_END: tests

    #[test]
    fn a_place_is_kept_for_a_while() {
        let (mut world, number) = world();
        world.leave(number);
        assert_eq!(world.players().count(), 0);
        world.step(AWAY - 1.0);
        assert!(world.come_back(number));
        world.leave(number);
        world.step(AWAY);
        assert!(!world.come_back(number));
    }

    #[test]
    fn a_full_world_takes_no_more_players() {
        let mut world = World::new(7);
        let entered = (0..MAX_PLAYERS + 5).filter_map(|_| world.enter()).count();
        assert_eq!(entered, MAX_PLAYERS);
    }
}
