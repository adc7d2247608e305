//! Specs from Pachyderm users: its scalars, its editors' fields, and what it would silently accept.

use super::*;

/// A spec with one input, and with extra fields in its transform.
fn of(transform: &str, input: &str) -> String {
    format!("pipeline: {{name: d}}\ntransform: {{image: 'd:1', cmd: [x]{transform}}}\ninput: {input}\n")
}

const IMAGES: &str = "{pfs: {repo: images, glob: /*}}";

#[test]
fn scalars_are_read_as_yaml_writes_them() {
    let spec = only(
        "pipeline: {name: d}\ntransform: {image: 'd:1', cmd: [x], accept_return_code: [0x4, 010, 7.0]}\n\
         input: {pfs: {repo: images, glob: /*, lazy: True, empty_files: TRUE, s3: False}}\nautoscaling: True\n\
         datum_tries: 1_0\nparallelism_spec: {constant: 2.0}\nstandby: FALSE\n\
         resource_requests: {cpu: .5, memory: 1e3}\nresource_limits: {cpu: 1., gpu: {type: nvidia.com/gpu, number: +1}}\n",
    );
    assert!(spec.autoscaling && spec.input.leaves()[0].empty_files);
    assert_eq!((spec.datum_tries, spec.parallelism), (10, Some(2)));
    assert_eq!(spec.transform.accept_return_code.into_iter().collect::<Vec<_>>(), [4, 7, 8]);
    let amounts = [&spec.resource_requests.cpu, &spec.resource_requests.memory, &spec.resource_limits.cpu];
    let amounts = amounts.map(|amount| amount.as_ref().unwrap().to_string());
    assert_eq!(amounts, ["0.5", "1000", "1"], "kept in the form that every version reads");
    assert_eq!(spec.resource_limits.gpu.unwrap().number, 1);
    let json = only(&with("\"datumTries\": \"3.0\"\nautoscaling: \"true\""));
    assert!(json.autoscaling && json.datum_tries == 3);
    for (field, message) in [
        ("autoscaling: yes", "p.yml:4:14: `autoscaling`: expected `true` or `false`, got `yes`"),
        ("datum_tries: 2.5", "p.yml:4:14: `datum_tries`: expected a whole number of at least 1, got `2.5`"),
        ("datum_tries: -1", "p.yml:4:14: `datum_tries`: expected a whole number of at least 1, got `-1`"),
    ] {
        assert_eq!(report(&parse(&with(field))), format!("error: {message}\n"));
    }
    // Where text is expected, it stays as written.
    let env = only(&of(", env: {A: True, B: .5, C: 010}", IMAGES)).transform.env;
    assert_eq!(env.into_values().collect::<Vec<_>>(), ["True", ".5", "010"]);
}

#[test]
fn what_editors_read_is_passed_over_in_silence() {
    let set = parse(&format!("$schema: https://example.org/pipeline.json\n{}", with("")));
    assert_eq!((report(&set), set.specs.len()), (String::new(), 1));
    assert!(report(&parse(&of(", $schema: x", IMAGES))).contains("unknown field `$schema` in `transform`"));
    assert_eq!(schema()["properties"]["$schema"]["type"], "string");
}

#[test]
fn the_last_of_two_equal_keys_counts_and_is_warned_of() {
    for (text, first) in [
        (with("datum_tries: 1\ndatum_tries: 2\ndatum_tries: 3"), 4),
        (
            r#"{"pipeline": {"name": "detect"}, "transform": {"image": "d:1", "cmd": ["sh"]},
"input": {"pfs": {"repo": "images", "glob": "/*"}},
"datum_tries": 1,
"datum_tries": 2,
"datum_tries": 3}"#
                .to_owned(),
            3,
        ),
    ] {
        let set = parse(&text);
        let twice = |at: usize| {
            let before = at - 1;
            format!(
                "warning: p.yml:{at}:1: `datum_tries` is given twice: this value is used, not the one at {before}:1\n"
            )
        };
        assert_eq!(report(&set), twice(first + 1) + &twice(first + 2));
        assert_eq!(set.specs[0].spec.datum_tries, 3);
    }
}

#[test]
fn a_schedule_that_never_comes_is_refused_with_its_place() {
    let cron = |field: &str, spec: &str| report(&parse(&of("", &format!("{{cron: {{name: t, {field}: '{spec}'}}}}"))));
    assert_eq!(
        cron("spec", "0 0 31 2 *"),
        "error: p.yml:3:31: `spec`: `0 0 31 2 *` never ticks: none of its months has such a day\n  \
         hint: `L` is the last day of a month, as in `0 0 L 2 *`; to tick only by hand, write `@never`\n"
    );
    let trigger = |field: &str| {
        report(&parse(&of("", &format!("{{pfs: {{repo: images, glob: /, trigger: {{{field}: '0 0 30 2 *'}}}}}}"))))
    };
    let said = trigger("cron_spec");
    assert!(said.starts_with("error: p.yml:3:59: `cron_spec`: `0 0 30 2 *` never ticks"), "{said}");
    let said = trigger("rate_limit_spec");
    assert!(said.starts_with("error: p.yml:3:65: `rate_limit_spec`: `0 0 30 2 *` never ticks"), "{said}");
    for fine in ["@midnight", "@never", "0 0 29 2 *", "@every 1h30m"] {
        assert_eq!(cron("spec", fine), "", "{fine}");
    }
}

#[test]
fn an_input_that_no_shell_can_name_is_warned_of_once() {
    let input = "{cross: [{pfs: {repo: my-repo, glob: /}}, {pfs: {repo: a, name: 2nd, glob: /}}, {pfs: {repo: ok_1, glob: /}}]}";
    let text = of("", input) + "---\n" + &of("", "{pfs: {repo: my-repo, glob: /}}").replace("name: d", "name: e");
    insta::assert_snapshot!(report(&parse(&text)), @r"
    warning: p.yml:3:30: input `my-repo`: a shell cannot read a variable with this name, so `$my-repo` is not the path of the datum
      hint: use `/pfs/my-repo`, or write `name: my_repo` for `$my_repo` and `/pfs/my_repo`
    warning: p.yml:3:72: input `2nd`: a shell cannot read a variable with this name, so `$2nd` is not the path of the datum
      hint: use `/pfs/2nd`, or write `name: input_2nd` for `$input_2nd` and `/pfs/input_2nd`
    ");
}

#[test]
fn variables_that_would_be_shadowed_are_refused_one_by_one() {
    let transform = ", env: {images: x, images_COMMIT: x, PACH_JOB_ID: x, PACH_DATUM_images_JOIN_ON: x, FINE: x, TOKEN: x, PACH_TOKEN: x}, \
                     secrets: [{name: s, key: k, env_var: TOKEN}, {name: s, key: k, env_var: ONE}, {name: u, key: k, env_var: ONE}, {name: u, key: k, env_var: images}]";
    insta::assert_snapshot!(report(&parse(&of(transform, IMAGES))), @r"
    error: p.yml:2:43: `env` sets `images`, and input `images` sets it to the path of the datum
      hint: rename the variable, or give the input another `name`
    error: p.yml:2:54: `env` sets `images_COMMIT`, and input `images` sets it to the commit that it reads
      hint: rename the variable, or give the input another `name`
    error: p.yml:2:72: `env` sets `PACH_JOB_ID`, and pv sets it for each datum
      hint: rename the variable, or give the input another `name`
    error: p.yml:2:88: `env` sets `PACH_DATUM_images_JOIN_ON`, and input `images` sets it to the key of the datum
      hint: rename the variable, or give the input another `name`
    error: p.yml:2:163: `env_var` of secret `s` sets `TOKEN`, and so does `env` at 2:127
    error: p.yml:2:231: `env_var` of secret `u` sets `ONE`, and so does `env_var` of secret `s` at 2:198
    error: p.yml:2:264: `env_var` of secret `u` sets `images`, and input `images` sets it to the path of the datum
      hint: rename the variable, or give the input another `name`
    ");
}

#[test]
fn a_join_or_group_without_a_key_is_refused_wherever_it_lies() {
    let said = |input: &str| -> Vec<String> {
        parse(&of("", input)).diagnostics.iter().map(|one| format!("{}: {}", one.place, one.message)).collect()
    };
    assert_eq!(
        said(
            "{join: [{pfs: {repo: a, glob: '/(*)', join_on: $1}}, {union: [{pfs: {repo: b, glob: '/(*)', join_on: $1}}, {pfs: {repo: c, glob: /}}]}]}"
        ),
        ["3:61: input `c` has no `join_on`, which a `join` needs"]
    );
    assert_eq!(
        said("{group: [{pfs: {repo: a, glob: '/(*)', group_by: $1}}, {cron: {name: t, spec: '@daily'}}]}"),
        ["3:63: input `t` has no `group_by`, which a `group` needs"]
    );
    let crossed = "{join: [{pfs: {repo: a, glob: '/(*)', join_on: $1}}, {cross: [{pfs: {repo: b, glob: '/(*)', join_on: $1}}, {pfs: {repo: c, glob: /}}]}]}";
    assert!(said(crossed).is_empty(), "a combination has the keys of its parts");
}

#[test]
fn a_loop_over_a_trigger_is_refused() {
    let text = "pipeline: {name: a}\ntransform: {cmd: [x]}\ninput: {pfs: {repo: b, glob: /, trigger: {commits: 1}}}\n---\n\
                pipeline: {name: b}\ntransform: {cmd: [x]}\ninput: {pfs: {repo: a, glob: /}}\n";
    insta::assert_snapshot!(report(&parse(text)), @r"
    error: p.yml:3:21: pipelines start each other forever through a trigger: `a` → `b` → `a`
      hint: add `propagation_spec: {never: true}` next to the trigger, or read another repository
    ");
    assert_eq!(report(&parse(&text.replace("commits: 1}", "commits: 1}, propagation_spec: {never: true}"))), "");
}

#[test]
fn secrets_may_lie_below_tmp_and_with_a_slash_at_the_end() {
    let at = |path: &str| parse(&of(&format!(", secrets: [{{name: s, mount_path: '{path}'}}]"), IMAGES));
    for path in ["/tmp/mail", "/tmp/a/b", "/secrets/mail", "/etc/mail/"] {
        let set = at(path);
        assert_eq!(report(&set), "", "{path}");
        assert_eq!(set.specs[0].spec.transform.secrets[0].mount_path.as_deref(), Some(path.trim_end_matches('/')));
    }
    for path in ["/tmp", "/tmp/", "/tmp/../pfs", "/pfs/x", "/dev/x", "/code/x", "tmp/x", "/"] {
        assert!(at(path).has_errors(), "{path}");
    }
}
