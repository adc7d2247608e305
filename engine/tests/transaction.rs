//! Several changes become one run, or nothing.

use repos::files::Edits;
use repos::journal::{CauseKind, SealedState};
use repos::tree::FileEntry;
use specs::{CommitId, ErrorKind};

use super::setting::{Setting, copy};
use engine::transaction::{Action, Outcome, Step, Transaction};
use engine::{EngineError, Result};

const JOINED: &str = "
pipeline: {name: joined}
transform: {cmd: [joined], image: 'x:1'}
input: {cross: [{pfs: {repo: images, glob: '/*'}}, {pfs: {repo: rules, glob: '/'}}]}
";

fn put(s: &Setting, files: &[(&str, Option<&str>)]) -> Action {
    let mut edits = Edits::default();
    for (path, content) in files {
        let file = content.map(|content| {
            let stored = s.store.put_bytes(content.as_bytes()).unwrap();
            FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false }
        });
        edits.files.insert(path.parse().unwrap(), file);
    }
    Action::Put { edits, mirror: None }
}

fn cp(from: &str, to: &str) -> Action {
    Action::Cp { from: from.parse().unwrap(), to: to.parse().unwrap() }
}

fn to(reference: &str) -> Action {
    Action::Move { to: reference.parse().unwrap() }
}

fn create(at: Option<&str>) -> Action {
    Action::Create { at: at.map(|at| at.parse().unwrap()) }
}

/// Steps on branches written `images@main`, each on its own line.
fn steps<const N: usize>(steps: [(&str, Action); N]) -> Vec<Step> {
    let numbered = (1..).zip(steps);
    let step = |(line, (on, action)): (u32, (&str, Action))| {
        let (repo, branch) = on.split_once('@').unwrap();
        let branch = (repo.parse().unwrap(), branch.parse().unwrap());
        Step { line, message: None, expect: None, branch, action }
    };
    numbered.map(step).collect()
}

fn publish(s: &Setting, steps: &[Step]) -> Result<Outcome> {
    Transaction { by: &s.by, message: "together", steps }.publish(&s.store)
}

fn head(s: &Setting, repo: &str, branch: &str) -> Option<CommitId> {
    s.store.find_branch(&repo.parse().unwrap(), &branch.parse().unwrap()).unwrap().and_then(|row| row.commit)
}

/// The errors, by line.
fn refused(s: &Setting, steps: &[Step]) -> Vec<(u32, String)> {
    let before = (s.store.position(), s.store.runs_count().unwrap());
    let error = publish(s, steps).unwrap_err();
    assert_eq!((s.store.position(), s.store.runs_count().unwrap()), before, "nothing was done");
    let EngineError::Lines(lines) = error else { panic!("{error}") };
    lines.into_iter().map(|(line, error)| (line, error.to_string())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_reads_two_changed_branches_gets_one_job() {
    let s = Setting::new();
    s.repo("images").repo("rules").pipeline(JOINED);
    let both =
        steps([("images@main", put(&s, &[("/a", Some("1"))])), ("rules@main", put(&s, &[("/r", Some("strict"))]))]);
    let outcome = publish(&s, &both).unwrap();
    let row = s.store.run(&outcome.run.unwrap()).unwrap();
    assert_eq!((row.cause.kind, row.moves.len(), row.jobs.len()), (CauseKind::Txn, 2, 1));
    assert_eq!(row.cause.refs, ["images@main", "rules@main"]);
    assert_eq!(s.store.runs_count().unwrap(), 2, "the pipeline's own and this one");
    s.run_with(copy).await;
    assert_eq!(s.state("joined"), SealedState::Success);
    assert_eq!(s.seen("joined"), ["images/a+rules/r"]);
    for change in outcome.branches {
        let commit = s.store.commit(&change.to.unwrap()).unwrap();
        assert_eq!((commit.run, commit.message.as_str()), (row.run, "together"));
    }
}

#[test]
fn steps_on_one_branch_become_one_commit_and_each_sees_those_before_it() {
    let s = Setting::new();
    s.repo("images").repo("models");
    let first = s.put("images", [("/old", Some("0")), ("/gone", Some("x"))]);
    let mut all = steps([
        ("images@main", put(&s, &[("/a", Some("1")), ("/tmp", Some("t"))])),
        ("images@main", cp("images:/a", "/b")),
        ("images@main", Action::Mv { from: "/b".parse().unwrap(), to: "/dir/b".parse().unwrap() }),
        (
            "images@main",
            Action::Rm { paths: vec!["/tmp".parse().unwrap(), "/gone".parse().unwrap()], recursive: false },
        ),
        ("images@release", create(None)),
        ("models@main", cp("images:/dir", "/from")),
        ("models@main", cp("images@main~1:/old", "/before")),
    ]);
    all[0].message = Some("new".to_owned());
    all[1].message = Some("copied".to_owned());
    all[2].expect = Some(first);
    let outcome = publish(&s, &all).unwrap();
    let [images, release, models] = outcome.branches.as_slice() else { panic!("{outcome:?}") };
    assert_eq!(s.files("images").keys().collect::<Vec<_>>(), ["/a", "/dir/b", "/old"]);
    assert_eq!(
        s.files("models").into_iter().collect::<Vec<_>>(),
        [("/before".to_owned(), "0".to_owned()), ("/from/b".to_owned(), "1".to_owned())]
    );
    assert_eq!((images.summary.added, images.summary.removed, images.summary.modified), (2, 1, 0));
    assert_eq!((release.from, release.to), (None, images.to), "it is made at the new commit");
    let commit = s.store.commit(&images.to.unwrap()).unwrap();
    assert_eq!((commit.parents.as_slice(), commit.message.as_str()), (&[first][..], "new\ncopied"));
    let copied = s.store.commit(&models.to.unwrap()).unwrap().sources;
    assert_eq!(copied.iter().map(|source| source.commit).collect::<Vec<_>>(), [images.to.unwrap(), first]);
    assert!(repos::fsck::check(&s.store, &|_, _, _| {}).unwrap().problems.is_empty());
}

#[test]
fn one_step_that_cannot_be_done_undoes_all_and_each_is_told_with_its_line() {
    let s = Setting::new();
    s.repo("images").repo("rules");
    s.put("images", [("/a", Some("1"))]);
    let all = steps([
        ("images@main", put(&s, &[("/b", Some("2"))])),
        ("rules@main", put(&s, &[("/r", Some("3"))])),
        ("images@main", put(&s, &[("/a/below", Some("4"))])),
        ("images@main", cp("images:/b", "/y")),
        ("rules@main", Action::Rm { paths: vec!["/nothing".parse().unwrap()], recursive: false }),
        ("images@other", put(&s, &[("/a", Some("5"))])),
    ]);
    let problems = refused(&s, &all);
    assert_eq!(problems.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 5, 6], "not the one after 3");
    assert!(problems[0].1.contains("/a") && problems[1].1.contains("/nothing"), "{problems:?}");
    assert_eq!(head(&s, "rules", "main"), None);
    assert_eq!(publish(&s, &all).unwrap_err().kind(), ErrorKind::Usage, "that of the first");
}

#[test]
fn a_named_commit_is_not_changed_any_more_and_a_changed_branch_is_not_moved() {
    let s = Setting::new();
    s.repo("images");
    let first = s.put("images", [("/a", Some("1"))]);
    let named = steps([
        ("images@main", put(&s, &[("/b", Some("2"))])),
        ("images@release", create(Some("images@main"))),
        ("images@main", put(&s, &[("/c", Some("3"))])),
    ]);
    assert!(refused(&s, &named)[0].1.starts_with("line 2 uses the commit"));
    let left = steps([("images@main", put(&s, &[("/b", Some("2"))])), ("images@main", to(&format!("images@{first}")))]);
    assert!(refused(&s, &left)[0].1.starts_with("line 1 changed files"));
    let moved = s.put("images", [("/a", Some("2"))]);
    let back = steps([("images@main", to("images@main~1")), ("images@main", put(&s, &[("/z", Some("9"))]))]);
    publish(&s, &back).unwrap();
    let commit = s.store.commit(&head(&s, "images", "main").unwrap()).unwrap();
    assert_eq!(commit.parents, [first], "made on what the branch was moved to, not on {moved}");
    assert_eq!(s.files("images").keys().collect::<Vec<_>>(), ["/a", "/z"]);
}

#[test]
fn what_changes_nothing_makes_no_run_and_another_head_than_expected_is_a_conflict() {
    let s = Setting::new();
    s.repo("images");
    let first = s.put("images", [("/a", Some("1"))]);
    let same = steps([("images@main", put(&s, &[("/a", Some("2"))])), ("images@main", put(&s, &[("/a", Some("1"))]))]);
    let before = s.store.position();
    let outcome = publish(&s, &same).unwrap();
    assert_eq!((outcome.run, outcome.branches[0].is_moved, s.store.position()), (None, false, before));
    s.put("images", [("/a", Some("2"))]);
    let mut late = steps([("images@try", create(None)), ("images@main", put(&s, &[("/b", Some("1"))]))]);
    late[1].expect = Some(first);
    assert_eq!(refused(&s, &late)[0].0, 2);
    assert_eq!(publish(&s, &late).unwrap_err().kind(), ErrorKind::Conflict);
    assert!(head(&s, "images", "try").is_none());
}

#[test]
fn an_output_branch_is_left_to_its_pipeline() {
    let s = Setting::new();
    s.repo("images").repo("rules").pipeline(JOINED);
    s.put("images", [("/a", Some("1"))]);
    assert!(refused(&s, &steps([("joined@main", put(&s, &[("/x", Some("1"))]))]))[0].1.contains("only its jobs"));
    assert!(refused(&s, &steps([("joined@main", to("joined@main"))]))[0].1.contains("only pipeline"));
}

#[test]
fn writers_of_several_branches_at_once_all_land() {
    let s = Setting::new();
    s.repo("images").repo("rules");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let s = &s;
            scope.spawn(move || {
                for number in 0..6 {
                    let path = format!("/{writer}-{number}");
                    let mut both = steps([
                        ("images@main", put(s, &[(&path, Some(&path))])),
                        ("rules@main", put(s, &[(&path, Some(&path))])),
                    ]);
                    if writer % 2 == 1 {
                        both.reverse();
                    }
                    publish(s, &both).unwrap();
                }
            });
        }
    });
    assert_eq!((s.files("images").len(), s.files("rules").len()), (24, 24));
    assert_eq!(s.store.runs_count().unwrap(), 24);
    let by = engine::run::Actor { ..s.by.clone() };
    let preview = steps([("images@main", put(&s, &[("/new", Some("1"))]))]);
    let preview = Transaction { by: &by, message: "", steps: &preview }.preview(&s.store).unwrap();
    assert_eq!((preview.run, preview.branches[0].summary.added), (None, 1));
    assert_eq!(s.files("images").len(), 24, "a preview changes nothing");
}
