//! Extractors of events that both sides have.

use bytes::Bytes;

/// Data that the peer sent.
///
/// For an event, the arguments: a tuple takes several, `()` none, any other type the first; missing arguments are
/// `null`, additional ones are ignored. An array type such as `[f32; 3]` counts as a tuple: to take it as one argument,
/// write `Data<([f32; 3],)>`. Binary attachments become [`Bytes`](bytes::Bytes) wherever they stand.
///
/// For a connection to a server, the client's `auth` value (`null` if there was none).
///
/// `Option<Data<T>>` is `None` only if the event has no arguments, or the connection no `auth`; data that does not fit
/// the type is still rejected.
///
/// A handler has only one such parameter, because a second one would get the same arguments:
///
/// ```compile_fail,E0080
/// # use fanfare::{Data, Namespace};
/// # let _ =
/// Namespace::new("/").on("add", async |Data(a): Data<i64>, Data(b): Data<i64>| println!("{}", a + b));
/// ```
///
/// ```
/// use fanfare::{Ack, Data, Namespace};
///
/// #[derive(serde::Deserialize)]
/// struct Message { text: String }
///
/// let chat = Namespace::new("/chat")
///     .on("message", async |Data(message): Data<Message>| println!("{}", message.text))
///     .on("add", async |Data((a, b)): Data<(i64, i64)>| Ack(a + b));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Data<T>(pub T);

/// Name of the event, for handlers of several events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventName(pub String);

/// Binary attachments of the event, in order; each one shares the memory of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachments(pub Vec<Bytes>);
