//! Log lines of a request have its number: each is written inside the request's span.

use tracing::Span;

/// The span of a request. Its level is the highest, so that every filter that lets a line of the request through also keeps its number.
pub(crate) fn request(id: &str) -> Span {
    tracing::error_span!("request", id)
}

/// The same work, on another thread: its lines still belong to the request that started it.
pub(crate) fn here<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let span = Span::current();
    move || span.in_scope(work)
}
