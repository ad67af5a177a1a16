//! Arguments of events: parsing from the command line, output for people, output for programs.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fanfare_protocol::finite;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::exit::Failure;
use crate::out::{Style, Text};

/// Member that represents bytes in JSON: `{"$binary":"<base64>"}`.
const BINARY: &str = "$binary";

/// JSON value that may contain bytes anywhere.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ArgValue {
    /// Value without members.
    Plain(Value),
    /// Bytes.
    Binary(Bytes),
    /// An array.
    List(Vec<ArgValue>),
    /// An object, in the order of its members.
    Map(Vec<(String, ArgValue)>),
}

impl ArgValue {
    /// Parses an argument: JSON if it is valid JSON, else a string; `@file` is the file's bytes (`@-` those of standard
    /// input), `hex:…` bytes in hexadecimal.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if let Some(file) = text.strip_prefix('@') {
            let read = if file == "-" {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).map(|_| bytes)
            } else {
                std::fs::read(file)
            };
            return read.map(|bytes| Self::Binary(bytes.into())).map_err(|error| {
                Failure::usage(format!("cannot read the argument {text}"))
                    .because(error)
                    .fix("`@file` sends the bytes of a file; write '\"@text\"' for a string that begins with @")
            });
        }
        if let Some(digits) = text.strip_prefix("hex:") {
            return unhex(digits)
                .map(|bytes| Self::Binary(bytes.into()))
                .ok_or_else(|| {
                    Failure::usage(format!("`{text}` is not hexadecimal")).fix(
                        "write an even number of digits like hex:00ff; '\"hex:…\"' is a string",
                    )
                });
        }
        match serde_json::from_str::<Self>(text) {
            Ok(value) => value.with_bytes(),
            // Text that begins like this is invalid JSON rather than a string.
            Err(error) if text.starts_with(['{', '[', '"']) => {
                let string = Value::String(text.to_owned());
                Err(Failure::usage(format!("`{text}` is not JSON"))
                    .because(error)
                    .fix(format!(
                        "mend it; for a string, quote it as JSON: '{string}'"
                    )))
            }
            Err(_) => Ok(Self::Plain(Value::String(text.to_owned()))),
        }
    }

    /// Replaces `{"$binary":"<base64>"}` in typed input by bytes. Values from a server are not converted.
    fn with_bytes(self) -> Result<Self, Failure> {
        Ok(match self {
            Self::List(items) => Self::List(
                items
                    .into_iter()
                    .map(Self::with_bytes)
                    .collect::<Result<_, _>>()?,
            ),
            Self::Map(members) => match members.as_slice() {
                [(name, value)] if name == BINARY => return value.as_base64().map(Self::Binary),
                _ => {
                    let inside = |(name, value): (String, Self)| Ok((name, value.with_bytes()?));
                    Self::Map(
                        members
                            .into_iter()
                            .map(inside)
                            .collect::<Result<_, Failure>>()?,
                    )
                }
            },
            other => other,
        })
    }

    fn as_base64(&self) -> Result<Bytes, Failure> {
        let wrong = |why: &dyn std::fmt::Display| {
            let value: String = self.to_json().to_string().chars().take(60).collect();
            Failure::usage(format!("`{{\"$binary\":{value}}}` holds no bytes"))
                .because(why)
                .fix("write them in base64 with its padding, as {\"$binary\":\"AAEC\"}")
        };
        match self {
            Self::Plain(Value::String(text)) => match STANDARD.decode(text) {
                Ok(bytes) => Ok(bytes.into()),
                Err(error) => Err(wrong(&format_args!("it is not base64: {error}"))),
            },
            _ => Err(wrong(&"base64 is a string")),
        }
    }

    /// Returns the approximate size when sent, in bytes: that of the JSON, and that of the bytes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Plain(Value::String(text)) => text.len() + 2,
            Self::Plain(value) => value.to_string().len(),
            Self::Binary(bytes) => bytes.len(),
            Self::List(items) => items.iter().map(|item| item.weight() + 1).sum::<usize>() + 2,
            Self::Map(members) => {
                let members = members
                    .iter()
                    .map(|(name, value)| name.len() + value.weight() + 4);
                members.sum::<usize>() + 2
            }
        }
    }

    /// Returns the value as JSON, bytes as `{"$binary":"<base64>"}`.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Plain(value) => value.clone(),
            Self::Binary(bytes) => serde_json::json!({ BINARY: STANDARD.encode(bytes) }),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(members) => members
                .iter()
                .map(|(name, value)| (name.clone(), value.to_json()))
                .collect(),
        }
    }

    /// Formats the value for people: on one line if it is short, bytes as their length and first ones.
    pub(crate) fn pretty(&self, style: Style) -> Text {
        let mut out = Text::default();
        self.write(&mut out, 0, style);
        out
    }

    fn write(&self, out: &mut Text, indent: usize, style: Style) {
        let plain = self.compact();
        let short = plain.len() + indent <= 88;
        match self {
            Self::List(items) if !short => {
                out.push("[");
                for (i, item) in items.iter().enumerate() {
                    out.push(if i > 0 { "," } else { "" });
                    out.new_line(indent + 2);
                    item.write(out, indent + 2, style);
                }
                out.new_line(indent);
                out.push("]");
            }
            Self::Map(members) if !short => {
                out.push("{");
                for (i, (name, value)) in members.iter().enumerate() {
                    out.push(if i > 0 { "," } else { "" });
                    out.new_line(indent + 2);
                    out.push(style.name(quoted(name)));
                    out.push(": ");
                    value.write(out, indent + 2, style);
                }
                out.new_line(indent);
                out.push("}");
            }
            Self::Plain(Value::String(_)) => out.push(style.good(plain)),
            Self::Plain(_) | Self::Binary(_) => out.push(style.warn(plain)),
            _ => out.push(plain),
        }
    }

    /// Formats the value on one line.
    fn compact(&self) -> Text {
        match self {
            Self::Plain(value) => Text::json(value),
            Self::Binary(bytes) => {
                let mut text = format!("<{} bytes", bytes.len());
                for (i, byte) in bytes.iter().take(16).enumerate() {
                    let _ = write!(text, "{}{byte:02x}", if i == 0 { ": " } else { " " });
                }
                text.push_str(if bytes.len() > 16 { " …>" } else { ">" });
                Text::of(text)
            }
            Self::List(items) => {
                let mut text = Text::of("[");
                for (i, item) in items.iter().enumerate() {
                    text.push(if i > 0 { "," } else { "" });
                    text.push(item.compact());
                }
                text.push("]");
                text
            }
            Self::Map(members) => {
                let mut text = Text::of("{");
                for (i, (name, value)) in members.iter().enumerate() {
                    text.push(if i > 0 { "," } else { "" });
                    text.push(quoted(name));
                    text.push(":");
                    text.push(value.compact());
                }
                text.push("}");
                text
            }
        }
    }
}

/// Formats a name as a JSON string.
fn quoted(name: &str) -> Text {
    Text::json(&Value::from(name))
}

/// Formats several values for people, separated by spaces.
pub(crate) fn pretty(values: &[ArgValue], style: Style) -> Text {
    let mut text = Text::default();
    for (i, value) in values.iter().enumerate() {
        text.push(if i > 0 { " " } else { "" });
        text.push(value.pretty(style));
    }
    text
}

/// Parses arguments on one line: JSON values or words, separated by spaces.
pub(crate) fn parse_line(line: &str) -> Result<Vec<ArgValue>, Failure> {
    let mut values = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let word = rest.split_whitespace().next().unwrap_or_default();
        let taken = if rest.starts_with(['{', '[', '"']) {
            let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<ArgValue>();
            match stream.next() {
                Some(Ok(value)) => {
                    values.push(value.with_bytes()?);
                    stream.byte_offset()
                }
                Some(Err(error)) => {
                    return Err(Failure::usage(format!("`{rest}` is not JSON")).because(error));
                }
                None => rest.len(),
            }
        } else {
            values.push(ArgValue::parse(word)?);
            word.len()
        };
        rest = rest.get(taken..).unwrap_or_default().trim_start();
    }
    Ok(values)
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = digits
        .chars()
        .map(|digit| digit.to_digit(16))
        .collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks() else {
        return None;
    };
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(high * 16 + low).ok())
        .collect()
}

/// Parses a [`duration`] that is not zero.
pub(crate) fn some_duration(text: &str) -> Result<Duration, String> {
    match duration(text) {
        Ok(Duration::ZERO) => Err("it must be longer than nothing".to_owned()),
        result => result,
    }
}

/// Parses `500ms`, `5s`, `2m`, `1h`; a bare number is seconds. More than 30 years count as 30 years.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number
        .parse()
        .map_err(|_| format!("`{text}` is no duration; write it like 500ms, 5s or 2m"))?;
    let unit = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        other => return Err(format!("unknown unit `{other}`; use ms, s, m or h")),
    };
    Duration::try_from_secs_f64(number * unit)
        .map(finite)
        .map_err(|error| error.to_string())
}

impl Serialize for ArgValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::Binary(bytes) => serializer.serialize_bytes(bytes),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for ArgValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        macro_rules! plain {
            ($($method:ident: $type:ty),+) => {$(
                fn $method<E>(self, value: $type) -> Result<ArgValue, E> {
                    Ok(ArgValue::Plain(Value::from(value)))
                }
            )+};
        }
        impl<'de> Visitor<'de> for Any {
            type Value = ArgValue;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("any value")
            }

            plain!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str, visit_string: String);

            fn visit_unit<E>(self) -> Result<ArgValue, E> {
                Ok(ArgValue::Plain(Value::Null))
            }

            fn visit_none<E>(self) -> Result<ArgValue, E> {
                Ok(ArgValue::Plain(Value::Null))
            }

            fn visit_some<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<ArgValue, D::Error> {
                ArgValue::deserialize(deserializer)
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<ArgValue, E> {
                Ok(ArgValue::Binary(Bytes::copy_from_slice(bytes)))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<ArgValue, E> {
                Ok(ArgValue::Binary(bytes.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ArgValue, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(ArgValue::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ArgValue, A::Error> {
                let mut members: Vec<(String, ArgValue)> = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(ArgValue::Map(members))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Instant;

    #[test]
    fn arguments_are_json_or_words() {
        let values = parse_line(r#"hello {"a": [1, 2]} 3 "two words" hex:0aff true"#).unwrap();
        let shown: Vec<Value> = values.iter().map(ArgValue::to_json).collect();
        assert_eq!(
            shown,
            [
                json!("hello"),
                json!({"a":[1,2]}),
                json!(3),
                json!("two words"),
                json!({"$binary":"Cv8="}),
                json!(true)
            ]
        );
        assert!(parse_line(r#"{"a": "#).is_err());
        assert!(parse_line("hex:0").is_err());
        assert!(parse_line("@/no/such/file").is_err());
    }

    #[test]
    fn json_with_a_mistake_is_no_string() {
        for wrong in ["{a:1}", "[1,", "\"open"] {
            let error = ArgValue::parse(wrong).unwrap_err().text();
            assert!(
                error.contains("is not JSON") && error.contains("quote it"),
                "{error}"
            );
        }
        assert_eq!(ArgValue::parse("a{").unwrap().to_json(), json!("a{"));
    }

    #[test]
    fn bytes_survive_the_way_through_json() {
        let value = ArgValue::parse(r#"{"file":{"$binary":"AAEC"},"size":3}"#).unwrap();
        assert_eq!(
            value.pretty(Style::plain()).as_str(),
            r#"{"file":<3 bytes: 00 01 02>,"size":3}"#
        );
        assert_eq!(value.to_json(), json!({"file":{"$binary":"AAEC"},"size":3}));
    }

    #[test]
    fn what_a_server_sends_is_not_taken_for_bytes() {
        let sent: ArgValue = serde_json::from_str(r#"{"$binary":"AAEC"}"#).unwrap();
        assert!(matches!(sent, ArgValue::Map(_)), "{sent:?}");
        for wrong in [
            r#"{"$binary":"%"}"#,
            r#"[{"a":{"$binary":"AAE"}}]"#,
            r#"{"$binary":[1]}"#,
        ] {
            let error = ArgValue::parse(wrong).unwrap_err().text();
            assert!(error.contains("base64"), "{error}");
            assert!(parse_line(wrong).is_err(), "{wrong}");
        }
        assert!(matches!(
            ArgValue::parse(r#"{"$binary":"%","b":1}"#),
            Ok(ArgValue::Map(_))
        ));
        assert!(ArgValue::parse("hex:+1").is_err());
    }

    #[test]
    fn long_values_take_several_lines() {
        let value =
            ArgValue::parse(&json!({"text": "x".repeat(80), "list": [1, 2]}).to_string()).unwrap();
        let shown = value.pretty(Style::plain());
        let shown = shown.as_str();
        assert_eq!(shown.lines().count(), 4, "{shown}");
        assert!(shown.contains("  \"list\": [1,2]"), "{shown}");
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        // The longest time that any timer is set to, and twice that.
        let longest = duration("5000000000000000h").unwrap();
        assert!(longest > Duration::from_secs(1 << 29));
        assert!(Instant::now().checked_add(2 * longest).is_some());
        assert!(duration("5 parsecs").is_err());
        assert!(duration("").is_err());
        assert!(some_duration("0").is_err());
    }
}
