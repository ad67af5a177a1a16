//! One event as a type.

use serde::de::DeserializeOwned;

use super::ArgsError;

/// Event with a static type: its name and the type of its acknowledgement. The value is its arguments.
///
/// The number of arguments depends on the type in serde's data model: a tuple struct is several, one for each field (a
/// single field is one argument); a unit struct is none; any other type, such as a struct with named fields or an enum,
/// is one. To be sent it must be [`Serialize`](serde::Serialize), to be received [`Deserialize`](serde::Deserialize).
///
/// The derive is `#[derive(TypedEvent)]` (feature `macros`). Implemented by hand, it is:
///
/// ```
/// use fanfare_protocol::typed::{NoAck, TypedEvent};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Moved(f64, f64);
///
/// impl TypedEvent for Moved {
///     const NAME: &'static str = "moved";
///     type Ack = NoAck;
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "`#[derive(TypedEvent)]` on the type makes it one; an event without a type of its own is sent with `emit`"
)]
pub trait TypedEvent {
    /// Name on the wire. Those that the protocol reserves ([`RESERVED_EVENTS`](crate::socket::RESERVED_EVENTS)) cannot
    /// be sent.
    const NAME: &'static str;

    /// Type of the acknowledgement: a tuple is several arguments, `()` none, any other type one. [`NoAck`] if there is
    /// none.
    type Ack;

    /// Names and shape of the arguments, for exports of the contract; the derive sets it.
    const ARGUMENTS: Arguments = Arguments::WHOLE;

    /// Checks the validation rules of the type, such as maximum lengths. [`Typed`](super::Typed) calls it when an event has arrived; an
    /// event that breaks a rule is rejected like one of another type.
    ///
    /// The derive implements it for types that implement `garde::Validate` (feature `validation`). Events that are not
    /// derived implement it by hand:
    ///
    /// ```
    /// use fanfare_protocol::socket::{Args, ArgsError};
    /// use fanfare_protocol::typed::{NoAck, Typed, TypedEvent};
    ///
    /// #[derive(Debug, serde::Deserialize)]
    /// struct Say(String);
    ///
    /// impl TypedEvent for Say {
    ///     const NAME: &'static str = "say";
    ///     type Ack = NoAck;
    ///
    ///     fn check(&self) -> Result<(), ArgsError> {
    ///         match self.0.len() {
    ///             0 => Err(ArgsError::rule(0, "", "is empty")),
    ///             _ => Ok(()),
    ///         }
    ///     }
    /// }
    ///
    /// let rejected = Args::from_json(r#"[""]"#, 8)?.decode::<Typed<Say>>().unwrap_err();
    /// assert_eq!(rejected.public_message(), "argument 0 is not valid: is empty");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ArgsError::rule`] for the first rule that is broken.
    fn check(&self) -> Result<(), ArgsError> {
        Ok(())
    }

    /// Checks the validation rules of an acknowledgement that has arrived, as [`check`](Self::check) does for the event.
    ///
    /// # Errors
    /// [`ArgsError::rule`] for the first rule that is broken.
    fn check_ack(_ack: &Self::Ack) -> Result<(), ArgsError> {
        Ok(())
    }
}

/// Names and shape of an event's arguments, which are not part of its JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arguments {
    /// Names of the arguments; empty if they have none.
    pub names: &'static [&'static str],
    /// Whether each field is an argument, as in tuple structs and unit structs. If not, the whole value is one argument.
    pub spread: bool,
}

impl Arguments {
    /// One argument, the whole value, without a name.
    pub const WHOLE: Self = Self {
        names: &[],
        spread: false,
    };

    /// Returns the shape of an event whose whole value is one argument.
    #[must_use]
    pub const fn whole(name: &'static [&'static str; 1]) -> Self {
        Self {
            names: name,
            spread: false,
        }
    }

    /// Returns the shape of a tuple struct, each of whose fields is an argument with one of these names.
    #[must_use]
    pub const fn fields(names: &'static [&'static str]) -> Self {
        Self {
            names,
            spread: true,
        }
    }
}

/// Acknowledgement type of events without one: it has no value, and cannot be awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAck {}

/// Acknowledgement that can be awaited: any type that can be deserialized.
#[diagnostic::on_unimplemented(
    message = "an acknowledgement `{Self}` cannot be awaited",
    label = "the acknowledgement of this event cannot be awaited",
    note = "events whose `Ack` is `NoAck` are not acknowledged; `#[event(ack = …)]` on their type changes it",
    note = "all others are acknowledged by a type that implements `serde::Deserialize` and owns what it holds"
)]
pub trait Answer: DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + Send + 'static> Answer for T {}
