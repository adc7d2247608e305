//! What a put accepts and what it refuses.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use common::{TestStore, contents, path};
use repos::RepoError;
use repos::files::{Excludes, LeftOut, Mirror, PutOptions, apply, gather, mirror, parse_list, upload};
use specs::ErrorKind;

fn options(test: &TestStore, directory: &str, sources: &[&str]) -> PutOptions {
    let sources = sources.iter().map(|source| test.work().join(source)).collect();
    PutOptions { reference: "images".to_owned(), directory: Some(path(directory)), sources, ..PutOptions::default() }
}

fn targets(options: &PutOptions) -> Vec<String> {
    gather(options).unwrap().files().map(|(_, path, _)| path.to_string()).collect()
}

#[test]
fn a_file_lands_under_its_name_and_a_directory_with_its_contents() {
    let test = TestStore::new();
    test.write("x.jpg", "x");
    test.write("cam/a.jpg", "a");
    test.write("cam/deep/b.jpg", "b");
    std::fs::create_dir(test.work().join("cam/empty")).unwrap();
    let (id, summary) = test.put("images", "/in", &["x.jpg", "cam"]).unwrap();
    assert!(id.is_some());
    assert_eq!((summary.added, summary.size_bytes, summary.new_bytes), (3, 3, 3));
    let expected = [("/in/a.jpg", "a"), ("/in/deep/b.jpg", "b"), ("/in/x.jpg", "x")];
    assert_eq!(test.contents("images"), expected.map(|(path, bytes)| (path.to_owned(), bytes.to_owned())));
    let (id, summary) = test.put("images", "/in", &["x.jpg", "cam"]).unwrap();
    assert_eq!((id, summary.unchanged, summary.new_bytes), (None, 3, 0));
    test.write("x.jpg", "other");
    let (_, summary) = test.put("images", "/in", &["x.jpg"]).unwrap();
    assert_eq!((summary.modified, summary.modified_paths), (1, vec![path("/in/x.jpg")]));
}

#[test]
fn content_of_any_size_comes_back_and_the_executable_bit_with_it() {
    let test = TestStore::new();
    for size in [0, 1, 255 << 10, (256 << 10) - 1, 256 << 10, 3_000_000, 9_000_001] {
        let mut seed = size as u64 | 1;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as u8
        })
        .take(size)
        .collect();
        let source = test.write("file", &bytes);
        std::fs::set_permissions(&source, std::fs::Permissions::from_mode(0o640 | ((size & 1) << 3) as u32)).unwrap();
        test.put("images", "/", &["file"]).unwrap();
        let file = test.tree("images").file(&test.store, &path("/file")).unwrap().unwrap();
        assert_eq!((file.size, file.executable), (size as u64, size & 1 == 1));
        assert_eq!(file.digest, repos::hash::digest_of(&bytes));
        assert_eq!(test.store.read_file(&file, 0..file.size).unwrap(), bytes);
    }
}

#[test]
fn links_to_files_are_followed_and_what_has_no_content_is_refused_all_at_once() {
    let test = TestStore::new();
    test.write("data/real.txt", "real");
    symlink("real.txt", test.work().join("data/link.txt")).unwrap();
    symlink("data", test.work().join("linked")).unwrap();
    assert_eq!(targets(&options(&test, "/", &["linked"])), ["/link.txt", "/real.txt"]);
    symlink("nothing", test.work().join("data/dangling")).unwrap();
    symlink("cycle", test.work().join("data/cycle")).unwrap();
    symlink("..", test.work().join("data/up")).unwrap();
    let pipe = test.work().join("data/pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let error = gather(&options(&test, "/", &["data"])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    let RepoError::BadSources(bad) = error else { panic!("{error}") };
    let bad: Vec<_> =
        bad.iter().map(|(path, why)| (path.file_name().unwrap().to_str().unwrap(), why.as_str())).collect();
    let to_directory = "is a link to a directory; put that directory itself, or skip the link with --exclude";
    let expected = [
        ("cycle", "is a link that leads to itself"),
        ("dangling", "is a link to nothing"),
        ("pipe", "is a pipe"),
        ("up", to_directory),
    ];
    assert_eq!(bad, expected);
}

#[test]
fn all_illegal_names_are_told_at_once() {
    let test = TestStore::new();
    for name in [&b"data/a\nb"[..], b"data/\xff", b"data/fine"] {
        let at = test.work().join(std::ffi::OsStr::from_bytes(name));
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, "x").unwrap();
    }
    let error = gather(&options(&test, "/", &["data"])).unwrap_err();
    assert!(matches!(&error, RepoError::IllegalPaths(paths) if paths.len() == 2), "{error}");
    assert_eq!(error.kind(), ErrorKind::Usage);
}

#[test]
fn illegal_names_are_left_out_with_the_files_that_have_them_if_that_is_wanted() {
    let test = TestStore::new();
    test.write("in/good", "1");
    let bad = test.work().join("in").join(std::ffi::OsStr::from_bytes(b"bad\xff"));
    std::fs::write(&bad, "2").unwrap();
    let whole = PutOptions { skip_unreadable: true, skip_illegal: true, ..options(&test, "/", &["in"]) };
    let listed = [PathBuf::from("good"), PathBuf::from(bad.file_name().unwrap())];
    let listed = PutOptions { files_from: Some(listed.into()), ..whole.clone() };
    for options in [whole, listed] {
        assert_eq!(targets(&options), ["/good"]);
        let skipped = gather(&options).unwrap().skipped;
        assert_eq!(skipped, [(bad.clone(), "cannot be in a commit: it is not UTF-8".to_owned())]);
    }
}

#[test]
fn what_changes_after_it_was_gathered_can_be_left_out() {
    let test = TestStore::new();
    test.write("in/a", "whole");
    test.write("in/b", "whole");
    let gathered = gather(&options(&test, "/", &["in"])).unwrap();
    test.write("in/a", "half of what is to come");
    let mut uploaded = upload(&test.store, &gathered, &|_, _| {}).unwrap();
    assert!(uploaded.files.iter().all(Option::is_some), "a put takes what is there");
    assert_eq!(uploaded.leave_out_changed(&gathered), [path("/a")]);
    assert_eq!(uploaded.files.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
    let kept: Vec<_> = gathered.stamps().map(|(path, stamp)| (path.to_string(), stamp.size_bytes())).collect();
    assert_eq!(kept, [("/a".to_owned(), 5), ("/b".to_owned(), 5)]);
}

#[test]
fn the_traps_of_put_are_refused_with_a_way_out() {
    let test = TestStore::new();
    test.write("x.jpg", "x");
    test.write("cam/x.jpg", "y");
    let error = gather(&options(&test, "/cam7/x.jpg", &["x.jpg"])).unwrap_err();
    assert_eq!(error.to_string(), "this would store `/cam7/x.jpg/x.jpg`");
    let x = test.work().join("x.jpg");
    let hint =
        format!("pv put images:/cam7 {0}      or, to choose the name: pv put images {0} --as /cam7/x.jpg", x.display());
    assert_eq!(error.hint(), Some(hint));
    assert_eq!(targets(&options(&test, "/cam", &["cam"])), ["/cam/x.jpg"]);
    let error = gather(&options(&test, "/", &["x.jpg", "cam"])).unwrap_err();
    assert!(matches!(error, RepoError::SameTarget { paths } if paths == [path("/x.jpg")]));
    let error = gather(&options(&test, "/", &["none", "x.jpg", "nil"])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("none") && error.to_string().contains("nil"));
    assert_eq!(gather(&options(&test, "/", &["../work/./-"])).unwrap_err().kind(), ErrorKind::NotFound);
    let stdin = PutOptions { sources: vec![PathBuf::from("-")], ..options(&test, "/", &[]) };
    assert_eq!(gather(&stdin).unwrap_err().kind(), ErrorKind::Usage);
    let as_path = PutOptions { as_path: Some(path("/new/name")), ..options(&test, "/", &["x.jpg"]) };
    assert_eq!(targets(&as_path), ["/new/name"]);
    let stdin = PutOptions { as_path: Some(path("/in")), ..stdin };
    assert_eq!(targets(&stdin), ["/in"]);
}

#[test]
fn a_path_cannot_be_file_and_directory() {
    let test = TestStore::new();
    test.set("images", &[("/a", Some("file")), ("/b/c", Some("file"))]);
    for clash in ["/a/x", "/b"] {
        let edits = common::edits(&test.store, &[(clash, Some("new"))]);
        let error = apply(&test.store, test.tree("images"), &edits).unwrap_err();
        assert!(matches!(error, RepoError::Clashes { .. }), "{error}");
    }
    let edits = common::edits(&test.store, &[("/a", None), ("/a/x", Some("new"))]);
    apply(&test.store, test.tree("images"), &edits).unwrap();
}

#[test]
fn excludes_and_lists_choose_files() {
    let test = TestStore::new();
    for file in ["d/a.txt", "d/a.tmp", "d/sub/b.txt", "d/sub/c.tmp", "d/skip/z.txt"] {
        test.write(file, file);
    }
    let patterns = ["*.tmp", "/skip"].map(|pattern| pattern.parse().unwrap()).to_vec();
    let excludes = Excludes { patterns, ..Excludes::default() };
    let with = PutOptions { excludes: excludes.clone(), ..options(&test, "/", &["d"]) };
    assert_eq!(targets(&with), ["/a.txt", "/sub/b.txt"]);
    let list = parse_list(b"./a.txt\nsub/\n");
    assert_eq!(parse_list(b"\xef\xbb\xbf./a.txt\r\n\r\nsub/\r\n"), list, "as Windows writes it");
    assert_eq!(parse_list(b"a\nb\0c\0"), [PathBuf::from("a\nb"), PathBuf::from("c")]);
    let listed = PutOptions { files_from: Some(list.into()), ..options(&test, "/in", &["d"]) };
    assert_eq!(targets(&listed), ["/in/a.txt", "/in/sub/b.txt", "/in/sub/c.tmp"]);
    // A folder is walked once, however often it is listed: a list cannot cause more work than its length.
    let again = PutOptions { files_from: Some(vec!["sub".into(); 100_000].into()), ..options(&test, "/in", &["d"]) };
    assert!(matches!(gather(&again), Err(RepoError::SameTarget { paths }) if paths == [path("/in/sub")]));
    let outside = PutOptions { files_from: Some(vec!["../d/a.txt".into()].into()), ..options(&test, "/", &["d"]) };
    assert!(matches!(gather(&outside), Err(RepoError::IllegalPaths(_))));
}

#[test]
fn a_store_that_lies_in_a_source_is_left_out() {
    let test = TestStore::new();
    test.write("a", "a");
    std::fs::write(test.store.dir().join("b"), "b").unwrap();
    let gathered = gather(&options(&test, "/", &[".."])).unwrap();
    let paths: Vec<String> = gathered.files().map(|(_, path, _)| path.to_string()).collect();
    assert_eq!(paths, ["/store/b", "/work/a"]);
    assert_eq!(gathered.stores, [test.work().join("../store/.pv")]);
    for inside in ["../store/.pv", "../store/.pv/packs", "../store/.pv/journal"] {
        assert_eq!(gather(&options(&test, "/", &[inside])).unwrap_err().kind(), ErrorKind::Usage, "{inside}");
    }
}

#[test]
fn a_mirror_removes_what_its_source_lacks_but_not_what_is_excluded() {
    let test = TestStore::new();
    test.set("images", &[("/d/keep", Some("1")), ("/d/old", Some("2")), ("/d/x/no.tmp", Some("3")), ("/e", Some("4"))]);
    test.write("d/keep", "1");
    test.write("d/new", "5");
    let put = PutOptions { mirror: true, ..options(&test, "/d", &["d"]) };
    let gathered = gather(&put).unwrap();
    let mut edits = upload(&test.store, &gathered, &|_, _| {}).unwrap().into_edits(&gathered);
    let left_out = LeftOut::by(&Excludes { patterns: vec!["/x".parse().unwrap()], ..Excludes::default() });
    let removed = mirror(&test.store, test.tree("images"), &path("/d"), &left_out, &mut edits).unwrap();
    assert_eq!(removed, Mirror { removed: 1, total_before: 3 });
    assert!(!removed.is_drastic() && Mirror { removed: 2, total_before: 3 }.is_drastic());
    let (tree, summary) = apply(&test.store, test.tree("images"), &edits).unwrap();
    assert_eq!((summary.added, summary.removed, summary.unchanged), (1, 1, 1));
    let paths: Vec<_> = contents(&test.store, tree).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["/d/keep", "/d/new", "/d/x/no.tmp", "/e"]);
}

#[test]
fn files_of_many_and_of_large_folders_come_in_order() {
    let test = TestStore::new();
    let mut expected = Vec::new();
    for at in 0..40 {
        for file in [format!("a{at}-b"), format!("a{at}/x/{at}"), format!("a{at}.c")] {
            test.write(&format!("d/{file}"), "");
            expected.push(format!("/{file}"));
        }
    }
    // More files than one thread takes in a batch.
    for at in 0..700 {
        let file = format!("many/{}", at * 307 % 700);
        test.write(&format!("d/{file}"), "");
        expected.push(format!("/{file}"));
    }
    expected.sort_unstable();
    assert_eq!(targets(&options(&test, "/", &["d"])), expected);
    assert_eq!(targets(&options(&test, "/in", &["d/many", "d/a7"])).len(), 701);
    let gathered = gather(&options(&test, "/in", &["d"])).unwrap();
    assert!(gathered.files().all(|(source, path, _)| source.ends_with(path.below(&common::path("/in")).unwrap())));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    let test = TestStore::new();
    let source = test.write("big", vec![7; 40 << 20]);
    let gathered = gather(&options(&test, "/", &["big"])).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                std::fs::OpenOptions::new()
                    .append(true)
                    .open(&source)
                    .and_then(|mut file| std::io::Write::write(&mut file, b"x"))
                    .unwrap();
                std::thread::yield_now();
            }
        });
        let uploaded = upload(&test.store, &gathered, &|_, _| {});
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        uploaded.unwrap_err()
    });
    assert!(matches!(error, RepoError::ChangedWhileRead { .. }), "{error}");
}
