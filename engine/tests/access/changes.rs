//! Changes through a limited handle: what the role allows happens, with all its consequences; anything else is refused, without a hidden name.

use std::path::Path;

use repos::access::{Access, RepoGlobs, Role};
use repos::files::Edits;
use repos::journal::SealedState;
use repos::tree::FileEntry;
use repos::{JobRow, Store};
use specs::{ErrorKind, PipelineName, RepoName};

use super::super::setting::copy;
use super::{World, access};
use engine::apply::{self, Data, Request};
use engine::changes::{self, Committed, NewCommit};
use engine::run::Actor;
use engine::trial::{EphemeralTrial, Out, Sample, TrialRequest, try_out};
use engine::{EngineError, secrets};
use sandbox::scripted::ScriptedExecutor;

fn by() -> Actor {
    Actor { author: "mia".to_owned(), committer: "ci".to_owned() }
}

fn repo(text: &str) -> RepoName {
    text.parse().unwrap()
}

fn pipeline(text: &str) -> PipelineName {
    text.parse().unwrap()
}

fn put(store: &Store, to: &str, path: &str) -> engine::Result<Committed> {
    let (to, branch) = (repo(to), "main".parse().unwrap());
    let stored = store.put_bytes(path.as_bytes())?;
    let file = FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
    let edits = Edits { files: [(path.parse().unwrap(), Some(file))].into(), ..Edits::default() };
    let new = NewCommit { repo: &to, branch: &branch, expect: None, by: &by(), message: "test" };
    changes::commit(store, &new, |_| Ok(edits.clone())).map(|(committed, _)| committed)
}

/// The kind of an error, after checking that it names nothing hidden but the word that was asked for.
#[track_caller]
fn kind_of<T: std::fmt::Debug>(done: engine::Result<T>, asked: &str) -> (ErrorKind, String) {
    let error = done.unwrap_err();
    let text = format!("{error} {}", error.hint().unwrap_or_default());
    assert!(!text.replace(asked, "…").contains("hush"), "{text}");
    (error.kind(), error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_commits_and_what_follows_happens_unseen() {
    let world = World::new().await;
    let writer = world.s.store.seen_by(access(Role::Writer));
    let Committed::Made { run, .. } = put(&writer, "mine-in", "/c.json").unwrap() else { panic!("nothing changed") };
    let jobs = |store: &Store| {
        let order = store.run(&run).unwrap().order;
        store.jobs_of_run(order).unwrap().into_iter().map(|job| job.pipeline.to_string()).collect::<Vec<_>>()
    };
    let all = jobs(&world.s.store);
    assert!(all.contains(&"hush-out".to_owned()) && all.contains(&"mine-end".to_owned()), "{all:?}");
    let seen: Vec<String> = all.into_iter().filter(|name| name.starts_with("mine")).collect();
    assert_eq!(jobs(&writer), seen);
    assert_eq!(writer.run(&run).unwrap().cause.committer, "ci");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_changes_nothing_and_a_writer_nothing_that_is_hidden() {
    let world = World::new().await;
    let (reader, writer) = (world.s.store.seen_by(access(Role::Reader)), world.s.store.seen_by(access(Role::Writer)));
    let records = world.s.store.position().records;
    let refused = kind_of(put(&reader, "mine-in", "/c.json"), "");
    let what = "the token `ci` may not write to `mine-in`: it is a reader, and that needs a writer";
    assert_eq!(refused, (ErrorKind::Refused, what.to_owned()));
    let hidden = kind_of(put(&writer, "hush-in", "/c.json"), "hush-in");
    assert_eq!(hidden, (ErrorKind::NotFound, "repository `hush-in` not found".to_owned()));
    let rerun = |store: &Store, name: &str| apply::rerun(store, &pipeline(name), None, &by());
    assert_eq!(kind_of(rerun(&writer, "hush-out"), "hush-out").0, ErrorKind::NotFound);
    assert_eq!(kind_of(rerun(&reader, "mine-mixed"), "").0, ErrorKind::Refused);
    let create = |store: &Store, name: &str| changes::create_repo(store, &repo(name));
    assert_eq!(kind_of(create(&writer, "mine-new"), "").0, ErrorKind::Refused);
    let stop = |store: &Store, name: &str| apply::stop_pipeline(store, &pipeline(name), &by());
    assert_eq!(kind_of(stop(&writer, "mine-end"), "").0, ErrorKind::Refused);
    let open: Vec<JobRow> = reader.open_jobs().unwrap();
    assert_eq!(kind_of(apply::stop_jobs(&reader, None, &open, &by(), None), "").0, ErrorKind::Refused);
    let hidden: Vec<JobRow> = world.s.store.open_jobs().unwrap();
    assert_eq!(kind_of(apply::stop_jobs(&writer, None, &hidden, &by(), None), "hush-end").0, ErrorKind::NotFound);
    assert_eq!(kind_of(secrets::list(&writer), "").0, ErrorKind::Refused);
    assert_eq!(world.s.store.position().records, records, "nothing was recorded");
    // What is allowed.
    rerun(&writer, "mine-mixed").unwrap();
    apply::stop_jobs(&writer, None, &writer.open_jobs().unwrap(), &by(), None).unwrap();
    assert!(writer.open_jobs().unwrap().is_empty() && !world.s.store.open_jobs().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_of_some_repositories_is_told_of_hidden_users_without_their_names() {
    let world = World::new().await;
    let admin = world.s.store.seen_by(access(Role::Admin));
    let (kind, text) = kind_of(changes::delete_repo(&admin, &repo("mine-in")), "");
    assert_eq!(kind, ErrorKind::Conflict);
    assert_eq!(
        text,
        "repository `mine-in` is in use: pipeline `mine-mixed` reads it, a pipeline that is not visible to you reads it"
    );
    assert_eq!(kind_of(changes::delete_repo(&admin, &repo("hush-in")), "hush-in").0, ErrorKind::NotFound);
    let delete = |name: &str| apply::delete_pipeline(&admin, &pipeline(name), Data::Stays, &by());
    let (kind, text) = kind_of(delete("mine-end"), "");
    assert_eq!(
        (kind, text.contains("a pipeline that is not visible to you reads its output")),
        (ErrorKind::Conflict, true)
    );
    // Its inputs are not visible.
    assert_eq!(kind_of(delete("mine-after"), "").0, ErrorKind::Refused);
    assert_eq!(kind_of(changes::create_repo(&admin, &repo("other")), "").0, ErrorKind::Refused);
    changes::create_repo(&admin, &repo("mine-new")).unwrap();
    let head = world.s.head("mine-in", "main").unwrap();
    let (_, text) = kind_of(engine::keep::delete_commit(&admin, head, &by()), "");
    assert!(text.contains("is in use by commit …@…") || text.contains("is in use: commit"), "{text}");
    let all = world.s.store.seen_by(Access::full("root"));
    assert!(
        changes::delete_repo(&all, &repo("mine-in")).unwrap_err().to_string().contains("pipeline `hush-out` reads it")
    );
}

async fn apply_as(store: &Store, yaml: &str) -> engine::Result<apply::Applied> {
    let set = specs::parse_specs(&[("p.yml".to_owned(), yaml.to_owned())]);
    let sources = [("p.yml".to_owned(), Path::new("/nonexistent").to_owned().into())].into();
    let executor = ScriptedExecutor::new(copy);
    let request = Request { set: &set, sources: &sources, by: &by(), dry: false, on_pull: &|_| {}, announce: &|_| {} };
    apply::apply(store, &executor, request).await
}

fn spec(name: &str, input: &str, rest: &str) -> String {
    format!(
        "{{pipeline: {{name: {name}}}, transform: {{cmd: [{name}], image: 'x:1'{rest}}}, input: {{pfs: {{repo: {input}, glob: '/*'}}}}}}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_are_applied_by_an_admin_on_what_is_visible() {
    let world = World::new().await;
    let (admin, writer) = (world.s.store.seen_by(access(Role::Admin)), world.s.store.seen_by(access(Role::Writer)));
    let own = spec("mine-new", "mine-in", "");
    assert_eq!(kind_of(apply_as(&writer, &own).await, "").0, ErrorKind::Refused);
    let not_covered = apply_as(&admin, &spec("other", "mine-in", "")).await;
    let text = "the token `ci` may not apply pipeline `other`: it covers only `mine-*`";
    assert_eq!(kind_of(not_covered, ""), (ErrorKind::Refused, text.to_owned()));
    // Whether a name that is not covered exists is not told.
    let exists = kind_of(apply_as(&admin, &spec("hush-out", "mine-in", "")).await, "hush-out");
    assert_eq!(exists.1, text.replace("other", "hush-out"));
    let Err(EngineError::Specs { diagnostics, .. }) = apply_as(&admin, &spec("mine-new", "hush-in", "")).await else {
        panic!("a hidden input is applied")
    };
    let errors: Vec<_> = diagnostics.iter().filter(|one| one.is_error()).collect();
    assert_eq!(
        errors.iter().map(|one| one.message.as_str()).collect::<Vec<_>>(),
        ["input `hush-in`: repository `hush-in` not found"]
    );
    assert!(!errors[0].hint.clone().unwrap_or_default().replace("hush-in", "").contains("hush"));
    // A secret would be shown by the pipeline's code.
    let secret = ", secrets: [{name: mail, key: token, env_var: TOKEN}]";
    let (kind, _) = kind_of(apply_as(&admin, &spec("mine-new", "mine-in", secret)).await, "");
    assert_eq!(kind, ErrorKind::Refused);
    let applied = apply_as(&admin, &own).await.unwrap();
    assert_eq!(applied.jobs, [pipeline("mine-new")]);
    assert!(applied.graph.pipelines.keys().all(|name| name.as_str().starts_with("mine")), "{:?}", applied.graph);
    assert!(world.s.store.find_pipeline(&pipeline("mine-new")).unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cycle_through_hidden_pipelines_is_refused_without_their_names() {
    let world = World::new().await;
    // `mine-mixed` is read by `mine-end`, and that by `hush-end`; the one between is hidden here.
    let repos = RepoGlobs::parse(&["mine-in", "mine-mixed", "hush-end"]).unwrap();
    let admin =
        world.s.store.seen_by(Access { who: "ci".to_owned(), role: Role::Admin, repos, client: "ci".to_owned() });
    let before = world.s.store.graph().unwrap();
    let yaml = "{pipeline: {name: mine-mixed}, transform: {cmd: [mine-mixed], image: 'x:1'}, input: {cross: [{pfs: {repo: hush-end, name: end, glob: '/*'}}, {pfs: {repo: mine-in, name: own, glob: '/*'}}]}}";
    let error = apply_as(&admin, yaml).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.to_string(), "these pipelines conflict with others that are not visible to you");
    assert!(
        apply_as(&world.s.store, yaml).await.unwrap_err().kind() == ErrorKind::Usage,
        "otherwise the cycle is shown"
    );
    assert_eq!(world.s.store.graph().unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tried_is_visible() {
    let world = World::new().await;
    let executor = ScriptedExecutor::new(copy);
    let request = |names: &[&str]| TrialRequest {
        specs: None,
        replacements: Vec::new(),
        names: names.iter().map(|name| pipeline(name)).collect(),
        sample: Sample::All,
        by: by(),
        refs: Vec::new(),
    };
    let prepare = async |role: Role, names: &[&str]| {
        let store = world.s.store.seen_by(access(role));
        request(names).prepare(&store, &executor, &|_| {}, &|_| {}).await
    };
    let (kind, text) = kind_of(prepare(Role::Writer, &["mine-mixed"]).await, "");
    assert_eq!(kind, ErrorKind::Refused);
    assert_eq!(text, "pipeline `mine-mixed` cannot be tried: it has inputs that are not visible to you");
    assert_eq!(kind_of(prepare(Role::Reader, &[]).await, "").0, ErrorKind::Refused);
    let all = prepare(Role::Writer, &[]).await.unwrap();
    assert!(all.graph.pipelines.is_empty(), "each of them reads something hidden: {:?}", all.graph.pipelines.keys());
    let whole = request(&["mine-mixed"]).prepare(&world.s.store, &executor, &|_| {}, &|_| {}).await.unwrap();
    assert!(whole.graph.pipelines.len() > 5);

    let engine = world.s.engine(copy).await;
    let on_host = EphemeralTrial { out: Some(Out::Folder("/nonexistent".into())), ..EphemeralTrial::default() };
    let request = prepare(Role::Admin, &[]).await.unwrap();
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let (kind, text) = kind_of(try_out(&engine, &request, &on_host, &by(), stopped, &|_| {}).await.map(|_| ()), "");
    assert_eq!(kind, ErrorKind::Refused);
    assert!(text.starts_with("the token `ci` may not use folders of the host or a shell"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_content_is_hidden_in_the_store_is_not_told_by_storing_it() {
    let world = World::new().await;
    let writer = world.s.store.seen_by(access(Role::Writer));
    for content in ["hush".repeat(5), "hush".repeat(2_000_000)] {
        let first = world.s.store.put_content(content.as_bytes()).unwrap();
        assert_eq!(world.s.store.put_content(content.as_bytes()).unwrap().new_bytes, 0);
        let again = writer.put_content(content.as_bytes()).unwrap();
        assert_eq!((again.digest, again.new_bytes), (first.digest, content.len() as u64));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_end_only_by_the_engine() {
    let world = World::new().await;
    let admin = world.s.store.seen_by(Access { role: Role::Admin, ..access(Role::Admin) });
    let job = admin.open_jobs().unwrap().remove(0);
    let entry = repos::journal::Entry::Job {
        pipeline: job.pipeline,
        run: job.run,
        state: SealedState::Success,
        commit: None,
        document: None,
        moved: None,
    };
    let error = admin.publish(&repos::Change::of(vec![entry])).unwrap_err();
    assert_eq!(error.to_string(), "the token `ci` may not end jobs: only the engine of the store does");
}
