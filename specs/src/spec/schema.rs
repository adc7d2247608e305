//! The JSON Schema of a spec, for editors, generated from the table of fields.

use serde_json::{Map, Value, json};

use super::fields::{Class, Field, OBJECTS, Object, SPEC, Shape};

/// The JSON Schema (2020-12) of a spec in `snake_case`: the fields that have an effect, and the ignored ones, marked as deprecated.
pub fn schema() -> Value {
    let definitions: Map<_, _> = OBJECTS
        .iter()
        .filter(|object| !object.is_spec())
        .map(|object| (object.name.to_owned(), definition(object)))
        .collect();
    let mut schema = definition(&SPEC);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("pv pipeline");
    schema["required"] = json!(["pipeline", "transform", "input"]);
    schema["$defs"] = Value::Object(definitions);
    schema["$defs"]["pipeline"]["required"] = json!(["name"]);
    schema["$defs"]["pfs"]["required"] = json!(["repo", "glob"]);
    schema["$defs"]["cron"]["required"] = json!(["name", "spec"]);
    schema["$defs"]["memory"]["required"] = json!(["start", "factor", "max"]);
    schema["$defs"]["secrets"]["required"] = json!(["name"]);
    schema["$defs"]["input"]["minProperties"] = json!(1);
    schema["$defs"]["input"]["maxProperties"] = json!(1);
    schema
}

fn definition(object: &Object) -> Value {
    let properties: Map<_, _> =
        object.fields.iter().filter_map(|field| Some((field.name.to_owned(), property(field)?))).collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

/// `None` for a field that no spec should have.
fn property(field: &Field) -> Option<Value> {
    match field.class {
        Class::Acts => {
            let mut property = shape(field.shape);
            property["description"] = json!(field.about);
            Some(property)
        }
        Class::Ignored | Class::IgnoredIf(..) => Some(json!({"deprecated": true, "description": "ignored"})),
        Class::ForEditors => Some(json!({"type": "string", "description": "the schema, for editors"})),
        Class::Status | Class::Refused(_) => None,
    }
}

fn shape(shape_of: Shape) -> Value {
    match shape_of {
        Shape::Anything => json!({}),
        Shape::Text => json!({"type": ["string", "number", "boolean"]}),
        Shape::Boolean => json!({"enum": [true, false, "true", "false", "True", "False", "TRUE", "FALSE"]}),
        Shape::Integer(least, most) => json!({"anyOf": [
            {"type": "integer", "minimum": least, "maximum": most},
            {"type": "string", "pattern": "^[0-9]+$"},
        ]}),
        Shape::OneOf(words) => json!({"enum": words}),
        Shape::TextMap => json!({"type": "object", "additionalProperties": shape(Shape::Text)}),
        Shape::List(items) => json!({"type": "array", "items": shape(*items)}),
        Shape::Object(object) => json!({"$ref": format!("#/$defs/{}", object.name)}),
        Shape::TextOr(object) => json!({"anyOf": [shape(Shape::Text), shape(Shape::Object(object))]}),
    }
}
