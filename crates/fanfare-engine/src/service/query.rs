//! The parameters of a request that are Engine.IO's own.

use std::borrow::Cow;

use crate::handshake::percent_decode;

/// `EIO`, `transport`, `sid`, `b64`, `j`. Of several with one name the last counts, as in Node.
#[derive(Debug, Default)]
pub(super) struct Params<'a> {
    pub(super) eio4: bool,
    pub(super) transport: Option<Cow<'a, str>>,
    pub(super) sid: Option<Cow<'a, str>>,
    /// The client cannot take binary bodies (Engine.IO v3).
    pub(super) b64: bool,
    /// The index of a JSONP callback.
    pub(super) jsonp: Option<Cow<'a, str>>,
}

impl<'a> Params<'a> {
    pub(super) fn parse(query: &'a str) -> Params<'a> {
        let plain = memchr::memchr2(b'%', b'+', query.as_bytes()).is_none();
        let decode = |value: &'a str| match plain {
            true => Cow::Borrowed(value),
            false => decode(value),
        };
        let mut params = Params::default();
        for (name, value) in pairs(query) {
            match name {
                "EIO" => params.eio4 = decode(value) == "4",
                "transport" => params.transport = Some(decode(value)),
                // Node takes an empty one for none.
                "sid" => params.sid = (!value.is_empty()).then(|| decode(value)),
                "b64" => params.b64 = !value.is_empty(),
                "j" => params.jsonp = Some(decode(value)),
                _ => {}
            }
        }
        params
    }
}

/// The parameters of a query, not decoded.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut start = 0;
    let ends = memchr::memchr_iter(b'&', query.as_bytes()).chain([query.len()]);
    ends.map(move |end| {
        let pair = &query[start..end];
        start = end + 1;
        // Names are short: looking at one byte after the other is the quickest.
        match pair.bytes().position(|byte| byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, ""),
        }
    })
}

/// Whether a query names a session, so that the request is not a handshake.
pub(super) fn has_sid(query: &str) -> bool {
    pairs(query).any(|(name, value)| name == "sid" && !value.is_empty())
}

fn decode(value: &str) -> Cow<'_, str> {
    if value.bytes().any(|b| b == b'%' || b == b'+') {
        Cow::Owned(percent_decode(value))
    } else {
        Cow::Borrowed(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_parameters_only() {
        let params = Params::parse("EIO=4&transport=polling&t=abc&sid=x%2Dy");
        assert!(params.eio4 && !params.b64);
        assert_eq!(params.transport.as_deref(), Some("polling"));
        assert_eq!(params.sid.as_deref(), Some("x-y"));
        let params = Params::parse("EIO=3&EIO=4&sid=a&sid=&b64=1");
        assert!(params.eio4 && params.b64);
        assert_eq!(params.sid, None);
        for (query, has) in [
            ("t=1&sid=a", true),
            ("sid=&a=sid&sids=1&sid", false),
            ("", false),
        ] {
            assert_eq!(has_sid(query), has, "{query}");
        }
        assert!(!Params::parse("").eio4);
        assert!(Params::parse("EIO=%34").eio4);
    }
}
