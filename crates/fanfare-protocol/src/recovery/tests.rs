//! What is missed, and by whom.

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
    member.revoke("a");
    assert_eq!(packets(log.missed(&member, 0, None)), [""; 0]);
}

#[test]
fn remembers_a_bounded_number_of_rooms_that_were_left() {
    let mut member = Memberships::default();
    for i in 0..1000 {
        member.join(&format!("r{i}"), i);
        member.leave(&format!("r{i}"), i);
    }
    assert_eq!(member.list.len(), LEFT);
    assert_eq!(&*member.list[0].room, "r936");
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
    // Somebody who was connected long after the dropped event was sent has got it.
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
    let (mut log, now) = log(1000);
    for _ in 0..100 {
        log.push(now, &["room"], &["other"], 10, "x");
        assert!(log.bytes() <= 1000);
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

#[test]
fn sessions_are_taken_once_and_in_time() {
    let (mut sessions, now) = (Sessions::new(100), Instant::now());
    sessions.put("a", 10, now + SECOND, 1);
    sessions.put("b", 10, now + 2 * SECOND, 2);
    assert_eq!(sessions.take(now, "a"), Some((1, now + SECOND)));
    assert_eq!(sessions.take(now, "a"), None);
    assert_eq!(sessions.take(now + 2 * SECOND, "b"), None);
    assert_eq!(sessions.bytes, 0);
    sessions.put("c", 10, now + SECOND, 3);
    sessions.expire(now + SECOND);
    assert!(sessions.is_empty());
    assert_eq!((sessions.bytes, sessions.order.len()), (0, 0));
}

#[test]
fn too_many_sessions_drop_the_oldest() {
    let (mut sessions, now) = (Sessions::new(100), Instant::now());
    for i in 0..1000 {
        sessions.put(&format!("s{i}"), 10, now + SECOND, i);
        assert!(sessions.len() <= 10 && sessions.order.len() <= 52);
    }
    assert_eq!(sessions.take(now, "s989"), None);
    assert!(sessions.take(now, "s990").is_some());
    for i in 0..1000 {
        sessions.put("same", 10, now + SECOND, i);
    }
    assert!(sessions.order.len() <= 64, "{}", sessions.order.len());
}

/// Sends to random rooms, joins and leaves at random, loses what is in flight at random: what arrives is what was
/// sent to it, in order, once.
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
