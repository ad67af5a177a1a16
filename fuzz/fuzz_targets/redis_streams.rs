//! Replies of Redis about streams, in its protocol: entries, their ids, their messages in JSON and in base64; and stored
//! sessions. The messages are not larger than the reply, and take linear time.
#![no_main]

mod work;

use libfuzzer_sys::fuzz_target;
use work::Work;

fuzz_target!(|reply: &[u8]| {
    let work = Work::begin();
    for message in fanfare_redis::fuzzing::entries(reply) {
        if let Some(data) = message.encode_data() {
            assert!(data.as_bytes().len() <= 16 * reply.len() + 1024);
        }
    }
    fanfare_redis::fuzzing::session(reply, "p");
    work.check(reply.len());
});
