//! Specs as users write them, and the messages for wrong ones.

use std::fmt::Write as _;

use super::*;

mod limits;
mod memory;
mod pachyderm;
mod placement;
mod properties;
mod schema;

fn parse(text: &str) -> SpecSet {
    parse_files(&[("p.yml", text)])
}

fn parse_files(files: &[(&str, &str)]) -> SpecSet {
    let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    parse_specs(&files)
}

/// All messages for the files, as `cli` would print them.
fn report(set: &SpecSet) -> String {
    let mut report = String::new();
    for diagnostic in &set.diagnostics {
        let severity = if diagnostic.is_error() { "error" } else { "warning" };
        writeln!(report, "{severity}: {diagnostic}").unwrap();
        if let Some(hint) = &diagnostic.hint {
            writeln!(report, "  hint: {hint}").unwrap();
        }
    }
    report
}

/// The only spec of a text without problems.
fn only(text: &str) -> PipelineSpec {
    let set = parse(text);
    assert!(!set.has_errors(), "{}", report(&set));
    assert_eq!(set.specs.len(), 1);
    set.specs[0].spec.clone()
}

fn canonical(spec: &PipelineSpec) -> String {
    serde_json::to_string(spec).unwrap()
}

/// A spec with `more` lines at the top level.
fn with(more: &str) -> String {
    format!(
        "pipeline: {{name: detect}}\ntransform: {{image: 'd:1', cmd: [sh]}}\ninput: {{pfs: {{repo: images, glob: /*}}}}\n{more}\n"
    )
}

const EDGES_JSON: &str = r#"{
	"pipeline": {
		"name": "edges"
	},
	"description": "A pipeline that performs image edge detection by using the OpenCV library.",
	"transform": {
		"cmd": [ "python3", "/edges.py" ],
		"image": "pachyderm/opencv:1.0"
	},
	"input": {
		"pfs": {
			"repo": "images",
			"glob": "/*"
		}
	}
}
"#;

const MONTAGE: &str = r"
pipeline:
  name: montage
input:
  cross:
  - pfs:
      glob: /
      repo: images
  - pfs:
      glob: /
      repo: edges
transform:
  cmd: [sh]
  image: v4tech/imagemagick:2
  stdin:
  - montage -shadow $(find -L /pfs/images /pfs/edges -type f | sort) /pfs/out/montage.png
";

const CAMERAS_1X: &str = r#"
{"pipeline": {"name": "validate"},
 "transform": {"image": "acme/validate:3", "cmd": ["/bin/ash"],
   "stdin": ["python validate.py $images /pfs/out/valid /pfs/out/invalid"]},
 "parallelism_spec": {"constant": "1"},
 "input": {"atom": {"repo": "images", "glob": "/*"}}}
{"pipeline": {"name": "object-detect"},
 "transform": {"image": "acme/detect:3", "cmd": ["python", "detect.py"]},
 "parallelism_spec": {"strategy": "CONSTANT", "constant": "1"},
 "input": {"cross": [
   {"atom": {"repo": "validate", "glob": "/valid/*"}},
   {"atom": {"repo": "model", "glob": "/"}}]}}
{"pipeline": {"name": "threat-detect"},
 "transform": {"image": "acme/threat:3", "cmd": ["python", "threat.py"], "env": {"LEVEL": 3, "DRY": true}},
 "input": {"cross": [
   {"atom": {"name": "object", "repo": "object-detect", "glob": "/*/*"}},
   {"atom": {"repo": "rules", "glob": "/"}}]}}
"#;

#[test]
fn the_opencv_tutorial_is_read_as_it_is() {
    let set = parse_files(&[("edges.json", EDGES_JSON), ("montage.yml", MONTAGE)]);
    assert_eq!(report(&set), "");
    let [edges, montage] = &set.specs[..] else { panic!("two specs") };
    assert_eq!(edges.spec.transform.cmd, ["python3", "/edges.py"]);
    assert_eq!(edges.places.image, Some(Place { line: 8, column: 12 }));
    assert_eq!(edges.places.leaves[0].glob, Place { line: 13, column: 12 });
    insta::assert_snapshot!(canonical(&montage.spec), @r#"{"pipeline":{"name":"montage"},"transform":{"image":"v4tech/imagemagick:2","cmd":["sh"],"stdin":["montage -shadow $(find -L /pfs/images /pfs/edges -type f | sort) /pfs/out/montage.png"]},"input":{"cross":[{"pfs":{"repo":"images","glob":"/"}},{"pfs":{"repo":"edges","glob":"/"}}]}}"#);
    assert_eq!(
        montage.spec.input.leaves().iter().map(|leaf| leaf.name.as_str()).collect::<Vec<_>>(),
        ["images", "edges"]
    );
    assert_eq!(montage.places.leaves[1].repo, Place { line: 11, column: 13 });
}

#[test]
fn the_camera_pipelines_of_pachyderm_1_are_read_as_they_are() {
    let set = parse(CAMERAS_1X);
    assert_eq!(report(&set), "");
    let [validate, detect, threat] = &set.specs[..] else { panic!("three specs") };
    assert_eq!(validate.spec.parallelism, Some(1));
    assert_eq!(detect.places.name, Place { line: 7, column: 23 });
    assert_eq!(threat.spec.transform.env["LEVEL"], "3");
    assert_eq!(threat.spec.transform.env["DRY"], "true");
    insta::assert_snapshot!(canonical(&threat.spec), @r#"{"pipeline":{"name":"threat-detect"},"transform":{"image":"acme/threat:3","cmd":["python","threat.py"],"env":{"DRY":"true","LEVEL":"3"}},"input":{"cross":[{"pfs":{"name":"object","repo":"object-detect","glob":"/*/*"}},{"pfs":{"repo":"rules","glob":"/"}}]}}"#);
}

#[test]
fn what_pachctl_inspect_prints_is_read() {
    let set = parse_files(&[(
        "raw.json",
        r#"{"pipeline": {"project": {"name": "default"}, "name": "edges"}, "version": "3",
            "specCommit": {"repo": {"name": "edges"}, "id": "0a"}, "state": "PIPELINE_RUNNING", "stopped": false, "authToken": "",
            "details": {
              "transform": {"image": "a:1", "cmd": ["x"], "workingDir": "/w", "acceptReturnCode": ["4", 0]},
              "parallelismSpec": {"constant": "2"}, "createdAt": "2024-01-01T00:00:00Z", "reprocessSpec": "until_success",
              "input": {"pfs": {"project": "default", "name": "images", "repo": "images", "repoType": "user", "branch": "master", "glob": "/*"}},
              "salt": "c2c7", "datumTries": "3", "outputBranch": "master", "resourceRequests": {"cpu": 1, "memory": "256Mi"},
              "workersRequested": "1"}}"#,
    )]);
    insta::assert_snapshot!(report(&set), @r#"
    warning: raw.json:1:15: ignored: `project`; results do not depend on it
    warning: raw.json:1:65: ignored: `version`, `state`, `stopped`, `authToken`, `createdAt`, `workersRequested`: the status of an exported pipeline
    warning: raw.json:2:13: ignored: `specCommit`; results do not depend on it
    "#);
    insta::assert_snapshot!(canonical(&set.specs[0].spec), @r#"{"pipeline":{"name":"edges"},"transform":{"image":"a:1","cmd":["x"],"working_dir":"/w","accept_return_code":[4]},"input":{"pfs":{"repo":"images","branch":"master","glob":"/*"}},"parallelism_spec":{"constant":2},"salt":"c2c7","resource_requests":{"cpu":"1","memory":"256Mi"},"output_branch":"master"}"#);
}

#[test]
fn every_problem_of_a_file_is_reported_at_once() {
    let set = parse(
        r#"pipeline:
  name: detect_
  nmae: detect
descripton: finds objects
transform:
  image: detect
  cmd: python3 /detect.py
  env: {B: 2}
  env: {A: }
  workingDir: tmp
  network: host
  accept_return_code: [300]
input:
  cross:
  - pfs: {repo: images, glob: "/[a", lazy: true}
  - pfs: {repo: model}
  - pfs: {repo: model, glob: /, name: out}
  - join: [{pfs: {repo: a, glob: /}}]
paralelism_spec: {constant: 0}
parallelism_spec: {constant: 0}
datum_tries: many
standby: true
egress: {URL: "s3://x"}
cmd: [x]
"#,
    );
    insta::assert_snapshot!(report(&set), @r#"
    error: p.yml:2:9: `name`: `detect_` is not a legal pipeline name: its first and last character must be a letter or digit
    error: p.yml:3:3: unknown field `nmae` in `pipeline`
      hint: did you mean `name`?
    error: p.yml:4:1: unknown field `descripton` in pipeline `detect_`
      hint: did you mean `description`?
    warning: p.yml:6:10: image `detect` has no tag: `latest` is used, which may change before the next apply
      hint: use a version, as in `NAME:1.2`
    error: p.yml:7:8: `cmd`: expected a list, got `python3 /detect.py`
    warning: p.yml:9:3: `env` is given twice: this value is used, not the one at 8:3
    error: p.yml:9:10: `env`: `A` has no value
      hint: for an empty one write `A: ""`
    error: p.yml:10:15: `working_dir`: expected an absolute path, got `tmp`
    error: p.yml:11:12: `network`: expected `none` or `default`, got `host`
    error: p.yml:12:24: `accept_return_code`: expected exit codes from 0 to 255, got `300`
    error: p.yml:15:31: `glob`: `/[a` is not a glob: `[` is not closed; write `\[` for the character, at byte 1
    error: p.yml:16:10: input `model` has no `glob`
      hint: `/*` makes each top-level file or directory a datum, `/` the whole repository
    error: p.yml:17:39: `out` cannot name an input: this name is reserved
      hint: give the input another `name`
    error: p.yml:18:12: input `a` has no `join_on`, which a `join` needs
      hint: use a capture of its glob, as in `join_on: $1` with the glob `/(*).txt`
    error: p.yml:19:1: unknown field `paralelism_spec` in pipeline `detect_`
      hint: did you mean `parallelism_spec`?
    error: p.yml:20:30: `constant`: expected a whole number of at least 1, got `0`
    error: p.yml:21:14: `datum_tries`: expected a whole number of at least 1, got `many`
    warning: p.yml:22:1: ignored: `standby`; results do not depend on it
    error: p.yml:23:1: `egress` is not supported by pv: pv does not copy outputs out of its store
    error: p.yml:24:1: unknown field `cmd` in pipeline `detect_`
      hint: it belongs in `transform`
    "#);
    assert!(set.specs.is_empty() && set.has_errors());
}

#[test]
fn suggestions_follow_the_style_of_the_file() {
    let set = parse(&with("datumTries: 2\nouputBranch: x\ndatum_tries: 3"));
    insta::assert_snapshot!(report(&set), @r##"
    error: p.yml:5:1: unknown field `ouputBranch` in pipeline `detect`
      hint: did you mean `outputBranch`?
    error: p.yml:6:1: `datum_tries` is given twice; first as `datumTries` at 4:1
    "##);
}

#[test]
fn each_class_of_fields_is_said_as_what_it_is() {
    let set = parse_files(&[
        (
            "a.yml",
            &with(
                "salt: abc\njob_timeout: 1h\nspout: {}\nautoscaling: false\nreprocess_spec: until_success\nservice: null",
            ),
        ),
        (
            "b.yml",
            &with("reprocess_spec: every_job\nstandby: true\ncache_size: 1G\nversion: 3\nstate: x")
                .replace("detect", "b"),
        ),
        ("c.yml", &with("standby: true\npod_patch: ''\nupdate: true").replace("detect", "c")),
        (
            "d.yml",
            "pipeline: {name: d, project: {name: default}}\ntransform: {cmd: [x], secrets: []}\ninput: {pfs: {repo: a, project: vision, glob: /, s3: false, lazy: false, trigger: {all: false}, commit: abc, repo_type: meta}}",
        ),
    ]);
    insta::assert_snapshot!(report(&set), @r#"
    error: a.yml:6:1: `spout` is not supported by pv: an endless pipeline has no datums
    warning: b.yml:5:1: ignored: `standby`; results do not depend on it
    warning: b.yml:6:1: ignored: `cache_size`; results do not depend on it
    warning: b.yml:7:1: ignored: `version`, `state`: the status of an exported pipeline
    warning: c.yml:6:1: ignored: `update`; results do not depend on it
    warning: d.yml:1:21: ignored: `project`; results do not depend on it
    error: d.yml:3:24: pv supports `project` only as `default`: a store is one project
    error: d.yml:3:97: `commit` is not supported by pv: use a branch whose head is that commit
    error: d.yml:3:110: `repo_type` is not supported by pv: only files of a repository can be read
    "#);
}

#[test]
fn every_kind_of_input_and_every_field_that_acts_is_read() {
    let spec = only(
        r#"pipeline: {name: sales}
transform:
  image: 'd:1'
  cmd: [sh]
  errCmd: ["true"]
  errStdin: [x]
  secrets: [{name: mail, key: token, envVar: TOKEN}, {name: mail, mountPath: /secrets/mail}]
datumTimeout: 90s
jobTimeout: "1h"
reprocessSpec: every_job
salt: 7
resourceRequests: {cpu: 0.5, memory: 64M}
resourceLimits: {memory: 1Gi, gpu: {type: nvidia.com/gpu, number: 1}}
autoscaling: true
input:
  cross:
  - join:
    - pfs: {repo: stores, glob: "/STOREID(*).txt", joinOn: $1, outerJoin: true}
    - union:
      - pfs: {repo: purchases, name: p, glob: "/*_STOREID(*).txt", joinOn: "$1"}
      - pfs: {repo: returns, name: p, glob: "/*_STOREID(*).txt", joinOn: $1}
  - group: [{pfs: {repo: lab, glob: "/(*)-*", groupBy: $1, emptyFiles: true, lazy: true}}]
  - cron: {name: tick, spec: "@every 1m", start: "2026-01-01T00:00:00Z", overwrite: true}
  - pfs: {repo: model, glob: /, propagationSpec: {never: true}, trigger: {branch: staging, commits: 3, size: 1G, all: true}}
"#,
    );
    insta::assert_snapshot!(canonical(&spec), @r#"{"pipeline":{"name":"sales"},"transform":{"image":"d:1","cmd":["sh"],"err_cmd":["true"],"err_stdin":["x"],"secrets":[{"name":"mail","key":"token","env_var":"TOKEN"},{"name":"mail","mount_path":"/secrets/mail"}]},"input":{"cross":[{"join":[{"pfs":{"repo":"stores","glob":"/STOREID(*).txt","join_on":"$1","outer_join":true}},{"union":[{"pfs":{"name":"p","repo":"purchases","glob":"/*_STOREID(*).txt","join_on":"$1"}},{"pfs":{"name":"p","repo":"returns","glob":"/*_STOREID(*).txt","join_on":"$1"}}]}]},{"group":[{"pfs":{"repo":"lab","glob":"/(*)-*","group_by":"$1","empty_files":true}}]},{"cron":{"name":"tick","repo":"sales_tick","spec":"@every 1m","start":"2026-01-01T00:00:00Z","overwrite":true}},{"pfs":{"repo":"model","glob":"/","propagation_spec":{"never":true},"trigger":{"branch":"staging","all":true,"size":"1G","commits":3}}}]},"datum_timeout":"1m30s","job_timeout":"1h","reprocess_spec":"every_job","salt":"7","resource_requests":{"cpu":"0.5","memory":"64M"},"resource_limits":{"memory":"1Gi","gpu":{"type":"nvidia.com/gpu","number":1}},"autoscaling":true}"#);
    let names: Vec<_> = spec.input.leaves().iter().map(|leaf| format!("{}:{}", leaf.name, leaf.repo)).collect();
    assert_eq!(names.join(" "), "stores:stores p:purchases p:returns lab:lab tick:sales_tick model:model");
    assert_eq!(spec.input.crons().len(), 1);
}

#[test]
fn what_cannot_be_meant_by_an_input_is_said() {
    let input = |text: &str| {
        report(&parse(&format!("pipeline: {{name: d}}\ntransform: {{image: 'd:1', cmd: [x]}}\ninput: {text}")))
    };
    let said: Vec<String> = [
        "{join: [{pfs: {repo: a, glob: '/(*)', join_on: $1}}, {pfs: {repo: b, glob: '/*'}}]}",
        "{group: [{pfs: {repo: a, glob: '/(*)', group_by: $2}}]}",
        "{pfs: {repo: a, glob: '/(*)', join_on: $1}}",
        "{cron: {spec: sometimes}}",
        "{cron: {name: t, spec: '@daily', start: today}}",
        "{pfs: {repo: a, glob: /, trigger: {all: true}}}",
        "{pfs: {repo: a, glob: /, trigger: {cron_spec: '@daily', commits: 2}}}",
        "{group: [{union: [{pfs: {repo: a, glob: '/(*)', group_by: $1}}, {pfs: {repo: b, name: a, glob: '/(*)', group_by: $1}}]}]}",
    ]
    .iter()
    .map(|text| input(text))
    .collect();
    insta::assert_snapshot!(said.join(""), @r#"
    error: p.yml:3:61: input `b` has no `join_on`, which a `join` needs
      hint: use a capture of its glob, as in `join_on: $1` with the glob `/(*).txt`
    error: p.yml:3:57: `group_by`: `$2` uses capture 2, but the glob `/(*)` has 1
      hint: put the part to capture in parentheses, as in `/(*).txt`
    warning: p.yml:3:47: `join_on` has no effect: the input is not in a `join`
    error: p.yml:3:15: the cron input has no `name`
    error: p.yml:3:22: `spec`: `sometimes` is not a schedule: Invalid pattern: Pattern must have 5 fields when seconds are disallowed.; write five fields, `@daily`, `@every 10s` or `@never`
    error: p.yml:3:48: `start`: failed to parse four digit integer as year: invalid digit, expected 0-9 but got t
    error: p.yml:3:42: the trigger has no condition
      hint: write a number of `commits`, a `size` or a schedule
    error: p.yml:3:42: the trigger has other conditions besides `cron_spec`
    error: p.yml:3:94: two inputs are named `a`; the first is at 3:39
      hint: give one of them another `name`
    "#);
    let secret = |text: &str| {
        report(&parse(&format!(
            "pipeline: {{name: d}}\ntransform: {{image: 'd:1', cmd: [x], err_stdin: [y], secrets: [{text}]}}\ninput: {{pfs: {{repo: a, glob: /}}}}\ndatum_timeout: 0s\nresource_limits: {{cpu: lots}}"
        )))
    };
    let said: Vec<String> = ["{name: a}", "{name: a, env_var: X}", "{name: a, mount_path: /pfs/x}", "{key: a}"]
        .iter()
        .map(|text| secret(text))
        .collect();
    insta::assert_snapshot!(said.join(""), @r#"
    error: p.yml:2:48: `err_stdin` has no effect without `err_cmd`
    error: p.yml:2:63: secret `a` is not used: it has neither `env_var` nor `mount_path`
    error: p.yml:4:16: `datum_timeout`: expected a duration of more than zero, as in `30s`, got `0s`
    error: p.yml:5:24: `cpu`: `lots` is not an amount: write a number, alone or with one of `m k M G T P Ki Mi Gi Ti Pi`
    error: p.yml:2:48: `err_stdin` has no effect without `err_cmd`
    error: p.yml:2:63: secret `a` has `env_var`, but no `key`
    error: p.yml:4:16: `datum_timeout`: expected a duration of more than zero, as in `30s`, got `0s`
    error: p.yml:5:24: `cpu`: `lots` is not an amount: write a number, alone or with one of `m k M G T P Ki Mi Gi Ti Pi`
    error: p.yml:2:48: `err_stdin` has no effect without `err_cmd`
    error: p.yml:2:85: `mount_path`: `/pfs/x` cannot hold a secret
      hint: use an absolute directory that is not reserved, such as `/secrets/mail` or `/tmp/mail`
    error: p.yml:4:16: `datum_timeout`: expected a duration of more than zero, as in `30s`, got `0s`
    error: p.yml:5:24: `cpu`: `lots` is not an amount: write a number, alone or with one of `m k M G T P Ki Mi Gi Ti Pi`
    error: p.yml:2:48: `err_stdin` has no effect without `err_cmd`
    error: p.yml:2:63: the secret has no `name`
    error: p.yml:4:16: `datum_timeout`: expected a duration of more than zero, as in `30s`, got `0s`
    error: p.yml:5:24: `cpu`: `lots` is not an amount: write a number, alone or with one of `m k M G T P Ki Mi Gi Ti Pi`
    "#);
}

#[test]
fn inputs_are_checked_in_themselves() {
    let input = |name: &str, text: &str| {
        let spec = format!("pipeline: {{name: {name}}}\ntransform: {{cmd: [x]}}\ninput: {text}");
        (format!("{name}.yml"), spec)
    };
    let files = [
        input("both", "{pfs: {repo: a, glob: /}, cross: [{pfs: {repo: b, glob: /}}]}"),
        input("none", "{cross: []}"),
        input("nothing", "{}"),
        input("armless", "{cross: [{cross: []}]}"),
        input("twice", "{cross: [{pfs: {repo: a, glob: /}}, {cross: [{pfs: {repo: b, name: a, glob: /}}]}]}"),
        input(
            "reserved",
            "{cross: [{pfs: {repo: PATH, glob: /}}, {pfs: {repo: LD_x, glob: /}}, {pfs: {repo: a, name: a/b, glob: /}}]}",
        ),
        input("empty", "{pfs: {repo: '', glob: ''}}"),
        input("text", "images"),
        input("branch", "{pfs: {repo: a, branch: 'x y', glob: ./a, reference: maybe}}"),
    ];
    insta::assert_snapshot!(report(&parse_specs(&files)), @r##"
    error: both.yml:3:34: the input has both `pfs` and `cross`
      hint: an input has one kind; to combine inputs, list them under `cross`
    error: none.yml:3:8: the input reads nothing
      hint: write `pfs` with `repo` and `glob`, or `cross` with a list of inputs
    error: nothing.yml:1:1: pipeline `nothing` has no input
      hint: write `input: {pfs: {repo: REPO, glob: GLOB}}`
    error: armless.yml:3:17: the input reads nothing
      hint: write `pfs` with `repo` and `glob`, or `cross` with a list of inputs
    error: twice.yml:3:75: two inputs are named `a`; the first is at 3:30
      hint: give one of them another `name`
    error: reserved.yml:3:30: `PATH` cannot name an input: this name is reserved
      hint: give the input another `name`
    error: reserved.yml:3:60: `LD_x` cannot name an input: names that begin with `LD_`, `PV_` or `PACH_` are reserved
      hint: give the input another `name`
    error: reserved.yml:3:99: `a/b` cannot name an input: only letters, digits, `-` and `_` are allowed, and `-` not at the start
      hint: give the input another `name`
    error: empty.yml:3:14: the input has no `repo`
    error: empty.yml:3:14: the input has no `glob`
      hint: `/*` makes each top-level file or directory a datum, `/` the whole repository
    error: text.yml:3:8: `input` of pipeline `text` must be a mapping of fields, got `images`
    error: branch.yml:3:32: `branch`: `x y` is not a legal branch name: only letters, digits, `-`, `_`, `.` and `/` are allowed
    error: branch.yml:3:45: `glob`: `./a` is not a glob: it has a `.` or `..` part, which no path can have, at byte 0
    error: branch.yml:3:61: `reference`: expected `true` or `false`, got `maybe`
    "##);
}

#[test]
fn missing_parts_are_named() {
    let set = parse("transform: {stdin: [ls]}\n---\npipeline: edges\n---\njust text\n---\npipeline: {name: ''}\n");
    insta::assert_snapshot!(report(&set), @r##"
    error: p.yml:1:1: the pipeline has no name
      hint: write `pipeline: {name: NAME}`
    error: p.yml:1:1: the pipeline has no input
      hint: write `input: {pfs: {repo: REPO, glob: GLOB}}`
    warning: p.yml:1:12: `transform` has `stdin`, but no `cmd`: the image's entrypoint must provide it, which pv checks at apply
    error: p.yml:3:1: the pipeline has no `transform`
    error: p.yml:3:1: the pipeline has no input
      hint: write `input: {pfs: {repo: REPO, glob: GLOB}}`
    error: p.yml:3:11: `pipeline` must be a mapping of fields, got `edges`
    error: p.yml:5:1: a pipeline spec must be a mapping of fields, got `just text`
    error: p.yml:7:1: the pipeline has no `transform`
    error: p.yml:7:1: the pipeline has no input
      hint: write `input: {pfs: {repo: REPO, glob: GLOB}}`
    error: p.yml:7:11: the pipeline has no name
      hint: write `pipeline: {name: NAME}`
    "##);
    for empty in ["", "# nothing\n", "---\n---\n", "[]"] {
        assert_eq!(report(&parse(empty)), "warning: p.yml:1:1: this file contains no pipeline spec\n");
    }
}

#[test]
fn broken_text_hides_no_other_document() {
    let set = parse(&format!("a: [1\n---\n{}---\nb: 1\n  c: 2\n---\n- {{}}\n", with("datum_trys: 1")));
    insta::assert_snapshot!(report(&set), @r##"
    error: p.yml:2:1: not valid YAML or JSON: while parsing a flow sequence, expected ',' or ']'
    error: p.yml:6:1: unknown field `datum_trys` in pipeline `detect`
      hint: did you mean `datum_tries`?
    error: p.yml:9:4: not valid YAML or JSON: mapping values are not allowed in this context
    error: p.yml:11:3: the pipeline has no name
      hint: write `pipeline: {name: NAME}`
    error: p.yml:11:3: the pipeline has no `transform`
    error: p.yml:11:3: the pipeline has no input
      hint: write `input: {pfs: {repo: REPO, glob: GLOB}}`
    "##);
    let deep = format!("a: {}", "[".repeat(90));
    insta::assert_snapshot!(report(&parse(&deep)), @r#"error: p.yml:1:67: not valid YAML or JSON: lists and mappings are nested more than 64 deep"#);
    let json = "{\"pipeline\": {\"name\": \"a\"},\n \"transform\": {\"cmd\": [\"x\"]}\n{\"input\": 1}";
    insta::assert_snapshot!(report(&parse(json)), @r#"error: p.yml:3:1: not valid YAML or JSON: while parsing a flow mapping, did not find expected ',' or '}'"#);
}

#[test]
fn aliases_are_read_but_do_not_multiply_without_end() {
    let spec = only(
        "pipeline: {name: a}\ntransform:\n  env: &env {A: 1, B: 2}\n  <<: {cmd: [x], user: 0}\n  user: 7\ninput: {pfs: {repo: i, glob: /}}\nmetadata:\n  labels: {<<: *env, B: 3}\n",
    );
    assert_eq!((spec.transform.user.as_deref(), spec.transform.cmd.len()), (Some("7"), 1));
    assert_eq!(
        spec.metadata.labels.into_iter().collect::<Vec<_>>(),
        [("A".into(), "1".into()), ("B".into(), "3".into())]
    );
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..9 {
        let items = vec![format!("*a{}", n - 1); 10].join(", ");
        writeln!(bomb, "a{n}: &a{n} [{items}]").unwrap();
    }
    assert!(report(&parse(&bomb)).contains("aliases expand to more than 100,000 nodes"));
}

#[test]
fn quoted_and_plain_values_are_one() {
    let plain = only(&with("datum_tries: 2\nparallelism_spec: {constant: 4}"));
    let quoted = only(&with("\"datumTries\": \"2\"\nparallelismSpec: {\"constant\": '4'}"));
    assert_eq!(plain, quoted);
    let emoji = only(
        r#"{"pipeline": {"name": "a"}, "transform": {"cmd": ["\ud83d\ude00", "\U0001F600"]}, "input": {"pfs": {"repo": "i", "glob": "/"}}}"#,
    );
    assert_eq!(emoji.transform.cmd, ["😀", "😀"]);
}

#[test]
fn one_name_for_two_pipelines_and_cycles_are_found_across_files() {
    let reads = |name: &str, repo: &str, branch: &str| {
        format!(
            "pipeline: {{name: {name}}}\ntransform: {{cmd: [x]}}\ninput: {{pfs: {{repo: {repo}, branch: '{branch}', glob: /}}}}\n"
        )
    };
    let set = parse_files(&[
        ("a.yml", &reads("a", "c", "")),
        ("b.yml", &(reads("b", "a", "") + "---\n" + &reads("c", "b", ""))),
        ("d.yml", &(reads("d", "d", "") + "---\n" + &reads("e", "e", "staging"))),
        ("f.yml", &(reads("f", "images", "") + "---\n" + &reads("b", "images", ""))),
        ("g.yml", &reads("g", "a", "")),
    ]);
    insta::assert_snapshot!(report(&set), @r##"
    error: a.yml:3:21: pipelines wait for each other: `a` → `b` → `c` → `a`
    error: d.yml:3:21: pipelines wait for each other: `d` → `d`
    error: f.yml:5:18: pipeline `b` is given twice; first at b.yml:1:18
    "##);
}

#[test]
fn a_named_default_branch_closes_a_cycle_once_it_is_known() {
    let set = parse("pipeline: {name: a}\ntransform: {cmd: [x]}\ninput: {pfs: {repo: a, branch: main, glob: /}}\n");
    assert!(!set.has_errors());
    let specs: Vec<_> = set.specs.iter().map(|parsed| &parsed.spec).collect();
    assert_eq!(find_cycles(&specs, Some(&"main".parse().unwrap())).len(), 1);
    assert_eq!(find_cycles(&specs, Some(&"master".parse().unwrap())).len(), 0);
}

#[test]
fn images_that_may_move_are_warned_of_once() {
    let image = |name: &str, image: &str| {
        format!(
            "pipeline: {{name: {name}}}\ntransform: {{image: '{image}', cmd: [x]}}\ninput: {{pfs: {{repo: i, glob: /}}}}\n---\n"
        )
    };
    let images = ["detect", "detect:latest", "localhost:5000/detect", "detect:latest", "a/b:1.2", "detect@sha256:00"];
    let text: String = images.iter().enumerate().map(|(n, name)| image(&format!("p{n}"), name)).collect();
    insta::assert_snapshot!(report(&parse(&text)), @r##"
    warning: p.yml:2:20: image `detect` has no tag: `latest` is used, which may change before the next apply
      hint: use a version, as in `NAME:1.2`
    warning: p.yml:6:20: image `detect:latest` may change before the next apply
      hint: use a version, as in `NAME:1.2`
    warning: p.yml:10:20: image `localhost:5000/detect` has no tag: `latest` is used, which may change before the next apply
      hint: use a version, as in `NAME:1.2`
    "##);
}

#[test]
fn code_has_a_place_of_its_own() {
    let with = |fields: &str| {
        let text = format!(
            "pipeline: {{name: a}}\ntransform: {{cmd: [x], image: a:1, {fields}}}\ninput: {{pfs: {{repo: r, glob: /}}}}\n"
        );
        parse(&text)
    };
    let set = with("code: src, codePath: /app/code");
    assert_eq!(set.specs[0].spec.transform.code_path.as_deref(), Some("/app/code"));
    let set = with("code: src, code_path: /code");
    assert_eq!(set.specs[0].spec.transform.code_path, None, "the default is left out, so that it changes no id");
    for (fields, expected) in [
        ("code_path: /app", "`code_path` needs `code`: there is no code to mount there"),
        ("code: src, code_path: app", "`code_path`: `app` cannot hold code"),
        ("code: src, code_path: /", "`code_path`: `/` cannot hold code"),
        ("code: src, code_path: /pfs/in", "`code_path`: `/pfs/in` cannot hold code"),
        ("code: src, code_path: /tmp/x", "`code_path`: `/tmp/x` cannot hold code"),
        ("code: src, code_path: /a/../b", "`code_path`: `/a/../b` cannot hold code"),
        (
            "code: src, code_path: /app, secrets: [{name: s, mount_path: /app/secret}]",
            "`code_path`: `/app` conflicts with the secrets at `/app/secret`",
        ),
    ] {
        let set = with(fields);
        let errors: Vec<_> = set.diagnostics.iter().map(|one| one.message.as_str()).collect();
        assert!(set.has_errors() && errors.contains(&expected), "{fields}: {errors:?}");
    }
}
