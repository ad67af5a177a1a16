//! Query parameters that Engine.IO defines.

use std::borrow::Cow;

use crate::handshake::percent_decode;

/// Parameters `EIO`, `transport`, `sid`, `b64` and `j` of a query. Of several with one name the last counts, as in
/// Node.
#[derive(Debug, Default)]
pub(crate) struct Params<'a> {
    pub(crate) eio4: bool,
    pub(crate) transport: Option<Cow<'a, str>>,
    pub(crate) sid: Option<Cow<'a, str>>,
    /// Whether the client cannot take binary bodies (Engine.IO v3).
    pub(crate) b64: bool,
    /// Whether the client asks for a script as the response, `j` being the index of the callback.
    pub(crate) jsonp: bool,
}

impl<'a> Params<'a> {
    pub(crate) fn parse(query: &'a str) -> Params<'a> {
        let mut params = Params::default();
        for pair in pairs(query) {
            if !matches!(
                pair.as_bytes().first(),
                Some(b's' | b't' | b'E' | b'b' | b'j')
            ) {
                continue; // a parameter of the application
            }
            // Comparing with each name is quicker than searching for the end of the name.
            if let Some(value) = pair.strip_prefix("sid=") {
                // Node treats an empty id as absent.
                params.sid = (!value.is_empty()).then(|| decode(value));
            } else if let Some(value) = pair.strip_prefix("transport=") {
                params.transport = Some(decode(value));
            } else if let Some(value) = pair.strip_prefix("EIO=") {
                params.eio4 = decode(value) == "4";
            } else if let Some(value) = pair.strip_prefix("b64=") {
                params.b64 = !value.is_empty();
            } else if pair.starts_with("j=") {
                params.jsonp = true;
            } else {
                params.take_bare(pair);
            }
        }
        params
    }

    /// Reads a parameter without a value.
    fn take_bare(&mut self, name: &str) {
        match name {
            "sid" => self.sid = None,
            "transport" => self.transport = Some(Cow::Borrowed("")),
            "EIO" => self.eio4 = false,
            "b64" => self.b64 = false,
            "j" => self.jsonp = true,
            _ => {}
        }
    }
}

/// Returns the parameters of a query with their values, not decoded.
fn pairs(query: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(query);
    std::iter::from_fn(move || {
        let query = rest?;
        let (pair, others) = match memchr::memchr(b'&', query.as_bytes()) {
            Some(end) => (&query[..end], Some(&query[end + 1..])),
            None => (query, None),
        };
        rest = others;
        Some(pair)
    })
}

/// Whether a query may name a session. `false` is certain, and much cheaper than parsing.
pub(crate) fn may_have_sid(query: &str) -> bool {
    memchr::memmem::find(query.as_bytes(), b"sid=").is_some()
}

/// Whether a query names a session, so that the request is not a handshake.
pub(crate) fn has_sid(query: &str) -> bool {
    if !may_have_sid(query) {
        return false;
    }
    let mut values = pairs(query).filter_map(|pair| pair.strip_prefix("sid="));
    values.any(|value| !value.is_empty())
}

/// Whether a request of Engine.IO v3 asks for binary messages as base64.
pub(crate) fn wants_base64(query: &str) -> bool {
    Params::parse(query).b64
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
        let params = Params::parse("EIO=3&EIO=4&sid=a&sid=&b64=1&xEIO=3&j=");
        assert!(params.eio4 && params.b64 && params.jsonp);
        assert_eq!(params.sid, None);
        let params = Params::parse("transport=x&EIO=4&sid=a&b64=1&transport&EIO&sid&b64&&j");
        assert!(!params.eio4 && !params.b64 && params.jsonp);
        assert_eq!((params.transport.as_deref(), params.sid), (Some(""), None));
        for (query, has) in [
            ("t=1&sid=a", true),
            ("sid=&a=sid&sids=1&sid", false),
            ("", false),
        ] {
            assert_eq!(has_sid(query), has, "{query}");
            assert!(may_have_sid(query) || !has, "{query}");
        }
        assert!(!Params::parse("").eio4);
        assert!(Params::parse("EIO=%34").eio4);
    }
}
