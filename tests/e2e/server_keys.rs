//! A server that is killed while it answers: what is sent again with its `Idempotency-Key` is made once.

use std::process::Command;

use serde_json::{Value, json};
use tests::{TestEnv, test_env};

use crate::support::*;

/// A server that ends at this point; its URL.
fn serve_until(env: &TestEnv, point: Option<&str>) -> (Background, String) {
    let mut command = env.command(["serve", "--listen", "127.0.0.1:0"]);
    if let Some(point) = point {
        command.env("PV_STOP_AT", point);
    }
    let serve = serve_with(env, command);
    let url = until("an address", || {
        serve.stderr().lines().find_map(|line| Some(line.split_once("listening at ")?.1.to_owned()))
    });
    (serve, url)
}

/// Sends a change with a key; `None` if the answer did not come.
fn send(url: &str, token: &str, path: &str, key: &str, body: &Value) -> Option<(u16, Value)> {
    let output = Command::new("curl")
        .args(["-sS", "-w", "\n%{http_code}", "-H", &format!("Authorization: Bearer {token}")])
        .args(["-H", &format!("Idempotency-Key: {key}"), "-H", "Content-Type: application/json"])
        .args(["--data-binary", &body.to_string(), &format!("{url}/api/v1{path}")])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    let status: u16 = status.parse().unwrap();
    (status != 0).then(|| (status, serde_json::from_str(body).unwrap_or_default()))
}

/// Sends a change to a server that dies at a point, and again to the next one, twice.
fn killed_at(point: &str, path: &str, body: &Value) -> Option<(TestEnv, [(u16, Value); 2])> {
    if Command::new("curl").arg("--version").output().is_err() {
        skip("there is no curl");
        return None;
    }
    let env = test_env!();
    env.write("a.txt", "a");
    env.ok(["put", "images", "a.txt"]);
    let token = env.json(["token", "create", "anna", "--role", "admin"])[0]["token"].as_str().unwrap().to_owned();
    let (mut serve, url) = serve_until(&env, Some(point));
    assert!(send(&url, &token, path, "k", body).is_none(), "the server lives");
    until_true("the end of the server", || serve.is_over());
    let (_serve, url) = serve_until(&env, None);
    let answers = [(); 2].map(|()| send(&url, &token, path, "k", body).unwrap());
    Some((env, answers))
}

#[test]
fn a_commit_is_found_by_its_key_whenever_the_server_was_killed() {
    let body = json!({ "remove": ["/a.txt"] });
    for point in ["server.before_change", "server.before_answer", "server.after_answer"] {
        let Some((env, [first, second])) = killed_at(point, "/repos/images/branches/main/commits", &body) else {
            return;
        };
        assert_eq!((first.0, &first.1["changed"]), (200, &json!(true)), "{point}: {}", first.1);
        assert_eq!(first, second, "{point}");
        assert_eq!(env.json(["log", "images"]).len(), 2, "{point}");
        assert_sound(&env);
    }
}

#[test]
fn another_change_is_made_only_if_it_surely_was_not() {
    let body = json!({ "name": "other" });
    // It was not made yet.
    let Some((env, [first, second])) = killed_at("server.before_change", "/repos", &body) else { return };
    assert_eq!((first.0, &first), (201, &second), "{}", first.1);
    assert_sound(&env);
    // It was made, and nobody knows whether by this request.
    let (_env, [first, second]) = killed_at("server.before_answer", "/repos", &body).unwrap();
    assert_eq!((first.0, &first.1["kind"]), (409, &json!("conflict")), "{}", first.1);
    assert_eq!(first, second);
    // It was made, and its answer was kept before it was to be sent.
    let (_env, [first, second]) = killed_at("server.after_answer", "/repos", &body).unwrap();
    assert_eq!((first.0, &first), (201, &second), "{}", first.1);
}

#[test]
fn a_link_for_a_browser_is_printed_and_nothing_is_kept() {
    let env = test_env!();
    let token = env.json(["token", "create", "anna", "--role", "reader"])[0]["token"].as_str().unwrap().to_owned();
    let (_serve, url) = serve_until(&env, None);
    let mut command = env.command(["login", "--link", &url]);
    let output = command.env("PV_TOKEN", &token).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let (link, said) = (text(&output.stdout), text(&output.stderr));
    assert!(link.starts_with(&format!("{url}/login/")) && link.len() > url.len() + 40, "{link} {said}");
    assert!(said.starts_with("open this in a browser within ") && said.ends_with("; it works once"), "{said}");
    let wrong = env.command(["login", "--link", &url]).env("PV_TOKEN", "pv_wrong").output().unwrap();
    assert_eq!((wrong.status.code(), text(&wrong.stdout).as_str()), (Some(7), ""));
}
