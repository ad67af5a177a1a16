//! Conversion of JSON to MessagePack, without a tree of values.

use std::borrow::Cow;

use bytes::Bytes;

use super::encode::{write_array, write_map, write_text, write_value};
use crate::socket::placeholders::{Reference, each_reference, end_of_string};
use crate::socket::scan::replace_lone_surrogates;

/// Appends valid JSON as MessagePack; placeholders are replaced by their attachments, if there are any.
///
/// The first pass counts the elements of each array and object, which MessagePack writes before them, and the second
/// writes. Both take time proportional to the length of the text.
pub(crate) fn from_json(out: &mut Vec<u8>, json: &str, attachments: &[Bytes]) {
    let mut references = Vec::new();
    if !attachments.is_empty() {
        each_reference(json, |reference| {
            references.push(reference);
            true
        });
        references.sort_unstable_by_key(|reference| reference.start);
    }
    let lengths = lengths(json.as_bytes(), &references);
    Writer {
        json,
        out,
        attachments,
        references: References::new(&references),
    }
    .write(&lengths);
}

/// References in the order in which they start.
#[derive(Clone, Debug)]
struct References<'a>(std::iter::Peekable<std::slice::Iter<'a, Reference>>);

impl<'a> References<'a> {
    fn new(all: &'a [Reference]) -> Self {
        Self(all.iter().peekable())
    }

    /// Returns the reference that starts here. References inside of another one are skipped.
    fn at(&mut self, start: usize) -> Option<&'a Reference> {
        while self.0.next_if(|next| next.start < start).is_some() {}
        self.0.next_if(|next| next.start == start)
    }
}

/// Returns the number of elements of each array and object, in the order in which they start.
fn lengths(json: &[u8], references: &[Reference]) -> Vec<usize> {
    let mut references = References::new(references);
    let mut lengths: Vec<usize> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        let start = at;
        at += 1;
        if matches!(byte, b',') {
            if let Some(len) = open.last().and_then(|&index| lengths.get_mut(index)) {
                *len += 1;
            }
            continue;
        }
        if matches!(byte, b'}' | b']') {
            open.pop();
            continue;
        }
        if matches!(byte, b':' | b' ' | b'\t' | b'\n' | b'\r') {
            continue;
        }
        // The start of a value or of a name: the container has at least one element.
        if let Some(len) = open.last().and_then(|&index| lengths.get_mut(index)) {
            *len = (*len).max(1);
        }
        match byte {
            b'"' => at = end_of_string(json, at),
            b'{' | b'[' => match references.at(start) {
                Some(reference) => at = reference.end,
                None => {
                    open.push(lengths.len());
                    lengths.push(0);
                }
            },
            _ => at = end_of_word(json, at),
        }
    }
    lengths
}

/// Returns the end of a number or word.
fn end_of_word(json: &[u8], mut at: usize) -> usize {
    while json
        .get(at)
        .is_some_and(|byte| !matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r'))
    {
        at += 1;
    }
    at
}

struct Writer<'a> {
    json: &'a str,
    out: &'a mut Vec<u8>,
    attachments: &'a [Bytes],
    references: References<'a>,
}

impl Writer<'_> {
    fn write(mut self, lengths: &[usize]) {
        let bytes = self.json.as_bytes();
        let mut lengths = lengths.iter().copied();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let start = at;
            at += 1;
            match byte {
                b'"' => {
                    at = end_of_string(bytes, at);
                    let text = text(self.json.get(start..at).unwrap_or_default());
                    write_text(self.out, &text);
                }
                b'[' => write_array(self.out, lengths.next().unwrap_or_default()),
                b'{' => match self.references.at(start) {
                    Some(&Reference { end, num, .. }) => {
                        at = end;
                        self.binary(num);
                    }
                    None => write_map(self.out, lengths.next().unwrap_or_default()),
                },
                b',' | b':' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r' => {}
                _ => {
                    at = end_of_word(bytes, at);
                    self.word(self.json.get(start..at).unwrap_or_default());
                }
            }
        }
    }

    fn binary(&mut self, num: Option<usize>) {
        let data = num.and_then(|num| self.attachments.get(num));
        let data: &[u8] = data.map_or(&[], |data| data);
        let len = data.len();
        match (u8::try_from(len), u16::try_from(len)) {
            (Ok(len), _) => self.out.extend_from_slice(&[0xc4, len]),
            (_, Ok(len)) => {
                self.out.push(0xc5);
                self.out.extend_from_slice(&len.to_be_bytes());
            }
            _ => {
                self.out.push(0xc6);
                let len = u32::try_from(len).unwrap_or(u32::MAX);
                self.out.extend_from_slice(&len.to_be_bytes());
            }
        }
        self.out.extend_from_slice(data);
    }

    /// Writes a number, `true`, `false` or `null`.
    fn word(&mut self, word: &str) {
        // Serializing a number into a `Vec` cannot fail.
        let _ = match word {
            "true" => write_value(self.out, &true),
            "false" => write_value(self.out, &false),
            // JavaScript knows a negative zero.
            "-0" => write_value(self.out, &-0.0f64),
            _ => match (
                word.parse::<u64>(),
                word.parse::<i64>(),
                word.parse::<f64>(),
            ) {
                (Ok(number), _, _) => write_value(self.out, &number),
                (_, Ok(number), _) => write_value(self.out, &number),
                (_, _, Ok(number)) => write_value(self.out, &number),
                _ => write_value(self.out, &()),
            },
        };
    }
}

/// Returns the text of a JSON string, given with its quotes.
fn text(written: &str) -> Cow<'_, str> {
    let inner = written
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if !inner.contains('\\') => Cow::Borrowed(inner),
        _ => {
            let text: Result<String, _> = serde_json::from_str(written)
                .or_else(|_| serde_json::from_str(&replace_lone_surrogates(written)));
            Cow::Owned(text.unwrap_or_default())
        }
    }
}
