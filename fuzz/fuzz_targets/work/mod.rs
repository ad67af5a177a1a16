//! Limit of the work that an input causes, by its length.

use std::time::Duration;

use cpu_time::ThreadTime;

/// Processor time that any input may take, and that each of its bytes may add. The instrumentation makes everything
/// slower; work that grows with the square of the length exceeds the limit by far.
const TIME: Duration = Duration::from_millis(500);
const TIME_PER_BYTE: Duration = Duration::from_micros(5);

/// Work since its creation.
pub struct Work(ThreadTime);

impl Work {
    pub fn begin() -> Self {
        Self(ThreadTime::now())
    }

    /// Checks the work caused by an input of `len` bytes.
    pub fn check(self, len: usize) {
        let taken = self.0.elapsed();
        let most = TIME + TIME_PER_BYTE * u32::try_from(len).unwrap_or(u32::MAX);
        assert!(
            taken < most,
            "{len} bytes took {taken:?}, more than {most:?}"
        );
    }
}
