//! What the compiler says of handlers that are none: the messages are part of the API.
//!
//! Each case is a small program that the compiler that made this test sees as well, with the same build of the crate.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot compile programs has failed"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A program that is right; with the macro, if that is there.
const GOOD: &str = r#"
    async fn say(socket: Socket, Data(text): Data<String>) -> Result<Ack<usize>, EmitError> {
        socket.to("room").emit("said", &text)?;
        Ok(Ack(text.len()))
    }
    fn main() { let _ = Namespace::new("/").on("say", say); }
"#;

fn rustc(library: &Path, program: &str) -> Result<(), String> {
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
        format!("#![allow(unused)]\nuse fanfare::*;\n{program}"),
    )
    .unwrap();
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .args(["--edition=2024", "--emit=metadata", "--color=never"])
        .arg("--extern")
        .arg(format!("fanfare={}", library.display()))
        .arg("-L")
        .arg(format!(
            "dependency={}",
            library.parent().unwrap().display()
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

/// The crate as cargo built it for this test: the newest that the compiler takes.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = std::env::current_exe().unwrap();
        let files = std::fs::read_dir(folder.parent().unwrap()).unwrap();
        let mut found: Vec<_> = files
            .flatten()
            .filter(|file| {
                let name = file.file_name().to_string_lossy().into_owned();
                name.starts_with("libfanfare-") && name.ends_with(".rlib")
            })
            .map(|file| (file.metadata().unwrap().modified().unwrap(), file.path()))
            .collect();
        found.sort();
        let program = match cfg!(feature = "macros") {
            true => GOOD.replace("async fn", "#[fanfare::debug_handler] async fn"),
            false => GOOD.to_owned(),
        };
        let mut said = String::new();
        while let Some((_, library)) = found.pop() {
            match rustc(&library, &program) {
                Ok(()) => return library,
                Err(error) => said = error,
            }
        }
        panic!("no build of the crate beside the test takes a good program: {said}")
    })
}

/// The program is refused, and the compiler says all of this.
#[track_caller]
fn says(program: &str, expected: &[&str]) {
    let said = rustc(library(), program).expect_err("the program compiles");
    for text in expected {
        assert!(said.contains(text), "expected: {text}\n\n{said}");
    }
}

#[test]
fn a_good_program_compiles() {
    rustc(library(), GOOD).unwrap();
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
fn an_extractor_of_another_moment() {
    says(
        r#"fn main() { let _ = Namespace::new("/").on("say", async |reason: DisconnectReason| {}); }"#,
        &[
            "is not a handler for `OnEvent`",
            "for disconnections there is `DisconnectReason`",
        ],
    );
    says(
        r#"fn main() { let _ = Namespace::new("/").on_connect(async |ack: AckSender| {}); }"#,
        &[
            "is not a handler for `OnConnect`",
            "extractors for connections take `Data<T>` from the client's `auth`",
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
