//! Lists of rooms that a client sends and a handler passes on, and patterns of namespaces.

use fanfare::recovery::ConnectionStateRecovery;
use fanfare::{Data, Namespace, Socket, SocketIo, SocketIoBuilder};

use crate::target::{Attack, namespace, server, text};
use crate::{Input, input};

pub(crate) const INPUTS: &[Input] = &[
    input("join", 500, |n| {
        Attack::messages(server(rooms()), event("join", n))
    }),
    input("join_again", 500, |n| {
        Attack::messages(server(rooms()), event("join", n)).after(event("join", n))
    }),
    input("leave", 500, |n| {
        Attack::messages(server(rooms()), event("leave", n)).after(event("join", n))
    }),
    input("to", 500, |n| {
        Attack::messages(server(rooms()), event("to", n))
    }),
    input("to_joined", 500, |n| {
        Attack::messages(server(rooms()), event("to", n)).after(event("join", n))
    }),
    input("except", 500, |n| {
        Attack::messages(server(rooms()), event("except", n))
    }),
    input("to_recoverable", 500, |n| {
        Attack::messages(recovering(), event("to", n))
    }),
    // Up to the limit of rooms in one call and of one socket, 10,000.
    input("return_with_rooms", 2500, |n| {
        Attack::messages(recovering(), event("join", n)).returning()
    }),
    input("sockets_join", 500, |n| {
        Attack::messages(server(rooms()), event("sockets_join", n))
    }),
    input("sockets_leave", 500, |n| {
        Attack::messages(server(rooms()), event("sockets_leave", n)).after(event("join", n))
    }),
    input("pattern_of_dashes", 100, |n| {
        let pattern = Namespace::pattern("/p4-{a}-{b}-{c}-{d}");
        Attack::messages(server(namespace()).namespace(pattern), joins("p4-", "-", n))
    }),
    input("pattern_of_letters", 100, |n| {
        let pattern = Namespace::pattern("/{a}aa{b}aa{c}aa{d}b");
        Attack::messages(server(namespace()).namespace(pattern), joins("", "a", n))
    }),
];

/// Returns packets that join namespaces with names of `n` letters, which the patterns reject at their last byte: as many
/// packets as make the cost of a byte visible beside that of a packet.
fn joins(start: &str, letter: &str, n: usize) -> Vec<u8> {
    const JOINS: usize = 40;
    text(&format!("40/{start}{}/,", letter.repeat(n))).repeat(JOINS)
}

fn rooms() -> Namespace {
    namespace()
        .on(
            "join",
            async |socket: Socket, Data(rooms): Data<Vec<String>>| {
                let _ = socket.join(rooms);
            },
        )
        .on(
            "leave",
            async |socket: Socket, Data(rooms): Data<Vec<String>>| socket.leave(rooms),
        )
        .on(
            "to",
            async |io: SocketIo, Data(rooms): Data<Vec<String>>| {
                let _ = io.to(rooms).emit("news", ());
            },
        )
        .on(
            "except",
            async |io: SocketIo, Data(rooms): Data<Vec<String>>| {
                let _ = io.except(rooms).emit("news", ());
            },
        )
        .on(
            "sockets_join",
            async |io: SocketIo, Data(rooms): Data<Vec<String>>| {
                io.sockets_join(rooms);
            },
        )
        .on(
            "sockets_leave",
            async |io: SocketIo, Data(rooms): Data<Vec<String>>| {
                io.sockets_leave(rooms);
            },
        )
}

fn recovering() -> SocketIoBuilder {
    server(rooms()).connection_state_recovery(ConnectionStateRecovery::default())
}

/// Returns an event with the names of many rooms.
fn event(name: &str, rooms: usize) -> Vec<u8> {
    let names: Vec<String> = (0..rooms).map(|n| format!("\"room-{n}\"")).collect();
    text(&format!("42[\"{name}\",[{}]]", names.join(",")))
}
