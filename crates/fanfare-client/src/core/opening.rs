//! Requests that open a session.

use std::sync::Arc;

use fanfare_protocol::engine::Protocol;
use fanfare_protocol::socket::v4;

use super::Core;
use crate::io::connector::Requested;
use crate::protocol::TransportError;

impl Core {
    /// Returns the session of a request. A request that opens one has the credentials of the main namespace as query
    /// where the server expects them there.
    pub(super) async fn requested(
        &self,
        sid: Option<Arc<str>>,
    ) -> Result<Requested, TransportError> {
        if let Some(sid) = sid {
            return Ok(Requested::Session(sid));
        }
        if self.connector.protocol == Protocol::V4 {
            return Ok(Requested::Open(String::new()));
        }
        let source = self.look(|state| {
            let main = state.manager.find_socket("/")?;
            Some(state.sockets.get(&main)?.auth.lock().clone())
        });
        let auth = source.unwrap_or_default().payload().await;
        let auth = auth.map_err(|error| TransportError::new(error.to_string()))?;
        let query = auth.as_deref().and_then(v4::query_from_auth);
        Ok(Requested::Open(query.unwrap_or_default()))
    }
}
