//! Files of the website. They are part of the program, so that it runs anywhere.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{MethodRouter, get};

/// Returns the routes of the files in `public/`.
pub(crate) fn files<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route(
            "/",
            file(
                "text/html; charset=utf-8",
                include_str!("../public/index.html"),
            ),
        )
        .route(
            "/app.js",
            file("text/javascript", include_str!("../public/app.js")),
        )
        .route(
            "/style.css",
            file("text/css", include_str!("../public/style.css")),
        )
        .route(
            "/socket.io.esm.min.js",
            file(
                "text/javascript",
                include_str!("../public/socket.io.esm.min.js"),
            ),
        )
}

fn file<S: Clone + Send + Sync + 'static>(
    kind: &'static str,
    text: &'static str,
) -> MethodRouter<S> {
    get(([(CONTENT_TYPE, kind)], text))
}
