//! Where tests have a write fail: each write, sync, rename and batch of a store asks here first.
//!
//! Without the feature `testing` nothing is kept and nothing fails.

#[cfg(any(test, feature = "testing"))]
use std::sync::Arc;
#[cfg(any(test, feature = "testing"))]
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Which writes of a store fail. Clones count together.
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
    /// Before a write.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests have it fail")]
    pub(crate) fn step(&self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(any(test, feature = "testing"))]
impl Faults {
    /// Write number `n` fails, counted from 0, and no other.
    pub fn once(n: u64) -> Self {
        Self::new(n, false)
    }

    /// Write number `n` fails and all after it, as on a full disk.
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

    /// Before a write.
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
