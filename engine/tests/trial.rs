//! Trials requested by a server: names are resolved first, nothing moves.

use std::collections::BTreeMap;
use std::sync::Mutex;

use sandbox::scripted::ScriptedExecutor;
use specs::ErrorKind;
use tokio::sync::watch;

use super::flow::UPPER;
use super::setting::{Setting, copy};
use engine::trial::{EphemeralTrial, Replacement, Sample, TrialRequest, try_out};
use engine::{EngineError, Result};

fn request(s: &Setting, replacements: Vec<Replacement>) -> TrialRequest {
    let (names, refs) = Default::default();
    TrialRequest { specs: None, replacements, names, sample: Sample::All, by: s.by.clone(), refs }
}

async fn prepare(s: &Setting, request: &TrialRequest) -> Result<engine::trial::Request> {
    request.prepare(&s.store, &ScriptedExecutor::new(copy), &|_| {}, &|_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_replaces_the_branch_that_is_read_and_no_branch_moves() {
    let s = Setting::new();
    s.repo("images").repo("other").pipeline(UPPER);
    let first = s.put("images", [("/a", Some("1"))]);
    let second = s.put("images", [("/b", Some("2"))]);
    s.put("other", [("/x", Some("1"))]);
    s.run().await;
    s.seen("upper");
    let images = || format!("images@{first}").parse().unwrap();
    let main = ("images".parse().unwrap(), "main".parse().unwrap());
    let asked = request(&s, vec![Replacement::Commit(images())]);
    let found = prepare(&s, &asked).await.unwrap();
    assert_eq!(found.commits, BTreeMap::from([(main.clone(), first)]));
    let by_name = request(&s, vec![Replacement::Branch { branch: main, by: images() }]);
    assert_eq!(prepare(&s, &by_name).await.unwrap().commits, found.commits);

    let engine = s.engine(copy).await;
    let (_stop, stopped) = watch::channel(false);
    let tried = try_out(&engine, &found, &EphemeralTrial::default(), &s.by, stopped, &|_| {}).await.unwrap();
    assert_eq!(tried.jobs.len(), 1);
    assert_eq!((s.head("images", "main"), s.head("upper", "main")), (Some(second), tried.jobs[0].present));

    let other = ("other".parse().unwrap(), "main".parse().unwrap());
    let refused = [
        (Replacement::Commit("other".parse().unwrap()), "no pipeline reads repository `other`", ErrorKind::Usage),
        (Replacement::Branch { branch: other, by: images() }, "no pipeline reads `other@main`", ErrorKind::Usage),
        (Replacement::Commit("imags".parse().unwrap()), "repository `imags` not found", ErrorKind::NotFound),
    ];
    for (replacement, message, kind) in refused {
        let error = prepare(&s, &request(&s, vec![replacement])).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.kind()), (message, kind));
        assert!(error.hint().is_some(), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn specs_in_a_trial_are_checked_and_not_published() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    s.put("images", [("/a", Some("1"))]);
    let ask = |yaml: &str| {
        let set = specs::parse_specs(&[("p.yml".to_owned(), yaml.to_owned())]);
        let specs = Some((set, [("p.yml".to_owned(), "/nonexistent".into())].into()));
        TrialRequest { specs, ..request(&s, Vec::new()) }
    };
    let before = s.store.position();
    let warnings = Mutex::new(0);
    let changed = UPPER.replace(", image: 'x:1'", "").replace("cmd: [upper]", "cmd: [other]");
    let executor = ScriptedExecutor::new(copy);
    let on_warnings = |_: &[specs::Diagnostic]| *warnings.lock().unwrap() += 1;
    let found = ask(&changed).prepare(&s.store, &executor, &|_| {}, &on_warnings).await.unwrap();
    assert_eq!(found.specs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["upper"]);
    assert_eq!((*warnings.lock().unwrap(), s.store.position()), (1, before), "nothing is published");
    let refused = prepare(&s, &ask(&changed.replace("repo: images", "repo: imags"))).await;
    assert!(matches!(refused, Err(EngineError::Specs { .. })));
}

#[test]
fn a_folder_with_the_store_is_not_mounted() {
    let s = Setting::new();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let mut ephemeral = EphemeralTrial::default();
    let mut mount = |from: &std::path::Path| ephemeral.mount(&s.store, (from, "./src".as_ref()), "/code".as_ref());
    let store = s.store.folder();
    let kinds = [store.parent().unwrap(), &store, &folder.path().join("file"), &folder.path().join("none")]
        .map(|from| mount(from).unwrap_err().kind());
    assert_eq!(kinds, [ErrorKind::Usage, ErrorKind::Usage, ErrorKind::Usage, ErrorKind::NotFound]);
    mount(folder.path()).unwrap();
    assert_eq!(ephemeral.mounts.len(), 1);
}
