//! Machines that are out of order: others are preferred, and they are tried again.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use repos::documents::ExecutorKind;
use tokio::time::{Instant, sleep};

use super::{Network, Remote, copies, open};
use crate::error::ExecError;
use crate::executor::{Executor, ExecutorInfo, OnPull};
use crate::image::Image;
use crate::sandbox::Sandbox;
use crate::scripted::ScriptedExecutor;
use crate::task::{FileSource, SandboxSpec};

/// An executor whose disk is full for a while.
#[derive(Debug)]
struct Sick {
    is_full: Arc<AtomicBool>,
    well: ScriptedExecutor,
}

impl Sick {
    /// The executor, and whether its disk is full.
    fn new() -> (Self, Arc<AtomicBool>) {
        let is_full = Arc::new(AtomicBool::new(true));
        (Self { is_full: is_full.clone(), well: ScriptedExecutor::new(copies) }, is_full)
    }
}

#[async_trait]
impl Executor for Sick {
    fn kind(&self) -> ExecutorKind {
        self.well.kind()
    }

    async fn check(&self) -> Result<ExecutorInfo, ExecError> {
        self.well.check().await
    }

    async fn resolve_image(&self, reference: &str, on_pull: OnPull<'_>) -> Result<Image, ExecError> {
        self.well.resolve_image(reference, on_pull).await
    }

    async fn has_content_at(&self, image: &str, path: &str) -> Result<bool, ExecError> {
        self.well.has_content_at(image, path).await
    }

    async fn open(&self, spec: &SandboxSpec, files: &dyn FileSource) -> Result<Sandbox, ExecError> {
        if self.is_full.load(Ordering::Relaxed) {
            let source = io::ErrorKind::StorageFull.into();
            return Err(ExecError::Io { action: "write", path: "/scratch".into(), source });
        }
        self.well.open(spec, files).await
    }

    async fn clean_up(&self, alive: &BTreeSet<String>) -> Result<(), ExecError> {
        self.well.clean_up(alive).await
    }
}

#[tokio::test(start_paused = true)]
async fn another_worker_is_preferred_to_one_whose_disk_is_full() {
    let network = Network::new();
    let (sick, is_full) = Sick::new();
    let _sick = Remote::join(&network, "a-sick", 1, sick).await;
    let _well = Remote::join(&network, "b-well", 1, ScriptedExecutor::new(copies)).await;
    let first = open(&network.workers).await;
    let second = open(&network.workers).await;
    assert_eq!([first.worker(), second.worker()], [Some("b-well"); 2]);
    is_full.store(false, Ordering::Relaxed);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(open(&network.workers).await.worker(), Some("a-sick"), "it has fewer sandboxes");
}

#[tokio::test(start_paused = true)]
async fn the_only_worker_is_tried_again_until_its_disk_has_room() {
    let network = Network::new();
    let (sick, is_full) = Sick::new();
    let _sick = Remote::join(&network, "a-sick", 1, sick).await;
    let begun = Instant::now();
    let heals = async {
        sleep(Duration::from_secs(40)).await;
        is_full.store(false, Ordering::Relaxed);
    };
    let (sandbox, ()) = tokio::join!(open(&network.workers), heals);
    assert_eq!(sandbox.worker(), Some("a-sick"));
    assert!(begun.elapsed() >= Duration::from_secs(40));
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_stays_full_is_an_error_in_the_end() {
    let network = Network::new();
    let (sick, _) = Sick::new();
    let _sick = Remote::join(&network, "a-sick", 1, sick).await;
    let error = network.workers.open(&SandboxSpec::default(), &super::Files::default()).await.unwrap_err();
    assert!(matches!(&error, ExecError::OnWorker { worker, .. } if worker == "a-sick"), "{error}");
}
