//! Notifications of PostgreSQL and rows with messages, to one node: each line is a notification, one that begins with `#`
//! is a row. The number of nodes that the node knows is bounded by what was sent, and work is linear.
#![no_main]

mod work;

use bytes::Bytes;
use fanfare_postgres::fuzzing::Receiver;
use libfuzzer_sys::fuzz_target;
use work::Work;

thread_local! {
    static RECEIVER: Receiver = Receiver::new();
}

/// Limit of the nodes that are known.
const MAX_NODES: usize = 4096;

fuzz_target!(|input: &[u8]| {
    RECEIVER.with(|receiver| {
        let work = Work::begin();
        for line in input.split(|byte| *byte == b'\n') {
            match line.strip_prefix(b"#") {
                Some(row) => receiver.row(&Bytes::copy_from_slice(row)),
                None => drop(receiver.notification(&Bytes::copy_from_slice(line))),
            }
        }
        work.check(input.len());
        assert!(receiver.nodes() <= MAX_NODES);
    });
});
