//! `pv config`

use tests::{TestEnv, test_env};

use crate::flow;

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
        "kubernetes.advertise",
        "kubernetes.idle",
        "kubernetes.image",
        "kubernetes.max_pods",
        "kubernetes.namespace",
        "kubernetes.pod_security",
        "log_max",
        "mail_from",
        "mail_password",
        "mail_server",
        "min_free",
        "missed_ticks",
        "network",
        "output_bytes_max",
        "output_files_max",
        "process.paths",
        "retention",
        "server_url",
    ];
    assert_eq!(keys, expected);
    assert!(settings.iter().all(|setting| setting["source"] == "default"));
    env.ok(["config", "set", "jobs", "3"]);
    assert!(env.pv(["config", "set", "jobs", "3"]).contains("this takes effect at the next pv run or pv serve"));
    for setting in &settings {
        let help = env.ok(["help", "settings"]);
        assert!(help.contains(setting["key"].as_str().unwrap()) && help.contains("takes effect"), "{setting}");
    }
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
        ("kubernetes.max_pods", "0"),
        ("kubernetes.pod_security", "privileged"),
        ("default_image", ""),
        ("fail_fast", "yes"),
        ("min_free", "2 GiB"),
        ("missed_ticks", "some"),
        ("mail_server", "smtps://user:password@example.org"),
    ];
    for (key, value) in refused {
        assert_eq!(env.exit_code(["config", "set", key, value]), 2, "{key} {value}");
    }
    insta::assert_snapshot!(env.pv(["config", "set", "jobs", "many"]), @r"
    --- stderr
    error: `many` is not a valid value for `jobs`
    hint: allowed: a number from 1; when unset, the number of CPUs
    --- exit 2
    ");
    insta::assert_snapshot!(env.pv(["config", "get", "job"]), @r"
    --- stderr
    error: unknown setting `job`; did you mean `jobs`?
    --- exit 2
    ");
}

#[test]
fn it_is_said_from_when_on_a_setting_counts_and_so_it_is() {
    let env = flow::applied();
    insta::assert_snapshot!(env.pv(["config", "set", "network", "none"]), @r"
    --- stderr
    network is now none; this takes effect for a pipeline at its next pv pipeline apply
    ");
    let network = |env: &TestEnv| env.json(["pipeline", "show", "upper"])[0]["transform"]["network"].clone();
    let before = network(&env);
    env.ok(["run"]);
    assert_eq!(network(&env), before);
    assert!(env.pv(["pipeline", "apply", "-f", "specs"]).contains("updated"), "now it counts");
    insta::assert_snapshot!(env.pv(["config", "unset", "jobs"]), @r"
    --- stderr
    jobs has its default value again; this takes effect at the next pv run or pv serve
    ");
    assert!(env.json(["config", "set", "jobs", "2"])[0]["counts"].as_str().unwrap().contains("pv run"));
}
