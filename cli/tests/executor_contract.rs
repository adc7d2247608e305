//! Tests that all executors keep the contract, with the real binary as the agent.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]
#![expect(clippy::print_stderr, reason = "what was skipped, and times, are for whoever runs the tests")]

#[path = "executor_contract/cluster.rs"]
mod cluster;
#[path = "executor_contract/odd_images.rs"]
mod odd_images;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use async_trait::async_trait;
use bytes::Bytes;
use sandbox::contract::{Subject, executor_contract};
use sandbox::{
    DatumTask, Dial, DialError, DockerExecutor, DockerSettings, Event, EventSink, ExecError, Executor, Exit,
    FileSource, HostFolder, Image, InputFile, Link, Owner, ProcessExecutor, ProcessSettings, Sandbox, SandboxSpec,
    WorkerOptions, Workers,
};
use specs::ErrorKind;

/// A variable of this process that no command may see.
const CANARY: &str = "CARGO_MANIFEST_DIR";
const IMAGE: &str = "pv-test-busybox:1";
/// The same image with perl, if the host has it.
const TOOLS: &str = "pv-test-tools:1";

fn owner(instance: &str) -> Owner {
    Owner { store: format!("contract-{}", std::process::id()), instance: instance.to_owned() }
}

/// A variable with another path of the binary, for a user who cannot access the build folder.
const BINARY: &str = "PV_TEST_BINARY";

fn process_settings(scratch: &Path) -> ProcessSettings {
    ProcessSettings {
        pv: std::env::var_os(BINARY).map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_pv")), PathBuf::from),
        scratch: scratch.join("scratch"),
        hidden: vec![],
        owner: owner("this"),
    }
}

fn docker_settings(instance: &str) -> DockerSettings {
    DockerSettings {
        host: std::env::var("DOCKER_HOST").ok(),
        config_dir: None,
        pv: PathBuf::from(env!("CARGO_BIN_EXE_pv")),
        owner: owner(instance),
        images: None,
    }
}

/// The executor and the test image, if Docker answers. With `CI` it must.
async fn docker() -> Option<(DockerExecutor, String)> {
    let (executor, image) = docker_with("busybox", IMAGE).await?;
    assert_eq!((image.config.os.as_str(), image.config.diff_ids.len(), image.registry_digest), ("linux", 1, None));
    Some((executor, image.id))
}

/// Like [`docker`], with another image, built by a script of this name.
async fn docker_with(script: &str, image: &str) -> Option<(DockerExecutor, Image)> {
    let executor = DockerExecutor::new(docker_settings("this"));
    if let Err(error) = executor.check().await {
        assert!(std::env::var_os("CI").is_none(), "CI needs Docker: {error}");
        eprintln!("SKIPPED: Docker does not answer: {error}");
        return None;
    }
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images");
    assert!(Command::new("sh").arg(scripts.join(format!("{script}.sh"))).status().unwrap().success());
    let image = executor.resolve_image(image, &|_| {}).await.unwrap();
    Some((executor, image))
}

#[tokio::test]
async fn the_process_executor_keeps_the_contract() {
    let scratch = tempfile::tempdir().unwrap();
    let executor = ProcessExecutor::new(process_settings(scratch.path()));
    let mean = executor_contract(&Subject { executor: &executor, image: None, canary: CANARY }).await;
    eprintln!("process: {mean:?} a datum");
    assert_eq!(std::fs::read_dir(scratch.path().join("scratch")).unwrap().count(), 0, "nothing is left behind");
}

/// Links to an engine in the same process.
struct InMemory(Workers);

#[async_trait]
impl Dial for InMemory {
    async fn dial(&self) -> Result<Link, DialError> {
        let ((to, theirs), (back, ours)) = (tokio::sync::mpsc::channel(16), tokio::sync::mpsc::channel(16));
        let workers = self.0.clone();
        tokio::spawn(async move { workers.attend(Link { to: back, from: theirs }, "test").await });
        Ok(Link { to, from: ours })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_keep_the_contract() {
    let (scratch, workers) = (tempfile::tempdir().unwrap(), Workers::new());
    let executor = std::sync::Arc::new(ProcessExecutor::new(process_settings(scratch.path())));
    let options = WorkerOptions {
        name: "one".to_owned(),
        slots: 2,
        cache: scratch.path().join("cache"),
        cache_bytes: 1 << 30,
        say: std::sync::Arc::new(|_| {}),
    };
    let dial = InMemory(workers.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = tokio::spawn(async move {
        sandbox::work(&dial, executor, &options, async { stopped.await.unwrap_or_default() }).await
    });
    let mean = executor_contract(&Subject { executor: &workers, image: None, canary: CANARY }).await;
    eprintln!("workers: {mean:?} a datum");
    stop.send(()).unwrap();
    working.await.unwrap().unwrap();
    assert_eq!(std::fs::read_dir(scratch.path().join("scratch")).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn bwrap_keeps_the_contract_where_it_is_installed() {
    let bwrap = Path::new("/usr/bin/bwrap");
    if !bwrap.exists() {
        eprintln!("SKIPPED: bwrap is not installed");
        return;
    }
    if rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: bwrap is for engines that root does not run");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let executor = ProcessExecutor::with_bwrap(process_settings(scratch.path()), bwrap.to_owned());
    let mean = executor_contract(&Subject { executor: &executor, image: None, canary: CANARY }).await;
    eprintln!("bwrap: {mean:?} a datum");
}

/// Runs a test of this file as an unprivileged user. Root creates sandboxes in other ways, so both must be tested.
fn run_as_nobody_in_particular(test: &str) {
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let temporary = place.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let (tests, pv) = (place.path().join("tests"), place.path().join("pv"));
    std::fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_pv"), &pv).unwrap();
    let mut command = Command::new(tests);
    command.args(["--exact", test, "--nocapture"]).uid(12345).gid(12345).current_dir(&temporary);
    let output = command.env(BINARY, pv).env("TMPDIR", &temporary).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    eprintln!("as another user: {said}");
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn the_process_executor_keeps_the_contract_for_an_engine_without_rights() {
    if rustix::process::geteuid().is_root() {
        run_as_nobody_in_particular("the_process_executor_keeps_the_contract");
    }
}

#[test]
fn bwrap_keeps_the_contract_for_an_engine_without_rights() {
    if rustix::process::geteuid().is_root() {
        run_as_nobody_in_particular("bwrap_keeps_the_contract_where_it_is_installed");
    }
}

#[tokio::test]
async fn the_docker_executor_keeps_the_contract() {
    let Some((executor, image)) = docker_with("tools", TOOLS).await else { return };
    let mean = executor_contract(&Subject { executor: &executor, image: Some(image.id), canary: CANARY }).await;
    eprintln!("docker: {mean:?} a datum");
    executor.clean_up(&BTreeSet::new()).await.unwrap();
    let left = docker_says(&["volume", "ls", "-q", "--filter", &format!("label=pv.store={}", owner("").store)]);
    assert_eq!(left, "", "no volume with code is left");
    let left = docker_says(&["ps", "-aq", "--filter", &format!("label=pv.store={}", owner("").store)]);
    assert_eq!(left, "", "no container is left");
}

/// The output of a `docker` command.
fn docker_says(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A file source without inputs, and the log.
#[derive(Default)]
struct Log(String);

#[async_trait]
impl FileSource for Log {
    async fn read(&self, file: &InputFile, _: u64, _: usize) -> Result<Bytes, ExecError> {
        panic!("`{}` was never announced", file.path)
    }
}

#[async_trait]
impl EventSink for Log {
    async fn event(&mut self, event: Event) -> Result<(), ExecError> {
        if let Event::Log(bytes) = event {
            self.0.push_str(&String::from_utf8_lossy(&bytes));
        }
        Ok(())
    }
}

async fn sh(sandbox: &mut Sandbox, script: &str) -> String {
    let task = DatumTask { cmd: ["sh", "-c", script].map(str::to_owned).to_vec(), ..DatumTask::default() };
    let mut log = Log::default();
    let outcome = sandbox.run(&task, &Log::default(), &mut log).await.unwrap();
    assert_eq!(outcome.exit, Exit::Code(0), "{script}: {}", log.0);
    log.0
}

#[tokio::test]
async fn commands_get_the_environment_and_user_of_their_image() {
    let Some((executor, image)) = docker().await else { return };
    let spec = SandboxSpec { image: Some(image), user: Some("ana".to_owned()), ..SandboxSpec::default() };
    let mut sandbox = executor.open(&spec, &Log::default()).await.unwrap();
    assert_eq!(sh(&mut sandbox, "echo $IMAGE_SAYS $HOME $PATH; id -u").await, "hello /home/ana /bin:/usr/bin\n1000\n");
    sandbox.close().await.unwrap();
}

#[tokio::test]
async fn only_containers_of_dead_instances_are_removed() {
    let Some((executor, image)) = docker().await else { return };
    let spec = SandboxSpec { image: Some(image), ..SandboxSpec::default() };
    let other = |name: &str| DockerExecutor::new(docker_settings(name));
    let mut own = executor.open(&spec, &Log::default()).await.unwrap();
    let mut alive = other("alive").open(&spec, &Log::default()).await.unwrap();
    let mut dead = other("dead").open(&spec, &Log::default()).await.unwrap();
    executor.clean_up(&BTreeSet::from(["alive".to_owned()])).await.unwrap();
    sh(&mut own, "true").await;
    sh(&mut alive, "true").await;
    let gone = dead.run(&DatumTask::default(), &Log::default(), &mut Log::default()).await;
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::Unavailable);
    for sandbox in [own, alive, dead] {
        sandbox.close().await.unwrap();
    }
}

#[tokio::test]
async fn an_image_that_nobody_has_is_not_found_or_out_of_reach() {
    let Some((executor, _)) = docker().await else { return };
    let missing = format!("sha256:{}", "0".repeat(64));
    assert_eq!(executor.resolve_image(&missing, &|_| {}).await.unwrap_err().kind(), ErrorKind::NotFound);
    let error = executor.resolve_image("127.0.0.1:9/no/such:image", &|_| {}).await.unwrap_err();
    assert!(matches!(error, ExecError::PullFailed { .. }), "{error}");
    let spec = SandboxSpec { image: Some(missing), ..SandboxSpec::default() };
    assert_eq!(executor.open(&spec, &Log::default()).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_said_with_a_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let host = Some(format!("unix://{}/docker.sock", directory.path().display()));
    let executor = DockerExecutor::new(DockerSettings { host, ..docker_settings("this") });
    let error = executor.check().await.unwrap_err();
    assert!(matches!(error, ExecError::NotAnswering { .. }), "{error}");
    assert!(error.hint().unwrap().contains("pv config set executor process"));
}

#[tokio::test]
async fn readable_paths_show_and_the_store_in_them_does_not() {
    let scratch = tempfile::tempdir().unwrap();
    // Not below `/tmp`, since every sandbox has its own.
    let project = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::write(project.path().join("model"), "weights").unwrap();
    std::fs::create_dir(project.path().join(".pv")).unwrap();
    std::fs::write(project.path().join(".pv/secret"), "secret").unwrap();
    let hidden = vec![project.path().join(".pv")];
    let executor = ProcessExecutor::new(ProcessSettings { hidden, ..process_settings(scratch.path()) });
    let spec = SandboxSpec { readable: vec![project.path().to_owned()], ..SandboxSpec::default() };
    let mut sandbox = executor.open(&spec, &Log::default()).await.unwrap();
    let shown = project.path().display();
    assert_eq!(sh(&mut sandbox, &format!("cat {shown}/model")).await, "weights");
    assert_eq!(
        sh(&mut sandbox, &format!("cat {shown}/.pv/secret 2>/dev/null; ls -A {shown}/.pv 2>/dev/null; true")).await,
        ""
    );
    assert_eq!(
        sh(&mut sandbox, &format!("echo x > {shown}/new; chmod 777 {shown}/model; true"))
            .await
            .matches("Read-only")
            .count(),
        2
    );
    sandbox.close().await.unwrap();
    let missing = SandboxSpec { readable: vec!["/no/such".into()], ..SandboxSpec::default() };
    let error = executor.open(&missing, &Log::default()).await.unwrap_err();
    assert!(error.to_string().contains("/no/such"), "{error}");
}

/// Opens a sandbox that can see a folder with a file readable only by its owner, and runs a try that links to it as output. Returns how the
/// try ended, and its log.
async fn link_to_a_closed_file(executor: &dyn Executor, spec: SandboxSpec) -> (Exit, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("closed"), "for root alone").unwrap();
    std::fs::set_permissions(folder.path().join("closed"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mounts = vec![HostFolder { from: folder.path().to_owned(), at: "/shown".into() }];
    let mut sandbox = executor.open(&SandboxSpec { mounts, ..spec }, &Log::default()).await.unwrap();
    let script = "cat /shown/closed 2>/dev/null; ln -s /shown /pfs/out/all; ln -s /shown/closed /pfs/out/one; true";
    let task = DatumTask { cmd: ["sh", "-c", script].map(str::to_owned).to_vec(), ..DatumTask::default() };
    let mut log = Log::default();
    let outcome = sandbox.run(&task, &Log::default(), &mut log).await.unwrap();
    sandbox.close().await.unwrap();
    (outcome.exit, log.0)
}

#[tokio::test]
async fn a_link_in_the_output_reads_what_the_command_may_read_and_no_more() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root has files that others may not read");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let executor = ProcessExecutor::new(process_settings(scratch.path()));
    let refused = |exit: &Exit| matches!(exit, Exit::BadOutput { path, why } if (path == "/one" || path == "/all/closed") && why.contains("ermission denied"));
    let (exit, log) = link_to_a_closed_file(&executor, SandboxSpec::default()).await;
    assert!(refused(&exit) && log.is_empty(), "{exit:?} {log}");
    let Some((executor, image)) = docker().await else { return };
    let spec = SandboxSpec { image: Some(image), ..SandboxSpec::default() };
    let (exit, log) =
        link_to_a_closed_file(&executor, SandboxSpec { user: Some("ana".to_owned()), ..spec.clone() }).await;
    assert!(refused(&exit) && log.is_empty(), "{exit:?} {log}");
    // Root in a container may read the file, also through links.
    assert_eq!(link_to_a_closed_file(&executor, spec).await, (Exit::Code(0), "for root alone".to_owned()));
}

#[tokio::test]
async fn a_sandbox_that_is_dropped_ends() {
    let scratch = tempfile::tempdir().unwrap();
    let executor = ProcessExecutor::new(process_settings(scratch.path()));
    let mut sandbox = executor.open(&SandboxSpec::default(), &Log::default()).await.unwrap();
    let mark = format!("1000{}", std::process::id());
    let task = DatumTask { cmd: vec!["sleep".to_owned(), mark.clone()], ..DatumTask::default() };
    let (files, mut log) = (Log::default(), Log::default());
    let run = sandbox.run(&task, &files, &mut log);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(300), run).await.is_err());
    assert_eq!(processes_with(&mark), 1);
    drop(sandbox);
    for _ in 0..500 {
        if processes_with(&mark) == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the command outlived its sandbox");
}

fn processes_with(argument: &str) -> usize {
    let lines = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.unwrap().path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())).count()
}
