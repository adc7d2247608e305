//! Computed results are reused; only what changed is computed again.

use crate::support::*;

const PLAIN: &str = "cp -r \"$notes\" /pfs/out/";

#[test]
fn a_reverted_input_a_new_name_and_a_new_start_run_nothing() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        apply(&env, &spec("one", "notes", PLAIN));
        env.ok(["run"]);
        assert_eq!(outcome(&env, "one"), success(3, 0), "{executor}");

        put_note(&env, "a", "other\n");
        env.ok(["run"]);
        assert_eq!(outcome(&env, "one"), success(1, 2));
        env.ok(["revert", "notes"]);
        env.ok(["run"]);
        assert_eq!(outcome(&env, "one"), success(0, 3), "{executor}: a reverted input");

        apply(&env, &spec("two", "notes", PLAIN));
        env.ok(["run"]);
        assert_eq!(outcome(&env, "two"), success(0, 3), "{executor}: the same transform under another name");

        env.ok(["--yes", "pipeline", "delete", "one"]);
        env.ok(["repo", "delete", "one", "--yes"]);
        apply(&env, &spec("one", "notes", PLAIN));
        env.ok(["run"]);
        assert_eq!(outcome(&env, "one"), success(0, 3), "{executor}: a pipeline that was made again");
    }
}

#[test]
fn changed_code_and_a_changed_variable_run_exactly_theirs() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        env.write("code/run.sh", "cp -r $1 /pfs/out/");
        let coded = spec_with("coded", &pfs("notes", "/*"), "sh /code/run.sh $notes", "\"code\": \"code\",");
        let valued = |value: &str| {
            spec_with("valued", &pfs("notes", "/*"), PLAIN, &format!("\"env\": {{\"LEVEL\": \"{value}\"}},"))
        };
        let all = |value: &str| format!("{coded}---\n{}---\n{}", valued(value), spec("plain", "notes", PLAIN));
        let counts = |env: &tests::TestEnv| {
            ["coded", "valued", "plain"].map(|name| (env.json(["job", "list", name]).len(), outcome(env, name)))
        };
        env.write("specs.yml", all("1"));
        env.ok(["pipeline", "apply", "-f", "specs.yml"]);
        env.ok(["run"]);
        assert_eq!(counts(&env), [(1, success(3, 0)), (1, success(3, 0)), (1, success(3, 0))], "{executor}");

        env.write("code/run.sh", "cat $1 > /pfs/out/$(basename $1)");
        env.ok(["pipeline", "apply", "-f", "specs.yml"]);
        env.ok(["run"]);
        assert_eq!(counts(&env), [(2, success(3, 0)), (1, success(3, 0)), (1, success(3, 0))], "{executor}: code");
        env.write("specs.yml", all("2"));
        env.ok(["pipeline", "apply", "-f", "specs.yml"]);
        env.ok(["run"]);
        assert_eq!(counts(&env), [(2, success(3, 0)), (2, success(3, 0)), (1, success(3, 0))], "{executor}: env");
    }
}
