//! What an attacker can do who can write to the store's folder and knows all formats, but has no private key: `verify` never answers
//! PROVEN for a forgery, and an engine signs nothing false.
//!
//! `PV_FORGERIES` changes are made, chosen by `PV_SEED`; each to a fresh copy of one store, with or without its index.
//!
//! Excluded is what a store cannot detect on its own, because it once was in that state: restoring a complete backup, and removing the
//! last records if another change followed. A store replaced completely, with its key, is another store.

mod records;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use repos::documents::{Commit, Recipe, ResultDocument, SignatureDocument};
use repos::files::Edits;
use repos::hash::digest_of;
use repos::journal::Entry;
use repos::keys::Signature;
use repos::object::Kind;
use repos::packs::codec::unpack;
use repos::packs::writer::{PackWriter, read_index};
use repos::packs::{LocalPacks, PackStore};
use repos::tree::{FileEntry, KeyRange, Map, Tree};
use repos::{Change, OpenOptions, RepoError, Store};
use serde_json::{Value, json};
use specs::{CommitId, Digest, ErrorKind};

use self::records::{Numbers, Records, run_entry};
use super::setting::{Setting, copy};
use answers::proof::{Verdict, verify};
use engine::changes::{self, NewCommit};
use engine::run::Actor;
use engine::{Engine, Selection};
use sandbox::scripted::ScriptedExecutor;

const UPPER: &str = "
pipeline: {name: upper}
transform: {cmd: [upper], image: 'x:1'}
input: {pfs: {repo: images, glob: '/*'}}
";
const LOWER: &str = "
pipeline: {name: lower}
transform: {cmd: [lower], image: 'x:1'}
input: {pfs: {repo: upper, glob: '/*'}}
";
/// The references that are verified.
const ASKED: [&str; 6] = ["images", "rules", "upper", "lower", "rules@v1", "images@side"];

/// How many records may be removed from the end without a signed commit that knew of more.
const LAST: usize = 4;
const LAST_TAKEN: &str = "the last records taken away";

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn by() -> Actor {
    Actor { author: "mallory".to_owned(), committer: "uid:0@test".to_owned() }
}

/// The original store, with the facts about it.
struct Truth {
    _folder: tempfile::TempDir,
    dir: PathBuf,
    heads: BTreeMap<&'static str, CommitId>,
    key: Digest,
}

fn resolve(store: &Store, reference: &str) -> Result<repos::store::Resolved, RepoError> {
    store.resolve(&reference.parse().unwrap())
}

impl Truth {
    /// Two pipelines in sequence, several commits, a tag, a branch, a failed job, a replaced key.
    async fn new() -> Self {
        let s = Setting::new();
        s.repo("images").repo("rules").pipeline(UPPER).pipeline(LOWER);
        for (path, content) in [("/a", "1"), ("/b", "2"), ("/c", "bad")] {
            s.put("images", [(path, Some(content))]);
            s.put("rules", [("/rule", Some(content))]);
            s.run().await;
        }
        let rules = resolve(&s.store, "rules").unwrap().id;
        changes::create_tag(&s.store, &"rules".parse().unwrap(), &"v1".parse().unwrap(), rules, &s.by, "").unwrap();
        let images = resolve(&s.store, "images@main^").unwrap().id;
        let (repo, side) = ("images".parse().unwrap(), "side".parse().unwrap());
        changes::create_branch(&s.store, &repo, &side, Some(images), &s.by).unwrap();
        s.store.replace_key().unwrap();
        s.put("images", [("/c", Some("3"))]);
        s.put("rules", [("/rule", Some("last"))]);
        s.run().await;
        let heads = ASKED.map(|name| (name, resolve(&s.store, name).unwrap().id)).into();
        let key = s.store.public_key().unwrap().unwrap().fingerprint();
        s.store.finish_packs().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("truth");
        let from = s.store.dir().to_owned();
        drop_store(s, &from, &dir);
        Self { _folder: folder, dir, heads, key }
    }

    /// Copies the store to `to`.
    fn copy(&self, to: &Path) -> PathBuf {
        let dir = to.join("store");
        copy_folder(&self.dir, &dir);
        dir
    }
}

/// Ends the owner, so that everything is on disk, and keeps a copy.
fn drop_store(setting: Setting, from: &Path, to: &Path) {
    let Setting { store, _folder, .. } = setting;
    drop(store);
    copy_folder(from, to);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Rewrites packs without some objects.
fn without(dir: &Path, mut is_out: impl FnMut(Kind, &Digest, &[u8]) -> bool) {
    let folder = dir.join(".pv/packs");
    let packs = LocalPacks::new(folder.clone());
    for (name, length) in packs.list().unwrap() {
        let mut writer = PackWriter::new(name.class, 1 << 30);
        for row in read_index(&packs, &name, length).unwrap() {
            let kind = Kind::from_number(row.kind).unwrap();
            let bytes = unpack(&row, packs.read(&name, row.stored_range()).unwrap()).unwrap();
            if !is_out(kind, &row.digest, &bytes) {
                writer.append(&packs, kind, row.digest, &bytes).unwrap();
            }
        }
        std::fs::remove_file(folder.join(name.to_string())).unwrap();
        writer.finish().unwrap();
    }
}

/// Opens the store with the attacker's own key.
fn as_mallory(dir: &Path) -> Result<Store, RepoError> {
    OpenOptions::default().key(dir.with_file_name("mallory.key")).open(dir)
}

/// Commits as anybody can.
fn commit(store: &Store, repo: &str, path: &str, content: &str) -> Option<CommitId> {
    let (repo, branch) = (repo.parse().unwrap(), "main".parse().unwrap());
    let stored = store.put_bytes(content.as_bytes()).ok()?;
    let file = FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
    let edits = Edits { files: [(path.parse().unwrap(), Some(file))].into(), ..Edits::default() };
    let new = NewCommit { repo: &repo, branch: &branch, expect: None, by: &by(), message: "forged" };
    match changes::commit(store, &new, |_| Ok(edits.clone())).ok()?.0 {
        changes::Committed::Made { commit, .. } => Some(commit),
        changes::Committed::Unchanged { .. } => None,
    }
}

/// Forges a result: for a recipe that is not executed yet, it claims another output.
fn forge_result(dir: &Path, numbers: &mut Numbers, path: &str, content: &str) -> Option<()> {
    let store = as_mallory(dir).ok()?;
    let upper = resolve(&store, "upper").ok()?;
    let lineage = Map::<Digest>::at(upper.commit.lineage?);
    let (_, known) = lineage.range(&store, KeyRange::all()).ok()?.next()?.ok()?;
    let result: ResultDocument = store.document(&known).ok()?;
    let mut recipe: Recipe = store.document(&result.recipe.digest()).ok()?;
    recipe.inputs[0].path = path.parse().unwrap();
    recipe.inputs[0].digest = Some(digest_of(content.as_bytes()));
    let recipe = store.put_document(&recipe).ok()?;
    let forged = store.put_bytes(b"forged").ok()?;
    let file = FileEntry { digest: forged.digest, size: forged.size_bytes, executable: false };
    let outputs = Map::build([(path, file)], &mut &store).ok()?.root();
    let recipe = specs::DatumId::new(recipe);
    let document = ResultDocument { recipe, outputs: Some(outputs), ..result };
    if numbers.below(2) == 0 {
        // With the code of the result it was made from, or with none.
        let mac = document.mac.filter(|_| numbers.below(2) == 0);
        store.put_document(&ResultDocument { mac, ..document }).ok()?;
    } else {
        store.put_result(&document).ok()?;
    }
    store.finish_packs().ok()
}

/// Makes one change and returns its description.
#[expect(clippy::too_many_lines, reason = "one arm for each forgery")]
fn forge(dir: &Path, numbers: &mut Numbers) -> &'static str {
    let mut records = Records::read(dir);
    let repo = *numbers.of(&["images", "rules", "upper", "lower"]);
    let (head, commits) = (records.head(repo, "main"), records.commits());
    let to = numbers.of(&commits).clone();
    match numbers.below(23) {
        0 => {
            let cause = *numbers.of(&["commit", "move", "txn", "cron", "trigger", "try"]);
            let moved = json!({"repo": repo, "branch": "main", "from": head, "to": to});
            let entry = run_entry(numbers, cause, &moved);
            records.append(numbers, &json!([entry]));
            records.write(dir);
            "a branch moved by a record of their own"
        }
        1 => {
            let at = numbers.below(records.0.len());
            let text = serde_json::to_string(&records.0[at]).unwrap();
            let (one, other) = (numbers.of(&commits).as_str().unwrap().to_owned(), to.as_str().unwrap().to_owned());
            records.0[at] = serde_json::from_str(&text.replace(&one, &other)).unwrap();
            records.write(dir);
            "a commit swapped in a record"
        }
        2 => {
            let keep = 1 + numbers.below(records.0.len() - 1);
            // Removing fewer than `LAST` is another kind of change.
            records.0.truncate(keep.min(records.0.len() - LAST).max(1));
            records.write(dir);
            "the journal cut back"
        }
        3 => {
            let at = numbers.below(records.0.len());
            let again = records.0[at].clone();
            records.0.push(again);
            records.write(dir);
            "an old record once more"
        }
        4 => {
            let (a, b) = (numbers.below(records.0.len()), numbers.below(records.0.len()));
            records.0.swap(a, b);
            records.write(dir);
            "two records swapped"
        }
        5 => {
            let at = numbers.below(records.0.len() - LAST);
            records.0.remove(at);
            records.write(dir);
            "a record taken out"
        }
        6 => {
            records.unsign();
            let moved = json!({"repo": repo, "branch": "main", "from": head, "to": to});
            let entry = run_entry(numbers, "move", &moved);
            records.0.push(json!({"format": 1, "at": records.0[0]["at"], "entries": [entry]}));
            records.write(dir);
            "the journal without signatures, and a move"
        }
        7 => {
            records.unsign();
            for record in &mut records.0 {
                record["entries"].as_array_mut().unwrap().retain(|entry| entry["kind"] != "key");
            }
            records.write(dir);
            without(dir, |kind, _, _| kind == Kind::Signature);
            "a store without keys and signatures"
        }
        8 => {
            let result = forge_result(dir, numbers, "/n", "7");
            if result.is_some() { "a forged result of what is still to run" } else { "nothing" }
        }
        9 => {
            if let Ok(store) = as_mallory(dir) {
                let name = *numbers.of(&["images", "rules"]);
                commit(&store, name, "/forged", "forged");
            }
            "a commit with a key of their own"
        }
        10 => {
            if let Ok(store) = as_mallory(dir) {
                commit(&store, "rules", "/forged", "forged");
                let key = store.public_key().unwrap().unwrap().fingerprint();
                store.publish(&Change::of(vec![Entry::KeyTrust { key }])).ok();
            }
            "a key that vouches for itself"
        }
        11 => {
            if let Ok(store) = as_mallory(dir) {
                commit(&store, "rules", "/forged", "forged");
            }
            let mut records = Records::read(dir);
            let mut fake = records.0.iter().flat_map(|record| record["entries"].as_array().unwrap().clone());
            let key = fake.rfind(|entry| entry["kind"] == "key").unwrap();
            let der: repos::keys::PublicKey = serde_json::from_value(key["public_key"].clone()).unwrap();
            records.append(numbers, &json!([{"kind": "key_trust", "key": der.fingerprint()}]));
            records.write(dir);
            "a key vouched for by a record of their own"
        }
        12 => {
            std::fs::remove_file(dir.join(".pv/key")).unwrap();
            let moved = json!({"repo": repo, "branch": "main", "from": head, "to": to});
            let entry = run_entry(numbers, "move", &moved);
            records.append(numbers, &json!([entry]));
            records.write(dir);
            "the key file gone, and a move"
        }
        13 => {
            without(dir, |kind, _, _| kind == Kind::Signature);
            "the signatures gone"
        }
        14 => {
            if let Ok(store) = as_mallory(dir) {
                let bytes: Vec<u8> = (0..64).map(|_| numbers.below(256) as u8).collect();
                let id: CommitId = serde_json::from_value(to).unwrap();
                let key: Digest = store.signing_keys().unwrap()[0].0;
                let signature = Signature::from_bytes(&bytes).unwrap();
                store.put_document(&SignatureDocument { commit: id, key, signature }).unwrap();
                store.finish_packs().unwrap();
            }
            "a signature that is none"
        }
        15 => {
            let mut left = numbers.below(12);
            without(dir, |kind, _, _| {
                let hit = kind == Kind::Chunk && left == 0;
                left = left.wrapping_sub(usize::from(kind == Kind::Chunk));
                hit
            });
            let one = records.commits();
            records
                .append(numbers, &json!([{"kind": "commit_prune", "commits": one, "why": "asked", "committer": "x"}]));
            records.write(dir);
            "content gone, and said to be pruned"
        }
        16 => {
            if let Ok(store) = as_mallory(dir)
                && let Ok(true_one) = resolve(&store, repo)
                && let Ok(forged) = store.put_bytes(b"forged")
            {
                let file = FileEntry { digest: forged.digest, size: forged.size_bytes, executable: false };
                let tree = Tree::build([("/a".to_owned(), file)], &mut &store).unwrap().root();
                let id = store.put_commit(&Commit { tree, ..true_one.commit }).unwrap();
                store.finish_packs().unwrap();
                let moved = json!({"repo": repo, "branch": "main", "from": head, "to": id});
                let entry = run_entry(numbers, "commit", &moved);
                records.append(numbers, &json!([entry]));
                records.write(dir);
            }
            "a forged commit"
        }
        17 => {
            let store = as_mallory(dir).unwrap();
            let version: Digest = store.pipeline(&"upper".parse().unwrap()).unwrap().document;
            let mut document: repos::documents::VersionDocument = store.document(&version).unwrap();
            let mut transform: repos::documents::Transform = store.document(&document.transform).unwrap();
            transform.cmd = vec!["forged".to_owned()];
            document.transform = store.put_document(&transform).unwrap();
            document.version += 1;
            let forged = store.put_document(&document).unwrap();
            store.finish_packs().unwrap();
            let version = document.version;
            records.append(
                numbers,
                &json!([{"kind": "pipeline_apply", "pipeline": "upper", "version": version, "document": forged}]),
            );
            records.write(dir);
            "a pipeline's version of their own"
        }
        18 => {
            let run = run_entry(numbers, "rerun", &json!({}))["run"].clone();
            let seeds = json!([{"pipeline": "upper", "version": 1}]);
            let cause = json!({"cause": "rerun", "committer": "x", "at": records.0[0]["at"]});
            let moved = json!({"repo": "upper", "branch": "main", "from": records.head("upper", "main"), "to": to});
            records.append(
                numbers,
                &json!([{"kind": "run", "run": run, "cause": cause, "jobs": seeds},
                    {"kind": "job", "pipeline": "upper", "run": run, "state": "success", "commit": to, "moved": moved}]),
            );
            records.write(dir);
            "a job of their own"
        }
        19 => {
            // Replaces the bytes of an existing file; its manifest says which.
            let store = as_mallory(dir).unwrap();
            let a = Tree::at(resolve(&store, "images").unwrap().commit.tree).file(&store, &"/a".parse().unwrap());
            let real = a.unwrap().unwrap().digest;
            drop(store);
            without(dir, |kind, digest, _| kind == Kind::Chunk && *digest == real);
            "content taken away"
        }
        20 => {
            let entries = *numbers.of(&[
                r#"{"kind":"setting","key":"default_branch","value":"side"}"#,
                r#"{"kind":"branch_delete","repo":"images","branch":"side"}"#,
                r#"{"kind":"tag_delete","repo":"rules","tag":"v1"}"#,
                r#"{"kind":"pipeline_delete","pipeline":"lower"}"#,
                r#"{"kind":"repo_delete","repo":"rules"}"#,
            ]);
            let entry: Value = serde_json::from_str(entries).unwrap();
            let mut entries = vec![entry.clone()];
            if entry["kind"] == "tag_delete" {
                entries.push(json!({"kind": "tag_create", "repo": "rules", "tag": "v1", "commit": to}));
            }
            records.append(numbers, &json!(entries));
            records.write(dir);
            "another entry of their own"
        }
        21 => {
            records.0.truncate(records.0.len() - 1 - numbers.below(LAST));
            records.write(dir);
            LAST_TAKEN
        }
        _ => {
            // Replaces the store by another one with the same names and its own key; the old key file stays.
            let other = tempfile::tempdir().unwrap();
            let store = Store::init(other.path(), "main".parse().unwrap()).unwrap();
            for repo in ["images", "rules"] {
                changes::create_repo(&store, &repo.parse().unwrap()).unwrap();
                commit(&store, repo, "/a", "forged");
            }
            drop(store);
            std::fs::remove_dir_all(dir.join(".pv/packs")).unwrap();
            copy_folder(&other.path().join(".pv/packs"), &dir.join(".pv/packs"));
            std::fs::copy(other.path().join(".pv/journal"), dir.join(".pv/journal")).unwrap();
            "another store in this one's place"
        }
    }
}

/// Opens a store that may be damaged; reporting the damage is a valid answer too.
fn open(dir: &Path) -> Option<Store> {
    match Store::open(dir) {
        Ok(store) => Some(store),
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Unavailable), "{error}");
            None
        }
    }
}

/// Whatever is proven must be true: the original head, or a commit that the store's key signed since.
fn assert_true(store: &Store, truth: &Truth, what: &str, since: &BTreeMap<&str, CommitId>) -> usize {
    let mut proven = 0;
    for name in ASKED {
        let Ok(at) = resolve(store, name) else { continue };
        let report = match verify(store, Some(&at), &[]) {
            Ok(report) => report,
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotFound), "{what}: {name}: {error}");
                continue;
            }
        };
        if matches!(report.verdict(), Verdict::Proven | Verdict::Whole) {
            let is_true = truth.heads[name] == at.id || since.get(name) == Some(&at.id);
            assert!(is_true, "{what}: {name} is said to be proven at {}", at.id);
            proven += 1;
        }
    }
    proven
}

/// Puts a file and runs: every commit signed by the store's key must have what the commands give.
async fn assert_runs_true(dir: &Path, truth: &Truth, what: &str) {
    let Some(store) = open(dir) else { return };
    if store.own().is_err() {
        return;
    }
    commit(&store, "images", "/n", "7");
    let executor = Arc::new(ScriptedExecutor::new(copy));
    let Ok(engine) = Engine::new(store.clone(), by(), executor, 1).await else { return };
    engine.run(Selection::All).await.ok();
    drop(engine);
    let mut since = BTreeMap::new();
    for (name, above, suffix) in
        [("images", None, ""), ("upper", Some("images"), "|upper"), ("lower", Some("upper"), "|lower")]
    {
        let Ok(at) = resolve(&store, name) else { continue };
        let signed = store.signatures(&at.id).unwrap_or_default();
        let is_ours = signed.iter().any(|signed| signed.key == Some(truth.key));
        if !is_ours || truth.heads[name] == at.id {
            continue;
        }
        since.insert(name, at.id);
        let Some(above) = above else { continue };
        let origin = at.commit.provenance.iter().find(|origin| origin.repo.as_str() == above).unwrap();
        let inputs = Tree::at(store.commit(&origin.commit).unwrap().tree);
        for entry in at.tree().range(&store, KeyRange::all()).unwrap() {
            let (path, file) = entry.unwrap();
            let path = String::from_utf8(path).unwrap();
            let Ok(content) = store.read_file(&file, 0..file.size) else { continue };
            let input = inputs.file(&store, &path.parse().unwrap()).unwrap().unwrap();
            let Ok(input) = store.read_file(&input, 0..input.size) else { continue };
            let expected = [&input[..], suffix.as_bytes()].concat();
            assert_eq!(content, expected, "{what}: {name}:{path} was signed");
        }
    }
    assert_true(&store, truth, what, &since);
}

#[test]
fn what_is_forged_is_never_proven_and_nothing_false_is_signed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let truth = runtime.block_on(Truth::new());
    let untouched = tempfile::tempdir().unwrap();
    let store = Store::open(&truth.copy(untouched.path())).unwrap();
    assert_eq!(assert_true(&store, &truth, "nothing", &BTreeMap::new()), ASKED.len(), "all is proven as it is");
    drop(store);
    let (count, seed) = (number("PV_FORGERIES", 66), number("PV_SEED", 12));
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for case in 0..count {
        let folder = tempfile::tempdir().unwrap();
        let dir = truth.copy(folder.path());
        // Uses each kind of change in turn. Its numbers depend on the case alone, so each case can be repeated on its own.
        let mut numbers = Numbers(seed.wrapping_mul(1_000_003).wrapping_add(case));
        numbers.below(2);
        let what = forge(&dir, &mut numbers);
        *kinds.entry(what).or_default() += 1;
        let is_told_after_a_change = what != LAST_TAKEN;
        let what = format!("{what} (PV_SEED={seed}, case {case})");
        if numbers.below(3) > 0 {
            std::fs::remove_dir_all(dir.join(".pv/index")).ok();
            std::fs::remove_file(dir.join(".pv/position")).ok();
        }
        if let Some(store) = open(&dir) {
            assert_true(&store, &truth, &what, &BTreeMap::new());
        }
        if is_told_after_a_change {
            runtime.block_on(assert_runs_true(&dir, &truth, &what));
        }
    }
    assert!(count < 200 || kinds.len() >= 20, "{kinds:?}");
}
