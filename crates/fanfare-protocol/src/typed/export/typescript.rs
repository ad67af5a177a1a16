//! TypeScript declarations of a contract.

use std::any::type_name;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde_json::Value;

use super::binary::BINARY;
use super::jsdoc::{block, comment, rules_in_words};
use super::render::{TS_TYPE, declaration, property_name, render};
use super::schemas::{Argument, Event, SchemaCollector};
use crate::typed::{Contract, Direction, VisitEvents};

/// Event maps: the direction, the name of the type, and the beginning of its documentation.
const MAPS: [(Direction, &str, &str); 3] = [
    (
        Direction::FromServer,
        "ServerToClient",
        "The events that the server sends in",
    ),
    (
        Direction::FromClients,
        "ClientToServer",
        "The events that clients send in",
    ),
    (
        Direction::BetweenServers,
        "ServerToServer",
        "The events that the servers of a cluster send each other in",
    ),
];

/// Name of the type of an acknowledgement with which the server rejects an event.
const REJECTION: &str = "Rejection";

/// Name of the type of `auth`.
const AUTH: &str = "Auth";

/// Type of binary data that the official client can send.
const SENT_BINARY: &str = "ArrayBuffer | ArrayBufferView";

/// TypeScript declarations of a contract, for `import type`.
///
/// They are `ServerToClient` and `ClientToServer`, which are the type parameters of the official client's
/// `Socket<ServerToClient, ClientToServer>`; `ServerToServer` if the contract has events between servers; `Auth` if it has a type
/// of `auth`; and the types that these refer to. An acknowledgement by the server is the answer or a `Rejection`: the server
/// sends one if the arguments have another type or break a rule, and if the handler returns an error.
///
/// Its [`Display`](fmt::Display) writes the text.
///
/// ```
/// # #[cfg(feature = "macros")] {
/// use fanfare_protocol::typed::export::{Binary, TypeScript};
/// use fanfare_protocol::typed::{Contract, TypedEvent};
///
/// #[derive(serde::Serialize, schemars::JsonSchema, TypedEvent)]
/// struct Picture(#[schemars(with = "Binary")] bytes::Bytes);
///
/// #[derive(Contract)]
/// #[contract(from_server(Picture))]
/// struct Album;
///
/// let browser = TypeScript::of::<Album>().to_string();
/// assert!(browser.contains("picture: (picture: ArrayBuffer) => void;"));
/// let node = TypeScript::of::<Album>().binary("Buffer").to_string();
/// assert!(node.contains("picture: (picture: Buffer) => void;"));
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TypeScript {
    contract: &'static str,
    namespace: &'static str,
    schemas: fn() -> SchemaCollector,
    binary: String,
    rejections: bool,
}

impl TypeScript {
    /// Returns the declarations of the contract `C`.
    #[must_use]
    pub fn of<C: Contract + VisitEvents<SchemaCollector>>() -> Self {
        let path = type_name::<C>();
        Self {
            contract: path.rsplit("::").next().unwrap_or(path),
            namespace: C::NAMESPACE,
            schemas: SchemaCollector::of::<C>,
            binary: "ArrayBuffer".to_owned(),
            rejections: true,
        }
    }

    /// Sets the type of binary data that the client receives. Default: `ArrayBuffer`, for browsers. In Node.js the official
    /// client receives a `Buffer`.
    #[must_use]
    pub fn binary(mut self, ts_type: impl Into<String>) -> Self {
        self.binary = ts_type.into();
        self
    }

    /// Sets whether acknowledgements by the server may be a `Rejection`. Default: true. `false` is for namespaces whose
    /// `ack_errors` gives errors another shape, which the types of the acknowledgements must then include.
    #[must_use]
    pub fn rejections(mut self, rejections: bool) -> Self {
        self.rejections = rejections;
        self
    }
}

impl fmt::Display for TypeScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schemas = (self.schemas)();
        let mut reserved = MAPS.map(|(_, name, _)| name).to_vec();
        reserved.push(REJECTION);
        if !schemas.auth_may_be(AUTH) {
            reserved.push(AUTH);
        }
        let described = schemas.describe(&reserved, |schema, is_sent| {
            let binary = if is_sent { &self.binary } else { SENT_BINARY };
            mark_binary(schema, binary);
        });
        writeln!(
            f,
            "// Events of `{}`, generated from the contract `{}` in Rust. Do not edit.",
            self.namespace, self.contract
        )?;
        let has_answers = described
            .events
            .iter()
            .any(|event| event.direction == Direction::FromClients && event.ack.is_some());
        for (direction, name, about) in MAPS {
            let mut events = described
                .events
                .iter()
                .filter(|event| event.direction == direction)
                .peekable();
            // A socket needs both of its type parameters, even if one has no events.
            if events.peek().is_none() && direction == Direction::BetweenServers {
                continue;
            }
            let about = format!("{about} `{}`.", self.namespace);
            write!(f, "\n{}export type {name} = {{", block(&[about], 0))?;
            let mut body = String::new();
            events.try_for_each(|event| self.event(&mut body, event))?;
            let line = if body.is_empty() { "" } else { "\n" };
            writeln!(f, "{line}{body}}};")?;
        }
        if self.rejections && has_answers {
            writeln!(
                f,
                "\n/** Acknowledgement of an event that the server rejects, with the reason. */\n\
                 export interface {REJECTION} {{\n  error: {{ message: string; data?: unknown }};\n}}"
            )?;
        }
        let mut types = described.types;
        if let Some(auth) = described.auth {
            self.auth(f, &auth, &mut types)?;
        }
        types.iter().try_for_each(|(name, schema)| {
            let about = comment(schema, 0);
            write!(f, "\n{about}{}", declaration(name, schema))
        })
    }
}

impl TypeScript {
    /// Writes one line of an event map, with its comment.
    fn event(&self, out: &mut String, event: &Event) -> fmt::Result {
        let mut lines: Vec<String> = Vec::new();
        let description = event.description.as_deref().unwrap_or_default();
        lines.extend(description.lines().map(str::to_owned));
        let acks = event.ack.as_deref();
        for argument in event.arguments.iter().chain(acks.into_iter().flatten()) {
            let rules = rules_in_words(&argument.schema);
            if !rules.is_empty() {
                lines.push(format!("@param {} {rules}", argument.name));
            }
        }
        let mut parameters = parameters(&event.arguments);
        if let Some(ack) = acks {
            let may_reject = self.rejections && event.direction == Direction::FromClients;
            parameters.push(format!("ack: ({}) => void", answer(ack, may_reject)));
        }
        writeln!(
            out,
            "{}  {}: ({}) => void;",
            block(&lines, 2),
            property_name(event.name),
            parameters.join(", ")
        )
    }

    /// Writes the type `Auth`, or adds its documentation if a type of the contract has this name.
    fn auth(
        &self,
        f: &mut fmt::Formatter<'_>,
        auth: &Value,
        types: &mut BTreeMap<String, Value>,
    ) -> fmt::Result {
        let about = format!(
            "The `auth` of clients: `io(\"{}\", {{ auth }})`.",
            self.namespace
        );
        let shown = render(auth, 0);
        if shown != AUTH {
            let about = block(&[about], 0);
            return writeln!(f, "\n{about}export type {AUTH} = {shown};");
        }
        let described = types.get_mut(AUTH).and_then(Value::as_object_mut);
        if let Some(schema) = described {
            schema.entry("description").or_insert_with(|| about.into());
        }
        Ok(())
    }
}

fn parameters(arguments: &[Argument]) -> Vec<String> {
    arguments
        .iter()
        .map(|argument| {
            let name = &argument.name;
            format!("{}: {}", parameter_name(name), render(&argument.schema, 2))
        })
        .collect()
}

/// Returns the parameters of an acknowledgement, which may be a rejection.
fn answer(ack: &[Argument], may_reject: bool) -> String {
    if !may_reject {
        return parameters(ack).join(", ");
    }
    let [first, others @ ..] = ack else {
        return format!("rejection?: {REJECTION}");
    };
    // `emitWithAck` of the official client resolves to the first parameter only, so the rejection is part of its type.
    let union = serde_json::json!({ "anyOf": [first.schema, { TS_TYPE: REJECTION }] });
    let mut parameters = vec![format!("{}: {}", first.name, render(&union, 2))];
    parameters.extend(others.iter().map(|other| {
        let shown = render(&other.schema, 2);
        format!("{}?: {shown}", other.name)
    }));
    parameters.join(", ")
}

/// Returns a valid name of a parameter.
fn parameter_name(name: &str) -> String {
    /// Reserved words of JavaScript in modules, and the name of the parameter for the acknowledgement.
    const RESERVED: &str = "await break case catch class const continue debugger default delete do else enum export \
        extends false finally for function if import in instanceof new null return static super switch this throw true \
        try typeof var void while with yield let implements interface package private protected public arguments eval ack";
    let is_reserved = RESERVED.split(' ').any(|word| word == name);
    if is_reserved || name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return format!("_{name}");
    }
    name.to_owned()
}

/// Replaces the schemas of binary data by their TypeScript type.
fn mark_binary(schema: &mut Value, ts_type: &str) {
    match schema {
        Value::Object(object) => {
            if object.get("format").is_some_and(|format| format == BINARY) {
                object.remove("format");
                object.insert(TS_TYPE.to_owned(), ts_type.into());
            }
            object
                .values_mut()
                .for_each(|value| mark_binary(value, ts_type));
        }
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| mark_binary(value, ts_type)),
        _ => {}
    }
}
