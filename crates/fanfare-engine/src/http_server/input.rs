//! Input of a connection that was read and not handled yet.

/// Byte queue: taking from the front costs nothing, and new bytes are added at the end. Empty, it holds no memory.
#[derive(Debug, Default)]
pub(super) struct Input {
    data: Vec<u8>,
    start: usize,
}

impl Input {
    pub(super) fn of(data: &[u8]) -> Input {
        Input {
            data: data.to_vec(),
            start: 0,
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.data[self.start..]
    }

    pub(super) fn len(&self) -> usize {
        self.data.len() - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn consume(&mut self, n: usize) {
        self.start += n;
        if self.is_empty() {
            *self = Input::default();
        }
    }

    pub(super) fn extend(&mut self, more: &[u8]) {
        self.compact();
        self.data.extend_from_slice(more);
    }

    pub(super) fn into_vec(mut self) -> Vec<u8> {
        self.compact();
        self.data
    }

    /// Frees the memory of what was taken; for input that will stay for a while.
    pub(super) fn compact(&mut self) {
        if self.start > 0 {
            self.data = self.data[self.start..].to_vec();
            self.start = 0;
        }
    }
}
