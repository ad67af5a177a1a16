//! Stand-ins until `fanfare-protocol` and `fanfare-websocket` provide these.

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The transport failed, or the peer broke the rules of the transport.
    TransportError,
    /// The peer closed the transport.
    TransportClose,
    /// This side closed the session.
    ForcedClose,
    /// The peer did not answer a heartbeat in time.
    PingTimeout,
    /// The peer sent something that is no Engine.IO packet.
    ParseError,
}

#[derive(Clone, Copy)]
pub(crate) enum OpCode {
    Text = 1,
    Binary = 2,
}

pub(crate) mod frame {
    use super::OpCode;

    pub(crate) fn begin(out: &mut Vec<u8>) -> usize {
        let start = out.len();
        out.extend_from_slice(&[0; 2]);
        start
    }

    pub(crate) fn finish(out: &mut Vec<u8>, start: usize, opcode: OpCode) {
        let payload = out.split_off(start + 2);
        out.truncate(start);
        encode_into(out, opcode, &payload);
    }

    pub(crate) fn encode_into(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
        out.push(0x80 | opcode as u8);
        match payload.len() {
            len @ 0..126 => out.push(len as u8),
            len @ 126..65536 => {
                out.push(126);
                out.extend_from_slice(&(len as u16).to_be_bytes());
            }
            len => {
                out.push(127);
                out.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(payload);
    }
}
