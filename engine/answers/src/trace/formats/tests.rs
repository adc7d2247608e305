//! The guarantees of all formats, on a hand-made trace: a model and a picture are read by a stage, whose result is read by a second one.

use compare::{Picture, Shown};
use proptest::prelude::*;
use repos::Timestamp;
use repos::documents::{
    Certificate, CodeStamp, CommitKind, ExecutorKind, ExecutorStamp, GitCheck, ImageStamp, Repetition, ResultState,
};
use specs::{CommitId, DatumId, Digest, Network};

use super::{dot, html, html_in, mermaid, page};
use crate::trace::exhibits::{Exhibit, Exhibits, SignedCommit};
use crate::trace::{BranchCommit, DatumNode, Extent, FileNode, InputNode, Origin, SourceNode, Trace, VersionNode};

fn digest(number: u8) -> Digest {
    Digest::from_bytes([number; 32])
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_micros((1_782_896_551 + second) * 1_000_000)
}

fn file(repo: &str, path: &str, number: u8, origin: Origin) -> FileNode {
    FileNode {
        repo: repo.parse().unwrap(),
        commit: CommitId::new(digest(number)),
        path: path.parse().unwrap(),
        size_bytes: 1_234_567,
        digest: digest(number + 100),
        executable: false,
        same_as: None,
        origin,
    }
}

fn source(number: u8, author: &str, message: &str) -> Origin {
    Origin::Source(Box::new(SourceNode {
        commit: CommitId::new(digest(number)),
        author: author.to_owned(),
        committer: "uid:0@edge".to_owned(),
        message: message.to_owned(),
        created_at: time(0),
        gone: None,
        read_from: None,
        copied_from: None,
    }))
}

fn input(name: &str, files: Vec<FileNode>, directory: Option<Extent>) -> InputNode {
    let first = files.first();
    InputNode {
        input: name.to_owned(),
        path: if directory.is_some() { "/".parse().unwrap() } else { first.unwrap().path.clone() },
        digest: first.map(|file| file.digest),
        commit: first.map(|file| BranchCommit { repo: file.repo.clone(), branch: None, id: file.commit }),
        directory,
        empty_files: false,
        reference: false,
        older: false,
        seen: false,
        files,
    }
}

fn datum(pipeline: &str, number: u8, inputs: Vec<InputNode>) -> Origin {
    Origin::Datum(Box::new(DatumNode {
        id: DatumId::new(digest(number)),
        result: digest(number + 1),
        state: ResultState::Success,
        exit_code: Some(0),
        tries: 2,
        earlier_tries: Vec::new(),
        pipeline: pipeline.parse().unwrap(),
        version: 3,
        applied_at: Some(time(1)),
        applied_by: Some("carl".to_owned()),
        job: format!("{pipeline}@{}", "7".repeat(32)),
        cached: true,
        taken_over_by: Some(format!("{pipeline}@{}", "8".repeat(32))),
        cause: None,
        image: Some(ImageStamp {
            reference: "threat:1".to_owned(),
            digest: digest(9),
            id: String::new(),
            registry_digest: None,
        }),
        transform: digest(8),
        cmd: vec!["python3".to_owned(), "/code/run it.py".to_owned()],
        stdin: Vec::new(),
        env: [("LEVEL".to_owned(), "2".to_owned())].into(),
        secrets: vec!["token".to_owned()],
        host_files: std::collections::BTreeMap::new(),
        code: Some(CodeStamp {
            tree: Some(digest(7)),
            git_commit: Some("4e1d2f0".to_owned()),
            git_code: Some(GitCheck::of(Some("4e1d2f0".to_owned()), "stages".to_owned(), Vec::new())),
            ..CodeStamp::default()
        }),
        network: Network::None,
        executor: ExecutorStamp { kind: ExecutorKind::Docker, version: "28.2".to_owned(), host: "edge-2".to_owned() },
        worker: None,
        started_at: Some(time(2)),
        finished_at: Some(time(3)),
        log: Some(digest(6)),
        by_reference: false,
        inputs,
        more_inputs: 0,
        not_visible: 0,
    }))
}

/// A trace in which a user chose these texts.
fn trace_with(author: &str, message: &str, path: &str) -> Trace {
    let picture = file("images", path, 1, source(1, author, message));
    let model = file("model", "/svm.npy", 2, source(2, "carl", "hog v2"));
    let model = input("model", vec![model], Some(Extent { files: 12, size_bytes: 5_000_000 }));
    let found =
        file("detect", "/found.json", 3, datum("detect", 20, vec![input("images", vec![picture], None), model]));
    let flag = file("threat", "/flag.json", 4, datum("threat", 30, vec![input("detect", vec![found], None)]));
    Trace {
        file: flag,
        version: VersionNode {
            branch: "main".parse().unwrap(),
            run: "7".repeat(32).parse().unwrap(),
            kind: CommitKind::Output,
            author: "anna".to_owned(),
            committer: "uid:0@edge".to_owned(),
            created_at: time(4),
            job: Some(format!("threat@{}", "7".repeat(32))),
            error: None,
        },
        datums: 2,
        source_files: 2,
        cut: vec!["model@020202020202:/: 11 of 12 files are not followed".to_owned()],
        gaps: Vec::new(),
        complete: false,
        is_damaged: false,
    }
}

/// Possible contents of that trace's files, with this text.
fn exhibits_with(text: &str, path: &str) -> Exhibits {
    let exhibit = |number: u8, path: &str, shown| Exhibit {
        place: ("images".parse().unwrap(), CommitId::new(digest(number)), path.parse().unwrap()),
        digest: digest(number + 100),
        size_bytes: 1_234_567,
        shown,
    };
    let picture = Picture { bytes: vec![0xff, 0xd8], media_type: "image/jpeg", size: (320, 180), of: (1280, 720) };
    Exhibits {
        shown: vec![
            exhibit(4, "/flag.json", Shown::Text(text.to_owned(), true)),
            exhibit(1, path, Shown::Picture(picture)),
            exhibit(2, "/svm.npy", Shown::Tensors(vec![format!("{text}   float64   3781")], 2)),
            exhibit(3, "/lost", Shown::Nothing(text.to_owned())),
        ],
        left_out: 3,
        signed: vec![SignedCommit {
            repo: "images".parse().unwrap(),
            commit: CommitId::new(digest(1)),
            words: text.to_owned(),
            is_good: true,
        }],
        commits_left_out: 0,
        certificates: vec![(digest(50), certificate(text))],
    }
}

fn certificate(words: &str) -> Certificate {
    Certificate {
        commit: CommitId::new(digest(4)),
        path: None,
        at: time(9),
        committer: words.to_owned(),
        made_by: "pv".to_owned(),
        executor: ExecutorStamp { kind: ExecutorKind::Docker, version: "28.2".to_owned(), host: "edge-2".to_owned() },
        outcome: Repetition::Identical,
        stages: Vec::new(),
    }
}

fn plain() -> Trace {
    trace_with("anna", "camera batch", "/cam7.jpg")
}

/// Checks that tags are balanced, all are ours, and none can run or load anything.
fn check_html(page: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let body = page.split_once("</style>").ok_or("no style")?.1;
    let known = "head body main html h1 h2 h3 section p code b q ol ul li table thead tbody tr th td br dl dt dd span figure figcaption \
                 pre img";
    for part in body.split('<').skip(1) {
        let tag = part.split_once('>').ok_or_else(|| format!("a tag without an end: {part:?}"))?.0;
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let bare = name.trim_start_matches('/');
        let is_ours = match bare {
            "img" => is_embedded(attributes),
            _ => attributes.is_empty() || attributes.starts_with("class=\""),
        };
        if !known.split_whitespace().any(|known| known == bare) || !is_ours {
            return Err(format!("an unknown tag: {tag:?}"));
        }
        match name.strip_prefix('/') {
            Some(name) => match open.pop() {
                Some(last) if last == name => {}
                // Head and style were opened above.
                None if ["head", "html"].contains(&name) => {}
                last => return Err(format!("</{name}> closes {last:?}")),
            },
            None if name == "br" || name == "img" => {}
            None => open.push(name),
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("not closed: {open:?}")) }
}

/// Whether a picture is embedded in the page, and its text is a single attribute.
fn is_embedded(attributes: &str) -> bool {
    let Some((data, rest)) =
        attributes.strip_prefix("src=\"data:image/jpeg;base64,").and_then(|rest| rest.split_once('"'))
    else {
        return false;
    };
    let is_base64 = data.chars().all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c));
    is_base64 && rest.starts_with(" alt=\"") && rest.matches('"').count() == 6
}

/// The statements of a dot graph: strings are complete, and only arrows and nodes are outside of them.
fn check_dot(text: &str) -> Result<(), String> {
    let mut outside = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '"' {
            outside.push(c);
            continue;
        }
        loop {
            match rest.next().ok_or("a string without an end")? {
                '\\' => drop(rest.next()),
                '"' => break,
                '\n' => return Err("a string over two lines".to_owned()),
                _ => {}
            }
        }
        outside.push('S');
    }
    let lines = outside.lines().map(str::trim).filter(|line| !line.is_empty());
    for line in lines {
        let is_known = line == "digraph trace {"
            || line == "}"
            || line == "rankdir=LR;"
            || line.starts_with("node [")
            || line.starts_with("edge [")
            || (line.starts_with('n') && line.ends_with(';') && line[1..2].chars().all(|c| c.is_ascii_digit()));
        if !is_known || line.contains('<') {
            return Err(format!("no statement: {line:?}"));
        }
    }
    Ok(())
}

/// Checks a flowchart: every label must be one string, without anything that Mermaid or a browser acts on.
fn check_mermaid(text: &str) -> Result<(), String> {
    for line in text.lines().skip(1).filter(|line| !line.trim().starts_with("classDef")) {
        let quotes = line.matches('"').count();
        let label = line.split('"').nth(1).unwrap_or_default().replace("<br/>", "");
        if (quotes != 0 && quotes != 2) || label.contains(['<', '>', '[', ']', '{', '}', '|', '`', '\\']) {
            return Err(format!("no node and no arrow: {line:?}"));
        }
    }
    if text.starts_with("flowchart LR\n") { Ok(()) } else { Err("no flowchart".to_owned()) }
}

#[test]
fn the_page_tells_who_did_what_with_every_digest_and_what_is_missing() {
    let page = html(&plain());
    check_html(&page).unwrap();
    for part in [
        "Where <code>threat@04040404:/flag.json</code> comes from".to_owned(),
        "<b>anna</b> committed <code>/cam7.jpg</code> to <b>images</b> on 2026-07-01 09:02:31 UTC".to_owned(),
        "<q>camera batch</q>".to_owned(),
        "<code>python3 &#39;/code/run it.py&#39;</code> in image <code>threat:1</code>".to_owned(),
        "It had no network.".to_owned(),
        "all 12 files of <b>model</b>".to_owned(),
        digest(104).to_string(),
        digest(101).to_string(),
        format!("threat:1 (sha256 {})", digest(9)),
        "code in commit 4e1d2f0 at stages".to_owned(),
        "LEVEL=2".to_owned(),
        "Secrets, by name</th><td>token".to_owned(),
        "success, exit code 0, after 2 tries".to_owned(),
        "1,234,567".to_owned(),
        "<b class=\"bad\">Not complete</b>: 0 gaps; 1 place was omitted".to_owned(),
        "<li>model@020202020202:/: 11 of 12 files are not followed</li>".to_owned(),
        format!("pv verify threat@{}:/flag.json", digest(4)),
    ] {
        assert!(page.contains(&part), "{part}\n{page}");
    }
    let berlin = html_in(&plain(), &jiff::tz::TimeZone::fixed(jiff::tz::offset(2)));
    assert!(berlin.contains("2026-07-01 11:02:31 +02:00 (2026-07-01 09:02:31 UTC)"), "{berlin}");
}

#[test]
fn the_page_shows_the_file_its_frame_and_who_vouches_for_it() {
    let shown = exhibits_with("{\"flag\": \"<b>threat</b>\"}", "/cam7.jpg");
    let page = page(&plain(), &jiff::tz::TimeZone::UTC, &shown);
    check_html(&page).unwrap();
    for part in [
        "img-src data:",
        "<b>The file itself</b>: <code>images@04040404:/flag.json</code>",
        "truncated: only its beginning is shown",
        "<pre>{&quot;flag&quot;: &quot;&lt;b&gt;threat&lt;/b&gt;&quot;}</pre>",
        "1280 × 720 pixels",
        "<img src=\"data:image/jpeg;base64,/9g=\" alt=\"images@01010101:/cam7.jpg\" width=\"320\" height=\"180\">",
        "float64   3781\n… 2 more",
        "3 more files are not shown here",
        "Who vouches for it",
        "<b class=\"good\">identical</b>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(!html(&plain()).contains("Who vouches"), "what was not looked up is not told");
}

#[test]
fn of_many_executions_of_one_stage_the_first_are_told_in_full() {
    let mut trace = plain();
    let Origin::Datum(threat) = &mut trace.file.origin else { panic!() };
    for number in 40..50 {
        let picture = file("images", &format!("/{number}.jpg"), number, source(number, "anna", "more"));
        let found = file(
            "detect",
            &format!("/{number}.json"),
            number,
            datum("detect", number, vec![input("images", vec![picture], None)]),
        );
        threat.inputs.push(input("detect", vec![found], None));
    }
    let page = html(&trace);
    check_html(&page).unwrap();
    assert_eq!(page.matches("Stage <b>detect</b>, version 3, ran").count(), 3, "{page}");
    assert_eq!(page.matches("The same stage <b>detect</b>, version 3, on").count(), 8, "{page}");
    assert_eq!(page.matches("<h3>detect version 3, execution").count(), 3);
    for number in 40..50 {
        assert!(page.contains(&digest(number).to_string()), "every execution is named in full");
    }
}

#[test]
fn steps_stand_before_what_rests_on_them() {
    let page = html(&plain());
    let at = |part: &str| page.find(part).unwrap_or_else(|| panic!("{part}"));
    let steps = ["committed <code>/cam7.jpg", "committed <code>/svm.npy", "Stage <b>detect", "Stage <b>threat"];
    assert!(steps.windows(2).all(|pair| at(pair[0]) < at(pair[1])));
}

#[test]
fn a_page_that_is_complete_says_so_and_claims_no_more_than_it_knows() {
    let whole = Trace { cut: Vec::new(), complete: true, ..plain() };
    let page = html(&whole);
    assert!(
        page.contains("<b class=\"good\">Complete</b>") && page.contains("Nothing: every file was followed"),
        "{page}"
    );
    assert!(page.contains("and from nothing else"));
    let mut open = whole;
    let Origin::Datum(datum) = &mut open.file.origin else { panic!() };
    datum.network = Network::Default;
    let page = html(&open);
    assert!(!page.contains("and from nothing else") && page.contains("could reach a network"), "{page}");
}

#[test]
fn a_graph_has_each_node_once_and_points_from_sources_to_the_file() {
    let mut trace = plain();
    // A second file of the same datum, read beside the first.
    let Origin::Datum(threat) = &mut trace.file.origin else { panic!() };
    let again = file("detect", "/second.json", 3, Origin::SeenDatum(DatumId::new(digest(20))));
    threat.inputs.push(input("detect", vec![again], None));
    let text = dot(&trace);
    check_dot(&text).unwrap();
    assert_eq!(text.matches("detect v3").count(), 1, "{text}");
    let number = |label: &str| {
        let line = text.lines().find(|line| line.contains(label)).unwrap_or_else(|| panic!("{label}\n{text}"));
        line.trim().split(' ').next().unwrap().to_owned()
    };
    let arrow = |from: &str, to: &str| text.contains(&format!("{} -> {}", number(from), number(to)));
    for (from, to) in [
        ("/cam7.jpg", "detect v3"),
        ("/svm.npy", "12 files"),
        ("11 more files", "12 files"),
        ("12 files", "detect v3"),
        ("detect v3", "/found.json"),
        ("detect v3", "/second.json"),
        ("/found.json", "threat v3"),
        ("/second.json", "threat v3"),
        ("threat v3", "/flag.json"),
    ] {
        assert!(arrow(from, to), "{from} -> {to}\n{text}");
    }
    let flowchart = mermaid(&trace);
    check_mermaid(&flowchart).unwrap();
    assert_eq!(flowchart.matches("-->").count(), text.matches("->").count());
}

#[test]
fn what_users_typed_is_text_in_every_format() {
    let bad = "</code><script>alert(1)</script>\"'&\\\u{202e}\u{7}\n<img src=x onerror=y>]|\"--> n0;#quot;`";
    let trace = trace_with(bad, bad, "/a<script>\"b");
    let page = html(&trace);
    check_html(&page).unwrap();
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;\\\\u{202e}\\u{7}"), "{page}");
    assert!(page.contains("default-src 'none'") && !page.contains('\u{202e}'));
    check_html(&self::page(&trace, &jiff::tz::TimeZone::UTC, &exhibits_with(bad, "/a<script>\"b"))).unwrap();
    check_dot(&dot(&trace)).unwrap();
    check_mermaid(&mermaid(&trace)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_breaks_a_format(author in "\\PC*", message in "(?s).{0,80}", path in "/[^/\\x00\n]{1,20}") {
        prop_assume!(path.parse::<specs::FilePath>().is_ok());
        let trace = trace_with(&author, &message, &path);
        prop_assert_eq!(check_html(&html(&trace)), Ok(()));
        let shown = exhibits_with(&message, &path);
        prop_assert_eq!(check_html(&page(&trace, &jiff::tz::TimeZone::UTC, &shown)), Ok(()));
        prop_assert_eq!(check_dot(&dot(&trace)), Ok(()));
        prop_assert_eq!(check_mermaid(&mermaid(&trace)), Ok(()));
    }
}
