//! TypeScript types of JSON Schemas.

use serde_json::{Map, Value};

use super::jsdoc::{comment, is_tuple};
use super::schemas::referred;

/// Keyword of Fanfare: the TypeScript type, which replaces `string` in schemas of binary data.
pub(super) const TS_TYPE: &str = "tsType";

/// Returns the type that a schema describes. `indent` is that of the line where it begins.
pub(super) fn render(schema: &Value, indent: usize) -> String {
    ts_type(schema, indent).text
}

/// Returns the declaration of a type: an interface for an object, an alias otherwise.
pub(super) fn declaration(name: &str, schema: &Value) -> String {
    let Type { text, kind } = ts_type(schema, 0);
    if kind == Kind::Single && text.starts_with('{') {
        return format!("export interface {name} {text}\n");
    }
    let space = if text.starts_with('\n') { "" } else { " " };
    format!("export type {name} ={space}{text};\n")
}

/// Type, and whether it needs brackets inside of others.
struct Type {
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Single,
    Intersection,
    Union,
}

impl Type {
    fn single(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kind: Kind::Single,
        }
    }

    /// Returns the text as part of a type of the kind `outer`, in brackets where they are needed.
    fn inside(&self, outer: Kind) -> String {
        let bare = match self.kind {
            Kind::Single => true,
            Kind::Intersection => outer == Kind::Union,
            Kind::Union => false,
        };
        let text = self.text.trim_start();
        match bare {
            true => text.to_owned(),
            false => format!("({})", text.trim_start_matches("| ")),
        }
    }
}

fn ts_type(schema: &Value, indent: usize) -> Type {
    match schema {
        Value::Bool(true) => Type::single("unknown"),
        Value::Object(schema) => of_object(schema, indent),
        _ => Type::single("never"),
    }
}

fn of_object(schema: &Map<String, Value>, indent: usize) -> Type {
    let mut parts = Vec::new();
    if let Some(name) = schema.get("$ref").and_then(referred) {
        parts.push(Type::single(name));
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(options)) = schema.get(key) {
            parts.push(variants(options, indent));
        }
    }
    if let Some(Value::Array(all)) = schema.get("allOf") {
        parts.extend(all.iter().map(|part| ts_type(part, indent)));
    }
    if let Some(value) = schema.get("const") {
        parts.push(Type::single(value.to_string()));
    } else if let Some(Value::Array(values)) = schema.get("enum") {
        let literals = values.iter().map(|value| Type::single(value.to_string()));
        parts.push(union(literals.collect()));
    } else if parts.is_empty() || says_more(schema) {
        parts.push(by_kind(schema, indent));
    }
    intersection(parts)
}

/// Whether a schema has members of an object.
fn says_more(schema: &Map<String, Value>) -> bool {
    ["properties", "patternProperties"]
        .iter()
        .any(|key| schema.contains_key(*key))
}

fn by_kind(schema: &Map<String, Value>, indent: usize) -> Type {
    match schema.get("type") {
        Some(Value::String(kind)) => one_kind(schema, kind, indent),
        Some(Value::Array(kinds)) => {
            let kinds = kinds.iter().filter_map(Value::as_str);
            union(kinds.map(|kind| one_kind(schema, kind, indent)).collect())
        }
        _ => match schema.get(TS_TYPE).and_then(Value::as_str) {
            Some(text) => Type::single(text),
            None if says_more(schema) => object(schema, indent),
            None if schema.contains_key("items") => array(schema, indent),
            None => Type::single("unknown"),
        },
    }
}

fn one_kind(schema: &Map<String, Value>, kind: &str, indent: usize) -> Type {
    match kind {
        "string" => match schema.get(TS_TYPE).and_then(Value::as_str) {
            Some(text) => Type {
                text: text.to_owned(),
                kind: if text.contains(" | ") {
                    Kind::Union
                } else {
                    Kind::Single
                },
            },
            None => Type::single("string"),
        },
        "integer" | "number" => Type::single("number"),
        "boolean" => Type::single("boolean"),
        "null" => Type::single("null"),
        "array" => array(schema, indent),
        "object" => object(schema, indent),
        _ => Type::single("unknown"),
    }
}

fn array(schema: &Map<String, Value>, indent: usize) -> Type {
    let max = schema.get("maxItems").and_then(Value::as_u64);
    match schema.get("items") {
        Some(Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(|item| render(item, indent)).collect();
            Type::single(format!("[{}]", items.join(", ")))
        }
        Some(item) => {
            let item = ts_type(item, indent);
            match max.filter(|_| is_tuple(schema)) {
                Some(length) => {
                    let items: Vec<&str> = (0..length).map(|_| item.text.as_str()).collect();
                    Type::single(format!("[{}]", items.join(", ")))
                }
                None => Type::single(format!("{}[]", item.inside(Kind::Intersection))),
            }
        }
        None if max == Some(0) => Type::single("[]"),
        None => Type::single("unknown[]"),
    }
}

fn object(schema: &Map<String, Value>, indent: usize) -> Type {
    let members = schema.get("properties").and_then(Value::as_object);
    let mut parts = Vec::new();
    if let Some(members) = members.filter(|members| !members.is_empty()) {
        parts.push(Type::single(properties(schema, members, indent)));
    }
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    let additional = schema
        .get("additionalProperties")
        .filter(|additional| additional.is_object());
    let values: Vec<Type> = patterns
        .into_iter()
        .flat_map(Map::values)
        .chain(additional)
        .map(|value| ts_type(value, indent))
        .collect();
    if !values.is_empty() {
        let value = union(values).text;
        parts.push(Type::single(format!("Record<string, {value}>")));
    } else if parts.is_empty() {
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        let value = if closed { "never" } else { "unknown" };
        parts.push(Type::single(format!("Record<string, {value}>")));
    }
    intersection(parts)
}

fn properties(schema: &Map<String, Value>, members: &Map<String, Value>, indent: usize) -> String {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let inner = indent + 2;
    let mut out = "{\n".to_owned();
    for (name, member) in members {
        let optional = if is_required(name) { "" } else { "?" };
        let shown = render(member, inner);
        let name = property_name(name);
        out += &comment(member, inner);
        out += &format!(
            "{}{name}{optional}: {};\n",
            " ".repeat(inner),
            shown.trim_start()
        );
    }
    out + &" ".repeat(indent) + "}"
}

/// Returns the union of variants, one per line if they have documentation.
fn variants(options: &[Value], indent: usize) -> Type {
    let documented = |option: &Value| option.get("description").is_some();
    if !options.iter().any(documented) {
        return union(
            options
                .iter()
                .map(|option| ts_type(option, indent))
                .collect(),
        );
    }
    let inner = indent + 2;
    let mut text = String::new();
    for option in options {
        let shown = ts_type(option, inner).inside(Kind::Union);
        let pad = " ".repeat(inner);
        let about = serde_json::json!({ "description": option.get("description") });
        text += &format!("\n{}{pad}| {shown}", comment(&about, inner));
    }
    Type {
        text,
        kind: Kind::Union,
    }
}

fn union(types: Vec<Type>) -> Type {
    if types.iter().any(|one| one.text == "unknown") {
        return Type::single("unknown");
    }
    join(types, Kind::Union, " | ", "never")
}

fn intersection(types: Vec<Type>) -> Type {
    join(types, Kind::Intersection, " & ", "unknown")
}

fn join(types: Vec<Type>, kind: Kind, separator: &str, none: &str) -> Type {
    let mut different: Vec<Type> = Vec::new();
    for one in types {
        if different.iter().all(|other| other.text != one.text) {
            different.push(one);
        }
    }
    if different.len() == 1 {
        return different.remove(0);
    }
    if different.is_empty() {
        return Type::single(none);
    }
    // A union in a union, and an intersection in an intersection, need no brackets.
    let texts: Vec<String> = different
        .iter()
        .map(|one| match one.kind == kind {
            true => one.text.trim_start().trim_start_matches("| ").to_owned(),
            false => one.inside(kind),
        })
        .collect();
    Type {
        text: texts.join(separator),
        kind,
    }
}

/// Returns the name of a member, in quotes if it is not an identifier.
pub(super) fn property_name(name: &str) -> String {
    let mut chars = name.chars();
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '$';
    let is_identifier =
        chars.next().is_some_and(is_start) && chars.all(|c| is_start(c) || c.is_ascii_digit());
    match is_identifier {
        true => name.to_owned(),
        false => Value::from(name).to_string(),
    }
}
