//! The cookie that holds the session id.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;

/// Whether a browser sends a cookie with requests that come from other sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// When the user follows a link.
    Lax,
    /// Always. Browsers want [`Cookie::secure`] with it.
    None,
}

/// A cookie that holds the session id, for load balancers (Node's `cookie` option).
///
/// It is set by the answer to a long-polling handshake only, as in Node. The default is
/// `io=<sid>; Path=/; HttpOnly; SameSite=Lax`.
///
/// ```
/// use std::time::Duration;
/// use fanfare_engine::{Cookie, SameSite};
///
/// let cookie = Cookie { name: "node".into(), secure: true, same_site: Some(SameSite::None), ..Cookie::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Its name. Default: `io`.
    pub name: String,
    /// `Path`. Default: `/`.
    pub path: Option<String>,
    /// `Domain`. Default: none, the host that set it.
    pub domain: Option<String>,
    /// `Max-Age`, in whole seconds. Default: none, until the browser is closed.
    pub max_age: Option<Duration>,
    /// `HttpOnly`: scripts cannot read it. Default: yes.
    pub http_only: bool,
    /// `Secure`: sent over TLS only. Default: no.
    pub secure: bool,
    /// `Partitioned`: one for each site that the page is embedded in. Default: no.
    pub partitioned: bool,
    /// `SameSite`. Default: [`SameSite::Lax`].
    pub same_site: Option<SameSite>,
}

impl Default for Cookie {
    fn default() -> Self {
        Cookie {
            name: "io".to_owned(),
            path: Some("/".to_owned()),
            domain: None,
            max_age: None,
            http_only: true,
            secure: false,
            partitioned: false,
            same_site: Some(SameSite::Lax),
        }
    }
}

impl Cookie {
    /// The value of `Set-Cookie` for a session id; `None` if the name, the path or the domain cannot stand in a cookie
    /// (RFC 6265, section 4.1.1).
    pub fn header(&self, sid: &str) -> Option<HeaderValue> {
        let is_token = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&b))
        };
        let is_value = |text: &str| text.bytes().all(|b| (b' '..0x7F).contains(&b) && b != b';');
        let sound = is_token(&self.name)
            && [&self.path, &self.domain]
                .into_iter()
                .flatten()
                .all(|text| is_value(text));
        if !sound {
            return None;
        }
        HeaderValue::from_str(&Filled { cookie: self, sid }.to_string()).ok()
    }
}

/// A cookie with its value. The attributes stand in the order in which Node's `cookie` package writes them.
struct Filled<'a> {
    cookie: &'a Cookie,
    sid: &'a str,
}

impl fmt::Display for Filled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cookie = self.cookie;
        write!(f, "{}={}", cookie.name, self.sid)?;
        if let Some(max_age) = cookie.max_age {
            write!(f, "; Max-Age={}", max_age.as_secs())?;
        }
        if let Some(domain) = &cookie.domain {
            write!(f, "; Domain={domain}")?;
        }
        if let Some(path) = &cookie.path {
            write!(f, "; Path={path}")?;
        }
        for (set, name) in [
            (cookie.http_only, "HttpOnly"),
            (cookie.secure, "Secure"),
            (cookie.partitioned, "Partitioned"),
        ] {
            if set {
                write!(f, "; {name}")?;
            }
        }
        match cookie.same_site {
            None => Ok(()),
            Some(same_site) => write!(f, "; SameSite={same_site:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_stand_in_the_order_of_the_cookie_package() {
        let cookie = Cookie {
            name: "node".into(),
            path: Some("/x".into()),
            domain: Some("example.org".into()),
            max_age: Some(Duration::from_millis(60_900)),
            http_only: true,
            secure: true,
            partitioned: true,
            same_site: Some(SameSite::None),
        };
        assert_eq!(
            cookie.header("id").unwrap(),
            "node=id; Max-Age=60; Domain=example.org; Path=/x; HttpOnly; Secure; Partitioned; SameSite=None"
        );
        let bare = Cookie {
            path: None,
            http_only: false,
            same_site: None,
            ..Cookie::default()
        };
        assert_eq!(bare.header("id").unwrap(), "io=id");
    }

    #[test]
    fn what_cannot_stand_in_a_cookie_is_found_out() {
        for name in ["", "a b", "a=b", "a;b", "ä"] {
            let cookie = Cookie {
                name: name.into(),
                ..Cookie::default()
            };
            assert_eq!(cookie.header("id"), None, "{name:?}");
        }
        let cookie = Cookie {
            path: Some("/; Secure".into()),
            ..Cookie::default()
        };
        assert_eq!(cookie.header("id"), None);
    }
}
