//! The bounds on connections and requests, in one place.

use std::time::Duration;

/// Most open connections; further ones are closed at once. Fewer where the process may open fewer than twice as many files.
pub(crate) const CONNECTIONS: usize = 4096;
/// Most requests that work in the store at the same time; further ones wait.
pub(crate) const WORKING: usize = 64;
/// Most uploads that are stored at the same time: each lasts as long as its client likes.
pub(crate) const UPLOADS: usize = 128;
/// Most lists that are streamed at the same time: each lasts as long as its client likes.
pub(crate) const STREAMS: usize = 64;
/// How long a request waits for a turn to work.
pub(crate) const TURN: Duration = Duration::from_secs(20);
/// How long the headers of a request may take; also how long an idle connection stays open.
pub(crate) const HEADERS: Duration = Duration::from_secs(30);
/// How long a TLS handshake may take.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client may neither send nor take a byte that the server waits for.
pub(crate) const STALL: Duration = Duration::from_mins(1);
/// Fewest bytes of a body in each [`STALL`]: slower senders are cut off.
pub(crate) const STALL_BYTES: u64 = 16 << 10;
/// How much of a body that its request does not want is read, so that the client gets to the answer; in [`STALL`] at most.
pub(crate) const UNWANTED_BYTES: u64 = 16 << 20;
/// Most bytes of the headers of a request.
pub(crate) const HEADER_BYTES: usize = 64 << 10;
/// Most bytes of a body of JSON.
pub(crate) const JSON_BYTES: usize = 64 << 20;
/// Up to so many bytes, bodies of JSON are read without a turn.
pub(crate) const SMALL_JSON_BYTES: usize = 32 << 10;
/// Most larger ones that are read at the same time.
pub(crate) const LARGE_JSON: usize = 16;
/// Requests per second of a token, on average; 0 for no limit.
pub const REQUESTS_PER_SECOND: u32 = 1000;
/// Requests of a token that may come at once.
pub(crate) const BURST: u32 = 5000;
/// Wrong tokens from one address per minute before it has to wait.
pub(crate) const WRONG_TOKENS: u32 = 10;
/// How long the answer to a change with an `Idempotency-Key` is kept.
pub(crate) const KEYS_KEPT: Duration = Duration::from_hours(24);
/// Most bytes of such answers of a token; the oldest are forgotten first.
pub(crate) const KEYS_BYTES: u64 = 64 << 20;
/// The length of each part of an upload but the last.
pub(crate) const UPLOAD_PART: u64 = 8 << 20;
/// How long an upload waits for its next part.
pub(crate) const UPLOAD_KEPT: Duration = Duration::from_hours(24);
/// How long an upload may take in all.
pub(crate) const UPLOAD_LIFE: Duration = Duration::from_hours(7 * 24);
/// Most uploads of a token that are not done.
pub(crate) const OPEN_UPLOADS: usize = 64;
/// Most bytes of uploads of a token that are not done.
pub(crate) const UPLOAD_BYTES: u64 = 1 << 40;
/// How long a login link works.
pub(crate) const LOGIN_LINK: Duration = Duration::from_mins(10);
/// How long the session of a browser lasts, if its token works so long.
pub(crate) const SESSION: Duration = Duration::from_hours(7 * 24);
/// Most sessions of a token.
pub(crate) const SESSIONS: usize = 20;
/// How long requests that run may take when the server stops.
pub(crate) const TO_END: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    /// Each limit as `docs/server.md` has it: what, and how much.
    fn stated() -> Vec<(&'static str, String)> {
        let seconds = |time: Duration| format!("{} s", time.as_secs());
        vec![
            ("open connections", CONNECTIONS.to_string()),
            ("requests that work in the store at a time", WORKING.to_string()),
            ("uploads that are stored at a time", UPLOADS.to_string()),
            ("lists that are streamed at a time", STREAMS.to_string()),
            ("wait for a turn to work", seconds(TURN)),
            ("headers of a request, and an idle connection", seconds(HEADERS)),
            ("TLS handshake", seconds(HANDSHAKE)),
            ("nothing sent or taken", seconds(STALL)),
            ("fewest bytes of a body in that time", format!("{} KiB", STALL_BYTES >> 10)),
            ("body of a request that is refused", format!("{} MiB", UNWANTED_BYTES >> 20)),
            ("headers of a request", format!("{} KiB", HEADER_BYTES >> 10)),
            ("body of JSON", format!("{} MiB", JSON_BYTES >> 20)),
            ("bodies of JSON without a turn", format!("{} KiB", SMALL_JSON_BYTES >> 10)),
            ("larger bodies of JSON that are read at a time", LARGE_JSON.to_string()),
            ("requests per second of a token (`--rate`)", REQUESTS_PER_SECOND.to_string()),
            ("requests of a token at once", BURST.to_string()),
            ("wrong tokens from an address per minute", WRONG_TOKENS.to_string()),
            ("answer to a change with an `Idempotency-Key`", format!("{} h", KEYS_KEPT.as_secs() / 3600)),
            ("such answers of a token", format!("{} MiB", KEYS_BYTES >> 20)),
            ("part of an upload", format!("{} MiB", UPLOAD_PART >> 20)),
            ("wait for the next part of an upload", format!("{} h", UPLOAD_KEPT.as_secs() / 3600)),
            ("an upload in all", format!("{} days", UPLOAD_LIFE.as_secs() / 86_400)),
            ("uploads of a token that are not done", OPEN_UPLOADS.to_string()),
            ("bytes of these", format!("{} TiB", UPLOAD_BYTES >> 40)),
            ("a login link", format!("{} min", LOGIN_LINK.as_secs() / 60)),
            ("a browser's session", format!("{} days", SESSION.as_secs() / 86_400)),
            ("sessions of a token", SESSIONS.to_string()),
            ("requests that run when the server stops", seconds(TO_END)),
        ]
    }

    #[test]
    fn the_page_for_users_has_every_limit() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/");
        let page = std::fs::read_to_string(format!("{folder}../../docs/server.md")).unwrap();
        for (what, limit) in stated() {
            let row = format!("| {what} | {limit} | ");
            assert!(page.contains(&row), "docs/server.md has not the row `{row}`");
        }
        let own = std::fs::read_to_string(format!("{folder}src/limits.rs")).unwrap();
        let code = own.split_once("#[cfg(test)]").unwrap().0;
        assert_eq!(code.matches("const ").count(), stated().len(), "a limit is not in the list of this test");
    }
}
