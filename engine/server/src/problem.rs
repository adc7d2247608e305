//! Failures as programs see them: problem documents of RFC 9457.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::EngineError;
use repos::RepoError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{Diagnostic, ErrorKind};

/// The result of a handler.
pub(crate) type Result<T, E = Problem> = std::result::Result<T, E>;

/// The media type of [`Problem`].
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request failed: a problem document of RFC 9457, with the fields that commands print as an error.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Problem {
    /// `urn:pv:` and the kind.
    #[serde(rename = "type")]
    type_: String,
    /// What the kind means.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What failed, and on which thing.
    detail: String,
    /// The kind of the error.
    kind: ErrorKind,
    /// The exit code of a command that fails like this.
    exit_code: u8,
    /// What led to it, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    causes: Vec<String>,
    /// What to try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// What was done before it failed; absent if nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    done: Option<String>,
    /// What is wrong in specs, and where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Wrong>,
    /// The branch's head, for a request that expected another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<Box<CurrentHead>>,
    /// Seconds to wait before trying again.
    #[serde(skip)]
    retry_after: Option<u64>,
    /// Whether the request was refused before anything was done.
    #[serde(skip)]
    is_untouched: bool,
}

/// What is wrong in a spec, and where.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Wrong {
    /// The file's name, as it was sent.
    file: String,
    /// From 1.
    line: u32,
    /// From 1.
    column: u32,
    /// Whether it is an error, not a warning.
    is_error: bool,
    /// What is wrong.
    message: String,
    /// What to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl From<&Diagnostic> for Wrong {
    fn from(of: &Diagnostic) -> Self {
        let Diagnostic { file, place, message, hint, .. } = of.clone();
        Self { file, line: place.line, column: place.column, is_error: of.is_error(), message, hint }
    }
}

/// Marks an answer to a request that was refused before anything was done, for a reason that passes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Untouched;

/// The head that a branch has instead of the expected one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CurrentHead {
    /// The commit.
    pub(crate) commit: specs::CommitId,
    /// Who made it.
    pub(crate) author: String,
    /// When it was made.
    pub(crate) at: repos::Timestamp,
}

/// The status of each kind of error. The one table that relates exit codes and statuses.
pub(crate) const fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Usage => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Failed | ErrorKind::Unchecked => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Damaged => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Refused => StatusCode::FORBIDDEN,
        ErrorKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// Seconds after which a client may try again what was unavailable.
const RETRY_SECONDS: u64 = 2;

impl Problem {
    /// A problem of this kind: what failed, and on which thing.
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        let status = status_of(kind);
        let unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
        Self {
            type_: format!("urn:pv:{}", word(kind)),
            title: kind.meaning().to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            kind,
            exit_code: kind.exit_code(),
            causes: Vec::new(),
            hint: None,
            done: None,
            problems: Vec::new(),
            current: None,
            retry_after: unavailable.then_some(RETRY_SECONDS),
            is_untouched: false,
        }
    }

    /// A request that cannot be understood.
    pub(crate) fn usage(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, detail).hint(hint)
    }

    /// The same problem with another status than that of its kind.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status.as_u16();
        self
    }

    /// Adds what to try.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What failed, and on which thing.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// What led to it, outermost first.
    pub(crate) fn causes(&self) -> &[String] {
        &self.causes
    }

    /// What to try.
    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What failed, what led to it, and what to try.
    pub(crate) fn in_sentences(self) -> Vec<String> {
        std::iter::once(self.detail).chain(self.causes).chain(self.hint).collect()
    }

    /// What is wrong in specs, as the page shows it.
    pub(crate) fn spec_problems(&self) -> Vec<web::SpecProblem> {
        let problem = |wrong: &Wrong| {
            let Wrong { line, column, is_error, message, hint, .. } = wrong.clone();
            web::SpecProblem { line, column, is_error, message, hint }
        };
        self.problems.iter().map(problem).collect()
    }

    /// Adds how many seconds to wait before trying again.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Says that the request was refused before anything was done, for a reason that passes: a repeated one is a new one.
    pub(crate) fn untouched(mut self) -> Self {
        self.is_untouched = true;
        self
    }

    /// Adds the head that the branch has instead of the expected one.
    pub(crate) fn current(mut self, current: CurrentHead) -> Self {
        self.current = Some(Box::new(current));
        self
    }
}

/// A kind as JSON names it.
fn word(kind: ErrorKind) -> String {
    serde_json::to_value(kind).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let mut problem = Self::new(error.kind(), error.to_string());
        problem.hint = error.hint();
        if let EngineError::Specs { diagnostics, .. } = &error {
            problem.problems = diagnostics.iter().map(Wrong::from).collect();
        }
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            problem.causes.push(error.to_string());
            cause = error.source();
        }
        problem
    }
}

impl From<RepoError> for Problem {
    fn from(error: RepoError) -> Self {
        EngineError::from(error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (retry_after, is_untouched) = (self.retry_after, self.is_untouched);
        let mut response = (status, Json(self)).into_response();
        if is_untouched {
            response.extensions_mut().insert(Untouched);
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(HeaderName::from_static("www-authenticate"), HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_its_status() {
        let statuses: Vec<_> = ErrorKind::ALL.map(|kind| (kind.exit_code(), status_of(kind).as_u16())).into();
        let expected = [(1, 422), (2, 400), (3, 404), (4, 409), (5, 500), (6, 503), (7, 403), (8, 504), (9, 422)];
        assert_eq!(statuses, expected);
    }

    #[test]
    fn a_problem_says_what_failed_and_what_to_try() {
        let response = Problem::usage("`x` is not a number", "write a number").into_response();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        let problem = serde_json::to_value(Problem::usage("`x` is not a number", "write a number")).unwrap();
        assert_eq!(problem["type"], "urn:pv:usage");
        assert_eq!(problem["exit_code"], 2);
        assert!(problem.get("done").is_none());
    }
}
