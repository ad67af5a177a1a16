//! Header of a packet, before its JSON.

use super::error::DecodeError;
use super::packet_type::PacketType;
use crate::Limits;

/// Header of a packet, and its JSON, not parsed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Type of the packet.
    pub kind: PacketType,
    /// Number of attachments that follow.
    pub attachments: usize,
    /// Name of the namespace, `/` if none is written. Protocol 4 clients may send a query in it (`/chat?token=x`).
    pub namespace: &'a str,
    /// Acknowledgement id.
    pub ack: Option<u64>,
    /// Rest of the packet: JSON, or nothing.
    pub data: &'a str,
}

impl<'a> Header<'a> {
    /// Parses the header of a packet.
    ///
    /// # Errors
    /// [`DecodeError`] if type, attachment count, namespace or acknowledgement id are malformed or over a limit.
    pub fn parse(text: &'a str, limits: &Limits) -> Result<Self, DecodeError> {
        let bytes = text.as_bytes();
        let Some(&first) = bytes.first() else {
            return Err(DecodeError::Empty);
        };
        let Some(kind) = PacketType::from_digit(first) else {
            return Err(DecodeError::UnknownType(
                text.chars().next().unwrap_or_default(),
            ));
        };
        let mut at = 1;

        let mut attachments = 0;
        if kind.is_binary() {
            let (count, end) =
                digits(bytes, at).map_err(|Overflow| DecodeError::TooManyAttachments {
                    count: usize::MAX,
                    limit: limits.max_attachments,
                })?;
            // Node reads a count without digits as zero.
            if bytes.get(end) != Some(&b'-') {
                return Err(DecodeError::IllegalAttachments);
            }
            attachments = usize::try_from(count).unwrap_or(usize::MAX);
            if attachments > limits.max_attachments {
                return Err(DecodeError::TooManyAttachments {
                    count: attachments,
                    limit: limits.max_attachments,
                });
            }
            at = end + 1;
        }

        let mut namespace = "/";
        if bytes.get(at) == Some(&b'/') {
            let rest = &bytes[at..];
            let len = memchr::memchr(b',', rest).unwrap_or(rest.len());
            if len > limits.max_namespace_len {
                return Err(DecodeError::NamespaceTooLong {
                    len,
                    limit: limits.max_namespace_len,
                });
            }
            namespace = &text[at..at + len];
            at = (at + len + 1).min(bytes.len());
        }

        let (id, end) = digits(bytes, at).map_err(|Overflow| DecodeError::InvalidAckId)?;
        let ack = (end > at).then_some(id);

        Ok(Self {
            kind,
            attachments,
            namespace,
            ack,
            data: &text[end..],
        })
    }
}

struct Overflow;

/// Reads the decimal number at `at`, and returns it with its end; 0 and `at` if there is no digit.
fn digits(bytes: &[u8], mut at: usize) -> Result<(u64, usize), Overflow> {
    let mut number = 0u64;
    while let Some(digit) = bytes
        .get(at)
        .map(|byte| byte.wrapping_sub(b'0'))
        .filter(|&digit| digit <= 9)
    {
        number = number
            .checked_mul(10)
            .and_then(|n| n.checked_add(u64::from(digit)))
            .ok_or(Overflow)?;
        at += 1;
    }
    Ok((number, at))
}
