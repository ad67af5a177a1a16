//! Source of a socket's `auth` payload.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;

use crate::protocol::AuthError;

pub(crate) type AuthFuture = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Source of the `auth` payload, as JSON text.
#[derive(Clone, Default)]
pub(crate) enum AuthSource {
    #[default]
    None,
    Value(String),
    Callback(Arc<dyn Fn() -> AuthFuture + Send + Sync>),
}

impl std::fmt::Debug for AuthSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The value is a secret, so it is not shown.
        f.write_str(match self {
            Self::None => "None",
            Self::Value(_) => "Value(..)",
            Self::Callback(_) => "Callback(..)",
        })
    }
}

impl AuthSource {
    /// Creates a source of one value, which must serialize as a JSON object.
    pub(crate) fn value(value: &(impl Serialize + ?Sized)) -> Result<Self, String> {
        json(value).map(Self::Value)
    }

    /// Creates a source that calls a function at each connect.
    pub(crate) fn callback<F, Fut, T, E>(callback: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: std::fmt::Display,
    {
        Self::Callback(Arc::new(move || {
            let future = callback();
            Box::pin(async move {
                let value = future.await.map_err(|error| error.to_string())?;
                json(&value)
            })
        }))
    }

    /// Returns the payload; an error if the callback fails or panics.
    pub(super) async fn payload(self) -> Result<Option<String>, AuthError> {
        match self {
            Self::None => Ok(None),
            Self::Value(json) => Ok(Some(json)),
            // In a separate task, so that a panic becomes an ordinary error.
            Self::Callback(callback) => match tokio::spawn(async move { callback().await }).await {
                Ok(auth) => auth.map(Some).map_err(AuthError),
                Err(error) => Err(AuthError(error.to_string())),
            },
        }
    }
}

fn json(value: &(impl Serialize + ?Sized)) -> Result<String, String> {
    let json = serde_json::to_string(value).map_err(|error| error.to_string())?;
    if json.starts_with('{') {
        Ok(json)
    } else {
        Err(format!("must be a map or struct, not {json}"))
    }
}
