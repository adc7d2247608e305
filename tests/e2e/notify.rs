//! `pv notify`: what is told to whom, exactly once for who keeps ids; its commands, also through a server.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::{TestEnv, test_env};

use crate::support::*;

/// A request that a receiver got.
#[derive(Debug, Clone)]
struct Request {
    id: String,
    body: Value,
}

/// A webhook receiver on this machine.
struct Receiver {
    url: String,
    got: Arc<Mutex<Vec<Request>>>,
    /// The statuses of the next answers; then 200.
    statuses: Arc<Mutex<Vec<u16>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (got, statuses) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::<Mutex<Vec<u16>>>::default());
        let (of_thread, next) = (got.clone(), statuses.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (got, next) = (of_thread.clone(), next.clone());
                // A client may go away in the middle.
                std::thread::spawn(move || drop(answer(stream.unwrap(), &got, &next)));
            }
        });
        Self { url, got, statuses }
    }

    fn got(&self) -> Vec<Request> {
        self.got.lock().unwrap().clone()
    }

    /// Waits until it got so many requests.
    fn until(&self, count: usize) -> Vec<Request> {
        until("requests at the receiver", || Some(self.got()).filter(|got| got.len() >= count))
    }

    fn ids(&self) -> Vec<String> {
        self.got().into_iter().map(|request| request.id).collect()
    }
}

/// Reads a request, keeps it, and answers.
fn answer(stream: TcpStream, got: &Mutex<Vec<Request>>, statuses: &Mutex<Vec<u16>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut id, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else {
                if line.trim_end().is_empty() {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "webhook-id" => value.trim().clone_into(&mut id),
                "content-length" => length = value.trim().parse().unwrap(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let mut next = statuses.lock().unwrap();
        let status = if next.is_empty() { 200 } else { next.remove(0) };
        got.lock().unwrap().push(Request { id, body: serde_json::from_slice(&body).unwrap_or_default() });
        drop(next);
        // Nothing is sent again by itself while a test looks.
        let later = if status == 200 { "" } else { "retry-after: 3600\r\n" };
        write!(reader.get_mut(), "HTTP/1.1 {status} x\r\n{later}content-length: 0\r\n\r\n")?;
    }
}

/// A store whose pipeline `threat` writes a flag for each frame with the word `gun`.
fn world() -> TestEnv {
    let env = test_env!();
    env.ok(["config", "set", "executor", "process"]);
    env.ok(["repo", "create", "model"]);
    env.write("m.bin", "weights");
    env.ok(["put", "model", "m.bin"]);
    let cross = format!("{{\"cross\": [{}, {}]}}", pfs("images", "/*"), pfs("model", "/"));
    let script = "mkdir -p /pfs/out/flags; if grep -q gun $images; then echo '{\"label\": \"gun\"}' > /pfs/out/flags/$(basename $images).json; fi; \
                  ! grep -q bad $images";
    apply(&env, &spec_with("threat", &cross, script, ""));
    env
}

fn put(env: &TestEnv, name: &str, text: &str) {
    env.write(name, text);
    env.ok(["put", "images", name, "-m", "frame"]);
}

fn create(env: &TestEnv, name: &str, on: &[&str], to: &str) -> Value {
    let on: Vec<&str> = on.iter().flat_map(|rule| ["--on", rule]).collect();
    let args = [&["notify", "create", name, "--to", to, "--allow-private"], on.as_slice()].concat();
    env.json(args).remove(0)
}

fn stop(serve: Background) {
    serve.send(Signal::SIGTERM);
    serve.end().assert_code(0);
}

#[test]
fn a_notification_is_created_shown_paused_resumed_and_deleted() {
    let env = test_env!();
    env.set("PV_NOW", "2026-07-01T12:00:00Z");
    let args = [
        "notify",
        "create",
        "night",
        "--on",
        "new file /flags/** in images",
        "--on",
        "job failed",
        "--to",
        "https://hooks.example.com/pv",
    ];
    let output =
        env.output(args.iter().chain(&["--digest", "10m", "--quiet-hours", "22:00-07:00", "--repo", "images"]));
    let (secret, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(secret.starts_with("whsec_") && secret.ends_with('\n'), "{secret}");
    insta::assert_snapshot!(said, @r"
    notification `night` tells https://hooks.example.com/pv of: new file /flags/** in images; job failed
    pv serve sends it; pv notify test night sends a message now
    keep the secret that signs the messages: it is not shown again
    ");
    let listed = env.json(["notify", "list"]).remove(0);
    assert!(!listed.to_string().contains("whsec_"));
    assert_eq!(listed["on"], json!(["new file /flags/** in images", "job failed"]));
    assert_eq!(
        [&listed["name"], &listed["state"], &listed["digest"], &listed["quiet_hours"], &listed["style"]],
        ["night", "active", "10m", "22:00-07:00[UTC]", "json"]
    );
    assert_eq!((&listed["repos"], &listed["waiting"], &listed["behind"]), (&json!(["images"]), &json!(0), &json!(0)));
    let shown = env.pv(["notify", "show", "night"]);
    for part in ["quiet hours", "22:00-07:00[UTC]", "https://hooks.example.com/pv", "new file /flags/** in images"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert_eq!(env.json(["notify", "show", "night"]).remove(0), listed);
    insta::assert_snapshot!(env.pv(["notify", "create", "night", "--on", "disk low", "--to", "https://hooks.example.com/pv"]), @r"
    --- stderr
    error: notification `night` already exists
    hint: pv notify delete night, or use another name
    --- exit 4
    ");
    insta::assert_snapshot!(env.pv(["notify", "show", "nigth"]), @r"
    --- stderr
    error: notification `nigth` not found
    hint: did you mean `night`?
    --- exit 3
    ");
    insta::assert_snapshot!(env.pv(["notify", "pause", "night"]), @r"
    --- stderr
    notification `night` is paused; pv notify resume night goes on
    ");
    assert_eq!(env.json(["notify", "show", "night"])[0]["state"], "paused");
    assert_eq!(env.json(["notify", "resume", "night", "--skip"]).remove(0), json!({"resumed": "night", "behind": 0}));
    let rotated = env.json(["notify", "rotate-secret", "night"]).remove(0);
    assert!(rotated["secret"].as_str().unwrap().starts_with("whsec_") && rotated["secret"] != secret.trim());
    assert_eq!(rotated["old_secret_until"], "2026-07-02T12:00:00.000000Z");
    assert_eq!(env.json(["notify", "deliveries", "night"]), Vec::<Value>::new());
    let (error, code) = env.json_error(["notify", "redeliver", "msg_1"]);
    assert_eq!((error["message"].as_str(), code), (Some("delivery `msg_1` not found"), 3));
    assert_eq!(env.exit_code(["notify", "delete", "night"]), 7, "it asks first");
    env.ok(["notify", "delete", "night", "--yes"]);
    assert_eq!(env.json(["notify", "list"]), Vec::<Value>::new());
}

#[test]
fn what_cannot_be_told_is_refused_with_what_can() {
    let env = test_env!();
    insta::assert_snapshot!(env.pv(["notify", "create", "x", "--on", "job succeeded", "--to", "https://hooks.example.com/pv"]), @r"
    --- stderr
    error: `job succeeded` is not something to notify of: it has none of the known forms
    hint: use one of
          --on 'job failed [PIPELINE-GLOB]'
          --on 'job recovered [PIPELINE-GLOB]'
          --on 'new file GLOB in REF'
          --on 'record REF FIELD=VALUE'
          --on 'pipeline behind N [PIPELINE-GLOB]'
          --on 'disk low'
    --- exit 2
    ");
    let refused = |more: &[&str]| {
        let args = [&["notify", "create", "x"], more].concat();
        let (error, code) = env.json_error(args);
        (error["message"].as_str().unwrap().to_owned(), code)
    };
    let to = "https://hooks.example.com/pv";
    let (message, code) = refused(&["--on", "new file /** in image", "--to", to]);
    assert_eq!((message.as_str(), code), ("repository `image` not found", 3));
    let (message, code) = refused(&["--on", "disk low", "--to", "http://127.0.0.1:9/x"]);
    assert!(code == 2 && message.contains("127.0.0.1"), "{message}");
    let (message, code) = refused(&["--on", "disk low", "--to", to, "--quiet-hours", "night"]);
    assert!(code == 2 && message.contains("does not describe quiet hours"), "{message}");
    assert_eq!(env.json(["notify", "list"]), Vec::<Value>::new());
}

/// What the first notification that needs the user needs.
fn first_need(env: &TestEnv) -> Value {
    let needs = env.json(["status"]).remove(0)["needs_you"].take();
    needs.as_array().unwrap().iter().find(|need| need["notification"].is_string()).cloned().unwrap()
}

#[test]
fn a_new_flag_is_told_once_with_its_answer_and_neither_a_trial_nor_the_same_bytes_are() {
    let env = world();
    put(&env, "cam1", "nothing");
    env.ok(["run"]);
    let receiver = Receiver::start();
    create(&env, "flags", &["new file /flags/** in threat", "record threat label=gun"], &receiver.url);
    create(&env, "jobs", &["job failed", "job recovered"], &receiver.url);
    assert_eq!(first_need(&env)["what"], "nothing sends it: no pv serve is running");

    // A trial finds a flag, and tells nobody.
    env.ok(["branch", "create", "images@trial", "images"]);
    env.write("cam2", "gun");
    env.ok(["put", "images@trial", "cam2"]);
    env.ok(["try", "threat", "--with", "images@trial"]);

    let serve = serve(&env);
    until_true("it is served", || env.json(["status"])[0].get("notifications").is_none());
    put(&env, "cam7", "gun 1");
    let got = receiver.until(2);
    let head = env.json(["show", "threat"])[0]["id"].as_str().unwrap().to_owned();
    let file = format!("threat@{}:/flags/cam7.json", &head[..12]);
    let texts: BTreeSet<String> = got.iter().map(|request| request.body.to_string()).collect();
    for part in ["cam7", "model@", "pv trace threat@", "frame"] {
        assert!(texts.iter().all(|text| text.contains(part)), "{part} in {texts:#?}");
    }
    env.ok(["trace", &file]);
    assert_eq!(got.iter().map(|request| request.id.as_str()).collect::<BTreeSet<_>>().len(), 2);

    // The same flag again; then none; then it is back.
    put(&env, "cam7", "gun 2");
    env.ok(["wait", "threat", "--timeout", "90s"]);
    put(&env, "cam7", "nothing");
    env.ok(["wait", "threat", "--timeout", "90s"]);
    put(&env, "bad", "bad");
    let got = receiver.until(3);
    assert!(got[2].body.to_string().contains("job of threat failed"), "{:?}", got[2].body);
    env.ok(["rm", "images:/bad"]);
    assert!(receiver.until(4)[3].body.to_string().contains("threat succeeds again after 1 failed job"));
    put(&env, "cam7", "gun 3");
    let got = receiver.until(6);
    assert!(got[4..].iter().all(|request| request.body.to_string().contains("cam7")), "{got:?}");
    until_true("the last one is noted", || env.json(["notify", "show", "flags"])[0]["waiting"] == 0);
    let deliveries = env.json(["notify", "deliveries", "flags"]);
    assert_eq!(deliveries.len(), 4);
    assert!(deliveries.iter().all(|one| one["state"] == "delivered" && one["tries"] == 1), "{deliveries:?}");
    stop(serve);
    assert_eq!(receiver.got().len(), 6);
}

#[test]
fn a_receiver_that_fails_gets_it_again_and_others_at_once() {
    let env = test_env!();
    env.ok(["config", "set", "executor", "process"]);
    let (failing, good) = (Receiver::start(), Receiver::start());
    failing.statuses.lock().unwrap().extend([500, 500]);
    create(&env, "failing", &["new file /** in images"], &failing.url);
    create(&env, "good", &["new file /** in images"], &good.url);
    let serve = serve(&env);
    put(&env, "a", "1");
    put(&env, "b", "1");
    let ids: Vec<String> = good.until(2).into_iter().map(|request| request.id).collect();
    failing.until(1);
    let failed =
        until("a try that failed", || env.json(["notify", "list"]).into_iter().find(|one| one["state"] == "failing"));
    assert_eq!((&failed["name"], &failed["waiting"]), (&json!("failing"), &json!(2)));
    let needs = first_need(&env);
    assert!(needs["what"].as_str().unwrap().contains("500"), "{needs}");
    assert!(env.pv(["status"]).contains("pv notify deliveries failing"));
    let waiting = env.json(["notify", "deliveries", "failing"]).pop().unwrap();
    assert_eq!((&waiting["state"], &waiting["tries"]), (&json!("waiting"), &json!(1)));
    assert!(waiting["next_at"].is_string() && waiting["why"].as_str().unwrap().contains("500"), "{waiting}");
    // Somebody who does not want to wait asks for it.
    let id = waiting["id"].as_str().unwrap();
    env.ok(["notify", "redeliver", id]);
    failing.until(2);
    until_true("a second failure", || env.json(["notify", "deliveries", "failing"]).pop().unwrap()["tries"] == 2);
    env.ok(["notify", "redeliver", id]);
    failing.until(4);
    assert_eq!(failing.ids()[..3], [id, id, id]);
    assert_eq!(good.ids(), ids, "the other target got each once");
    stop(serve);
}

/// `PV_KILLS` times a server dies: between sending and noting, before and after a line of the log, and before it sends.
#[test]
fn a_server_that_is_killed_loses_nothing_and_sends_at_most_one_message_once_more() {
    let kills = std::env::var("PV_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(8);
    let points = ["notify.after_send", "notify.before_line", "notify.after_line", "notify.before_send"];
    let env = test_env!();
    env.ok(["config", "set", "executor", "process"]);
    let receiver = Receiver::start();
    create(&env, "told", &["new file /** in images"], &receiver.url);
    for number in 0..kills {
        put(&env, &format!("f{number}"), "1");
        let mut command = env.command(["serve"]);
        command.env("PV_STOP_AT", points[number % points.len()]);
        let mut killed = Background::of(&env, command);
        until_true("the end at a point", || killed.is_over());
    }
    let serve = serve(&env);
    until_true("no more waits", || {
        let told = env.json(["notify", "show", "told"]).remove(0);
        told["waiting"] == 0 && told["behind"] == 0
    });
    stop(serve);
    let got = receiver.got();
    // In order, whatever was repeated.
    let mut seen = BTreeSet::new();
    let first: Vec<&Request> = got.iter().filter(|request| seen.insert(request.id.clone())).collect();
    assert_eq!(first.len(), kills, "{:?}", receiver.ids());
    for (number, request) in first.iter().enumerate() {
        let subject = request.body["data"]["subject"].as_str().unwrap();
        assert_eq!(subject, format!("new file /f{number} in images@main"));
    }
    // Only a death between sending and noting can repeat one.
    assert!(got.len() - first.len() <= kills.div_ceil(points.len()), "{:?}", receiver.ids());
}

#[test]
fn a_test_says_what_came_of_it() {
    let env = test_env!();
    let receiver = Receiver::start();
    create(&env, "told", &["job failed"], &receiver.url);
    let sent = env.json(["notify", "test", "told"]).remove(0);
    assert_eq!((&sent["outcome"], sent["id"].as_str()), (&json!("delivered"), Some(receiver.ids()[0].as_str())));
    receiver.statuses.lock().unwrap().extend([503, 404, 410]);
    let failed = |env: &TestEnv| env.json_error(["notify", "test", "told"]);
    let (error, code) = failed(&env);
    assert!(code == 6 && error["message"].as_str().unwrap().starts_with("the message was not delivered: "), "{error}");
    let (error, code) = failed(&env);
    assert!(code == 1 && error["message"].as_str().unwrap().starts_with("the target refused the message: "), "{error}");
    let (error, code) = failed(&env);
    assert!(code == 1 && error["message"].as_str().unwrap().contains("wants no messages any more"), "{error}");
    assert_eq!(env.json(["notify", "deliveries", "told"]), Vec::<Value>::new());
}

#[test]
fn through_a_server_each_sees_and_changes_what_they_may() {
    let env = test_env!();
    env.ok(["config", "set", "executor", "process"]);
    env.ok(["repo", "create", "other"]);
    let receiver = Receiver::start();
    create(&env, "all", &["job failed"], &receiver.url);
    let token = |name: &str, role: &str, repo: &str| {
        env.json(["token", "create", name, "--role", role, "--repo", repo])[0]["token"].as_str().unwrap().to_owned()
    };
    let (bob, reader) = (token("bob", "admin", "images"), token("rita", "reader", "images"));
    let server = env.serve();
    let call = |token: &str, args: &[&str]| {
        let mut command = env.command(args);
        command.env("PV_SERVER", server.url()).env("PV_TOKEN", token);
        let output = command.output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let args = ["notify", "create", "bobs", "--on", "new file /** in images", "--to", "https://hooks.example.com/pv"];
    let (code, secret, said) = call(&bob, &args);
    assert!(code == 0 && secret.starts_with("whsec_"), "{said}");
    let (code, _, said) =
        call(&bob, &["notify", "create", "x", "--on", "new file /** in other", "--to", "https://hooks.example.com/pv"]);
    assert!(code == 3 && said.contains("repository `other` not found"), "{said}");
    let (code, _, said) =
        call(&bob, &["notify", "create", "x", "--on", "disk low", "--to", &receiver.url, "--allow-private"]);
    assert!(code == 7 && said.contains("administrator of the whole store"), "{said}");
    for token in [&bob, &reader] {
        let (_, listed, _) = call(token, &["--json", "notify", "list"]);
        let names: Vec<Value> =
            listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["name"].clone()).collect();
        assert_eq!(names, ["bobs"]);
        let (code, _, said) = call(token, &["notify", "show", "all"]);
        assert!(code == 3 && said.contains("notification `all` not found"), "{said}");
    }
    let (code, _, said) = call(&reader, &["notify", "pause", "bobs"]);
    assert!(code == 7 && said.contains("only an admin may change notifications"), "{said}");
    assert_eq!(call(&bob, &["notify", "pause", "bobs"]).0, 0);
    assert_eq!(call(server.token(), &["notify", "test", "all"]).0, 0);
    assert_eq!(receiver.got().len(), 1);
    env.ok(["token", "revoke", "bob"]);
    let (_, shown, _) = call(server.token(), &["--json", "notify", "resume", "bobs"]);
    assert!(shown.contains("bobs"), "{shown}");
    let (_, shown, _) = call(server.token(), &["--json", "notify", "show", "bobs"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["state"], shown["why"].as_str()),
        (&json!("held"), Some("token `bob`, which created it, was revoked"))
    );
}
