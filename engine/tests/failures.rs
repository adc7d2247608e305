//! Jobs whose datums, sandboxes or secrets fail: how they end, and that the next job succeeds.

use repos::documents::{JobDocument, ResultDocument};
use repos::journal::SealedState;
use specs::spec::Reprocess;

use super::setting::{Setting, copy};
use answers::datum::{DatumFilter, DatumState, DatumView, datums};
use engine::secrets;
use sandbox::scripted::{Call, Reply};

/// The spec of a pipeline over each file of `images`, with additional fields.
pub(super) fn spec(transform: &str, more: &str) -> String {
    format!(
        "{{pipeline: {{name: upper}}, transform: {{image: 'x:1', cmd: [upper]{transform}}}, \
         input: {{pfs: {{repo: images, glob: '/*'}}}}{more}}}"
    )
}

pub(super) fn setting(transform: &str, more: &str) -> Setting {
    let s = Setting::new();
    s.repo("images").pipeline(&spec(transform, more));
    s
}

impl Setting {
    fn document(&self) -> JobDocument {
        self.store.document(&self.job("upper").document.unwrap()).unwrap()
    }

    pub(super) fn why(&self) -> String {
        self.document().reason.unwrap_or_default()
    }

    /// Total, processed, cached, failed, recovered.
    pub(super) fn counts(&self) -> [u64; 5] {
        let job = self.document();
        [job.datums_total, job.datums_processed, job.datums_cached, job.datums_failed, job.datums_recovered]
    }

    pub(super) fn datum(&self, state: DatumState) -> DatumView {
        let filter = DatumFilter { state: Some(state), ..DatumFilter::default() };
        let found: Vec<_> =
            datums(&self.store, None, &self.job("upper"), filter).unwrap().collect::<engine::Result<_>>().unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    }

    fn log(&self, datum: &DatumView) -> String {
        let result: ResultDocument = self.store.document(&datum.result.unwrap()).unwrap();
        let log = result.tries.last().unwrap().log.unwrap();
        String::from_utf8(self.store.log(&log).unwrap().to_vec()).unwrap()
    }
}

/// The command `fix` exits with 0 and logs that it ran.
fn copy_or_fix(call: Call) -> Reply {
    if call.cmd[0] == "fix" {
        assert_eq!(call.inputs["images/b"], b"bad", "the error command sees the inputs of the datum");
        return Reply { log: b"fixed\n".to_vec(), files: [("x".to_owned(), Vec::new())].into(), ..Reply::default() };
    }
    copy(call)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_command_makes_a_datum_recovered_until_it_succeeds() {
    let s = setting(", err_cmd: [fix]", ", datum_tries: 2");
    s.put("images", [("/a", Some("a")), ("/b", Some("bad"))]);
    s.run_with(copy_or_fix).await;
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Success, [2, 1, 0, 0, 1]));
    assert_eq!(s.seen("upper"), ["images/a", "images/b", "images/b"], "each try, then the error command");
    assert_eq!(s.seen("fix"), ["images/b"]);
    assert_eq!(s.files("upper").into_keys().collect::<Vec<_>>(), ["/a"], "a recovered datum has no output");
    let recovered = s.datum(DatumState::Recovered);
    assert_eq!((recovered.tries, recovered.exit_code), (2, Some(1)), "the command's own tries and code");
    assert_eq!(recovered.reason.as_deref(), Some("exit code 1; `err_cmd` recovered it"));
    assert_eq!(s.log(&recovered), "upper reads images/b\nfixed\n", "both print to one log");

    s.put("images", [("/c", Some("c"))]);
    s.run_with(copy_or_fix).await;
    assert_eq!(s.counts(), [3, 1, 1, 0, 1], "it runs again in every job, whatever the cache holds");
    s.put("images", [("/b", Some("good"))]);
    s.run().await;
    assert_eq!(s.counts(), [3, 1, 2, 0, 0]);
    assert_eq!(s.files("upper").into_keys().collect::<Vec<_>>(), ["/a", "/b", "/c"]);
    s.put("images", [("/a", Some("again"))]);
    s.run().await;
    assert_eq!(s.counts(), [3, 1, 2, 0, 0], "once it has succeeded it is a datum like others");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_command_that_fails_leaves_the_datum_failed() {
    let s = setting(", err_cmd: [fix]", ", datum_tries: 1");
    s.put("images", [("/b", Some("bad"))]);
    s.run_with(|call| if call.cmd[0] == "fix" { Reply { code: 7, ..Reply::default() } } else { copy(call) }).await;
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Failure, [1, 0, 0, 1, 0]));
    let reason = s.datum(DatumState::Failed).reason.unwrap();
    assert_eq!(reason, "exit code 1; `err_cmd` failed too: exit code 7");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_cannot_be_a_file_fails_its_datum_alone_and_is_named() {
    let s = setting("", "");
    // An older store may contain such a path; today no commit accepts it.
    let long = format!("/{}", "w".repeat(300));
    let long_path: specs::FilePath = long.parse().unwrap();
    let [one, two] =
        [("/a", b"a"), (long.as_str(), b"w")].map(|(path, bytes)| (path, s.store.put_bytes(bytes).unwrap()));
    let mut sink = &s.store;
    let mut editor = repos::tree::Editor::new(repos::tree::Tree::empty(), &s.store, &mut sink).unwrap();
    for (path, stored) in [one, two] {
        let file = repos::tree::FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
        editor.set(path.as_bytes(), &file).unwrap();
    }
    s.commit_tree("images", editor.finish().unwrap());
    s.run().await;
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Failure, [2, 1, 0, 1, 0]));
    let failed = s.datum(DatumState::Failed);
    let why = format!(
        "the command did not start: its input `/pfs/images{long_path}` cannot be created: a part of its path is longer than 255 bytes"
    );
    assert_eq!((failed.tries, failed.reason), (1, Some(why)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_may_be_asked_to_run_every_datum() {
    let s = setting("", ", reprocess_spec: every_job");
    s.put("images", [("/a", Some("a"))]);
    s.run().await;
    s.put("images", [("/b", Some("b"))]);
    s.run().await;
    assert_eq!(s.counts(), [2, 2, 0, 0, 0]);
    assert_eq!(s.seen("upper"), ["images/a", "images/a", "images/b"]);
    assert_eq!(s.files("upper").len(), 2);
    assert_eq!(engine::Graph::load(&s.store).unwrap().in_order()[0].spec.reprocess, Reprocess::EveryJob);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_stops_when_its_first_hundred_datums_all_fail() {
    let s = setting("", ", datum_tries: 1");
    let names: Vec<String> = (0..120).map(|number| format!("/{number:03}")).collect();
    s.put("images", names.iter().map(|name| (name.as_str(), Some("bad"))));
    s.run().await;
    assert_eq!(s.state("upper"), SealedState::Failure);
    assert_eq!(s.why(), "its first 100 datums all failed, so it was stopped");
    assert_eq!(s.counts()[3], 100);
    s.put("images", names.iter().map(|name| (name.as_str(), Some("good"))));
    s.run().await;
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Success, [120, 120, 0, 0, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_reach_the_command_and_no_log() {
    let s = setting(", secrets: [{name: mail, key: token, env_var: TOKEN}]", "");
    let (name, key) = ("mail".parse().unwrap(), "token".parse().unwrap());
    let keep = |value: &str| {
        secrets::keep(&s.store, &name, &[(specs::SecretKey::clone(&key), value.into())].into()).unwrap();
    };
    s.put("images", [("/a", Some("a"))]);
    s.run().await;
    assert_eq!(s.state("upper"), SealedState::Failure, "it was deleted after the apply");
    assert!(s.why().contains("secret `mail` not found (pv secret create mail token=FILE)"), "{}", s.why());

    let print = |call: Call| {
        let token = &call.env["TOKEN"];
        let log = format!("the token is {token}, and {} again: {token}", &token[..4]).into_bytes();
        Reply { log, ..copy(call) }
    };
    keep("hunter2\n");
    s.put("images", [("/b", Some("b"))]);
    s.run_with(print).await;
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Success, [2, 2, 0, 0, 0]));
    let filter = DatumFilter::default();
    for datum in datums(&s.store, None, &s.job("upper"), filter).unwrap() {
        assert_eq!(s.log(&datum.unwrap()), "the token is ***, and hunt again: ***");
    }
    keep("another");
    s.put("images", [("/b", None)]);
    s.run_with(print).await;
    assert_eq!(s.counts(), [1, 0, 1, 0, 0], "a changed value runs nothing again");
}
