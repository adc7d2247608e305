//! Documents of the page as answers: their headers, their compression, problems as documents.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use specs::ErrorKind;
use web::{Fault, Typed, assets, frame};

use crate::app::App;
use crate::problem::{MEDIA_TYPE, Problem};

/// Most bytes of a problem that is shown as a page.
const PROBLEM_BYTES: usize = 1 << 20;
/// Fewer bytes are not worth compressing.
const SMALL: usize = 1 << 10;

/// The address to go on to, without the base path, of an answer that asks for a token: not its own, which may be that of a form.
#[derive(Debug, Clone)]
pub(super) struct GoOn(pub(super) String);

/// A document of the page.
pub(super) fn document(text: String) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(frame::POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ];
    (headers, Html(text)).into_response()
}

/// The address of a request, without the base path of the server and without `only`.
pub(super) fn here(app: &App, uri: &Uri) -> String {
    let path = uri.path().strip_prefix(app.options().base_path.as_str()).unwrap_or(uri.path());
    let path = if path.is_empty() { "/" } else { path };
    let kept: Vec<&str> =
        uri.query().into_iter().flat_map(|query| query.split('&')).filter(|pair| !pair.starts_with("only=")).collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

/// Compresses the documents of views for browsers that take them so. Not those that show a secret: their length would tell of it.
pub(super) async fn squeeze(request: Request, next: Next) -> Response {
    let is_wanted = takes_gzip(request.headers()) && request.method() != Method::HEAD;
    let mut response = next.run(request).await;
    let is_document =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|of| of.as_bytes().starts_with(b"text/html"));
    if !is_document {
        return response;
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if !is_wanted {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if bytes.len() < SMALL {
        return Response::from_parts(parts, Body::from(bytes));
    }
    let Ok(packed) = tokio::task::spawn_blocking(move || assets::packed_page(&bytes)).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(packed))
}

/// Whether a client takes gzip (RFC 9110, 12.5.3).
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let is_zero = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q <= 0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !is_zero
    })
}

/// Problems as pages: a browser that is not logged in is asked for a token.
pub(super) async fn show_problems(State(app): State<App>, request: Request, next: Next) -> Response {
    let here = here(&app, request.uri());
    let response = next.run(request).await;
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|media_type| media_type == MEDIA_TYPE);
    if !is_problem {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let typed = parts.extensions.remove::<Typed>();
    let bytes = to_bytes(body, PROBLEM_BYTES).await.unwrap_or_default();
    let unreadable = |_| Problem::new(ErrorKind::Failed, "the answer of the server cannot be shown");
    let problem: Problem = serde_json::from_slice(&bytes).unwrap_or_else(unreadable);
    let go_on = parts.extensions.get::<GoOn>().map(|GoOn(address)| address.as_str());
    // The address of a login link leads nowhere a second time.
    let is_link = here.starts_with("/login/");
    let go_on = go_on.or(is_link.then_some("/"));
    let wrong = problem.spec_problems();
    let mut fault = Fault { problems: &wrong, typed: typed.as_ref(), ..fault_of(&problem, parts.status) };
    if fault.asks_for_token && !here.starts_with("/login") {
        // Nobody has tried to log in: what programs are told would only confuse.
        (fault.detail, fault.hint) = ("", None);
    }
    let text = frame::fault(&app.options().base_path, go_on.unwrap_or(&here), &fault);
    let page = document(text);
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::WWW_AUTHENTICATE); // a browser would open a window of its own
    parts.headers.extend(page.headers().clone());
    Response::from_parts(parts, page.into_body())
}

/// An address that there is not: a page for those who look for one, a problem for programs.
pub(crate) fn nothing_here(app: &App, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    let problem = Problem::new(ErrorKind::NotFound, "there is nothing at this address");
    let accepted = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let is_for_people = method.is_safe()
        && accepted.into_iter().any(|accepted| accepted.contains("text/html"))
        && !here(app, uri).starts_with("/api/");
    if !is_for_people {
        return problem.hint("/api/v1/openapi.json lists all addresses").into_response();
    }
    let fault = fault_of(&problem, StatusCode::NOT_FOUND);
    (StatusCode::NOT_FOUND, document(frame::fault(&app.options().base_path, "/", &fault))).into_response()
}

/// A problem as the page shows it.
fn fault_of(problem: &Problem, status: StatusCode) -> Fault<'_> {
    Fault {
        status: status.as_u16(),
        detail: problem.detail(),
        causes: problem.causes(),
        hint: problem.hint_text(),
        asks_for_token: status == StatusCode::UNAUTHORIZED,
        problems: &[],
        typed: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_says_whether_it_takes_gzip() {
        let takes = |text: &'static str| {
            takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(text))]))
        };
        assert!(takes("gzip") && takes("br, GZIP;q=0.5") && takes("deflate , gzip"));
        assert!(!takes("br") && !takes("gzip;q=0") && !takes("gzip; q=0.0, br") && !takes("xgzip"));
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
