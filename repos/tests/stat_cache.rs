//! What a put knows of files without reading them, and when it reads them anyway.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use common::{TestStore, name, path};
use repos::files::{ChangeSummary, Gathered, PutOptions, UploadOptions, gather, parse_list, upload_with};
use repos::tree::Tree;
use specs::BranchName;

/// Longer than any file system needs before its files are trusted.
const LATER: Duration = Duration::from_mins(30);

/// Number of files read, and what the put changed.
type Done = (u64, ChangeSummary);

fn options(test: &TestStore, source: &str) -> PutOptions {
    PutOptions { sources: vec![test.work().join(source)], ..PutOptions::default() }
}

/// As if the files had been on a disk for half an hour.
fn put_with(test: &TestStore, options: &PutOptions) -> Done {
    put_gathered(test, &gather(options).unwrap().as_if_later(LATER).as_if_on_disk(), true)
}

fn put_gathered(test: &TestStore, gathered: &Gathered, trust_stat: bool) -> Done {
    let head = test.store.find_branch(&name("images"), &BranchName::main()).unwrap().and_then(|row| row.commit);
    let base = head.map_or(Tree::empty(), |id| Tree::at(test.store.commit(&id).unwrap().tree));
    let how = UploadOptions { base, trust_stat, dry_run: false, skip_unreadable: false, progress: &|_, _| {} };
    let uploaded = upload_with(&test.store, gathered, &how).unwrap();
    let edits = uploaded.edits(&test.store, base, gathered).unwrap();
    let (_, summary) = common::commit(&test.store, &name("images"), &BranchName::main(), &edits).unwrap();
    uploaded.remember(&test.store, gathered);
    (uploaded.read, summary)
}

fn put(test: &TestStore, source: &str) -> Done {
    put_with(test, &options(test, source))
}

/// At this moment, wherever the files are.
fn put_now(test: &TestStore, source: &str) -> Done {
    put_gathered(test, &gather(&options(test, source)).unwrap(), true)
}

/// Waits until the clock of the file system has advanced, so that earlier and later writes have different times.
fn let_time_pass() {
    std::thread::sleep(Duration::from_millis(40));
}

fn three_files() -> TestStore {
    let test = TestStore::new();
    for (file, content) in [("d/a", "one"), ("d/b-c", "two"), ("d/b/c", "three")] {
        test.write(file, content);
    }
    let_time_pass();
    test
}

fn stat_files(test: &TestStore) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(test.store.folder().join("stat")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_has_not_changed_is_not_read_again() {
    let test = three_files();
    assert_eq!(put(&test, "d").0, 3);
    let (read, summary) = put(&test, "d");
    assert_eq!((read, summary.unchanged, summary.size_bytes), (0, 3, 11));
    test.write("d/b/c", "other");
    test.write("d/new", "new");
    std::fs::remove_file(test.work().join("d/a")).unwrap();
    let_time_pass();
    let (read, summary) = put(&test, "d");
    assert_eq!((read, summary.added, summary.modified, summary.unchanged), (2, 1, 1, 1));
    assert_eq!(put(&test, "./d/../d").0, 0, "the folder counts, not its name");
    let all = [("/a", "one"), ("/b-c", "two"), ("/b/c", "other"), ("/new", "new")];
    assert_eq!(test.contents("images"), all.map(|(path, bytes)| (path.to_owned(), bytes.to_owned())));
}

#[test]
fn a_change_that_keeps_size_and_time_is_seen() {
    let test = three_files();
    let at = test.work().join("d/a");
    let before = std::fs::metadata(&at).unwrap().modified().unwrap();
    put(&test, "d");
    test.write("d/a", "uno");
    File::options().write(true).open(&at).unwrap().set_modified(before).unwrap();
    assert_eq!(put(&test, "d").1.modified, 1);
    let other = test.write("other", "eno");
    File::options().write(true).open(&other).unwrap().set_modified(before).unwrap();
    std::fs::rename(other, &at).unwrap();
    assert_eq!(put(&test, "d").1.modified, 1, "another file in its place");
    std::fs::set_permissions(&at, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(put(&test, "d").1.modified, 1, "it is executable now");
}

#[test]
fn changes_in_one_step_of_the_clock_are_seen() {
    let test = three_files();
    for round in 0..50 {
        let content = format!("{round:03}");
        test.write("d/a", &content);
        put_now(&test, "d");
        assert_eq!(test.contents("images")[0].1, content);
    }
}

#[test]
fn files_from_the_future_are_always_read() {
    let test = three_files();
    let file = File::options().write(true).open(test.work().join("d/a")).unwrap();
    file.set_modified(file.metadata().unwrap().modified().unwrap() + Duration::from_hours(1)).unwrap();
    let_time_pass();
    assert_eq!([put(&test, "d").0, put(&test, "d").0], [3, 1]);
}

#[test]
fn a_damaged_cache_is_passed_over() {
    let test = TestStore::new();
    for at in 0..1200 {
        test.write(&format!("d/{}/{at:04}", at % 3), at.to_string());
    }
    let_time_pass();
    put(&test, "d");
    let [cache] = &stat_files(&test)[..] else { panic!("one source, one cache") };
    let sound = std::fs::read(cache).unwrap();
    assert!(sound.len() > 70_000, "it has several blocks");
    for at in (0..sound.len()).step_by(sound.len() / 12) {
        let mut damaged = sound.clone();
        damaged[at] ^= 0x10;
        for bytes in [&damaged[..], &sound[..at]] {
            std::fs::write(cache, bytes).unwrap();
            let (read, summary) = put(&test, "d");
            assert_eq!((summary.unchanged, summary.is_change()), (1200, false), "at {at}");
            assert!(read > 0 || bytes.len() == sound.len(), "what was cut off at {at} is read");
        }
    }
    assert_eq!(put(&test, "d").0, 0);
}

#[test]
fn a_cache_of_another_store_is_passed_over() {
    let (test, other) = (three_files(), TestStore::new());
    put(&test, "d");
    let [cache] = &stat_files(&test)[..] else { panic!("one source, one cache") };
    let folder = other.store.folder().join("stat");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(cache, folder.join(cache.file_name().unwrap())).unwrap();
    let absolute = PutOptions { sources: vec![test.work().join("d")], ..PutOptions::default() };
    assert_eq!(put_with(&other, &absolute).0, 3);
    assert_eq!(put_with(&other, &absolute).0, 0);
}

#[test]
fn what_the_store_does_not_have_is_read() {
    let test = three_files();
    let gathered = gather(&options(&test, "d")).unwrap().as_if_later(LATER).as_if_on_disk();
    let dry = UploadOptions {
        base: Tree::empty(),
        trust_stat: true,
        dry_run: true,
        skip_unreadable: false,
        progress: &|_, _| {},
    };
    let hashed = upload_with(&test.store, &gathered, &dry).unwrap();
    assert_eq!((hashed.read, hashed.new_bytes), (3, 11));
    // As if the content had existed and was collected since.
    hashed.remember(&test.store, &gathered);
    assert_eq!(stat_files(&test).len(), 1);
    assert_eq!(put(&test, "d").0, 3);
    assert_eq!(test.contents("images").len(), 3);
    let elsewhere = PutOptions { directory: Some(path("/copy")), ..options(&test, "d") };
    let (read, summary) = put_with(&test, &elsewhere);
    assert_eq!((read, summary.added, summary.new_bytes), (0, 3, 0), "the store has it at another path");
}

#[test]
fn parts_of_a_folder_use_its_cache_and_leave_it_alone() {
    let test = three_files();
    put(&test, "d");
    let some = PutOptions { files_from: Some(parse_list(b"b\na\n").into()), ..options(&test, "d") };
    assert_eq!(put_with(&test, &some).0, 0);
    test.write("d/a", "uno");
    let_time_pass();
    assert_eq!(
        [put_with(&test, &some).0, put_with(&test, &some).0, put(&test, "d").0, put(&test, "d").0],
        [1, 1, 1, 0]
    );
}

#[test]
fn of_single_files_the_large_ones_are_remembered() {
    let test = TestStore::new();
    test.write("small", vec![1; 1000]);
    test.write("large", vec![1; 5 << 20]);
    let_time_pass();
    assert_eq!([put(&test, "small").0, put(&test, "small").0], [1, 1]);
    assert_eq!([put(&test, "large").0, put(&test, "large").0], [1, 0]);
}

#[test]
fn what_has_just_changed_is_read_again_until_its_pages_are_surely_clean() {
    let test = three_files();
    let later = |by: u64| {
        let gathered = gather(&options(&test, "d")).unwrap();
        put_gathered(&test, &gathered.as_if_later(Duration::from_secs(by)).as_if_on_disk(), true).0
    };
    assert_eq!([later(0), later(5), later(50)], [3, 3, 3], "the kernel may not have written it yet");
    assert_eq!([later(700), later(700), later(0)], [3, 0, 0], "what was read when it was old is known");
    let all = gather(&options(&test, "d")).unwrap().as_if_later(LATER).as_if_on_disk();
    assert_eq!(put_gathered(&test, &all, false).0, 3, "unless all is to be read");
}

#[test]
fn a_file_in_memory_is_always_read() {
    let memory = std::path::Path::new("/dev/shm");
    let Ok(folder) = tempfile::tempdir_in(memory) else { return };
    let is_tmpfs =
        std::fs::read_to_string("/proc/mounts").unwrap().lines().any(|line| line.contains(" /dev/shm tmpfs "));
    if !is_tmpfs {
        return;
    }
    let test = TestStore::new();
    std::fs::write(folder.path().join("a"), "one").unwrap();
    let options = PutOptions { sources: vec![folder.path().to_owned()], ..PutOptions::default() };
    let put = || put_gathered(&test, &gather(&options).unwrap().as_if_later(LATER), true).0;
    assert_eq!([put(), put()], [1, 1]);
}

/// A process that maps a file, and writes to it through the mapping on request.
struct Mapped(std::process::Child);

impl Mapped {
    const PROGRAM: &'static str = "
import mmap, sys
file = open(sys.argv[1], 'r+b')
mapped = mmap.mmap(file.fileno(), 0)
file.close()
for line in sys.stdin:
    mapped[:3] = line.strip().encode()
    print('written', flush=True)
";

    fn of(path: &std::path::Path) -> Option<Self> {
        use std::process::{Command, Stdio};
        let mut python = Command::new("python3");
        python.args(["-c", Self::PROGRAM]).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
        python.spawn().map(Self).ok()
    }

    fn write(&mut self, text: &str) {
        use std::io::{Read, Write};
        writeln!(self.0.stdin.as_mut().unwrap(), "{text}").unwrap();
        self.0.stdout.as_mut().unwrap().read_exact(&mut [0; 8]).unwrap();
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[expect(clippy::print_stderr, reason = "what the test could show depends on the kernel")]
#[test]
fn what_is_written_through_a_mapping_after_a_put_is_seen() {
    let test = three_files();
    let at = test.work().join("d/a");
    let Some(mut mapped) = Mapped::of(&at) else {
        tests::tools::skip("no python3, which maps files");
        return;
    };
    for (before, after) in [("een", "twe"), ("dri", "vir"), ("vyf", "ses")] {
        // From here on the page is dirty, and the next write to it changes no time.
        mapped.write(before);
        let_time_pass();
        put_now(&test, "d");
        let stamp = std::fs::metadata(&at).unwrap().modified().unwrap();
        mapped.write(after);
        put_now(&test, "d");
        assert_eq!(test.contents("images")[0].1, after);
        // Otherwise the kernel has just cleaned the page, and the test proved less than it could.
        eprintln!("hidden: {}", std::fs::metadata(&at).unwrap().modified().unwrap() == stamp);
    }
}
