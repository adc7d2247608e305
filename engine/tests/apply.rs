//! Apply and the commands on pipelines and jobs, on a real store with executors that only know image references.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use repos::documents::{CodeStamp, ExecutorKind, JobDocument, Transform, VersionDocument};
use repos::journal::SealedState;
use repos::settings;
use repos::tree::Tree;
use specs::{ErrorKind, PipelineName, parse_specs};

use super::setting::Setting;
use engine::apply::{
    Applied, AppliedState, Data, Request, SpecSources, apply, apply_with_own, check, deletable_pipeline,
    delete_pipeline, refresh_versions, rerun, retry, stop_job, stop_jobs,
};
use engine::changes;
use engine::executors::{Executors, choose_executor, keep};
use engine::{EngineError, Graph};
use sandbox::{ExecError, Executor, ExecutorInfo, FileSource, Image, ImageConfig, OnPull, Sandbox, SandboxSpec};

/// An executor that answers or is unavailable, and knows some images by reference.
#[derive(Debug)]
struct Known {
    kind: ExecutorKind,
    answer: Mutex<Answer>,
    images: Mutex<BTreeMap<String, ImageConfig>>,
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Yes,
    NotThere,
    Denied,
}

impl Known {
    fn of(kind: ExecutorKind) -> Arc<Self> {
        Arc::new(Self { kind, answer: Mutex::new(Answer::Yes), images: Mutex::default() })
    }

    fn image(&self, reference: &str, layer: &str, cmd: &[&str]) {
        let config = ImageConfig {
            diff_ids: vec![layer.to_owned()],
            cmd: cmd.iter().map(|&word| word.to_owned()).collect(),
            ..ImageConfig::default()
        };
        self.images.lock().unwrap().insert(reference.to_owned(), config);
    }
}

#[async_trait]
impl Executor for Known {
    fn kind(&self) -> ExecutorKind {
        self.kind
    }

    async fn check(&self) -> Result<ExecutorInfo, ExecError> {
        let address = "/var/run/docker.sock".to_owned();
        match *self.answer.lock().unwrap() {
            Answer::Yes => Ok(ExecutorInfo {
                kind: self.kind,
                version: "1".to_owned(),
                host: "here".to_owned(),
                platform: ("linux".to_owned(), "x86_64".to_owned()),
            }),
            Answer::NotThere => Err(ExecError::NotAnswering { executor: self.kind, address, source: "refused".into() }),
            Answer::Denied => Err(ExecError::PermissionDenied { address }),
        }
    }

    async fn resolve_image(&self, reference: &str, _: OnPull<'_>) -> Result<Image, ExecError> {
        let missing = || ExecError::ImageNotFound { reference: reference.to_owned(), why: "unknown".to_owned() };
        let config = self.images.lock().unwrap().get(reference).cloned().ok_or_else(missing)?;
        Ok(Image { reference: reference.to_owned(), id: "sha256:1".to_owned(), registry_digest: None, config })
    }

    async fn has_content_at(&self, image: &str, path: &str) -> Result<bool, ExecError> {
        assert_eq!(image, "sha256:1");
        Ok(path == "/code")
    }

    async fn open(&self, _: &SandboxSpec, _: &dyn FileSource) -> Result<Sandbox, ExecError> {
        Err(ExecError::Unsuited { executor: self.kind, why: "runs nothing" })
    }

    async fn clean_up(&self, _: &BTreeSet<String>) -> Result<(), ExecError> {
        Ok(())
    }
}

async fn apply_in(s: &Setting, executor: &Known, folder: &Path, text: &str, dry: bool) -> engine::Result<Applied> {
    let file = "p.yml".to_owned();
    let set = parse_specs(&[(file.clone(), text.to_owned())]);
    let sources = SpecSources::from([(file, folder.into())]);
    apply(
        &s.store,
        executor,
        Request { set: &set, sources: &sources, by: &s.by, dry, on_pull: &|_| {}, announce: &|_| {} },
    )
    .await
}

async fn apply_text(s: &Setting, executor: &Known, text: &str) -> engine::Result<Applied> {
    apply_in(s, executor, Path::new("/nonexistent"), text, false).await
}

/// A spec with one input and `more` in its transform.
fn spec(name: &str, repo: &str, more: &str) -> String {
    format!(
        "pipeline: {{name: {name}}}\ntransform: {{cmd: [{name}]{more}}}\ninput: {{pfs: {{repo: {repo}, glob: '/*'}}}}\n"
    )
}

fn version_of(s: &Setting, name: &str) -> VersionDocument {
    let row = s.store.pipeline(&name.parse().unwrap()).unwrap();
    s.store.document(&row.document).unwrap()
}

fn transform_of(s: &Setting, name: &str) -> Transform {
    s.store.document(&version_of(s, name).transform).unwrap()
}

fn name(text: &str) -> PipelineName {
    text.parse().unwrap()
}

/// The diagnostics of specs, one per line: place, message, hint.
fn said(error: EngineError) -> Vec<String> {
    let EngineError::Specs { diagnostics, .. } = error else { panic!("{error:?}") };
    diagnostics.iter().map(|one| format!("{one} ({})", one.hint.clone().unwrap_or_default())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_between_specs_and_store_is_told_at_once() {
    let (s, process) = (Setting::new(), Known::of(ExecutorKind::Process));
    s.repo("images").repo("rules");
    let text = [
        "pipeline: {name: up}\ntransform: {cmd: [up], code: gone}\ninput: {pfs: {repo: image, glob: '/*'}}\n",
        "pipeline: {name: down}\ntransform: {env: {A: b}}\ninput: {pfs: {repo: up, branch: dev, glob: '/*'}}\n",
    ];
    let said = said(apply_text(&s, &process, &text.join("---\n")).await.unwrap_err());
    assert_eq!(said.len(), 5, "{said:#?}");
    assert!(said[0].starts_with("p.yml:2:30: `code`: `/nonexistent/gone`: "), "{}", said[0]);
    assert_eq!(said[1], "p.yml:3:21: input `image`: repository `image` not found (did you mean `images`?)");
    assert!(said[3].starts_with("p.yml:6:12: pipeline `down` has no `cmd`"), "{}", said[3]);
    assert_eq!(
        said[4],
        "p.yml:7:33: input `up`: pipeline `up` writes `main`; branch `dev` is created empty \
         (pv branch move up@dev up@main  moves it to that commit)"
    );
    assert!(s.store.pipelines().unwrap().is_empty());
    assert_eq!(s.store.runs_count().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_a_person_holds_is_a_conflict_and_other_problems_go_first() {
    let (s, process) = (Setting::new(), Known::of(ExecutorKind::Process));
    s.repo("images").repo("up");
    let error = apply_text(&s, &process, &spec("up", "images", "")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().starts_with("p.yml:1:18: "), "{error}");
    let error = apply_text(&s, &process, &spec("up", "imags", "")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(said(error).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cycle_through_pipelines_of_the_store_is_refused() {
    let (s, process) = (Setting::new(), Known::of(ExecutorKind::Process));
    s.repo("images");
    let two = format!("{}---\n{}", spec("one", "images", ""), spec("two", "one", ""));
    apply_text(&s, &process, &two).await.unwrap();
    let said = said(apply_text(&s, &process, &spec("one", "two", "")).await.unwrap_err());
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("p.yml:3:21: pipelines wait for each other: "), "{}", said[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_glob_that_fits_nothing_is_told_with_one_that_does() {
    let (s, process) = (Setting::new(), Known::of(ExecutorKind::Process));
    s.repo("images").put("images", [("/cam1/a.jpg", Some("1")), ("/cam1/b.jpg", Some("2"))]);
    let text = spec("up", "images", "").replace("/*", "/cam1/*.jpeg");
    let applied = apply_text(&s, &process, &text).await.unwrap();
    let warnings: Vec<_> = applied.warnings.iter().map(|one| (one.to_string(), one.hint.clone())).collect();
    let message = "p.yml:3:35: input `images`: glob `/cam1/*.jpeg` matches no file of `images`";
    assert_eq!(warnings, [(message.to_owned(), Some("`/cam1/*.jpg` fits".to_owned()))]);
    assert!(apply_text(&s, &process, &spec("up", "images", "")).await.unwrap().warnings.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_differs_gets_a_new_version_and_ends_what_the_old_one_had_to_do() {
    let (s, process) = (Setting::new(), Known::of(ExecutorKind::Process));
    s.repo("images").put("images", [("/a", Some("1"))]);
    let two = format!("{}---\n{}", spec("one", "images", ""), spec("two", "one", ""));
    let first = apply_text(&s, &process, &two).await.unwrap();
    assert_eq!(first.jobs, [name("one"), name("two")]);
    assert!(first.pipelines.iter().all(|pipeline| pipeline.state == AppliedState::Created && pipeline.version == 1));

    let again = apply_text(&s, &process, &two).await.unwrap();
    assert_eq!((again.run, again.jobs.len(), s.store.open_jobs().unwrap().len()), (None, 0, 2));

    let changed = two.replace("cmd: [two]", "cmd: [two], env: {A: b}");
    let dry = apply_in(&s, &process, Path::new("/"), &changed, true).await.unwrap();
    assert_eq!((dry.run, dry.jobs.as_slice()), (None, [name("two")].as_slice()));
    assert_eq!(version_of(&s, "two").version, 1);

    let old = s.job("two");
    let second = apply_text(&s, &process, &changed).await.unwrap();
    let states: Vec<_> = second.pipelines.iter().map(|one| (one.version, one.state, one.why.join(" "))).collect();
    assert_eq!(states, [(1, AppliedState::Unchanged, String::new()), (2, AppliedState::Updated, "env".to_owned())]);
    let ended = s.store.job(old.order, &old.pipeline).unwrap().unwrap();
    assert_eq!(ended.sealed, Some(SealedState::Killed));
    let document: JobDocument = s.store.document(&ended.document.unwrap()).unwrap();
    assert_eq!(document.reason.as_deref(), Some("replaced by version 2"));
    assert_eq!(s.job("two").run, second.run.unwrap());
    assert_eq!(s.job("one").sealed, None, "the unchanged pipeline's job goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_of_a_pipeline_still_runs_on_what_is_yet_to_come() {
    let (s, process) = (Setting::new(), Known::of(ExecutorKind::Process));
    s.repo("images").put("images", [("/a", Some("1"))]);
    let two = format!("{}---\n{}", spec("one", "images", ""), spec("two", "one", ""));
    apply_text(&s, &process, &two).await.unwrap();
    apply_text(&s, &process, &spec("two", "one", ", env: {A: b}")).await.unwrap();
    s.run().await;
    assert_eq!(s.files("two"), [("/a".to_owned(), "1|one|two".to_owned())].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pinned_by_what_it_is() {
    let (s, docker) = (Setting::new(), Known::of(ExecutorKind::Docker));
    s.repo("images");
    docker.image("d:1", "sha256:aa", &["run"]);
    let text = spec("up", "images", ", image: 'd:1'");
    apply_text(&s, &docker, &text).await.unwrap();
    let pinned = version_of(&s, "up").image.unwrap();
    assert_eq!((pinned.reference.as_str(), Some(pinned.digest)), ("d:1", transform_of(&s, "up").image));
    assert!(transform_of(&s, "up").host.is_none());
    assert_eq!(apply_text(&s, &docker, &text).await.unwrap().run, None);

    docker.image("d:1", "sha256:bb", &["run"]);
    assert_eq!(apply_text(&s, &docker, &text).await.unwrap().pipelines[0].why, ["image"]);
    docker.image("d:2", "sha256:bb", &["run"]);
    let other = spec("up", "images", ", image: 'd:2'");
    assert_eq!(apply_text(&s, &docker, &other).await.unwrap().pipelines[0].why, ["image reference"]);

    let missing = apply_text(&s, &docker, &spec("up", "images", ", image: 'e:1'")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_spec_leaves_out_comes_from_image_and_settings() {
    let (s, docker) = (Setting::new(), Known::of(ExecutorKind::Docker));
    s.repo("images");
    docker.image("d:1", "sha256:aa", &["run", "it"]);
    docker.image("silent:1", "sha256:bb", &[]);
    let text = "pipeline: {name: up}\ntransform: {env: {A: b}}\ninput: {pfs: {repo: images, glob: '/*'}}\n";
    let none = said(apply_text(&s, &docker, text).await.unwrap_err());
    assert!(none.iter().any(|line| line.starts_with("p.yml:2:12: pipeline `up` has no image")), "{none:?}");

    s.store.set_setting(&settings::DEFAULT_IMAGE, Some("silent:1")).unwrap();
    let silent = said(apply_text(&s, &docker, text).await.unwrap_err());
    assert!(silent.iter().any(|line| line.contains("image `silent:1` has no entrypoint")), "{silent:?}");

    s.store.set_setting(&settings::DEFAULT_IMAGE, Some("d:1")).unwrap();
    s.store.set_setting(&settings::NETWORK, Some("none")).unwrap();
    let applied = apply_text(&s, &docker, text).await.unwrap();
    assert!(applied.warnings.iter().any(|one| one.message.contains("using `d:1` from the setting `default_image`")));
    assert_eq!(version_of(&s, "up").entrypoint, ["run", "it"]);
    assert_eq!(transform_of(&s, "up").network, specs::Network::None);
}

#[tokio::test(flavor = "multi_thread")]
async fn code_may_not_hide_what_is_there_and_has_another_place() {
    let s = Setting::new();
    s.repo("images");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("code")).unwrap();
    std::fs::write(folder.path().join("code/run.sh"), "echo 1").unwrap();
    let docker = Known::of(ExecutorKind::Docker);
    docker.images.lock().unwrap().insert("d:1".to_owned(), ImageConfig::default());
    let text = |more: &str| spec("up", "images", &format!(", image: 'd:1', code: code{more}"));
    let refused = said(apply_in(&s, &docker, folder.path(), &text(""), false).await.unwrap_err());
    let expected = "`code` would hide files of image `d:1` at `/code` (mount the code at an unused path, as in \
                    `code_path: /app`, and use that path in `cmd`)";
    assert_eq!(refused.iter().filter(|line| line.contains(expected)).count(), 1, "{refused:?}");
    apply_in(&s, &docker, folder.path(), &text(", code_path: /app"), false).await.unwrap();
    assert_eq!(transform_of(&s, "up").code_path.as_deref(), Some("/app"));

    let process = Known::of(ExecutorKind::Process);
    let system =
        said(apply_in(&s, &process, folder.path(), &text(", code_path: /usr/lib/app"), false).await.unwrap_err());
    assert!(
        system.iter().any(|line| line.contains("would hide files of `/usr` in the process executor")),
        "{system:?}"
    );
    apply_in(&s, &process, folder.path(), &text(""), false).await.unwrap();
    assert_eq!(transform_of(&s, "up").code_path, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn code_is_a_tree_of_its_folder() {
    let (s, process) = (Setting::new(), Known::of(ExecutorKind::Process));
    s.repo("images");
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("code");
    std::fs::create_dir_all(code.join(".git")).unwrap();
    std::fs::write(code.join(".git/HEAD"), "no code").unwrap();
    std::fs::write(code.join("run.sh"), "echo 1").unwrap();
    let text = spec("up", "images", ", code: code");
    apply_in(&s, &process, folder.path(), &text, false).await.unwrap();
    let CodeStamp { tree, git_commit, .. } = version_of(&s, "up").code.unwrap();
    assert_eq!((tree, git_commit), (transform_of(&s, "up").code, None));
    let tree = Tree::at(tree.unwrap());
    assert_eq!(tree.totals(&s.store).unwrap().entries, 1);
    assert!(tree.file(&s.store, &"/run.sh".parse().unwrap()).unwrap().is_some());

    std::fs::write(code.join("run.sh"), "echo 2").unwrap();
    assert_eq!(apply_in(&s, &process, folder.path(), &text, false).await.unwrap().pipelines[0].why, ["code"]);

    let set = parse_specs(&[("p.yml".to_owned(), text)]);
    let sources = SpecSources::from([("p.yml".to_owned(), folder.path().into())]);
    assert!(check(&set, &sources).unwrap().is_empty());
    std::fs::remove_dir_all(&code).unwrap();
    std::fs::write(&code, "a file").unwrap();
    assert!(said(check(&set, &sources).unwrap_err())[0].contains("is not a folder"));
}

#[tokio::test(flavor = "multi_thread")]
async fn host_files_that_a_command_names_are_part_of_it() {
    use std::os::unix::fs::PermissionsExt;
    let (s, process) = (Setting::new(), Known::of(ExecutorKind::Process));
    s.repo("images");
    let tools = tempfile::tempdir().unwrap();
    let (tool, secret) = (tools.path().join("tool"), tools.path().join("secret"));
    for (path, mode) in [(&tool, 0o755), (&secret, 0o600)] {
        std::fs::write(path, "1").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let folder = tools.path().display();
    let text = spec("up", "images", &format!(", stdin: ['{folder}/tool <{folder}/secret', '/bin/sh']"));
    apply_text(&s, &process, &text).await.unwrap();
    assert_eq!(transform_of(&s, "up").host_files.keys().collect::<Vec<_>>(), ["/bin/sh"], "others are not shown");

    s.store.set_setting(&settings::PROCESS_PATHS, Some(&folder.to_string())).unwrap();
    apply_text(&s, &process, &text).await.unwrap();
    let files = transform_of(&s, "up").host_files;
    assert_eq!(files[&tool.display().to_string()], repos::hash::digest_of(b"1"));
    assert_eq!(files.len(), 2, "what others may not read is left out");
    std::fs::write(&tool, "2").unwrap();
    assert_eq!(apply_text(&s, &process, &text).await.unwrap().pipelines[0].why, ["host_files"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_executor_is_settled_once_and_never_replaced() {
    let s = Setting::new();
    let (docker, process) = (Known::of(ExecutorKind::Docker), Known::of(ExecutorKind::Process));
    let both = Executors {
        docker: docker.clone(),
        process: process.clone(),
        workers: Known::of(ExecutorKind::Workers),
        kubernetes: Known::of(ExecutorKind::Kubernetes),
    };
    *docker.answer.lock().unwrap() = Answer::Denied;
    assert_eq!(choose_executor(&s.store, &both).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(s.store.setting(&settings::EXECUTOR).unwrap(), None, "no way was chosen for good");

    *docker.answer.lock().unwrap() = Answer::NotThere;
    let settled = choose_executor(&s.store, &both).await.unwrap();
    assert_eq!((settled.executor.kind(), settled.is_new), (ExecutorKind::Process, true));
    assert_eq!(s.store.setting(&settings::EXECUTOR).unwrap(), None, "nothing has come of it yet");
    keep(&s.store, &settled).unwrap();
    *docker.answer.lock().unwrap() = Answer::Yes;
    let settled = choose_executor(&s.store, &both).await.unwrap();
    assert_eq!((settled.executor.kind(), settled.is_new), (ExecutorKind::Process, false));
    *process.answer.lock().unwrap() = Answer::NotThere;
    assert_eq!(choose_executor(&s.store, &both).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_executor_makes_new_versions_of_all_pipelines() {
    let (s, process) = (Setting::new(), Known::of(ExecutorKind::Process));
    let docker = Known::of(ExecutorKind::Docker);
    docker.image("d:1", "sha256:aa", &[]);
    s.repo("images").put("images", [("/a", Some("1"))]);
    apply_text(&s, &process, &spec("up", "images", ", image: 'd:1'")).await.unwrap();
    assert!(refresh_versions(&s.store, &*process, &s.by, &|_| {}).await.unwrap().is_none());

    let applied = refresh_versions(&s.store, &*docker, &s.by, &|_| {}).await.unwrap().unwrap();
    assert_eq!(applied.pipelines[0].why, ["executor", "host", "image"]);
    assert_eq!((version_of(&s, "up").version, version_of(&s, "up").executor), (2, ExecutorKind::Docker));
    assert_eq!(applied.jobs, [name("up")]);

    apply_text(&s, &process, &spec("bare", "images", "")).await.unwrap();
    let error = refresh_versions(&s.store, &*docker, &s.by, &|_| {}).await.unwrap_err();
    assert!(error.to_string().contains("`bare`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_for_pods_change_no_transform_and_are_said_to_be_ignored_where_there_are_none() {
    let s = Setting::new();
    s.repo("images").put("images", [("/a", Some("1"))]);
    let plain = spec("up", "images", ", image: 'd:1'");
    let placed = spec("up", "images", ", image: 'd:1', image_pull_secrets: [r]")
        + "tolerations: [{key: spot, operator: EXISTS}]\nmetadata: {labels: {team: a}}\n";
    let ignored = "p.yml:1:1: ignored: `image_pull_secrets`, `tolerations`; the docker executor has no pods, and results do not \
                   depend on it";
    for (kind, expected) in [(ExecutorKind::Docker, vec![ignored]), (ExecutorKind::Kubernetes, vec![])] {
        let executor = Known::of(kind);
        executor.image("d:1", "sha256:aa", &[]);
        apply_text(&s, &executor, &plain).await.unwrap();
        let before = version_of(&s, "up");
        let applied = apply_text(&s, &executor, &placed).await.unwrap();
        assert_eq!(applied.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        let after = version_of(&s, "up");
        assert_eq!(
            (after.version, after.transform),
            (before.version + 1, before.transform),
            "it names no other datums"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_keep_pinned_images_and_run_stages_without_one_on_their_hosts() {
    let s = Setting::new();
    let [docker, process, workers] =
        [ExecutorKind::Docker, ExecutorKind::Process, ExecutorKind::Workers].map(Known::of);
    docker.image("d:1", "sha256:aa", &[]);
    s.repo("images");
    apply_text(&s, &docker, &spec("boxed", "images", ", image: 'd:1'")).await.unwrap();
    let pinned = version_of(&s, "boxed").transform;
    // Of these workers none knows an image.
    let applied = refresh_versions(&s.store, &*workers, &s.by, &|_| {}).await.unwrap().unwrap();
    assert_eq!(applied.pipelines[0].why, ["executor"]);
    let version = version_of(&s, "boxed");
    assert_eq!((version.version, version.executor, version.transform), (2, ExecutorKind::Workers, pinned));

    apply_text(&s, &process, &spec("late", "images", ", image: 'd:1'")).await.unwrap();
    assert!(refresh_versions(&s.store, &*workers, &s.by, &|_| {}).await.unwrap().is_none());
    assert_eq!(version_of(&s, "late").executor, ExecutorKind::Process, "until a worker has found its image");

    apply_text(&s, &workers, &spec("bare", "images", "")).await.unwrap();
    let transform = transform_of(&s, "bare");
    assert!(transform.image.is_none() && transform.host.is_some() && transform.host_files.is_empty());
    let error = apply_text(&s, &workers, &spec("boxed", "images", ", image: 'd:2'")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "an image is asked for");
    let error =
        apply_text(&s, &workers, &spec("idle", "images", "").replace("cmd: [idle]", "user: nobody")).await.unwrap_err();
    let why = "pipeline `idle` has no `cmd`, and the workers executor has no image to take it from";
    let said = said(error);
    assert!(said.iter().any(|line| line.contains(why)), "{said:?}");

    let kubernetes = Known::of(ExecutorKind::Kubernetes);
    let all = Executors { docker, process, workers, kubernetes };
    s.store.set_setting(&settings::EXECUTOR, Some("workers")).unwrap();
    let settled = choose_executor(&s.store, &all).await.unwrap();
    assert_eq!((settled.executor.kind(), settled.is_new), (ExecutorKind::Workers, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pipeline_leaves_its_data_and_its_numbers() {
    let (s, process) = (Setting::new(), Known::of(ExecutorKind::Process));
    s.repo("images").put("images", [("/a", Some("1"))]);
    let two = format!("{}---\n{}", spec("one", "images", ""), spec("two", "one", ""));
    apply_text(&s, &process, &two).await.unwrap();
    let error = delete_pipeline(&s.store, &name("one"), engine::apply::Data::Stays, &s.by).unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("`two`")), (ErrorKind::Conflict, true));

    delete_pipeline(&s.store, &name("two"), engine::apply::Data::Stays, &s.by).unwrap();
    assert_eq!(s.state("two"), SealedState::Killed);
    assert!(Graph::load(&s.store).unwrap().pipelines.keys().eq([&name("one")]));
    assert_eq!(
        apply_text(&s, &process, &two).await.unwrap_err().kind(),
        ErrorKind::Conflict,
        "the data are a person's"
    );
    changes::delete_repo(&s.store, &"two".parse().unwrap()).unwrap();
    let again = apply_text(&s, &process, &two).await.unwrap();
    assert_eq!((again.pipelines[1].version, again.pipelines[1].state), (2, AppliedState::Created));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_ended_job_is_retried() {
    let (s, process) = (Setting::new(), Known::of(ExecutorKind::Process));
    s.repo("images");
    apply_text(&s, &process, &spec("up", "images", "")).await.unwrap();
    assert_eq!(rerun(&s.store, &name("up"), None, &s.by).unwrap_err().kind(), ErrorKind::Conflict, "there is no data");
    s.put("images", [("/a", Some("1"))]);
    let first = s.job("up");
    assert_eq!(retry(&s.store, &first, None, &s.by, None).unwrap_err().kind(), ErrorKind::Conflict, "it has not ended");
    assert!(stop_job(&s.store, &first, "stopped by a test").unwrap());
    assert_eq!(s.state("up"), SealedState::Killed);
    assert!(!stop_job(&s.store, &first, "stopped by a test").unwrap(), "a job ends once");

    let run = retry(&s.store, &first, None, &s.by, None).unwrap();
    let cause = s.store.run(&run).unwrap().cause;
    assert_eq!((cause.kind.word(), cause.refs), ("retry", vec!["up".to_owned(), format!("@{}", first.run)]));
    assert_eq!(
        retry(&s.store, &first, None, &s.by, None).unwrap_err().kind(),
        ErrorKind::Conflict,
        "it is not the newest"
    );
    let again = rerun(&s.store, &name("up"), None, &s.by).unwrap();
    assert_eq!(s.job("up").run, again);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_apply_that_is_not_refused_chooses_the_executor() {
    let s = Setting::new();
    s.repo("images");
    let (docker, process) = (Known::of(ExecutorKind::Docker), Known::of(ExecutorKind::Process));
    *docker.answer.lock().unwrap() = Answer::NotThere;
    let both = Executors {
        docker: docker.clone(),
        process: process.clone(),
        workers: Known::of(ExecutorKind::Workers),
        kubernetes: Known::of(ExecutorKind::Kubernetes),
    };
    let apply = async |text: &str| {
        let set = parse_specs(&[("p.yml".to_owned(), text.to_owned())]);
        let sources = SpecSources::from([("p.yml".to_owned(), "/nonexistent".into())]);
        let request =
            Request { set: &set, sources: &sources, by: &s.by, dry: false, on_pull: &|_| {}, announce: &|_| {} };
        apply_with_own(&s.store, &both, request).await
    };
    let chosen = || s.store.setting(&settings::EXECUTOR).unwrap();
    assert!(matches!(apply(&spec("up", "imags", "")).await, Err(EngineError::Specs { .. })));
    assert_eq!(chosen(), None, "an apply that is refused chooses nothing");
    let (applied, settled) = apply(&spec("up", "images", "")).await.unwrap();
    assert_eq!((applied.pipelines.len(), settled.is_new, chosen()), (1, true, Some(ExecutorKind::Process)));
    assert!(!apply(&spec("up", "images", "")).await.unwrap().1.is_new, "it is chosen once");
    // No executor answers: errors in the specs themselves come first.
    *process.answer.lock().unwrap() = Answer::NotThere;
    assert!(matches!(apply("pipeline: {name: up}\n").await, Err(EngineError::Specs { .. })));
    assert!(matches!(apply(&spec("up", "images", "")).await, Err(EngineError::Executor(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_is_read_is_not_deleted_and_its_open_jobs_are_counted_and_stopped() {
    let (s, process) = (Setting::new(), Known::of(ExecutorKind::Process));
    s.repo("images").put("images", [("/a", Some("1"))]);
    apply_text(&s, &process, &format!("{}---\n{}", spec("up", "images", ""), spec("down", "up", ""))).await.unwrap();
    let read = deletable_pipeline(&s.store, &name("up")).unwrap_err();
    let deleted = delete_pipeline(&s.store, &name("up"), Data::Stays, &s.by).unwrap_err();
    assert_eq!((read.kind(), read.to_string()), (ErrorKind::Conflict, deleted.to_string()));
    let open = |name: &str| deletable_pipeline(&s.store, &self::name(name)).unwrap();
    assert_eq!((open("down").version, open("down").open_jobs), (1, 1));
    let jobs = [s.job("up"), s.job("down")];
    stop_jobs(&s.store, None, &jobs, &s.by, Some("a mistake")).unwrap();
    assert_eq!((s.state("up"), s.state("down")), (SealedState::Killed, SealedState::Killed));
    assert_eq!((s.reason(&s.job("down")).as_str(), open("down").open_jobs), ("stopped by anna: a mistake", 0));
}
