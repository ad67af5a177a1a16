//! Echo by HTTP long-polling, over two connections per client.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::Bytes;
use fanfare_protocol::deadline;
use fanfare_protocol::engine::Opened;
use http::{Method, Request};
use tokio::time::timeout;

use super::message;
use super::workers::{Phase, Shared, acknowledged};
use crate::net::{self, HttpConnection};

/// Separator between two packets of a body.
const SEPARATOR: char = '\u{1e}';

struct Session {
    get: HttpConnection,
    post: HttpConnection,
    query: String,
    cookies: String,
    prefix: String,
}

impl Session {
    async fn open(shared: &Shared) -> Result<Self, String> {
        let connector = &shared.connector;
        let mut get = HttpConnection::open(&connector.dialer)
            .await
            .map_err(|error| net::no_response(&error))?;
        let post = HttpConnection::open(&connector.dialer)
            .await
            .map_err(|error| net::no_response(&error))?;
        let request = net::request(
            &connector.target,
            Method::GET,
            "EIO=4&transport=polling",
            "",
        );
        let response = get
            .send(request)
            .await
            .map_err(|error| net::no_response(&error))?;
        let text = response.text().into_owned();
        let opened = text
            .strip_prefix('0')
            .and_then(|json| Opened::parse(json.split(SEPARATOR).next()?).ok());
        let opened = opened
            .ok_or_else(|| format!("the handshake is answered {} {text}", response.status))?;
        let cookies = response.cookies();
        let query = format!("EIO=4&transport=polling&sid={}", opened.sid);
        let mut session = Self {
            get,
            post,
            query,
            cookies,
            prefix: connector.prefix(),
        };
        session.post(shared, connector.connect_packet()).await?;
        let joined = format!("40{}", session.prefix);
        let refused = format!("44{}", session.prefix);
        loop {
            let packets = session.poll(shared).await?;
            for packet in packets.split(SEPARATOR) {
                if packet.starts_with(&joined) {
                    return Ok(session);
                }
                if let Some(why) = packet.strip_prefix(&refused) {
                    return Err(format!("refused by the server: {why}"));
                }
            }
        }
    }

    fn request(&self, shared: &Shared, method: Method, body: String) -> Request<Bytes> {
        let target = &shared.connector.target;
        net::polling_request(target, method, &self.query, body, &self.cookies)
    }

    async fn post(&mut self, shared: &Shared, body: String) -> Result<(), String> {
        let request = self.request(shared, Method::POST, body);
        let response = self
            .post
            .send(request)
            .await
            .map_err(|error| net::no_response(&error))?;
        match response.status.as_u16() {
            200 => Ok(()),
            status => Err(format!("POST is answered {status} {}", response.text())),
        }
    }

    async fn poll(&mut self, shared: &Shared) -> Result<String, String> {
        let request = self.request(shared, Method::GET, String::new());
        let response = self
            .get
            .send(request)
            .await
            .map_err(|error| net::no_response(&error))?;
        match response.status.as_u16() {
            200 => Ok(response.text().into_owned()),
            status => Err(format!("GET is answered {status} {}", response.text())),
        }
    }

    /// Posts `body` and polls at the same time.
    async fn exchange(&mut self, shared: &Shared, body: String) -> Result<String, String> {
        let (post, get) = (
            self.request(shared, Method::POST, body),
            self.request(shared, Method::GET, String::new()),
        );
        let (posted, polled) = tokio::join!(self.post.send(post), self.get.send(get));
        let (posted, polled) = (
            posted.map_err(|error| net::no_response(&error))?,
            polled.map_err(|error| net::no_response(&error))?,
        );
        match (posted.status.as_u16(), polled.status.as_u16()) {
            (200, 200) => Ok(polled.text().into_owned()),
            (post, get) => Err(format!("POST is answered {post}, GET {get}")),
        }
    }
}

/// Runs the scenario `polling`: one emit after the other.
pub(super) async fn polling(shared: Arc<Shared>, number: usize) {
    let began = Instant::now();
    let opened = {
        let Ok(_permit) = shared.opening.acquire().await else {
            return;
        };
        timeout(shared.patience, Session::open(&shared)).await
    };
    let mut session = match opened {
        Ok(Ok(session)) => session,
        Ok(Err(why)) => return shared.stats.fail(&shared.stats.errors.refused, || why),
        Err(_) => {
            return shared.stats.fail(&shared.stats.errors.refused, || {
                "no session in time".to_owned()
            });
        }
    };
    shared.stats.connected(began);
    shared.stats.ready.fetch_add(1, Relaxed);
    let mut phase = shared.phase.clone();
    let _ = phase.wait_for(|phase| *phase != Phase::Start).await;
    let mut next = 0;
    let mut due = Instant::now();
    let mut pong = false;
    while *phase.borrow() == Phase::Run {
        if !shared.interval.is_zero() {
            tokio::select! {
                _ = phase.changed() => continue,
                () = tokio::time::sleep_until(due.into()) => {}
            }
        }
        let at = if shared.interval.is_zero() {
            Instant::now()
        } else {
            due
        };
        due = deadline(due, shared.interval);
        let sent = at
            .saturating_duration_since(shared.stats.started)
            .as_nanos() as u64;
        let result = timeout(
            shared.patience,
            one(&shared, &mut session, number, next, sent, &mut pong),
        )
        .await;
        next += 1;
        let why = match result {
            Ok(Ok(())) => continue,
            Ok(Err(why)) => why,
            Err(_) => format!("no ack within {:?}", shared.patience),
        };
        shared.stats.errors.missing.fetch_add(1, Relaxed);
        shared.stats.disconnected();
        return shared.stats.fail(&shared.stats.errors.dropped, || why);
    }
    let _ = timeout(shared.patience, session.post(&shared, "1".to_owned())).await;
}

/// Sends one emit and waits for its acknowledgement.
async fn one(
    shared: &Shared,
    session: &mut Session,
    number: usize,
    id: u64,
    sent: u64,
    pong: &mut bool,
) -> Result<(), String> {
    let mut body = Vec::new();
    if std::mem::take(pong) {
        body.extend_from_slice("3\u{1e}".as_bytes());
    }
    body.extend_from_slice(format!("42{}{id}[\"echo\",\"", session.prefix).as_bytes());
    message::write(&mut body, id, sent, 0, shared.payload);
    body.extend_from_slice(b"\"]");
    let mut waiting = HashMap::from([(id, sent)]);
    let ack = format!("43{}", session.prefix);
    let mut packets = session
        .exchange(shared, String::from_utf8_lossy(&body).into_owned())
        .await?;
    loop {
        for packet in packets.split(SEPARATOR) {
            if packet == "2" {
                *pong = true;
            } else if packet == "1" {
                return Err("the server closed the session".to_owned());
            } else if let Some(rest) = packet.strip_prefix(&ack) {
                acknowledged(shared, number, rest, &mut waiting);
            }
        }
        if waiting.is_empty() {
            return Ok(());
        }
        if std::mem::take(pong) {
            session.post(shared, "3".to_owned()).await?;
        }
        packets = session.poll(shared).await?;
    }
}
