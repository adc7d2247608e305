//! `pv init --objects`, `pv mirror` and `pv init --from`: stores that survive the loss of their folder.

use std::ffi::OsStr;

use serde_json::Value;
use tests::TestEnv;
use tests::s3::S3Server;

use crate::support::{apply, assert_sound, copy_of, outcome, put_note, spec, success};

/// A folder without a store whose calls can reach a server.
struct Reaching {
    env: TestEnv,
    variables: Vec<(String, String)>,
}

impl Reaching {
    fn new(variables: &[(String, String)]) -> Self {
        Self { env: TestEnv::without_store(env!("CARGO_BIN_EXE_pv")), variables: variables.to_vec() }
    }

    #[track_caller]
    fn ok<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let output = self.env.command(args).envs(self.variables.clone()).output().unwrap();
        assert!(output.status.success(), "{}", self.env.shown(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Vec<Value> {
        self.ok([&["--json"], args].concat()).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn put(&self, name: &str, text: &str) -> Value {
        self.env.write(name, text);
        self.json(&["put", "notes", name, "-m", name]).remove(0)
    }

    /// All output about names, commits, runs, jobs and pipelines.
    fn told(&self) -> Vec<Vec<Value>> {
        let commands: [&[&str]; 7] = [
            &["repo", "list"],
            &["branch", "list", "copied"],
            &["log"],
            &["log", "notes"],
            &["log", "copied"],
            &["job", "list"],
            &["pipeline", "list"],
        ];
        commands.map(|command| self.json(command)).to_vec()
    }
}

fn lives_through_the_loss_of_its_folder(url: &str, variables: &[(String, String)]) {
    let one = Reaching::new(variables);
    one.ok(["init", "..", "--objects", url]);
    one.ok(["config", "set", "executor", "process"]);
    one.ok(["repo", "create", "notes"]);
    one.put("a", "1\n");
    one.env.write("spec.json", spec("copied", "notes", &copy_of("notes")));
    one.ok(["pipeline", "apply", "-f", "spec.json"]);
    one.ok(["run"]);
    one.put("b", "2\n");
    one.ok(["run"]);
    let (told, cat) = (one.told(), one.ok(["cat", "copied:/b"]));
    assert_eq!((told[5].len(), cat.as_str()), (2, "2\n"));
    assert_eq!(one.json(&["fsck"])[0]["sound"], true);
    // The machine is lost; another one joins.
    let lost = one.env.dir().join(".pv");
    assert_eq!(std::fs::read_to_string(lost.join("objects")).unwrap().trim(), url);
    std::fs::remove_dir_all(lost).unwrap();
    let two = Reaching::new(variables);
    let joined = two.json(&["init", "..", "--objects", url]).remove(0);
    assert_eq!(joined["objects"], url);
    assert_eq!((two.told(), two.ok(["cat", "copied:/b"])), (told, cat));
    assert_eq!(two.json(&["fsck"])[0]["sound"], true);
    // Computed results are not computed again, and both continue.
    two.put("c", "3\n");
    two.ok(["run"]);
    let job = two.json(&["job", "list", "copied", "-n", "1"]).remove(0);
    assert_eq!((&job["datums_processed"], &job["datums_cached"]), (&1.into(), &2.into()));
    one.ok(["init", "..", "--objects", url]);
    let put = one.put("d", "4\n");
    assert_eq!(two.ok(["cat", "notes:/d"]), "4\n");
    assert_eq!(two.json(&["show", "notes"])[0]["id"], put["commit"]);
    assert_eq!(one.told(), two.told());
}

#[test]
fn a_store_in_s3_lives_through_the_loss_of_its_folder() {
    let Some(server) = S3Server::start() else { return };
    lives_through_the_loss_of_its_folder(&S3Server::url("stores/one"), &server.variables());
    let without = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    let mut init = without.command(["init", "..", "--objects", &S3Server::url("stores/one")]);
    let output = init.envs(server.variables()).env("AWS_SECRET_ACCESS_KEY", "").output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", without.shown(&output));
}

#[test]
fn a_store_in_a_folder_elsewhere_lives_through_the_loss_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    lives_through_the_loss_of_its_folder(&format!("file://{}/place", folder.display()), &[]);
}

#[test]
fn a_server_that_does_not_answer_is_named() {
    let env = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    let variables = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "hidden"),
        ("AWS_MAX_ATTEMPTS", "1"),
    ];
    let output = env.command(["init", "store", "--objects", "s3://bucket/x"]).envs(variables).output().unwrap();
    let shown = env.shown(&output);
    assert_eq!(output.status.code(), Some(6), "{shown}");
    assert!(shown.starts_with("--- stderr\nerror: cannot read `s3://bucket/x/format`\n"), "{shown}");
    assert!(shown.contains("AWS_ENDPOINT_URL") && !shown.contains("hidden"), "{shown}");
}

#[test]
fn a_mirror_is_made_again_into_a_store() {
    let env = crate::support::env_with_notes();
    apply(&env, &spec("copied", "notes", &copy_of("notes")));
    env.ok(["run"]);
    let first = env.pv(["mirror", "--to", "backup"]);
    assert!(first.starts_with("--- stdout\nfile://[dir]/work/backup: 7 records, 4 packs ("), "{first}");
    put_note(&env, "d", "4\n");
    let done = env.json(["mirror", "--to", "backup"]).remove(0);
    assert_eq!(done["new_records"], 1);
    assert!(done["new_packs"].as_u64().unwrap() <= 2, "{done}");
    let packs = std::fs::read_dir(env.dir().join(".pv/packs")).unwrap().map(|entry| entry.unwrap().path());
    let data = packs.filter(|path| path.to_string_lossy().ends_with(".data.pack")).max().unwrap();
    let mut bytes = std::fs::read(&data).unwrap();
    bytes[60] ^= 1; // the first byte of the first object
    std::fs::remove_file(&data).unwrap();
    std::fs::write(&data, bytes).unwrap();
    assert_eq!(env.exit_code(["fsck"]), 5);
    let url = format!("file://{}", env.work().join("backup").display());
    env.ok(["fsck", "--repair", "--from", &url]);
    assert_sound(&env);
    let (log, jobs) = (env.json(["log"]), env.json(["job", "list"]));
    std::fs::remove_dir_all(env.dir().join(".pv")).unwrap();
    insta::assert_snapshot!(env.pv(["init", "..", "--from", "nothing"]), @r"
    --- stderr
    error: no store at `file://[dir]/work/nothing`
    hint: pv mirror --to URL creates one there
    --- exit 3
    ");
    insta::assert_snapshot!(env.pv(["init", "..", "--from", "backup"]), @r"
    --- stdout
    [dir]
    --- stderr
    the store is complete; next: pv status
    ");
    assert_eq!((env.json(["log"]), env.json(["job", "list"])), (log, jobs));
    assert_sound(&env);
    env.ok(["run"]);
    assert_eq!(outcome(&env, "copied"), success(1, 3));
    env.ok(["init", "other"]);
    let (error, code) = env.json_error(["mirror", "--to", "backup", "--store", "other"]);
    assert_eq!((error["kind"].as_str(), code), (Some("conflict"), 4));
}
