//! JSON of single values, and the error of values that cannot be encoded.

use serde::Serialize;

use super::scan::is_plain;

/// Reason for which a packet cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// An argument cannot be serialized.
    #[error("argument {argument} cannot be serialized: {message}")]
    NotSerializable {
        /// Index of the argument.
        argument: usize,
        /// Message from `serde`.
        message: String,
    },
    /// The event is one that only the libraries themselves may emit.
    #[error("{0:?} is a reserved event name")]
    ReservedEvent(String),
}

/// Appends JSON, or truncates `out` to `start` on failure.
pub(crate) fn write_json<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    start: usize,
    value: &T,
) -> Result<(), EncodeError> {
    serde_json::to_writer(&mut *out, value).map_err(|error| {
        out.truncate(start);
        EncodeError::NotSerializable {
            argument: 0,
            message: error.to_string(),
        }
    })
}

/// Length of the pieces in which long strings are checked and copied, in bytes: a piece just checked is copied from the
/// nearest cache, and `memcpy` does not use `rep movsb`, which took a quarter of the time of an echo of 4 KiB on a
/// processor where that is slow.
const PIECE_BYTES: usize = 1024;

/// Appends a string as JSON.
#[inline]
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    let start = out.len();
    out.reserve(text.len() + 2);
    out.push(b'"');
    for piece in text.as_bytes().chunks(PIECE_BYTES) {
        if !is_plain(piece) {
            out.truncate(start);
            // Serializing a string into a `Vec` cannot fail.
            let _ = serde_json::to_writer(out, text);
            return;
        }
        out.extend_from_slice(piece);
    }
    out.push(b'"');
}
