//! Estimate of the memory that deserialized arguments take, which is seldom too low.
//!
//! A few bytes on the wire can be many in memory: `{"":0}` is a node of a B-tree in a `serde_json::Value`. The
//! constants below are the bytes that the worst of the usual types (`serde_json::Value`, [`Value`](crate::Value), maps
//! of them) take for a value of each kind, with capacity for growth and the allocator's overhead; `tests/allocation.rs`
//! measures them.

/// Bytes of an object with its first members; with the feature `preserve_order` of `serde_json` it takes most.
const OBJECT_BYTES: usize = 896;
/// Bytes of an array with its first elements.
const ARRAY_BYTES: usize = 320;
/// Bytes of a member of an object: its name, and its slot.
const MEMBER_BYTES: usize = 112;
/// Bytes of the slot of a value: in an array, or as an argument.
const ELEMENT_BYTES: usize = 144;

/// Estimates JSON by the characters that separate values. Those in strings count as well: strings are not examined
/// closer, because the estimate must cost next to nothing.
pub(super) fn json(text: &str) -> usize {
    let (mut objects, mut arrays, mut members, mut elements) = (0, 0, 0, 0);
    // Blocks are so short that a byte can count their characters, so that the compiler uses vectors.
    for block in text.as_bytes().chunks(u8::MAX as usize) {
        let (mut braces, mut brackets, mut colons, mut commas) = (0u8, 0u8, 0u8, 0u8);
        for &byte in block {
            braces += u8::from(byte == b'{');
            brackets += u8::from(byte == b'[');
            colons += u8::from(byte == b':');
            commas += u8::from(byte == b',');
        }
        objects += usize::from(braces);
        arrays += usize::from(brackets);
        members += usize::from(colons);
        elements += usize::from(commas);
    }
    text.len()
        + objects * OBJECT_BYTES
        + arrays * ARRAY_BYTES
        + members * MEMBER_BYTES
        + (elements + 1) * ELEMENT_BYTES
}

/// Memory of one value of MessagePack.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weighed {
    Scalar,
    /// Length of a text; bytes that are no UTF-8 become three each.
    Text(usize),
    /// Length of bytes copied out of the message.
    Bytes(usize),
    Array,
    /// Number of members.
    Map(usize),
}

impl Weighed {
    pub(crate) fn bytes(self) -> usize {
        ELEMENT_BYTES
            + match self {
                Self::Scalar => 0,
                Self::Text(len) => 3 * len,
                Self::Bytes(len) => len,
                Self::Array => ARRAY_BYTES,
                Self::Map(len) => OBJECT_BYTES + len * MEMBER_BYTES,
            }
    }
}
