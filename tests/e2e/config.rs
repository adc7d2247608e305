//! `pv config`

use tests::test_env;

#[test]
fn every_setting_has_a_source() {
    let env = test_env!();
    let settings = env.json(["config", "list"]);
    let keys: Vec<&str> = settings.iter().map(|setting| setting["key"].as_str().unwrap()).collect();
    let expected = [
        "default_branch",
        "default_image",
        "executor",
        "fail_fast",
        "gc_grace",
        "jobs",
        "log_max",
        "min_free",
        "missed_ticks",
        "network",
        "output_bytes_max",
        "output_files_max",
        "process.paths",
        "retention",
    ];
    assert_eq!(keys, expected);
    assert!(settings.iter().all(|setting| setting["source"] == "default"));
    env.ok(["config", "set", "jobs", "3"]);
    let jobs = env.json(["config", "get", "jobs"]).remove(0);
    assert_eq!([&jobs["value"], &jobs["source"]], ["3", "store"]);
    env.ok(["config", "unset", "jobs"]);
    assert_eq!(env.json(["config", "get", "jobs"])[0]["source"], "default");
}

#[test]
fn values_that_mean_nothing_are_refused() {
    let env = test_env!();
    let refused = [
        ("executor", "podman"),
        ("network", "host"),
        ("default_branch", "-x"),
        ("jobs", "0"),
        ("jobs", "+1"),
        ("gc_grace", "soon"),
        ("process.paths", "relative"),
        ("default_image", ""),
        ("fail_fast", "yes"),
        ("min_free", "2 GiB"),
        ("missed_ticks", "some"),
    ];
    for (key, value) in refused {
        assert_eq!(env.exit_code(["config", "set", key, value]), 2, "{key} {value}");
    }
    insta::assert_snapshot!(env.pv(["config", "set", "jobs", "many"]), @r"
    --- stderr
    error: `many` is no value for `jobs`
    hint: it is a number from 1; when unset, one a CPU
    --- exit 2
    ");
    insta::assert_snapshot!(env.pv(["config", "get", "job"]), @r"
    --- stderr
    error: `job` is no setting; did you mean `jobs`?
    --- exit 2
    ");
}
