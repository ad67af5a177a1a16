//! Messages of the classic Redis wire as broadcasts, requests and answers: what is accepted is written again and read
//! again, in linear time.
#![no_main]

mod work;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use work::Work;

fuzz_target!(|message: &[u8]| {
    let work = Work::begin();
    fanfare_redis::fuzzing::classic(&Bytes::copy_from_slice(message));
    work.check(message.len());
});
