//! What garbage collection keeps of pipelines: after each collection all that is kept is complete, and a second one finds nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use repos::OpenOptions;
use repos::documents::ResultDocument;
use repos::fsck::check;
use repos::gc::{self, Collected, Plan};
use repos::hash::digest_of;
use repos::journal::SealedState;
use repos::store::{Resolved, Swept};
use repos::time::Clock;
use repos::tree::{KeyRange, Map, Tree};
use repos::{RepoError, Timestamp, settings};
use specs::{CommitId, Digest, ErrorKind};
use tokio::runtime::Runtime;

use super::flow::UPPER;
use super::setting::{Setting, copy};
use answers::trace::{Reach, trace};
use engine::changes;

const LOWER: &str = "
pipeline: {name: lower}
transform: {cmd: [lower], image: 'x:1'}
input: {pfs: {repo: upper, glob: '/*'}}
";
const HOUR: i64 = 3_600_000_000;

/// Advances by a millisecond at each reading, and by hours on request.
#[derive(Debug)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1_000, Ordering::Relaxed))
    }
}

/// A setting with a manual clock and a grace period of an hour.
struct Aging {
    s: Setting,
    clock: Arc<HandClock>,
}

fn silent(_: &str, _: u64, _: u64) {}

impl Aging {
    fn new() -> Self {
        let clock = Arc::new(HandClock(AtomicI64::new(1_782_864_000_000_000)));
        let s = Setting::of(&OpenOptions::default().clock(clock.clone()));
        s.store.set_setting(&settings::GC_GRACE, Some("1h")).unwrap();
        s.repo("images");
        Self { s, clock }
    }

    fn wait(&self, hours: i64) {
        self.clock.0.fetch_add(hours * HOUR, Ordering::Relaxed);
    }

    /// Collects garbage: exactly what a dry run announces, and nothing that `repos` need.
    fn collect(&self, repos: &[&str]) -> Collected {
        let collect = |dry_run| gc::collect(&self.s.store, "uid:0@test", dry_run, &silent).unwrap();
        self.s.store.finish_packs().unwrap();
        // The end of an operation releases packs that nothing writes to any more.
        drop(self.s.store.operation());
        let said = collect(true);
        let done = collect(false);
        assert_eq!((said.swept, said.account.gone), (done.swept, done.account.gone.clone()));
        assert_eq!(check(&self.s.store, &silent).unwrap().problems, []);
        for repo in repos {
            self.assert_whole(repo);
        }
        assert_eq!(collect(false).swept, Swept::default());
        done
    }

    /// Every file of every kept commit of a branch can be read and traced, and every log can be read.
    fn assert_whole(&self, repo: &str) {
        let store = &self.s.store;
        let mut next = Some(self.head(repo));
        while let Some(id) = next {
            let commit = store.commit(&id).unwrap();
            next = commit.parents.first().copied();
            if store.is_pruned(&id).unwrap().is_some() {
                continue;
            }
            for entry in Tree::at(commit.tree).range(store, KeyRange::all()).unwrap() {
                let (path, file) = entry.unwrap();
                assert_eq!(digest_of(&store.read_file(&file, 0..file.size).unwrap()), file.digest);
                let at = Resolved { id, commit: commit.clone(), path: repos::tree::path_of(&path).unwrap() };
                let traced = trace(store, &at, Reach::default()).unwrap();
                assert!(traced.complete && traced.gaps.is_empty(), "{:?}", traced.gaps);
            }
            for result in self.results(&id) {
                for log in result.tries.iter().filter_map(|attempt| attempt.log) {
                    store.log_of(&result, &log).unwrap();
                }
            }
        }
    }

    fn head(&self, repo: &str) -> CommitId {
        self.s.store.head(&repo.parse().unwrap(), &"main".parse().unwrap()).unwrap()
    }

    /// The results of a commit's datums.
    fn results(&self, id: &CommitId) -> Vec<ResultDocument> {
        let Some(datums) = self.s.store.commit(id).unwrap().datums else { return Vec::new() };
        let entries = Map::<Vec<u8>>::at(datums);
        let entries = entries.range(&self.s.store, KeyRange::prefix(*b"d")).unwrap().map(Result::unwrap);
        let digest = |(_, value): (_, Vec<u8>)| Digest::from_bytes(value.try_into().unwrap());
        entries.map(|entry| self.s.store.document(&digest(entry)).unwrap()).collect()
    }

    fn has(&self, content: &str) -> bool {
        self.s.store.has_content(&digest_of(content.as_bytes())).unwrap()
    }

    /// Whether the logs of a commit's datums exist; every missing one must be recorded as collected.
    fn has_logs(&self, id: &CommitId) -> bool {
        let read = |result: &ResultDocument| {
            let logs = result.tries.iter().filter_map(|attempt| attempt.log);
            logs.map(|log| self.s.store.log_of(result, &log)).collect::<Result<Vec<_>, RepoError>>()
        };
        let read: Vec<_> = self.results(id).iter().map(read).collect();
        assert!(!read.is_empty());
        let is_right = |error: &RepoError| error.kind() == ErrorKind::NotFound;
        assert!(read.iter().all(|read| read.as_ref().err().is_none_or(is_right)), "{read:?}");
        read.iter().any(Result::is_ok)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_branches_reach_stays_with_lineage_results_and_logs() {
    let a = Aging::new();
    a.s.pipeline(UPPER).pipeline(LOWER);
    a.s.put("images", [("/a", Some("1")), ("/b", Some("2"))]);
    a.s.run().await;
    a.s.put("images", [("/c", Some("3")), ("/a", Some("1'")), ("/b", None)]);
    a.s.run().await;
    a.wait(48);
    a.collect(&["images", "upper", "lower"]);
    assert!(a.has("2|upper|lower") && a.has("1"), "older commits count too");
    a.s.seen("upper");
    a.s.seen("lower");
    a.s.put("images", [("/b", Some("2"))]);
    a.s.run().await;
    assert!(a.s.seen("upper").is_empty() && a.s.seen("lower").is_empty(), "results are found again");
    a.collect(&["images", "upper", "lower"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pruned_outputs_are_made_again_when_they_are_needed() {
    let a = Aging::new();
    a.s.pipeline(UPPER).pipeline(LOWER);
    a.s.put("images", [("/a", Some("1")), ("/b", Some("2")), ("/c", Some("3"))]);
    a.s.run().await;
    let (old, old_output) = (a.head("images"), a.head("lower"));
    a.s.put("images", [("/a", Some("1'")), ("/c", None)]);
    a.s.run().await;
    a.s.store.set_setting(&settings::RETENTION, Some("1h")).unwrap();
    a.wait(2);
    let done = a.collect(&["images", "upper", "lower"]);
    assert!(done.plan.commits.contains_key(&old) && done.plan.commits.contains_key(&old_output));
    for gone in ["1", "1|upper", "1|upper|lower"] {
        assert!(!a.has(gone), "{gone}");
    }
    assert!(a.has("2|upper|lower"), "the newer commit has it too");
    assert!(a.has_logs(&a.head("lower")));
    let results = a.results(&old_output);
    let logs =
        results.iter().flat_map(|result| result.tries.iter().filter_map(|one| one.log).map(move |log| (result, log)));
    let refused: Vec<String> =
        logs.filter_map(|(result, log)| a.s.store.log_of(result, &log).err().map(|error| error.to_string())).collect();
    assert!(refused.len() == 1 && refused[0].contains("by the setting `retention`"), "{refused:?}");
    a.s.seen("upper");
    a.s.seen("lower");
    a.s.put("images", [("/a", Some("1"))]);
    a.s.run().await;
    assert_eq!(a.s.seen("upper"), ["images/a"]);
    assert_eq!(a.s.seen("lower"), ["upper/a"]);
    assert_eq!(a.s.files("lower")["/a"], "1|upper|lower");
    a.collect(&["images", "upper", "lower"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_job_made_expires_after_the_grace() {
    let a = Aging::new();
    a.s.pipeline(UPPER).pipeline(LOWER);
    a.s.put("images", [("/a", Some("1"))]);
    a.s.run().await;
    a.s.put("images", [("/b", Some("bad")), ("/c", Some("3"))]);
    a.s.run().await;
    let failed = a.s.job("upper").commit.unwrap();
    a.collect(&["images", "upper", "lower"]);
    assert!(a.has("3|upper") && a.has_logs(&failed), "the grace is not over");
    a.wait(2);
    let done = a.collect(&["images", "upper", "lower"]);
    assert!(done.plan.commits.contains_key(&failed));
    assert!(!a.has("3|upper") && a.has("3"));
    // The datum that succeeded before also belongs to the good commit.
    assert!(a.has_logs(&a.head("upper")));
    let lost = a
        .results(&failed)
        .into_iter()
        .filter(|result| result.tries.iter().filter_map(|attempt| attempt.log).any(|log| a.s.store.log(&log).is_err()));
    assert_eq!(lost.count(), 2);
    a.s.seen("upper");
    let failed_job = a.s.job("upper");
    engine::apply::retry(&a.s.store, &failed_job, None, &a.s.by, None).unwrap();
    // The command is fixed.
    a.s.run_with(|mut call| {
        call.inputs.values_mut().filter(|bytes| *bytes == b"bad").for_each(|bytes| *bytes = b"good".to_vec());
        copy(call)
    })
    .await;
    assert_eq!(a.s.seen("upper"), ["images/b", "images/c"]);
    assert_eq!((a.s.state("upper"), a.s.state("lower")), (SealedState::Success, SealedState::Success));
    assert_eq!(a.s.files("lower").len(), 3);
    a.collect(&["images", "upper", "lower"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_of_open_jobs_stay_although_no_branch_has_them() {
    let a = Aging::new();
    a.s.pipeline(UPPER).pipeline(LOWER);
    let first = a.s.put("images", [("/a", Some("1"))]);
    a.s.run().await;
    let second = a.s.put("images", [("/a", Some("1'")), ("/b", Some("2"))]);
    let (repo, branch) = ("images".parse().unwrap(), "main".parse().unwrap());
    changes::move_branch(&a.s.store, &repo, &branch, first, &a.s.by).unwrap();
    a.s.store.set_setting(&settings::RETENTION, Some("0s")).unwrap();
    a.wait(2);
    let done = a.collect(&[]);
    assert!(!done.plan.commits.contains_key(&second) && a.has("1'") && a.has("2"));
    a.s.seen("upper");
    a.s.run().await;
    assert_eq!(a.s.seen("upper"), ["images/a", "images/b"]);
    assert_eq!(a.s.files("lower"), [("/a".into(), "1|upper|lower".into())].into());
    // The outputs are in the history of their branch, and depend on the commit that is on no branch.
    a.s.store.set_setting(&settings::RETENTION, None).unwrap();
    a.wait(2);
    a.collect(&["images", "upper", "lower"]);
    assert!(a.has("1'") && a.has("2|upper|lower"));
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_and_all_of_a_repository_are_inputs_too() {
    let a = Aging::new();
    a.s.pipeline(UPPER);
    a.s.pipeline(
        "{pipeline: {name: all}, transform: {cmd: [all], image: 'x:1'}, input: {pfs: {repo: upper, glob: /}}}",
    );
    a.s.put("images", [("/x/1", Some("1")), ("/x/2", Some("2")), ("/y/1", Some("3"))]);
    a.s.run().await;
    a.s.put("images", [("/y/1", None), ("/z/1", Some("5"))]);
    a.s.run().await;
    a.wait(2);
    a.collect(&["images", "upper", "all"]);
    a.s.store.set_setting(&settings::RETENTION, Some("0s")).unwrap();
    a.collect(&["images", "upper", "all"]);
    assert!(!a.has("3|upper|all") && a.has("1|upper|all"));
    a.s.seen("upper");
    a.s.seen("all");
    a.s.put("images", [("/y/1", Some("3"))]);
    a.s.run().await;
    assert_eq!(a.s.seen("upper"), ["images/y/1"]);
    assert_eq!(a.s.seen("all").len(), 1);
    a.collect(&["images", "upper", "all"]);
}

#[test]
fn results_of_an_open_job_stay_also_those_that_came_after_the_marks() {
    for late in [false, true] {
        let a = Aging::new();
        a.s.store.set_setting(&settings::GC_GRACE, Some("0s")).unwrap();
        a.s.pipeline(UPPER);
        let files: Vec<(String, String)> = (0..12).map(|n| (format!("/{n:02}"), n.to_string())).collect();
        a.s.put("images", files.iter().map(|(path, content)| (path.as_str(), Some(content.as_str()))));
        let mut marks = gc::mark(&a.s.store, &Plan::of_settings(&a.s.store).unwrap(), &silent).unwrap();
        let (reached, done) = std::sync::mpsc::channel();
        let (go_on, held) = std::sync::mpsc::channel::<()>();
        let held = std::sync::Mutex::new(held);
        let runtime = Runtime::new().unwrap();
        let engine = runtime.block_on(a.s.engine(move |call| {
            if call.inputs.contains_key("images/06") {
                reached.send(()).ok();
                held.lock().unwrap().recv().ok(); // the engine is dropped meanwhile
            }
            copy(call)
        }));
        let live = engine.live().clone();
        let taken_in = || live.all().values().map(|job| job.counts.processed).sum::<u64>();
        let running = runtime.spawn(async move { engine.run(engine::Selection::All).await });
        done.recv().unwrap();
        while taken_in() < 5 {
            std::thread::yield_now();
        }
        running.abort();
        runtime.block_on(running).ok();
        drop(go_on);
        // Dropping the runtime ends everything that the engine had started.
        drop(runtime);
        let taken_in = usize::try_from(taken_in()).unwrap();
        let before = a.s.seen("upper");
        a.s.store.finish_packs().unwrap();
        if late {
            a.s.store.sweep(&mut marks, &silent).unwrap();
        } else {
            a.wait(2);
            a.collect(&["images"]);
        }
        Runtime::new().unwrap().block_on(a.s.run());
        let again = a.s.seen("upper");
        let twice = before.iter().filter(|seen| again.contains(seen)).count();
        assert!(before.len() - twice >= taken_in, "{taken_in}: {before:?} {again:?}");
        assert_eq!(a.s.files("upper").len(), 12);
        a.collect(&["images", "upper"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_and_a_deleted_pipeline_leave_what_is_reached() {
    let a = Aging::new();
    a.s.pipeline(UPPER).pipeline(LOWER);
    a.s.put("images", [("/a", Some("1"))]);
    a.s.run().await;
    a.s.pipeline(&LOWER.replace("[lower]", "[lowest]"));
    a.s.run().await;
    a.wait(2);
    a.collect(&["images", "upper", "lower"]);
    assert!(a.has("1|upper|lower") && a.has("1|upper|lowest"));
    engine::apply::delete_pipeline(&a.s.store, &"lower".parse().unwrap(), engine::apply::Data::Stays, &a.s.by).unwrap();
    a.wait(2);
    a.collect(&["images", "upper", "lower"]);
    changes::delete_repo(&a.s.store, &"lower".parse().unwrap()).unwrap();
    a.collect(&["images", "upper"]);
    assert!(a.has("1|upper|lowest"), "the grace is not over");
    a.wait(2);
    a.collect(&["images", "upper"]);
    assert!(!a.has("1|upper|lowest") && !a.has("1|upper|lower") && a.has("1|upper"));
}
