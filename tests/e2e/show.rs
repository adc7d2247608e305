//! `pv show`

use std::io::Write;
use std::process::{Command, Stdio};

use tests::test_env;

#[test]
fn the_raw_bytes_of_a_commit_have_its_id_as_digest() {
    let env = test_env!();
    env.write("a", "1");
    let id = env.json(["put", "images", "a"])[0]["commit"].as_str().unwrap().to_owned();
    let raw = env.output(["show", "--raw", "images"]).stdout;
    let mut sum = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    sum.stdin.take().unwrap().write_all(&raw).unwrap();
    let sum = String::from_utf8(sum.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(sum.split(' ').next(), Some(id.as_str()));
    assert_eq!(env.output(["show", "--raw", &format!("images@{}", &id[..10])]).stdout, raw);
}

#[test]
fn commits_files_and_runs_are_shown() {
    let env = test_env!();
    env.write("a.sh", "1");
    let run = env.json(["put", "images", "a.sh", "-m", "first"])[0]["run"].as_str().unwrap().to_owned();
    insta::assert_snapshot!(env.pv(["show", "images"]), @r#"
    --- stdout
    commit  [id 1]
    on  images@main
    when  [time]  [ago]
    author  Anna <anna@example.com>
    committer  [committer]
    message  first
    run  [id 2]
    parent  none
    files  1 file  1 B
    changes  1 added, 0 modified, 0 removed
    signed  by key [id 3]
    "#);
    insta::assert_snapshot!(env.pv(["show", "images:/a.sh"]), @r#"
    --- stdout
    file  images@[id 1]:/a.sh
    sha256  [id 4]
    size  1 byte
    executable  no
    "#);
    insta::assert_snapshot!(env.pv(["show", &format!("@{run}")]), @r#"
    --- stdout
    run  [id 2]
    cause  commit images@main "first"
    who  Anna <anna@example.com>  [committer]
    when  [time]  [ago]
    moved  images@main  none → [id 1]
    jobs  no jobs
    "#);
    insta::assert_snapshot!(env.pv(["show", "--raw", &format!("@{}", &run[..8])]), @r"
    --- stderr
    error: a run has no document
    hint: pv show @[id 2] --json
    --- exit 2
    ");
    insta::assert_snapshot!(env.pv(["show", "@ffff0000ffff"]), @r#"
    --- stderr
    error: run `[id 5]` not found
    hint: pv log lists the runs
    --- exit 3
    "#);
    assert_eq!(env.json(["show", &format!("@{run}")])[0]["id"], run.as_str());
    assert_eq!(env.json(["show", "images:/a.sh"])[0]["path"], "/a.sh");
    // A run means the commit that it made.
    assert_eq!(env.json(["show", &format!("images@{run}")]), env.json(["show", "images"]));
}

#[test]
fn revisions_that_lead_nowhere_say_so() {
    let env = test_env!();
    insta::assert_snapshot!(env.pv(["show", "images"]), @r"
    --- stderr
    error: branch `main` not found in repository `images`
    hint: pv branch list images lists its branches; to create it: pv branch create images@main
    --- exit 3
    ");
    env.write("a", "1");
    env.ok(["put", "images", "a"]);
    insta::assert_snapshot!(env.pv(["show", "images@main~3"]), @r"
    --- stderr
    error: `images@main~3` goes back 3 commits, but its history has only 1
    --- exit 3
    ");
    insta::assert_snapshot!(env.pv(["show", "images@abcd0123"]), @r"
    --- stderr
    error: `[id 1]` is not a branch, tag, commit or run of repository `images`
    hint: pv log images lists its commits
    --- exit 3
    ");
    insta::assert_snapshot!(env.pv(["show", "images:a"]), @r"
    --- stderr
    error: `images:a` is not a reference: a path starts with `:/`
    hint: write `images:/a`
    --- exit 2
    ");
    insta::assert_snapshot!(env.pv(["show", "images:/a/"]), @r"
    --- stderr
    error: `/a/` is not a legal path: it has an empty part
    hint: remove the last `/`: `/a`
    --- exit 2
    ");
}
