//! Failures of a session, with what to do about them.

use super::Session;
use crate::exit::{Code, Failure};
use crate::net;
use crate::values::ArgValue;

impl Session {
    /// Returns the failure for a server that answers without joining the namespace.
    pub(super) fn not_joined(&self, code: Code, why: &str) -> Failure {
        let namespace = &self.target.namespace;
        let what = format!(
            "{} is connected to, but the namespace {namespace} did not answer",
            self.target.origin()
        );
        let failure = Failure::new(code, what);
        match code {
            Code::Timeout => failure
                .because(format!("{why}: a middleware of the namespace waits, or never calls next()"))
                .fix("look into the server's log, or wait longer, with --connect-timeout 60s"),
            _ => failure
                .because(format!("{why}: the server does not understand the packet that joins it, or ends by itself"))
                .fix("--parser msgpack if the server has that parser; else look into its log"),
        }
    }

    pub(super) fn unreachable(&self, why: &str) -> Failure {
        let origin = self.target.origin();
        Failure::new(
            Code::Unreachable,
            format!("cannot connect to {origin}{}", self.target.path),
        )
        .because(why)
        .fix(net::fix(why, &origin))
    }

    /// Returns the failure for a rejection.
    pub(crate) fn refused(&self, message: &str, data: Option<&ArgValue>) -> Failure {
        let data = data
            .map(|data| format!(" ({})", data.to_json()))
            .unwrap_or_default();
        let failure = Failure::new(
            Code::Refused,
            format!("the server refused the namespace {}", self.target.namespace),
        )
        .because(format!("{message}{data}"));
        if message == "Invalid namespace" {
            let path = self.target.namespace.ends_with("/socket.io/")
                || self.target.namespace.ends_with("/socket.io");
            failure.fix(if path {
                "leave the endpoint's path out of the URL, whose path is the namespace; if it is not /socket.io/: --path"
            } else {
                "check the namespace: it is the URL's path, or -n NAME; the endpoint's path is --path"
            })
        } else if self.options.server.auth.is_none() {
            failure
                .fix("if it wants credentials: --auth '{\"token\":\"…\"}' or -H 'Authorization: …'")
        } else {
            failure.fix("check the credentials given with --auth")
        }
    }
}
