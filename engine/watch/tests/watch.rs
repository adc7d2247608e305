//! Watched folders, with real files and a real store.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::changes;
use engine::run::Actor;
use repos::files::list_tree;
use repos::store::Store;
use repos::tree::{FileEntry, PathKind, Tree};
use specs::{BranchName, FilePath, RepoName};
use watch::{After, Batch, Plan, Seen, Template, Watcher};

const SETTLE: Duration = Duration::from_millis(40);

/// A store with the repository `images`, and a folder to watch.
struct Place {
    root: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("in")).unwrap();
        fs::create_dir(root.path().join("store")).unwrap();
        let store = Store::init(&root.path().join("store"), BranchName::main()).unwrap();
        changes::create_repo(&store, &repo()).unwrap();
        Self { root, store }
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("in")
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.folder().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn plan(&self) -> Plan {
        Plan {
            folder: self.folder(),
            target: "images".parse().unwrap(),
            settle: SETTLE,
            every: None,
            batch: None,
            mirror: false,
            exclude: Vec::new(),
            after: After::Keep,
            message: Template::default(),
            by: Actor { author: "Anna".to_owned(), committer: "uid:1@host".to_owned() },
        }
    }

    fn tree(&self) -> Tree {
        let head = self.store.find_branch(&repo(), &BranchName::main()).unwrap().and_then(|row| row.commit);
        head.map_or(Tree::empty(), |id| Tree::at(self.store.commit(&id).unwrap().tree))
    }

    /// The files of the branch with their content.
    fn branch(&self) -> BTreeMap<String, String> {
        contents(&self.store, self.tree())
    }

    /// How often the branch moved.
    fn commits(&self) -> Vec<Tree> {
        let mut trees = Vec::new();
        let mut next = self.store.find_branch(&repo(), &BranchName::main()).unwrap().and_then(|row| row.commit);
        while let Some(id) = next {
            let commit = self.store.commit(&id).unwrap();
            trees.push(Tree::at(commit.tree));
            next = commit.parents.first().copied();
        }
        trees
    }
}

fn repo() -> RepoName {
    "images".parse().unwrap()
}

fn entries(store: &Store, tree: Tree) -> BTreeMap<String, FileEntry> {
    let listed = list_tree(store, tree, "images", &FilePath::root(), true).unwrap().map(Result::unwrap);
    let file = |kind| if let PathKind::File(file) = kind { Some(file) } else { None };
    listed.filter_map(|listed| Some((listed.path.to_string(), file(listed.kind)?))).collect()
}

fn content(store: &Store, file: &FileEntry) -> String {
    std::io::read_to_string(store.open_file(file).unwrap()).unwrap()
}

fn contents(store: &Store, tree: Tree) -> BTreeMap<String, String> {
    entries(store, tree).into_iter().map(|(path, file)| (path, content(store, &file))).collect()
}

/// Steps until `enough` of what was seen; what was seen.
fn run(watcher: &mut Watcher<'_>, mut enough: impl FnMut(&Watcher<'_>, &[Seen]) -> bool) -> Vec<Seen> {
    let (end, mut seen) = (Instant::now() + Duration::from_mins(1), Vec::new());
    loop {
        seen.extend(watcher.step(Instant::now() + SETTLE));
        if enough(watcher, &seen) {
            return seen;
        }
        assert!(Instant::now() < end, "{seen:?}");
    }
}

/// Steps until something was committed and nothing waits.
fn settle(watcher: &mut Watcher<'_>) -> Vec<Seen> {
    run(watcher, |watcher, seen| !batches(seen).is_empty() && watcher.is_idle())
}

fn batches(seen: &[Seen]) -> Vec<&Batch> {
    seen.iter().filter_map(|seen| if let Seen::Batch(batch) = seen { Some(&**batch) } else { None }).collect()
}

fn troubles(seen: &[Seen]) -> Vec<String> {
    let text = |seen: &Seen| match seen {
        Seen::Trouble(trouble) => Some(trouble.why.clone()),
        _ => None,
    };
    seen.iter().filter_map(text).collect()
}

fn pairs<const N: usize>(files: [(&str, &str); N]) -> BTreeMap<String, String> {
    files.into_iter().map(|(path, content)| (path.to_owned(), content.to_owned())).collect()
}

#[test]
fn what_is_there_and_what_comes_is_committed_and_nothing_else() {
    let place = Place::new();
    place.write("a", "1");
    place.write("half.part", "…");
    place.write(".hidden", "…");
    let plan = place.plan();
    let mut watcher = Watcher::new(&place.store, &plan).unwrap();
    settle(&mut watcher);
    assert_eq!(place.branch(), pairs([("/a", "1")]));

    place.write("b", "2");
    place.write("new/deep/c", "3");
    fs::rename(place.folder().join("half.part"), place.folder().join("d")).unwrap();
    let mut all = 0;
    run(&mut watcher, |watcher, _| {
        all = place.branch().len();
        all == 4 && watcher.is_idle()
    });
    assert_eq!(place.branch(), pairs([("/a", "1"), ("/b", "2"), ("/d", "…"), ("/new/deep/c", "3")]));

    let commits = place.commits().len();
    drop(watcher);
    let mut again = Watcher::new(&place.store, &plan).unwrap();
    run(&mut again, |watcher, _| watcher.is_idle());
    assert_eq!(place.commits().len(), commits, "a restart commits nothing that is there");
}

#[test]
fn a_file_that_is_still_written_waits_and_does_not_hold_up_others() {
    let place = Place::new();
    let plan = place.plan();
    let mut writers: Vec<fs::File> = Vec::new();
    let half = place.folder().join("early");
    writers.push(fs::File::create(&half).unwrap());
    writers[0].write_all(b"half").unwrap();
    let mut watcher = Watcher::new(&place.store, &plan).unwrap();
    place.write("whole", "1");
    run(&mut watcher, |_, seen| !batches(seen).is_empty());
    writers.push(fs::File::create(place.folder().join("late")).unwrap());
    place.write("whole2", "2");
    run(&mut watcher, |_, _| place.branch().len() == 2);
    assert_eq!(place.branch(), pairs([("/whole", "1"), ("/whole2", "2")]));
    for mut writer in writers {
        writer.write_all(b" and the rest").unwrap();
    }
    run(&mut watcher, |watcher, _| watcher.is_idle() && place.branch().len() == 4);
    assert_eq!(place.branch()["/early"], "half and the rest");
    assert_eq!(place.branch()["/late"], " and the rest");
}

#[test]
fn a_mirror_removes_what_is_deleted_and_nothing_while_the_folder_is_away() {
    let place = Place::new();
    for name in ["a", "b", "sub/c", "sub/d"] {
        place.write(name, name);
    }
    let plan = Plan { mirror: true, ..place.plan() };
    let mut watcher = Watcher::new(&place.store, &plan).unwrap();
    settle(&mut watcher);
    fs::remove_file(place.folder().join("a")).unwrap();
    fs::remove_dir_all(place.folder().join("sub")).unwrap();
    run(&mut watcher, |watcher, _| watcher.is_idle() && place.branch().len() == 1);
    assert_eq!(place.branch(), pairs([("/b", "b")]));
    // A file becomes a folder, and a file again.
    fs::remove_file(place.folder().join("b")).unwrap();
    place.write("b/x", "x");
    run(&mut watcher, |watcher, _| watcher.is_idle() && place.branch() == pairs([("/b/x", "x")]));
    fs::remove_dir_all(place.folder().join("b")).unwrap();
    place.write("b", "b");
    run(&mut watcher, |watcher, _| watcher.is_idle() && place.branch() == pairs([("/b", "b")]));
    assert_eq!(watcher.troubles_count(), 0);

    // As if its file system were not mounted.
    let elsewhere = place.root.path().join("elsewhere");
    fs::rename(place.folder(), &elsewhere).unwrap();
    let seen = run(&mut watcher, |_, seen| !troubles(seen).is_empty());
    assert!(troubles(&seen)[0].starts_with("is not there"), "{seen:?}");
    fs::create_dir(place.folder()).unwrap();
    drop(watcher);
    let mut watcher = Watcher::new(&place.store, &plan).unwrap();
    let seen = run(&mut watcher, |_, seen| !troubles(seen).is_empty());
    assert!(troubles(&seen)[0].starts_with("is empty, and images@main has files: nothing is removed"), "{seen:?}");
    assert_eq!(place.branch(), pairs([("/b", "b")]));
}

#[test]
fn two_watchers_commit_each_file_once() {
    let place = Place::new();
    let plan = place.plan();
    let count = 40;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut watcher = Watcher::new(&place.store, &plan).unwrap();
                run(&mut watcher, |watcher, _| watcher.is_idle() && place.branch().len() == count);
            });
        }
        for number in 0..count {
            place.write(&format!("{number:02}"), &format!("{number}"));
            std::thread::yield_now();
        }
    });
    let trees = place.commits();
    let sizes: Vec<usize> = trees.iter().map(|tree| contents(&place.store, *tree).len()).collect();
    assert_eq!(sizes.iter().collect::<BTreeSet<_>>().len(), sizes.len(), "each commit adds files: {sizes:?}");
    assert_eq!(sizes[0], count);
}

#[test]
fn files_are_deleted_or_moved_only_as_they_were_committed() {
    let place = Place::new();
    place.write("cam/a", "1");
    place.write("cam/b", "2");
    let done = place.root.path().join("done");
    let plan = Plan { after: After::Move(done.clone()), ..place.plan() };
    let mut watcher = Watcher::new(&place.store, &plan).unwrap();
    let seen = settle(&mut watcher);
    assert_eq!(batches(&seen).iter().map(|batch| batch.put_away).sum::<u64>(), 2);
    assert_eq!(fs::read_to_string(done.join("cam/a")).unwrap(), "1");
    assert!(!place.folder().join("cam/a").exists());
    drop(watcher);

    // As if the process had been killed between commit and deletion.
    place.write("cam/a", "1");
    let plan = Plan { after: After::Delete, ..place.plan() };
    let mut watcher = Watcher::new(&place.store, &plan).unwrap();
    let seen = run(&mut watcher, |_, seen| !batches(seen).is_empty());
    assert!(!batches(&seen)[0].is_change());
    assert!(!place.folder().join("cam/a").exists());
    assert_eq!(place.branch(), pairs([("/cam/a", "1"), ("/cam/b", "2")]));
}

#[test]
fn bad_names_unreadable_files_and_clashes_are_said_once_and_stop_nothing() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    place.write("good", "1");
    place.write("x", "a file");
    fs::write(place.folder().join(std::ffi::OsStr::from_bytes(b"bad\xff")), "…").unwrap();
    std::os::unix::fs::symlink("nowhere", place.folder().join("dangling")).unwrap();
    let plan = place.plan();
    let mut watcher = Watcher::new(&place.store, &plan).unwrap();
    let mut seen = settle(&mut watcher);
    assert_eq!(place.branch().keys().collect::<Vec<_>>(), ["/good", "/x"]);
    assert_eq!(troubles(&seen).len(), 2, "{seen:?}");
    // Now a directory: without --mirror the branch keeps the file of that name.
    fs::remove_file(place.folder().join("x")).unwrap();
    place.write("x/y", "2");
    place.write("good2", "3");
    seen.extend(run(&mut watcher, |_, _| place.branch().contains_key("/good2")));
    seen.extend(run(&mut watcher, |watcher, _| watcher.is_idle()));
    assert_eq!(place.branch().keys().collect::<Vec<_>>(), ["/good", "/good2", "/x"]);
    let said = troubles(&seen);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[2].contains("both a file and a directory"), "{said:?}");
    assert_eq!(watcher.troubles_count(), 3);
}

#[test]
fn batches_are_bounded_and_named() {
    let place = Place::new();
    (0..7).for_each(|number| place.write(&format!("{number}"), "x"));
    let message: Template = "{files} of {folder} from {first}".parse().unwrap();
    let plan = Plan { batch: Some(3), message, ..place.plan() };
    let mut watcher = Watcher::new(&place.store, &plan).unwrap();
    run(&mut watcher, |watcher, _| watcher.is_idle() && place.branch().len() == 7);
    let sizes: Vec<usize> = place.commits().into_iter().map(|tree| contents(&place.store, tree).len()).collect();
    assert_eq!(sizes, [7, 6, 3]);
    let head = place.store.branch(&repo(), &BranchName::main()).unwrap().commit.unwrap();
    assert_eq!(place.store.commit(&head).unwrap().message, "1 of in from /6");
}

#[test]
fn a_folder_that_goes_and_comes_back_loses_nothing() {
    let place = Place::new();
    for name in ["a", "b"] {
        place.write(name, name);
    }
    let plan = Plan { mirror: true, ..place.plan() };
    let mut watcher = Watcher::new(&place.store, &plan).unwrap();
    settle(&mut watcher);
    let elsewhere = place.root.path().join("elsewhere");
    // Away, then empty, as while its file system is not mounted.
    fs::rename(place.folder(), &elsewhere).unwrap();
    let seen = run(&mut watcher, |_, seen| !troubles(seen).is_empty());
    assert!(troubles(&seen)[0].starts_with("is not there"), "{seen:?}");
    fs::create_dir(place.folder()).unwrap();
    let seen = run(&mut watcher, |_, seen| !troubles(seen).is_empty());
    assert!(troubles(&seen)[0].starts_with("is empty, and images@main has files"), "{seen:?}");
    assert_eq!(place.branch().len(), 2);
    // Back, with what came meanwhile.
    fs::write(elsewhere.join("c"), "c").unwrap();
    fs::remove_file(elsewhere.join("a")).unwrap();
    fs::remove_dir(place.folder()).unwrap();
    fs::rename(&elsewhere, place.folder()).unwrap();
    run(&mut watcher, |_, _| place.branch() == pairs([("/b", "b"), ("/c", "c")]));
    place.write("d", "d");
    run(&mut watcher, |watcher, _| watcher.is_idle() && place.branch().len() == 3);
    assert_eq!(watcher.troubles_count(), 0, "it is watched as before");
}

#[test]
fn a_file_with_two_names_is_committed_under_both_when_it_is_written_by_one() {
    let place = Place::new();
    place.write("a", "1");
    fs::hard_link(place.folder().join("a"), place.folder().join("b")).unwrap();
    let plan = place.plan();
    let mut watcher = Watcher::new(&place.store, &plan).unwrap();
    settle(&mut watcher);
    fs::OpenOptions::new().append(true).open(place.folder().join("b")).unwrap().write_all(b"2").unwrap();
    run(&mut watcher, |watcher, _| watcher.is_idle() && place.branch() == pairs([("/a", "12"), ("/b", "12")]));
}

/// Where the number of files of the burst is taken from.
fn burst() -> usize {
    std::env::var("PV_BURST").map_or(10_000, |count| count.parse().unwrap())
}

/// `PV_BURST` sets the number of files.
#[test]
fn a_burst_with_renames_and_half_written_files_ends_as_the_folder_is() {
    let place = Place::new();
    let plan = Plan { mirror: true, settle: Duration::from_millis(300), ..place.plan() };
    let mut watcher = Watcher::new(&place.store, &plan).unwrap();
    let (folder, count) = (place.folder(), burst());
    let mut committed: Vec<Instant> = Vec::new();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut half = Vec::new();
            for number in 0..count {
                let path = folder.join(format!("d{}/f{number}", number % 100));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                let mut file = fs::File::create(&path).unwrap();
                write!(file, "{number} ").unwrap();
                if number % (count / 50) == 7 {
                    half.push(file);
                } else {
                    write!(file, "end").unwrap();
                }
                match number % (count / 100) {
                    3 => fs::rename(&path, path.with_extension("renamed")).unwrap(),
                    5 => fs::remove_file(&path).unwrap(),
                    _ => {}
                }
            }
            half
        });
        let (mut half, mut writer, mut all) = (Vec::new(), Some(writer), usize::MAX);
        let end = Instant::now() + Duration::from_mins(5);
        loop {
            let seen = watcher.step(Instant::now() + SETTLE);
            committed.extend(batches(&seen).iter().filter(|batch| batch.is_change()).map(|_| Instant::now()));
            if writer.as_ref().is_some_and(std::thread::ScopedJoinHandle::is_finished) {
                half = writer.take().unwrap().join().unwrap();
                all = on_disk(&folder).len();
            }
            if entries(&place.store, place.tree()).len() + half.len() == all {
                break;
            }
            assert!(Instant::now() < end, "{} wait, {:?}", watcher.waiting(), troubles(&seen));
        }
        for mut file in half {
            write!(file, "end").unwrap();
        }
    });
    let on_disk = on_disk(&folder);
    run(&mut watcher, |watcher, _| watcher.is_idle() && entries(&place.store, place.tree()).len() == on_disk.len());
    assert_eq!(place.branch(), on_disk);
    assert!(
        committed.windows(2).all(|pair| pair[1] - pair[0] >= plan.settle),
        "more than a commit in the time to settle"
    );
    let files = place.commits().into_iter().flat_map(|tree| entries(&place.store, tree).into_values());
    let files: BTreeMap<specs::Digest, FileEntry> = files.map(|file| (file.digest, file)).collect();
    let contents: Vec<String> = files.values().map(|file| content(&place.store, file)).collect();
    let half: Vec<&String> = contents.iter().filter(|content| !content.ends_with(" end")).collect();
    assert_eq!(half, Vec::<&String>::new());
}

/// A pseudo-random sequence: the same for the same seed (`splitmix64`, Steele et al. 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Writers at work: each file is written in pieces with pauses, partly under another name first, some over an older version.
fn write_at_random(folder: &Path, seed: u64) {
    let mut random = Random(seed);
    for number in 0..6 + random.below(6) {
        let name = format!("d{}/f{}", random.below(3), random.below(8));
        let path = folder.join(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let is_renamed = random.below(2) == 0;
        let written = if is_renamed { path.with_extension("part") } else { path.clone() };
        let mut file = fs::File::create(&written).unwrap();
        let pieces = 1 + random.below(4);
        for piece in 0..pieces {
            let last = if piece + 1 == pieces { "end" } else { "…" };
            writeln!(file, "{number}.{piece} of {pieces} {last}").unwrap();
            std::thread::sleep(Duration::from_millis(random.below(2) * random.below(70)));
        }
        drop(file);
        if is_renamed {
            fs::rename(&written, &path).unwrap();
        }
        if random.below(5) == 0 {
            fs::remove_file(&path).unwrap();
        }
    }
}

/// The files of a folder as a mirror should have them.
fn on_disk(folder: &Path) -> BTreeMap<String, String> {
    let files =
        walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    let path = |path: &Path| format!("/{}", path.strip_prefix(folder).unwrap().display());
    files.map(|entry| (path(entry.path()), fs::read_to_string(entry.path()).unwrap())).collect()
}

/// `PV_CASES` sets the number of schedules.
#[test]
fn no_half_file_is_ever_committed_and_the_branch_equals_the_folder() {
    let cases = std::env::var("PV_CASES").map_or(8, |cases| cases.parse().unwrap());
    for seed in 0..cases {
        let place = Place::new();
        let plan = Plan { mirror: true, ..place.plan() };
        let mut watcher = Watcher::new(&place.store, &plan).unwrap();
        let folder = place.folder();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| write_at_random(&folder, seed));
            run(&mut watcher, |watcher, _| {
                writer.is_finished() && watcher.is_idle() && place.branch() == on_disk(&folder)
            });
        });
        for tree in place.commits() {
            for (path, content) in contents(&place.store, tree) {
                let is_whole = content.lines().last().is_some_and(|line| line.ends_with("end"));
                assert!(is_whole, "seed {seed}: {path} was committed as {content:?}");
            }
        }
    }
}
