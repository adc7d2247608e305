//! Fault injection for tests: each write, sync, rename and batch of a store asks here first whether to fail.
//!
//! Without the feature `testing` nothing is stored and nothing fails.

#[cfg(any(test, feature = "testing"))]
use std::sync::Arc;
#[cfg(any(test, feature = "testing"))]
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Which writes of a store fail. Clones share one count.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    #[cfg(any(test, feature = "testing"))]
    plan: Option<Arc<Plan>>,
}

#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
struct Plan {
    left: AtomicU64,
    stays: bool,
    failed: AtomicBool,
}

#[cfg(not(any(test, feature = "testing")))]
impl Faults {
    /// Called before each write.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests have it fail")]
    pub(crate) fn step(&self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(any(test, feature = "testing"))]
impl Faults {
    /// Only write number `n` fails, counted from 0.
    pub fn once(n: u64) -> Self {
        Self::new(n, false)
    }

    /// Write number `n`, counted from 0, and all later ones fail, as on a full disk.
    pub fn from(n: u64) -> Self {
        Self::new(n, true)
    }

    fn new(n: u64, stays: bool) -> Self {
        Self { plan: Some(Arc::new(Plan { left: AtomicU64::new(n), stays, failed: AtomicBool::new(false) })) }
    }

    /// Whether a write has failed.
    pub fn has_failed(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.failed.load(Ordering::SeqCst))
    }

    /// Called before each write.
    pub(crate) fn step(&self) -> std::io::Result<()> {
        let Some(plan) = &self.plan else { return Ok(()) };
        let before = plan.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if before.is_ok() || (!plan.stays && plan.failed.swap(true, Ordering::SeqCst)) {
            return Ok(());
        }
        plan.failed.store(true, Ordering::SeqCst);
        Err(std::io::ErrorKind::StorageFull.into())
    }
}
