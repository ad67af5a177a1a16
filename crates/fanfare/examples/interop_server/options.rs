//! Options of the fixture server.

use std::time::Duration;

use fanfare::engine::{
    EngineConnectionEvent, HandshakeRequest, PerMessageDeflate, Transport, Transports,
};
use fanfare::http::{Cookie, Cors, CorsOrigin, HttpCompression, SameSite};
use fanfare::recovery::ConnectionStateRecovery;
use fanfare::{BuildError, Limits, SocketIo, SocketIoBuilder};
use http::HeaderValue;
use serde::Deserialize;
use serde_json::json;

use crate::say;

/// Node's options that this server supports. Any other name is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {
    path: Option<String>,
    ping_interval: Option<u64>,
    ping_timeout: Option<u64>,
    upgrade_timeout: Option<u64>,
    connect_timeout: Option<u64>,
    max_http_buffer_size: Option<usize>,
    transports: Option<Vec<String>>,
    allow_upgrades: Option<bool>,
    #[serde(rename = "allowEIO3")]
    allow_eio3: bool,
    serve_client: bool,
    cors: Option<CorsOptions>,
    cookie: Option<OnOr<CookieOptions>>,
    http_compression: Option<OnOr<Compression>>,
    per_message_deflate: Option<OnOr<Deflate>>,
    initial_packet: Option<String>,
    add_trailing_slash: Option<bool>,
    hooks: bool,
    usual_limits: bool,
    random_ids: bool,
    connection_state_recovery: Option<Recovery>,
    parser: Option<ParserName>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ParserName {
    Msgpack,
}

/// Node's options of connection state recovery; absent ones have Node's default.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Recovery {
    max_disconnection_duration: Option<u64>,
    skip_middlewares: Option<bool>,
}

impl Options {
    pub(crate) fn apply(self, mut builder: SocketIoBuilder) -> Result<SocketIo, BuildError> {
        let mut limits = Limits::default();
        if let Some(bytes) = self.max_http_buffer_size {
            limits.max_payload = bytes;
        }
        if let Some(ms) = self.connect_timeout {
            limits.connect_timeout = Duration::from_millis(ms);
        }
        if let Some(ms) = self.upgrade_timeout {
            limits.upgrade_timeout = Duration::from_millis(ms);
        }
        // The tests send bursts that a page would not; slow consumers have a separate test.
        if !self.usual_limits {
            limits.outbox_bytes = 64 << 20;
            limits.outbox_packets = 1 << 20;
        }
        builder = builder.limits(limits).allow_eio3(self.allow_eio3);
        // As in Node, with which this server is compared, unless the option says otherwise.
        builder = builder.eio3_transport_ids(!self.random_ids);
        if let Some(options) = self.connection_state_recovery {
            let mut recovery = ConnectionStateRecovery::default();
            if let Some(ms) = options.max_disconnection_duration {
                recovery.max_disconnection_duration = Duration::from_millis(ms);
            }
            recovery.skip_middlewares = options.skip_middlewares.unwrap_or(true);
            builder = builder.connection_state_recovery(recovery);
        }
        if let Some(ParserName::Msgpack) = self.parser {
            builder = builder.parser(fanfare::parser::MsgpackParser);
        }
        if let Some(path) = self.path {
            builder = builder.path(path);
        }
        if let Some(ms) = self.ping_interval {
            builder = builder.ping_interval(Duration::from_millis(ms));
        }
        if let Some(ms) = self.ping_timeout {
            builder = builder.ping_timeout(Duration::from_millis(ms));
        }
        if let Some(names) = self.transports {
            let transports = names.iter().filter_map(|name| Transport::from_name(name));
            builder = builder.transports(transports.collect::<Transports>());
        }
        if let Some(allow) = self.allow_upgrades {
            builder = builder.allow_upgrades(allow);
        }
        if let Some(add) = self.add_trailing_slash {
            builder = builder.add_trailing_slash(add);
        }
        if let Some(text) = self.initial_packet {
            builder = builder.initial_packet(&text);
        }
        if let Some(cors) = self.cors.and_then(CorsOptions::cors) {
            builder = builder.cors(cors);
        }
        if let Some(cookie) = self.cookie.and_then(OnOr::options) {
            builder = builder.cookie(cookie.cookie());
        }
        if let Some(compression) = self.http_compression {
            builder = builder.http_compression(compression.options().map(|options| {
                let mut compression = HttpCompression::default();
                if let Some(bytes) = options.threshold {
                    compression.threshold = bytes;
                }
                compression
            }));
        }
        if let Some(deflate) = self.per_message_deflate.and_then(OnOr::options) {
            builder = builder.per_message_deflate(deflate.config());
        }
        if self.serve_client {
            let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests");
            builder = builder.serve_client(format!("{tests}/interop/node_modules/socket.io"));
        }
        if self.hooks {
            builder = hooks(builder);
        }
        builder = builder.on_connection_error(|error| {
            let name = Some(error.context).filter(|name| !name.is_empty());
            say(
                "connection_error",
                json!({ "code": error.code.code(), "message": error.code.message(), "name": name }),
            );
        });
        builder.build()
    }
}

/// An option that is on, off, or on with options.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OnOr<T> {
    Switch(bool),
    Options(T),
}

impl<T: Default> OnOr<T> {
    fn options(self) -> Option<T> {
        match self {
            OnOr::Switch(false) => None,
            OnOr::Switch(true) => Some(T::default()),
            OnOr::Options(options) => Some(options),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Origin {
    Switch(bool),
    One(String),
    Several(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CorsOptions {
    origin: Origin,
    methods: Option<Vec<String>>,
    allowed_headers: Option<Vec<String>>,
    exposed_headers: Option<Vec<String>>,
    #[serde(default)]
    credentials: bool,
    max_age: Option<u64>,
    #[serde(default)]
    preflight_continue: bool,
    options_success_status: Option<u16>,
}

impl CorsOptions {
    fn cors(self) -> Option<Cors> {
        let mut cors = Cors::new()
            .origin(match self.origin {
                Origin::Switch(false) => return None,
                Origin::Switch(true) => CorsOrigin::Mirror,
                Origin::One(any) if any == "*" => CorsOrigin::Any,
                Origin::One(origin) => CorsOrigin::Exact(origin),
                Origin::Several(origins) => CorsOrigin::List(origins),
            })
            .credentials(self.credentials)
            .preflight_continue(self.preflight_continue);
        cors.allowed_headers = self.allowed_headers.map(|names| names.join(","));
        cors.exposed_headers = self.exposed_headers.map(|names| names.join(","));
        cors.max_age = self.max_age.map(Duration::from_secs);
        if let Some(methods) = self.methods {
            cors.methods = methods.join(",");
        }
        if let Some(status) = self.options_success_status {
            cors.options_success_status = status;
        }
        Some(cors)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct CookieOptions {
    name: Option<String>,
    path: Option<String>,
    domain: Option<String>,
    max_age: Option<u64>,
    http_only: Option<bool>,
    secure: bool,
    same_site: Option<String>,
}

impl CookieOptions {
    fn cookie(self) -> Cookie {
        let mut cookie = Cookie::default().secure(self.secure);
        cookie.domain = self.domain;
        cookie.max_age = self.max_age.map(Duration::from_secs);
        if let Some(name) = self.name {
            cookie.name = name;
        }
        if let Some(path) = self.path {
            cookie.path = Some(path);
        }
        if let Some(http_only) = self.http_only {
            cookie.http_only = http_only;
        }
        match self.same_site.as_deref() {
            Some("strict") => cookie.same_site = Some(SameSite::Strict),
            Some("none") => cookie.same_site = Some(SameSite::None),
            _ => {}
        }
        cookie
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Compression {
    threshold: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Deflate {
    threshold: Option<usize>,
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<u8>,
}

impl Deflate {
    fn config(self) -> PerMessageDeflate {
        let defaults = PerMessageDeflate::new();
        // Node's defaults, not ours.
        defaults
            .server_no_context_takeover(self.server_no_context_takeover)
            .client_no_context_takeover(self.client_no_context_takeover)
            .threshold(self.threshold.unwrap_or(defaults.threshold))
            .server_max_window_bits(self.server_max_window_bits.unwrap_or(15))
            .client_max_window_bits(self.client_max_window_bits.unwrap_or(15))
    }
}

/// The contract's `hooks`.
fn hooks(builder: SocketIoBuilder) -> SocketIoBuilder {
    builder
        .allow_request(async |request: HandshakeRequest| {
            tokio::task::yield_now().await;
            request.query_param("deny").map_or(Ok(()), Err)
        })
        .generate_id(
            async |request: HandshakeRequest| match request.query_param("id").as_deref() {
                Some("fail") => Err("no more ids"),
                Some(id) => Ok(id.to_owned()),
                None => Ok(random_id()),
            },
        )
        .initial_headers(|headers, _| {
            headers.insert("x-initial", HeaderValue::from_static("yes"));
        })
        .headers(|headers, _| {
            headers.insert("x-every", HeaderValue::from_static("yes"));
        })
        .on_new_namespace(|namespace| say("new_namespace", json!({ "nsp": namespace.name() })))
        .on_conn_event(|_, event| match event {
            EngineConnectionEvent::Upgrade => say("conn", json!({ "event": "upgrade" })),
            EngineConnectionEvent::Heartbeat => say("conn", json!({ "event": "heartbeat" })),
            EngineConnectionEvent::Close { reason, .. } => say(
                "conn",
                json!({ "event": "close", "reason": reason.as_str() }),
            ),
            _ => {}
        })
}

/// Returns an id as long as the usual ones; the tests only need a different one each time.
fn random_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    let random = || RandomState::new().hash_one(0);
    format!("{:016x}{:04x}", random(), random() as u16)
}
