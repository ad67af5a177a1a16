//! The events of the list, as types. `events.d.ts` is generated from them.

use fanfare::typed::{Contract, TypedEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

// ANCHOR: from_clients
/// Adds an entry at the end. Acknowledged with its id.
#[derive(Debug, Deserialize, Serialize, JsonSchema, TypedEvent)]
#[event(ack = u32)]
pub(crate) struct Add {
    /// 1 to 100 characters.
    pub(crate) text: String,
}

/// Marks an entry as done, or as not done. Acknowledged with the new number of open entries.
#[derive(Debug, Deserialize, Serialize, JsonSchema, TypedEvent)]
#[event(ack = usize)]
pub(crate) struct Mark {
    pub(crate) id: u32,
    pub(crate) done: bool,
}
// ANCHOR_END: from_clients

// ANCHOR: from_server
/// An entry of the list.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Entry {
    pub(crate) id: u32,
    pub(crate) text: String,
    pub(crate) done: bool,
}

/// The whole list, after the connection and after each change.
#[derive(Debug, Deserialize, Serialize, JsonSchema, TypedEvent)]
#[event(arguments(entries))]
pub(crate) struct List(pub(crate) Vec<Entry>);
// ANCHOR_END: from_server

// ANCHOR: contract
/// The events of the namespace `/`.
#[derive(Contract)]
#[contract(namespace = "/", from_clients(Add, Mark), from_server(List))]
pub(crate) struct Events;

#[cfg(test)]
mod tests {
    use fanfare::typed::export::{TypeScript, assert_current};

    #[test]
    fn the_page_has_the_contract() {
        assert_current(
            "11-typescript/events.d.ts",
            &TypeScript::of::<super::Events>(),
        );
    }
}
// ANCHOR_END: contract
