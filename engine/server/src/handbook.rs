//! The OpenAPI document as a page for people: plain HTML with a style of its own, without scripts. Every text is escaped.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// The style. It reads in the dark too, and on paper.
const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--dim:#777}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
h2{margin-top:3rem;border-bottom:1px solid var(--line)}h3{margin:2rem 0 .2rem}
code{font-family:ui-monospace,monospace;font-size:.92em;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
td,th{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;border-top:1px solid var(--line)}
th{font-weight:600;border:0}nav li{display:inline-block;margin-right:1rem}nav ul{padding:0}
.dim{color:var(--dim)}.method{font-weight:700}
";

/// The `Content-Security-Policy` of the page: nothing but its own style.
pub(crate) fn policy() -> String {
    let digest = STANDARD.encode(repos::hash::digest_of(STYLE.as_bytes()).as_bytes());
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The page about a document.
pub(crate) fn page(document: &Value) -> String {
    let mut page = Page(String::new());
    page.head(document);
    let operations = by_tag(document);
    page.contents(&operations);
    for (tag, operations) in &operations {
        page.put(&format!("<h2 id=\"{0}\">{0}</h2>\n", escape(tag)));
        for operation in operations {
            page.operation(operation);
        }
    }
    page.put("<h2 id=\"types\">Types</h2>\n");
    for (name, schema) in object(&document["components"]["schemas"]) {
        page.schema(name, schema);
    }
    page.put("</main>\n</body>\n</html>\n");
    page.0
}

/// An operation with its path and method.
struct Operation<'d> {
    path: &'d str,
    method: &'d str,
    value: &'d Value,
}

/// The operations of each tag, in the order of paths.
fn by_tag(document: &Value) -> Vec<(&str, Vec<Operation<'_>>)> {
    let mut tags: Vec<(&str, Vec<Operation<'_>>)> = Vec::new();
    for (path, methods) in object(&document["paths"]) {
        for (method, value) in object(methods) {
            let tag = value["tags"][0].as_str().unwrap_or_default();
            let operation = Operation { path, method, value };
            match tags.iter_mut().find(|(known, _)| *known == tag) {
                Some((_, operations)) => operations.push(operation),
                None => tags.push((tag, vec![operation])),
            }
        }
    }
    tags
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

/// As text of HTML, also in an attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Words of documentation, in which backticks mark code.
fn words(text: &str) -> String {
    let mut html = String::new();
    for (at, part) in text.split('`').enumerate() {
        let part = escape(part);
        if at % 2 == 0 { html.push_str(&part) } else { write!(html, "<code>{part}</code>").unwrap_or_default() }
    }
    html
}

/// The page, as far as it is written.
struct Page(String);

impl Page {
    fn put(&mut self, html: &str) {
        self.0.push_str(html);
    }

    fn head(&mut self, document: &Value) {
        let (info, server) = (&document["info"], escape(text(&document["servers"][0], "url")));
        let title = escape(text(info, "title"));
        self.put(&format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width\">\n<title>{title}: the API</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <main>\n<h1>{title}: the API, version {}</h1>\n<p>{}. Addresses are below <code>{server}</code>; each \
             request has the header <code>Authorization: Bearer pv_…</code>. Programs read \
             <a href=\"openapi.json\">openapi.json</a>, from which this page is made.</p>\n",
            escape(text(info, "version")),
            words(text(info, "summary")),
        ));
    }

    fn contents(&mut self, operations: &[(&str, Vec<Operation<'_>>)]) {
        self.put("<nav><ul>\n");
        for (tag, _) in operations {
            let tag = escape(tag);
            self.put(&format!("<li><a href=\"#{tag}\">{tag}</a></li>\n"));
        }
        self.put("<li><a href=\"#types\">types</a></li>\n</ul></nav>\n");
    }

    fn operation(&mut self, operation: &Operation<'_>) {
        let Operation { path, method, value } = operation;
        self.put(&format!(
            "<h3 id=\"{}\">{}</h3>\n<p><code><span class=\"method\">{}</span> {}</code></p>\n<p class=\"dim\">{}</p>\n",
            escape(text(value, "operationId")),
            words(text(value, "summary")),
            escape(&method.to_uppercase()),
            escape(path),
            words(value["description"].as_str().unwrap_or("Needs no token.")),
        ));
        self.parameters(&value["parameters"]);
        self.body(&value["requestBody"]);
        self.answers(&value["responses"]);
    }

    fn parameters(&mut self, parameters: &Value) {
        if list(parameters).next().is_none() {
            return;
        }
        self.put("<table>\n<tr><th>parameter</th><th>in</th><th>type</th><th></th></tr>\n");
        for parameter in list(parameters) {
            let must = if parameter["required"] == true { "" } else { " <span class=\"dim\">optional</span>" };
            self.put(&format!(
                "<tr><td><code>{}</code>{must}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                escape(text(parameter, "name")),
                escape(text(parameter, "in")),
                kind(&parameter["schema"]),
                words(text(parameter, "description")),
            ));
        }
        self.put("</table>\n");
    }

    fn body(&mut self, body: &Value) {
        for (media_type, content) in object(&body["content"]) {
            let (media_type, kind) = (escape(media_type), kind(&content["schema"]));
            self.put(&format!("<p>Body: <code>{media_type}</code>: {kind}</p>\n"));
        }
    }

    fn answers(&mut self, answers: &Value) {
        self.put("<table>\n<tr><th>status</th><th></th><th>content</th></tr>\n");
        for (status, answer) in object(answers) {
            let contents = object(&answer["content"]).map(|(media_type, content)| {
                format!("<code>{}</code>: {}", escape(media_type), kind(&content["schema"]))
            });
            let contents = contents.collect::<Vec<_>>().join("<br>");
            let (status, meaning) = (escape(status), words(text(answer, "description")));
            self.put(&format!("<tr><td>{status}</td><td>{meaning}</td><td>{contents}</td></tr>\n"));
        }
        self.put("</table>\n");
    }

    fn schema(&mut self, name: &str, schema: &Value) {
        let name = escape(name);
        self.put(&format!("<h3 id=\"type-{name}\">{name}</h3>\n<p>{}</p>\n", words(text(schema, "description"))));
        let choices: Vec<&Value> = list(&schema["oneOf"]).chain(list(&schema["anyOf"])).collect();
        if !choices.is_empty() {
            self.put("<p>One of:</p>\n");
            for choice in choices {
                self.put(&format!("<p>{} {}</p>\n", kind(choice), words(text(choice, "description"))));
                self.fields(choice);
            }
        } else if object(&schema["properties"]).next().is_some() {
            self.fields(schema);
        } else {
            self.put(&format!("<p>{}</p>\n", kind(schema)));
        }
    }

    fn fields(&mut self, schema: &Value) {
        if object(&schema["properties"]).next().is_none() {
            return;
        }
        self.put("<table>\n<tr><th>field</th><th>type</th><th></th></tr>\n");
        for (name, field) in object(&schema["properties"]) {
            let must = list(&schema["required"]).any(|required| required == name);
            let must = if must { "" } else { " <span class=\"dim\">optional</span>" };
            let (name, kind, about) = (escape(name), kind(field), words(text(field, "description")));
            self.put(&format!("<tr><td><code>{name}</code>{must}</td><td>{kind}</td><td>{about}</td></tr>\n"));
        }
        self.put("</table>\n");
    }
}

/// A schema in few words, with links to types.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|at| at.rsplit('/').next()) {
        let name = escape(name);
        return format!("<a href=\"#type-{name}\">{name}</a>");
    }
    if let Some(value) = schema.get("const") {
        return format!("<code>{}</code>", escape(&value.to_string()));
    }
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().map(|value| format!("<code>{}</code>", escape(&value.to_string())));
        return values.collect::<Vec<_>>().join(", ");
    }
    let choices: Vec<String> = list(&schema["oneOf"]).chain(list(&schema["anyOf"])).map(kind).collect();
    if !choices.is_empty() {
        return choices.join(" or ");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        types => list(types).filter_map(Value::as_str).collect(),
    };
    let named = types.iter().map(|of| match *of {
        "array" => format!(
            "list of {}",
            if schema["items"].is_object() { kind(&schema["items"]) } else { "anything".to_owned() }
        ),
        "object" if schema["additionalProperties"].is_object() => {
            format!("map to {}", kind(&schema["additionalProperties"]))
        }
        "string" if schema["format"].is_string() => format!("string ({})", escape(text(schema, "format"))),
        other => escape(other),
    });
    let named = named.collect::<Vec<_>>().join(" or ");
    if named.is_empty() { "anything".to_owned() } else { named }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_document_says_is_text_never_markup() {
        let evil = "</style><script>alert(1)</script>\" onload='x' `<b>`";
        let document = json!({
            "info": { "title": evil, "version": evil, "summary": evil },
            "servers": [{ "url": evil }],
            "paths": { evil: { "get": {
                "operationId": evil, "summary": evil, "description": evil, "tags": [evil],
                "parameters": [{ "name": evil, "in": evil, "description": evil, "schema": { "enum": [evil] } }],
                "requestBody": { "content": { evil: { "schema": { "type": evil, "format": evil } } } },
                "responses": { evil: { "description": evil, "content": { evil: { "schema": { "const": evil } } } } },
            } } },
            "components": { "schemas": { evil: { "description": evil, "properties": { evil: { "$ref": evil } } } } },
        });
        let page = page(&document);
        assert!(page.contains("&lt;script&gt;"));
        let before = page.split("<script").count() + page.split("<b>").count();
        assert_eq!(before, 2, "nothing that it says is a tag");
        assert_eq!(page.matches("</style>").count(), 1);
        assert!(!page.contains("onload='x'") && !page.contains("\" onload"));
    }
}
