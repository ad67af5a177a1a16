//! Random ids of nodes and requests.

/// Returns a random id of 16 hexadecimal digits, as Node.js gives its nodes and its requests. It comes from the system's
/// secure source.
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

/// Id under which emitters send (Node's `emitter`): no node, and never answered.
pub const EMITTER_ID: &str = "emitter";
