//! Every printed id, as short as it is printed, is accepted by `show`, and by `find`, `get`, `cat`, `ls` if it has files.

use serde_json::Value;
use tests::TestEnv;

use crate::flow;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}")).to_owned()
}

/// The value of a field, anywhere in an object.
fn within(value: &Value, field: &str) -> Option<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get(field).and_then(Value::as_str).map(str::to_owned);
            own.or_else(|| fields.values().find_map(|value| within(value, field)))
        }
        Value::Array(values) => values.iter().find_map(|value| within(value, field)),
        _ => None,
    }
}

/// The result that wrote a file.
fn result_of(env: &TestEnv, file: &str) -> String {
    within(&env.json(["trace", file]).into(), "result").expect("a trace names results")
}

fn first_line(shown: &str) -> (String, String) {
    let mut words = shown.lines().next().unwrap_or_default().split_whitespace();
    (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned())
}

/// Checks `pv show` with an id, in full and as short as it is printed.
fn assert_shows(env: &TestEnv, sort: &str, id: &str) {
    for digits in [8, 12, id.len()] {
        let shown = env.ok(["show", &id[..digits]]);
        assert_eq!(first_line(&shown), (sort.to_owned(), id.to_owned()), "{}", &id[..digits]);
    }
}

fn with_code() -> TestEnv {
    let env = flow::with_images();
    env.write("code/run.sh", "for f in /pfs/images/*; do tr a-z A-Z < $f > /pfs/out/${f##*/}; done\n");
    env.write("up.yml", "pipeline: {name: up}\ninput: {pfs: {repo: images, glob: '/*'}}\ntransform: {code: code, cmd: [sh, /code/run.sh]}\n");
    env.ok(["pipeline", "apply", "-f", "up.yml"]);
    env.ok(["run"]);
    env
}

#[test]
fn every_sort_of_id_is_shown() {
    let env = with_code();
    let commit = env.json(["show", "up"]).remove(0);
    assert_shows(&env, "commit", &text(&commit["id"]));
    assert_shows(&env, "run", &text(&commit["run"]));
    for document in ["spec", "transform"] {
        assert_shows(&env, document, &text(&commit["pipeline"][document]));
    }
    assert_shows(&env, "code", &text(&commit["pipeline"]["code"]["tree"]));
    assert_shows(&env, "tree", &text(&commit["lineage"]));
    let datum = env.json(["datum", "list", "up"]).remove(0);
    assert_shows(&env, "datum", &text(&datum["id"]));
    assert_shows(&env, "result", &result_of(&env, "up:/a"));
    assert_shows(&env, "tree", &text(&commit["datums"]));
    let file = env.json(["ls", "up"]).remove(0);
    assert_shows(&env, "sha256", &text(&file["digest"]));
    assert_shows(&env, "key", &text(&commit["signatures"][0]["key"]));
    let job = format!("up@{}", &text(&commit["run"])[..8]);
    assert_eq!(first_line(&env.ok(["show", &job])).1, text(&commit["id"]));
    let in_job = format!("{job}/{}", &text(&datum["id"])[..8]);
    assert_eq!(first_line(&env.ok(["show", &in_job])), ("datum".to_owned(), text(&datum["id"])));
    assert_eq!(env.exit_code(["show", "ffffffff"]), 3);
}

#[test]
fn an_image_is_shown_by_its_digest_with_the_versions_that_have_it() {
    // Without an engine there is no image: the error still says that one was looked for.
    let env = with_code();
    let (error, code) = env.json_error(["show", "sha256:ffffffffffff"]);
    assert_eq!((code, text(&error["message"])), (3, "no id in this store starts with `ffffffffffff`".to_owned()));
}

#[test]
fn what_has_files_gives_them_by_its_id() {
    let env = with_code();
    let commit = env.json(["show", "up"]).remove(0);
    let datums = env.json(["datum", "list", "up"]);
    let datum = datums.iter().find(|datum| datum["inputs"][0]["path"] == "/a").unwrap();
    let code = text(&commit["pipeline"]["code"]["tree"]);
    let id = text(&commit["id"]);
    assert_eq!(env.ok(["cat", &format!("{}:/a", &id[..8])]), "ONE\n");
    assert_eq!(env.ok(["cat", &format!("{id}:/a")]), "ONE\n");
    assert_eq!(env.ok(["cat", &format!("{}:/a", &text(&datum["id"])[..8])]), "ONE\n");
    assert_eq!(env.ok(["cat", &format!("{}:/a", &result_of(&env, "up:/a")[..8])]), "ONE\n");
    assert!(env.ok(["cat", &format!("{}:/run.sh", &code[..8])]).starts_with("for f in"));
    let digest = text(&env.json(["show", "up:/a"])[0]["digest"]);
    assert_eq!(env.ok(["cat", &digest[..8]]), "ONE\n");
    for (id, file) in [(&id, "a"), (&text(&datum["id"]), "a"), (&code, "run.sh"), (&digest, "a")] {
        env.ok(["get", &id[..8], &format!("out-{}", &id[..8])]);
        assert!(env.work().join(format!("out-{}", &id[..8])).join(file).exists(), "{id}");
        assert!(env.ok(["ls", "-r", &id[..12]]).contains(&format!("/{file}")), "{id}");
    }
    let found = env.json(["find", &digest[..8]]);
    assert_eq!(found, env.json(["find", &digest]));
    assert_eq!(env.json(["find", &id[..8]]).len(), 2, "both files of the commit");
    assert_eq!(env.json(["find", &text(&datum["id"])[..8]]), found);
    let (error, exit_code) = env.json_error(["get", &text(&commit["run"])[..12]]);
    assert_eq!(exit_code, 2, "{error}");
}

#[test]
fn a_name_wins_over_an_id() {
    let env = with_code();
    let id = text(&env.json(["show", "up"])[0]["id"]);
    let name = &id[..8];
    env.ok(["repo", "create", name]);
    env.write("x", "mine");
    env.ok(["put", name, "x"]);
    assert_eq!(env.ok(["cat", &format!("{name}:/x")]), "mine");
    assert_ne!(text(&env.json(["show", name])[0]["id"]), id);
    assert_eq!(text(&env.json(["show", &id[..9]])[0]["id"]), id);
}

#[test]
fn a_job_without_a_commit_is_shown_as_a_job() {
    let env = flow::failed();
    let job = env.json(["job", "list", "count"]).into_iter().find(|job| job["state"] == "unrunnable").unwrap();
    let shown = env.ok(["show", &text(&job["id"])]);
    assert_eq!(first_line(&shown).0, "job", "{shown}");
}
