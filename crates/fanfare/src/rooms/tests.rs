use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

impl Member for Arc<String> {
    type Target = String;

    fn id(&self) -> &str {
        self
    }

    fn target(&self) -> Arc<String> {
        self.clone()
    }
}

fn names(audience: &Audience<String>) -> BTreeSet<String> {
    let set: BTreeSet<_> = audience.iter().map(|t| t.to_string()).collect();
    assert_eq!(set.len(), audience.len(), "nobody is in an audience twice");
    set
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| n.to_string()).collect()
}

fn member(name: &str) -> Arc<String> {
    Arc::new(name.to_string())
}

#[test]
fn own_id_is_a_room_without_joining() {
    let mut rooms = Rooms::new();
    let a = rooms.insert(member("a"));
    let b = rooms.insert(member("b"));
    assert_eq!(names(&rooms.audience(Some("a"))), set(&["a"]));
    assert_eq!(rooms.join(a, "a"), Change::default());
    assert_eq!(
        rooms.join(b, "a"),
        Change {
            moved: true,
            room: true
        }
    );
    assert_eq!(names(&rooms.audience(Some("a"))), set(&["a", "b"]));
    assert_eq!(rooms.rooms_of(a).len(), 0);
}

#[test]
fn an_audience_is_shared_until_the_membership_changes() {
    let mut rooms = Rooms::new();
    let a = rooms.insert(member("a"));
    rooms.join(a, "r");
    let first = rooms.audience(Some("r"));
    assert!(Arc::ptr_eq(&first, &rooms.cached(Some("r")).unwrap()));
    let b = rooms.insert(member("b"));
    assert!(
        rooms.cached(Some("r")).is_some(),
        "other members do not matter to the room"
    );
    rooms.join(b, "r");
    assert!(rooms.cached(Some("r")).is_none());
    assert_eq!(names(&rooms.audience(Some("r"))), set(&["a", "b"]));
}

/// With many rooms each is still found at once; the order in which they were joined is kept.
#[test]
fn a_member_may_be_in_many_rooms() {
    let mut rooms = Rooms::new();
    let (a, b) = (rooms.insert(member("a")), rooms.insert(member("b")));
    let all: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    for name in &all {
        assert!(rooms.join(a, name).moved && rooms.join(b, name).moved);
        assert!(!rooms.join(a, name).moved);
    }
    assert_eq!(rooms.missing(a, ["5", "x", "x", "99"].into_iter()), 1);
    let of = |rooms: &Rooms<Arc<String>>, index| -> Vec<String> {
        let names = rooms.rooms_of(index).into_iter();
        names.map(|name| name.to_string()).collect()
    };
    assert_eq!(of(&rooms, a), all);
    for name in all.iter().skip(3) {
        assert_eq!(
            rooms.leave(a, name),
            Change {
                moved: true,
                room: false
            }
        );
        assert_eq!(rooms.leave(a, name), Change::default());
    }
    assert_eq!(of(&rooms, a), ["0", "1", "2"]);
    assert_eq!(names(&rooms.audience(Some("2"))), set(&["a", "b"]));
    assert_eq!(names(&rooms.audience(Some("50"))), set(&["b"]));
    let (_, left) = rooms.remove(b).unwrap();
    assert_eq!(left.len(), 100);
    assert_eq!(left.iter().filter(|(_, ended)| *ended).count(), 97);
    assert_eq!(rooms.rooms().count(), 3);
}

#[test]
fn names_that_come_again_choose_nobody_twice() {
    let mut rooms = Rooms::new();
    let a = rooms.insert(member("a"));
    rooms.join(a, "r");
    let again = ["r"; 20];
    assert_eq!(rooms.select(&again, &[]).len(), 1);
    assert_eq!(rooms.select::<&str>(&[], &again).len(), 0);
}

#[derive(Debug, Clone)]
enum Step {
    Insert,
    Remove(usize),
    Join(usize, u8),
    Leave(usize, u8),
    Audience(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Insert),
        1 => any::<usize>().prop_map(Step::Remove),
        5 => (any::<usize>(), 0..40u8).prop_map(|(s, r)| Step::Join(s, r % 24)),
        3 => (any::<usize>(), 0..24u8).prop_map(|(s, r)| Step::Leave(s, r)),
        2 => (0..24u8).prop_map(Step::Audience),
    ]
}

proptest! {
    /// The index agrees with a plain map of sets after every step.
    #[test]
    fn agrees_with_a_model(steps in prop::collection::vec(step(), 1..200)) {
        let mut rooms = Rooms::new();
        let mut model: BTreeMap<u32, (String, BTreeSet<String>)> = BTreeMap::new();
        let mut next = 0;
        for step in steps {
            let pick = |n: usize| model.keys().copied().nth(n % model.len().max(1));
            match step {
                Step::Insert => {
                    let name = format!("s{next}");
                    next += 1;
                    let index = rooms.insert(member(&name));
                    model.insert(index, (name, BTreeSet::new()));
                }
                Step::Remove(n) => if let Some(i) = pick(n) {
                    let (_, left) = rooms.remove(i).unwrap();
                    let (_, expected) = model.remove(&i).unwrap();
                    let left: BTreeMap<String, bool> = left.into_iter().map(|(n, ended)| (n.to_string(), ended)).collect();
                    prop_assert_eq!(left.keys().cloned().collect::<BTreeSet<_>>(), expected);
                    for (name, ended) in left {
                        prop_assert_eq!(ended, !model.values().any(|(_, r)| r.contains(&name)));
                    }
                }
                Step::Join(n, r) => if let Some(i) = pick(n) {
                    let room = format!("r{r}");
                    let existed = model.values().any(|(_, rooms)| rooms.contains(&room));
                    let moved = model.get_mut(&i).unwrap().1.insert(room.clone());
                    prop_assert_eq!(rooms.join(i, &room), Change { moved, room: !existed });
                }
                Step::Leave(n, r) => if let Some(i) = pick(n) {
                    let room = format!("r{r}");
                    let moved = model.get_mut(&i).unwrap().1.remove(&room);
                    let exists = model.values().any(|(_, rooms)| rooms.contains(&room));
                    prop_assert_eq!(rooms.leave(i, &room), Change { moved, room: moved && !exists });
                }
                Step::Audience(r) => {
                    let room = format!("r{r}");
                    let expected: BTreeSet<_> = model.values().filter(|(_, rooms)| rooms.contains(&room)).map(|(n, _)| n.clone()).collect();
                    prop_assert_eq!(names(&rooms.audience(Some(&room))), expected);
                }
            }
            prop_assert_eq!(rooms.len(), model.len());
        }
        let expected: BTreeSet<_> = model.values().map(|(n, _)| n.clone()).collect();
        prop_assert_eq!(names(&rooms.audience(None)), expected);
        let selected: BTreeSet<_> = rooms.select(&["r0", "r1"], &["r2"]).into_iter().map(|m| m.to_string()).collect();
        let expected: BTreeSet<_> = model.values()
            .filter(|(_, r)| (r.contains("r0") || r.contains("r1")) && !r.contains("r2"))
            .map(|(n, _)| n.clone()).collect();
        prop_assert_eq!(selected, expected);
        let existing: BTreeSet<_> = model.values().flat_map(|(_, r)| r.iter().cloned()).collect();
        prop_assert_eq!(rooms.rooms().map(|(n, _)| n.to_string()).collect::<BTreeSet<_>>(), existing);
    }
}
