//! State of the chat: rooms, users and messages, without the network.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;

use bytes::Bytes;
use fanfare::typed::TypedEvent;
use garde::Validate;
use serde::{Deserialize, Serialize};

use super::picture::{Album, Picture, Upload};
use crate::demo::problem::Problem;
use crate::demo::{Ids, name, now};

/// Maximum length of a message, of a room's name and of a nonce, in characters.
pub(super) const TEXT: usize = 2000;
pub(super) const MAX_ROOM_NAME_CHARS: usize = 32;
const MAX_NONCE_CHARS: usize = 64;

/// Maximum number of rooms, and of messages kept in each.
const MAX_ROOMS: usize = 64;
const MAX_HISTORY: usize = 100;

/// Rooms that always exist.
const PERMANENT_ROOMS: [&str; 3] = ["lobby", "music", "rust"];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct User {
    /// The same for every connection with the same key, which cannot be derived from it.
    pub(super) id: String,
    pub(super) name: String,
}

/// Entry of the list of rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Room"))]
pub(super) struct Summary {
    name: String,
    /// Number of people in the room now.
    people: usize,
    /// Number of messages ever sent to the room.
    messages: u64,
}

/// A message of another person.
#[derive(Debug, Clone, Serialize, Deserialize, TypedEvent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Message {
    /// Unique, also across restarts of the server.
    pub(super) id: String,
    /// Number of the message in its room, from 1.
    number: u64,
    pub(super) room: String,
    author: User,
    /// Time in milliseconds since 1970, by the server's clock.
    at: u64,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Picture"))]
    picture: Option<Picture>,
}

/// A message as a browser sends it.
#[derive(Debug, Deserialize, TypedEvent, Validate)]
#[event(name = "message", ack = super::Delivered)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Outgoing {
    /// Chosen by the sender, who repeats it when the acknowledgement was lost: the server stores the message once.
    #[garde(length(chars, min = 1, max = MAX_NONCE_CHARS))]
    nonce: String,
    #[garde(length(chars, min = 1, max = MAX_ROOM_NAME_CHARS))]
    room: String,
    #[garde(length(chars, max = TEXT))]
    text: String,
    #[garde(dive)]
    picture: Option<Upload>,
}

/// State of a room as sent to a user who joins.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Joined {
    pub(super) room: Summary,
    people: Vec<User>,
    history: Vec<Message>,
}

/// Change of a user's room.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) room: String,
    pub(super) user: User,
    /// Room that the user left.
    pub(super) left: Option<Left>,
    /// Whether the user was not in the room before, not even with another connection.
    pub(super) arrived: bool,
    /// Whether rooms were created or removed.
    pub(super) list_changed: bool,
}

/// Departure of a user from a room.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) room: String,
    pub(super) user: User,
    /// Whether no other connection of the user is in the room.
    pub(super) gone: bool,
    pub(super) summary: Summary,
}

/// Message that was sent.
#[derive(Debug)]
pub(super) struct Stored {
    /// Whether the message is new; `false` if it had been sent before.
    pub(super) is_new: bool,
    /// Message without the bytes of its picture.
    pub(super) message: Message,
    /// Message with the bytes of its picture.
    pub(super) live: Message,
    pub(super) room: Summary,
    pub(super) nonce: String,
}

#[derive(Debug, Default)]
struct Room {
    messages: u64,
    history: History,
}

/// One connection.
#[derive(Debug)]
struct Seat {
    user: User,
    room: Option<String>,
}

/// Nonces and messages, oldest first.
type History = VecDeque<(String, Message)>;

/// State of the chat of another node; pictures are not part of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Copied<S> {
    /// Names, numbers of messages, histories.
    rooms: Vec<(String, u64, History)>,
    seats: Vec<(S, User, Option<String>)>,
}

/// State of the chat; `S` identifies connections.
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
            rooms: PERMANENT_ROOMS
                .iter()
                .map(|&name| (name.to_owned(), Room::default()))
                .collect(),
            seats: HashMap::new(),
            album: Album::default(),
        }
    }
}

impl<S: Eq + Hash> Hall<S> {
    /// Checks that no other user has the name at present.
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

    /// Adds a connection of `user`.
    pub(super) fn enter(&mut self, socket: S, user: User) {
        self.seats.insert(socket, Seat { user, room: None });
    }

    /// Moves the connection to a room, which is created if it does not exist.
    pub(super) fn join(&mut self, socket: S, room: &str) -> Result<Moved, Problem> {
        let room = name("The name of the room", room, MAX_ROOM_NAME_CHARS)?.to_owned();
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

    /// Removes an unused room if the maximum is reached.
    fn make_space(&mut self) -> Result<(), Problem> {
        if self.rooms.len() < MAX_ROOMS {
            return Ok(());
        }
        let mut names = self.rooms.keys();
        let empty = names
            .find(|name| !PERMANENT_ROOMS.contains(&name.as_str()) && self.people(name).is_empty())
            .cloned();
        let Some(empty) = empty else {
            return Err(Problem::full(format!(
                "There are {MAX_ROOMS} rooms, and somebody is in each."
            )));
        };
        self.rooms.remove(&empty);
        Ok(())
    }

    /// Removes a connection.
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

    /// Returns the user, if this connection is in the room.
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
                nonce,
            });
        }
        let text = text.trim().to_owned();
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
        let message = self.keep(nonce.clone(), &live);
        Ok(Stored {
            is_new: true,
            message,
            live,
            room: self.summary(&room),
            nonce,
        })
    }

    /// Keeps a message, and returns it without the bytes of its picture.
    fn keep(&mut self, nonce: String, live: &Message) -> Message {
        let mut message = live.clone();
        if let Some(picture) = &mut message.picture
            && let Some(data) = picture.data.take()
        {
            self.album.keep(&picture.id, &data);
        }
        if let Some(place) = self.rooms.get_mut(&message.room) {
            place.messages = place.messages.max(message.number);
            place.history.push_back((nonce, message.clone()));
            if place.history.len() > MAX_HISTORY {
                place.history.pop_front();
            }
        }
        message
    }

    /// Adds a message that was said at another node.
    pub(super) fn said(&mut self, nonce: String, live: &Message) {
        if !self.rooms.contains_key(&live.room) && self.make_space().is_ok() {
            self.rooms.insert(live.room.clone(), Room::default());
        }
        self.keep(nonce, live);
    }

    /// Returns the connections for which a condition does not hold.
    pub(super) fn without(&self, keeps: impl Fn(&S) -> bool) -> Vec<S>
    where
        S: Clone,
    {
        let seats = self.seats.keys();
        seats.filter(|seat| !keeps(seat)).cloned().collect()
    }

    /// Returns the state, for a node that has just started.
    pub(super) fn copy(&self) -> Copied<S>
    where
        S: Clone,
    {
        let rooms = self.rooms.iter();
        let rooms = rooms.map(|(name, room)| (name.clone(), room.messages, room.history.clone()));
        let seats = self.seats.iter();
        let seats =
            seats.map(|(socket, seat)| (socket.clone(), seat.user.clone(), seat.room.clone()));
        Copied {
            rooms: rooms.collect(),
            seats: seats.collect(),
        }
    }

    /// Takes over the state of another node, where it has more.
    pub(super) fn take_over(&mut self, copied: Copied<S>) {
        for (name, messages, history) in copied.rooms {
            let room = self.rooms.entry(name).or_default();
            if messages > room.messages {
                room.messages = messages;
                room.history = history;
            }
        }
        for (socket, user, room) in copied.seats {
            self.seats.entry(socket).or_insert(Seat { user, room });
        }
    }

    /// Returns the bytes of a picture.
    pub(super) fn picture(&self, id: &str) -> Result<Bytes, Problem> {
        let gone = || Problem::new("gone", "The picture is no longer kept.");
        self.album.get(id).ok_or_else(gone)
    }

    /// Returns a summary of all rooms.
    pub(super) fn rooms(&self) -> Vec<Summary> {
        self.rooms.keys().map(|name| self.summary(name)).collect()
    }

    /// Returns the state of a room for a user who joins.
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

    /// Returns the users in a room by id, each once however many connections they have.
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
