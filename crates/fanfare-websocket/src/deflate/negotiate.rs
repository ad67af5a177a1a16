use std::fmt::Write;

use http::{HeaderMap, header::SEC_WEBSOCKET_EXTENSIONS};

/// Name in `Sec-WebSocket-Extensions`.
const NAME: &str = "permessage-deflate";

/// Settings of permessage-deflate.
///
/// The default disables context takeover in both directions: an idle connection then holds no compression state, and a
/// compressed broadcast can be shared. Window sizes are in bits, 9 to 15.
///
/// Memory per connection: without context takeover nothing beyond the message in progress. With the server's takeover
/// the compressor, about 330 KB at 15 bits and 240 KB at 12 or less, from the first compressed message on; with the
/// client's takeover the decompressor, about 50 KB, likewise.
///
/// ```
/// use fanfare_websocket::deflate::Config;
///
/// let config = Config::new().threshold(2048).server_max_window_bits(12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Whether the server compresses each message separately, without context takeover. Default: true.
    pub server_no_context_takeover: bool,
    /// Whether the client compresses each message separately, without context takeover. Default: true.
    pub client_no_context_takeover: bool,
    /// Maximum window of the server's compressor, in bits. Default: 15, 32 KiB.
    pub server_max_window_bits: u8,
    /// Maximum window of the client's compressor, in bits. Default: 15, 32 KiB.
    pub client_max_window_bits: u8,
    /// Compression level of our messages, 0 to 9. Default: 1, the fastest.
    pub level: u8,
    /// Minimum length of a message that is compressed, in bytes. Default: 1024, as Node's `ws`.
    pub threshold: usize,
}

impl Config {
    /// Creates the default settings.
    #[must_use]
    pub const fn new() -> Config {
        Config {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
            level: 1,
            threshold: 1024,
        }
    }

    /// Sets [`server_no_context_takeover`](#structfield.server_no_context_takeover).
    #[must_use]
    pub const fn server_no_context_takeover(mut self, server_no_context_takeover: bool) -> Config {
        self.server_no_context_takeover = server_no_context_takeover;
        self
    }

    /// Sets [`client_no_context_takeover`](#structfield.client_no_context_takeover).
    #[must_use]
    pub const fn client_no_context_takeover(mut self, client_no_context_takeover: bool) -> Config {
        self.client_no_context_takeover = client_no_context_takeover;
        self
    }

    /// Sets [`server_max_window_bits`](#structfield.server_max_window_bits).
    #[must_use]
    pub const fn server_max_window_bits(mut self, server_max_window_bits: u8) -> Config {
        self.server_max_window_bits = server_max_window_bits;
        self
    }

    /// Sets [`client_max_window_bits`](#structfield.client_max_window_bits).
    #[must_use]
    pub const fn client_max_window_bits(mut self, client_max_window_bits: u8) -> Config {
        self.client_max_window_bits = client_max_window_bits;
        self
    }

    /// Sets [`level`](#structfield.level).
    #[must_use]
    pub const fn level(mut self, level: u8) -> Config {
        self.level = level;
        self
    }

    /// Sets [`threshold`](#structfield.threshold).
    #[must_use]
    pub const fn threshold(mut self, threshold: usize) -> Config {
        self.threshold = threshold;
        self
    }
}

impl Default for Config {
    fn default() -> Config {
        Config::new()
    }
}

/// Negotiated parameters of permessage-deflate (RFC 7692, section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Whether the server compresses each message separately, without context takeover.
    pub server_no_context_takeover: bool,
    /// Whether the client compresses each message separately, without context takeover.
    pub client_no_context_takeover: bool,
    /// Window of the server's compressor in bits, 8 to 15.
    pub server_max_window_bits: u8,
    /// Window of the client's compressor in bits, 8 to 15.
    pub client_max_window_bits: u8,
}

/// Reason for which a server's response about extensions cannot be accepted (RFC 6455, section 9.1; RFC 7692, section
/// 7.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server answered with the extension {answer:?}: {why}")]
pub struct NegotiationError {
    /// Extension in `Sec-WebSocket-Extensions`, with its parameters.
    pub answer: String,
    /// Problem with the extension.
    pub why: &'static str,
}

/// Parameters as written in a header. The inner option is the value.
#[derive(Default)]
struct Raw {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<Option<u8>>,
}

impl Params {
    /// Returns the window in bits with which the server may share one compressed frame among connections, see
    /// [`compress_shared`](super::compress_shared). `None`: with context takeover, or with a window that zlib does not
    /// support.
    pub fn shared_window(&self) -> Option<u8> {
        (self.server_no_context_takeover && self.server_max_window_bits >= 9)
            .then_some(self.server_max_window_bits)
    }

    /// Negotiates as a server: picks the client's first acceptable offer and returns the response to it.
    ///
    /// `None`: no offer is acceptable; continue without compression.
    pub fn negotiate(headers: &HeaderMap, config: &Config) -> Option<(Params, String)> {
        headers
            .get_all(SEC_WEBSOCKET_EXTENSIONS)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| split(value, ','))
            .filter_map(|offer| parse(offer).ok().flatten())
            .map(|offer| accept(&offer, config))
            .next()
    }

    /// Checks, as a client, the server's response to [`Config::offer`]. `None`: the server does not want compression.
    ///
    /// # Errors
    ///
    /// If the response names another extension, or parameters that are wrong or not within what was offered.
    pub fn from_answer(
        headers: &HeaderMap,
        config: Option<&Config>,
    ) -> Result<Option<Params>, NegotiationError> {
        let mut params = None;
        for value in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
            let text = String::from_utf8_lossy(value.as_bytes());
            for answer in split(&text, ',').filter(|answer| !answer.is_empty()) {
                let agreed = match params {
                    None => agree(answer, config),
                    Some(_) => Err("there are two"),
                };
                params = Some(agreed.map_err(|why| NegotiationError {
                    answer: answer.to_owned(),
                    why,
                })?);
            }
        }
        Ok(params)
    }
}

impl Config {
    /// Returns the client's value of `Sec-WebSocket-Extensions`.
    pub fn offer(&self) -> String {
        let mut offer = NAME.to_owned();
        if self.server_no_context_takeover {
            offer.push_str("; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            offer.push_str("; client_no_context_takeover");
        }
        if self.server_max_window_bits < 15 {
            let _ = write!(
                offer,
                "; server_max_window_bits={}",
                self.server_max_window_bits
            );
        }
        offer.push_str("; client_max_window_bits");
        if self.client_max_window_bits < 15 {
            let _ = write!(offer, "={}", self.client_max_window_bits);
        }
        offer
    }
}

/// Returns, as a client, the parameters that one extension of the server's response agrees to.
fn agree(answer: &str, config: Option<&Config>) -> Result<Params, &'static str> {
    let raw = parse(answer).map_err(|()| "RFC 7692 does not allow these parameters")?;
    let (Some(raw), Some(config)) = (raw, config) else {
        return Err("it was not offered");
    };
    if config.server_no_context_takeover && !raw.server_no_context_takeover {
        return Err("server_no_context_takeover was asked for");
    }
    let server_max_window_bits = raw.server_max_window_bits.unwrap_or(15);
    if server_max_window_bits > config.server_max_window_bits {
        return Err("a smaller server_max_window_bits was asked for");
    }
    let client_max_window_bits = match raw.client_max_window_bits {
        None => config.client_max_window_bits,
        Some(Some(bits)) if bits <= config.client_max_window_bits => bits,
        Some(Some(_)) => return Err("a smaller client_max_window_bits was offered"),
        Some(None) => return Err("client_max_window_bits has no value"),
    };
    Ok(Params {
        server_no_context_takeover: raw.server_no_context_takeover,
        // A client may always compress without context, asked or not.
        client_no_context_takeover: raw.client_no_context_takeover
            || config.client_no_context_takeover,
        server_max_window_bits,
        client_max_window_bits,
    })
}

fn accept(offer: &Raw, config: &Config) -> (Params, String) {
    let params = Params {
        server_no_context_takeover: offer.server_no_context_takeover
            || config.server_no_context_takeover,
        client_no_context_takeover: offer.client_no_context_takeover
            || config.client_no_context_takeover,
        server_max_window_bits: offer
            .server_max_window_bits
            .unwrap_or(15)
            .min(config.server_max_window_bits),
        client_max_window_bits: match offer.client_max_window_bits {
            Some(bits) => bits.unwrap_or(15).min(config.client_max_window_bits),
            // A server must not ask for it if the client does not mention it.
            None => 15,
        },
    };
    let mut answer = NAME.to_owned();
    if params.server_no_context_takeover {
        answer.push_str("; server_no_context_takeover");
    }
    if params.client_no_context_takeover {
        answer.push_str("; client_no_context_takeover");
    }
    if offer.server_max_window_bits.is_some() || params.server_max_window_bits < 15 {
        let _ = write!(
            answer,
            "; server_max_window_bits={}",
            params.server_max_window_bits
        );
    }
    if params.client_max_window_bits < 15 {
        let _ = write!(
            answer,
            "; client_max_window_bits={}",
            params.client_max_window_bits
        );
    }
    (params, answer)
}

/// Parses an extension. `Ok(None)`: another extension. `Err`: ours, with parameters that RFC 7692 does not define or
/// allow.
fn parse(extension: &str) -> Result<Option<Raw>, ()> {
    let mut parts = split(extension, ';');
    if !parts
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case(NAME))
    {
        return Ok(None);
    }
    let mut raw = Raw::default();
    let flag = |seen: &mut bool, value: Option<&str>| match value {
        None if !std::mem::replace(seen, true) => Ok(()),
        _ => Err(()),
    };
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(unquote(value.trim()))),
            None => (part, None),
        };
        match name {
            "server_no_context_takeover" => flag(&mut raw.server_no_context_takeover, value)?,
            "client_no_context_takeover" => flag(&mut raw.client_no_context_takeover, value)?,
            "server_max_window_bits" if raw.server_max_window_bits.is_none() => {
                raw.server_max_window_bits = Some(window_bits(value.ok_or(())?)?);
            }
            "client_max_window_bits" if raw.client_max_window_bits.is_none() => {
                raw.client_max_window_bits = Some(value.map(window_bits).transpose()?);
            }
            _ => return Err(()),
        }
    }
    Ok(Some(raw))
}

fn window_bits(value: &str) -> Result<u8, ()> {
    match value.as_bytes() {
        [digit @ b'8'..=b'9'] => Ok(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Ok(10 + digit - b'0'),
        _ => Err(()),
    }
}

fn unquote(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value)
}

/// Splits at a separator that is not inside quotes, and trims.
fn split(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    value
        .split(move |c| {
            quoted ^= c == '"';
            c == separator && !quoted
        })
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(SEC_WEBSOCKET_EXTENSIONS, value.parse().unwrap())])
    }

    fn answer(offer: &'static str, config: &Config) -> Option<String> {
        Params::negotiate(&headers(offer), config).map(|(_, answer)| answer)
    }

    const TAKEOVER: Config = Config {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
        level: 6,
        threshold: 0,
    };

    #[test]
    fn answers_offers() {
        let answer = |offer| answer(offer, &TAKEOVER);
        assert_eq!(answer("permessage-deflate").unwrap(), NAME);
        assert_eq!(
            answer("permessage-deflate; client_max_window_bits").unwrap(),
            NAME
        );
        assert_eq!(
            answer("x-other, permessage-deflate; server_max_window_bits=\"10\" ; server_no_context_takeover").unwrap(),
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=10"
        );
        // The first offer has an unknown parameter, the second is valid.
        assert_eq!(
            answer("permessage-deflate; foo, permessage-deflate").unwrap(),
            NAME
        );
        for bad in [
            "x-webkit-deflate-frame",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
        ] {
            assert_eq!(answer(bad), None, "{bad}");
        }
    }

    #[test]
    fn asks_the_client_for_a_smaller_window_only_if_it_allows() {
        let config = Config {
            client_max_window_bits: 11,
            ..TAKEOVER
        };
        assert_eq!(answer("permessage-deflate", &config).unwrap(), NAME);
        let allowed = answer("permessage-deflate; client_max_window_bits", &config).unwrap();
        assert_eq!(allowed, "permessage-deflate; client_max_window_bits=11");
    }

    #[test]
    fn both_ends_agree() {
        for client in [
            Config::default(),
            TAKEOVER,
            Config {
                server_max_window_bits: 10,
                ..TAKEOVER
            },
        ] {
            for server in [
                Config::default(),
                TAKEOVER,
                Config {
                    client_max_window_bits: 12,
                    ..TAKEOVER
                },
            ] {
                let offer = HeaderMap::from_iter([(
                    SEC_WEBSOCKET_EXTENSIONS,
                    client.offer().parse().unwrap(),
                )]);
                let (params, answer) = Params::negotiate(&offer, &server).unwrap();
                let answer =
                    HeaderMap::from_iter([(SEC_WEBSOCKET_EXTENSIONS, answer.parse().unwrap())]);
                assert_eq!(
                    Params::from_answer(&answer, Some(&client)),
                    Ok(Some(params))
                );
            }
        }
    }

    #[test]
    fn a_client_rejects_what_it_did_not_offer() {
        let check = |answer, config: Option<&Config>| Params::from_answer(&headers(answer), config);
        assert_eq!(check("", Some(&TAKEOVER)), Ok(None));
        assert!(check("permessage-deflate", None).is_err());
        assert!(check("permessage-bzip2", Some(&TAKEOVER)).is_err());
        assert!(check("permessage-deflate, permessage-deflate", Some(&TAKEOVER)).is_err());
        assert!(
            check(
                "permessage-deflate; client_max_window_bits",
                Some(&TAKEOVER)
            )
            .is_err()
        );
        assert!(
            check("permessage-deflate", Some(&Config::default())).is_err(),
            "takeover was not offered"
        );
        let small = Config {
            client_max_window_bits: 11,
            ..TAKEOVER
        };
        let bits = |answer| {
            check(answer, Some(&small)).map(|params| params.unwrap().client_max_window_bits)
        };
        assert_eq!(bits("permessage-deflate"), Ok(11), "we keep to our offer");
        assert_eq!(
            bits("permessage-deflate; client_max_window_bits=10"),
            Ok(10)
        );
        let error = bits("permessage-deflate; client_max_window_bits=12").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the server answered with the extension \"permessage-deflate; client_max_window_bits=12\": \
             a smaller client_max_window_bits was offered"
        );
    }
}
