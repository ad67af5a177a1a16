//! Notifications: namespace `/notifications`. `examples/README.md` describes its events;
//! `examples/notifications/events.d.ts` is generated from their types.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fanfare::ack::BroadcastAckError;
use fanfare::adapter::{RemoteSocket, ServerEvent};
use fanfare::typed::{Contract, Typed, TypedEvent, TypedOperator, TypedSocket};
use fanfare::{Ack, ConnectError, Data, EmitError, EventError, Namespace, Socket, SocketIo, State};
use garde::Validate;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::others;
use super::problem::{Form, Problem, rejection};
use super::{Ids, name, now};

/// Topics that a user can follow.
const TOPICS: [&str; 3] = ["deploys", "incidents", "lunch"];

/// Maximum lengths of a user's name, a title and a text, in characters.
const MAX_NAME_CHARS: usize = 24;
const MAX_TITLE_CHARS: usize = 120;
const MAX_BODY_CHARS: usize = 1000;

/// Maximum number of stored notifications, and of listed users.
const MAX_STORED: usize = 200;
const MAX_LISTED: usize = 500;

/// Maximum number of topics in one subscription; unknown topics are ignored.
const MAX_FOLLOWED: usize = 100;

/// Timeout of acknowledgements.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// Stored notifications.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(Arc<Mutex<Stored>>);

#[derive(Debug, Default)]
struct Stored {
    ids: Ids,
    notifications: VecDeque<Notification>,
}

/// A notification. Pages acknowledge it, and the sender's receipt counts these acknowledgements.
#[derive(Debug, Clone, Serialize, Deserialize, TypedEvent)]
#[event(ack = ())]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Notification {
    id: String,
    /// Time in milliseconds since 1970, by the server's clock.
    at: u64,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "String"))]
    body: Option<String>,
    level: Level,
    /// User who sent it; absent if it came over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "String"))]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Target"))]
    to: Option<Target>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    rename_all = "lowercase",
    expecting = "a level: info, success, warning or critical"
)]
enum Level {
    #[default]
    Info,
    Success,
    Warning,
    Critical,
}

/// Recipients of a notification, if it is not for everyone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    rename_all = "lowercase",
    expecting = "an object with a topic or a user"
)]
enum Target {
    Topic(String),
    User(String),
}

/// Sends a notification; the body of `POST /api/notify` has the same form.
#[derive(Debug, Deserialize, TypedEvent, Validate)]
#[event(name = "notify", ack = Receipt)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object with a title")]
pub(crate) struct Request {
    #[garde(length(chars, min = 1, max = MAX_TITLE_CHARS))]
    title: String,
    #[garde(length(chars, max = MAX_BODY_CHARS))]
    body: Option<String>,
    #[garde(skip)]
    #[serde(default)]
    level: Level,
    /// Recipients; everyone if absent.
    #[garde(skip)]
    to: Option<Target>,
}

/// Result of sending a notification.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Receipt {
    id: String,
    /// Number of connections to which it was sent.
    recipients: usize,
    /// Number of connections that acknowledged it in time.
    delivered: usize,
}

/// User of a socket.
#[derive(Debug, Clone)]
struct User(String);

/// Returns the Socket.IO room of a topic. The prefixes keep users, topics and the sockets' own rooms apart.
fn topic_room(topic: &str) -> String {
    format!("topic:{topic}")
}

fn user_room(user: &str) -> String {
    format!("user:{}", user.to_lowercase())
}

/// Contract of the namespace.
#[derive(Contract)]
#[contract(
    namespace = "/notifications",
    auth = Auth,
    from_clients(Subscribe, Request),
    from_server(Audience, Notification)
)]
pub(super) struct Notifications;

pub(crate) fn namespace(board: &Board) -> Namespace<Notifications> {
    let (keeping, copying) = (board.clone(), board.clone());
    Namespace::new("/notifications")
        .on_server_event("keep", move |event| keep(keeping.clone(), event))
        .on_server_event("board", move |event| copy(copying.clone(), event))
        .contract::<Notifications>()
        .ack_errors(rejection)
        .middleware(authenticate)
        .on_connect(welcome)
        .on_event(subscribe)
        .on_event(notify)
        .on_disconnect(goodbye)
}

/// Several connections may have the same user.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Auth {
    user: String,
}

async fn authenticate(
    socket: Socket,
    Form(Data(auth)): Form<Data<Auth>>,
) -> Result<(), ConnectError> {
    let user = name("The name", &auth.user, MAX_NAME_CHARS)?.to_owned();
    // For the lists of users, which other nodes need as well. A name is valid data.
    let _ = socket.set_data(&user);
    socket.extensions().insert(User(user));
    Ok(())
}

async fn welcome(socket: Socket) -> Result<(), EventError> {
    if let Some(User(user)) = socket.extensions().get() {
        socket.join(user_room(&user))?;
    }
    Ok(tell_audience(&socket.io()).await?)
}

async fn goodbye(io: SocketIo) -> Result<(), EmitError> {
    tell_audience(&io).await
}

/// Connected users and topics, sent after the connection and after each change.
#[derive(Debug, Serialize, TypedEvent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Audience {
    users: BTreeSet<String>,
    topics: Vec<Topic>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Topic {
    name: &'static str,
    subscribers: usize,
}

/// Sends the reachable users and the topics to everyone.
async fn tell_audience(io: &SocketIo) -> Result<(), EmitError> {
    let audience = audience(io).await;
    io.typed::<Notifications>().emit(&audience)?;
    Ok(())
}

/// Sends them to the clients of this node, when other nodes have come or gone.
pub(super) async fn show_audience(io: &SocketIo) {
    let audience = audience(io).await;
    // A client that cannot keep up is disconnected, and learns it when it comes back.
    let _ = io.typed::<Notifications>().local().emit(&audience);
}

async fn audience(io: &SocketIo) -> Audience {
    // Without the sockets of nodes that do not answer.
    let sockets = io.typed::<Notifications>().fetch_sockets().await;
    let sockets = sockets.unwrap_or_else(|error| error.into_sockets());
    let users = sockets.iter().filter_map(|socket| socket.data().ok());
    let topic = |name| {
        let room = topic_room(name);
        let follows = |socket: &&RemoteSocket| socket.rooms().contains(&room);
        Topic {
            name,
            subscribers: sockets.iter().filter(follows).count(),
        }
    };
    Audience {
        users: users.take(MAX_LISTED).collect(),
        topics: TOPICS.into_iter().map(topic).collect(),
    }
}

/// Keeps a notification that was sent at another node.
async fn keep(board: Board, event: ServerEvent) {
    if let Ok(notification) = event.data() {
        board.0.lock().await.keep(notification);
    }
}

/// Answers a node that has just started.
async fn copy(board: Board, event: ServerEvent) {
    let kept = board.0.lock().await.notifications.clone();
    // A node without an answer starts with an empty board.
    let _ = event.ack((kept,));
}

impl Board {
    /// Takes over the notifications of another node.
    pub(super) async fn catch_up(&self, io: &SocketIo) {
        let answers = others::ask::<VecDeque<Notification>>(io, "/notifications", "board").await;
        let most = answers.into_iter().max_by_key(VecDeque::len);
        let mut board = self.0.lock().await;
        if let Some(most) = most.filter(|most| most.len() > board.notifications.len()) {
            board.notifications = most;
        }
    }
}

/// Replaces the topics of this connection. The answer has the notifications kept for this user and these topics.
#[derive(Debug, Deserialize, TypedEvent, Validate)]
#[event(ack = Subscribed)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Subscribe {
    #[garde(length(max = MAX_FOLLOWED))]
    topics: BTreeSet<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Subscribed {
    topics: BTreeSet<String>,
    inbox: Vec<Notification>,
}

async fn subscribe(
    socket: TypedSocket<Notifications>,
    Typed(request): Typed<Subscribe>,
    State(board): State<Board>,
) -> Result<Ack<Subscribed>, EventError> {
    let Some(User(user)) = socket.extensions().get() else {
        return Err(Problem::new("unknown", "The connection has no user.").into());
    };
    let topics = request.topics;
    for topic in TOPICS {
        if topics.contains(topic) {
            socket.join(topic_room(topic))?;
        } else {
            socket.leave(topic_room(topic));
        }
    }
    tell_audience(&socket.io()).await?;
    let board = board.0.lock().await;
    let inbox = board
        .notifications
        .iter()
        .filter(|one| one.concerns(&user, &topics))
        .cloned()
        .collect();
    Ok(Ack(Subscribed {
        topics: topics
            .into_iter()
            .filter(|topic| TOPICS.contains(&topic.as_str()))
            .collect(),
        inbox,
    }))
}

async fn notify(
    socket: Socket,
    Typed(request): Typed<Request>,
    State(board): State<Board>,
) -> Result<Ack<Receipt>, EventError> {
    let from = socket.extensions().get().map(|User(user)| user);
    let receipt = send(&socket.io(), &board, request, from).await?;
    Ok(Ack(receipt))
}

/// Sends a notification and waits until its recipients have acknowledged it or the timeout has passed.
pub(crate) async fn send(
    io: &SocketIo,
    board: &Board,
    request: Request,
    from: Option<String>,
) -> Result<Receipt, Problem> {
    let notification = {
        let mut board = board.0.lock().await;
        let notification = request.check(board.ids.next(), from)?;
        board.keep(notification.clone());
        notification
    };
    // Other nodes that cannot be told do not have it in later inboxes.
    let _ = io
        .of("/notifications")
        .server_side_emit("keep", (&notification,));
    let namespace = io.typed::<Notifications>();
    let target: TypedOperator<Notifications> = match &notification.to {
        None => namespace.everyone(),
        Some(Target::Topic(topic)) => namespace.to(topic_room(topic)),
        Some(Target::User(user)) => namespace.to(user_room(user)),
    };
    let recipients = target.clone().fetch_sockets().await;
    let recipients = recipients
        .unwrap_or_else(|error| error.into_sockets())
        .len();
    let acks = target.timeout(ACK_TIMEOUT).emit_with_ack(&notification);
    let delivered = match acks.await {
        Ok(answers) => answers.len(),
        Err(BroadcastAckError::Timeout { responses, .. }) => responses.len(),
        Err(_) => {
            return Err(Problem::new(
                "failed",
                "The notification is kept, but could not be sent now.",
            ));
        }
    };
    Ok(Receipt {
        id: notification.id,
        recipients,
        delivered,
    })
}

impl Request {
    fn check(self, id: String, from: Option<String>) -> Result<Notification, Problem> {
        let title = name("The title", &self.title, MAX_TITLE_CHARS)?.to_owned();
        let body = self
            .body
            .map(|body| body.trim().to_owned())
            .filter(|body| !body.is_empty());
        let length = body.as_ref().map_or(0, |body| body.chars().count());
        if length > MAX_BODY_CHARS {
            return Err(Problem::invalid(format!(
                "The text has {length} characters; the limit is {MAX_BODY_CHARS}."
            )));
        }
        let to = match self.to {
            Some(Target::Topic(topic)) if !TOPICS.contains(&topic.as_str()) => {
                let topics = TOPICS.join(", ");
                return Err(Problem::invalid(format!(
                    "There is no topic {topic:?}; there are {topics}."
                )));
            }
            Some(Target::User(user)) => Some(Target::User(
                name("The user's name", &user, MAX_NAME_CHARS)?.to_owned(),
            )),
            other => other,
        };
        Ok(Notification {
            id,
            at: now(),
            title,
            body,
            level: self.level,
            from,
            to,
        })
    }
}

impl Stored {
    fn keep(&mut self, notification: Notification) {
        self.notifications.push_back(notification);
        if self.notifications.len() > MAX_STORED {
            self.notifications.pop_front();
        }
    }
}

impl Notification {
    /// Returns whether the notification belongs to the inbox of `user`, who follows `topics`.
    fn concerns(&self, user: &str, topics: &BTreeSet<String>) -> bool {
        match &self.to {
            None => true,
            Some(Target::Topic(topic)) => topics.contains(topic),
            Some(Target::User(to)) => user_room(to) == user_room(user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: &str) -> Result<Notification, String> {
        let request: Request = serde_json::from_str(json).map_err(|error| error.to_string())?;
        request
            .check("1".to_owned(), None)
            .map_err(|problem| problem.message().to_owned())
    }

    #[test]
    fn requests_are_checked() {
        let full =
            request(r#"{"title":" T ","body":" ","level":"critical","to":{"user":" Ada "}}"#)
                .unwrap();
        assert_eq!(
            (full.title.as_str(), &full.body, full.level),
            ("T", &None, Level::Critical)
        );
        assert_eq!(full.to, Some(Target::User("Ada".to_owned())));
        assert_eq!(request(r#"{"title":"T"}"#).unwrap().level, Level::Info);
        assert!(request(r#"{"title":""}"#).unwrap_err().contains("empty"));
        assert!(
            request(&format!(r#"{{"title":"{}"}}"#, "x".repeat(121)))
                .unwrap_err()
                .contains("limit is 120")
        );
        assert!(
            request(&format!(r#"{{"title":"T","body":"{}"}}"#, "x".repeat(1001)))
                .unwrap_err()
                .contains("limit is 1000")
        );
        assert!(
            request(r#"{"title":"T","to":{"topic":"x"}}"#)
                .unwrap_err()
                .contains("deploys, incidents, lunch")
        );
        assert!(request(r#"{"title":"T","to":{"topic":"lunch","user":"Ada"}}"#).is_err());
        assert!(
            request(r#"{"title":"T","urgent":true}"#)
                .unwrap_err()
                .contains("urgent")
        );
    }

    #[test]
    fn an_inbox_holds_what_concerns_its_user() {
        let topics = BTreeSet::from(["lunch".to_owned()]);
        let concerns = |json: &str| request(json).unwrap().concerns("ada", &topics);
        assert!(concerns(r#"{"title":"T"}"#));
        assert!(concerns(r#"{"title":"T","to":{"user":"Ada"}}"#));
        assert!(!concerns(r#"{"title":"T","to":{"user":"Grace"}}"#));
        assert!(concerns(r#"{"title":"T","to":{"topic":"lunch"}}"#));
        assert!(!concerns(r#"{"title":"T","to":{"topic":"deploys"}}"#));
    }

    #[test]
    fn the_board_is_bounded() {
        let mut board = Stored::default();
        for n in 0..MAX_STORED + 5 {
            board.keep(request(&format!(r#"{{"title":"{n}"}}"#)).unwrap());
        }
        assert_eq!(board.notifications.len(), MAX_STORED);
        assert_eq!(board.notifications[0].title, "5");
    }
}
