//! Arguments of events: read from the command line, shown to people, written for programs.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::exit::Failure;
use crate::style::Style;

/// The member that stands for bytes in JSON that we read and write: `{"$binary":"<base64>"}`.
const BINARY: &str = "$binary";

/// A JSON value in which bytes may stand anywhere.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Datum {
    /// Anything without members.
    Plain(Value),
    /// Bytes.
    Binary(Bytes),
    /// An array.
    List(Vec<Datum>),
    /// An object, in its order.
    Map(Vec<(String, Datum)>),
}

impl Datum {
    /// Reads an argument as it was typed: JSON if it is JSON, else a string; `@file` is the file's bytes (`@-` those of
    /// standard input), `hex:…` bytes in hexadecimal.
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
            Ok(value) => Ok(value),
            // Nobody means a string by these: it is JSON with a mistake.
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

    /// The value as JSON, bytes as `{"$binary":"<base64>"}`.
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

    /// For people: on one line if it is short, bytes as their number and first ones.
    pub(crate) fn pretty(&self, style: Style) -> String {
        let mut out = String::new();
        self.write(&mut out, 0, style);
        out
    }

    fn write(&self, out: &mut String, indent: usize, style: Style) {
        let plain = self.compact();
        let short = plain.len() + indent <= 88;
        match self {
            Self::List(items) if !short => {
                out.push_str("[\n");
                for (i, item) in items.iter().enumerate() {
                    let _ = write!(out, "{:1$}", "", indent + 2);
                    item.write(out, indent + 2, style);
                    out.push_str(if i + 1 < items.len() { ",\n" } else { "\n" });
                }
                let _ = write!(out, "{:1$}]", "", indent);
            }
            Self::Map(members) if !short => {
                out.push_str("{\n");
                for (i, (name, value)) in members.iter().enumerate() {
                    let name = style.name(Value::String(name.clone()));
                    let _ = write!(out, "{:1$}{name}: ", "", indent + 2);
                    value.write(out, indent + 2, style);
                    out.push_str(if i + 1 < members.len() { ",\n" } else { "\n" });
                }
                let _ = write!(out, "{:1$}}}", "", indent);
            }
            Self::Plain(Value::String(_)) => out.push_str(&style.good(plain)),
            Self::Plain(_) | Self::Binary(_) => out.push_str(&style.warn(plain)),
            _ => out.push_str(&plain),
        }
    }

    fn compact(&self) -> String {
        match self {
            Self::Plain(value) => value.to_string(),
            Self::Binary(bytes) => {
                let mut text = format!("<{} bytes", bytes.len());
                for (i, byte) in bytes.iter().take(16).enumerate() {
                    let _ = write!(text, "{}{byte:02x}", if i == 0 { ": " } else { " " });
                }
                text.push_str(if bytes.len() > 16 { " …>" } else { ">" });
                text
            }
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::compact).collect();
                format!("[{}]", items.join(","))
            }
            Self::Map(members) => {
                let members: Vec<String> = members
                    .iter()
                    .map(|(name, value)| {
                        format!("{}:{}", Value::String(name.clone()), value.compact())
                    })
                    .collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }
}

/// Several values for people, separated by spaces.
pub(crate) fn pretty(values: &[Datum], style: Style) -> String {
    let values: Vec<String> = values.iter().map(|value| value.pretty(style)).collect();
    values.join(" ")
}

/// Reads arguments that stand on one line: JSON values or words, separated by spaces.
pub(crate) fn parse_line(line: &str) -> Result<Vec<Datum>, Failure> {
    let mut values = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let word = rest.split_whitespace().next().unwrap_or_default();
        let taken = if rest.starts_with(['{', '[', '"']) {
            let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Datum>();
            match stream.next() {
                Some(Ok(value)) => {
                    values.push(value);
                    stream.byte_offset()
                }
                Some(Err(error)) => {
                    return Err(Failure::usage(format!("`{rest}` is not JSON")).because(error));
                }
                None => rest.len(),
            }
        } else {
            values.push(Datum::parse(word)?);
            word.len()
        };
        rest = rest.get(taken..).unwrap_or_default().trim_start();
    }
    Ok(values)
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.is_ascii() || digits.len() % 2 == 1 {
        return None;
    }
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// As [`duration`], but not zero.
pub(crate) fn some_duration(text: &str) -> Result<Duration, String> {
    match duration(text) {
        Ok(Duration::ZERO) => Err("it must be longer than nothing".to_owned()),
        result => result,
    }
}

/// Reads `500ms`, `5s`, `2m`, `1h`; a bare number is seconds.
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
    Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())
}

impl Serialize for Datum {
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

impl<'de> Deserialize<'de> for Datum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        macro_rules! plain {
            ($($method:ident: $type:ty),+) => {$(
                fn $method<E>(self, value: $type) -> Result<Datum, E> {
                    Ok(Datum::Plain(Value::from(value)))
                }
            )+};
        }
        impl<'de> Visitor<'de> for Any {
            type Value = Datum;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("any value")
            }

            plain!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str, visit_string: String);

            fn visit_unit<E>(self) -> Result<Datum, E> {
                Ok(Datum::Plain(Value::Null))
            }

            fn visit_none<E>(self) -> Result<Datum, E> {
                Ok(Datum::Plain(Value::Null))
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Datum, D::Error> {
                Datum::deserialize(deserializer)
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Datum, E> {
                Ok(Datum::Binary(Bytes::copy_from_slice(bytes)))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Datum, E> {
                Ok(Datum::Binary(bytes.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Datum, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Datum::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Datum, A::Error> {
                let mut members: Vec<(String, Datum)> = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                if let [(name, Datum::Plain(Value::String(text)))] = members.as_slice()
                    && name == BINARY
                    && let Ok(bytes) = STANDARD.decode(text)
                {
                    return Ok(Datum::Binary(bytes.into()));
                }
                Ok(Datum::Map(members))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::Style;
    use serde_json::json;

    #[test]
    fn arguments_are_json_or_words() {
        let values = parse_line(r#"hello {"a": [1, 2]} 3 "two words" hex:0aff true"#).unwrap();
        let shown: Vec<Value> = values.iter().map(Datum::to_json).collect();
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
            let error = Datum::parse(wrong).unwrap_err().text();
            assert!(
                error.contains("is not JSON") && error.contains("quote it"),
                "{error}"
            );
        }
        assert_eq!(Datum::parse("a{").unwrap().to_json(), json!("a{"));
    }

    #[test]
    fn bytes_survive_the_way_through_json() {
        let value = Datum::parse(r#"{"file":{"$binary":"AAEC"},"size":3}"#).unwrap();
        assert_eq!(
            value.pretty(Style::plain()),
            r#"{"file":<3 bytes: 00 01 02>,"size":3}"#
        );
        assert_eq!(value.to_json(), json!({"file":{"$binary":"AAEC"},"size":3}));
    }

    #[test]
    fn long_values_take_several_lines() {
        let value =
            Datum::parse(&json!({"text": "x".repeat(80), "list": [1, 2]}).to_string()).unwrap();
        let shown = value.pretty(Style::plain());
        assert_eq!(shown.lines().count(), 4, "{shown}");
        assert!(shown.contains("  \"list\": [1,2]"), "{shown}");
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("5 parsecs").is_err());
        assert!(duration("").is_err());
        assert!(some_duration("0").is_err());
    }
}
