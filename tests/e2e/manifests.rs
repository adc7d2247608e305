//! What is in `deploy/helm` and `deploy/kubernetes`, as far as that can be checked without a cluster.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::test_env;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The templates of the chart: name and text.
fn templates() -> Vec<(String, String)> {
    let folder = "deploy/helm/pv/templates";
    let entries = std::fs::read_dir(top().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let found: Vec<_> = names.map(|name| (name.clone(), read(&format!("{folder}/{name}")))).collect();
    assert!(found.len() >= 6, "{found:?}");
    found
}

/// What the reader of specs says of the YAML itself.
fn faults_of_yaml(name: &str, text: &str) -> Vec<String> {
    let read = specs::parse_specs(&[(name.to_owned(), text.to_owned())]);
    let said = read.diagnostics.iter().map(ToString::to_string);
    said.filter(|said| said.contains("not valid YAML") || said.contains("is given twice: this value")).collect()
}

#[test]
fn the_manifests_and_the_values_are_yaml() {
    let folder = std::fs::read_dir(top().join("deploy/kubernetes")).unwrap();
    let plain = folder.map(|entry| format!("deploy/kubernetes/{}", entry.unwrap().file_name().to_str().unwrap()));
    let files: Vec<String> =
        plain.chain(["deploy/helm/pv/Chart.yaml".to_owned(), "deploy/helm/pv/values.yaml".to_owned()]).collect();
    assert!(files.len() >= 3);
    for file in files {
        assert_eq!(faults_of_yaml(&file, &read(&file)), Vec::<String>::new());
    }
    assert_eq!(faults_of_yaml("x", "a: [1\n").len(), 1, "faults are seen");
}

/// The paths after `.Values.` in a template, such as `tls.existingSecret`.
fn values_in(text: &str) -> BTreeSet<String> {
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
    let paths = text.split(".Values.").skip(1).map(|rest| rest.split(|c| !is_of_path(c)).next().unwrap());
    paths.map(|path| path.trim_end_matches('.').to_owned()).collect()
}

#[test]
fn templates_use_only_values_that_can_be_given_and_all_of_them() {
    let schema: Value = serde_json::from_str(&read("deploy/helm/pv/values.schema.json")).unwrap();
    let used: BTreeSet<String> = templates().iter().flat_map(|(_, text)| values_in(text)).collect();
    for path in &used {
        let found = path.split('.').fold(&schema, |at, part| &at["properties"][part]);
        assert!(found.is_object(), "`{path}` is not in values.schema.json");
    }
    let values = read("deploy/helm/pv/values.yaml");
    for name in schema["properties"].as_object().unwrap().keys().filter(|name| *name != "global") {
        assert!(values.contains(&format!("\n{name}:")), "`{name}` has no default");
        let is_used = used.iter().any(|path| path.split('.').next() == Some(name.as_str()));
        assert!(is_used, "`{name}` has no effect");
    }
}

#[test]
fn every_setting_of_clusters_can_be_given_to_the_chart_and_is_in_the_page() {
    let settings = test_env!().json(["config", "list"]);
    let names = settings.iter().filter_map(|setting| setting["key"].as_str()?.strip_prefix("kubernetes."));
    let names: BTreeSet<&str> = names.collect();
    assert!(names.len() >= 6, "{names:?}");
    let schema: Value = serde_json::from_str(&read("deploy/helm/pv/values.schema.json")).unwrap();
    let given = schema["properties"]["kubernetes"]["properties"].as_object().unwrap();
    // The chart's own image and namespace are those of the pods.
    let all: BTreeSet<&str> = given.keys().map(String::as_str).chain(["image", "namespace"]).collect();
    assert_eq!(all, names);
    let page = read("docs/kubernetes.md");
    for name in names {
        assert!(page.contains(&format!("\n| `kubernetes.{name}` |")), "{name}");
    }
}

#[test]
fn chart_and_plain_manifests_give_an_engine_the_same_rights_and_no_more() {
    let chart: String = templates().into_iter().map(|(_, text)| text).collect();
    let plain = read("deploy/kubernetes/pv.yaml");
    for (name, text) in [("the chart", &chart), ("pv.yaml", &plain)] {
        let rights: Vec<&str> = text.lines().filter(|line| line.contains("verbs:")).map(str::trim).collect();
        assert_eq!(
            rights,
            [r#"- { apiGroups: [""], resources: [pods], verbs: [create, get, list, delete] }"#],
            "{name}"
        );
        for line in [
            "strategy: { type: Recreate }",
            "runAsNonRoot: true",
            "fsGroupChangePolicy: OnRootMismatch",
            "seccompProfile: { type: RuntimeDefault }",
            "allowPrivilegeEscalation: false",
            "readOnlyRootFilesystem: true",
            "capabilities: { drop: [ALL] }",
            "podSelector: { matchLabels: { app.kubernetes.io/managed-by: pv } }",
            "podSelector: { matchLabels: { app.kubernetes.io/managed-by: pv, pv.dev/network: default } }",
        ] {
            assert!(text.lines().any(|found| found.trim() == line), "{name} lacks `{line}`");
        }
        assert!(!text.contains("ClusterRole") && !text.contains("privileged"), "{name}");
    }
    assert!(read("docs/kubernetes.md").contains("| `pods` | create, get, list, delete |"));
}

fn helm(args: &[&str]) -> String {
    let output = Command::new("helm").current_dir(top()).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "helm {args:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[expect(clippy::print_stderr, reason = "for whoever runs the tests")]
fn helm_takes_the_chart_with_few_values_and_with_all() {
    // Not everywhere to be had, so CI may leave it out too.
    if Command::new("helm").arg("version").output().is_err() {
        eprintln!("SKIPPED: no helm");
        return;
    }
    let chart = "deploy/helm/pv";
    let all = "kubernetes.max_pods=20,kubernetes.pod_security=restricted,settings.log_max=2000000,args={--log,json},\
               imagePullSecrets={registry},objects.url=s3://bucket/prefix,objects.existingSecret=aws,\
               storage.className=fast,nodeSelector.disk=ssd,service.port=8443";
    for more in
        ["kubernetes.idle=60s", all, "tls.existingSecret=own,storage.existingClaim=own,networkPolicy.enabled=false"]
    {
        let given = ["--set", "image=registry.example.com/pv:1", "--set", more];
        helm(&[&["lint", "--strict", chart][..], &given].concat());
        let made = helm(&[&["template", "here", chart, "--namespace", "there"][..], &given].concat());
        assert_eq!(faults_of_yaml("made.yaml", &made), Vec::<String>::new(), "{made}");
        let port = if more == all { 8443 } else { 7070 };
        let advertised = format!(r#"[config, set, "kubernetes.advertise", "https://here-pv.there.svc:{port}"]"#);
        assert!(made.contains(&advertised), "{made}");
        assert_eq!(made.contains(r#"[config, set, "log_max", "2000000"]"#), more == all, "{made}");
    }
    let refused = Command::new("helm").current_dir(top()).args(["template", "x", chart]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("set `image`"), "{said}");
}
