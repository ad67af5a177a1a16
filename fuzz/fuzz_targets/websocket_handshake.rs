//! Opening handshakes: the client accepts every handshake that the server accepts, both agree on compression, and no
//! header of either side breaks the other.
#![no_main]

use fanfare_websocket::deflate::{Config, Params};
use fanfare_websocket::{ClientHandshake, ServerHandshake};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let config = Config::default();
    let client = ClientHandshake::new().permessage_deflate(config).protocols(["a", "b"]);
    let server = ServerHandshake::new().permessage_deflate(config).protocols(["b", "c"]);
    let mut request = Request::get("/").body(()).unwrap();
    for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value.trim_start());
        if let (Ok(name), Ok(value)) = (name, value) {
            request.headers_mut().append(name, value);
        }
    }
    let headers = request.headers();
    let _ = Params::negotiate(headers, &config);
    let _ = Params::from_answer(headers, Some(&config));
    // As an answer: the key is random, so no made-up answer is accepted.
    assert!(client.check(StatusCode::SWITCHING_PROTOCOLS, headers).is_err());
    let Ok(accept) = server.validate(&request) else { return };
    let response = accept.response();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    if let Some(params) = accept.permessage_deflate() {
        assert!((8..=15).contains(&params.server_max_window_bits));
        assert!((8..=15).contains(&params.client_max_window_bits));
        // Extensions agreed on with an offer of ours can be read by us.
        let offered = client.request(&"ws://x/".parse().unwrap()).unwrap();
        let ours = server.validate(&offered).unwrap();
        let read = client.check(StatusCode::SWITCHING_PROTOCOLS, ours.response().headers()).unwrap();
        assert_eq!(read.permessage_deflate(), ours.permessage_deflate());
    }
});
