//! The argument of an event, with validation rules.

use fanfare_protocol::socket::ArgsError;
use garde::Validate;

/// First argument of an event, or the client's `auth`, like [`Data`](crate::Data), whose validation rules are checked
/// (feature `validation`).
///
/// The rules are attributes of `garde`. If one is broken, the acknowledgement or the `connect_error` tells the peer the
/// rule, the argument and the path in it, but not the value. `Typed` checks its events by itself.
///
/// ```
/// use fanfare::extract::Valid;
/// use fanfare::{Ack, Namespace};
/// use garde::Validate;
///
/// #[derive(serde::Deserialize, Validate)]
/// struct Name {
///     #[garde(length(chars, min = 1, max = 24))]
///     name: String,
/// }
///
/// let ns = Namespace::new("/").on("rename", async |Valid(new): Valid<Name>| Ack(new.name));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Valid<T>(pub T);

impl<T: Validate<Context: Default>> Valid<T> {
    /// Checks the rules of a value.
    ///
    /// # Errors
    /// The broken rules and their places.
    pub fn check(value: T) -> Result<Self, ArgsError> {
        fanfare_protocol::typed::check_rules(&value, false)?;
        Ok(Self(value))
    }
}
