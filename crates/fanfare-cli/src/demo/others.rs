//! State that a node takes over from the others when it starts.

use fanfare::SocketIo;
use fanfare::adapter::ServerSideEmitError;
use serde::de::DeserializeOwned;

/// Asks the other nodes by a server-side event for what they have. Returns the answers that come in time: none for the
/// first node.
pub(super) async fn ask<T: DeserializeOwned + Send + 'static>(
    io: &SocketIo,
    namespace: &str,
    event: &str,
) -> Vec<T> {
    match io.of(namespace).server_side_emit_with_ack(event, ()).await {
        Ok(answers)
        | Err(ServerSideEmitError::Timeout {
            responses: answers, ..
        }) => answers,
        Err(_) => Vec::new(),
    }
}
