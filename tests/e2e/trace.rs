//! `pv trace`.

use serde_json::json;

use crate::flow::{self, steady};

#[test]
fn a_trace_goes_down_to_the_commits_of_people() {
    let env = flow::run();
    insta::assert_snapshot!(steady(&env.pv(["trace", "count:/count"])), @r"
    --- stdout
    count@[id 1]:/count  2 B  sha256 [id 2]  signed (pv verify)

    ● count v1  datum [id 3]  exit 0  [took]  network default: not hermetic
    │  job count@[id 4]  [time] [utc]  process [host]  caused by apply count upper, Anna
    │  no image: this host's tools  cmd sh -c 'ls /pfs/upper | wc -l > /pfs/out/count'  applied [date] by Anna
    └─ upper@[id 5]:/  2 files  8 B
      ├─● upper v1  datum [id 6]  exit 0  [took]  network default: not hermetic
      │ │  wrote upper@[id 5]:/a  4 B  sha256 [id 7]
      │ │  job upper@[id 4]  [time] [utc]  process [host]  caused by apply count upper, Anna
      │ │  no image: this host's tools  cmd sh -c 'for f in /pfs/images/*; do if grep -q bad $f; then echo what is bad; exit 7; fi; tr a-z A-Z …  applied [date] by Anna
      │ └─ images@[id 8]:/a  4 B  sha256 [id 9]
      │  Anna <anna@example.com> ([committer])  [time] [utc]  first
      └─● upper v1  datum [id 10]  exit 0  [took]  network default: not hermetic
        │  wrote upper@[id 5]:/b  4 B  sha256 [id 11]
        │  job upper@[id 4]  [time] [utc]  process [host]  caused by apply count upper, Anna
        │  no image: this host's tools  cmd sh -c 'for f in /pfs/images/*; do if grep -q bad $f; then echo what is bad; exit 7; fi; tr a-z A-Z …  applied [date] by Anna
        └─ images@[id 8]:/b  4 B  sha256 [id 12]
               Anna <anna@example.com> ([committer])  [time] [utc]  first
    complete: 3 datums, 2 source files, 0 gaps
    --- stderr
    logs: pv logs count:/count
    ");
    let trace = env.json(["trace", "count:/count"]).remove(0);
    assert_eq!([&trace["datums"], &trace["source_files"], &trace["complete"]], [&json!(3), &json!(2), &json!(true)]);
    assert_eq!(trace["origin"]["datum"]["pipeline"], "count");
    let as_format = env.ok(["trace", "count:/count", "--format", "json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&as_format).unwrap(), trace);
}

#[test]
fn a_trace_can_be_cut_and_says_so() {
    let env = flow::run();
    let shown = env.ok(["trace", "count:/count", "--depth", "1"]);
    assert_eq!(shown.matches("not followed further: --depth").count(), 2, "{shown}");
    assert!(shown.ends_with("cut short: 1 datum, 0 source files, 0 gaps, 2 places not followed\n"), "{shown}");
    let trace = env.json(["trace", "count:/count", "--depth", "1"]).remove(0);
    assert_eq!((&trace["complete"], &trace["gaps"]), (&json!(false), &json!([])));
    let cut: Vec<&str> = trace["cut"].as_array().unwrap().iter().map(|cut| cut.as_str().unwrap()).collect();
    assert!(cut.len() == 2 && cut[0].contains(":/a: ") && cut[1].contains(":/b: "), "{cut:?}");
    let inputs = &trace["origin"]["datum"]["inputs"];
    assert_eq!((&inputs[0]["path"], &inputs[0]["directory"]["files"]), (&json!("/"), &json!(2)));
    assert_eq!(env.json(["trace", "count:/count", "--depth", "2"])[0]["complete"], true);
}

#[test]
fn of_a_large_directory_the_first_files_are_followed_unless_all_are_asked_for() {
    let env = flow::with_images();
    for number in 0..70 {
        env.write(format!("many/{number:02}"), format!("{number}\n"));
    }
    env.ok(["put", "images", "many", "-m", "many"]);
    env.write(
        "all.yml",
        "pipeline: {name: all}\ntransform: {cmd: [sh, -c, 'cat /pfs/images/* > /pfs/out/all'], env: {LEVEL: '2'}}\n\
         input: {pfs: {repo: images, glob: /}}\n",
    );
    env.ok(["pipeline", "apply", "-f", "all.yml"]);
    env.ok(["run"]);
    let trace = env.json(["trace", "all:/all"]).remove(0);
    let input = &trace["origin"]["datum"]["inputs"][0];
    assert_eq!((&input["directory"]["files"], input["files"].as_array().unwrap().len()), (&json!(72), 10));
    assert_eq!((&trace["complete"], &trace["source_files"], &trace["gaps"]), (&json!(false), &json!(10), &json!([])));
    let cut = trace["cut"].as_array().unwrap();
    assert!(cut.len() == 1 && cut[0].as_str().unwrap().ends_with(":/: 62 of 72 files are not followed"), "{cut:?}");
    let whole = env.json(["trace", "all:/all", "--files"]).remove(0);
    assert_eq!((&whole["complete"], &whole["source_files"]), (&json!(true), &json!(72)));
    let digest =
        |trace: &serde_json::Value| trace["origin"]["datum"]["inputs"][0]["digest"].as_str().unwrap().to_owned();
    assert_eq!(digest(&trace), digest(&whole), "the directory is named by the root of the map of its files either way");
    let shown = env.ok(["trace", "all:/all"]);
    assert!(shown.contains("   72 files   ") && shown.contains("└─…  62 more files: --files"), "{shown}");
    assert!(
        shown.contains("env LEVEL=2")
            && shown.ends_with("cut short: 1 datum, 10 source files, 0 gaps, 1 place not followed\n")
    );
    assert_eq!(shown.matches("Anna <anna@example.com> (").count(), 1, "files of one commit share its line:\n{shown}");
}

#[test]
fn a_directory_that_several_datums_read_stands_once() {
    let env = flow::with_images();
    env.ok(["repo", "create", "model"]);
    env.write("weights", "w\n");
    env.ok(["put", "model", "weights", "-m", "weights"]);
    env.write(
        "both.yml",
        "pipeline: {name: both}\ntransform: {cmd: [sh, -c, 'cat /pfs/images/* /pfs/model/* > /pfs/out/$(ls /pfs/images)']}\n\
         input: {cross: [{pfs: {repo: images, glob: /*}}, {pfs: {repo: model, glob: /}}]}\n---\n\
         pipeline: {name: sum}\ntransform: {cmd: [sh, -c, 'cat /pfs/both/* > /pfs/out/sum']}\ninput: {pfs: {repo: both, glob: /}}\n",
    );
    env.ok(["pipeline", "apply", "-f", "both.yml"]);
    env.ok(["run"]);
    let shown = env.ok(["trace", "sum:/sum"]);
    assert_eq!((shown.matches("as above").count(), shown.matches(":/weights").count()), (1, 1), "{shown}");
    assert!(shown.ends_with("complete: 3 datums, 3 source files, 0 gaps\n"), "{shown}");
}

#[test]
fn a_trace_is_printed_as_page_and_as_graph() {
    let env = flow::run();
    let format = |format: &str| env.ok(["trace", "count:/count", "--format", format]);
    let page = format("html");
    assert!(page.starts_with("<!doctype html>") && page.contains("<b class=\"good\">Complete</b>"), "{page}");
    let source = env.json(["trace", "images:/a"]).remove(0);
    for part in ["Anna &lt;anna@example.com&gt;", "could reach a network", source["digest"].as_str().unwrap()] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert_eq!((format("dot").matches("shape=box").count(), format("mermaid").matches(":::datum").count()), (3, 3));
    assert!(env.ok(["trace", "images:/a", "--format", "html"]).contains("A person committed the file below."));
    assert_eq!(env.exit_code(["trace", "images:/a", "--forward", "--format", "dot"]), 2);
}

#[test]
fn results_of_earlier_jobs_are_told_as_such() {
    let env = flow::failed();
    env.write("c", "good\n");
    env.ok(["put", "images", "c"]);
    env.ok(["run"]);
    let shown = env.ok(["trace", "upper:/a"]);
    assert!(shown.contains("cached since"), "{shown}");
    assert!(!env.ok(["trace", "upper:/c"]).contains("cached since"));
}

#[test]
fn forward_shows_every_reader_also_those_that_wrote_nothing() {
    let env = flow::run();
    env.write(
        "none.yml",
        "pipeline: {name: none}\ntransform: {cmd: [\"true\"]}\ninput: {pfs: {repo: upper, glob: /*}}\n",
    );
    env.ok(["pipeline", "apply", "-f", "none.yml"]);
    env.ok(["run"]);
    insta::assert_snapshot!(steady(&env.pv(["trace", "--forward", "--all-runs", "images:/a"])), @r"
    --- stdout
    images@[id 1]:/a  4 B  sha256 [id 2]
    in images:/a from [id 1] (Anna, [date]) on
    no other path

    REPOSITORY  READ BY  MADE  STILL AT HEAD
    upper  1 datum  1 file  1
    count  1 datum  1 file  1
    none  1 datum  0 files; 1 wrote none  0
    none read it and wrote nothing
    --- stderr
    list each file: --files or --json
    ");
    insta::assert_snapshot!(env.pv(["trace", "--forward", "--files", "images:/a"]), @r"
    --- stdout
    images@[id 1]:/a  4 B  sha256 [id 2]

    REPOSITORY  READ BY  MADE  STILL AT HEAD
    upper  1 datum  1 file  1
    count  1 datum  1 file  1
    none  1 datum  0 files; 1 wrote none  0
    none read it and wrote nothing

    JOB  DATUM  STATE  READ  MADE  STILL AT HEAD
    upper@[id 3]  [id 4]  success  images:/a  /a  yes
    count@[id 3]  [id 5]  success  upper:/a  /count  yes
    none@[id 6]  [id 7]  success  upper:/a  nothing
    ");
    insta::assert_snapshot!(env.pv(["trace", "--forward", "--depth", "1", "images:/a"]), @r"
    --- stdout
    images@[id 1]:/a  4 B  sha256 [id 2]

    REPOSITORY  READ BY  MADE  STILL AT HEAD
    upper  1 datum  1 file  1
    not followed further: --depth
    --- stderr
    list each file: --files or --json
    ");
    let found = env.json(["trace", "--forward", "images:/a"]).remove(0);
    assert_eq!(found["readers"][0]["pipeline"], "upper");
    env.write("d", "new\n");
    env.ok(["put", "images", "d"]);
    insta::assert_snapshot!(env.pv(["trace", "--forward", "images:/d"]), @r"
    --- stdout
    images@[id 8]:/d  4 B  sha256 [id 9]
    no datum read it
    ");
}

#[test]
fn forward_over_all_runs_knows_other_paths_older_versions_and_what_is_left() {
    let env = flow::run();
    env.ok(["mv", "images:/a", "images:/z"]);
    env.ok(["run"]);
    env.ok(["rm", "images:/z", "-m", "wrong camera"]);
    env.ok(["run"]);
    insta::assert_snapshot!(steady(&env.pv(["trace", "--forward", "--all-runs", "images@main~2:/a"])), @r#"
    --- stdout
    images@[id 1]:/a  4 B  sha256 [id 2]
    images@main now has no file there, since [id 3] (Anna, [date])
    in images:/a from [id 1] (Anna, [date]) to [id 3] (removed by Anna, [date])
    in images:/z from [id 3] (Anna, [date]) to [id 4] (removed by Anna, [date])

    REPOSITORY  READ BY  MADE  STILL AT HEAD
    upper  2 datums  2 files  0
    count  2 datums  2 files  0
    no derived file is at a head now; --files lists them with their jobs
    --- stderr
    list each file: --files or --json
    "#);
    let found = env.json(["trace", "--forward", "--all-runs", "images@main~2:/a"]).remove(0);
    let places: Vec<_> =
        found["places"].as_array().unwrap().iter().map(|place| place["path"].as_str().unwrap()).collect();
    assert_eq!(places, ["/a", "/z"]);
    assert_eq!(found["places"][1]["ended_by"]["message"], "wrong camera");
    // Other runs are not part of this one.
    let one = env.json(["trace", "--forward", "images@main~2:/a"]).remove(0);
    assert!(one["readers"].as_array().unwrap().len() < found["readers"].as_array().unwrap().len());
}

#[test]
fn forward_of_a_file_that_is_not_current_says_so_and_what_read_it() {
    let env = flow::with_images();
    let old = env.json(["log", "images"])[0]["id"].as_str().unwrap().to_owned();
    // At first nothing read it, and later only after it was restored: no job read the commit in between.
    env.write("a", "other\n");
    env.ok(["put", "images", "a"]);
    let between = env.json(["log", "images"])[0]["id"].as_str().unwrap().to_owned();
    env.ok(["cp", &format!("images@{}:/a", &old[..12]), "images:/a"]);
    flow::apply(&env);
    env.ok(["run"]);
    let at = format!("images@{old}:/a");
    let shown = env.ok(["trace", "--forward", &at]);
    assert!(shown.contains("no datum of the jobs that used this commit read it; it was read in upper@"), "{shown}");
    let found = env.json(["trace", "--forward", &at]).remove(0);
    assert_eq!(found["readers"].as_array().unwrap().len(), 0);
    assert_eq!(found["read_in_other_jobs"].as_array().unwrap().len(), 1);
    assert_eq!(found["now"]["state"], "same");
    env.ok(["pipeline", "delete", "count", "--yes"]);
    env.ok(["pipeline", "delete", "upper", "--yes"]);
    let head = env.json(["trace", "--forward", "images:/a"]).remove(0);
    assert_eq!(head["readers"][0]["pipeline"], "upper", "what a deleted pipeline read is told: {head}");
    let all = env.ok(["trace", "--forward", "--all-runs", &at]);
    assert_eq!(all.lines().filter(|line| line.starts_with("in images:/a from ")).count(), 2, "{all}");
    let shown = env.ok(["trace", "--forward", &format!("images@{between}:/a")]);
    assert!(shown.contains("images@main now has different content there, since "), "{shown}");
    assert!(shown.contains("no datum read it"), "{shown}");
    let other = env.json(["trace", "--forward", &format!("images@{between}:/a")]).remove(0);
    assert_eq!((&other["now"]["state"], &other["now"]["branch"]), (&"other".into(), &"main".into()));
}

#[test]
fn a_file_of_people_rests_on_its_commit_and_on_what_it_was_copied_from() {
    let env = flow::with_images();
    env.ok(["repo", "create", "chosen"]);
    env.ok(["cp", "images:/a", "chosen:/copy"]);
    insta::assert_snapshot!(steady(&env.pv(["trace", "chosen:/copy"])), @r"
    --- stdout
    chosen@[id 1]:/copy  4 B  sha256 [id 2]
         Anna <anna@example.com> ([committer])  [time] [utc]
         copied from images@[id 3]:/a  4 B  sha256 [id 2]
              Anna <anna@example.com> ([committer])  [time] [utc]  first
    complete: 0 datums, 2 source files, 0 gaps
    ");
}

#[test]
fn what_cannot_be_traced_is_refused() {
    let env = flow::with_images();
    assert_eq!(env.exit_code(["trace", "images:/none"]), 3);
    insta::assert_snapshot!(env.pv(["trace", "images"]), @r"
    --- stderr
    error: `images` does not name a file
    hint: pv trace images:/PATH
          pv trace --forward images  shows everything derived from the commit
    --- exit 2
    ");
    assert_eq!(env.exit_code(["trace", "images:/a", "--all-runs"]), 2);
}
