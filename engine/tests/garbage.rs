//! Garbage collection at the worst moment: between the check that an object exists and the record that names it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};

use repos::files::Edits;
use repos::gc::Marks;
use repos::hash::digest_of;
use repos::journal::SealedState;
use repos::object::Kind;
use repos::tree::FileEntry;
use repos::{RepoError, Store};
use specs::Digest;

use super::setting::{Setting, copy};
use engine::changes::{self, Committed, NewCommit};

/// Everything is live except these.
struct Doomed(HashSet<Digest>);

impl Marks for Doomed {
    fn is_live(&self, _: Kind, digest: &Digest) -> bool {
        !self.0.contains(digest)
    }

    fn catch_up(&mut self, _: &Store) -> Result<(), RepoError> {
        Ok(())
    }
}

fn sweep(store: &Store, content: &[u8]) -> u64 {
    let mut marks = Doomed([digest_of(content)].into());
    store.sweep(&mut marks, &|_, _, _| {}).unwrap().objects_removed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_writes_anew_what_went_while_it_was_made() {
    let s = Setting::new();
    s.repo("images");
    s.store.put_bytes(b"reused").unwrap();
    s.store.finish_packs().unwrap();
    s.put("images", [("/a", Some("1"))]);
    let (repo, branch) = ("images".parse().unwrap(), "main".parse().unwrap());
    let new = NewCommit { repo: &repo, branch: &branch, expect: None, by: &s.by, message: "" };
    let mut tries = 0;
    let (done, _) = changes::commit(&s.store, &new, |_| {
        let stored = s.store.put_bytes(b"reused")?;
        tries += 1;
        if tries == 1 {
            assert_eq!(sweep(&s.store, b"reused"), 1);
        }
        let file = FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
        Ok(Edits { files: [("/b".parse().unwrap(), Some(file))].into(), ..Edits::default() })
    })
    .unwrap();
    assert!(matches!(done, Committed::Made { .. }));
    assert_eq!(tries, 2);
    assert_eq!(s.files("images").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_executes_again_what_went_after_it_was_found_in_the_cache() {
    let s = Setting::new();
    s.repo("images").pipeline(super::flow::UPPER);
    s.put("images", [("/a", Some("1"))]);
    s.run().await;
    s.put("images", [("/a", None)]);
    s.run().await;
    // The job's output is in a finished pack, which no operation holds.
    s.store.finish_packs().unwrap();
    s.put("images", [("/a", Some("1")), ("/b", Some("2"))]);
    assert_eq!(s.seen("upper"), ["images/a"]);
    let (store, removed) = (s.store.clone(), std::sync::Arc::new(AtomicU32::new(0)));
    s.run_with({
        let removed = removed.clone();
        move |call| {
            // The job is running and most likely found `a` in the cache; otherwise it executes it anyway.
            if call.inputs.keys().any(|path| path.ends_with("/b")) {
                removed.fetch_add(sweep(&store, b"1|upper") as u32, Ordering::Relaxed);
            }
            copy(call)
        }
    })
    .await;
    assert_eq!(removed.load(Ordering::Relaxed), 1);
    assert_eq!(s.state("upper"), SealedState::Success);
    assert_eq!(s.seen("upper"), ["images/a", "images/b"]);
    assert_eq!(s.files("upper"), [("/a".into(), "1|upper".into()), ("/b".into(), "2|upper".into())].into());
}
