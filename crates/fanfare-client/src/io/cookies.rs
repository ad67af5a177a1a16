//! The cookies of one server, kept across requests: sticky sessions depend on them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::SET_COOKIE;

/// Most cookies kept.
const MAX_COOKIES: usize = 50;
/// Longest cookie, name and value, in bytes.
const MAX_COOKIE: usize = 4096;

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
    /// Takes in the `Set-Cookie` headers of a response.
    pub(crate) fn store(&mut self, headers: &HeaderMap, now: Instant) {
        for header in headers.get_all(SET_COOKIE) {
            let Ok(text) = header.to_str() else { continue };
            let mut parts = text.split(';');
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let (name, value) = (name.trim(), value.trim());
            if name.is_empty() || name.len() + value.len() > MAX_COOKIE {
                continue;
            }
            let (mut secure, mut expires, mut gone) = (false, None, false);
            for attribute in parts {
                let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
                match key.trim().to_ascii_lowercase().as_str() {
                    "secure" => secure = true,
                    "max-age" => {
                        if let Ok(seconds) = value.trim().parse::<i64>() {
                            gone = seconds <= 0;
                            let age = Duration::from_secs(seconds.unsigned_abs());
                            expires = now.checked_add(age);
                        }
                    }
                    // The customary way to delete one.
                    "expires" if value.contains("1970") => gone = true,
                    _ => {}
                }
            }
            if gone {
                self.cookies.remove(name);
            } else if self.cookies.contains_key(name) || self.cookies.len() < MAX_COOKIES {
                let cookie = Cookie {
                    value: value.to_owned(),
                    secure,
                    expires,
                };
                self.cookies.insert(name.to_owned(), cookie);
            }
        }
    }

    /// The `Cookie` header.
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

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
