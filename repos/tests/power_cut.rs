//! Power cuts: whatever the disk lost or reordered since the last sync, everything acknowledged is there, and nothing is partial.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod common;
#[path = "common/disk.rs"]
mod disk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use common::{START, edits, name};
use disk::{Disk, Fate, Random};
use repos::documents::{Document, JobDocument, SpecDocument, Transform, VersionDocument};
use repos::files::Edits;
use repos::fsck::check;
use repos::gc::collect;
use repos::hash::digest_of;
use repos::journal::{Entry, JobSeed, Move, RepoKind, SealedState};
use repos::time::SteppingClock;
use repos::tree::Tree;
use repos::{Change, Faults, OpenOptions, RepoError, Step, Store, Timestamp};
use serde_json::json;
use specs::{BranchName, CommitId, Digest, RunId};

/// Number of random disks made after each step; 20 make some ten thousand in all.
fn disks_a_step() -> u64 {
    std::env::var("PV_CUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Files by their path below `.pv`.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The visible content of a store, one line each.
type World = Vec<String>;

/// A state that was reported to a user after this many steps.
struct Told {
    steps: usize,
    world: World,
    /// Whether it was acknowledged; otherwise this state or the previous one may be found.
    is_sure: bool,
}

/// Everything that happened, in order.
#[derive(Default)]
struct Film {
    steps: Vec<(PathBuf, Step)>,
    /// The index and other files that can be recreated, by the number of steps before that state.
    disposable: BTreeMap<usize, Arc<Files>>,
    told: Vec<Told>,
}

struct Stage {
    _folder: tempfile::TempDir,
    dir: PathBuf,
    clock: Arc<SteppingClock>,
    film: Arc<Mutex<Film>>,
    before: Disk,
    start: Files,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_owned();
        let clock = Arc::new(SteppingClock::starting_at(Timestamp::from_micros(START)));
        let store = OpenOptions::default().clock(clock.clone()).init(&dir, BranchName::main()).unwrap();
        store
            .publish(&Change::of(vec![Entry::RepoCreate { repo: name("images"), repo_kind: RepoKind::User }]))
            .unwrap();
        drop(store);
        let (start, mut before) = (files_below(&dir.join(".pv")), Disk::default());
        for (path, bytes) in start.iter().filter(|(path, _)| is_recorded(path)) {
            before.add(path, bytes.clone());
        }
        let film = Arc::new(Mutex::new(Film::default()));
        film.lock().unwrap().disposable.insert(0, Arc::new(disposable(&dir.join(".pv"))));
        let stage = Self { _folder: folder, dir, clock, film, before, start };
        stage.tell(&stage.open(), true);
        stage.record();
        stage
    }

    fn options(&self) -> OpenOptions {
        // Small, so that packs become full.
        OpenOptions::default().clock(self.clock.clone()).pack_bytes(40_000)
    }

    fn open(&self) -> Store {
        self.options().open(&self.dir).unwrap()
    }

    fn record(&self) {
        let (film, top) = (self.film.clone(), self.dir.join(".pv"));
        repos::watch(&top.clone(), move |path, step| {
            let mut film = film.lock().unwrap();
            let path = path.strip_prefix(&top).unwrap().to_owned();
            let step = match step {
                Step::Renamed { to } => Step::Renamed { to: to.strip_prefix(&top).unwrap().to_owned() },
                step => step,
            };
            film.steps.push((path, step));
            let number = film.steps.len();
            film.disposable.insert(number, Arc::new(disposable(&top)));
        });
    }

    fn tell(&self, store: &Store, is_sure: bool) {
        let world = world(store);
        let mut film = self.film.lock().unwrap();
        let steps = film.steps.len();
        film.told.push(Told { steps, world, is_sure });
    }

    /// Makes one acknowledged change in its own process.
    fn change(&self, make: impl FnOnce(&Store)) {
        let store = self.open();
        make(&store);
        self.tell(&store, true);
    }
}

fn is_recorded(path: &Path) -> bool {
    path.starts_with("packs") || path == Path::new("journal")
}

fn files_below(top: &Path) -> Files {
    let mut found = Files::new();
    let mut open = vec![top.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                found.insert(path.strip_prefix(top).unwrap().to_owned(), bytes);
            }
        }
    }
    found
}

/// The index and the saved position, as the kernel may have written them to disk by now.
fn disposable(top: &Path) -> Files {
    let index = files_below(&top.join("index")).into_iter().map(|(path, bytes)| (Path::new("index").join(path), bytes));
    let position = std::fs::read(top.join("position")).ok().map(|bytes| (PathBuf::from("position"), bytes));
    index.chain(position).collect()
}

fn world(store: &Store) -> World {
    let mut lines = Vec::new();
    for (branch, row) in store.branches(&name("images")).unwrap() {
        let mut next = row.commit;
        if let Some(head) = next {
            let files = common::contents(store, Tree::at(store.commit(&head).unwrap().tree));
            lines.extend(
                files.iter().map(|(path, content)| format!("{branch} {path} {}", digest_of(content.as_bytes()))),
            );
        }
        while let Some(id) = next {
            lines.push(format!("{branch} {id}"));
            next = store.commit(&id).unwrap().parents.first().copied();
        }
    }
    for job in store.open_jobs().unwrap() {
        lines.push(format!("open {} {}", job.pipeline, job.run));
    }
    if let Some(job) = store.newest_job(&"detect".parse().unwrap()).unwrap() {
        let document = job.document.map(|document| store.document::<JobDocument>(&document).unwrap().datums_total);
        lines.push(format!("newest {} {:?} {document:?}", job.run, job.sealed));
    }
    lines
}

fn noise(seed: u64, length: usize) -> String {
    let mut random = Random(seed);
    (0..length).map(|_| char::from(b'!' + random.below(90) as u8)).collect()
}

fn set(store: &Store, branch: &str, files: &[(&str, Option<&str>)]) -> CommitId {
    commit(store, branch, &edits(store, files)).unwrap()
}

fn commit(store: &Store, branch: &str, edits: &Edits) -> Result<CommitId, RepoError> {
    Ok(common::commit(store, &name("images"), &branch.parse().unwrap(), edits)?.0.unwrap())
}

fn head(store: &Store, branch: &str) -> CommitId {
    store.head(&name("images"), &branch.parse().unwrap()).unwrap()
}

fn moves(store: &Store, moves: &[(&str, Option<CommitId>, CommitId)]) {
    let moves = moves.iter().map(|(branch, from, to)| Move {
        repo: name("images"),
        branch: branch.parse().unwrap(),
        from: *from,
        to: Some(*to),
    });
    let run = RunId::from_bytes(repos::random_bytes());
    store.publish(&Change::of(vec![common::run_entry(run, moves.collect(), store.clock().now())])).unwrap();
}

fn put_rm_and_move(stage: &Stage) {
    stage.change(|store| {
        set(store, "main", &[("/a", Some("one")), ("/dir/b", Some("two")), ("/large", Some(&noise(1, 90_000)))]);
    });
    stage.change(|store| {
        set(store, "main", &[("/a", None), ("/dir/b", Some("changed"))]);
    });
    stage.change(|store| moves(store, &[("other", None, head(store, "main"))]));
    stage.change(|store| {
        set(store, "other", &[("/c", Some("three"))]);
    });
    stage.change(|store| {
        let before = store.commit(&head(store, "other")).unwrap().parents[0];
        moves(store, &[("other", Some(head(store, "other")), before)]);
    });
    // Two branches in one change.
    stage.change(|store| moves(store, &[("aside", None, head(store, "main"))]));
    stage.change(|store| {
        set(store, "aside", &[("/both", Some("at once"))]);
    });
    stage.change(|store| {
        let (main, other, new) = (head(store, "main"), head(store, "other"), head(store, "aside"));
        moves(store, &[("main", Some(main), new), ("other", Some(other), new)]);
    });
}

fn fold(stage: &Stage) {
    for number in 0..9 {
        stage.change(|store| {
            set(store, "main", &[(&format!("/fold/{number}"), Some(&format!("content {number}")))]);
        });
    }
}

fn gc(stage: &Stage) {
    stage.change(|store| {
        set(store, "main", &[("/fold/3", None), ("/kept", Some(&noise(2, 50_000)))]);
    });
    stage.change(|store| moves(store, &[("gone", None, head(store, "main"))]));
    stage.change(|store| {
        set(store, "gone", &[("/garbage", Some(&noise(3, 30_000))), ("/more", Some("garbage"))]);
    });
    stage.change(|store| {
        let (repo, branch) = (name("images"), "gone".parse().unwrap());
        let setting = Entry::Setting { key: "gc_grace".to_owned(), value: Some("0s".to_owned()) };
        store.publish(&Change::of(vec![Entry::BranchDelete { repo, branch }, setting])).unwrap();
    });
    stage.change(|store| {
        let swept = collect(store, "uid:1@edge", false, &|_, _, _| {}).unwrap().swept;
        assert!(swept.packs_removed > 0, "{swept:?}");
    });
    // Garbage is put again.
    stage.change(|store| {
        set(store, "main", &[("/again", Some("garbage")), ("/fold/3", Some("content 3"))]);
    });
}

fn document<D: Document>(store: &Store, json: serde_json::Value) -> Digest {
    store.put_document(&serde_json::from_value::<D>(json).unwrap()).unwrap()
}

/// An owner's own records name objects in unfinished packs.
fn own(stage: &Stage) {
    let store = stage.open();
    store.own().unwrap();
    stage.tell(&store, true);
    let spec = document::<SpecDocument>(&store, json!({"pipeline": {"name": "detect"}}));
    let transform = document::<Transform>(&store, json!({"cmd": ["sh"]}));
    let version = json!({"name": "detect", "version": 1, "spec": spec, "transform": transform, "executor": "process",
        "default_branch": "main"});
    let document_of_version = document::<VersionDocument>(&store, version);
    let pipeline: specs::PipelineName = "detect".parse().unwrap();
    let repo = Entry::RepoCreate { repo: name("detect"), repo_kind: RepoKind::Output };
    let apply = Entry::PipelineApply { pipeline: pipeline.clone(), version: 1, document: document_of_version };
    store.publish(&Change::of(vec![repo, apply])).unwrap();
    stage.tell(&store, true);
    for number in 0..3 {
        let (run, at) = (RunId::from_bytes([number; 16]), store.clock().now());
        let Entry::Run { run, cause, moves, .. } = common::run_entry(run, Vec::new(), at) else { unreachable!() };
        let jobs = vec![JobSeed { pipeline: pipeline.clone(), version: 1 }];
        store.publish(&Change::of(vec![Entry::Run { run, cause, moves, jobs }])).unwrap();
        stage.tell(&store, true);
        let json = json!({"pipeline": "detect", "run": run, "version": 1, "datums_total": number,
            "executor": {"kind": "process"}, "created_at": at, "finished_at": at});
        let document = Some(document::<JobDocument>(&store, json));
        let sealed = Entry::Job {
            pipeline: pipeline.clone(),
            run,
            state: SealedState::Failure,
            commit: None,
            document,
            moved: None,
        };
        store.publish(&Change::of(vec![sealed])).unwrap();
        stage.tell(&store, true);
        set(&store, "main", &[("/beside", Some(&number.to_string()))]);
        stage.tell(&store, true);
    }
    // It dies with an unfinished pack.
    store.put_bytes(b"no record names this").unwrap();
    store.sync().unwrap();
}

/// A writer dies at each of its writes in turn, at last with a record that is written but not synced; another process continues from there.
fn go_on_after_deaths(stage: &Stage) {
    for n in 0.. {
        let store = stage.options().faults(Faults::from(n)).open(&stage.dir).unwrap();
        let text = format!("attempt {n}");
        let done = common::edits_of(&store, &[("/dies", &text)]).and_then(|edits| commit(&store, "main", &edits));
        // As if killed: nothing is cleaned up.
        drop(store);
        match done {
            Err(RepoError::Unsure { .. }) => break,
            Err(_) => {}
            Ok(_) => panic!("no record was left without its sync"),
        }
    }
    let store = stage.open();
    assert!(world(&store).contains(&format!("main {}", head(&store, "main"))));
    stage.tell(&store, false);
    // The index on disk includes the record.
    store.own().unwrap();
    drop(store);
    let store = stage.open();
    stage.tell(&store, false);
    drop(store);
    stage.change(|store| {
        set(store, "main", &[("/after", Some("the dead"))]);
    });
}

/// The states that may be found after a power cut after this many steps.
fn possible(told: &[Told], steps: usize) -> &[Told] {
    let sure = told.iter().rposition(|told| told.is_sure && told.steps <= steps).unwrap();
    let next = told.iter().position(|told| told.steps > steps).unwrap_or(told.len() - 1);
    &told[sure..=next]
}

/// A store on what a power cut left.
struct Left {
    folder: tempfile::TempDir,
    what: String,
}

impl Left {
    fn new(files: &Files, what: String) -> Self {
        let left = Self { folder: tempfile::tempdir().unwrap(), what };
        for (path, bytes) in files {
            let path = left.folder.path().join(".pv").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        std::fs::create_dir_all(left.folder.path().join(".pv/packs")).unwrap();
        left
    }

    fn open(&self) -> Store {
        let opened = common::options().open(self.folder.path());
        opened.unwrap_or_else(|error| panic!("{}: {error} {error:?}", self.what))
    }

    fn assert_sound(&self, store: &Store) {
        assert_eq!(check(store, &|_, _, _| {}).unwrap().problems, [], "{}", self.what);
    }

    fn assert_good(&self, possible: &[Told]) {
        let store = self.open();
        let found = world(&store);
        let is_possible = possible.iter().any(|told| told.world == found);
        assert!(is_possible, "{}: {found:#?}, and told was {:#?}", self.what, possible[0].world);
        self.assert_sound(&store);
        set(&store, "main", &[("/next", Some("goes on"))]);
        drop(store);
        let store = self.open();
        let next = world(&store);
        assert!(found.iter().filter(|line| line.starts_with("main ")).all(|line| next.contains(line)), "{}", self.what);
        self.assert_sound(&store);
    }
}

/// Makes the disks that a power cut after each step may leave, and checks each; returns their number.
fn cut_everywhere(stage: &Stage) -> usize {
    let film = stage.film.lock().unwrap();
    let mut disk = stage.before.clone();
    let mut seen = BTreeSet::new();
    let others: Files = stage.start.iter().filter(|(path, _)| *path == Path::new("format")).map(owned).collect();
    for steps in 0..=film.steps.len() {
        if steps > 0 {
            let (path, step) = &film.steps[steps - 1];
            disk.take(path, step);
        }
        let random = |number: u64| Fate::Random(Random(steps as u64 * 1000 + number));
        let mut cuts = vec![(Fate::AllLost, false)];
        if disks_a_step() == 0 && steps % 3 == 0 {
            cuts.push((random(0), steps % 2 == 0));
        }
        if disks_a_step() > 0 {
            cuts.extend([(Fate::AllLost, true), (Fate::AllKept, true)]);
            cuts.extend((1..=disks_a_step()).map(|number| (random(number), number % 2 == 0)));
        }
        for (number, (fate, with_index)) in cuts.into_iter().enumerate() {
            let mut files = disk.cut(fate);
            files.extend(others.clone());
            if with_index {
                files.extend(film.disposable[&steps].iter().map(owned));
            }
            let possible = possible(&film.told, steps);
            if seen.insert((fingerprint(&files), possible[0].steps)) {
                let last = steps.checked_sub(1).map(|at| (&film.steps[at].0, word(&film.steps[at].1)));
                let what = format!("cut {number} after step {steps} of {}, {last:?}", film.steps.len());
                Left::new(&files, what).assert_good(possible);
            }
        }
    }
    let told = disk.cut(Fate::AllKept);
    let real: Files = files_below(&stage.dir.join(".pv")).into_iter().filter(|(path, _)| is_recorded(path)).collect();
    assert!(told == real, "not every step was told: {:?} and {:?}", told.keys(), real.keys());
    seen.len()
}

fn owned((path, bytes): (&PathBuf, &Vec<u8>)) -> (PathBuf, Vec<u8>) {
    (path.clone(), bytes.clone())
}

fn word(step: &Step) -> String {
    format!("{step:?}").chars().take(20).collect()
}

fn fingerprint(files: &Files) -> Digest {
    let lines = files.iter().map(|(path, bytes)| format!("{} {}\n", path.display(), digest_of(bytes)));
    digest_of(lines.collect::<String>().as_bytes())
}

fn survives(acts: &[fn(&Stage)]) {
    let stage = Stage::new();
    for act in acts {
        act(&stage);
    }
    let disks = cut_everywhere(&stage);
    println!("{disks} disks after {} steps", stage.film.lock().unwrap().steps.len());
}

#[test]
fn a_power_cut_loses_no_put_no_removal_and_no_move_of_branches() {
    survives(&[put_rm_and_move]);
}

#[test]
fn a_power_cut_while_packs_are_folded_and_garbage_goes_loses_nothing() {
    survives(&[fold, gc]);
}

#[test]
fn a_power_cut_loses_nothing_that_an_owner_recorded() {
    survives(&[own, put_rm_and_move]);
}

#[test]
fn a_power_cut_after_the_death_of_a_writer_loses_nothing() {
    survives(&[put_rm_and_move, go_on_after_deaths]);
}
