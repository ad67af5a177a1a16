//! State of the chat: the people, and the recent messages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fanfare::SocketId;
use parking_lot::Mutex;
use serde::Serialize;

/// Number of messages that newcomers see.
const MAX_HISTORY: usize = 100;

// ANCHOR: room
#[derive(Debug, Serialize)]
pub(crate) struct Message {
    pub(crate) number: u64,
    from: String,
    text: String,
}

/// The people and the recent messages.
#[derive(Debug, Default)]
pub(crate) struct Room {
    people: BTreeMap<SocketId, String>,
    messages: VecDeque<Message>,
    last_number: u64,
}

impl Room {
    /// Adds a visitor, and returns the name: the wanted one, or with a number if another visitor has it.
    pub(crate) fn enter(&mut self, id: SocketId, wanted: &str) -> String {
        let taken = |name: &String| self.people.values().any(|other| other == name);
        let mut name = wanted.to_owned();
        let mut number = 1;
        while taken(&name) {
            number += 1;
            name = format!("{wanted} {number}");
        }
        self.people.insert(id, name.clone());
        name
    }

    pub(crate) fn leave(&mut self, id: SocketId) -> Option<String> {
        self.people.remove(&id)
    }

    /// Adds a message to the history, which forgets the oldest.
    pub(crate) fn say(&mut self, from: &str, text: &str) -> &Message {
        self.last_number += 1;
        if self.messages.len() == MAX_HISTORY {
            self.messages.pop_front();
        }
        let (from, text) = (from.to_owned(), text.to_owned());
        self.messages.push_back(Message {
            number: self.last_number,
            from,
            text,
        });
        &self.messages[self.messages.len() - 1]
    }
    // ANCHOR_END: room

    pub(crate) fn people(&self) -> impl Iterator<Item = &str> {
        self.people.values().map(String::as_str)
    }

    pub(crate) fn history(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter()
    }
}

/// The room, which all handlers share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chat(Arc<Mutex<Room>>);

impl Chat {
    /// Calls a function with the room, while no other handler uses it.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut Room) -> R) -> R {
        change(&mut self.0.lock())
    }
}
