//! Rooms, people and messages, without the network.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::picture::{Album, Picture, Upload};
use crate::demo::problem::Problem;
use crate::demo::{Ids, name, now};

/// Characters of a message, of a room's name, of a nonce.
pub(super) const TEXT: usize = 2000;
const ROOM_NAME: usize = 32;
const NONCE: usize = 64;

/// Rooms, and messages kept in each.
const ROOMS: usize = 64;
const HISTORY: usize = 100;

/// Rooms that are always there.
const FIXED: [&str; 3] = ["lobby", "music", "rust"];

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) name: String,
}

/// What the list of rooms shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    name: String,
    people: usize,
    messages: u64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Message {
    pub(super) id: String,
    number: u64,
    pub(super) room: String,
    author: User,
    at: u64,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<Picture>,
}

/// A message as a browser sends it.
#[derive(Debug, Deserialize)]
pub(super) struct Outgoing {
    nonce: String,
    room: String,
    text: String,
    picture: Option<Upload>,
}

/// What a newcomer finds in a room.
#[derive(Debug, Serialize)]
pub(super) struct Joined {
    pub(super) room: Summary,
    people: Vec<User>,
    history: Vec<Message>,
}

/// Somebody went to another room.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) room: String,
    pub(super) user: User,
    /// The room before.
    pub(super) left: Option<Left>,
    /// The user was not in the room before, not even with another connection.
    pub(super) arrived: bool,
    /// Rooms were created or removed.
    pub(super) list_changed: bool,
}

/// Somebody left a room.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) room: String,
    pub(super) user: User,
    /// No other connection of the user is there.
    pub(super) gone: bool,
    pub(super) summary: Summary,
}

/// A message that was sent.
#[derive(Debug)]
pub(super) struct Stored {
    /// `false` if it had been sent before.
    pub(super) is_new: bool,
    /// Without the bytes of its picture.
    pub(super) message: Message,
    /// With them.
    pub(super) live: Message,
    pub(super) room: Summary,
}

#[derive(Debug, Default)]
struct Room {
    messages: u64,
    /// Nonce and message, oldest first.
    history: VecDeque<(String, Message)>,
}

/// One connection.
#[derive(Debug)]
struct Seat {
    user: User,
    room: Option<String>,
}

/// Everything; `S` identifies connections.
#[derive(Debug)]
pub(super) struct Hall<S> {
    ids: Ids,
    rooms: BTreeMap<String, Room>,
    seats: HashMap<S, Seat>,
    album: Album,
}

impl<S> Default for Hall<S> {
    fn default() -> Self {
        Self {
            ids: Ids::default(),
            rooms: FIXED
                .iter()
                .map(|&name| (name.to_owned(), Room::default()))
                .collect(),
            seats: HashMap::new(),
            album: Album::default(),
        }
    }
}

impl<S: Eq + Hash> Hall<S> {
    /// Whether `user` may have the name: nobody else has it right now.
    pub(super) fn check_name(&self, user: &User) -> Result<(), Problem> {
        let name = user.name.to_lowercase();
        let mut others = self.seats.values().filter(|seat| seat.user.id != user.id);
        match others.find(|seat| seat.user.name.to_lowercase() == name) {
            None => Ok(()),
            Some(other) => Err(Problem::new(
                "name_taken",
                format!(
                    "Somebody else is called {} right now. Please choose another name.",
                    other.user.name
                ),
            )),
        }
    }

    /// A connection of `user` came.
    pub(super) fn enter(&mut self, socket: S, user: User) {
        self.seats.insert(socket, Seat { user, room: None });
    }

    /// The connection goes to a room, which is created if it does not exist.
    pub(super) fn join(&mut self, socket: S, room: &str) -> Result<Moved, Problem> {
        let room = name("The name of the room", room, ROOM_NAME)?.to_owned();
        let seat = self.seats.get(&socket).ok_or_else(unknown)?;
        let user = seat.user.clone();
        if seat.room.as_ref() == Some(&room) {
            return Ok(Moved {
                room,
                user,
                left: None,
                arrived: false,
                list_changed: false,
            });
        }
        let list_changed = !self.rooms.contains_key(&room);
        if list_changed {
            self.make_space()?;
            self.rooms.insert(room.clone(), Room::default());
        }
        let arrived = !self.is_in(&user, &room);
        let before = self
            .seats
            .get_mut(&socket)
            .and_then(|seat| seat.room.replace(room.clone()));
        let left = before.map(|before| self.left(before, user.clone()));
        Ok(Moved {
            room,
            user,
            left,
            arrived,
            list_changed,
        })
    }

    /// Removes a room that nobody needs, if there are as many as there may be.
    fn make_space(&mut self) -> Result<(), Problem> {
        if self.rooms.len() < ROOMS {
            return Ok(());
        }
        let mut names = self.rooms.keys();
        let empty = names
            .find(|name| !FIXED.contains(&name.as_str()) && self.people(name).is_empty())
            .cloned();
        let Some(empty) = empty else {
            return Err(Problem::full(format!(
                "There are {ROOMS} rooms, and somebody is in each."
            )));
        };
        self.rooms.remove(&empty);
        Ok(())
    }

    /// The connection is gone.
    pub(super) fn leave(&mut self, socket: S) -> Option<Left> {
        let seat = self.seats.remove(&socket)?;
        Some(self.left(seat.room?, seat.user))
    }

    fn left(&self, room: String, user: User) -> Left {
        Left {
            gone: !self.is_in(&user, &room),
            summary: self.summary(&room),
            room,
            user,
        }
    }

    /// The user, if this connection is in the room.
    pub(super) fn user_in(&self, socket: S, room: &str) -> Option<&User> {
        let seat = self.seats.get(&socket)?;
        (seat.room.as_deref() == Some(room)).then_some(&seat.user)
    }

    /// Stores a message.
    pub(super) fn say(&mut self, socket: S, outgoing: Outgoing) -> Result<Stored, Problem> {
        let Outgoing {
            nonce,
            room,
            text,
            picture,
        } = outgoing;
        let author = self.seats.get(&socket).ok_or_else(unknown)?.user.clone();
        let Some(place) = self.rooms.get(&room) else {
            return Err(Problem::new(
                "no_such_room",
                format!("There is no room {room:?} (any more)."),
            ));
        };
        if nonce.is_empty() || nonce.len() > NONCE {
            return Err(Problem::invalid(format!(
                "The nonce has to have 1 to {NONCE} bytes."
            )));
        }
        let known = place
            .history
            .iter()
            .find(|(other, message)| *other == nonce && message.author.id == author.id);
        if let Some((_, message)) = known {
            return Ok(Stored {
                is_new: false,
                live: message.clone(),
                message: message.clone(),
                room: self.summary(&room),
            });
        }
        let text = text.trim().to_owned();
        let length = text.chars().count();
        if length > TEXT {
            return Err(Problem::invalid(format!(
                "The message has {length} characters; the limit is {TEXT}."
            )));
        }
        if text.is_empty() && picture.is_none() {
            return Err(Problem::invalid("The message is empty."));
        }
        let number = place.messages + 1;
        let picture = picture
            .map(|upload| upload.accept(self.ids.next()))
            .transpose()?;
        let live = Message {
            id: self.ids.next(),
            number,
            room: room.clone(),
            author,
            at: now(),
            text,
            picture,
        };
        let mut message = live.clone();
        if let Some(picture) = &mut message.picture
            && let Some(data) = picture.data.take()
        {
            self.album.keep(&picture.id, &data);
        }
        if let Some(place) = self.rooms.get_mut(&room) {
            place.messages = number;
            place.history.push_back((nonce, message.clone()));
            if place.history.len() > HISTORY {
                place.history.pop_front();
            }
        }
        Ok(Stored {
            is_new: true,
            message,
            live,
            room: self.summary(&room),
        })
    }

    /// The bytes of a picture.
    pub(super) fn picture(&self, id: &str) -> Result<Bytes, Problem> {
        let gone = || Problem::new("gone", "The picture is no longer kept.");
        self.album.get(id).ok_or_else(gone)
    }

    /// All rooms.
    pub(super) fn rooms(&self) -> Vec<Summary> {
        self.rooms.keys().map(|name| self.summary(name)).collect()
    }

    /// What a newcomer finds in a room.
    pub(super) fn joined(&self, room: &str) -> Joined {
        let history = self.rooms.get(room).map(|room| &room.history);
        Joined {
            room: self.summary(room),
            people: self.people(room).into_values().cloned().collect(),
            history: history
                .into_iter()
                .flatten()
                .map(|(_, message)| message.clone())
                .collect(),
        }
    }

    fn summary(&self, room: &str) -> Summary {
        Summary {
            name: room.to_owned(),
            people: self.people(room).len(),
            messages: self.rooms.get(room).map_or(0, |room| room.messages),
        }
    }

    /// The people in a room by id, each once however many connections they have.
    fn people(&self, room: &str) -> BTreeMap<&str, &User> {
        let seats = self
            .seats
            .values()
            .filter(|seat| seat.room.as_deref() == Some(room));
        seats
            .map(|seat| (seat.user.id.as_str(), &seat.user))
            .collect()
    }

    fn is_in(&self, user: &User, room: &str) -> bool {
        let mut seats = self.seats.values();
        seats.any(|seat| seat.user.id == user.id && seat.room.as_deref() == Some(room))
    }
}

fn unknown() -> Problem {
    Problem::new("unknown", "The connection is not in the chat (any more).")
}

#[cfg(test)]
mod tests;
