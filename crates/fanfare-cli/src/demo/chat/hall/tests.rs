use super::*;
use crate::demo::chat::picture::tests::upload;

fn user(name: &str) -> User {
    User {
        id: format!("id of {name}"),
        name: name.to_owned(),
    }
}

fn text(room: &str, nonce: &str, text: &str) -> Outgoing {
    Outgoing {
        nonce: nonce.to_owned(),
        room: room.to_owned(),
        text: text.to_owned(),
        picture: None,
    }
}

fn names(joined: &Joined) -> Vec<&str> {
    joined
        .people
        .iter()
        .map(|user| user.name.as_str())
        .collect()
}

/// Returns a hall with one connection per name, all in the lobby.
fn hall<const N: usize>(people: [&str; N]) -> (Hall<usize>, [usize; N]) {
    let mut hall = Hall::default();
    let mut last = 0;
    let sockets = people.map(|name| {
        last += 1;
        let socket = last;
        hall.enter(socket, user(name));
        hall.join(socket, "lobby").unwrap();
        socket
    });
    (hall, sockets)
}

#[test]
fn a_name_belongs_to_one_person_at_a_time() {
    let (mut hall, [ada]) = hall(["Ada"]);
    let other = User {
        id: "other".to_owned(),
        name: "ADA".to_owned(),
    };
    assert_eq!(hall.check_name(&other).unwrap_err().code(), "name_taken");
    hall.check_name(&user("Ada")).unwrap(); // the same person again
    hall.leave(ada);
    hall.check_name(&other).unwrap();
}

#[test]
fn people_are_counted_once_however_many_connections_they_have() {
    let (mut hall, [ada, again, grace]) = hall(["Ada", "Ada", "Grace"]);
    assert_eq!(names(&hall.joined("lobby")), ["Ada", "Grace"]);
    let left = hall.leave(again).unwrap();
    assert!(!left.gone);
    assert_eq!(left.summary.people, 2);
    let moved = hall.join(ada, "music").unwrap();
    assert!(moved.arrived && moved.left.unwrap().gone);
    assert_eq!(names(&hall.joined("lobby")), ["Grace"]);
    assert!(hall.user_in(ada, "music").is_some() && hall.user_in(grace, "music").is_none());
    // Joining the current room changes nothing.
    let same = hall.join(ada, "music").unwrap();
    assert!(!same.arrived && same.left.is_none() && !same.list_changed);
}

#[test]
fn a_message_sent_twice_is_one_message() {
    let (mut hall, [ada, grace]) = hall(["Ada", "Grace"]);
    let first = hall.say(ada, text("lobby", "n1", " Hello ")).unwrap();
    let again = hall.say(ada, text("lobby", "n1", "Hello")).unwrap();
    assert!(first.is_new && !again.is_new);
    assert_eq!(first.message.id, again.message.id);
    assert_eq!(first.message.text, "Hello");
    // The nonce of another user is independent.
    assert!(
        hall.say(grace, text("lobby", "n1", "Hello"))
            .unwrap()
            .is_new
    );
    assert_eq!(hall.joined("lobby").history.len(), 2);
    assert_eq!(hall.joined("lobby").room.messages, 2);
}

#[test]
fn messages_are_checked() {
    let (mut hall, [ada]) = hall(["Ada"]);
    for (outgoing, code) in [
        (text("lobby", "n", "  "), "invalid"),
        (text("attic", "n", "x"), "no_such_room"),
    ] {
        assert_eq!(hall.say(ada, outgoing).unwrap_err().code(), code);
    }
    // `Typed` checks these rules before the handler runs.
    for outgoing in [
        text("lobby", "n", &"x".repeat(TEXT + 1)),
        text("lobby", "", "x"),
        text("lobby", &"n".repeat(65), "x"),
    ] {
        assert!(outgoing.validate().is_err(), "{outgoing:?}");
    }
    let longest = text("lobby", "n", &"é".repeat(TEXT));
    longest.validate().unwrap();
    assert!(hall.say(ada, longest).is_ok());
    let stranger = 99;
    assert_eq!(
        hall.say(stranger, text("lobby", "n", "x"))
            .unwrap_err()
            .code(),
        "unknown"
    );
    assert_eq!(hall.join(stranger, "lobby").unwrap_err().code(), "unknown");
}

#[test]
fn a_history_is_bounded_and_has_no_bytes_of_pictures() {
    let (mut hall, [ada]) = hall(["Ada"]);
    let outgoing = Outgoing {
        picture: Some(upload(500)),
        ..text("lobby", "picture", "")
    };
    let stored = hall.say(ada, outgoing).unwrap();
    let picture = stored.live.picture.unwrap();
    assert_eq!(picture.data.as_ref().map(Bytes::len), Some(500));
    assert!(
        hall.joined("lobby").history[0]
            .picture
            .as_ref()
            .unwrap()
            .data
            .is_none()
    );
    assert_eq!(hall.picture(&picture.id).unwrap().len(), 500);
    assert_eq!(hall.picture("nonsense").unwrap_err().code(), "gone");
    for n in 0..MAX_HISTORY + 10 {
        hall.say(ada, text("lobby", &n.to_string(), "x")).unwrap();
    }
    let joined = hall.joined("lobby");
    assert_eq!(joined.history.len(), MAX_HISTORY);
    assert_eq!(joined.room.messages, MAX_HISTORY as u64 + 11);
    assert!(joined.history.is_sorted_by_key(|message| message.number));
}

#[test]
fn rooms_are_bounded_and_empty_ones_make_space() {
    let (mut hall, [ada]) = hall(["Ada"]);
    for n in 0..200 {
        assert!(hall.join(ada, &format!("room {n}")).unwrap().list_changed);
        assert!(hall.rooms().len() <= MAX_ROOMS);
    }
    assert!(
        PERMANENT_ROOMS
            .iter()
            .all(|name| hall.rooms.contains_key(*name))
    );
    assert!(hall.rooms.contains_key("room 199"));
    // A user in each room: none can be removed.
    let full = (0..MAX_ROOMS).find_map(|n| {
        let socket = 100 + n;
        hall.enter(socket, user(&format!("user {n}")));
        hall.join(socket, &format!("occupied {n}")).err()
    });
    assert_eq!(full.unwrap().code(), "full");
    for bad in ["", "  ", &"x".repeat(33), "a\u{0}b"] {
        assert_eq!(hall.join(ada, bad).unwrap_err().code(), "invalid");
    }
}
