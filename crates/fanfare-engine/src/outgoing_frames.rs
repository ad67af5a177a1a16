//! Frames on their way into an outbox.

use bytes::Bytes;

/// Maximum length of frames that are collected in one buffer, in bytes: copying them costs less than counting
/// references and handing the kernel many buffers.
pub(crate) const MAX_COALESCED_BYTES: usize = 512;
/// The same limit for frames that are not shared: they have to be copied in any case.
pub(crate) const MAX_COALESCED_OWNED_BYTES: usize = 8 * 1024;

/// Frames that are about to enter an outbox.
#[derive(Clone, Copy)]
pub(crate) enum OutgoingFrames<'a> {
    /// Borrowed bytes: queueing copies them.
    Slice(&'a [u8]),
    /// Shared bytes.
    Shared(&'a Bytes),
    /// Shared bytes that are not worth compressing.
    Raw(&'a Bytes),
    /// Bytes that the connection's own compressor compresses as they enter the outbox.
    Deflate(&'a [u8]),
}

impl OutgoingFrames<'_> {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            OutgoingFrames::Slice(frames) | OutgoingFrames::Deflate(frames) => frames,
            OutgoingFrames::Shared(frames) | OutgoingFrames::Raw(frames) => frames,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Maximum length of these frames up to which they are copied into a coalesce buffer, in bytes.
    #[inline]
    pub(crate) fn collected(&self) -> usize {
        match self {
            OutgoingFrames::Slice(_) => MAX_COALESCED_OWNED_BYTES,
            _ => MAX_COALESCED_BYTES,
        }
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            OutgoingFrames::Slice(frames) | OutgoingFrames::Deflate(frames) => {
                Bytes::copy_from_slice(frames)
            }
            OutgoingFrames::Shared(frames) | OutgoingFrames::Raw(frames) => frames.clone(),
        }
    }
}
