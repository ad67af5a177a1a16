//! References of a packet to its attachments.

/// State of an array or object that has started.
#[derive(Default)]
struct Container {
    start: usize,
    object: bool,
    /// Whether the name of a member comes next.
    name: bool,
    /// Member whose value comes next.
    member: Member,
    /// Whether `_placeholder` is `true`.
    placeholder: bool,
    /// Value of `num`, if that is a whole number.
    num: Option<usize>,
}

#[derive(Clone, Copy, Default)]
enum Member {
    Placeholder,
    Num,
    #[default]
    Other,
}

impl Container {
    /// Records the value of a member; `text` is the spelling of a number or word.
    fn value(&mut self, text: &[u8]) {
        match self.member {
            Member::Placeholder => self.placeholder = text == b"true",
            Member::Num => {
                let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
                let number = std::str::from_utf8(text).ok().filter(|_| digits);
                self.num = number.and_then(|number| number.parse().ok());
            }
            Member::Other => {}
        }
        self.member = Member::Other;
    }
}

/// Reference of valid JSON to an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Position of the opening brace.
    pub(crate) start: usize,
    /// Position after the closing brace.
    pub(crate) end: usize,
    /// Number of the attachment; `None` if `num` is missing or is not a whole number.
    pub(crate) num: Option<usize>,
}

/// Returns the first of `count` attachments to which valid JSON refers a second time.
///
/// No library writes such a packet. With a thousand references to one attachment, its recipient would hold a thousand
/// copies.
pub(super) fn used_twice(json: &str, count: usize) -> Option<usize> {
    let mut used = vec![false; count];
    let mut twice = None;
    each_reference(json, |reference| {
        // A number without an attachment is rejected when the argument is decoded.
        if let Some(num) = reference.num
            && let Some(used) = used.get_mut(num)
            && std::mem::replace(used, true)
        {
            twice = Some(num);
        }
        twice.is_none()
    });
    twice
}

/// Passes the references of valid JSON to `found`, inner ones before outer ones, until that returns `false`.
pub(crate) fn each_reference(json: &str, mut found: impl FnMut(Reference) -> bool) {
    let bytes = json.as_bytes();
    let mut stack: Vec<Container> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'{' | b'[' => {
                if let Some(outer) = stack.last_mut() {
                    outer.value(b"");
                }
                stack.push(Container {
                    start,
                    object: byte == b'{',
                    name: byte == b'{',
                    ..Container::default()
                });
            }
            b'}' | b']' => {
                let Some(Container {
                    start,
                    placeholder: true,
                    num,
                    ..
                }) = stack.pop()
                else {
                    continue;
                };
                let end = at;
                if !found(Reference { start, end, num }) {
                    return;
                }
            }
            b',' => {
                if let Some(outer) = stack.last_mut() {
                    outer.name = outer.object;
                }
            }
            b'"' => {
                at = end_of_string(bytes, at);
                let Some(outer) = stack.last_mut() else {
                    continue;
                };
                if std::mem::take(&mut outer.name) {
                    outer.member = member(json.get(start..at).unwrap_or_default());
                } else {
                    outer.value(b"");
                }
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                while bytes.get(at).is_some_and(|byte| {
                    !matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r')
                }) {
                    at += 1;
                }
                if let Some(outer) = stack.last_mut() {
                    outer.value(&bytes[start..at]);
                }
            }
            _ => {}
        }
    }
}

/// Returns the end of the string whose contents start at `at`: after its closing quote.
pub(crate) fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(next) = bytes
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        at += next;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

/// Returns the member of this name, given with its quotes.
fn member(written: &str) -> Member {
    let unescaped;
    let name = if written.contains('\\') {
        // A name with a lone surrogate is no Rust string, and neither of the two names.
        unescaped = serde_json::from_str(written).unwrap_or_else(|_| String::new());
        unescaped.as_str()
    } else {
        written.trim_matches('"')
    };
    match name {
        "_placeholder" => Member::Placeholder,
        "num" => Member::Num,
        _ => Member::Other,
    }
}
