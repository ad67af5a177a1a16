//! Validation when the server is built: values that can never work are rejected, with the reason.

use std::time::Duration;

use fanfare_engine::EngineConfig;
use fanfare_engine::http::{Cookie, Cors, CorsOrigin, SameSite};
use fanfare_protocol::Limits;
use fanfare_protocol::socket::is_reserved_event;

use crate::error::BuildError;
use crate::namespace::{Matcher, Namespace};
use crate::recovery::ConnectionStateRecovery;
use crate::states::StateMap;

fn rejected(option: &'static str, value: impl Into<String>) -> BuildError {
    BuildError::InvalidOption {
        option,
        value: value.into(),
    }
}

/// Rejects invalid options of the transport layer.
pub(super) fn check_config(config: &EngineConfig, generates_ids: bool) -> Result<(), BuildError> {
    check_path(&config.path)?;
    // Checked before `cors`, which contains them as well.
    let mut origins = config.origins.iter().flatten();
    if let Some(origin) = origins.find(|origin| !super::http::is_origin(origin)) {
        let value = format!("{origin:?} (an origin is written as https://example.org:8443)");
        return Err(rejected("origins", value));
    }
    if config.transports.is_empty() {
        return Err(rejected("transports", "none is let in"));
    }
    if config.relay.is_some() && generates_ids {
        let value = "generate_id makes ids from which the relay cannot tell the server";
        return Err(rejected("relay", value));
    }
    for (option, duration) in [
        ("ping_interval", config.ping_interval),
        ("ping_timeout", config.ping_timeout),
        ("close_timeout", config.close_timeout),
        ("connect_timeout", config.limits.connect_timeout),
        ("upgrade_timeout", config.limits.upgrade_timeout),
    ] {
        check_duration(option, duration)?;
    }
    check_limits(&config.limits)?;
    if let Some(cookie) = &config.cookie {
        check_cookie(cookie)?;
    }
    if let Some(cors) = &config.cors {
        check_cors(cors)?;
    }
    if let Some(http) = &config.http_compression
        && http.level > 9
    {
        let value = format!("the level {} (0 to 9 are possible)", http.level);
        return Err(rejected("http_compression", value));
    }
    if let Some(deflate) = &config.per_message_deflate {
        let bits = [
            deflate.server_max_window_bits,
            deflate.client_max_window_bits,
        ];
        let value = match bits.into_iter().find(|bits| !(9..=15).contains(bits)) {
            Some(bits) => format!("a window of {bits} bits (9 to 15 are possible)"),
            None if deflate.level > 9 => {
                format!("the level {} (0 to 9 are possible)", deflate.level)
            }
            None => return Ok(()),
        };
        return Err(rejected("per_message_deflate", value));
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), BuildError> {
    if !path.starts_with('/') {
        let value = format!("{path:?} does not begin with a slash, so that no request has it");
        return Err(rejected("path", value));
    }
    let legal = |b: u8| b.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&b);
    if !path.bytes().all(legal) {
        let value =
            format!("{path:?} has characters that stand escaped in requests, or not at all");
        return Err(rejected("path", value));
    }
    Ok(())
}

/// Checks a duration that is sent to clients in milliseconds.
pub(super) fn check_duration(option: &'static str, duration: Duration) -> Result<(), BuildError> {
    if duration < Duration::from_millis(1) {
        let value = format!("{duration:?} is less than a millisecond");
        return Err(rejected(option, value));
    }
    Ok(())
}

fn check_limits(limits: &Limits) -> Result<(), BuildError> {
    for (option, limit) in [
        ("max_payload", limits.max_payload),
        ("max_json_depth", limits.max_json_depth),
        (
            "max_namespaces_per_client",
            limits.max_namespaces_per_client,
        ),
        ("max_namespace_len", limits.max_namespace_len),
        ("max_event_name_len", limits.max_event_name_len),
        ("max_connections", limits.max_connections),
        ("max_header_bytes", limits.max_header_bytes),
        ("outbox_bytes", limits.outbox_bytes),
        ("outbox_packets", limits.outbox_packets),
    ] {
        if limit == 0 {
            return Err(rejected(option, "0 lets nothing through"));
        }
    }
    Ok(())
}

fn check_cookie(cookie: &Cookie) -> Result<(), BuildError> {
    if cookie.header("sid").is_none() {
        return Err(rejected("cookie", format!("{cookie:?}")));
    }
    let needs_secure = match cookie.same_site {
        Some(SameSite::None) => "SameSite=None",
        _ if cookie.partitioned => "Partitioned",
        _ => return Ok(()),
    };
    match cookie.secure {
        true => Ok(()),
        false => {
            let value = format!("browsers take {needs_secure} only with `secure`");
            Err(rejected("cookie", value))
        }
    }
}

fn check_cors(cors: &Cors) -> Result<(), BuildError> {
    if let Some(unsound) = cors.unsound() {
        return Err(rejected("cors", unsound));
    }
    if matches!(cors.origin, CorsOrigin::Any) && cors.credentials {
        let value = "browsers send no credentials to a server that lets any origin in by `*`: \
                     name the origins";
        return Err(rejected("cors", value));
    }
    let origins = match &cors.origin {
        CorsOrigin::Exact(origin) => std::slice::from_ref(origin),
        CorsOrigin::List(origins) => origins.as_slice(),
        _ => &[],
    };
    for origin in origins {
        let host = origin.split_once("://").map(|(_, host)| host);
        let whole = host.is_some_and(|host| !host.is_empty() && !host.contains('/'));
        if !whole && origin != "null" {
            let value = format!("{origin:?} is no origin: those are like \"https://example.org\"");
            return Err(rejected("cors", value));
        }
    }
    if !(200..=599).contains(&cors.options_success_status) {
        let value = format!("{} is no final status", cors.options_success_status);
        return Err(rejected("cors", value));
    }
    Ok(())
}

pub(super) fn check_recovery(recovery: &ConnectionStateRecovery) -> Result<(), BuildError> {
    check_duration(
        "max_disconnection_duration",
        recovery.max_disconnection_duration,
    )
}

/// Rejects names that no client can request, events that never arrive, and handlers whose requirements are not met.
pub(super) fn check_namespace(
    namespace: &Namespace,
    states: &StateMap,
    limits: &Limits,
) -> Result<(), BuildError> {
    let Namespace {
        name,
        behaviour,
        matcher,
        ..
    } = namespace;
    if !matches!(matcher, Matcher::Predicate(_)) {
        check_name(name, limits)?;
    }
    let mut names = behaviour.event_names();
    if let Some(event) = names.find(|event| is_reserved_event(event)) {
        return Err(BuildError::ReservedEvent(event.to_owned()));
    }
    let limit = limits.max_event_name_len;
    if let Some(event) = behaviour.event_names().find(|event| event.len() > limit) {
        let start: String = event.chars().take(32).collect();
        let value = format!(
            "the event \"{start}…\" of {name:?} has {} bytes, and none with more than {limit} arrives",
            event.len()
        );
        return Err(rejected("max_event_name_len", value));
    }
    let mut server_events = behaviour.server_event_names();
    if let Some(event) =
        server_events.find(|event| matches!(*event, "connect" | "connection" | "new_namespace"))
    {
        return Err(BuildError::ReservedEvent(event.to_owned()));
    }
    let needs = behaviour.requirements();
    if let Some(state) = needs.missing(|id| states.has(id)) {
        return Err(BuildError::MissingState {
            namespace: name.clone(),
            state,
        });
    }
    let own = behaviour.contract;
    match own.and_then(|own| Some((needs.other_contract(own)?, own))) {
        Some((taken, own)) => Err(BuildError::OtherContract {
            namespace: name.clone(),
            taken: taken.name,
            own: own.name,
        }),
        None => Ok(()),
    }
}

fn check_name(name: &str, limits: &Limits) -> Result<(), BuildError> {
    let limit = limits.max_namespace_len;
    let reason = if name.len() > limit {
        let len = name.len();
        format!("it has {len} bytes, and none with more than {limit} is let in")
    } else if name.contains(',') {
        "a comma ends the name of a namespace in a packet".to_owned()
    } else if name.contains('?') {
        "a question mark ends the name of a namespace".to_owned()
    } else {
        return Ok(());
    };
    let shown: String = name.chars().take(64).collect();
    let name = match shown.len() < name.len() {
        true => shown + "…",
        false => shown,
    };
    Err(BuildError::InvalidNamespace { name, reason })
}
