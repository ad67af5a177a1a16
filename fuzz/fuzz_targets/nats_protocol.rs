//! Bytes of a NATS server to the parser of a connection, however they are cut: the same operations, from a buffer that
//! grows with what has arrived and not with the lengths that are announced, in linear time.
#![no_main]

mod work;

use fanfare_nats::fuzzing::operations;
use libfuzzer_sys::fuzz_target;
use work::Work;

fuzz_target!(|input: &[u8]| {
    let Some((&piece, input)) = input.split_first() else { return };
    let work = Work::begin();
    let whole = operations(input, input.len());
    let pieces = operations(input, piece.into());
    work.check(2 * input.len());
    assert_eq!(whole, pieces);
});
