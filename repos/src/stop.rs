//! Named points at which tests end the process as a power cut would.
//!
//! Only builds with debug assertions have them: in a release nothing is asked and nothing ends.

use std::sync::OnceLock;

static POINT: OnceLock<String> = OnceLock::new();

/// Has this process abort when it comes to the point of this name. The first call counts.
pub fn set_stop_point(name: &str) {
    if cfg!(debug_assertions) {
        // A second point would never be reached.
        POINT.set(name.to_owned()).ok();
    }
}

/// Aborts the process if this is the point that was set.
pub fn stop_at(name: &str) {
    if cfg!(debug_assertions) && POINT.get().is_some_and(|point| point == name) {
        std::process::abort();
    }
}
