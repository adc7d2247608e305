//! Named points at which tests abort the process, as a power cut would, or pause it.
//!
//! Only builds with debug assertions have them; a release build never stops here.
//!
//! `PV_STOP_AT=<point>` aborts there; `pause:<point>`, `panic:<point>` and `fail:<point>` do what they say. The points are `publish.begin`,
//! `publish.before_record`, `publish.after_record`, `put.after_upload`, `datum.after_staging`, `datum.in_intake`, `datum.after_intake`,
//! `datum.after_result`, `job.before_start` (only `fail:`), `job.before_seal`, `server.before_change`, `server.before_answer`,
//! `server.after_answer`, `notify.before_line`, `notify.after_line`, `notify.before_send`, `notify.after_send`, `fold.*` and `gc.*`.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{IoContext, RepoError};

static POINT: OnceLock<String> = OnceLock::new();

/// Sets the point at which this process aborts. With a prefix it does something else there: `pause:` stops until `SIGCONT`, `panic:`
/// panics, `fail:` fails once. Only the first call counts.
pub fn set_stop_point(name: &str) {
    if cfg!(debug_assertions) {
        // A second point would never be reached, so it is ignored.
        POINT.set(name.to_owned()).ok();
    }
}

/// Fails once at the point set as `fail:<point>`, with a transient error.
pub fn fail_at(name: &str) -> Result<(), RepoError> {
    static HAS_FAILED: AtomicBool = AtomicBool::new(false);
    let point = POINT.get().filter(|_| cfg!(debug_assertions)).and_then(|point| point.strip_prefix("fail:"));
    if point == Some(name) && !HAS_FAILED.swap(true, Ordering::Relaxed) {
        return Err(std::io::Error::from(rustix::io::Errno::IO)).doing("pass", Path::new(name));
    }
    Ok(())
}

/// Aborts, pauses or panics if this is the point that was set.
pub fn stop_at(name: &str) {
    let Some(point) = POINT.get().filter(|_| cfg!(debug_assertions)) else { return };
    if point == name {
        std::process::abort();
    }
    assert!(point.strip_prefix("panic:") != Some(name), "the point {name} was set to panic at");
    if point.strip_prefix("pause:") == Some(name) {
        // If the process cannot be paused, it continues.
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP).ok();
    }
}
