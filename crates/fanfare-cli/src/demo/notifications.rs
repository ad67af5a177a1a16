//! Notifications: namespace `/notifications`. `examples/README.md` describes its events,
//! `examples/notifications/events.ts` their types.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fanfare::{
    Ack, BroadcastAckError, BroadcastOperator, ConnectError, Data, EmitError, EventError,
    Namespace, Socket, SocketIo, State,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::problem::Problem;
use super::{Ids, name, now};

const NAMESPACE: &str = "/notifications";

/// What one may follow.
const TOPICS: [&str; 3] = ["deploys", "incidents", "lunch"];

/// Characters of a user's name, a title, a text.
const NAME: usize = 24;
const TITLE: usize = 120;
const BODY: usize = 1000;

/// Notifications that are kept, and users that are listed.
const KEPT: usize = 200;
const LISTED: usize = 500;

/// How long a page may take to acknowledge.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// The notifications that are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(Arc<Mutex<Stored>>);

#[derive(Debug, Default)]
struct Stored {
    ids: Ids,
    notifications: VecDeque<Notification>,
}

#[derive(Debug, Clone, Serialize)]
struct Notification {
    id: String,
    at: u64,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    level: Level,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Target>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    #[default]
    Info,
    Success,
    Warning,
    Critical,
}

/// Whom a notification is for, if not for everyone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Target {
    Topic(String),
    User(String),
}

/// What is to be sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    title: String,
    body: Option<String>,
    #[serde(default)]
    level: Level,
    to: Option<Target>,
}

/// What became of it.
#[derive(Debug, Serialize)]
pub(crate) struct Receipt {
    id: String,
    recipients: usize,
    delivered: usize,
}

/// The user of a socket.
#[derive(Debug, Clone)]
struct User(String);

/// Rooms of the Socket.IO server. The prefixes keep users, topics and the sockets' own rooms apart.
fn topic_room(topic: &str) -> String {
    format!("topic:{topic}")
}

fn user_room(user: &str) -> String {
    format!("user:{}", user.to_lowercase())
}

pub(crate) fn namespace() -> Namespace {
    Namespace::new(NAMESPACE)
        .middleware(authenticate)
        .on_connect(welcome)
        .on("subscribe", subscribe)
        .on("notify", notify)
        .on_disconnect(goodbye)
}

#[derive(Debug, Deserialize)]
struct Auth {
    user: String,
}

async fn authenticate(socket: Socket, Data(auth): Data<Auth>) -> Result<(), ConnectError> {
    let user = name("The name", &auth.user, NAME)?.to_owned();
    socket.extensions().insert(User(user));
    Ok(())
}

async fn welcome(socket: Socket) -> Result<(), EventError> {
    if let Some(User(user)) = socket.extensions().get() {
        socket.join(user_room(&user))?;
    }
    Ok(tell_audience(&socket.io())?)
}

async fn goodbye(io: SocketIo) -> Result<(), EmitError> {
    tell_audience(&io)
}

#[derive(Debug, Serialize)]
struct Audience {
    users: BTreeSet<String>,
    topics: Vec<Topic>,
}

#[derive(Debug, Serialize)]
struct Topic {
    name: &'static str,
    subscribers: usize,
}

/// Tells everyone who can be reached.
fn tell_audience(io: &SocketIo) -> Result<(), EmitError> {
    let namespace = io.of(NAMESPACE);
    let sockets = namespace.sockets();
    let users = sockets
        .iter()
        .filter_map(|socket| socket.extensions().get());
    let rooms: BTreeMap<String, usize> = namespace.rooms().into_iter().collect();
    let topic = |name| Topic {
        name,
        subscribers: rooms.get(&topic_room(name)).copied().unwrap_or(0),
    };
    let audience = Audience {
        users: users.map(|User(user)| user).take(LISTED).collect(),
        topics: TOPICS.into_iter().map(topic).collect(),
    };
    namespace.emit("audience", &audience)?;
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Subscribe {
    topics: BTreeSet<String>,
}

#[derive(Debug, Serialize)]
struct Subscribed {
    topics: BTreeSet<String>,
    inbox: Vec<Notification>,
}

async fn subscribe(
    socket: Socket,
    Data(request): Data<Subscribe>,
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
    tell_audience(&socket.io())?;
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
    Data(request): Data<Request>,
    State(board): State<Board>,
) -> Result<Ack<Receipt>, EventError> {
    let from = socket.extensions().get().map(|User(user)| user);
    let receipt = send(&socket.io(), &board, request, from).await?;
    Ok(Ack(receipt))
}

/// Sends a notification, and waits until its recipients have acknowledged it or had their time.
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
    let namespace = io.of(NAMESPACE);
    let target: BroadcastOperator = match &notification.to {
        None => namespace.everyone(),
        Some(Target::Topic(topic)) => namespace.to(topic_room(topic)),
        Some(Target::User(user)) => namespace.to(user_room(user)),
    };
    let recipients = target.sockets().len();
    let acks = target
        .timeout(ACK_TIMEOUT)
        .emit_with_ack::<()>("notification", &notification);
    let delivered = match acks.await {
        Ok(answers) => answers.len(),
        Err(BroadcastAckError::Timeout { responses, .. }) => responses.len(),
        Err(error) => return Err(Problem::new("failed", error.to_string())),
    };
    Ok(Receipt {
        id: notification.id,
        recipients,
        delivered,
    })
}

impl Request {
    fn check(self, id: String, from: Option<String>) -> Result<Notification, Problem> {
        let title = name("The title", &self.title, TITLE)?.to_owned();
        let body = self
            .body
            .map(|body| body.trim().to_owned())
            .filter(|body| !body.is_empty());
        let length = body.as_ref().map_or(0, |body| body.chars().count());
        if length > BODY {
            return Err(Problem::invalid(format!(
                "The text has {length} characters; the limit is {BODY}."
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
                name("The user's name", &user, NAME)?.to_owned(),
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
        if self.notifications.len() > KEPT {
            self.notifications.pop_front();
        }
    }
}

impl Notification {
    /// Whether it belongs to the inbox of `user`, who follows `topics`.
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
        for n in 0..KEPT + 5 {
            board.keep(request(&format!(r#"{{"title":"{n}"}}"#)).unwrap());
        }
        assert_eq!(board.notifications.len(), KEPT);
        assert_eq!(board.notifications[0].title, "5");
    }
}
