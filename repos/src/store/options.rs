//! How to open a store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::error::RepoError;
use crate::base::faults::Faults;
use crate::base::time::{Clock, SystemClock};
use crate::objects::packs::writer::FULL_BYTES;
use crate::objects::packs::{LocalPacks, ObjectPacks, PackStore};
use crate::objects::place::{Access, Place};

/// Tells the user what a process waits for.
pub(super) type Notify = Arc<dyn Fn(&str) + Send + Sync>;

/// How to open a store.
#[derive(Clone)]
pub struct OpenOptions {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) notify: Notify,
    pub(super) pack_bytes: u64,
    pub(super) faults: Faults,
    access: Access,
    pub(super) key: Option<PathBuf>,
    #[cfg(any(test, feature = "testing"))]
    wrap_packs: Option<WrapPacks>,
    #[cfg(any(test, feature = "testing"))]
    place: Option<Place>,
}

/// Wraps the pack store, for example to inject failures.
#[cfg(any(test, feature = "testing"))]
type WrapPacks = Arc<dyn Fn(Arc<dyn PackStore>) -> Arc<dyn PackStore> + Send + Sync>;

impl std::fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenOptions").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            notify: Arc::new(|_| {}),
            pack_bytes: FULL_BYTES,
            faults: Faults::default(),
            access: Access::default(),
            key: None,
            #[cfg(any(test, feature = "testing"))]
            wrap_packs: None,
            #[cfg(any(test, feature = "testing"))]
            place: None,
        }
    }
}

impl OpenOptions {
    /// Uses another clock than the machine's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Called with what this process waits for, if that takes longer than a moment.
    #[must_use]
    pub fn notify(mut self, notify: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.notify = Arc::new(notify);
        self
    }

    /// Starts a new pack once one is longer than this many bytes; the default is 1 GiB.
    #[must_use]
    pub fn pack_bytes(mut self, bytes: u64) -> Self {
        self.pack_bytes = bytes;
        self
    }

    /// The credentials for packs and journal in an object store.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Uses another file for the private key instead of `.pv/key`.
    #[must_use]
    pub fn key(mut self, file: PathBuf) -> Self {
        self.key = Some(file);
        self
    }

    /// Uses this place, whatever URL the store names.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn place(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// The place at a URL.
    pub(super) fn place_at(&self, url: &str) -> Result<Place, RepoError> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(place) = &self.place {
            return Ok(place.clone());
        }
        Place::open(url, &self.access)
    }

    /// Wraps the pack store.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn wrap_packs(
        mut self,
        wrap: impl Fn(Arc<dyn PackStore>) -> Arc<dyn PackStore> + Send + Sync + 'static,
    ) -> Self {
        self.wrap_packs = Some(Arc::new(wrap));
        self
    }

    /// Injects failures into writes to packs, journal and index.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults.clone();
        self.wrap_packs(move |packs| Arc::new(crate::objects::packs::testing::FailAt::with(packs, faults.clone())))
    }

    #[cfg_attr(
        not(any(test, feature = "testing")),
        expect(clippy::unused_self, reason = "tests put a wrapper around it")
    )]
    pub(super) fn packs(&self, folder: &Path, place: Option<&Place>) -> Arc<dyn PackStore> {
        let packs: Arc<dyn PackStore> = match place {
            Some(place) => Arc::new(ObjectPacks::new(place.clone(), folder)),
            None => Arc::new(LocalPacks::new(folder.join("packs"))),
        };
        #[cfg(any(test, feature = "testing"))]
        if let Some(wrap) = &self.wrap_packs {
            return wrap(packs);
        }
        packs
    }
}
