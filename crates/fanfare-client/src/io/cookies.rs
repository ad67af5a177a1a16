//! Cookies of one server, kept across requests, because sticky sessions depend on them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use http::header::SET_COOKIE;

/// Maximum number of cookies.
const MAX_COOKIES: usize = 50;
/// Maximum length of a cookie, name and value, in bytes.
const MAX_COOKIE_BYTES: usize = 4096;
/// Maximum length of the `Cookie` header, in bytes. Node's servers accept 16 KiB for a whole head and would reject
/// more.
const MAX_COOKIE_HEADER_BYTES: usize = 8192;

#[derive(Debug, Default)]
pub(crate) struct CookieJar {
    cookies: BTreeMap<String, Cookie>,
}

#[derive(Debug)]
struct Cookie {
    value: String,
    secure: bool,
    expires: Option<Instant>,
}

impl CookieJar {
    /// Stores the `Set-Cookie` headers of a response.
    pub(crate) fn store(&mut self, headers: &HeaderMap, now: Instant) {
        for header in headers.get_all(SET_COOKIE) {
            let Ok(text) = header.to_str() else { continue };
            let mut parts = text.split(';');
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let (name, value) = (name.trim(), value.trim());
            if name.is_empty() || name.len() + value.len() > MAX_COOKIE_BYTES {
                continue;
            }
            let (mut secure, mut age, mut date) = (false, None, None);
            for attribute in parts {
                let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
                match key.trim().to_ascii_lowercase().as_str() {
                    "secure" => secure = true,
                    "max-age" => {
                        if let Ok(seconds) = value.trim().parse::<i64>() {
                            age = Some(Duration::from_secs(seconds.try_into().unwrap_or(0)));
                        }
                    }
                    // `Max-Age` takes precedence in any position (RFC 6265, section 5.3).
                    "expires" => date = lasts_for(value),
                    _ => {}
                }
            }
            let lasts = age.or(date);
            if lasts == Some(Duration::ZERO) {
                self.cookies.remove(name);
            } else if self.has_room(name, value) {
                let cookie = Cookie {
                    value: value.to_owned(),
                    secure,
                    expires: lasts.and_then(|lasts| now.checked_add(lasts)),
                };
                self.cookies.insert(name.to_owned(), cookie);
            }
        }
    }

    /// Whether a cookie fits, or replaces the one of its name.
    fn has_room(&self, name: &str, value: &str) -> bool {
        let others = || self.cookies.iter().filter(|(other, _)| *other != name);
        let bytes: usize = others()
            .map(|(name, cookie)| name.len() + cookie.value.len() + "=; ".len())
            .sum();
        others().count() < MAX_COOKIES && bytes + name.len() + value.len() < MAX_COOKIE_HEADER_BYTES
    }

    /// Returns the `Cookie` header.
    pub(crate) fn header(&mut self, secure: bool, now: Instant) -> Option<String> {
        self.cookies
            .retain(|_, cookie| cookie.expires.is_none_or(|at| at > now));
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .filter(|(_, cookie)| secure || !cookie.secure)
            .map(|(name, cookie)| format!("{name}={}", cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// Returns the time until a date: zero if it has passed. The dashes of older servers are read as spaces.
fn lasts_for(date: &str) -> Option<Duration> {
    let date = httpdate::parse_http_date(&date.trim().replace('-', " ")).ok()?;
    let lasts = date.duration_since(SystemTime::now());
    Some(lasts.unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_cannot_make_the_header_too_long() {
        let now = Instant::now();
        let mut jar = CookieJar::default();
        for n in 0..60 {
            let mut headers = HeaderMap::new();
            let cookie = format!("c{n}={}", "x".repeat(4000));
            headers.insert(SET_COOKIE, cookie.parse().unwrap());
            jar.store(&headers, now);
        }
        let header = jar.header(false, now).unwrap();
        assert!(
            header.len() <= MAX_COOKIE_HEADER_BYTES,
            "{} bytes",
            header.len()
        );
        // An existing cookie can be replaced.
        let mut headers = HeaderMap::new();
        headers.insert(SET_COOKIE, "c0=new".parse().unwrap());
        jar.store(&headers, now);
        assert!(jar.header(false, now).unwrap().starts_with("c0=new; "));
    }

    #[test]
    fn kept_replaced_and_deleted() {
        let now = Instant::now();
        let mut jar = CookieJar::default();
        let mut set = |text: &'static str, at: Instant| {
            let mut headers = HeaderMap::new();
            headers.insert(SET_COOKIE, text.parse().unwrap());
            jar.store(&headers, at);
            jar.header(false, at)
        };
        assert_eq!(
            set("io=abc; Path=/; HttpOnly; SameSite=Lax", now).as_deref(),
            Some("io=abc")
        );
        assert_eq!(
            set("node=2; Max-Age=10", now).as_deref(),
            Some("io=abc; node=2")
        );
        assert_eq!(set("s=1; Secure", now).as_deref(), Some("io=abc; node=2"));
        assert_eq!(
            set("io=xyz", now + Duration::from_secs(11)).as_deref(),
            Some("io=xyz")
        );
        assert_eq!(set("io=; Max-Age=0", now).as_deref(), None);
        assert_eq!(set("nonsense", now), None);
        // By date, in the current format and that of old servers.
        assert_eq!(set("a=1", now).as_deref(), Some("a=1"));
        for past in [
            "a=; Expires=Wed, 21 Oct 2015 07:28:00 GMT",
            "a=; expires=Thu, 01-Jan-1970 00:00:00 GMT; Path=/",
        ] {
            assert_eq!(set("a=1", now).as_deref(), Some("a=1"));
            assert_eq!(set(past, now).as_deref(), None, "{past}");
        }
        let in_an_hour = SystemTime::now() + Duration::from_secs(3600);
        let text = format!("a=1; Expires={}", httpdate::fmt_http_date(in_an_hour)).leak();
        assert_eq!(set(text, now).as_deref(), Some("a=1"));
        let later = now + Duration::from_secs(3601);
        assert_eq!(set("b=2", later).as_deref(), Some("b=2"));
        let both = "c=3; Max-Age=60; Expires=Wed, 21 Oct 2015 07:28:00 GMT";
        assert_eq!(
            set(both, later).as_deref(),
            Some("b=2; c=3"),
            "Max-Age wins"
        );
    }
}
