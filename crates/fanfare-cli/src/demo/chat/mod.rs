//! The chat: namespace `/chat`. `examples/README.md` describes its events; `examples/chat/events.d.ts` is generated from
//! their types.

mod hall;
mod picture;
mod replicas;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use fanfare::ack::AckSender;
use fanfare::extract::Valid;
use fanfare::typed::{Contract, Typed, TypedEvent, TypedSocket};
use fanfare::{Ack, ConnectError, EmitError, EventError, Namespace, Socket, State};
use garde::Validate;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::name;
use super::problem::{Form, Problem, rejection};
use hall::{Joined, MAX_ROOM_NAME_CHARS, Message, Outgoing, Summary, User};

/// Maximum length of a name, in characters.
const MAX_NAME_CHARS: usize = 24;

/// State of the chat, shared by all handlers.
///
/// A handler keeps the lock while it emits a change, so that every client receives the changes in the order in which
/// they were made. It is an async lock because emitting may disconnect a slow consumer, whose disconnect handler takes
/// the lock as well.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hall {
    state: Arc<Mutex<hall::Hall<String>>>,
    /// Id of the node; empty if the server is alone.
    node: Arc<str>,
}

impl Hall {
    pub(super) fn new(node: &str) -> Self {
        Self {
            state: Arc::default(),
            node: node.into(),
        }
    }

    /// Returns the name of a connection, which no other node gives to one.
    fn seat(&self, socket: &TypedSocket<Chat>) -> String {
        format!("{}/{}", self.node, socket.id())
    }
}

/// Returns the Socket.IO room for a room of the chat. The prefix keeps users out of the rooms that each socket has for
/// its id.
fn key(room: &str) -> String {
    format!("room:{room}")
}

/// Contract of the namespace.
#[derive(Contract)]
#[contract(
    namespace = "/chat",
    auth = Auth,
    from_clients(Join, Outgoing, Typing, GetPicture),
    from_server(Welcome, Rooms, Room<'_>, UserJoined<'_>, UserLeft<'_>, UserTyping<'_>, Message)
)]
pub(super) struct Chat;

pub(crate) fn namespace(hall: &Hall) -> Namespace<Chat> {
    replicas::add_to(Namespace::new("/chat"), hall)
        // By name, because it acknowledges before it returns.
        .on(Join::NAME, join)
        .contract::<Chat>()
        .ack_errors(rejection)
        .middleware(authenticate)
        .on_connect(welcome)
        .on_event(message)
        .on_event(typing)
        .on_event(picture)
        .on_disconnect(goodbye)
}

/// If the server rejects it, `connect_error` has the message and the data of a `Rejection`.
#[derive(Debug, Deserialize, Validate)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Auth {
    /// Not used by another connected user.
    #[garde(skip)]
    name: String,
    /// Random secret of the browser.
    #[garde(length(chars, min = 16, max = 64))]
    key: String,
}

/// The first event after the connection.
#[derive(Debug, Serialize, TypedEvent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Welcome {
    me: User,
    rooms: Vec<Summary>,
    limits: Limits,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Limits {
    /// Maximum length of a message, in characters.
    text: usize,
    /// Maximum size of a picture, in bytes.
    picture: usize,
}

/// All rooms, sent after one was created or removed.
#[derive(Debug, Serialize, TypedEvent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Rooms(Vec<Summary>);

/// A room whose number of people or messages has changed.
#[derive(Debug, Serialize, TypedEvent)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "RoomChanged"))]
struct Room<'a>(&'a Summary);

#[derive(Debug, Serialize, TypedEvent)]
#[event(name = "joined", arguments(event))]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct UserJoined<'a> {
    room: &'a str,
    user: &'a User,
}

#[derive(Debug, Serialize, TypedEvent)]
#[event(name = "left", arguments(event))]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct UserLeft<'a> {
    room: &'a str,
    user: &'a User,
}

/// A user of the room types or has stopped typing (volatile).
#[derive(Debug, Serialize, TypedEvent)]
#[event(name = "typing", arguments(event))]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct UserTyping<'a> {
    room: &'a str,
    user: &'a User,
    typing: bool,
}

impl Auth {
    fn user(&self) -> Result<User, Problem> {
        let name = name("The name", &self.name, MAX_NAME_CHARS)?.to_owned();
        // The key is random and secret; its hash is neither, but is enough to tell users apart.
        let mut hash = DefaultHasher::new();
        self.key.hash(&mut hash);
        let id = format!("{:016x}", hash.finish());
        Ok(User { id, name })
    }
}

async fn authenticate(
    socket: Socket,
    Form(Valid(auth)): Form<Valid<Auth>>,
    State(shared): State<Hall>,
) -> Result<(), ConnectError> {
    let user = auth.user()?;
    shared.state.lock().await.check_name(&user)?;
    socket.extensions().insert(user);
    Ok(())
}

async fn welcome(socket: TypedSocket<Chat>, State(shared): State<Hall>) -> Result<(), EventError> {
    let Some(user) = socket.extensions().get::<User>() else {
        return Ok(()); // the middleware has set it
    };
    let mut hall = shared.state.lock().await;
    if hall.check_name(&user).is_err() {
        // Two users chose the name at the same time, and this is the second.
        socket.disconnect(false);
        return Ok(());
    }
    socket.emit(&Welcome {
        me: user.clone(),
        rooms: hall.rooms(),
        limits: Limits {
            text: hall::TEXT,
            picture: picture::SIZE,
        },
    })?;
    let seat = shared.seat(&socket);
    replicas::tell(&socket, "enter", (&seat, &user));
    hall.enter(seat, user);
    Ok(())
}

/// Leaves the current room of the socket and enters this one, which is created if it does not exist.
#[derive(Debug, Deserialize, TypedEvent, Validate)]
#[event(ack = Joined, arguments(request))]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Join {
    #[garde(length(chars, min = 1, max = MAX_ROOM_NAME_CHARS))]
    room: String,
}

async fn join(
    socket: TypedSocket<Chat>,
    Typed(request): Typed<Join>,
    State(shared): State<Hall>,
    ack: AckSender,
) -> Result<(), EventError> {
    let mut hall = shared.state.lock().await;
    let seat = shared.seat(&socket);
    let moved = hall.join(seat.clone(), &request.room)?;
    replicas::tell(&socket, "join", (seat, &moved.room));
    let room = &moved.room;
    if let Some(left) = &moved.left {
        socket.leave(key(&left.room));
        tell_left(&socket, left)?;
    }
    socket.join(key(room))?;
    if moved.arrived {
        let user = &moved.user;
        socket.to(key(room)).emit(&UserJoined { room, user })?;
    }
    if moved.list_changed {
        socket.namespace().emit(&Rooms(hall.rooms()))?;
    }
    let joined = hall.joined(room);
    socket.namespace().emit(&Room(&joined.room))?;
    // Answered before the lock is released, so that later messages arrive after the history.
    acknowledge::<Join>(ack, &joined)?;
    Ok(())
}

/// Acknowledges the event `E`: a value of another type than its contract says does not compile.
fn acknowledge<E: TypedEvent<Ack: Serialize>>(
    ack: AckSender,
    value: &E::Ack,
) -> Result<(), EmitError> {
    ack.send(value)
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Delivered {
    message: Message,
}

async fn message(
    socket: TypedSocket<Chat>,
    Typed(outgoing): Typed<Outgoing>,
    State(shared): State<Hall>,
) -> Result<Ack<Delivered>, EventError> {
    let mut hall = shared.state.lock().await;
    let stored = hall.say(shared.seat(&socket), outgoing)?;
    if stored.is_new {
        replicas::tell(&socket, "say", (&stored.nonce, &stored.live));
        let room = &stored.message.room;
        socket.to(key(room)).emit(&stored.live)?;
        socket.namespace().emit(&Room(&stored.room))?;
    }
    Ok(Ack(Delivered {
        message: stored.message,
    }))
}

/// Tells the others in the room that the user types or has stopped typing (volatile).
#[derive(Debug, Deserialize, TypedEvent)]
#[event(arguments(event))]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Typing {
    room: String,
    typing: bool,
}

async fn typing(
    socket: TypedSocket<Chat>,
    Typed(event): Typed<Typing>,
    State(shared): State<Hall>,
) -> Result<(), EmitError> {
    let hall = shared.state.lock().await;
    if let Some(user) = hall.user_in(shared.seat(&socket), &event.room) {
        let typing = UserTyping {
            room: &event.room,
            user,
            typing: event.typing,
        };
        socket.to(key(&event.room)).volatile().emit(&typing)?;
    }
    Ok(())
}

/// Fetches the bytes of a picture in the history.
#[derive(Debug, Deserialize, TypedEvent)]
#[event(name = "picture", ack = PictureBytes, arguments(request))]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct GetPicture {
    id: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PictureBytes {
    #[cfg_attr(test, schemars(with = "fanfare::typed::export::Binary"))]
    data: Bytes,
}

async fn picture(
    Typed(request): Typed<GetPicture>,
    State(shared): State<Hall>,
) -> Result<Ack<PictureBytes>, EventError> {
    let data = shared.state.lock().await.picture(&request.id)?;
    Ok(Ack(PictureBytes { data }))
}

async fn goodbye(socket: TypedSocket<Chat>, State(shared): State<Hall>) -> Result<(), EmitError> {
    let seat = shared.seat(&socket);
    let mut hall = shared.state.lock().await;
    replicas::tell(&socket, "leave", &seat);
    match hall.leave(seat) {
        Some(left) => tell_left(&socket, &left),
        None => Ok(()),
    }
}

fn tell_left(socket: &TypedSocket<Chat>, left: &hall::Left) -> Result<(), EmitError> {
    let hall::Left { room, user, .. } = left;
    if left.gone {
        socket
            .namespace()
            .to(key(room))
            .emit(&UserLeft { room, user })?;
    }
    socket.namespace().emit(&Room(&left.summary))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_makes_one_user_and_is_not_shown() {
        let auth = |name: &str, key: &str| Auth {
            name: name.to_owned(),
            key: key.to_owned(),
        };
        let ada = auth("Ada", "0123456789abcdef").user().unwrap();
        assert_eq!(ada, auth(" Ada ", "0123456789abcdef").user().unwrap());
        assert_ne!(ada.id, auth("Ada", "0123456789abcdeF").user().unwrap().id);
        assert!(!ada.id.contains("0123456789abcdef"));
        assert!(auth("Ada", "0123456789abcdef").validate().is_ok());
        assert!(auth("Ada", "short").validate().is_err());
        assert!(auth(&"x".repeat(25), "0123456789abcdef").user().is_err());
    }
}
