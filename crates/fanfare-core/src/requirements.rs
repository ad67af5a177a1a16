//! Requirements of handlers that the builder checks.

use std::any::{TypeId, type_name};

/// Requirements of handlers, checked when the server is built, so that a missing state is an error at start-up and not
/// at the first event.
#[derive(Debug, Default)]
pub struct Requirements {
    states: Vec<(TypeId, &'static str)>,
    contracts: Vec<ContractId>,
    ack_sender: bool,
}

/// Identity of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(hidden)]
pub struct ContractId {
    id: TypeId,
    pub name: &'static str,
}

impl ContractId {
    pub fn of<C: 'static>() -> Self {
        Self {
            id: TypeId::of::<C>(),
            name: type_name::<C>(),
        }
    }
}

impl Requirements {
    /// Registers that the handler needs a state of type `S`.
    pub fn state<S: 'static>(&mut self) {
        self.states.push((TypeId::of::<S>(), type_name::<S>()));
    }

    /// Registers that the handler may acknowledge before it returns.
    pub fn ack_sender(&mut self) {
        self.ack_sender = true;
    }

    /// Whether the handler may acknowledge before it returns.
    pub fn takes_ack_sender(&self) -> bool {
        self.ack_sender
    }

    /// Registers that the handler sends the events of this contract.
    pub fn contract<C: 'static>(&mut self) {
        self.contracts.push(ContractId::of::<C>());
    }

    /// Returns the name of a state that is missing.
    pub fn missing(&self, has: impl Fn(TypeId) -> bool) -> Option<&'static str> {
        self.states
            .iter()
            .find(|(id, _)| !has(*id))
            .map(|(_, name)| *name)
    }

    /// Returns a contract that differs from the namespace's.
    #[doc(hidden)]
    pub fn other_contract(&self, own: ContractId) -> Option<ContractId> {
        self.contracts.iter().copied().find(|other| *other != own)
    }
}
