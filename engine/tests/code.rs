//! The answer about code and spec in git equals a comparison file by file.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use git2::{IndexEntry, IndexTime, Oid, Repository, Signature};
use repos::documents::{CodeStamp, GitCheck, GitHow, GitState, VersionDocument};
use tempfile::TempDir;

use super::setting::Setting;

/// A git repository with a spec whose code is in `code`.
struct Git {
    folder: TempDir,
    repository: Repository,
}

const SPEC: &str =
    "pipeline: {name: up}\ntransform: {cmd: [up], code: code}\ninput: {pfs: {repo: images, glob: '/*'}}\n";

impl Git {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init(folder.path()).unwrap();
        let git = Self { folder, repository };
        git.write("p.yml", SPEC).write("code/run.sh", "echo 1\n").write("code/lib/a.py", "a = 1\n");
        git
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) -> &Self {
        std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        std::fs::write(self.at(path), text).unwrap();
        self
    }

    /// Commits all files that git does not ignore.
    fn commit(&self) -> Oid {
        self.commit_with(&[])
    }

    /// Commits all files that git does not ignore; `entries` replace those at the same path.
    fn commit_with(&self, entries: &[(&str, u32, Oid)]) -> Oid {
        let mut index = self.repository.index().unwrap();
        index.clear().unwrap();
        let mut is_left_out = |path: &Path, _: &[u8]| i32::from(entries.iter().any(|(own, ..)| path.starts_with(own)));
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, Some(&mut is_left_out)).unwrap();
        for (path, mode, id) in entries {
            index.add(&entry(path, *mode, *id)).unwrap();
        }
        let tree = self.repository.find_tree(index.write_tree().unwrap()).unwrap();
        index.write().unwrap();
        let who = Signature::now("anna", "anna@example.org").unwrap();
        let parent = self.repository.head().ok().map(|head| head.peel_to_commit().unwrap());
        self.repository.commit(Some("HEAD"), &who, &who, "code", &tree, &parent.iter().collect::<Vec<_>>()).unwrap()
    }

    async fn stamp(&self) -> CodeStamp {
        stamp(self.folder.path(), SPEC).await.expect("the pipeline has code")
    }

    async fn code(&self) -> GitCheck {
        self.stamp().await.git_code.expect("code is compared")
    }

    /// The files that differ.
    async fn differing(&self) -> Vec<(String, GitHow)> {
        let check = self.code().await;
        assert_eq!(check.state, if check.files.is_empty() { GitState::InCommit } else { GitState::Differs });
        assert_eq!(check.differ, check.files.len() as u64);
        check.files.into_iter().map(|file| (file.path, file.how)).collect()
    }
}

fn entry(path: &str, mode: u32, id: Oid) -> IndexEntry {
    let time = IndexTime::new(0, 0);
    let (flags, path) = (0, path.as_bytes().to_vec());
    IndexEntry {
        ctime: time,
        mtime: time,
        dev: 0,
        ino: 0,
        mode,
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags,
        flags_extended: 0,
        path,
    }
}

/// The recorded code stamp of a spec applied from a folder; from a folder of another machine it is the same.
async fn stamp(folder: &Path, text: &str) -> Option<CodeStamp> {
    let version = |s: &Setting| {
        let row = s.store.find_pipeline(&"up".parse().unwrap()).unwrap().unwrap();
        s.store.document::<VersionDocument>(&row.document).unwrap()
    };
    let [here, there] = [Setting::new(), Setting::new()];
    here.repo("images");
    there.repo("images");
    let warnings = here.apply_from(folder, text).await.unwrap().warnings;
    let listed = super::sent::listed(&there.store, text, folder);
    assert_eq!(there.apply_listed(&listed, text).await.unwrap().warnings, warnings);
    assert_eq!(version(&there), version(&here));
    version(&here).code
}

#[tokio::test(flavor = "multi_thread")]
async fn code_is_in_the_commit_when_every_file_is_and_nothing_else_matters() {
    let git = Git::new();
    let commit = git.commit().to_string();
    // Untracked or changed files outside the code folder do not matter.
    git.write("notes.txt", "mine").write("other/x", "1");
    let stamp = git.stamp().await;
    assert_eq!((stamp.git_commit.as_ref(), stamp.git_clean), (Some(&commit), None));
    let code = stamp.git_code.unwrap();
    assert_eq!((code.state, code.commit.as_ref(), code.path.as_str()), (GitState::InCommit, Some(&commit), "code"));
    let spec = stamp.git_spec.unwrap();
    assert_eq!((spec.state, spec.commit.as_ref(), spec.path.as_str()), (GitState::InCommit, Some(&commit), "p.yml"));
    // A staged change is in no commit.
    git.write("code/run.sh", "echo 2\n");
    let mut index = git.repository.index().unwrap();
    index.add_path(Path::new("code/run.sh")).unwrap();
    index.write().unwrap();
    assert_eq!(git.differing().await, [("/run.sh".to_owned(), GitHow::Content)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_git_ignores_or_does_not_track_are_not_in_the_commit() {
    let git = Git::new();
    git.write(".gitignore", "*.pkl\n").commit();
    git.write("code/model.pkl", "weights").write("code/new.py", "b = 1\n");
    let differing = git.differing().await;
    assert_eq!(
        differing,
        [("/model.pkl".to_owned(), GitHow::NotInCommit), ("/new.py".to_owned(), GitHow::NotInCommit)]
    );
    // A folder that git ignores as a whole is in no commit.
    let other = Git::new();
    other.write(".gitignore", "code\n").commit();
    let check = other.code().await;
    assert_eq!((check.state, check.commit), (GitState::InNoCommit, None));
    assert!(check.why.ends_with("does not have `code`"), "{}", check.why);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_code_is_counted_in_the_commit_and_no_difference() {
    let git = Git::new();
    git.write("code/.pvignore", "*.log\n").write("code/x.log", "1").write("code/lib/y.log", "2").commit();
    // Caches and swap files are not code either.
    git.write("code/__pycache__/a.pyc", "bytes").write("code/.run.sh.swp", "swap");
    let code = git.code().await;
    assert_eq!((code.state, code.differ, code.left_out), (GitState::InCommit, 0, 3));
    assert!(code.in_words("code", 8, 3).ends_with(", without 3 excluded files"));
    // A committed file that is excluded later is reported as a difference, and the rest is compared.
    git.write("code/.pvignore", "*.log\n/lib/\n").write("code/run.sh", "echo 2\n");
    let code = git.code().await;
    assert_eq!((code.state, code.differ, code.left_out), (GitState::Differs, 1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_differ_is_named() {
    let git = Git::new();
    git.write("code/crlf.py", "a\r\nb\r\n").write("code/gone.py", "x").write("code/tool", "#!/bin/sh\n");
    let weights = repos::hash::digest_of(b"the weights");
    git.write("code/w.bin", &format!("version https://git-lfs.github.com/spec/v1\noid sha256:{weights}\nsize 11\n"));
    git.commit();
    std::fs::remove_file(git.at("code/gone.py")).unwrap();
    std::fs::set_permissions(git.at("code/tool"), std::fs::Permissions::from_mode(0o755)).unwrap();
    git.write("code/crlf.py", "a\nb\n").write("code/w.bin", "the weights").write("code/lib/a.py", "a = 2\n");
    let expected = [
        ("/crlf.py", GitHow::LineEnds),
        ("/gone.py", GitHow::OnlyInCommit),
        ("/lib/a.py", GitHow::Content),
        ("/tool", GitHow::Executable),
        ("/w.bin", GitHow::LfsPointer),
    ];
    assert_eq!(git.differing().await, expected.map(|(path, how)| (path.to_owned(), how)));
    let check = git.code().await;
    let words = check.in_words("code", 8, 2);
    let id = &check.commit.unwrap()[..8];
    assert_eq!(
        words,
        format!(
            "code differs from {id}: 5 files: /crlf.py (different line ends), /gone.py (only in the commit), 3 more"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_bounded_and_the_count_is_not() {
    let git = Git::new();
    git.commit();
    for number in 0..40 {
        git.write(&format!("code/n{number:02}"), "x");
    }
    let check = git.code().await;
    assert_eq!((check.differ, check.files.len(), check.files[9].path.as_str()), (40, 10, "/n09"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_counts_as_the_file_that_it_leads_to_in_the_commit() {
    let git = Git::new();
    git.write("shared/util.py", "u = 1\n");
    symlink("../../shared/util.py", git.at("code/lib/util.py")).unwrap();
    symlink("lib/util.py", git.at("code/again.py")).unwrap();
    git.commit();
    assert_eq!(git.differing().await, []);
    git.write("shared/util.py", "u = 2\n");
    let both = ["/again.py", "/lib/util.py"].map(|path| (path.to_owned(), GitHow::Link));
    assert_eq!(git.differing().await, both);
    let outside = Git::new();
    symlink("/etc/hostname", outside.at("code/host")).unwrap();
    outside.commit();
    assert_eq!(outside.differing().await, [("/host".to_owned(), GitHow::Link)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_commit_there_is_none_to_name() {
    let plain = tempfile::tempdir().unwrap();
    std::fs::create_dir(plain.path().join("code")).unwrap();
    std::fs::write(plain.path().join("code/run.sh"), "1").unwrap();
    std::fs::write(plain.path().join("p.yml"), SPEC).unwrap();
    let of_plain = stamp(plain.path(), SPEC).await.unwrap();
    let check = of_plain.git_code.unwrap();
    assert_eq!(check.in_words("code", 8, 3), "code in no commit: its folder is not in a git repository");
    assert_eq!((of_plain.git_commit, of_plain.git_spec), (None, None));
    let git = Git::new();
    let unborn = git.stamp().await;
    assert_eq!(
        unborn.git_code.unwrap().in_words("code", 8, 3),
        "code in no commit: its git repository has no commit yet"
    );
    assert_eq!(unborn.git_spec.unwrap().state, GitState::InNoCommit);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commit_that_counts_is_that_of_the_code_s_own_repository() {
    let (git, other) = (Git::new(), Git::new());
    git.commit();
    other.write("code/only.py", "o = 1\n");
    let commit = other.commit().to_string();
    let text = SPEC.replace("code: code", &format!("code: {}", other.at("code").display()));
    git.write("p.yml", &text);
    let stamp = stamp(git.folder.path(), &text).await.unwrap();
    assert_eq!(stamp.git_commit.as_ref(), Some(&commit));
    let code = stamp.git_code.unwrap();
    assert_eq!((code.state, code.commit), (GitState::InCommit, Some(commit)));
    let spec = stamp.git_spec.unwrap();
    assert_eq!((spec.state, spec.files[0].path.as_str()), (GitState::Differs, "/p.yml"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_head_and_a_worktree_are_commits_like_others() {
    let git = Git::new();
    let first = git.commit();
    git.write("code/run.sh", "echo 2\n").commit();
    git.repository.set_head_detached(first).unwrap();
    let check = git.code().await;
    assert_eq!((check.state, check.commit), (GitState::Differs, Some(first.to_string())));
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("tree");
    git.repository.worktree("tree", &at, None).unwrap();
    let check = stamp(&at, SPEC).await.unwrap().git_code.unwrap();
    assert_eq!((check.state, check.path.as_str()), (GitState::InCommit, "code"), "{check:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submodule_counts_with_the_commit_that_is_named() {
    let git = Git::new();
    let own = Repository::init(git.at("code/lib")).unwrap();
    let mut index = own.index().unwrap();
    index.add_path(Path::new("a.py")).unwrap();
    let tree = own.find_tree(index.write_tree().unwrap()).unwrap();
    let who = Signature::now("anna", "anna@example.org").unwrap();
    let commit = own.commit(Some("HEAD"), &who, &who, "lib", &tree, &[]).unwrap();
    git.commit_with(&[("code/lib", 0o160_000, commit)]);
    assert_eq!(git.differing().await, []);
    git.write("code/lib/a.py", "a = 2\n").write("code/lib/b.py", "b\n");
    let expected = [("/lib/a.py", GitHow::Content), ("/lib/b.py", GitHow::NotInCommit)];
    assert_eq!(git.differing().await, expected.map(|(path, how)| (path.to_owned(), how)));
    // A submodule that is not checked out cannot be compared, and is not reported as equal.
    git.commit_with(&[("code/lib", 0o160_000, Oid::from_str("0123456789012345678901234567890123456789").unwrap())]);
    let expected = ["/lib/a.py", "/lib/b.py"].map(|path| (path.to_owned(), GitHow::Submodule));
    assert_eq!(git.differing().await, expected);
    std::fs::remove_dir_all(git.at("code/lib")).unwrap();
    assert_eq!(git.differing().await, [("/lib".to_owned(), GitHow::Submodule)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_git_does_not_trust_is_not_checked() {
    let git = Git::new();
    git.commit();
    let others = Some(12_345);
    let is_given_away = [git.folder.path().to_owned(), git.at(".git")].iter().all(|path| {
        // Only root can.
        std::os::unix::fs::chown(path, others, None).is_ok()
    });
    if is_given_away {
        let check = git.code().await;
        assert_eq!(check.state, GitState::NotChecked);
        assert_eq!(
            check.in_words("code", 8, 3),
            "code not checked against git: git does not trust the repository (safe.directory)"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spec_without_code_is_compared_by_its_file() {
    let text = SPEC.replace(", code: code", "");
    let git = Git::new();
    git.write("p.yml", &text);
    let commit = git.commit().to_string();
    let of = stamp(git.folder.path(), &text).await.unwrap();
    assert_eq!((of.tree, of.git_code, of.git_commit), (None, None, Some(commit)));
    assert_eq!(of.git_spec.unwrap().state, GitState::InCommit);
    // The applied text counts, not the file as it is now.
    let applied = format!("{text}# more\n");
    let of = stamp(git.folder.path(), &applied).await.unwrap();
    assert_eq!(of.git_spec.unwrap().state, GitState::Differs);
    // Specs from standard input have no file, so nothing is recorded.
    std::fs::remove_file(git.at("p.yml")).unwrap();
    assert_eq!(stamp(git.folder.path(), &text).await, None);
}
