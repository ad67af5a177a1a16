//! Requests of HTTP and clients of Socket.IO, without ports.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use fanfare_testing::TestServer;
use tower::ServiceExt;

#[tokio::test(start_paused = true)]
async fn a_request_reaches_the_open_pages() -> Result<(), Box<dyn std::error::Error>> {
    let (io, routes) = {{crate}}::app()?;
    let server = TestServer::start(io);
    let client = server.client().await?;
    let mut entries = client.listen::<String>("entry");

    let request = Request::post("/api/entries").body(Body::from("milk"))?;
    let response = routes.oneshot(request).await?;

    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(entries.next().await.ok_or("the stream ended")??, "milk");
    Ok(())
}

#[tokio::test]
async fn an_empty_entry_is_rejected() -> Result<(), Box<dyn std::error::Error>> {
    let (_, routes) = {{crate}}::app()?;
    let request = Request::post("/api/entries").body(Body::from(" "))?;
    let response = routes.oneshot(request).await?;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    Ok(())
}
