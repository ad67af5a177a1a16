//! Argument scanner against `serde_json`: same verdict, same elements.
#![no_main]

use fanfare_protocol::socket::{AllArgs, Args, DecodeError};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;

fuzz_target!(|json: &str| {
    // `IgnoredAny` checks only the grammar, and has no limit of depth.
    let theirs = serde_json::from_str::<Vec<IgnoredAny>>(json);
    match Args::from_json(json, 128) {
        Ok(ours) => {
            assert_eq!(ours.len(), theirs.expect("accepted only by the scanner").len());
            for i in 0..ours.len() {
                serde_json::from_str::<IgnoredAny>(ours.get(i).unwrap()).unwrap();
            }
            if let Err(error) = ours.decode::<AllArgs<Value>>() {
                assert!(error.message.contains("out of range"), "{error}");
            }
            let _ = ours.decode::<(String, Option<u8>, f64)>();
        }
        Err(DecodeError::TooDeep { .. }) => {}
        Err(error) => assert!(theirs.is_err(), "refused only by the scanner: {error}"),
    }
});
