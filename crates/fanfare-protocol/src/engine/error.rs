//! Answers to rejected requests.

use std::fmt;

/// Reason for which an HTTP request was rejected: Engine.IO's error codes 0 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ErrorCode {
    /// The `transport` parameter names none that the server supports.
    UnknownTransport = 0,
    /// The `sid` parameter names no session.
    UnknownSid = 1,
    /// A handshake with another method than GET.
    BadHandshakeMethod = 2,
    /// Any other fault of the request.
    BadRequest = 3,
    /// `allow_request` rejected the request.
    Forbidden = 4,
    /// The `EIO` parameter names a revision that the server does not support.
    UnsupportedProtocolVersion = 5,
}

impl ErrorCode {
    /// Returns the number in the body.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Returns the code with this number.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::UnknownTransport,
            1 => Self::UnknownSid,
            2 => Self::BadHandshakeMethod,
            3 => Self::BadRequest,
            4 => Self::Forbidden,
            5 => Self::UnsupportedProtocolVersion,
            _ => return None,
        })
    }

    /// Returns Node's message for the code.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::UnknownTransport => "Transport unknown",
            Self::UnknownSid => "Session ID unknown",
            Self::BadHandshakeMethod => "Bad handshake method",
            Self::BadRequest => "Bad request",
            Self::Forbidden => "Forbidden",
            Self::UnsupportedProtocolVersion => "Unsupported protocol version",
        }
    }

    /// Returns the HTTP status of a rejection: 403 for [`ErrorCode::Forbidden`], else 400.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Forbidden => 403,
            _ => 400,
        }
    }

    /// Returns the JSON body `{"code":n,"message":"..."}` with the code's own message.
    #[must_use]
    pub const fn body(self) -> &'static str {
        match self {
            Self::UnknownTransport => r#"{"code":0,"message":"Transport unknown"}"#,
            Self::UnknownSid => r#"{"code":1,"message":"Session ID unknown"}"#,
            Self::BadHandshakeMethod => r#"{"code":2,"message":"Bad handshake method"}"#,
            Self::BadRequest => r#"{"code":3,"message":"Bad request"}"#,
            Self::Forbidden => r#"{"code":4,"message":"Forbidden"}"#,
            Self::UnsupportedProtocolVersion => {
                r#"{"code":5,"message":"Unsupported protocol version"}"#
            }
        }
    }

    /// Returns the JSON body with another message, as `allowRequest` may give for [`ErrorCode::Forbidden`].
    #[must_use]
    pub fn body_with(self, message: &str) -> String {
        let quoted = serde_json::Value::from(message);
        format!(r#"{{"code":{},"message":{quoted}}}"#, self.code())
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}
