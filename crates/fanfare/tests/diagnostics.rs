//! Compiler messages for invalid handlers: the messages are part of the API.
//!
//! Each case is a small program that is compiled by the compiler of this test, with the same build of the crate.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot compile programs has failed"
)]

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A valid program; with the macro, if that is available.
const GOOD: &str = r#"
    #[derive(serde::Serialize)] struct Said(String);
    async fn say(socket: Socket, Data(text): Data<String>) -> Result<Ack<usize>, EmitError> {
        let length = text.len();
        socket.to("room").emit("said", &Said(text))?;
        Ok(Ack(length))
    }
    fn main() { let _ = Namespace::new("/").on("say", say); }
"#;

fn rustc(libraries: &Libraries, program: &str) -> Result<(), String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let folder = std::env::temp_dir().join(format!(
        "fanfare-diagnostics-{}-{}",
        std::process::id(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    ));
    std::fs::create_dir_all(&folder).unwrap();
    let source = folder.join("main.rs");
    std::fs::write(
        &source,
        format!("#![allow(unused)]\nuse fanfare::{{ack::AckSender, typed::*, *}};\n{program}"),
    )
    .unwrap();
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .args(["--edition=2024", "--emit=metadata", "--color=never"])
        .arg("--extern")
        .arg(format!("fanfare={}", libraries.fanfare.display()))
        .arg("--extern")
        .arg(format!("serde={}", libraries.serde.display()))
        .arg("-L")
        .arg(format!(
            "dependency={}",
            libraries.fanfare.parent().unwrap().display()
        ))
        .arg("--out-dir")
        .arg(&folder)
        .arg(&source)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The crate, and `serde` beside it, as cargo built them for this test.
struct Libraries {
    fanfare: PathBuf,
    serde: PathBuf,
}

/// Returns the newest builds that the compiler accepts together.
fn libraries() -> &'static Libraries {
    static LIBRARIES: OnceLock<Libraries> = OnceLock::new();
    LIBRARIES.get_or_init(|| {
        let mut program = match cfg!(feature = "macros") {
            true => GOOD.replace("async fn", "#[fanfare::debug_handler] async fn"),
            false => GOOD.to_owned(),
        };
        if cfg!(feature = "export") {
            program += "use fanfare::typed::export::TypeScript;";
        }
        let mut said = String::new();
        for fanfare in built("fanfare") {
            for serde in built("serde") {
                let libraries = Libraries {
                    fanfare: fanfare.clone(),
                    serde,
                };
                match rustc(&libraries, &program) {
                    Ok(()) => return libraries,
                    Err(error) => said = error,
                }
            }
        }
        panic!("no build of the crate beside the test takes a good program: {said}")
    })
}

/// Returns the builds of a crate beside this test, the newest first.
fn built(name: &str) -> Vec<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let prefix = format!("lib{name}-");
    let mut found: Vec<_> = std::fs::read_dir(test.parent().unwrap())
        .unwrap()
        .flatten()
        .filter(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            name.starts_with(&prefix) && name.ends_with(".rlib")
        })
        .map(|file| (file.metadata().unwrap().modified().unwrap(), file.path()))
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

/// Asserts that the compiler rejects the program with all of these messages.
#[track_caller]
fn says(program: &str, expected: &[&str]) {
    let said = rustc(libraries(), program).expect_err("the program compiles");
    for text in expected {
        assert!(said.contains(text), "expected: {text}\n\n{said}");
    }
}

#[test]
fn a_good_program_compiles() {
    rustc(libraries(), GOOD).unwrap();
}

#[test]
fn a_parameter_that_is_no_extractor() {
    says(
        r#"
        async fn say(socket: Socket, text: String) {}
        fn main() { let _ = Namespace::new("/").on("say", say); }
        "#,
        &[
            "{say}` is not a handler for `OnEvent`",
            "extractors for events: `Socket`, `Data<T>`",
            "#[fanfare::debug_handler]",
        ],
    );
}

#[test]
fn not_async() {
    says(
        r#"
        fn say(socket: Socket) {}
        fn main() { let _ = Namespace::new("/").on("say", say); }
        "#,
        &[
            "is not a handler for `OnEvent`",
            "a handler is an `async fn` of up to eight extractors",
        ],
    );
    says(
        r#"fn main() { let _ = Namespace::new("/").on("say", |socket: Socket| socket.emit("x", ())); }"#,
        &[
            "is not a handler for `OnEvent`",
            "a handler is an `async fn` of up to eight extractors",
        ],
    );
}

#[test]
fn a_value_that_cannot_be_returned() {
    says(
        r#"fn main() { let _ = Namespace::new("/").on("say", async || 5); }"#,
        &[
            "`{integer}` cannot be returned by an event handler",
            "return `()`, `Ack<T>`, `Result<(), E>` or `Result<Ack<T>, E>`",
        ],
    );
    says(
        r#"fn main() { let _ = Namespace::new("/").on_connect(async || Ack(5)); }"#,
        &[
            "Ack<{integer}>` cannot be returned here",
            "return `()` or `Result<(), E>`",
        ],
    );
    says(
        r#"fn main() { let _ = Namespace::new("/").middleware(async || false); }"#,
        &["`bool` cannot be returned here", "`ConnectError`"],
    );
}

#[test]
fn an_extractor_of_another_kind() {
    says(
        r#"fn main() { let _ = Namespace::new("/").on("say", async |reason: DisconnectReason| {}); }"#,
        &[
            "is not a handler for `OnEvent`",
            "handlers of disconnections take `DisconnectReason`",
        ],
    );
    says(
        r#"fn main() { let _ = Namespace::new("/").on_connect(async |ack: AckSender| {}); }"#,
        &[
            "is not a handler for `OnConnect`",
            "handlers of connections take `Data<T>` from the client's `auth`",
        ],
    );
}

#[test]
fn too_many_parameters() {
    says(
        r#"
        async fn many(a: Socket, b: Socket, c: Socket, d: Socket, e: Socket, f: Socket, g: Socket, h: Socket, i: Socket) {}
        fn main() { let _ = Namespace::new("/").on("many", many); }
        "#,
        &["is not a handler for `OnEvent`", "up to eight extractors"],
    );
}

#[test]
fn a_future_that_is_not_send() {
    says(
        r#"
        async fn rc() {
            let x = std::rc::Rc::new(1);
            std::future::ready(()).await;
            drop(x);
        }
        fn main() { let _ = Namespace::new("/").on("rc", rc); }
        "#,
        &[
            "a handler is an `async fn`",
            "whose future is `Send + 'static`",
        ],
    );
}

#[test]
fn what_is_no_room_and_what_cannot_be_sent() {
    says(
        r#"fn f(socket: Socket) { socket.join(5); } fn main() {}"#,
        &["`{integer}` is not a room name or a list of room names"],
    );
    says(
        r#"struct Own; fn f(socket: Socket) { socket.emit("x", Own); } fn main() {}"#,
        &[
            "`Own` cannot be emitted",
            "pass a reference for one argument",
        ],
    );
}

#[cfg(feature = "macros")]
mod debug_handler {
    use super::says;

    #[test]
    fn points_at_the_parameter() {
        says(
            "#[debug_handler] async fn say(socket: Socket, text: String) {} fn main() {}",
            &[
                "String` is not an extractor for `OnEvent`",
                "wrap the type: `Data<T>`",
                "text: String) {} fn main() {}\n  |                                                     ^^^^^^",
            ],
        );
        says(
            "#[debug_handler(connect)] async fn welcome(socket: Socket, ack: AckSender) {} fn main() {}",
            &["AckSender` is not an extractor for `OnConnect`"],
        );
    }

    #[test]
    fn points_at_the_returned_value() {
        says(
            "#[debug_handler] async fn say(socket: Socket) -> u32 { 5 } fn main() {}",
            &[
                "`u32` cannot be returned by an event handler",
                "-> u32 { 5 } fn main() {}\n  |                                                  ^^^",
            ],
        );
        says(
            "#[debug_handler(disconnect)] async fn bye(socket: Socket) -> Ack<u32> { Ack(5) } fn main() {}",
            &["Ack<u32>` cannot be returned here", "`EventError`"],
        );
    }

    #[test]
    fn says_what_is_not_send() {
        says(
            r#"
            #[debug_handler]
            async fn rc(socket: Socket) {
                let x = std::rc::Rc::new(1);
                std::future::ready(()).await;
                drop(x);
            }
            fn main() {}
            "#,
            &[
                "future returned by `rc` is not `Send`",
                "has type `Rc<i32>` which is not `Send`",
            ],
        );
    }

    #[test]
    fn says_what_no_handler_may_be() {
        says(
            "#[debug_handler] fn f(socket: Socket) {} fn main() {}",
            &["a handler is an `async fn`"],
        );
    }
}

#[cfg(feature = "macros")]
mod typed {
    /// Source of two events, one for each direction, one that is in no contract, and the contract.
    const TYPES: &str = r#"
        use fanfare::typed::TypedSocket;
        use serde::{Deserialize, Serialize};
        #[derive(Serialize, Deserialize, TypedEvent)] #[event(ack = u64)] struct Say { text: String }
        #[derive(Serialize, Deserialize, TypedEvent)] struct Said(String);
        #[derive(Serialize, Deserialize, TypedEvent)] struct Foreign;
        #[derive(Contract)] #[contract(from_clients(Say), from_server(Said))] struct Chat;
    "#;

    #[track_caller]
    fn says(program: &str, expected: &[&str]) {
        super::says(&format!("{TYPES}{program}"), expected);
    }

    /// Asserts that the derive reports this at the place that is marked between arrows.
    #[track_caller]
    fn says_there(program: &str, expected: &str) {
        let (before, rest) = program.split_once('→').unwrap();
        let (place, after) = rest.split_once('←').unwrap();
        let program = format!("{TYPES}\n{before}{place}{after} fn main() {{}}");
        let column = before.chars().count();
        let arrows = format!(
            "| {}{}",
            " ".repeat(column),
            "^".repeat(place.chars().count())
        );
        super::says(&program, &[expected, &arrows]);
    }

    #[test]
    fn a_good_program_compiles() {
        let program = r#"
            #[debug_handler]
            async fn say(socket: TypedSocket<Chat>, Typed(say): Typed<Say>) -> Result<Ack<u64>, EmitError> {
                socket.broadcast().emit(&Said(say.text))?;
                Ok(Ack(1))
            }
            fn main() {
                let _ = Namespace::typed::<Chat>().on_event(say);
                let _ = Namespace::new("/").on_event(async |_: Socket, _: Typed<Say>| Ack(5)).on_event(async |_: Typed<Said>| {});
            }
        "#;
        super::rustc(super::libraries(), &format!("{TYPES}{program}")).unwrap();
    }

    #[test]
    fn an_acknowledgement_of_another_type() {
        says(
            r#"fn main() { let _ = Namespace::new("/").on_event(async |_: Typed<Say>| Ack("no")); }"#,
            &[
                "Ack<&str>` does not acknowledge the event with `u64`",
                "the handler of an event with `#[event(ack = A)]` returns `Ack<A>` or `Result<Ack<A>, E>`",
            ],
        );
        says(
            r#"
            async fn say(_: Typed<Say>) -> Result<Ack<String>, EmitError> { todo!() }
            fn f(socket: Socket) { socket.on_event(say); }
            fn main() {}
            "#,
            &["String>` does not acknowledge the event with `u64`"],
        );
        says(
            r#"fn main() { let _ = Namespace::new("/").on_event(async |_: Typed<Say>| {}); }"#,
            &["`()` does not acknowledge the event with `u64`"],
        );
        says(
            r#"fn main() { let _ = Namespace::new("/").on_event(async |_: Typed<Said>| Ack(1)); }"#,
            &[
                "does not acknowledge the event with `NoAck`",
                "whose `Ack` is `NoAck`, returns `()` or `Result<(), E>`",
            ],
        );
    }

    #[test]
    fn an_acknowledgement_that_never_comes() {
        says(
            "fn f(socket: Socket) { let _ = socket.emit_event_with_ack(&Said(String::new())); } fn main() {}",
            &[
                "an acknowledgement `NoAck` cannot be awaited",
                "`#[event(ack = …)]` on their type changes it",
            ],
        );
    }

    #[test]
    fn an_event_of_no_contract() {
        says(
            "fn main() { let _ = Namespace::typed::<Chat>().on_event(async |_: Typed<Foreign>| {}); }",
            &[
                "`Foreign` is not an event that clients send in `Chat`",
                "the contract lists them: `#[contract(from_clients(…))]`",
            ],
        );
        says(
            "fn f(socket: TypedSocket<Chat>) { socket.on(async |_: Typed<Foreign>| {}); } fn main() {}",
            &["`Foreign` is not an event that clients send in `Chat`"],
        );
        says(
            "fn f(io: SocketIo) { io.typed::<Chat>().to(\"room\").emit(&Foreign); } fn main() {}",
            &[
                "`Foreign` is not an event that the server sends in `Chat`",
                "the contract lists them: `#[contract(from_server(…))]`",
            ],
        );
    }

    #[test]
    fn an_event_the_wrong_way() {
        says(
            "fn main() { let _ = Namespace::typed::<Chat>().on_event(async |_: Typed<Said>| {}); }",
            &["`Said` is not an event that clients send in `Chat`"],
        );
        says(
            "fn f(socket: TypedSocket<Chat>) { socket.emit(&Say { text: String::new() }); } fn main() {}",
            &["`Say` is not an event that the server sends in `Chat`"],
        );
    }

    #[test]
    fn arguments_that_are_not_there() {
        says_there(
            "#[derive(TypedEvent)] #[event(arguments(→a←, b))] struct Two(u8, u8, u8);",
            "`Two` has 3 arguments, and 2 are named",
        );
    }

    #[cfg(feature = "export")]
    #[test]
    fn an_exported_event_without_a_schema() {
        says(
            "fn main() { fanfare::typed::export::TypeScript::of::<Chat>(); }",
            &[
                "the trait bound `Say: schemars::JsonSchema` is not satisfied",
                "required for `Chat` to implement `VisitEvents<SchemaCollector>`",
            ],
        );
    }

    #[test]
    fn an_event_by_name_where_there_is_a_contract() {
        says(
            "fn main() { let _ = Namespace::typed::<Chat>().on(\"say\", async || {}); }",
            &["no method named `on` found for struct `fanfare::Namespace<Chat>`"],
        );
        says(
            "fn f(io: SocketIo) { io.typed::<Chat>().server_side_emit(&Foreign); } fn main() {}",
            &["`Foreign` is not an event that servers send each other in `Chat`"],
        );
        says(
            "fn f(socket: TypedSocket<Chat>) { socket.emit(\"said\", 5); } fn main() {}",
            &["`str` is not an event that the server sends in `Chat`"],
        );
    }

    #[test]
    fn a_handler_without_an_event() {
        says(
            r#"
            async fn f(a: Socket, b: Data<Say>) {}
            fn main() { let _ = Namespace::new("/").on_event(f); }
            "#,
            &[
                "a handler with the parameters `(",
                "fanfare::Data<Say>)` takes no typed event",
                "one parameter has to be `Typed<E>`",
            ],
        );
        says(
            "fn f(socket: Socket) { socket.emit_event(&5); } fn main() {}",
            &[
                "`{integer}` is not an event",
                "`#[derive(TypedEvent)]` on the type makes it one",
            ],
        );
    }

    #[test]
    fn what_the_derives_refuse() {
        says_there(
            "#[derive(TypedEvent)] struct →Connect←;",
            "the protocol keeps the name `connect` for itself: give the event another one, with `#[event(name = \"…\")]`",
        );
        says_there(
            "#[derive(TypedEvent)] #[event(name = →\"newListener\"←)] struct X;",
            "the protocol keeps the name `newListener` for itself",
        );
        says_there(
            "#[derive(TypedEvent)] #[event(→nam← = \"x\")] struct X;",
            "an event has `name = \"…\"`, `ack = Type`, `arguments(…)` and `crate = path`, and nothing else",
        );
        says_there(
            "#[derive(Contract)] #[contract(→clients←(Say))] struct C;",
            "a contract has `namespace = \"/…\"`, `from_clients(…)`, `from_server(…)`",
        );
        says_there(
            "#[derive(Contract)] #[contract(namespace = →\"chat\"←)] struct C;",
            "the name of a namespace begins with a slash: `/chat`",
        );
        says_there(
            "struct X; #[derive(Contract)] #[contract(from_clients(Say, →X←))] struct C;",
            "`X` is not an event",
        );
        says_there(
            "#[derive(TypedEvent)] #[event(name = \"say\")] struct X; #[derive(→Contract←)] #[contract(from_clients(Say, X))] struct C;",
            "two events of the contract that go the same way have the same name",
        );
    }
}
