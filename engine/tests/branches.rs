//! Several branches of one repository in a graph.

use repos::journal::SealedState;
use specs::{CommitId, ErrorKind};

use super::flow::UPPER;
use super::setting::{Setting, copy};
use engine::changes;
use sandbox::scripted::Reply;

fn branch(s: &Setting, repo: &str, name: &str, at: Option<CommitId>) {
    changes::create_branch(&s.store, &repo.parse().unwrap(), &name.parse().unwrap(), at, &s.by).unwrap();
}

fn move_to(s: &Setting, repo: &str, name: &str, to: CommitId) {
    changes::move_branch(&s.store, &repo.parse().unwrap(), &name.parse().unwrap(), to, &s.by).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_inputs_on_two_branches_of_one_repository() {
    let s = Setting::new();
    s.repo("images");
    branch(&s, "images", "train", None);
    branch(&s, "images", "serve", None);
    s.pipeline(
        "
pipeline: {name: upper}
transform: {cmd: [upper], image: 'x:1'}
input:
  cross:
    - {pfs: {repo: images, name: old, branch: train, glob: /}}
    - {pfs: {repo: images, name: new, branch: serve, glob: '/*'}}
",
    );
    s.put_on("images", "train", [("/a", Some("1"))]);
    s.put_on("images", "serve", [("/b", Some("2")), ("/c", Some("3"))]);
    s.run().await;
    assert_eq!(s.seen("upper"), ["new/b+old/a", "new/c+old/a"]);
    s.put_on("images", "serve", [("/b", Some("2'"))]);
    s.run().await;
    assert_eq!(s.seen("upper"), ["new/b+old/a"]);
    s.put("images", [("/x", Some("1"))]);
    assert_eq!(s.store.open_jobs().unwrap(), [], "nobody reads `main`");

    // The run made one commit of `images` and used a commit of another branch: each is found; a run on both branches is ambiguous.
    let run = s.job("upper").run;
    let find = |text: String| s.store.resolve(&text.parse().unwrap()).map(|found| found.id);
    assert_eq!(Some(find(format!("images@{run}")).unwrap()), s.head("images", "serve"));
    let commits = [s.put_on("images", "train", [("/t", Some("1"))]), s.put_on("images", "serve", [("/t", Some("2"))])];
    let transaction = engine::run::new_run();
    let moves = ["train", "serve"].into_iter().zip(commits).map(|(name, from)| repos::journal::Move {
        repo: "images".parse().unwrap(),
        branch: name.parse().unwrap(),
        from: Some(from),
        to: s.store.commit(&from).unwrap().parents.first().copied(),
    });
    let cause = engine::run::cause(&s.store, repos::journal::CauseKind::Txn, &s.by, Vec::new());
    s.store.publish(&changes::run_change(&s.store, transaction, cause, moves.collect()).unwrap()).unwrap();
    let error = find(format!("images@{transaction}")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("train") && error.to_string().contains("serve"), "{error}");
    assert_eq!(find(format!("images@train@{transaction}")).unwrap(), s.head("images", "train").unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn deferred_processing_releases_a_batch_at_once() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    branch(&s, "images", "staging", None);
    for path in ["/a", "/b", "/c"] {
        s.put_on("images", "staging", [(path, Some("1"))]);
    }
    assert!(s.jobs("upper").is_empty());
    s.put("images", [("/first", Some("0"))]);
    move_to(&s, "images", "main", s.head("images", "staging").unwrap());
    s.run().await;
    assert_eq!(s.jobs("upper").len(), 2);
    assert_eq!(s.seen("upper"), ["images/a", "images/b", "images/c", "images/first"]);
    assert_eq!(s.files("upper").len(), 3, "the batch has no `/first`");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_another_branch_of_an_output_waits_for_nobody() {
    let s = Setting::new();
    s.repo("images").pipeline(&format!("{UPPER}output_branch: work\n"));
    s.put("images", [("/a", Some("1"))]);
    s.run().await;
    branch(&s, "upper", "release", s.head("upper", "work"));
    s.pipeline(
        "
pipeline: {name: both}
transform: {cmd: [both], image: 'x:1'}
input: {cross: [{pfs: {repo: images, glob: /}}, {pfs: {repo: upper, branch: release, name: old, glob: /}}]}
",
    );
    // The job of `upper` fails, and `both` reads the older `release`: another generation, as the spec asks.
    s.put("images", [("/a", Some("2")), ("/b", Some("bad"))]);
    s.run_with(|call| if call.cmd[0] == "both" { Reply::default() } else { copy(call) }).await;
    assert_eq!((s.state("upper"), s.state("both")), (SealedState::Failure, SealedState::Success));
    s.put("images", [("/b", None)]);
    s.run().await;
    let jobs = s.jobs("both").len();
    move_to(&s, "upper", "release", s.head("upper", "work").unwrap());
    s.run().await;
    assert_eq!((s.jobs("both").len(), s.state("both")), (jobs + 1, SealedState::Success));
    assert_eq!(s.files("both")["/a"], "2|upper|both");
    let by_user = changes::move_branch(
        &s.store,
        &"upper".parse().unwrap(),
        &"work".parse().unwrap(),
        s.head("upper", "release").unwrap(),
        &s.by,
    );
    assert_eq!(by_user.unwrap_err().kind(), ErrorKind::Conflict, "only the engine moves `work`");
}
