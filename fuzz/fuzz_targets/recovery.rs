//! Connection state recovery: offsets from clients, and a log that stays within its limits and never invents or
//! duplicates a packet.
#![no_main]

use std::time::{Duration, Instant};

use fanfare_protocol::recovery::{Log, LogLimits, Memberships, Offset};
use libfuzzer_sys::fuzz_target;

const EPOCH: &str = "abcdEF_-";

fuzz_target!(|input: (&str, &[u8])| {
    let (text, steps) = input;
    if let Offset::Own(position) = Offset::parse(EPOCH, text) {
        assert_eq!(Offset::parse(EPOCH, &Offset::text(EPOCH, position)), Offset::Own(position));
    }
    let limits = LogLimits { bytes: 4096, age: Duration::from_secs(8) };
    let mut log = Log::new(limits);
    let mut memberships = Memberships::default();
    let (mut now, rooms) = (Instant::now(), ["a", "b", "c", "d"]);
    let mut sent = 0;
    for step in steps {
        let (what, n) = (step >> 5, usize::from(step & 31));
        let room = rooms[n % 4];
        match what {
            0 => now += Duration::from_millis(100 * n as u64),
            1 => memberships.join(room, log.position()),
            2 => memberships.leave(room, log.position()),
            3 => memberships.retain(|kept| kept != room),
            4 => {
                log.shrink_to(n * 100);
                assert!(log.bytes() <= n * 100);
            }
            _ => {
                let rooms = &rooms[..n % 4];
                let except = if n > 15 { &["d"][..] } else { &[] };
                sent += 1;
                assert_eq!(log.push(now, rooms, except, n * 50, sent), sent);
            }
        }
        log.expire(now);
        assert!(log.bytes() <= limits.bytes);
    }
    for after in [0, sent / 2, sent] {
        let Ok(missed) = log.missed(&memberships, after, None) else { continue };
        assert!(missed.is_sorted_by(|(a, _), (b, _)| a < b), "in order, each once");
        assert!(missed.iter().all(|(position, packet)| *position > after && *position == **packet));
    }
});
