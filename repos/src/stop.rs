//! Named points at which tests end the process as a power cut would, or have it stand still.
//!
//! Only builds with debug assertions have them: in a release nothing is asked and nothing ends.

use std::sync::OnceLock;

static POINT: OnceLock<String> = OnceLock::new();

/// Has this process abort when it comes to the point of this name, or with `pause:` before the name stop until it gets `SIGCONT`. The
/// first call counts.
pub fn set_stop_point(name: &str) {
    if cfg!(debug_assertions) {
        // A second point would never be reached.
        POINT.set(name.to_owned()).ok();
    }
}

/// Aborts or stops the process if this is the point that was set.
pub fn stop_at(name: &str) {
    let Some(point) = POINT.get().filter(|_| cfg!(debug_assertions)) else { return };
    if point == name {
        std::process::abort();
    }
    if point.strip_prefix("pause:") == Some(name) {
        // Where it cannot be stopped, it goes on.
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP).ok();
    }
}
