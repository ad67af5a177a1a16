//! Fast path for requests of open sessions: their parameters are read from the head in the input, and no
//! `http::Request` is made.

use http::header::{ORIGIN, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::get::{Get, PollResponseFormat};
use super::post::Post;
use super::verify::{Target, is_msie, is_octet_stream};
use super::{EngineFuture, EngineService, answer};
use crate::fields::Fields;
use crate::handler::Handler;
use crate::http_server::{Head, Replies, ServeBody, Sessions};
use crate::query::{Params, may_have_sid};

impl<H: Handler> Sessions for EngineService<H> {
    fn answer(&self, head: &Head<'_, '_>, body: &mut ServeBody) -> Option<Box<dyn Replies>> {
        let method = match head.method() {
            "GET" => Method::GET,
            "POST" => Method::POST,
            _ => return None,
        };
        let (path, query) = head.path_and_query();
        let config = &self.engine.config;
        if path != config.path || head.has(&UPGRADE) || !may_have_sid(query) {
            return None;
        }
        let params = Params::parse(query);
        // Rejections are left to the service, so that there is one path for them.
        params.sid.as_ref()?;
        let origin = head.first(&ORIGIN);
        let Ok(Target::Session(conn)) = self.verify(&method, &params, origin, None) else {
            return None;
        };
        let cors = match &config.cors {
            None => None,
            Some(cors) => {
                let mut asking = HeaderMap::new();
                if let Some(origin) = origin {
                    asking.insert(ORIGIN, HeaderValue::from_bytes(origin).ok()?);
                }
                let Some(headers) = self.cors(cors, &asking, false) else {
                    let panicked = answer::last(StatusCode::INTERNAL_SERVER_ERROR);
                    return Some(Box::new(EngineFuture::<H, ServeBody>::from(panicked)));
                };
                Some(headers)
            }
        };
        let mut future: EngineFuture<H, ServeBody> = match method {
            Method::GET => Get::start(
                &self.engine,
                conn,
                PollResponseFormat::read(head, config),
                false,
            ),
            _ => {
                let (binary, msie) = (is_octet_stream(head), is_msie(head));
                Post::start(&self.engine, conn, body.take(), binary, msie)
            }
        };
        future.cors = cors;
        Some(Box::new(future))
    }
}
