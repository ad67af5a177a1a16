//! JSON Schemas of a contract: the form of its events on the wire.

use std::collections::{BTreeMap, BTreeSet};

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::typed::{
    AuthVisitor, Contract, Direction, EventVisitor, NoAck, TypedEvent, VisitEvents,
};

/// Prefix of references to types, in all documents.
pub(super) const DEFINITIONS: &str = "#/components/schemas/";

/// Visitor that collects the schemas of the events of a contract.
///
/// A type has two forms, for serde's `Serialize` and `Deserialize`: a client may omit a field with a default, but the
/// server always sends it. So there are two generators, for values that the server sends and that it receives.
#[derive(Debug)]
pub struct SchemaCollector {
    sent: SchemaGenerator,
    received: SchemaGenerator,
    events: Vec<Event>,
    auth: Option<Value>,
}

/// Event with its schemas.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) direction: Direction,
    pub(super) name: &'static str,
    /// Documentation of its type.
    pub(super) description: Option<String>,
    pub(super) arguments: Vec<Argument>,
    /// `None` if it has no acknowledgement.
    pub(super) ack: Option<Vec<Argument>>,
}

/// Argument of an event or an acknowledgement.
#[derive(Debug)]
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) schema: Value,
}

/// Schemas of a contract, each type under one name.
#[derive(Debug)]
pub(super) struct ContractSchemas {
    pub(super) events: Vec<Event>,
    pub(super) auth: Option<Value>,
    /// Types by name.
    pub(super) types: BTreeMap<String, Value>,
}

impl<E> EventVisitor<E> for SchemaCollector
where
    E: TypedEvent<Ack: JsonSchema> + JsonSchema,
{
    fn event(&mut self, direction: Direction) {
        // Between servers, the form that one sends is the form that the other receives.
        let there = match direction {
            Direction::FromClients => &mut self.received,
            Direction::FromServer | Direction::BetweenServers => &mut self.sent,
        };
        let (arguments, description) = arguments::<E>(there);
        let back = match direction {
            Direction::FromServer => &mut self.received,
            Direction::FromClients | Direction::BetweenServers => &mut self.sent,
        };
        let ack = ack::<E::Ack>(back);
        self.events.push(Event {
            direction,
            name: E::NAME,
            description,
            arguments,
            ack,
        });
    }
}

impl<A: JsonSchema> AuthVisitor<A> for SchemaCollector {
    fn auth(&mut self) {
        if A::schema_id() != <()>::schema_id() {
            self.auth = Some(subschema::<A>(&mut self.received));
        }
    }
}

impl SchemaCollector {
    /// Collects the schemas of a contract.
    pub(super) fn of<C: Contract + VisitEvents<Self>>() -> Self {
        let settings = || {
            SchemaSettings::draft07()
                .with(|settings| settings.definitions_path = "/components/schemas".into())
        };
        let mut schemas = Self {
            sent: settings().for_serialize().into_generator(),
            received: settings().for_deserialize().into_generator(),
            events: Vec::new(),
            auth: None,
        };
        C::visit(&mut schemas);
        schemas
    }

    /// Whether a type of this name is that of `auth`, or there is no `auth` with which it could be confused.
    pub(super) fn auth_may_be(&self, name: &str) -> bool {
        let Some(auth) = &self.auth else {
            return true;
        };
        auth.get("$ref").and_then(referred).as_deref() == Some(name)
    }

    /// Gives each type a name that is not in `reserved`. Before the two forms of a type are compared, `mark` may change the
    /// schemas of values that the server sends (`true`) and receives (`false`).
    pub(super) fn describe(
        mut self,
        reserved: &[&str],
        mark: impl Fn(&mut Value, bool),
    ) -> ContractSchemas {
        let mut sent = definitions(&mut self.sent);
        let mut received = definitions(&mut self.received);
        sent.values_mut().for_each(|schema| mark(schema, true));
        received.values_mut().for_each(|schema| mark(schema, false));
        let names = Names::new(&sent, &received, reserved);
        let mut types = BTreeMap::new();
        for (definitions, names) in [(sent, &names.sent), (received, &names.received)] {
            for (name, mut schema) in definitions {
                rename_references(&mut schema, names);
                if let Some(name) = names.get(&name) {
                    types.insert(name.clone(), schema);
                }
            }
        }
        let finish = |schema: &mut Value, is_sent: bool| {
            mark(schema, is_sent);
            rename_references(
                schema,
                if is_sent {
                    &names.sent
                } else {
                    &names.received
                },
            );
        };
        for event in &mut self.events {
            let is_sent = event.direction != Direction::FromClients;
            for argument in &mut event.arguments {
                finish(&mut argument.schema, is_sent);
            }
            let is_sent = event.direction != Direction::FromServer;
            for argument in event.ack.iter_mut().flatten() {
                finish(&mut argument.schema, is_sent);
            }
        }
        if let Some(auth) = &mut self.auth {
            finish(auth, false);
        }
        ContractSchemas {
            events: self.events,
            auth: self.auth,
            types,
        }
    }
}

/// Returns the types of a generator by name.
fn definitions(generator: &mut SchemaGenerator) -> BTreeMap<String, Value> {
    generator.take_definitions(true).into_iter().collect()
}

/// Returns the schema of a type, or a reference to it.
fn subschema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    let schema = generator.subschema_for::<T>();
    finished(generator, schema)
}

/// Applies the generator's transforms to a schema that is not one of its definitions.
fn finished(generator: &mut SchemaGenerator, mut schema: Schema) -> Value {
    for transform in generator.transforms_mut() {
        transform.transform(&mut schema);
    }
    schema.to_value()
}

/// Returns the arguments of an event, and the documentation of its type.
fn arguments<E: TypedEvent + JsonSchema>(
    generator: &mut SchemaGenerator,
) -> (Vec<Argument>, Option<String>) {
    let names = E::ARGUMENTS.names;
    let whole = E::json_schema(generator);
    let mut whole = finished(generator, whole);
    let description = take_description(&mut whole);
    let own_name = || {
        let name = names.first().copied();
        name.map_or_else(|| camel_case(E::NAME), camel_case)
    };
    let arguments = match (E::ARGUMENTS.spread, names) {
        (false, _) => vec![Argument {
            name: own_name(),
            schema: subschema::<E>(generator),
        }],
        (true, []) => vec![],
        (true, [_]) => vec![Argument {
            name: own_name(),
            schema: whole,
        }],
        (true, names) => items(whole)
            .into_iter()
            .enumerate()
            .map(|(at, schema)| Argument {
                name: names
                    .get(at)
                    .map_or_else(|| format!("arg{at}"), |name| camel_case(name)),
                schema,
            })
            .collect(),
    };
    (arguments, description)
}

/// Returns the arguments of an acknowledgement; `None` if the event has none.
fn ack<A: JsonSchema>(generator: &mut SchemaGenerator) -> Option<Vec<Argument>> {
    if A::schema_id() == NoAck::schema_id() {
        return None;
    }
    let schema = subschema::<A>(generator);
    let is_reference = schema.get("$ref").is_some();
    if !is_reference && schema.get("type").is_some_and(|kind| kind == "null") {
        return Some(Vec::new());
    }
    let size = |key| schema.get(key).and_then(Value::as_u64);
    let is_tuple = size("minItems").is_some() && size("minItems") == size("maxItems");
    if is_reference || !is_tuple {
        let name = "answer".to_owned();
        return Some(vec![Argument { name, schema }]);
    }
    let schemas = items(schema).into_iter().enumerate();
    Some(
        schemas
            .map(|(at, schema)| Argument {
                name: format!("arg{at}"),
                schema,
            })
            .collect(),
    )
}

/// Returns the schemas of the elements of a tuple or an array of fixed length.
fn items(schema: Value) -> Vec<Value> {
    match schema.get("items") {
        Some(Value::Array(items)) => items.clone(),
        Some(item) => {
            let count = schema.get("maxItems").and_then(Value::as_u64).unwrap_or(1);
            (0..count).map(|_| item.clone()).collect()
        }
        None => vec![schema],
    }
}

/// Removes the documentation from the schema of a type and returns it.
fn take_description(schema: &mut Value) -> Option<String> {
    let object = schema.as_object_mut()?;
    let title = object.remove("title");
    let description = object.remove("description");
    let texts: Vec<&str> = [&title, &description]
        .into_iter()
        .filter_map(|text| text.as_ref()?.as_str())
        .collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

/// Returns a name in camel case: `room_name` and `room name` are `roomName`.
fn camel_case(name: &str) -> String {
    let mut out = String::new();
    let mut upper = false;
    for c in name.chars() {
        if !c.is_alphanumeric() {
            upper = !out.is_empty();
        } else if upper {
            out.extend(c.to_uppercase());
            upper = false;
        } else {
            out.push(c);
        }
    }
    out
}

/// Names of types in the export, by the names that their generator gave them.
struct Names {
    sent: BTreeMap<String, String>,
    received: BTreeMap<String, String>,
}

impl Names {
    fn new(
        sent: &BTreeMap<String, Value>,
        received: &BTreeMap<String, Value>,
        reserved: &[&str],
    ) -> Self {
        let differing = differing(sent, received);
        let mut used: BTreeSet<String> = reserved.iter().map(|&name| name.to_owned()).collect();
        let mut name = |wanted: String| {
            let mut name = wanted.clone();
            let mut number = 2;
            while !used.insert(name.clone()) {
                name = format!("{wanted}{number}");
                number += 1;
            }
            name
        };
        let sent_names: BTreeMap<_, _> = sent
            .keys()
            .map(|old| (old.clone(), name(identifier(old))))
            .collect();
        let received = received
            .keys()
            .map(|old| {
                let new = match sent_names.get(old) {
                    Some(_) if differing.contains(old) => name(format!("{}Input", identifier(old))),
                    Some(same) => same.clone(),
                    None => name(identifier(old)),
                };
                (old.clone(), new)
            })
            .collect();
        Self {
            sent: sent_names,
            received,
        }
    }
}

/// Returns the types that have the same name in both and differ, directly or in a type to which they refer.
pub(super) fn differing(
    some: &BTreeMap<String, Value>,
    others: &BTreeMap<String, Value>,
) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = BTreeSet::new();
    loop {
        let before = found.len();
        for (name, schema) in some {
            let Some(other) = others.get(name) else {
                continue;
            };
            let mut differs = schema != other;
            references(schema, &mut |name| differs |= found.contains(name));
            if differs {
                found.insert(name.clone());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// Calls a function with the name of each type that a schema refers to.
fn references(schema: &Value, visit: &mut impl FnMut(&str)) {
    match schema {
        Value::Object(object) => {
            if let Some(name) = object.get("$ref").and_then(referred) {
                visit(&name);
            }
            object.values().for_each(|value| references(value, visit));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, visit)),
        _ => {}
    }
}

/// Replaces the names of types in references by their final names.
pub(super) fn rename_references(schema: &mut Value, names: &BTreeMap<String, String>) {
    match schema {
        Value::Object(object) => {
            let name = object.get("$ref").and_then(referred);
            if let Some(name) = name.and_then(|name| names.get(&name)) {
                object.insert("$ref".to_owned(), format!("{DEFINITIONS}{name}").into());
            }
            object
                .values_mut()
                .for_each(|value| rename_references(value, names));
        }
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| rename_references(value, names)),
        _ => {}
    }
}

/// Returns the name in a reference to a type, which is a JSON pointer in a URI fragment (RFC 6901, section 6).
pub(super) fn referred(reference: &Value) -> Option<String> {
    let encoded = reference.as_str()?.strip_prefix(DEFINITIONS)?;
    let mut bytes = Vec::new();
    let mut rest = encoded.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, after) = match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let byte = digit(high)? * 16 + digit(low)?;
                (u8::try_from(byte).ok()?, after)
            }
            _ => (*first, tail),
        };
        bytes.push(byte);
        rest = after;
    }
    let name = String::from_utf8(bytes).ok()?;
    Some(name.replace("~1", "/").replace("~0", "~"))
}

/// Returns a name that is valid for a type in TypeScript and AsyncAPI.
fn identifier(name: &str) -> String {
    let mut out: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}
