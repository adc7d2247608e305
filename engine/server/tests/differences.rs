//! Pages of differences, traces and search: what they show, to whom, and that text of people stays text.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod support;

use std::collections::BTreeSet;

use answers::diff::page;
use engine::changes::{Committed, NewCommit, commit};
use engine::run::Actor;
use repos::access::Role;
use repos::files::Edits;
use repos::tree::{FileEntry, Tree};
use reqwest::{Client, Method, Response, redirect};
use serde_json::json;
use specs::{BranchName, CommitId, FilePath, RepoName};
use support::{Running, without_what_forms_send};

const HOSTILE: &str = "<img src=x onerror=alert(1)>\u{202e}gpj.\"'&</td>";

/// A picture of two by two pixels.
fn bmp(blue: u8) -> Vec<u8> {
    let mut bytes =
        b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\x02\0\0\0\x01\0\x18\0\0\0\0\0\x10\0\0\0".to_vec();
    bytes.extend([0; 16]);
    for pixel in 0..4 {
        bytes.extend([if pixel == 0 { blue } else { 9 }, 9, 9]);
        if pixel % 2 == 1 {
            bytes.extend([0, 0]);
        }
    }
    bytes
}

/// The same, in a format that browsers do not show.
fn ppm(blue: u8) -> Vec<u8> {
    let pixels = [9, 9, blue, 9, 9, 9, 9, 9, 9, 9, 9, 9];
    [b"P6\n2 2\n255\n".as_slice(), &pixels].concat()
}

fn put(server: &Running, repo: &str, files: &[(&str, Option<Vec<u8>>)]) -> CommitId {
    let store = server.engine.store();
    let (repo, branch): (RepoName, _) = (repo.parse().unwrap(), BranchName::main());
    let mut edits = Edits::default();
    for (path, content) in files {
        let file = content.as_ref().map(|content| {
            let stored = store.put_bytes(content).unwrap();
            FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false }
        });
        edits.files.insert(path.parse().unwrap(), file);
    }
    let by = Actor { author: format!("anna {HOSTILE}"), committer: "anna".to_owned() };
    let new = NewCommit { repo: &repo, branch: &branch, expect: None, by: &by, message: HOSTILE };
    match commit(store, &new, |_| Ok(edits.clone())).unwrap().0 {
        Committed::Made { commit, .. } => commit,
        Committed::Unchanged { .. } => panic!("the test changes nothing"),
    }
}

fn client() -> Client {
    Client::builder().redirect(redirect::Policy::none()).build().unwrap()
}

async fn open(server: &Running, token: &str, path: &str, query: &[(&str, &str)]) -> Response {
    let query =
        if query.is_empty() { String::new() } else { format!("?{}", serde_urlencoded::to_string(query).unwrap()) };
    client().get(format!("{}{path}{query}", server.url)).bearer_auth(token).send().await.unwrap()
}

/// A page, which must show text of people as text.
async fn shown(server: &Running, token: &str, path: &str, query: &[(&str, &str)]) -> String {
    let response = open(server, token, path, query).await;
    let status = response.status();
    let page = response.text().await.unwrap();
    assert_eq!(status, 200, "{path} {query:?}: {page}");
    let text = without_what_forms_send(&page);
    for trick in ["<img src=x", "\u{202e}", "\u{7}", " style=", "<script>"] {
        assert!(!text.contains(trick), "{trick:?} in {path} {query:?}:\n{page}");
    }
    page
}

async fn with_two_versions() -> (Running, String, CommitId, CommitId) {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "data" })).await;
    let text = |text: &str| Some(text.as_bytes().to_vec());
    let hostile = format!("/dir/{}.txt", HOSTILE.replace('/', ""));
    let old = put(
        &server,
        "data",
        &[
            ("/a.bmp", Some(bmp(9))),
            ("/b.ppm", Some(ppm(9))),
            ("/dir/gone.txt", text("1\n")),
            ("/dir/moved.txt", text("moved along\n")),
            ("/metrics.json", text(r#"{"auc": 0.5, "<b>": "\u0007"}"#)),
            ("/records.json", text(r#"[{"id": 1, "threat": true, "why": "<i>"}, {"id": 2, "threat": false}]"#)),
            ("/table.csv", Some(format!("id,name,same\n1,a,x\n2,b,{}\n", HOSTILE.replace('"', "")).into_bytes())),
            ("/text.txt", text("one\ntwo\nthree\n")),
            (&hostile, text("old\n")),
        ],
    );
    let new = put(
        &server,
        "data",
        &[
            ("/a.bmp", Some(bmp(200))),
            ("/b.ppm", Some(ppm(200))),
            ("/dir/gone.txt", None),
            ("/dir/moved.txt", None),
            ("/dir/sub/moved.txt", text("moved along\n")),
            ("/metrics.json", text(r#"{"auc": 0.75, "<b>": "\u202e"}"#)),
            ("/records.json", text(r#"[{"id": 1, "threat": false, "why": "</td>"}, {"id": 2, "threat": false}]"#)),
            ("/table.csv", Some(format!("id,name,same\n1,{},x\n2,b,z\n", HOSTILE.replace('"', "")).into_bytes())),
            ("/text.txt", Some(format!("one\n{HOSTILE}\u{7}\nthree\n").into_bytes())),
            (&hostile, text("new\n")),
        ],
    );
    (server, admin, old, new)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_shows_folders_then_files_then_each_file_by_its_kind() {
    let (server, admin, old, new) = with_two_versions().await;
    let (old, new) = (format!("data@{old}"), format!("data@{new}"));
    let of = |more: &[(&'static str, &'static str)]| [&[("old", old.as_str()), ("new", new.as_str())], more].concat();
    let list = shown(&server, &admin, "/diff", &of(&[])).await;
    for part in
        ["1 removed, 7 modified, 1 renamed", "before: /dir/moved.txt", "⟨U+202E⟩", "&lt;img", "data-change=\"renamed\""]
    {
        assert!(list.contains(part), "{part} in {list}");
    }
    let branch = shown(&server, &admin, "/diff", &[("old", "data@main")]).await;
    assert!(branch.contains("path=/text.txt") && branch.contains(&new), "alone: with its parent, pinned");
    let only = shown(&server, &admin, "/diff", &of(&[("kind", "removed")])).await;
    assert!(only.contains("/dir/gone.txt") && !only.contains("path=/text.txt"), "{only}");
    for (path, more, parts) in [
        ("/text.txt", None, vec!["<del>two</del>", "⟨U+0007⟩", "Lines 1 to 3"]),
        ("/text.txt", Some(("text", "split")), vec!["class=\"lines split\"", "<del>two</del>"]),
        ("/table.csv", None, vec!["Rows by id", "<del>a</del>", "Only changed columns"]),
        ("/table.csv", Some(("columns", "all")), vec![">same</th>"]),
        ("/metrics.json", None, vec!["<del>0.5</del>", "+0.25 (+50.00%)", "&lt;b&gt;"]),
        ("/a.bmp", None, vec!["25.00%</b> of the pixels differ", "Next picture", "files/a.bmp", "data-way=\"side\""]),
        ("/a.bmp", Some(("pictures", "difference")), vec!["What differs, in red", "/diff/picture?"]),
        ("/b.ppm", Some(("pictures", "swipe")), vec!["show=old", "type=\"range\"", "Previous picture"]),
        ("/dir/gone.txt", None, vec!["nothing to compare it with"]),
    ] {
        let query = of(&[("path", path)].into_iter().chain(more).collect::<Vec<_>>());
        let page = shown(&server, &admin, "/diff", &query).await;
        for part in parts {
            assert!(page.contains(part), "{part} in {path} {more:?}:\n{page}");
        }
    }
    let same = shown(&server, &admin, "/diff", &[("old", &old), ("new", &old)]).await;
    assert!(same.contains("Nothing differs."), "{same}");
    for (old, new, part) in [
        ("data@mian", "", "did you mean"),
        ("@3fa9c1d2", "", "needs a second run"),
        ("@", "@", "not an id"),
        ("a b", "", "role=\"alert\""),
    ] {
        let page = shown(&server, &admin, "/diff", &[("old", old), ("new", new)]).await;
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_that_changed_are_a_table_and_a_record_opens() {
    let (server, admin, old, new) = with_two_versions().await;
    let (old, new) = (format!("data@{old}"), format!("data@{new}"));
    let of = [("old", old.as_str()), ("new", new.as_str()), ("flips", "threat")];
    let page = shown(&server, &admin, "/diff", &of).await;
    for part in ["true → false", "lost: no longer true", "/records.json 1", "why &lt;i&gt; → &lt;/td&gt;"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let opened = shown(&server, &admin, "/diff", &[&of[..], &[("record", "0")]].concat()).await;
    assert!(opened.contains("aria-expanded=\"true\"") && opened.contains("All that differs in this file"), "{opened}");
    let wrong = shown(&server, &admin, "/diff", &[of[0], of[1], ("flips", "threta")]).await;
    assert!(wrong.contains("Did you mean") && wrong.contains("<code>threat</code>"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_of_a_difference_is_pinned_and_only_for_those_who_see_both() {
    let (server, admin, old, new) = with_two_versions().await;
    let of = |path: &str, show: &'static str| {
        [("old", format!("data@{old}:{path}")), ("new", format!("data@{new}:{path}")), ("show", show.to_owned())]
    };
    let get = async |token: &str, query: &[(&str, String)]| {
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        open(&server, token, "/diff/picture", &query).await
    };
    for (path, show, begin) in [
        ("/a.bmp", "difference", &b"\x89PNG"[..]),
        ("/b.ppm", "difference", b"\x89PNG"),
        ("/b.ppm", "old", b"\xff\xd8\xff"),
    ] {
        let answer = get(&admin, &of(path, show)).await;
        assert_eq!(answer.status(), 200, "{path} {show}");
        let headers = answer.headers().clone();
        assert!(headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
        assert!(
            headers["cache-control"].to_str().unwrap().contains("immutable")
                && headers["content-type"].to_str().unwrap().starts_with("image/")
        );
        assert!(answer.bytes().await.unwrap().starts_with(begin), "{path} {show}");
    }
    let named = [
        ("old", "data@main:/a.bmp".to_owned()),
        ("new", format!("data@{new}:/a.bmp")),
        ("show", "difference".to_owned()),
    ];
    assert_eq!(get(&admin, &named).await.status(), 400, "a branch moves");
    let wrong = get(&admin, &of("/a.bmp", "other")).await;
    assert_eq!(
        (wrong.status().as_u16(), &wrong.headers()["content-type"]),
        (400, &"application/problem+json".parse().unwrap())
    );
    let tag = get(&admin, &of("/a.bmp", "difference")).await.headers()["etag"].clone();
    let query = serde_urlencoded::to_string(of("/a.bmp", "difference")).unwrap();
    let again = async |token: &str| {
        let request = client().get(format!("{}/diff/picture?{query}", server.url)).bearer_auth(token);
        request.header("if-none-match", tag.clone()).send().await.unwrap().status()
    };
    assert_eq!(again(&admin).await, 304);
    assert_eq!(get(&admin, &of("/text.txt", "difference")).await.status(), 404);
    let ben = server.token("ben", Role::Reader, &["mine*"]);
    assert_eq!(get(&ben, &of("/a.bmp", "difference")).await.status(), 404);
    assert_eq!(again(&ben).await, 404);
    let page = shown(&server, &ben, "/diff", &[("old", &format!("data@{old}"))]).await;
    assert!(page.contains("not found") && !page.contains("a.bmp"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_very_many_differences_go_on_where_the_last_one_ended() {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "many" })).await;
    let paths: Vec<String> = (0..12_345).map(|n| format!("/{}/{n:05}.txt", n % 7)).collect();
    let files =
        |content: &str| paths.iter().map(|path| (path.as_str(), Some(content.as_bytes().to_vec()))).collect::<Vec<_>>();
    let (old, new) = (put(&server, "many", &files("1")), put(&server, "many", &files("2")));
    let store = server.engine.store();
    let tree = |id: &CommitId| Tree::at(store.commit(id).unwrap().tree);
    let (mut seen, mut after): (BTreeSet<FilePath>, Option<FilePath>) = Default::default();
    loop {
        let found = page(store, (tree(&old), tree(&new)), &FilePath::root(), after.as_ref(), 500, |_| true).unwrap();
        assert!(found.all.is_none());
        for entry in found.entries {
            assert!(seen.insert(entry.path.clone()), "{} comes twice", entry.path);
        }
        after = found.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), paths.len());
    // Of a kind that no file is of, only so many are looked at.
    let none = page(store, (tree(&old), tree(&new)), &FilePath::root(), None, 500, |_| false).unwrap();
    assert!(none.entries.is_empty() && none.next.is_some());
    let list =
        shown(&server, &admin, "/diff", &[("old", &format!("many@{old}")), ("new", &format!("many@{new}"))]).await;
    for part in ["More than 10,000 files differ", "more than 1,000 modified", "Next page", ">/3/</a>"] {
        assert!(list.contains(part), "{part}");
    }
}

async fn ended(server: &Running, admin: &str) {
    for pipeline in ["flags", "mine-flags"] {
        let (status, ended) = server.get(admin, &format!("/wait?of={pipeline}")).await;
        assert_eq!(status, 200, "{ended}");
    }
}

/// A flag from a frame, by a pipeline that one may see and whose source another may not.
async fn with_flags() -> (Running, String) {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    for repo in ["hush", "frames"] {
        server.send(&admin, Method::POST, "/repos", json!({ "name": repo })).await;
    }
    server.pipeline("flags", "frames", &[]).await;
    server.pipeline("mine-flags", "hush", &[]).await;
    put(&server, "frames", &[("/cam7.bmp", Some(bmp(1))), ("/other.txt", Some(HOSTILE.into()))]);
    put(&server, "hush", &[("/secret-name.txt", Some(b"x".to_vec()))]);
    server.run_jobs();
    ended(&server, &admin).await;
    put(&server, "frames", &[("/cam7.bmp", Some(bmp(2)))]);
    server.engine.look_again();
    ended(&server, &admin).await;
    (server, admin)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_tells_each_step_and_the_other_way_too() {
    let (server, admin) = with_flags().await;
    let page = shown(&server, &admin, "/trace", &[("file", "flags@main:/cam7.bmp")]).await;
    for part in [
        "<b>Complete</b>",
        "<svg",
        "id=\"step-2\"",
        "committed 1 file to",
        "⟨U+202E⟩",
        "Recorded by",
        "Verify",
        "bundle?of=flags@",
        "files/cam7.bmp",
        "/log",
        "forward=yes",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let forward = shown(&server, &admin, "/trace", &[("file", "frames@main:/cam7.bmp"), ("forward", "")]).await;
    for part in ["What was made from", "1 datum", "/trace?file=flags@"] {
        assert!(forward.contains(part), "{part} in {forward}");
    }
    let whole = shown(&server, &admin, "/trace", &[("file", "frames@main"), ("forward", "yes")]).await;
    assert!(whole.contains("that the commit added or changed"), "{whole}");
    // As it was at the first run, whatever came later.
    let run = server.get(&admin, "/jobs?of=flags").await.1["items"].as_array().unwrap().last().unwrap()["run"].clone();
    let at = format!("@{}", run.as_str().unwrap());
    let then = shown(&server, &admin, "/trace", &[("file", "frames@main:/cam7.bmp"), ("at", &at)]).await;
    assert!(then.contains("<b>Complete</b>") || then.contains("role=\"alert\""), "{then}");
    for (file, part) in [
        ("flags@main", "is not a file"),
        ("flags@main:/cam8.bmp", "did you mean"),
        ("flags@main:/", "is not a file"),
        ("x y", "role=\"alert\""),
    ] {
        let page = shown(&server, &admin, "/trace", &[("file", file)]).await;
        assert!(page.contains(part), "{part} in {page}");
    }
    let file = open(&server, &admin, "/trace/page", &[("file", "flags@main:/cam7.bmp")]).await;
    assert!(file.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
    assert!(file.text().await.unwrap().contains("Where <code>"));
    for path in ["/trace/page", "/verified/none"] {
        let wrong = open(&server, &admin, path, &[]).await;
        assert_eq!(wrong.status(), 400, "{path}");
        assert!(wrong.text().await.unwrap().contains("<h1"), "{path}: what is missing is said on a page");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_visible_is_said_and_not_named() {
    let (server, _) = with_flags().await;
    let ben = server.token("ben", Role::Reader, &["mine*"]);
    let page = shown(&server, &ben, "/trace", &[("file", "mine-flags@main:/secret-name.txt")]).await;
    assert!(page.contains("Not complete") && page.contains("not visible to you"), "{page}");
    assert!(!page.contains("hush") && page.contains("needs a token for the whole store"), "{page}");
    let carl = server.token("carl", Role::Reader, &["frames"]);
    let forward = shown(&server, &carl, "/trace", &[("file", "frames@main:/cam7.bmp"), ("forward", "")]).await;
    assert!(
        forward.contains("1 pipeline that is not visible to you read it") && !forward.contains("flags"),
        "{forward}"
    );
    for word in ["hush", "hush@main:/secret-name.txt", "secret-name.txt"] {
        let page = shown(&server, &carl, "/find", &[("q", word)]).await;
        assert!(!page.contains("repos/hush"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_is_that_of_the_command_and_no_more() {
    let (server, admin) = with_flags().await;
    let commit = server.engine.store().head(&"flags".parse().unwrap(), &BranchName::main()).unwrap();
    let of = format!("flags@{commit}:/cam7.bmp");
    let form = [
        ("-method", "POST"),
        ("-operation", "/api/v1/verify"),
        ("-next", &format!("/verified/{{id}}?of={of}")),
        ("of", &of),
    ];
    let body: Vec<String> = form
        .iter()
        .map(|(name, value)| format!("{name}={}", value.replace('/', "%2F").replace('?', "%3F").replace('=', "%3D")))
        .collect();
    let request = client().post(format!("{}/act", server.url)).bearer_auth(&admin).body(body.join("&"));
    let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let place = answer.headers()["location"].to_str().unwrap().to_owned();
    let mut page = String::new();
    for _ in 0..500 {
        page = shown(&server, &admin, &place, &[]).await;
        if !page.contains("data-again") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // The test's store has no key.
    let (_, proof) = server.get(&admin, &format!("/operations/{}", place.split(['/', '?']).nth(2).unwrap())).await;
    let word = match proof["result"]["verdict"].as_str().unwrap_or_else(|| panic!("{proof} {page}")) {
        "proven" => "PROVEN",
        "whole" => "WHOLE, SIGNER NOT CHECKED",
        "unsigned" => "WHOLE, NOT SIGNED",
        _ => "NOT PROVEN",
    };
    assert!(page.contains(&format!("<b>{word}</b>")), "{proof}: {page}");
    let ben = server.token("ben", Role::Reader, &["*"]);
    let other = shown(&server, &ben, &place, &[]).await;
    assert!(other.contains("does not know this verification"), "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_meaning_leads_there_and_several_are_a_list() {
    let (server, admin) = with_flags().await;
    let store = server.engine.store();
    let commit = store.head(&"frames".parse().unwrap(), &BranchName::main()).unwrap();
    let run = store.commit(&commit).unwrap().run;
    let goes = async |word: &str| -> Option<String> {
        let answer = open(&server, &admin, "/find", &[("q", word)]).await;
        (answer.status() == 303).then(|| answer.headers()["location"].to_str().unwrap().to_owned())
    };
    let files = format!("/repos/frames/commits/{commit}/files/cam7.bmp");
    for (word, place) in [
        ("frames", "/repos/frames".to_owned()),
        ("frames@main", format!("/repos/frames/commits/{commit}")),
        ("frames@main:/cam7.bmp", files.clone()),
        (&commit.to_string()[..10], format!("/repos/frames/commits/{commit}")),
        (&format!("@{run}")[..12], format!("/runs/{run}")),
    ] {
        assert_eq!(goes(word).await.as_deref(), Some(place.as_str()), "{word}");
    }
    for (word, parts) in [
        ("flags", vec!["may stand for", ">pipeline<", ">repository<"]),
        (&format!("flags@{run}"), vec![">job<", ">commit<"]),
        ("frmaes", vec!["Did you mean", "/repos/frames"]),
        ("cam7.bmp", vec!["frames:/cam7.bmp", "flags:/cam7.bmp"]),
        ("frames@mian", vec!["did you mean"]),
        ("no-such-thing.txt", vec!["no commit contains a file"]),
        (HOSTILE, vec!["&lt;img"]),
        ("", vec!["What can be found"]),
        (&"0f".repeat(32), vec!["no commit contains a file with SHA-256"]),
    ] {
        let page = shown(&server, &admin, "/find", &[("q", word)]).await;
        for part in parts {
            assert!(page.contains(part), "{part} in {word}: {page}");
        }
    }
    let digest = repos::hash::digest_of(&bmp(1)).to_string();
    let page = shown(&server, &admin, "/find", &[("q", &digest)]).await;
    assert!(page.contains("frames:/cam7.bmp") && page.contains(">no<"), "{page}");
}
