//! Random ids of nodes and requests.

/// Returns a random id of 16 hexadecimal digits, the format of the node and request ids of Node.js. It comes from the
/// system's secure source of random numbers.
///
/// ```
/// let id = fanfare_cluster::unique_id();
/// assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
/// ```
#[must_use]
pub fn unique_id() -> String {
    let mut bytes = [0; 8];
    #[allow(
        clippy::expect_used,
        reason = "without a secure source no id is safe to hand out"
    )]
    getrandom::fill(&mut bytes).expect("the system has a source of random bytes");
    format!("{:016x}", u64::from_be_bytes(bytes))
}

/// Sender id of emitters (Node's `emitter`), which are not nodes and get no answers.
pub const EMITTER_ID: &str = "emitter";
