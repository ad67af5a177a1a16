//! Frames between the demo and its nodes, over the standard input and output of the nodes' processes.
//!
//! A frame is the length of its content as a big-endian `u32`, a byte with its kind, a byte with the number of a node,
//! and the content: JSON in control frames, messages of Node's `ClusterAdapter` format in the others.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// Maximum length of a frame's content, in bytes.
const MAX_BYTES: usize = 16 << 20;
/// Maximum number of frames that wait for one reader.
const MAX_QUEUED: usize = 256;

/// Kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// From the demo about the nodes, or from a node about itself.
    Control = 0,
    /// Message for all other nodes, or from the numbered one.
    Message = 1,
    /// Answer for the numbered node, or from it.
    Answer = 2,
}

/// A frame.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) node: u8,
    pub(super) content: Bytes,
}

impl Frame {
    pub(super) fn control(value: &impl Serialize) -> Self {
        Self {
            kind: Kind::Control,
            node: 0,
            // These types serialize without fail; an empty frame is ignored.
            content: serde_json::to_vec(value).unwrap_or_default().into(),
        }
    }

    /// Reads the value of a control frame.
    pub(super) fn value<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.content).ok()
    }

    /// Whether it is short enough to be sent.
    pub(super) fn fits(&self) -> bool {
        self.content.len() <= MAX_BYTES
    }
}

/// Reads the next frame; `None` at the end, or if what comes is no frame.
pub(super) async fn read(input: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    let len = usize::try_from(input.read_u32().await.ok()?).ok()?;
    let kind = match input.read_u8().await.ok()? {
        0 => Kind::Control,
        1 => Kind::Message,
        2 => Kind::Answer,
        _ => return None,
    };
    let node = input.read_u8().await.ok()?;
    if len > MAX_BYTES {
        return None;
    }
    let mut content = vec![0; len];
    input.read_exact(&mut content).await.ok()?;
    Some(Frame {
        kind,
        node,
        content: content.into(),
    })
}

/// Starts to write frames, and returns their queue. The output is closed when all senders have been dropped.
pub(super) fn writer(mut output: impl AsyncWrite + Unpin + Send + 'static) -> mpsc::Sender<Frame> {
    let (sender, mut frames) = mpsc::channel::<Frame>(MAX_QUEUED);
    tokio::spawn(async move {
        let mut buffer = BytesMut::new();
        while let Some(frame) = frames.recv().await {
            put(&mut buffer, &frame);
            while let Ok(frame) = frames.try_recv() {
                put(&mut buffer, &frame);
            }
            let written = output.write_all(&buffer).await;
            if written.is_err() || output.flush().await.is_err() {
                return; // the process at the other end is gone
            }
            buffer.clear();
        }
    });
    sender
}

fn put(buffer: &mut BytesMut, frame: &Frame) {
    let Ok(len) = u32::try_from(frame.content.len()) else {
        return; // checked by `fits`
    };
    buffer.put_u32(len);
    buffer.put_u8(frame.kind as u8);
    buffer.put_u8(frame.node);
    buffer.put_slice(&frame.content);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_pass_and_rubbish_ends_the_connection() {
        let (output, mut input) = tokio::io::duplex(64);
        let sender = writer(output);
        let content = Bytes::from(vec![7; 1000]);
        let frame = Frame {
            kind: Kind::Answer,
            node: 3,
            content: content.clone(),
        };
        sender.send(frame).await.unwrap();
        sender.send(Frame::control(&"hello")).await.unwrap();
        let read_back = read(&mut input).await.unwrap();
        assert_eq!((read_back.kind, read_back.node), (Kind::Answer, 3));
        assert_eq!(read_back.content, content);
        let hello: Option<String> = read(&mut input).await.unwrap().value();
        assert_eq!(hello.as_deref(), Some("hello"));
        drop(sender);
        assert!(read(&mut input).await.is_none());
        for rubbish in [&[0xff; 64][..], &[0, 0, 0, 1, 9, 0, 0], b"\0\0"] {
            assert!(read(&mut &*rubbish).await.is_none());
        }
    }
}
