//! Error text for the sender of arguments that do not fit.

use super::ArgsError;

impl ArgsError {
    /// Returns the text that the peer may read: the argument that does not fit, and the path in it.
    ///
    /// The whole text may name types of this side and repeat values of the peer. The reason only includes the name of
    /// a missing member, because those names are part of the peer's contract, or the broken [rule](Self::rule).
    #[must_use]
    pub fn public_message(&self) -> String {
        let wrong = match self.is_rule() {
            true => "is not valid",
            false => "does not fit",
        };
        let mut message = format!("argument {} {wrong}", self.argument);
        if !self.path.is_empty() {
            message.push_str(" at ");
            message.push_str(&self.path);
        }
        if self.is_rule() {
            message.push_str(": ");
            message.push_str(&self.message);
            return message;
        }
        let missing = self.message.strip_prefix("missing field `");
        if let Some(name) = missing.and_then(|rest| rest.strip_suffix('`'))
            && !name.contains('`')
        {
            message.push_str(": missing field `");
            message.push_str(name);
            message.push('`');
        }
        message
    }
}
