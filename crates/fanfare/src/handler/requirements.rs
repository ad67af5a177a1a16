//! What handlers need from the builder.

use std::any::{TypeId, type_name};

/// What handlers need; checked when the server is built, so that a forgotten
/// [`state`](crate::SocketIoBuilder::state) is an error at start-up and not at the first event.
#[derive(Debug, Default)]
pub struct Requirements {
    states: Vec<(TypeId, &'static str)>,
    contracts: Vec<ContractId>,
}

/// Which contract it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContractId {
    id: TypeId,
    pub(crate) name: &'static str,
}

impl ContractId {
    pub(crate) fn of<C: 'static>() -> Self {
        Self {
            id: TypeId::of::<C>(),
            name: type_name::<C>(),
        }
    }
}

impl Requirements {
    /// The handler needs a state of type `S`.
    pub fn state<S: 'static>(&mut self) {
        self.states.push((TypeId::of::<S>(), type_name::<S>()));
    }

    /// The handler sends the events of this contract.
    pub(crate) fn contract<C: 'static>(&mut self) {
        self.contracts.push(ContractId::of::<C>());
    }

    pub(crate) fn missing(&self, has: impl Fn(TypeId) -> bool) -> Option<&'static str> {
        self.states
            .iter()
            .find(|(id, _)| !has(*id))
            .map(|(_, name)| *name)
    }

    /// A contract that is not the namespace's.
    pub(crate) fn other_contract(&self, own: ContractId) -> Option<ContractId> {
        self.contracts.iter().copied().find(|other| *other != own)
    }
}
