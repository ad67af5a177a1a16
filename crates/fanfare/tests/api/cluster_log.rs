//! Several servers that act as one, with an adapter that keeps a log.

use fanfare::adapter::{LogLimits, PublishOutcome};
use fanfare::{EmitError, SocketIo};

use crate::bus::{Bus, State};
use crate::recovery::{main_namespace, recovering};

fn builder() -> fanfare::SocketIoBuilder {
    SocketIo::builder().namespace(main_namespace())
}

/// `emit` does not wait for the log, and every server delivers in its order.
#[tokio::test]
async fn events_are_delivered_in_the_order_of_the_log() {
    let bus = Bus::default();
    let one = bus.logging("one", builder()).await;
    let two = bus.logging("two", builder()).await;
    let (mut a, mut b) = (one.joined().await, two.joined().await);
    let report = one.io.emit("first", 1).unwrap();
    assert_eq!(
        (report.recipients, report.cluster),
        (0, Some(PublishOutcome::Queued))
    );
    two.io.emit("second", 2).unwrap();
    one.io.volatile().emit("third", 3).unwrap();
    one.io.local().emit("local", 4).unwrap();
    a.expect(r#"2["local",4]"#).await;
    a.quiet().await;
    assert_eq!(bus.appended(), 3);
    bus.deliver();
    for peer in [&mut a, &mut b] {
        peer.expect(r#"2["first",1]"#).await;
        peer.expect(r#"2["second",2]"#).await;
        peer.expect(r#"2["third",3]"#).await;
        peer.quiet().await;
    }
}

/// Clients that can be recovered get the position. An event without one has the position of the last.
#[tokio::test]
async fn positions_are_appended_for_recovery() {
    let bus = Bus::default();
    let one = bus.logging("one", recovering(main_namespace())).await;
    let two = bus.logging("two", recovering(main_namespace())).await;
    let (mut a, mut b) = (one.joined().await, two.joined().await);
    let socket = one.io.of("/").socket(a.sid()).unwrap();
    one.io.local().emit("before", ()).unwrap();
    a.expect(r#"2["before","0-0"]"#).await;
    one.io.emit("all", 1).unwrap();
    socket.emit("own", 2).unwrap();
    socket.to("nobody").emit("nobody", ()).unwrap();
    bus.deliver();
    a.expect(r#"2["all",1,"1-0"]"#).await;
    a.expect(r#"2["own",2,"2-0"]"#).await;
    b.expect(r#"2["all",1,"1-0"]"#).await;
    one.io.local().emit("here", ()).unwrap();
    a.expect(r#"2["here","3-0"]"#).await;
    let asked = socket.emit_with_ack::<u8>("ack", ());
    a.expect(r#"20["ack"]"#).await;
    a.send("30[1]").await;
    assert_eq!(asked.await.unwrap(), 1);
    b.quiet().await;
}

/// The events that wait for the log are bounded. An event beyond the bound reaches no client, so that it may be sent again.
#[tokio::test]
async fn what_waits_for_the_log_is_bounded() {
    let bus = Bus::default();
    let state = State {
        log: Some(LogLimits::default().max_pending(2)),
        ..State::default()
    };
    let (one, _) = bus.start("one", recovering(main_namespace()), state).await;
    let mut a = one.joined().await;
    let socket = one.io.of("/").socket(a.sid()).unwrap();
    one.io.emit("e", 1).unwrap();
    one.io.emit("e", 2).unwrap();
    let report = one.io.emit("e", 3).unwrap();
    assert_eq!(
        (report.recipients, report.cluster),
        (0, Some(PublishOutcome::Full))
    );
    let error = socket.emit("own", ()).unwrap_err();
    assert!(matches!(error, EmitError::NotLogged(PublishOutcome::Full)));
    bus.deliver();
    a.expect(r#"2["e",1,"1-0"]"#).await;
    a.expect(r#"2["e",2,"2-0"]"#).await;
    one.io.emit("e", 4).unwrap();
    bus.deliver();
    a.expect(r#"2["e",4,"3-0"]"#).await;

    let state = State {
        log: Some(LogLimits::default().max_pending_bytes(100)),
        ..State::default()
    };
    let (two, _) = bus.start("two", builder(), state).await;
    let long = "x".repeat(80);
    let outcome = |text: &str| two.io.emit("e", text.to_owned()).unwrap().cluster.unwrap();
    assert_eq!(outcome(&long), PublishOutcome::Queued);
    assert_eq!(outcome(&long), PublishOutcome::Full);
    bus.deliver();
    assert_eq!(
        outcome(&long.repeat(2)),
        PublishOutcome::Queued,
        "one always fits"
    );
}

/// Without its broker a server continues with its own clients, in order.
#[tokio::test]
async fn a_lost_log_costs_only_positions() {
    let bus = Bus::default();
    let state = State {
        log: Some(LogLimits::default()),
        ..State::default()
    };
    let (one, state) = bus.start("one", recovering(main_namespace()), state).await;
    let mut a = one.joined().await;
    one.io.emit("e", 1).unwrap();
    bus.deliver();
    a.expect(r#"2["e",1,"1-0"]"#).await;
    one.io.emit("e", 2).unwrap();
    *state.outcome.lock().unwrap() = PublishOutcome::Down;
    let report = one.io.emit("e", 3).unwrap();
    assert_eq!(report.cluster, Some(PublishOutcome::Down));
    a.expect(r#"2["e",2,"1-0"]"#).await;
    a.expect(r#"2["e",3,"1-0"]"#).await;
    *state.outcome.lock().unwrap() = PublishOutcome::Full;
    one.io.emit("e", 4).unwrap();
    *state.outcome.lock().unwrap() = PublishOutcome::Queued;
    one.io.emit("e", 5).unwrap();
    bus.deliver();
    a.expect(r#"2["e",5,"3-0"]"#).await;
}
