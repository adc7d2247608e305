//! The OpenAPI 3.1 document, made from the table of operations.

use std::collections::BTreeMap;

use axum::http::Method;
use repos::access::Role;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::operation::{Answers, Description, Operation, Place};
use crate::problem::{MEDIA_TYPE, Problem};

/// Generators of schemas for what is asked, and for what is answered.
fn generators() -> (SchemaGenerator, SchemaGenerator) {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    (settings.clone().for_deserialize().into_generator(), settings.for_serialize().into_generator())
}

/// The names of the parameters that an operation takes in the query.
pub(crate) fn query_parameters(operation: &Operation) -> Vec<String> {
    let (mut asked, mut schemas) = generators();
    let description = describe(operation, &mut schemas, &mut asked);
    let of_query = description.parameters.iter().filter(|(place, _)| *place == Place::Query);
    let names = of_query.filter_map(|(_, fields)| fields.as_value()["properties"].as_object());
    names.flat_map(|fields| fields.keys().cloned()).collect()
}

/// The document. `base`: the path of the server before `/api/v1`.
pub(crate) fn document(operations: &[Operation], base: &str) -> Value {
    let (mut asked, mut schemas) = generators();
    schemas.subschema_for::<Problem>();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for operation in operations {
        let methods = paths.entry(template(operation.path)).or_default();
        methods.insert(operation.method.as_str().to_lowercase(), described(operation, &mut schemas, &mut asked));
    }
    let schemas = merged(asked.take_definitions(true), schemas.take_definitions(true));
    let mut document = json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "pv",
            "version": "1",
            "summary": "Versioned data, pipelines, provenance",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": format!("{base}/api/v1") }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "A token of `pv token create`" },
            },
        },
    });
    open_schemas(&mut document);
    join_words(&mut document);
    state_bounds(&mut document);
    name_keys(&mut document);
    document
}

/// Writes a choice of words as one `enum`, with what each means in the description: a choice of constants, which has it at each, is read by
/// few generators of clients.
fn join_words(value: &mut Value) {
    each_object(value, &mut |fields| {
        let Some(choices) = fields.get("oneOf").and_then(Value::as_array) else { return };
        let Some(words) = choices.iter().map(words_of).collect::<Option<Vec<_>>>() else { return };
        let mut lines: Vec<String> =
            fields.get("description").and_then(Value::as_str).map(str::to_owned).into_iter().collect();
        for (words, meaning) in
            choices.iter().filter_map(|choice| Some((words_of(choice)?, choice.get("description")?)))
        {
            lines.push(format!("`{}`: {}", words.join("`, `"), meaning.as_str().unwrap_or_default()));
        }
        fields.remove("oneOf");
        fields.insert("type".to_owned(), "string".into());
        fields.insert("enum".to_owned(), words.concat().into());
        fields.insert("description".to_owned(), lines.join("\n").into());
    });
}

/// The words of a choice that has nothing else.
fn words_of(choice: &Value) -> Option<Vec<String>> {
    let fields = choice.as_object()?;
    let is_plain = fields.keys().all(|key| matches!(key.as_str(), "type" | "const" | "enum" | "description"));
    let words =
        fields.get("const").map_or_else(|| fields.get("enum")?.as_array().cloned(), |word| Some(vec![word.clone()]))?;
    let words = words.iter().map(|word| word.as_str().map(str::to_owned));
    words.collect::<Option<Vec<_>>>().filter(|_| is_plain)
}

/// Adds to integers the bound that their format has, since few readers know these formats.
fn state_bounds(value: &mut Value) {
    each_object(value, &mut |fields| {
        let largest = match fields.get("format").and_then(Value::as_str) {
            Some("uint32") => u64::from(u32::MAX),
            Some("uint" | "uint64") => u64::MAX,
            _ => return,
        };
        fields.entry("maximum").or_insert(largest.into());
    });
}

/// Writes maps whose keys follow a pattern with `propertyNames`: many generators of clients do not know `patternProperties`.
fn name_keys(value: &mut Value) {
    each_object(value, &mut |fields| {
        let Some(patterns) = fields.get("patternProperties").and_then(Value::as_object) else { return };
        let mut patterns = patterns.clone().into_iter();
        if let (Some((pattern, values)), None) = (patterns.next(), patterns.next()) {
            fields.remove("patternProperties");
            fields.insert("propertyNames".to_owned(), json!({ "pattern": pattern }));
            fields.insert("additionalProperties".to_owned(), values);
        }
    });
}

/// Changes each object in a value, the outer ones first.
fn each_object(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            change(fields);
            fields.values_mut().for_each(|value| each_object(value, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| each_object(value, change)),
        _ => {}
    }
}

/// Writes the schema of any value as `{}`: many generators of clients do not know its other form, `true`.
fn open_schemas(value: &mut Value) {
    let Value::Object(fields) = value else {
        return value.as_array_mut().into_iter().flatten().for_each(open_schemas);
    };
    for (key, value) in fields {
        let is_schema = matches!(key.as_str(), "schema" | "items");
        if is_schema && *value == Value::Bool(true) {
            *value = json!({});
        }
        if key == "properties"
            && let Some(properties) = value.as_object_mut()
        {
            properties.values_mut().filter(|of| **of == Value::Bool(true)).for_each(|of| *of = json!({}));
        }
        open_schemas(value);
    }
}

/// All types by name. One that is asked and answered must have one schema: the name would otherwise mean two things.
fn merged(asked: Map<String, Value>, answered: Map<String, Value>) -> BTreeMap<String, Value> {
    let mut all: BTreeMap<String, Value> = asked.into_iter().collect();
    for (name, schema) in answered {
        let before = all.insert(name.clone(), schema);
        assert!(before.is_none_or(|before| before == all[&name]), "`{name}` is the name of two types of the API");
    }
    all
}

/// The path of an operation as OpenAPI writes it.
fn template(path: &str) -> String {
    path.replace("{*", "{")
}

fn describe<'g>(
    operation: &Operation,
    schemas: &'g mut SchemaGenerator,
    asked: &'g mut SchemaGenerator,
) -> Description<'g> {
    let mut description = Description {
        schemas,
        asked,
        parameters: Vec::new(),
        body: Vec::new(),
        may_be_empty: false,
        answers: Vec::new(),
    };
    (operation.describe)(&mut description);
    description
}

fn described(operation: &Operation, schemas: &mut SchemaGenerator, asked: &mut SchemaGenerator) -> Value {
    let Description { parameters, body, may_be_empty, answers, .. } = describe(operation, schemas, asked);
    let mut value = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.path.trim_start_matches('/').split('/').next().unwrap_or_default()],
        "responses": responses(operation, answers),
    });
    let mut parameters: Vec<Value> =
        parameters.iter().flat_map(|(place, fields)| parameters_of(*place, fields)).collect();
    if operation.takes_key() {
        let key = schemars::generate::SchemaGenerator::default().root_schema_for::<KeyHeader>();
        parameters.extend(parameters_of(Place::Header, &key));
    }
    if !parameters.is_empty() {
        value["parameters"] = parameters.into();
    }
    if !body.is_empty() {
        let content: Map<String, Value> =
            body.into_iter().map(|(media_type, schema)| (media_type.to_owned(), json!({ "schema": schema }))).collect();
        value["requestBody"] = json!({ "required": !may_be_empty, "content": content });
    }
    match operation.needs {
        None => value["security"] = json!([]),
        Some(role) => {
            value["security"] = json!([{ "token": [] }]);
            value["description"] = needs(role, operation.right.is_some()).into();
        }
    }
    value
}

fn needs(role: Role, whole_store: bool) -> String {
    let extent = if whole_store { ", for all repositories" } else { "" };
    format!("Needs a token of role `{role}`{extent}.")
}

/// The header that every change takes.
#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct KeyHeader {
    /// A text that is new for each change, such as a UUID: for 24 hours a repeated request is then made once, and answered like the first.
    #[schemars(rename = "Idempotency-Key", length(min = 1, max = 200), regex(pattern = "^[!-~]([ -~]*[!-~])?$"))]
    key: Option<String>,
}

/// Each property of an object's schema as a parameter.
fn parameters_of(place: Place, fields: &Schema) -> Vec<Value> {
    let object = fields.as_value();
    let required: Vec<&str> = object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(properties) = object["properties"].as_object() else { return Vec::new() };
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        without_null(&mut schema);
        let required = place == Place::Path || required.contains(&name.as_str());
        let mut parameter = json!({ "name": name, "in": place.name(), "required": required, "schema": schema });
        if let Some(description) = description {
            parameter["description"] = description;
        }
        parameter
    };
    properties.iter().map(parameter).collect()
}

/// A parameter that is absent is left out; it is never `null`.
fn without_null(schema: &mut Value) {
    if let Some(fields) = schema.as_object_mut().filter(|fields| fields.get("default").is_some_and(Value::is_null)) {
        fields.remove("default");
    }
    if let Some(types) = schema["type"].as_array() {
        let types: Vec<_> = types.iter().filter(|of| *of != "null").cloned().collect();
        schema["type"] = if let [one] = types.as_slice() { one.clone() } else { types.into() };
    }
    let Some(choices) = schema.get("anyOf").and_then(Value::as_array) else { return };
    let choices: Vec<_> = choices.iter().filter(|of| of["type"] != "null").cloned().collect();
    if let [one] = choices.as_slice() {
        *schema = one.clone();
    }
}

fn responses(operation: &Operation, answers: Answers) -> Value {
    let mut responses = Map::new();
    for (status, meaning, contents) in answers {
        let mut content: Map<String, Value> = contents
            .into_iter()
            .map(|(media_type, schema)| {
                let is_problem = schema.as_value()["$ref"] == "#/components/schemas/Problem";
                let media_type = if is_problem { MEDIA_TYPE } else { media_type };
                (media_type.to_owned(), json!({ "schema": schema }))
            })
            .collect();
        // One status may stand for several kinds of content.
        let before = responses.remove(status.as_str()).unwrap_or_default();
        for (media_type, of) in before["content"].as_object().into_iter().flatten() {
            content.entry(media_type).or_insert_with(|| of.clone());
        }
        let mut response = json!({ "description": before["description"].as_str().unwrap_or(meaning) });
        if !content.is_empty() {
            response["content"] = content.into();
        }
        responses.insert(status.as_str().to_owned(), response);
    }
    let problem = json!({ MEDIA_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } });
    for (status, meaning) in failures(operation) {
        let response = json!({ "description": meaning, "content": problem });
        responses.entry(status).or_insert(response);
    }
    responses.into()
}

/// The failures that an operation can have besides its own.
fn failures(operation: &Operation) -> Vec<(&'static str, &'static str)> {
    let mut failures = vec![("default", "Something else failed")];
    if operation.needs.is_some() {
        failures.extend([
            ("400", "The request is wrong"),
            ("401", "The token is missing, unknown, revoked or expired"),
            ("403", "The token lacks the required right"),
            ("404", "Something named does not exist, or the token may not see it"),
            ("429", "Too many requests with this token"),
            ("503", "The server is busy or ends; try again"),
        ]);
    }
    if operation.method != Method::GET {
        failures.push(("409", "The current state does not allow it"));
        failures.push(("413", "The body is too large"));
        failures.push(("422", "It failed"));
    }
    failures
}
