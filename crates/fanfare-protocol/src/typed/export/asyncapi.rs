//! AsyncAPI documents of contracts.

use std::any::type_name;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value, json};

use super::schemas::{
    Argument, ContractSchemas, Event, SchemaCollector, differing, rename_references,
};
use crate::typed::{Contract, Direction, VisitEvents};

/// Key of the message with which the server rejects an event.
const REJECTION: &str = "rejection";

/// AsyncAPI 3.0 document, from the server's side: it receives the events that clients send.
///
/// Each namespace is a channel, each event a message and an operation. The payload of a message is the array of the event's
/// arguments. The acknowledgement is the operation's reply, whose payload is the array of its arguments. `x-auth` of a channel
/// is the schema of the `auth` that clients send when they connect.
///
/// Its [`Display`](fmt::Display) writes the document as JSON, which is also YAML.
///
/// ```
/// # #[cfg(feature = "macros")] {
/// use fanfare_protocol::typed::export::AsyncApi;
/// use fanfare_protocol::typed::{Contract, TypedEvent};
///
/// #[derive(serde::Deserialize, schemars::JsonSchema, TypedEvent)]
/// #[event(ack = u64)]
/// struct Say(String);
///
/// #[derive(Contract)]
/// #[contract(namespace = "/chat", from_clients(Say))]
/// struct Chat;
///
/// let document = AsyncApi::new("Chat", "1.0.0").contract::<Chat>();
/// let document = document.to_value();
/// assert_eq!(document["channels"]["chat"]["address"], "/chat");
/// assert_eq!(document["operations"]["chat.receive.say"]["action"], "receive");
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AsyncApi {
    title: String,
    version: String,
    description: Option<String>,
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
    types: BTreeMap<String, Value>,
}

impl AsyncApi {
    /// Creates a document without contracts, with the name and the version of the application.
    #[must_use]
    pub fn new(title: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            version: version.into(),
            description: None,
            channels: Map::new(),
            operations: Map::new(),
            messages: Map::new(),
            types: BTreeMap::new(),
        }
    }

    /// Sets the description of the application, in CommonMark.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Adds the namespace of a contract.
    #[must_use]
    pub fn contract<C: Contract + VisitEvents<SchemaCollector>>(mut self) -> Self {
        let mut described = SchemaCollector::of::<C>().describe(&[], |_, _| {});
        self.add_types(&mut described);
        let path = type_name::<C>();
        let title = path.rsplit("::").next().unwrap_or(path);
        let channel = unused(&self.channels, &key(C::NAMESPACE));
        let mut entry = json!({
            "address": address(C::NAMESPACE),
            "title": title,
            "description": format!("The namespace `{}`.", C::NAMESPACE),
            "messages": {},
        });
        if let Some(parameters) = parameters(C::NAMESPACE) {
            entry["parameters"] = parameters;
        }
        if let Some(auth) = described.auth {
            entry["x-auth"] = auth;
        }
        self.channels.insert(channel.clone(), entry);
        let (between, others): (Vec<Event>, _) = described
            .events
            .into_iter()
            .partition(|event| event.direction == Direction::BetweenServers);
        for event in &others {
            self.event(&channel, event);
        }
        if !between.is_empty() {
            let servers = unused(&self.channels, &format!("{channel}.servers"));
            let about = format!(
                "Between the servers of a cluster, for the namespace `{}`.",
                C::NAMESPACE
            );
            let entry = json!({ "address": null, "description": about, "messages": {} });
            self.channels.insert(servers.clone(), entry);
            for event in &between {
                self.event(&servers, event);
            }
        }
        self
    }

    /// Returns the document.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut info = json!({ "title": self.title, "version": self.version });
        if let Some(description) = &self.description {
            info["description"] = description.as_str().into();
        }
        json!({
            "asyncapi": "3.0.0",
            "info": info,
            "defaultContentType": "application/json",
            "channels": self.channels,
            "operations": self.operations,
            "components": { "messages": self.messages, "schemas": self.types },
        })
    }

    /// Adds the types of a contract. A type that differs from another contract's type of the same name is renamed.
    fn add_types(&mut self, described: &mut ContractSchemas) {
        let differing = differing(&self.types, &described.types);
        let mut renamed = BTreeMap::new();
        for name in described.types.keys() {
            let mut new = name.clone();
            let mut number = 2;
            while differing.contains(name)
                && (self.types.contains_key(&new) || described.types.contains_key(&new))
            {
                new = format!("{name}{number}");
                number += 1;
            }
            renamed.insert(name.clone(), new);
        }
        for (name, mut schema) in std::mem::take(&mut described.types) {
            rename_references(&mut schema, &renamed);
            if let Some(name) = renamed.get(&name) {
                self.types.insert(name.clone(), schema);
            }
        }
        let arguments = described.events.iter_mut().flat_map(|event| {
            event
                .arguments
                .iter_mut()
                .chain(event.ack.iter_mut().flatten())
        });
        for argument in arguments {
            rename_references(&mut argument.schema, &renamed);
        }
        if let Some(auth) = &mut described.auth {
            rename_references(auth, &renamed);
        }
    }

    fn event(&mut self, channel: &str, event: &Event) {
        let action = match event.direction {
            Direction::FromClients => "receive",
            Direction::FromServer | Direction::BetweenServers => "send",
        };
        let name = key(event.name);
        let message = self.message(channel, &format!("{action}.{name}"), &{
            let mut message = json!({
                "name": event.name,
                "title": event.name,
                "payload": payload(&event.arguments),
            });
            if let Some(description) = &event.description {
                message["description"] = description.as_str().into();
            }
            message
        });
        let mut operation = json!({
            "action": action,
            "channel": { "$ref": format!("#/channels/{channel}") },
            "messages": [message],
        });
        if let Some(ack) = &event.ack {
            let mut replies = vec![self.message(
                channel,
                &format!("{action}.{name}.ack"),
                &json!({
                    "name": event.name,
                    "title": format!("Acknowledgement of {}", event.name),
                    "payload": payload(ack),
                }),
            )];
            if event.direction == Direction::FromClients {
                replies.push(self.message(channel, REJECTION, &rejection()));
            }
            operation["reply"] = json!({
                "channel": { "$ref": format!("#/channels/{channel}") },
                "messages": replies,
            });
        }
        let id = unused(&self.operations, &format!("{channel}.{action}.{name}"));
        self.operations.insert(id, operation);
    }

    /// Adds a message to a channel, and returns a reference to it there.
    fn message(&mut self, channel: &str, name: &str, message: &Value) -> Value {
        // All channels share one message.
        let component = match name {
            REJECTION => REJECTION.to_owned(),
            name => unused(&self.messages, &format!("{channel}.{name}")),
        };
        let reference = json!({ "$ref": format!("#/components/messages/{component}") });
        self.messages.insert(component, message.clone());
        let messages = &mut self.channels[channel]["messages"];
        let mut own = name.to_owned();
        if let Some(messages) = messages.as_object_mut() {
            if name != REJECTION {
                own = unused(messages, name);
            }
            messages.insert(own.clone(), reference);
        }
        json!({ "$ref": format!("#/channels/{channel}/messages/{own}") })
    }
}

impl fmt::Display for AsyncApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string_pretty(&self.to_value()).map_err(|_| fmt::Error)?;
        writeln!(f, "{text}")
    }
}

/// Returns the schema of the array of arguments.
fn payload(arguments: &[Argument]) -> Value {
    let schemas: Vec<Value> = arguments
        .iter()
        .map(|argument| titled(&argument.schema, &argument.name))
        .collect();
    match schemas.as_slice() {
        [] => json!({ "type": "array", "maxItems": 0 }),
        schemas => json!({
            "type": "array",
            "items": schemas,
            "minItems": schemas.len(),
            "maxItems": schemas.len(),
        }),
    }
}

/// Returns the schema with the argument's name as title, unless it is a reference.
fn titled(schema: &Value, name: &str) -> Value {
    let mut schema = schema.clone();
    if let Some(object) = schema
        .as_object_mut()
        .filter(|object| !object.contains_key("$ref"))
    {
        object.entry("title").or_insert_with(|| name.into());
    }
    schema
}

/// Returns the message with which the server acknowledges an event that it rejects.
fn rejection() -> Value {
    json!({
        "name": REJECTION,
        "title": "Rejection",
        "description": "Acknowledgement of an event that the server rejects.",
        "payload": {
            "type": "array",
            "items": [{
                "type": "object",
                "properties": {
                    "error": {
                        "type": "object",
                        "properties": { "message": { "type": "string" }, "data": true },
                        "required": ["message"],
                    },
                },
                "required": ["error"],
            }],
            "minItems": 1,
            "maxItems": 1,
        },
    })
}

/// Returns a valid key of an AsyncAPI object: other characters than letters, digits, `-` and `_` become `-`.
fn key(name: &str) -> String {
    let key: String = name
        .trim_matches('/')
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    if key.is_empty() {
        "main".to_owned()
    } else {
        key
    }
}

/// Returns `wanted`, with a number if the map has this key.
fn unused(map: &Map<String, Value>, wanted: &str) -> String {
    let mut key = wanted.to_owned();
    let mut number = 2;
    while map.contains_key(&key) {
        key = format!("{wanted}{number}");
        number += 1;
    }
    key
}

/// Returns the name of a namespace with parameters in AsyncAPI's syntax: `{path}` for `{*path}`.
fn address(namespace: &str) -> String {
    namespace.replace("{*", "{")
}

/// Returns the parameters of a pattern; `None` for a plain name.
fn parameters(namespace: &str) -> Option<Value> {
    let names: BTreeSet<&str> = namespace
        .split('{')
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('}')?.0.trim_start_matches('*')))
        .collect();
    let parameters: Map<String, Value> = names
        .into_iter()
        .map(|name| (name.to_owned(), json!({})))
        .collect();
    (!parameters.is_empty()).then_some(Value::Object(parameters))
}
