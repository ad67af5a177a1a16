//! The index of a namespace as its threads share it. In the unit tests of this crate the lock is that of a scheduler
//! that tries many interleavings of the threads.

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

    /// Returns the audience for everyone or for one room, as a separate list, so that no broadcast holds the lock.
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

    /// Operation of a thread on the slot of a member.
    struct Move {
        slot: u32,
        begun: AtomicBool,
        done: AtomicBool,
    }

    impl Move {
        fn of(slot: u32) -> Self {
            Self {
                slot,
                begun: AtomicBool::new(false),
                done: AtomicBool::new(false),
            }
        }

        fn make(&self, step: impl FnOnce(u32)) {
            self.begun.store(true, Ordering::SeqCst);
            step(self.slot);
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

    /// Checks one broadcast: a member that was in the room all the time is in its audience, once, and no member that
    /// was never in it.
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
        for slot in [stays, leaves, removed] {
            rooms.write().join(slot, "room");
        }
        let world = Arc::new(World {
            rooms,
            join: Move::of(joins),
            leave: Move::of(leaves),
            removal: Move::of(removed),
        });
        let works: [fn(&World); 5] = [
            |world| {
                world.join.make(|slot| {
                    world.rooms.write().join(slot, "room");
                });
            },
            |world| {
                world.leave.make(|slot| {
                    world.rooms.write().leave(slot, "room");
                });
            },
            |world| {
                world.removal.make(|slot| {
                    world.rooms.write().remove(slot);
                });
            },
            |world| {
                broadcast(world, Some("room"));
                broadcast(world, Some("room"));
            },
            |world| {
                broadcast(world, None);
                broadcast(world, Some("room"));
            },
        ];
        let threads = works.map(|work| {
            let world = world.clone();
            thread::spawn(move || work(&world))
        });
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
