//! Events that a session has missed.

use std::time::{Duration, Instant};

use super::memberships::LEFT;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn log(bytes: usize) -> (Log<&'static str>, Instant) {
    let limits = LogLimits {
        bytes,
        age: 10 * SECOND,
    };
    (Log::new(limits), Instant::now())
}

fn rooms(list: &[(&str, Position)]) -> Memberships {
    let mut memberships = Memberships::default();
    list.iter()
        .for_each(|(room, at)| memberships.join(room, *at));
    memberships
}

fn packets(missed: Result<Vec<(Position, &&'static str)>, Truncated>) -> Vec<&'static str> {
    missed.unwrap().into_iter().map(|(_, p)| *p).collect()
}

#[test]
fn replays_by_room_in_order_and_once() {
    let (mut log, now) = log(1 << 20);
    log.push::<&str>(now, &[], &[], 1, "all");
    log.push(now, &["a"], &[], 1, "a");
    log.push(now, &["b"], &[], 1, "b");
    log.push(now, &["b", "a", "a"], &[], 1, "ab");
    log.push(now, &["a"], &["c"], 1, "a not c");
    log.push(now, &[], &["b"], 1, "all not b");
    assert_eq!(log.position(), 6);
    let a = rooms(&[("a", 0)]);
    let replay = |m: &Memberships, after| packets(log.missed(m, after, None));
    assert_eq!(replay(&a, 0), ["all", "a", "ab", "a not c", "all not b"]);
    assert_eq!(replay(&a, 3), ["ab", "a not c", "all not b"]);
    assert_eq!(
        replay(&rooms(&[("a", 0), ("c", 0)]), 3),
        ["ab", "all not b"]
    );
    assert_eq!(replay(&rooms(&[("b", 0)]), 0), ["all", "b", "ab"]);
    assert_eq!(replay(&rooms(&[]), 1), ["all not b"]);
    assert_eq!(replay(&a, 6), [""; 0]);
}

#[test]
fn what_was_sent_before_a_room_was_joined_is_not_missed() {
    let (mut log, now) = log(1 << 20);
    for packet in ["1", "2", "3", "4"] {
        log.push(now, &["a"], &[], 1, packet);
    }
    let mut member = rooms(&[("a", 1)]);
    assert_eq!(packets(log.missed(&member, 0, None)), ["2", "3", "4"]);
    member.leave("a", 2);
    assert!(!member.has("a"));
    assert_eq!(packets(log.missed(&member, 0, None)), ["2"]);
    member.join("a", 3);
    assert_eq!(packets(log.missed(&member, 0, None)), ["2", "4"]);
    member.retain(|room| room != "a");
    assert_eq!(packets(log.missed(&member, 0, None)), [""; 0]);
}

#[test]
fn remembers_a_bounded_number_of_rooms_that_were_left() {
    let mut member = Memberships::default();
    for i in 0..1000 {
        member.join(&format!("r{i}"), i);
        member.leave(&format!("r{i}"), i);
    }
    assert_eq!((member.past.len(), member.current.len()), (LEFT, 0));
    assert_eq!(&*member.past[0].room, "r936");
}

#[test]
fn time_passes() {
    let (mut log, t0) = log(1 << 20);
    log.push(t0, &["a"], &[], 1, "old");
    log.push(t0 + 9 * SECOND, &["b"], &[], 1, "new");
    log.expire(t0 + 10 * SECOND);
    assert_eq!(log.len(), 2);
    log.expire(t0 + 11 * SECOND);
    assert_eq!((log.len(), log.position()), (1, 2));
    assert!(!log.rooms.contains_key("a"));
    let error = log.missed(&rooms(&[]), 0, None).unwrap_err();
    assert_eq!(
        error,
        Truncated {
            after: 0,
            dropped: 1
        }
    );
    // A session that was connected long after the dropped event was sent has received it.
    assert!(log.missed(&rooms(&[]), 0, Some(t0 + SECOND)).is_ok());
    assert!(log.missed(&rooms(&[]), 0, Some(t0)).is_err());
    assert!(log.missed(&rooms(&[]), 1, None).is_ok());
    log.expire(t0 + 100 * SECOND);
    assert!(log.is_empty());
    assert_eq!((log.bytes(), log.position()), (0, 2));
    assert_eq!(log.push(t0 + 100 * SECOND, &["a"], &[], 1, "x"), 3);
}

#[test]
fn bytes_are_bounded_whatever_the_packets() {
    let (mut log, now) = log(2000);
    for _ in 0..100 {
        log.push(now, &["room"], &["other"], 10, "x");
        assert!(log.bytes() <= 2000);
    }
    assert!(log.len() >= 4, "{}", log.len());
    assert_eq!(log.rooms["room"].len(), log.len());
    log.push(now, &["room"], &[], 5000, "larger than the bound");
    assert_eq!((log.len(), log.bytes(), log.rooms.len()), (0, 0, 0));
    assert!(log.missed(&rooms(&[]), 100, None).is_err());
}

#[test]
fn offsets() {
    let text = Offset::text("abcdefgh", 17);
    assert_eq!(Offset::parse("abcdefgh", &text), Offset::Own(17));
    assert_eq!(Offset::parse("abcdefgX", &text), Offset::Foreign);
    for text in [
        "",
        "hello",
        "hello.",
        "a.b",
        "a.17",
        "abcdefgh.+1",
        "abcdefg!.1",
    ] {
        assert_eq!(Offset::parse("abcdefgh", text), Offset::Unknown, "{text}");
    }
}

/// A name that is passed repeatedly is one room.
#[test]
fn what_is_left_out_was_never_sent() {
    let (mut log, now) = log(1 << 20);
    log.push(now, &["a", "b", "a", "b"], &["c", "c"], 1, "ab");
    assert_eq!((log.rooms["a"].len(), log.rooms["b"].len()), (1, 1));
    let member = rooms(&[("a", 0), ("b", 0)]);
    assert_eq!(packets(log.missed(&member, 0, None)), ["ab"]);
    let bytes = log.bytes();
    log.push(now, &["a"], &[], 1, "a");
    log.shrink_to(log.bytes() - 1);
    assert_eq!(log.len(), 1);
    assert!(log.bytes() < bytes);
    assert!(log.missed(&member, 0, None).is_err());
}

/// Sends to random rooms, joins and leaves at random, loses messages in flight at random: the session receives the
/// events sent to it, in order, once.
#[test]
fn nothing_is_lost_or_doubled() {
    let mut seed = 7u64;
    let mut random = |n: u64| {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 33) % n
    };
    let names = ["a", "b", "c", "d"];
    for _ in 0..200 {
        let (mut log, mut now) = log(1 << 20);
        let mut member = Memberships::default();
        let (mut expected, mut got) = (Vec::new(), Vec::new());
        let mut connected = true;
        let mut lossy = false;
        for _ in 0..200 {
            now += Duration::from_millis(random(20));
            match random(10) {
                0 if connected => member.join(names[random(4) as usize], log.position()),
                1 if connected => member.leave(names[random(4) as usize], log.position()),
                2 if connected => lossy = true,
                3 => {
                    connected = false;
                }
                4 if !connected => {
                    let after = got.last().copied().unwrap_or(0);
                    let missed = log.missed(&member, after, None).unwrap();
                    got.extend(missed.iter().map(|(position, _)| *position));
                    (connected, lossy) = (true, false);
                }
                _ => {
                    let to = [names[random(4) as usize]];
                    let except = [names[random(4) as usize]];
                    let (to, except) = match random(3) {
                        0 => (&[][..], &[][..]),
                        1 => (&to[..], &[][..]),
                        _ => (&to[..], &except[..]),
                    };
                    let position = log.push(now, to, except, 1, "");
                    let reached = (to.is_empty() || member.has(to[0]))
                        && !except.iter().any(|room| member.has(room));
                    if reached {
                        expected.push(position);
                        if connected && !lossy {
                            got.push(position);
                        }
                    }
                }
            }
        }
        let after = got.last().copied().unwrap_or(0);
        let missed = log.missed(&member, after, None).unwrap();
        got.extend(missed.iter().map(|(position, _)| *position));
        assert_eq!(got, expected);
    }
}
