//! Arguments as values and back, by way of the wire form.

use bytes::Bytes;
use fanfare_protocol::socket::{
    AllArgs, ArgsBuf, Decoder, EncodeError, IntoArgs, Packet, encode_ack,
};
use fanfare_protocol::{Limits, Value};

use crate::encode::event_text;

fn args_of(text: &[u8], attachments: &[Bytes]) -> Option<ArgsBuf> {
    let mut limits = Limits::default();
    limits.max_payload = usize::MAX;
    limits.max_attachments = usize::MAX;
    limits.max_attachment_bytes = usize::MAX;
    limits.max_json_depth = Limits::JSON_DEPTH_CEILING;
    limits.max_event_name_len = usize::MAX;
    let args = |packet: Packet<'_>| match packet {
        Packet::Event(event) => Some(event.args.to_buf()),
        Packet::Ack(ack) => Some(ack.args.to_buf()),
        _ => None,
    };
    let mut decoder = Decoder::default();
    if let Some(packet) = decoder
        .text(std::str::from_utf8(text).ok()?, &limits)
        .ok()?
    {
        return args(packet);
    }
    for attachment in attachments {
        if let Some(assembled) = decoder.binary(attachment, &limits).ok()? {
            return args(assembled.packet());
        }
    }
    None
}

fn unrepresentable() -> EncodeError {
    EncodeError::NotSerializable {
        argument: 0,
        message: "not representable for other nodes".to_owned(),
    }
}

/// An event as it travels between nodes: its name and its arguments.
pub(crate) fn to_values(event: &str, args: &impl IntoArgs) -> Result<Vec<Value>, EncodeError> {
    let (text, attachments) = event_text("/", event, args)?;
    let args: AllArgs<Value> = args_of(&text, &attachments)
        .and_then(|args| args.decode().ok())
        .ok_or_else(unrepresentable)?;
    let mut data = vec![Value::String(event.to_owned())];
    data.extend(args.0);
    Ok(data)
}

/// Values as the arguments of an acknowledgement or an event.
pub(crate) fn from_values(values: &[Value]) -> Option<ArgsBuf> {
    let (mut text, mut attachments) = (Vec::new(), Vec::new());
    let args = AllArgs(values.iter().collect::<Vec<_>>());
    encode_ack(&mut text, "/", 0, &args, &mut attachments).ok()?;
    args_of(&text, &attachments)
}

pub(crate) fn from_value(value: &Value) -> Option<ArgsBuf> {
    from_values(std::slice::from_ref(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let data = to_values("e", &(1, "two", Bytes::from_static(b"3"))).unwrap();
        assert_eq!(data[0].as_str(), Some("e"));
        assert_eq!(data[3].as_binary().unwrap(), &b"3"[..]);
        let args = from_values(&data[1..]).unwrap();
        let (one, two, three): (u8, String, Bytes) = args.decode().unwrap();
        assert_eq!((one, &*two, &*three), (1, "two", &b"3"[..]));
        assert!(to_values("e", &()).unwrap().len() == 1);
        assert_eq!(
            from_value(&Value::Null)
                .unwrap()
                .decode::<Option<u8>>()
                .unwrap(),
            None
        );
    }
}
