//! What handlers need from the builder.

use std::any::TypeId;

/// The states that handlers need; checked when the server is built, so that a forgotten
/// [`state`](crate::SocketIoBuilder::state) is an error at start-up and not at the first event.
#[derive(Debug, Default)]
pub struct Requirements {
    states: Vec<(TypeId, &'static str)>,
}

impl Requirements {
    /// The handler needs a state of type `S`.
    pub fn state<S: 'static>(&mut self) {
        self.states
            .push((TypeId::of::<S>(), std::any::type_name::<S>()));
    }

    pub(crate) fn missing(&self, has: impl Fn(TypeId) -> bool) -> Option<&'static str> {
        self.states
            .iter()
            .find(|(id, _)| !has(*id))
            .map(|(_, name)| *name)
    }
}
