//! The index of a namespace as its threads share it. In the unit tests of this crate the lock is that of a scheduler that
//! tries many orders of the threads' steps.

#[cfg(not(test))]
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(test)]
use shuttle::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Audience, Member, Rooms};

pub(crate) struct SharedRooms<M: Member>(RwLock<Rooms<M>>);

impl<M: Member> SharedRooms<M> {
    pub(crate) fn new() -> Self {
        Self(RwLock::new(Rooms::new()))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Rooms<M>> {
        locked(self.0.read())
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Rooms<M>> {
        locked(self.0.write())
    }

    /// The audience for everyone or for one room: a list of its own, so that no broadcast holds the lock.
    pub(crate) fn audience(&self, room: Option<&str>) -> Audience<M::Target> {
        let cached = self.read().cached(room);
        cached.unwrap_or_else(|| self.write().audience(room))
    }
}

#[cfg(not(test))]
fn locked<G>(guard: G) -> G {
    guard
}

#[cfg(test)]
fn locked<G>(guard: std::sync::LockResult<G>) -> G {
    guard.expect("no test panics under the lock")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shuttle::sync::atomic::{AtomicBool, Ordering};
    use shuttle::thread;

    use super::*;

    const TRIES: usize = 300;
    const PREEMPTIONS: usize = 3;

    /// Something that a thread does to the index.
    #[derive(Default)]
    struct Move {
        begun: AtomicBool,
        done: AtomicBool,
    }

    impl Move {
        fn make(&self, step: impl FnOnce()) {
            self.begun.store(true, Ordering::SeqCst);
            step();
            self.done.store(true, Ordering::SeqCst);
        }
    }

    struct World {
        rooms: SharedRooms<Arc<String>>,
        join: Move,
        leave: Move,
        removal: Move,
    }

    fn sorted(audience: &Audience<String>) -> Vec<&str> {
        let mut names: Vec<_> = audience.iter().map(|name| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// One broadcast: whoever was in the room all the time is in its audience, once, and nobody who was not.
    fn broadcast(world: &World, room: Option<&str>) {
        let done = |step: &Move| step.done.load(Ordering::SeqCst);
        let (joined, left, removed) = (done(&world.join), done(&world.leave), done(&world.removal));
        let audience = world.rooms.audience(room);
        let begun = |step: &Move| step.begun.load(Ordering::SeqCst);
        let names = sorted(&audience);
        let has = |name: &str| names.contains(&name);
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        assert!(has("stays"));
        assert!(!removed || !has("removed"));
        assert!(has("removed") || begun(&world.removal));
        if room.is_some() {
            assert!(has("joins") || !joined);
            assert!(!has("joins") || begun(&world.join));
            assert!(!left || !has("leaves"));
            assert!(has("leaves") || begun(&world.leave));
        }
    }

    fn moves_beside_broadcasts() {
        let rooms = SharedRooms::new();
        let insert = |name: &str| rooms.write().insert(Arc::new(name.to_owned()));
        let [stays, joins, leaves, removed] = ["stays", "joins", "leaves", "removed"].map(insert);
        for seat in [stays, leaves, removed] {
            rooms.write().join(seat, "room");
        }
        let world = Arc::new(World {
            rooms,
            join: Move::default(),
            leave: Move::default(),
            removal: Move::default(),
        });
        let run = |work: fn(&World, u32), seat: u32| {
            let world = world.clone();
            thread::spawn(move || work(&world, seat))
        };
        let threads = [
            run(
                |world, seat| {
                    world.join.make(|| {
                        world.rooms.write().join(seat, "room");
                    });
                },
                joins,
            ),
            run(
                |world, seat| {
                    world.leave.make(|| {
                        world.rooms.write().leave(seat, "room");
                    });
                },
                leaves,
            ),
            run(
                |world, seat| {
                    world.removal.make(|| {
                        world.rooms.write().remove(seat);
                    });
                },
                removed,
            ),
            run(
                |world, _| {
                    broadcast(world, Some("room"));
                    broadcast(world, Some("room"));
                },
                0,
            ),
            run(
                |world, _| {
                    broadcast(world, None);
                    broadcast(world, Some("room"));
                },
                0,
            ),
        ];
        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("a thread"));
        let audience = |room| world.rooms.audience(room);
        assert_eq!(sorted(&audience(Some("room"))), ["joins", "stays"]);
        assert_eq!(sorted(&audience(None)), ["joins", "leaves", "stays"]);
    }

    #[test]
    fn broadcasts_see_every_member_and_no_other() {
        shuttle::check_random(moves_beside_broadcasts, TRIES);
        shuttle::check_pct(moves_beside_broadcasts, TRIES, PREEMPTIONS);
    }
}
