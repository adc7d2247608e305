//! `pv find`

use tests::test_env;

#[test]
fn bytes_and_names_are_found_with_their_first_and_last_commit() {
    let env = test_env!();
    env.write("d/cam7/a.jpg", "picture");
    env.ok(["put", "images", "d"]);
    env.ok(["repo", "create", "copies"]);
    env.ok(["cp", "images:/cam7", "copies:/x"]);
    env.ok(["rm", "-r", "images:/cam7"]);
    insta::assert_snapshot!(env.pv(["find", "d/cam7/a.jpg"]), @r"
    --- stdout
    FILE  SIZE  FIRST  LAST  STILL AT HEAD
    copies:/x/a.jpg  7 B  [id 1]  [id 1]  yes
    images:/cam7/a.jpg  7 B  [id 2]  [id 2]  no
    ");
    let by_file = env.json(["find", "d/cam7/a.jpg"]);
    let digest = by_file[0]["digest"].as_str().unwrap();
    assert_eq!(env.json(["find", digest]), by_file);
    assert_eq!(env.json(["find", &format!("sha256:{digest}")]), by_file);
    assert_eq!(env.json(["find", "*.jpg"]), by_file);
    assert_eq!(env.json(["find", "/cam7/*"]).len(), 1);
    let fields: Vec<&str> = by_file[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        ["at_head", "digest", "first", "last", "path", "periods", "periods_before", "repo", "size_bytes"]
    );
    insta::assert_snapshot!(env.pv(["find", "*.png"]), @r"
    --- stderr
    error: no commit contains a file that matches `*.png`
    --- exit 3
    ");
    assert_eq!(env.exit_code(["find", "/[a"]), 2);
}

#[test]
fn bytes_that_were_away_in_between_are_told_with_their_periods() {
    let env = test_env!();
    for content in ["one", "other", "one"] {
        env.write("a", content);
        env.ok(["put", "images", "a"]);
    }
    env.ok(["mv", "images:/a", "images:/b"]);
    insta::assert_snapshot!(env.pv(["find", "a"]), @r"
    --- stdout
    FILE  SIZE  FIRST  LAST  STILL AT HEAD
    images:/a  3 B  [id 1]  [id 1]  no
    images:/a  3 B  [id 2]  [id 2]  no
    images:/b  3 B  [id 3]  [id 3]  yes
    ");
    let commits: Vec<String> =
        env.json(["log", "images"]).iter().map(|commit| commit["id"].as_str().unwrap().to_owned()).collect();
    let found = env.json(["find", "a"]).remove(0);
    assert_eq!((&found["first"], &found["last"]), (&commits[3].clone().into(), &commits[1].clone().into()));
    let periods: Vec<_> =
        found["periods"].as_array().unwrap().iter().map(|it| (&it["first"], &it["last"], &it["ended_by"])).collect();
    let id = |at: usize| serde_json::Value::from(commits[at].as_str());
    assert_eq!(periods, [(&id(3), &id(3), &id(2)), (&id(1), &id(1), &id(0))]);
    // As a name it existed all the time.
    assert_eq!(env.json(["find", "/a"])[0]["periods"].as_array().unwrap().len(), 1);
}
