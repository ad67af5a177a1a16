//! Cookie that holds the session id.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::HeaderValue;

/// Condition under which a browser sends a cookie with requests from other sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// Only when the user follows a link.
    Lax,
    /// Always. Browsers require [`Cookie::secure`] for it.
    None,
}

/// Order in which a browser evicts cookies when it holds too many: those of low priority first. (An extension of some
/// browsers, `draft-west-cookie-priority`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookiePriority {
    /// Evicted first.
    Low,
    /// The browsers' default.
    Medium,
    /// Evicted last.
    High,
}

/// A cookie that holds the session id, for load balancers (Node's `cookie` option).
///
/// Only the response to a long-polling handshake sets it, as in Node. The default is `io=<sid>; Path=/; HttpOnly;
/// SameSite=Lax`.
///
/// ```
/// use fanfare_engine::http::{Cookie, SameSite};
///
/// let cookie = Cookie::new("node").secure(true).same_site(SameSite::None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cookie {
    /// Name of the cookie. Default: `io`.
    pub name: String,
    /// `Path`. Default: `/`.
    pub path: Option<String>,
    /// `Domain`. Default: none, which means the host that set the cookie.
    pub domain: Option<String>,
    /// `Max-Age`, in whole seconds. Default: none, until the browser is closed.
    pub max_age: Option<Duration>,
    /// `Expires`, in whole seconds. Browsers prefer `Max-Age`. Default: none.
    pub expires: Option<SystemTime>,
    /// `HttpOnly`: scripts cannot read it. Default: yes.
    pub http_only: bool,
    /// `Secure`: sent over TLS only. Default: no.
    pub secure: bool,
    /// `Partitioned`: a separate cookie for each site that embeds the page. Default: no.
    pub partitioned: bool,
    /// `Priority`. Default: none.
    pub priority: Option<CookiePriority>,
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
            expires: None,
            http_only: true,
            secure: false,
            partitioned: false,
            priority: None,
            same_site: Some(SameSite::Lax),
        }
    }
}

impl Cookie {
    /// Creates a cookie with the default attributes.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    fanfare_protocol::setters! {
        name: into String,
        path: some into String,
        domain: some into String,
        max_age: some Duration,
        expires: some SystemTime,
        http_only: bool,
        secure: bool,
        partitioned: bool,
        priority: some CookiePriority,
        same_site: some SameSite,
    }

    /// Leaves the attribute `Path` out: the cookie is then valid below the folder of the request.
    #[must_use]
    pub fn without_path(mut self) -> Self {
        self.path = None;
        self
    }

    /// Leaves the attribute `SameSite` out: the browser decides.
    #[must_use]
    pub fn without_same_site(mut self) -> Self {
        self.same_site = None;
        self
    }

    /// Returns the value of `Set-Cookie` for a session id; `None` if the name, the path or the domain is not valid in a
    /// cookie (RFC 6265, section 4.1.1).
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

/// A cookie with its value. The attributes have the order in which Node's `cookie` package writes them.
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
        if let Some(expires) = cookie.expires {
            write!(f, "; Expires={}", httpdate::HttpDate::from(expires))?;
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
        if let Some(priority) = cookie.priority {
            write!(f, "; Priority={priority:?}")?;
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
        let cookie = Cookie::new("node")
            .path("/x")
            .domain("example.org")
            .max_age(Duration::from_millis(60_900))
            .expires(SystemTime::UNIX_EPOCH)
            .http_only(true)
            .secure(true)
            .partitioned(true)
            .priority(CookiePriority::High)
            .same_site(SameSite::None);
        assert_eq!(
            cookie.header("id").unwrap(),
            "node=id; Max-Age=60; Domain=example.org; Path=/x; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; Partitioned; Priority=High; SameSite=None"
        );
        let bare = Cookie::new("io")
            .without_path()
            .http_only(false)
            .without_same_site();
        assert_eq!(bare.header("id").unwrap(), "io=id");
    }

    #[test]
    fn what_cannot_stand_in_a_cookie_is_found_out() {
        for name in ["", "a b", "a=b", "a;b", "ä"] {
            let cookie = Cookie::new(name);
            assert_eq!(cookie.header("id"), None, "{name:?}");
        }
        let cookie = Cookie::new("io").path("/; Secure");
        assert_eq!(cookie.header("id"), None);
    }
}
