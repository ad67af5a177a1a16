//! JSDoc comments of declarations: documentation, and rules that types of TypeScript cannot express.

use serde_json::{Map, Value};

/// Keywords of JSON Schema that become tags of the same names.
const RULES: [&str; 12] = [
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "format",
];

/// Maximum length of an array of fixed length that is written as a tuple.
const MAX_TUPLE_ITEMS: u64 = 8;

/// Formats that add nothing to the type.
const PLAIN_FORMATS: [&str; 2] = ["float", "double"];

/// Whether an array is written as a tuple, whose length is part of the type.
pub(super) fn is_tuple(schema: &Map<String, Value>) -> bool {
    let length = |key| schema.get(key).and_then(Value::as_u64);
    let (min, max) = (length("minItems"), length("maxItems"));
    schema.get("items").is_some_and(Value::is_array)
        || (min == max && max.is_some_and(|max| max <= MAX_TUPLE_ITEMS))
}

/// Returns the comment of a schema, with a tag for each rule; empty if there is neither text nor rule.
pub(super) fn comment(schema: &Value, indent: usize) -> String {
    let mut lines = Vec::new();
    if let Some(object) = schema.as_object() {
        describe(object, &mut lines);
        for (name, rule) in rules(object) {
            lines.push(format!("@{name} {rule}"));
        }
        if let Some(default) = object.get("default") {
            lines.push(format!("@default {default}"));
        }
        if object.get("deprecated") == Some(&Value::Bool(true)) {
            lines.push("@deprecated".to_owned());
        }
    }
    block(&lines, indent)
}

fn describe(schema: &Map<String, Value>, lines: &mut Vec<String>) {
    for key in ["title", "description"] {
        let text = schema.get(key).and_then(Value::as_str);
        lines.extend(text.into_iter().flat_map(str::lines).map(str::to_owned));
    }
}

/// Returns the rules of a schema and of its items as one phrase.
pub(super) fn rules_in_words(schema: &Value) -> String {
    let rules = schema.as_object().map(rules).unwrap_or_default();
    let words: Vec<String> = rules
        .into_iter()
        .map(|(name, rule)| format!("{name} {rule}"))
        .collect();
    words.join(", ")
}

fn rules(schema: &Map<String, Value>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if is_integer(schema) {
        found.push(("asType".to_owned(), "integer".to_owned()));
    }
    let mut add = |prefix: &str, schema: &Map<String, Value>| {
        for name in RULES {
            let Some(rule) = schema.get(name) else {
                continue;
            };
            let is_in_type = match name {
                "minItems" | "maxItems" => is_tuple(schema),
                "format" => is_integer(schema) || PLAIN_FORMATS.iter().any(|plain| rule == plain),
                _ => false,
            };
            if !is_in_type {
                found.push((format!("{prefix}{name}"), shown(rule)));
            }
        }
    };
    add("", schema);
    if let Some(items) = schema.get("items").and_then(Value::as_object) {
        add("items.", items);
    }
    found
}

fn shown(rule: &Value) -> String {
    match rule {
        Value::String(text) => text.clone(),
        // `1`, not `1.0`.
        Value::Number(number) => number
            .as_f64()
            .filter(|_| number.is_f64())
            .map_or_else(|| number.to_string(), |number| number.to_string()),
        other => other.to_string(),
    }
}

fn is_integer(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == "integer",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "integer"),
        _ => false,
    }
}

/// Returns lines as a comment. A `*/` in them is escaped.
pub(super) fn block(lines: &[String], indent: usize) -> String {
    let pad = " ".repeat(indent);
    let safe = |line: &String| line.replace("*/", "*\\/").trim_end().to_owned();
    match lines {
        [] => String::new(),
        [line] => format!("{pad}/** {} */\n", safe(line)),
        lines => {
            let mut out = format!("{pad}/**\n");
            for line in lines {
                let line = safe(line);
                let space = if line.is_empty() { "" } else { " " };
                out += &format!("{pad} *{space}{line}\n");
            }
            out + &format!("{pad} */\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_comment_cannot_be_left() {
        let text = comment(&json!({ "description": "a */ b" }), 2);
        assert_eq!(text, "  /** a *\\/ b */\n");
        let text = comment(&json!({ "description": "a\n\nb", "deprecated": true }), 0);
        assert_eq!(text, "/**\n * a\n *\n * b\n * @deprecated\n */\n");
        assert_eq!(comment(&json!(true), 0), "");
    }

    #[test]
    fn rules_are_tags() {
        let schema = json!({
            "type": "array", "minItems": 1,
            "items": { "type": "string", "pattern": "^a$", "format": "email" },
        });
        let tags = "/**\n * @minItems 1\n * @items.pattern ^a$\n * @items.format email\n */\n";
        assert_eq!(comment(&schema, 0), tags);
        let words = "minItems 1, items.pattern ^a$, items.format email";
        assert_eq!(rules_in_words(&schema), words);
        let tuple = json!({ "items": [true, true], "minItems": 2, "maxItems": 2 });
        assert_eq!(rules_in_words(&tuple), "");
        let fixed = json!({ "items": { "type": "string" }, "minItems": 2, "maxItems": 2 });
        assert_eq!(rules_in_words(&fixed), "");
        let float = json!({ "type": "number", "minimum": -1.0, "maximum": 0.5 });
        assert_eq!(rules_in_words(&float), "minimum -1, maximum 0.5");
        let integer = json!({ "type": ["integer", "null"], "format": "uint8", "minimum": 0 });
        assert_eq!(rules_in_words(&integer), "asType integer, minimum 0");
        assert_eq!(
            rules_in_words(&json!({ "type": "number", "format": "double" })),
            ""
        );
    }
}
