//! Forms, as calls of the API's operations: what a form may do is what the operation lets its caller do, and what it answers is shown.
//!
//! A form has fields of its own: `-method` and `-operation`, the operation's method and path below `/api/v1`; `-next`, where to go when it is
//! done, in which `{NAME}` is replaced by that field of the answer; `-shows`, if the answer is shown, the field of it that matters most. All
//! others are fields of the operation's JSON body, but `{NAME}`, which replaces that segment of the operation's path: `name` is text, `name:number` a number, `name:flag` true if the checkbox is ticked,
//! `name:list` one text of a list (each line of it one), `name:key` and then `name:value` a pair of an object, `name:spec` a list with one
//! file of specs that has this text, `name:query` a parameter of the operation's address. Empty fields are left out, and so is a pair with an
//! empty value; a value with an empty key is an error.
//!
//! Specs that were typed are shown again when they are checked, or when they cannot be applied, so that no text is lost.
//!
//! Whoever posts a form decides all of this, also a page of somebody else. What protects is the operation's own check, since it gets the
//! headers in which a browser says who it is and where it comes from; and here: only changes are called, only at plain paths, and the way
//! back stays on this server.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{OriginalUri, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tower::ServiceExt;
use web::address::Address;
use web::{SpecProblem, Typed};

use super::documents::{GoOn, document};
use crate::app::App;
use crate::caller::{Peer, is_known};
use crate::problem::{Problem, Result};

/// Most bytes of a form of one whom this store knows.
const FORM_BYTES: usize = 4 << 20;
/// Most bytes of a form of anybody else: it is read before the operation knows who it is.
const STRANGERS_BYTES: usize = 64 << 10;
/// Most bytes of an answer that is looked at.
const ANSWER_BYTES: usize = 1 << 20;
/// Who calls, and from which page: the operation checks both.
const PASSED_ON: [&str; 7] =
    ["authorization", "cookie", "origin", "sec-fetch-site", "host", "x-forwarded-for", "x-request-id"];

/// The operations that forms call.
#[derive(Debug, Clone)]
pub(super) struct Operations {
    app: App,
    api: Router,
}

impl Operations {
    pub(super) fn new(app: &App, api: &Router) -> Self {
        Self { app: app.clone(), api: api.clone() }
    }
}

/// Calls the operation of a form.
pub(super) async fn act(
    State(Operations { app, api }): State<Operations>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Result<Response> {
    let most = if is_known(&app, &request) { FORM_BYTES } else { STRANGERS_BYTES };
    let (parts, body) = request.into_parts();
    let too_large = |_| Problem::usage("the form is too large", "use the command line");
    let text = to_bytes(body, most).await.map_err(too_large)?;
    let fields = fields(&text)?;
    let Form { method, operation, next, shows, spec, body } = Form::of(&fields)?;
    let typed = spec.map(|text| Typed { text: text.to_owned(), next: own_address(next).to_owned() });
    let is_check = operation.ends_with("/check");
    let body = if method == Method::DELETE { Body::empty() } else { Body::from(Value::Object(body).to_string()) };
    let mut inner = Request::builder().method(method).uri(operation);
    *inner.headers_mut().ok_or_else(not_a_form)? = passed_on(&app, &parts.headers, &uri);
    let mut inner = inner.body(body).map_err(|_| not_a_form())?;
    pass_on_peer(&parts.extensions, inner.extensions_mut());
    inner.extensions_mut().insert(OriginalUri(uri));
    let mut answer = match api.oneshot(inner).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    if !answer.status().is_success() {
        // Who has to log in first goes back to the form, not to where it is posted.
        answer.extensions_mut().insert(GoOn(own_address(next).to_owned()));
        if let Some(typed) = typed {
            answer.extensions_mut().insert(typed);
        }
        return Ok(answer);
    }
    let (parts, body) = answer.into_parts();
    let answer: Value =
        to_bytes(body, ANSWER_BYTES).await.ok().and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
    if let Some(typed) = typed.filter(|_| is_check) {
        return Ok(document(web::frame::checked(&app.options().base_path, &typed, &warnings_in(&answer))));
    }
    let next = way_back(&app, &filled_in(next, |name| answer.get(name)?.as_str()));
    if let Some(first) = shows.filter(|_| answer.is_object()) {
        let next = next.to_str().unwrap_or("/");
        return Ok(document(web::frame::done(&app.options().base_path, next, first, &answer)));
    }
    let mut headers = HeaderMap::from_iter([(header::LOCATION, next)]);
    headers.extend(parts.headers.get(header::SET_COOKIE).cloned().map(|cookie| (header::SET_COOKIE, cookie)));
    let mut response = (StatusCode::SEE_OTHER, headers).into_response();
    // The name of the operation, for those who count.
    response.extensions_mut().extend(parts.extensions);
    Ok(response)
}

/// The warnings in the answer to a check of specs.
fn warnings_in(answer: &Value) -> Vec<SpecProblem> {
    let warning = |of: &Value| {
        let text = |name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
        let number = |name: &str| of.get(name).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
        let (line, column) = (number("line")?, number("column")?);
        Some(SpecProblem { line, column, is_error: false, message: text("message")?, hint: text("hint") })
    };
    answer.get("warnings").and_then(Value::as_array).into_iter().flatten().filter_map(warning).collect()
}

/// The headers of the call of an operation.
pub(super) fn passed_on(app: &App, headers: &HeaderMap, uri: &Uri) -> HeaderMap {
    // Also the one in which a proxy names the user.
    let user = app.options().user_header.as_deref().and_then(|name| HeaderName::try_from(name).ok());
    let names = PASSED_ON.into_iter().map(HeaderName::from_static).chain(user);
    let mut passed = HeaderMap::new();
    for name in names {
        for value in headers.get_all(&name) {
            passed.append(&name, value.clone());
        }
    }
    // HTTP/2 has the host in the address, which the call does not have.
    let host = uri.authority().and_then(|host| HeaderValue::try_from(host.as_str()).ok());
    if let Some(host) = host.filter(|_| !passed.contains_key(header::HOST)) {
        passed.insert(header::HOST, host);
    }
    passed.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    passed
}

pub(super) fn pass_on_peer(from: &Extensions, to: &mut Extensions) {
    if let Some(peer) = from.get::<Peer>() {
        to.insert(*peer);
    }
}

/// A form, understood.
struct Form<'f> {
    method: Method,
    /// Below `/api/v1`.
    operation: String,
    next: &'f str,
    /// The field of the answer that matters most, if the answer is shown: something that is shown only once.
    shows: Option<&'f str>,
    /// The text of specs that it sends.
    spec: Option<&'f str>,
    body: Map<String, Value>,
}

impl<'f> Form<'f> {
    fn of(fields: &'f [(String, String)]) -> Result<Self> {
        let own = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let method = own("-method").and_then(change).ok_or_else(not_a_form)?;
        let path = own("-operation").and_then(|path| path.strip_prefix("/api/v1")).map(|path| {
            let field = |name: &str| own(&format!("{{{name}}}"));
            filled_in(path, field)
        });
        let mut operation = path.filter(|path| is_plain(path)).ok_or_else(not_a_form)?;
        for (name, value) in fields.iter().filter_map(|(name, value)| Some((name.strip_suffix(":query")?, value))) {
            let parameter = serde_urlencoded::to_string([(name, value)]).map_err(|_| not_a_form())?;
            operation.push(if operation.contains('?') { '&' } else { '?' });
            operation.push_str(&parameter);
        }
        let spec = fields.iter().find(|(name, _)| name.ends_with(":spec")).map(|(_, value)| value.as_str());
        Ok(Self {
            method,
            operation,
            spec,
            next: own("-next").unwrap_or("/"),
            shows: own("-shows"),
            body: body_of(fields)?,
        })
    }
}

/// A method that changes something: what is only asked for needs no form, and is not checked as a change.
fn change(method: &str) -> Option<Method> {
    [Method::POST, Method::PUT, Method::DELETE].into_iter().find(|known| known.as_str() == method)
}

/// Whether a path begins with `/` and has no empty segment and none that means another one, however it is written.
fn is_plain(path_and_query: &str) -> bool {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let is_dots = |segment: &str| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment.is_empty() || segment == "." || segment == ".."
    };
    path_and_query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#')
        && path.strip_prefix('/').is_some_and(|path| !path.split('/').any(is_dots))
}

/// The body of the call of an operation.
fn body_of(fields: &[(String, String)]) -> Result<Map<String, Value>> {
    let mut body = Map::new();
    let mut key = None;
    let is_of_body = |name: &str| !name.starts_with(['-', '{']);
    for (name, value) in fields.iter().filter(|(name, _)| is_of_body(name)) {
        let (name, kind) = name.split_once(':').unwrap_or((name, ""));
        match kind {
            // An empty half still belongs to the other one, which must not become a part of the next or last pair.
            "key" => key = Some(value.trim()).filter(|key| !key.is_empty()),
            "value" if value.is_empty() => key = None,
            _ if value.is_empty() => {}
            "" => _ = body.insert(name.to_owned(), value.replace("\r\n", "\n").into()),
            "number" => {
                let wrong = || Problem::usage(format!("`{name}` is not a number"), "go back, and write a number");
                body.insert(name.to_owned(), value.parse::<u64>().map_err(|_| wrong())?.into());
            }
            "spec" => {
                _ = body.insert(name.to_owned(), json!([{ "name": "spec", "text": value.replace("\r\n", "\n") }]));
            }
            "query" => {}
            "flag" => _ = body.insert(name.to_owned(), true.into()),
            "list" => {
                let list = body.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                let lines = value.lines().map(str::trim).filter(|line| !line.is_empty()).map(Value::from);
                list.as_array_mut().ok_or_else(not_a_form)?.extend(lines);
            }
            "value" => {
                let missing = || Problem::usage("a value has no name", "go back, and write one before it");
                let key = key.take().ok_or_else(missing)?;
                let object = body.entry(name).or_insert_with(|| Value::Object(Map::new()));
                let pairs = object.as_object_mut().ok_or_else(not_a_form)?;
                pairs.insert(key.to_owned(), value.replace("\r\n", "\n").into());
            }
            _ => return Err(not_a_form()),
        }
    }
    Ok(body)
}

fn not_a_form() -> Problem {
    Problem::usage("this is not a form of a page", "reload the page and try again")
}

/// The fields of a form, as browsers encode them.
fn fields(text: &[u8]) -> Result<Vec<(String, String)>> {
    serde_urlencoded::from_bytes(text).map_err(|_| not_a_form())
}

/// An address with each segment `{NAME}` of its path replaced by a text, which stays one segment.
fn filled_in<'v>(address: &str, text: impl Fn(&str) -> Option<&'v str>) -> String {
    let filled = |segment: &str| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(Address::of([text(name)?]).path().trim_start_matches('/').to_owned())
    };
    let (path, rest) = address.split_at(address.find(['?', '#']).unwrap_or(address.len()));
    let segments = path.split('/').map(|segment| filled(segment).unwrap_or_else(|| segment.to_owned()));
    segments.collect::<Vec<_>>().join("/") + rest
}

/// An address of this server, whatever a form says; without the base path.
///
/// Browsers take `\` for `/`, and leave out tabs and line ends: such an address could be one of another server.
pub(super) fn own_address(next: &str) -> &str {
    let is_own = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_own { next } else { "/" }
}

/// Where a browser goes next, as a header.
pub(super) fn way_back(app: &App, next: &str) -> HeaderValue {
    let address = format!("{}{}", app.options().base_path, own_address(next));
    HeaderValue::try_from(address).unwrap_or(HeaderValue::from_static("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Result<(String, Value)> {
        let fields = fields(text.as_bytes())?;
        Form::of(&fields)
            .map(|form| (format!("{} {} {}", form.method, form.operation, form.next), Value::Object(form.body)))
    }

    #[test]
    fn a_form_becomes_a_call_of_an_operation() {
        let text = "-method=POST&-operation=/api/v1/tokens&-next=/tokens&name=ci&days:number=3&repos:list=a*%0D%0Ab&repos:list=c&all:flag=on&empty=";
        let (call, body) = form(text).unwrap();
        assert_eq!(call, "POST /tokens /tokens");
        assert_eq!(body, serde_json::json!({"name": "ci", "days": 3, "repos": ["a*", "b", "c"], "all": true}));
        let text = "-method=POST&-operation=/api/v1/jobs/a@1/retry&skip_failed:query=a%26b+c&specs:spec=x%0Ay";
        let (call, body) = form(text).unwrap();
        assert_eq!(call, "POST /jobs/a@1/retry?skip_failed=a%26b+c /");
        assert_eq!(body, json!({"specs": [{"name": "spec", "text": "x\ny"}]}));
        for wrong in [
            "",
            "-method=POST",
            "-method=POST&-operation=/tokens",
            "-method=POST&-operation=/api/v1x",
            "-method=POST&-operation=/api/v1/t&n:number=x",
            "-method=POST&-operation=/api/v1/t&n:other=x",
            "-method=POST&-operation=/api/v1/t&n=1&n:list=2",
            "-method=POST&-operation=/api/v1/t&n:value=1",
            "-method=POST&-operation=/api/v1/t&n=1&n:key=a&n:value=1",
            "-method=GET&-operation=/api/v1/t",
            "-method=post&-operation=/api/v1/t",
            "-method=CONNECT&-operation=/api/v1/t",
            "-method=POST%0D%0AX&-operation=/api/v1/t",
        ] {
            assert!(form(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn pairs_of_an_object_have_names_that_people_choose() {
        let (_, body) = form(
            "-method=PUT&-operation=/api/v1/secrets/s&values:key=user&values:value=a%0D%0Ab&values:key=&values:key=n&values:value=1&values:value=",
        )
        .unwrap();
        assert_eq!(body, serde_json::json!({ "values": { "user": "a\nb", "n": "1" } }));
    }

    #[test]
    fn a_value_never_gets_the_name_of_another_pair() {
        let pairs = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(key, value)| format!("&values:key={key}&values:value={value}"));
            form(&format!("-method=PUT&-operation=/api/v1/secrets/s{}", pairs.collect::<Vec<_>>().concat()))
        };
        let body = |of: &[(&str, &str)]| pairs(of).unwrap().1;
        assert_eq!(body(&[("user", ""), ("n", "1")]), json!({ "values": { "n": "1" } }));
        assert_eq!(body(&[("user", "x"), ("user2", ""), ("", "")]), json!({ "values": { "user": "x" } }));
        assert_eq!(body(&[("user", "")]), json!({}));
        for wrong in [&[("user", ""), ("", "x")][..], &[("user", "y"), ("", "x")], &[("+", "x")]] {
            assert!(pairs(wrong).is_err(), "{wrong:?}");
        }
        assert!(form("-method=PUT&-operation=/api/v1/s&v:key=user&v:key=&v:value=x").is_err());
    }

    #[test]
    fn a_check_of_specs_may_answer_with_warnings() {
        let warning = json!({ "file": "spec", "line": 2, "column": 3, "message": "old", "hint": null });
        let found = warnings_in(&json!({ "pipelines": ["a"], "warnings": [warning, "other"] }));
        let expected = SpecProblem { line: 2, column: 3, is_error: false, message: "old".to_owned(), hint: None };
        assert_eq!(found, [expected]);
        assert!(warnings_in(&json!({})).is_empty() && warnings_in(&Value::Null).is_empty());
    }

    #[test]
    fn an_operation_has_a_plain_path() {
        for plain in ["/gc", "/repos/a/commits/main/files/a%20b?x=/..", "/a/...", "/a/%2e%2ex"] {
            assert!(is_plain(plain), "{plain}");
        }
        for trick in [
            "",
            "gc",
            "/",
            "//evil.example/x",
            "/a//b",
            "/a/",
            "/../gc",
            "/a/./b",
            "/a/..",
            "/a/%2e%2E/b",
            "/a/.%2e/b",
            "/%2e/a",
            "/a\\b",
            "/a\tb",
            "/a b",
            "/a\r\nx: y",
            "/a#b",
            "/\u{fc}",
            "/..?x",
        ] {
            assert!(!is_plain(trick), "{trick:?}");
        }
    }

    #[test]
    fn the_way_back_stays_on_this_server() {
        for own in ["/", "/runs?at=2026&x=%2F", "/.//x", "/a//b"] {
            assert_eq!(own_address(own), own);
        }
        for other in [
            "",
            "runs",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\r\nset-cookie: x=y",
            "/ /evil.example",
            "/\u{fc}",
        ] {
            assert_eq!(own_address(other), "/", "{other:?}");
        }
    }

    #[test]
    fn a_name_in_the_way_back_is_a_field_of_the_answer_and_stays_a_segment() {
        let answer = serde_json::json!({ "id": "../a?b", "n": 1 });
        let field = |name: &str| answer.get(name)?.as_str();
        assert_eq!(filled_in("/operations/{id}", field), "/operations/..%2Fa%3Fb");
        assert_eq!(filled_in("/verified/{id}?of=/{id}", field), "/verified/..%2Fa%3Fb?of=/{id}");
        assert_eq!(filled_in("/operations/{n}/{none}/x", field), "/operations/{n}/{none}/x");
        let (call, body) = form("-method=PUT&-operation=/api/v1/secrets/{secret}&{secret}=a/b&x=1").unwrap();
        assert_eq!((call.as_str(), body), ("PUT /secrets/a%2Fb /", serde_json::json!({ "x": "1" })));
        for trick in ["..", ".", ""] {
            assert!(form(&format!("-method=PUT&-operation=/api/v1/secrets/{{secret}}&{{secret}}={trick}")).is_err());
        }
    }
}
