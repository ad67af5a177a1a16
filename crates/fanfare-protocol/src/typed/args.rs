//! Arguments of typed events.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Visitor};
use serde::ser::Serialize;

use super::TypedEvent;
use crate::socket::{ArgWriter, BrokenRule, EncodeError, IntoArgs, TYPED, spread_struct};

/// Arguments of an event, as its type defines them.
///
/// For a received event, `Typed<E>` takes all arguments: it can be a handler's parameter, or any other type that is
/// deserialized from them. Deserializing fails if the event breaks one of its [rules](TypedEvent::check). `Typed(&event)` are
/// the arguments to send.
///
/// ```
/// use fanfare_protocol::socket::{Args, encode_event};
/// use fanfare_protocol::typed::{NoAck, Typed, TypedEvent};
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct Moved(f64, f64);
/// # impl TypedEvent for Moved {
/// #     const NAME: &'static str = "moved";
/// #     type Ack = NoAck;
/// # }
///
/// let (mut out, mut attachments) = (Vec::new(), Vec::new());
/// encode_event(&mut out, "/", None, Moved::NAME, &Typed(&Moved(1.5, 2.0)), &mut attachments)?;
/// assert_eq!(out, br#"2["moved",1.5,2.0]"#);
///
/// let Typed(Moved(x, y)) = Args::from_json("[1.5,2.0]", 8)?.decode()?;
/// assert_eq!((x, y), (1.5, 2.0));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Typed<E>(pub E);

impl<E: TypedEvent + Serialize> IntoArgs for Typed<&E> {
    fn write<W: ArgWriter>(&self, writer: &mut W) -> Result<(), EncodeError> {
        spread_struct(self.0, writer)
    }
}

/// Uses a name by which the deserializer of arguments knows that they are split into the fields of an event.
impl<'de, E: TypedEvent + Deserialize<'de>> Deserialize<'de> for Typed<E> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Inner<E>(PhantomData<E>);
        impl<'de, E: TypedEvent + Deserialize<'de>> Visitor<'de> for Inner<E> {
            type Value = E;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "the arguments of {:?}", E::NAME)
            }

            fn visit_newtype_struct<D: de::Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<E, D::Error> {
                let event = E::deserialize(deserializer)?;
                match event.check() {
                    Ok(()) => Ok(event),
                    Err(broken) => Err(BrokenRule(&broken).into_error()),
                }
            }
        }
        deserializer
            .deserialize_newtype_struct(TYPED, Inner(PhantomData))
            .map(Self)
    }
}
