//! Ids that are never reused.

/// Number that its [`Serials`] never issues twice, so that a late answer, timer or handle finds nothing instead of an
/// unrelated object. It cannot be made from a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Serial(u64);

/// Source of [`Serial`]s.
#[derive(Debug, Default)]
pub(super) struct Serials(u64);

impl Serials {
    pub(super) fn next(&mut self) -> Serial {
        // At a million a second it takes half a million years to overflow.
        self.0 += 1;
        Serial(self.0)
    }
}

/// One attempt at a connection over one first transport. Inputs of an older one are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub(super) Serial);

/// Key of a pending acknowledgement, constant over the attempts of the `retries` queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AckKey(pub(super) Serial);

/// Id of a socket of a manager, for one namespace. It is never reused within the manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub(super) Serial);
