//! The HTTP side of the demo: pages, documentation, `/api/notify`, `/api/status`, and Socket.IO on its path.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use fanfare::SocketIo;
use serde::Serialize;
use serde_json::json;

use super::notifications::{self, Board};
use super::problem::Problem;
use super::{Started, assets};

/// Maximum length of the body of `/api/notify`, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone)]
struct App {
    io: SocketIo,
    started: Started,
    board: Board,
}

pub(crate) fn router(io: &SocketIo, started: Started, board: Board) -> Router {
    let app = App {
        io: io.clone(),
        started,
        board,
    };
    let folders = app.started.folders.clone();
    let mut router = Router::new()
        .route("/api/notify", post(notify))
        .route("/api/status", get(status));
    for (path, folder) in [("/book", folders.book), ("/doc", folders.doc)] {
        let serve = any(move |method, uri| folder.serve(method, uri));
        router = router
            .route(path, serve.clone())
            .route(&format!("{path}/"), serve.clone())
            .route(&format!("{path}/{{*file}}"), serve);
    }
    router
        .fallback(assets::serve)
        .with_state(app)
        .layer(io.layer())
}

async fn status(State(app): State<App>) -> Response {
    json(StatusCode::OK, &app.started.status(&app.io))
}

/// Accepts JSON with any content type, so that `curl -d` needs no further option.
async fn notify(State(app): State<App>, headers: HeaderMap, body: Body) -> Response {
    if is_foreign(&headers) {
        let problem = Problem::new(
            "forbidden",
            "Pages of another origin may not send notifications.",
        );
        return refuse(StatusCode::FORBIDDEN, &problem);
    }
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        let problem = Problem::new(
            "too_large",
            format!("The request has more than {MAX_BODY_BYTES} bytes."),
        );
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, &problem);
    };
    let request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            let text = format!(
                "This is not a notification: {error}. Example: {{\"title\": \"Lunch is ready\"}}"
            );
            return refuse(StatusCode::BAD_REQUEST, &Problem::invalid(text));
        }
    };
    match notifications::send(&app.io, &app.board, request, None).await {
        Ok(receipt) => json(StatusCode::OK, &receipt),
        Err(problem) => refuse(StatusCode::BAD_REQUEST, &problem),
    }
}

/// Returns whether a browser sent the request for a page of another origin: such requests need no CORS permission (the
/// content type is that of a form), but are rejected.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    headers.contains_key(ORIGIN)
        && text(ORIGIN)
            .and_then(|origin| origin.split_once("://"))
            .map(|(_, host)| host)
            != text(HOST)
}

fn refuse(status: StatusCode, problem: &Problem) -> Response {
    json(
        status,
        &json!({ "error": { "code": problem.code(), "message": problem.message() } }),
    )
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let Ok(mut text) = serde_json::to_string(value) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    text.push('\n'); // for terminals
    let kind = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (status, [kind], text).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    async fn call(request: Request<Body>) -> (StatusCode, Value) {
        let started = super::super::tests_started();
        let board = Board::default();
        let site = super::super::cluster::Site::default();
        let io = super::super::server(started.clone(), board.clone(), site, |builder| builder);
        let io = io.unwrap();
        let answer = router(&io, started, board).oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    fn post(body: impl Into<String>) -> Request<Body> {
        Request::post("/api/notify")
            .body(Body::from(body.into()))
            .unwrap()
    }

    #[tokio::test]
    async fn notifies_nobody() {
        let (status, receipt) = call(post(r#"{"title":"Lunch"}"#)).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            (&receipt["recipients"], &receipt["delivered"]),
            (&json!(0), &json!(0))
        );
        assert!(receipt["id"].is_string());
    }

    #[tokio::test]
    async fn mistakes_are_explained() {
        for (body, word) in [
            ("{", "EOF"),
            ("{}", "title"),
            (r#"{"title":" "}"#, "empty"),
            (r#"{"title":"x","tilte":"y"}"#, "tilte"),
            (r#"{"title":"x","level":"loud"}"#, "loud"),
            (r#"{"title":"x","to":{"topic":"nonsense"}}"#, "deploys"),
            (r#"{"title":"x","to":{"planet":"Mars"}}"#, "planet"),
            ("[5]", "title"),
            ("\"x\"", "an object with a title"),
            (r#"{"title":5}"#, "string"),
            (r#"{"title":"x","level":5}"#, "expected value"),
            (r#"{"title":"x","to":5}"#, "expected value"),
        ] {
            let (status, answer) = call(post(body)).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            let message = answer["error"]["message"].as_str().unwrap();
            assert!(message.contains(word), "{message}");
            for name in ["struct", "enum", "variant identifier", "Request"] {
                assert!(!message.contains(name), "names of Rust: {message}");
            }
        }
        let (status, _) = call(post(" ".repeat(MAX_BODY_BYTES + 1))).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn pages_of_others_may_not_notify() {
        let from = |origin: &str| {
            let request = Request::post("/api/notify")
                .header("host", "localhost:3000")
                .header("origin", origin);
            request.body(Body::from(r#"{"title":"x"}"#)).unwrap()
        };
        assert_eq!(
            call(from("https://elsewhere.example")).await.0,
            StatusCode::FORBIDDEN
        );
        assert_eq!(call(from("null")).await.0, StatusCode::FORBIDDEN);
        assert_eq!(call(from("http://localhost:3000")).await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn status_and_socket_io_are_mounted() {
        let (status, body) = call(Request::get("/api/status").body(Body::empty()).unwrap()).await;
        assert_eq!((status, &body["connections"]), (StatusCode::OK, &json!(0)));
        let (status, body) = call(
            Request::get("/socket.io/?EIO=4&transport=carrier-pigeon")
                .body(Body::empty())
                .unwrap(),
        )
        .await;
        assert_eq!(
            (status, &body["message"]),
            (StatusCode::BAD_REQUEST, &json!("Transport unknown"))
        );
    }
}
