//! From a spec to an open sandbox, and its end.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use repos::documents::ExecutorKind;
use specs::ErrorKind;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep};

use super::api::Cluster;
use super::inside::Station;
use super::manifest::{CACHE_BYTES, Plan};
use super::names;
use super::pods::{Needed, Pods};
use super::settings::{KubernetesSettings, PodSecurity};
use super::status::{self, Ended, Ran, Standing};
use crate::agent::Found;
use crate::error::{ExecError, name_of};
use crate::executor::{Executor, ExecutorInfo, OnPull};
use crate::image::{Image, ImageConfig, PullProgress, SameImage};
use crate::remote::open_with;
use crate::sandbox::{Elsewhere, Next, Sandbox};
use crate::task::{DatumTask, EventSink, Exit, FileSource, Outcome, SandboxSpec};

/// How long a pull may fail before the pod is given up.
const PULL_TIME: Duration = Duration::from_mins(2);
/// The same for a pod that only looks at an image, while someone waits for it.
const LOOK_PULL_TIME: Duration = Duration::from_secs(20);
/// How long a container may fail to start.
const START_TIME: Duration = Duration::from_secs(30);
/// Time between two looks at a pod that looks at its image.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Runs commands in pods.
#[derive(Debug)]
pub struct KubernetesExecutor {
    settings: KubernetesSettings,
    pods: OnceCell<Arc<Pods>>,
    /// The images that were looked at, by id.
    images: Mutex<HashMap<String, Known>>,
    /// Room for more pods.
    room: Arc<Semaphore>,
}

/// An image that was looked at.
#[derive(Debug, Clone)]
struct Known {
    image: Image,
    /// Under which name pods get exactly this image.
    reference: String,
    has_content: HashMap<String, bool>,
}

impl KubernetesExecutor {
    /// Creates the executor; no request is made before `check` or `open`.
    pub fn new(settings: KubernetesSettings) -> Self {
        let room = Arc::new(Semaphore::new(settings.max_pods));
        Self { settings, pods: OnceCell::new(), images: Mutex::default(), room }
    }

    async fn pods(&self) -> Result<&Arc<Pods>, ExecError> {
        let connect = || async {
            let cluster = Cluster::connect(self.settings.namespace.as_deref()).await?;
            Ok(Pods::new(cluster, self.settings.workers.clone(), self.settings.owner.clone()))
        };
        self.pods.get_or_try_init(connect).await
    }

    /// The image with `pv`.
    fn tools(&self) -> Result<&str, ExecError> {
        self.settings.image.as_deref().ok_or_else(|| unset("kubernetes.image", "an image with this pv"))
    }

    /// The URL of this process's server.
    fn advertise(&self) -> Result<&str, ExecError> {
        let url = self.settings.advertise.as_deref();
        url.ok_or_else(|| unset("kubernetes.advertise", "the URL at which pods reach `pv serve`"))
    }

    /// The pipeline's image, looked at again if this process has not seen it.
    async fn image_of(&self, spec: &SandboxSpec) -> Result<Known, ExecError> {
        let unsuited = |why| ExecError::Unsuited { executor: ExecutorKind::Kubernetes, why };
        if !spec.mounts.is_empty() {
            return Err(unsuited("cannot show a folder of this machine: its sandboxes are on others"));
        }
        let Some(id) = &spec.image else { return Err(unsuited("needs an image")) };
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        let reference = spec.same_image.as_ref().map_or_else(|| id.clone(), exact_of);
        let known = self.look(&reference, &[], &|_| {}).await?;
        match &spec.same_image {
            Some(image) if known.image.identity() != image.identity => {
                let why = format!("`{reference}` is now a different image; pv pipeline apply uses that");
                Err(ExecError::ImageGone { image: Box::new(image.clone()), why })
            }
            _ => Ok(known),
        }
    }

    fn known(&self, id: &str) -> Option<Known> {
        self.images.lock().expect("no panic under this lock").get(id).cloned()
    }

    /// Finds out what an image is, by a pod that looks at it from inside.
    async fn look(&self, reference: &str, paths: &[&str], on_pull: OnPull<'_>) -> Result<Known, ExecError> {
        let pods = self.pods().await?;
        let spec = SandboxSpec::default();
        let name = names::pod(&spec);
        let plan = Plan { settings: &self.settings, name: &name, tools: self.tools()?, image: reference, spec: &spec };
        let pod = plan.of_look(paths)?;
        let needed = pods.need(&name, "");
        pods.cluster.create(&pod, &|why| needed.waits(why)).await?;
        let ended = last_words(pods, &name, reference, on_pull).await;
        let deleted = needed.delete().await;
        let (ran, found) = ended?;
        deleted?;
        let known = known(reference, &ran, &found, paths, self.settings.security);
        let mut images = self.images.lock().expect("no panic under this lock");
        let kept = images.entry(ran.id).or_insert_with(|| known.clone());
        kept.has_content.extend(known.has_content.clone());
        Ok(known)
    }

    /// Opens a sandbox in a pod that is about to be created.
    async fn open_in(&self, spec: &SandboxSpec, files: &dyn FileSource, image: &Known) -> Result<Sandbox, ExecError> {
        let room = self.room.clone().acquire_owned().await.map_err(|_| stopped())?;
        let pods = self.pods().await?;
        let name = names::pod(spec);
        let needed = pods.need(&name, names::pipeline(spec));
        let station = Station {
            url: self.advertise()?.to_owned(),
            token: self.settings.workers.expect(&name),
            name: name.clone(),
            authority: self.settings.workers.authority(),
            env: image.image.config.env.iter().filter_map(|line| line.split_once('=')).map(owned).collect(),
            cache_bytes: CACHE_BYTES,
        };
        let plan = Plan { settings: &self.settings, name: &name, tools: self.tools()?, image: &image.reference, spec };
        pods.cluster.create(&plan.of_sandbox(&station)?, &|why| needed.waits(why)).await?;
        needed.waits(None);
        let arrived = self.settings.workers.arrival(&name);
        let worker = tokio::select! {
            worker = arrived => worker,
            error = gives_up(&needed, &image.reference) => return Err(error),
        };
        let about = needed.joined().await?;
        let is_pinned = image.image.registry_digest.is_some();
        let ran = if is_pinned { about.image } else { Some(needed.image().await?) };
        ensure_same(ran.as_ref(), spec, &image.image)?;
        let spec = self.in_pod(spec, &image.image.config);
        let opened = open_with(&self.settings.workers, &worker, &spec, files).await?;
        let node = about.node.unwrap_or_default();
        let place = format!("{node}/{name}");
        Ok(Sandbox::elsewhere(Box::new(InAPod { inner: opened, needed, place, lost: None, _room: room })))
    }

    /// What the pod's worker is asked to open: user and directory are the image's, if the spec names none.
    fn in_pod(&self, spec: &SandboxSpec, config: &ImageConfig) -> SandboxSpec {
        let filled = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let user = match self.settings.security {
            PodSecurity::Baseline => spec.user.clone().or(filled(&config.user)),
            PodSecurity::Restricted => spec.user.clone(),
        };
        let working_dir = spec.working_dir.clone().or(filled(&config.working_dir));
        SandboxSpec { user, working_dir, ..spec.clone() }
    }
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn stopped() -> ExecError {
    ExecError::SandboxLost { why: "the executor ends".to_owned() }
}

fn unset(setting: &str, what: &str) -> ExecError {
    ExecError::Cluster {
        what: format!("the executor kubernetes needs the setting {setting}: {what}"),
        kind: ErrorKind::Usage,
        hint: Some(format!("set it: pv config set {setting} …; see docs/kubernetes.md")),
    }
}

/// The name under which exactly this image is pulled; without a digest of a registry, the reference itself.
fn exact(reference: &str, registry_digest: Option<&String>) -> String {
    registry_digest.map_or_else(|| reference.to_owned(), |digest| format!("{}@{digest}", name_of(reference)))
}

fn exact_of(image: &SameImage) -> String {
    exact(&image.reference, image.registry_digest.as_ref())
}

/// What is known of an image from a look at it.
fn known(reference: &str, ran: &Ran, found: &Found, paths: &[&str], security: PodSecurity) -> Known {
    let user = match (security, found.uid, found.gid) {
        // Nobody chose this user.
        (PodSecurity::Restricted, ..) | (_, 0, 0) => String::new(),
        // The group is that of the image's own `/etc/passwd`, unless the image names one.
        (_, uid, 0) => uid.to_string(),
        (_, uid, gid) => format!("{uid}:{gid}"),
    };
    let config = ImageConfig {
        os: "linux".to_owned(),
        architecture: found.architecture.clone(),
        diff_ids: vec![ran.id.clone()],
        env: found.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        user,
        working_dir: found.working_dir.clone(),
        ..ImageConfig::default()
    };
    let image = Image {
        reference: reference.to_owned(),
        id: ran.id.clone(),
        registry_digest: ran.registry_digest.clone(),
        config,
    };
    let has_content = paths.iter().map(|path| (*path).to_owned()).zip(found.has_content.iter().copied()).collect();
    Known { image, reference: exact(reference, ran.registry_digest.as_ref()), has_content }
}

/// Waits for the last words of a pod that looks at its image.
async fn last_words(pods: &Pods, name: &str, reference: &str, on_pull: OnPull<'_>) -> Result<(Ran, Found), ExecError> {
    let mut patience = Patience::new(LOOK_PULL_TIME);
    let mut said = None;
    loop {
        let pod = pods.cluster.get(name).await?.ok_or_else(|| lost("its pod was deleted"))?;
        if let Some((code, words)) = status::last_words(&pod) {
            return found(&pod, code, &words, reference);
        }
        let standing = status::standing(&pod);
        patience.bear(&standing, reference)?;
        let status = match standing {
            Standing::Waits(why) => why.unwrap_or_else(|| "Pulling".to_owned()),
            Standing::NoImage(why) | Standing::Broken(why) => why,
            Standing::Ended(ended) => return Err(lost(&ended.words())),
            Standing::Runs => "Looking".to_owned(),
        };
        if said.as_ref() != Some(&status) {
            on_pull(PullProgress { layer: String::new(), status: status.clone(), current_bytes: 0, total_bytes: 0 });
            said = Some(status);
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

fn found(pod: &Pod, code: i32, words: &str, reference: &str) -> Result<(Ran, Found), ExecError> {
    let found = serde_json::from_str(words).ok().filter(|_| code == 0);
    let found = found.ok_or_else(|| lost(&format!("a pod with `{reference}` ended with code {code}: {words}")))?;
    let ran = status::image(pod).ok_or_else(|| lost("the cluster does not say which image it ran"))?;
    Ok((ran, found))
}

fn lost(why: &str) -> ExecError {
    ExecError::SandboxLost { why: why.to_owned() }
}

/// How long faults of a pod are borne.
struct Patience {
    pull: Duration,
    since: Option<Instant>,
}

impl Patience {
    fn new(pull: Duration) -> Self {
        Self { pull, since: None }
    }

    /// An error once a fault has lasted too long.
    fn bear(&mut self, standing: &Standing, reference: &str) -> Result<(), ExecError> {
        let most = match standing {
            Standing::NoImage(_) => self.pull,
            Standing::Broken(_) => START_TIME,
            _ => {
                self.since = None;
                return Ok(());
            }
        };
        if self.since.get_or_insert_with(Instant::now).elapsed() < most {
            return Ok(());
        }
        Err(match standing {
            Standing::NoImage(why) => ExecError::PullFailed {
                reference: reference.to_owned(),
                why: format!("{why} (for {} s)", most.as_secs()),
            },
            Standing::Broken(why) => lost(&format!("its pod cannot start: {why}")),
            _ => return Ok(()),
        })
    }
}

/// Ends when a pod is to be given up before its worker has joined.
async fn gives_up(needed: &Needed, reference: &str) -> ExecError {
    let mut patience = Patience::new(PULL_TIME);
    loop {
        needed.changed().await;
        let Some(about) = needed.about() else { return stopped() };
        if let Standing::Ended(ended) = &about.standing {
            return lost(&format!("its pod ended before it could be used: {}", ended.words()));
        }
        if let Err(error) = patience.bear(&about.standing, reference) {
            return error;
        }
    }
}

/// The stage runs the image that was pinned, and not what a tag names meanwhile. `ran` may be absent only for an image that is named by its
/// digest: the node ensures that one.
fn ensure_same(ran: Option<&Ran>, spec: &SandboxSpec, image: &Image) -> Result<(), ExecError> {
    let Some(ran) = ran.filter(|ran| ran.id != image.id) else { return Ok(()) };
    let why = format!("the node has {} under its name", ran.id);
    Err(match &spec.same_image {
        Some(same) => ExecError::ImageGone { image: Box::new(same.clone()), why },
        None => ExecError::ImageNotFound { reference: image.reference.clone(), why },
    })
}

#[async_trait]
impl Executor for KubernetesExecutor {
    fn kind(&self) -> ExecutorKind {
        ExecutorKind::Kubernetes
    }

    async fn check(&self) -> Result<ExecutorInfo, ExecError> {
        // Said here, before a datum needs them.
        self.tools()?;
        self.advertise()?;
        let version = self.pods().await?.cluster.version().await?;
        Ok(ExecutorInfo {
            kind: self.kind(),
            version: version.trim_start_matches('v').to_owned(),
            host: String::new(),
            platform: ("linux".to_owned(), String::new()),
        })
    }

    async fn resolve_image(&self, reference: &str, on_pull: OnPull<'_>) -> Result<Image, ExecError> {
        Ok(self.look(reference, &[], on_pull).await?.image)
    }

    async fn has_image(&self, image: &SameImage) -> Result<bool, ExecError> {
        match self.look(&exact_of(image), &[], &|_| {}).await {
            Ok(known) => Ok(known.image.identity() == image.identity),
            Err(ExecError::PullFailed { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn has_content_at(&self, image: &str, path: &str) -> Result<bool, ExecError> {
        let known = self.known(image);
        if let Some(has) = known.as_ref().and_then(|known| known.has_content.get(path)) {
            return Ok(*has);
        }
        let reference = known.map_or_else(|| image.to_owned(), |known| known.reference);
        let known = self.look(&reference, &[path], &|_| {}).await?;
        Ok(known.has_content.get(path).copied().unwrap_or_default())
    }

    /// Waits until the cluster has room for its pod.
    async fn open(&self, spec: &SandboxSpec, files: &dyn FileSource) -> Result<Sandbox, ExecError> {
        let image = self.image_of(spec).await?;
        self.open_in(spec, files, &image).await
    }

    fn slots(&self) -> Option<watch::Receiver<usize>> {
        Some(self.settings.workers.room_for_pods())
    }

    fn is_full(&self) -> bool {
        self.room.available_permits() == 0
    }

    fn idle_max(&self) -> Option<Duration> {
        Some(self.settings.idle)
    }

    fn awaits(&self, spec: &SandboxSpec) -> Option<String> {
        self.pods.get()?.awaits(names::pipeline(spec))
    }

    async fn clean_up(&self, alive: &BTreeSet<String>) -> Result<(), ExecError> {
        let (pods, owner) = (self.pods().await?, &self.settings.owner);
        let alive: BTreeSet<String> = alive.iter().chain([&owner.instance]).map(|id| names::value(id)).collect();
        for pod in pods.cluster.list(&names::of_store(owner)).await? {
            let instance = pod.metadata.labels.as_ref().and_then(|labels| labels.get(names::INSTANCE));
            if let Some((name, instance)) = pod.metadata.name.as_ref().zip(instance)
                && !alive.contains(instance)
            {
                pods.cluster.delete(name).await?;
            }
        }
        Ok(())
    }
}

/// A sandbox in a pod, which ends with it.
struct InAPod {
    inner: Sandbox,
    needed: Needed,
    /// Node and pod.
    place: String,
    /// Why no further try may run here.
    lost: Option<String>,
    _room: OwnedSemaphorePermit,
}

impl InAPod {
    /// What became of a try whose sandbox was lost: the cluster knows whether the command itself was the reason.
    async fn explain(&mut self, error: ExecError) -> Result<Outcome, ExecError> {
        let why = match error {
            ExecError::SandboxLost { why } | ExecError::WorkerLost { why, .. } => why,
            other => return Err(other),
        };
        self.lost = Some(why.clone());
        let ended = self.needed.ended().await;
        match ended {
            Some(Ended::OutOfMemory) => Ok(killed(true)),
            Some(Ended::OutOfStorage(words)) => {
                tracing::warn!("pod {}: {words}", self.place);
                Ok(killed(false))
            }
            Some(Ended::Otherwise(words)) => Err(self.gone(format!("{why}; {words}"))),
            None => Err(self.gone(why)),
        }
    }

    fn gone(&self, why: String) -> ExecError {
        ExecError::WorkerLost { worker: self.place.clone(), why }
    }
}

/// The end of a command that the node killed together with its container.
fn killed(out_of_memory: bool) -> Outcome {
    Outcome {
        exit: Exit::Signal(9),
        pull_time: Duration::ZERO,
        process_time: Duration::ZERO,
        take_in_time: Duration::ZERO,
        since: Duration::ZERO,
        out_of_memory,
    }
}

#[async_trait]
impl Elsewhere for InAPod {
    fn worker(&self) -> &str {
        &self.place
    }

    async fn run_before(
        &mut self,
        task: &Arc<DatumTask>,
        files: &dyn FileSource,
        events: &mut dyn EventSink,
        next: Next<'_>,
    ) -> Result<Outcome, ExecError> {
        match self.inner.run_before(task, files, events, next).await {
            Ok(outcome) => Ok(outcome),
            Err(error) => self.explain(error).await,
        }
    }

    fn has_memory_limit(&self) -> bool {
        self.inner.has_memory_limit()
    }

    fn is_clean(&self) -> bool {
        self.lost.is_none() && self.inner.is_clean()
    }

    fn spent_by(&self) -> Option<&str> {
        self.lost.as_deref().or_else(|| self.inner.spent_by())
    }

    async fn close(self: Box<Self>) -> Result<(), ExecError> {
        let Self { inner, needed, lost, .. } = *self;
        let closed = if lost.is_some() { Ok(()) } else { inner.close().await };
        closed.and(needed.delete().await)
    }
}
