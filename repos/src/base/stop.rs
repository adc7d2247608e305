//! Named points at which tests end the process as a power cut would, or have it stand still.
//!
//! Only builds with debug assertions have them: in a release nothing is asked and nothing ends.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{IoContext, RepoError};

static POINT: OnceLock<String> = OnceLock::new();

/// Has this process abort when it comes to the point of this name, or with `pause:` before the name stop until it gets `SIGCONT`,
/// with `panic:` panic, with `fail:` fail there once. The first call counts.
pub fn set_stop_point(name: &str) {
    if cfg!(debug_assertions) {
        // A second point would never be reached.
        POINT.set(name.to_owned()).ok();
    }
}

/// Fails once at the point that was set as `fail:<point>`, with an error of a kind that passes.
pub fn fail_at(name: &str) -> Result<(), RepoError> {
    static HAS_FAILED: AtomicBool = AtomicBool::new(false);
    let point = POINT.get().filter(|_| cfg!(debug_assertions)).and_then(|point| point.strip_prefix("fail:"));
    if point == Some(name) && !HAS_FAILED.swap(true, Ordering::Relaxed) {
        return Err(std::io::Error::from(rustix::io::Errno::IO)).doing("pass", Path::new(name));
    }
    Ok(())
}

/// Aborts or stops the process, or panics, if this is the point that was set.
pub fn stop_at(name: &str) {
    let Some(point) = POINT.get().filter(|_| cfg!(debug_assertions)) else { return };
    if point == name {
        std::process::abort();
    }
    assert!(point.strip_prefix("panic:") != Some(name), "the point {name} was set to panic at");
    if point.strip_prefix("pause:") == Some(name) {
        // Where it cannot be stopped, it continues.
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP).ok();
    }
}
