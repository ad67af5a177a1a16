use serde::de::DeserializeOwned;

use super::{FromContext, Rejection};
use crate::handler::{ConnectContext, EventContext, OnConnect, OnEvent};

/// What the client sent.
///
/// For an event, the arguments: a tuple takes several, `()` none, any other type the first; missing arguments are
/// `null`, additional ones are ignored. An array type such as `[f32; 3]` counts as a tuple: to take it as one argument,
/// write `Data<([f32; 3],)>`. Binary attachments become [`Bytes`](bytes::Bytes) wherever they stand.
///
/// For a connection, the client's `auth` value (`null` if there was none).
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

impl<T: DeserializeOwned> FromContext<OnEvent> for Data<T> {
    fn from_context(cx: &EventContext<'_>) -> Result<Self, Rejection> {
        cx.data().map(Self)
    }
}

impl<T: DeserializeOwned> FromContext<OnConnect> for Data<T> {
    fn from_context(cx: &ConnectContext<'_>) -> Result<Self, Rejection> {
        cx.socket.handshake().auth().map(Self)
    }
}
