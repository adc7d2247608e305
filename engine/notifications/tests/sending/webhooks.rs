//! Webhooks, received by a server that checks them with the reference library of Standard Webhooks.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{message, options, said, sender, short};
use notifications::{Options, Outcome, Proxies, Secret, Style, Target};
use serde_json::{Value, json};
use tests::receivers::{Certificate, Receiver};
use tests::tools::python_of;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

fn local(receiver: &Receiver, path: &str) -> Target {
    Target::parse(&format!("http://127.0.0.1:{}{path}", receiver.port), None, true).unwrap()
}

fn secrets(target: &Target) -> Vec<Secret> {
    match target {
        Target::Webhook { secrets, .. } => secrets.clone(),
        Target::Mail { .. } => Vec::new(),
    }
}

/// An answer, and what the sender makes of it.
fn cases() -> Vec<(Value, &'static str)> {
    vec![
        (json!({ "status": 200, "body": "ok" }), "delivered"),
        (json!({ "status": 202 }), "delivered"),
        (json!({ "status": 204 }), "delivered"),
        (
            json!({ "status": 302, "headers": { "Location": "/elsewhere" } }),
            "refused: 302 Found: redirects to http://127.0.0.1:PORT are not followed",
        ),
        (
            json!({ "status": 308, "headers": { "Location": "https://h.org/secret" } }),
            "refused: 308 Permanent Redirect: redirects to https://h.org are not followed",
        ),
        (json!({ "status": 304 }), "refused: 304 Not Modified: redirects are not followed"),
        (
            json!({ "status": 400, "body": "\n\n  invalid_\u{1b}[31mpayload \nmore" }),
            "refused: 400 Bad Request: invalid_�[31mpayload",
        ),
        (json!({ "status": 404 }), "refused: 404 Not Found"),
        (json!({ "status": 410, "body": "gone for good" }), "ended: 410 Gone: gone for good"),
        (json!({ "status": 408 }), "later: 408 Request Timeout"),
        (json!({ "status": 429, "headers": { "Retry-After": "120" } }), "later, after 120 s: 429 Too Many Requests"),
        (
            json!({ "status": 503, "headers": { "Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT" } }),
            "later, after 0 s: 503 Service Unavailable",
        ),
        (json!({ "status": 503, "headers": { "Retry-After": "soon" } }), "later: 503 Service Unavailable"),
        (json!({ "status": 500, "body": "it broke" }), "later: 500 Internal Server Error: it broke"),
    ]
}

#[tokio::test]
async fn each_answer_has_its_outcome() {
    let Some(mut receiver) = Receiver::webhooks(None) else { return };
    let (sender, target) = (sender(options(None)), local(&receiver, "/hook?key=1"));
    let port = receiver.port.to_string();
    for (answer, expected) in cases() {
        receiver.answer(&[answer]);
        let outcome = sender.send(&target, &message("msg_1")).await;
        assert_eq!(said(&outcome).replace(&port, "PORT"), expected);
        let event = receiver.next();
        assert_eq!(
            (&event["method"], &event["path"]),
            (&json!("POST"), &json!("/hook?key=1")),
            "nothing is called twice"
        );
        assert!(receiver.came().is_none(), "no redirect is followed");
    }
}

#[tokio::test]
async fn the_reference_library_accepts_each_secret_that_counts() {
    let Some(mut receiver) = Receiver::webhooks(None) else { return };
    let (sender, mut target) = (sender(options(None)), local(&receiver, "/"));
    let oldest = secrets(&target)[0].reveal();
    let now = "2030-01-01T00:00:00Z".parse().unwrap();
    target.rotate(now, Duration::from_hours(24));
    let newest = secrets(&target)[0].reveal();
    receiver.trust(&[oldest.clone(), newest.clone(), Secret::new().reveal()]);
    assert_eq!(sender.send(&target, &message("msg_1")).await, Outcome::Delivered);
    let event = receiver.next();
    assert_eq!(event["verified"], json!([true, true, false]));
    let headers = &event["headers"];
    assert_eq!((&headers["webhook-id"], &headers["content-type"]), (&json!("msg_1"), &json!("application/json")));
    assert!(headers["user-agent"].as_str().unwrap().starts_with("pv/"));
    assert_eq!(event["body"]["data"]["lines"][1], json!({ "name": "value", "value": "0.91 ≥ 0.8" }));
    // Long ago: the older secret has ended.
    let past = "2020-01-01T00:00:00Z".parse().unwrap();
    target.rotate(past, Duration::from_hours(1));
    let third = secrets(&target)[0].reveal();
    receiver.trust(&[oldest, newest, third]);
    sender.send(&target, &message("msg_1")).await;
    let event = receiver.next();
    assert_eq!(event["verified"], json!([false, false, true]));
    assert_eq!(event["headers"]["webhook-id"], json!("msg_1"), "the id stays");
}

#[tokio::test]
async fn the_page_shows_how_to_check_a_message() {
    let Some(receiver) = Receiver::webhooks(None) else { return };
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/notifications.md")).unwrap();
    let code = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(code.lines().count(), 6);
    let target = local(&receiver, "/");
    sender(options(None)).send(&target, &message("msg_1")).await;
    let event = receiver.next();
    let run = |secret: &str| {
        let twice = "\nimport json, sys\nfor _ in range(2): received(sys.argv[1].encode(), json.loads(sys.argv[2]))\n";
        let mut python = Command::new(python_of("notify-tools").unwrap());
        python
            .arg("-c")
            .arg(code.replace("whsec_…", secret) + twice)
            .arg(event["raw"].as_str().unwrap())
            .arg(event["headers"].to_string());
        python.output().unwrap()
    };
    let output = run(&secrets(&target)[0].reveal());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "threat 0.91 in threat:/cam7_1700000000.json\n",
        "once: {output:?}"
    );
    let output = run(&Secret::new().reveal());
    assert!(
        !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("No matching signature"),
        "{output:?}"
    );
}

#[tokio::test]
async fn a_receiver_that_hangs_or_cuts_is_tried_again() {
    let Some(mut receiver) = Receiver::webhooks(None) else { return };
    let target = local(&receiver, "/");
    let (patient, hasty) = (sender(options(None)), sender(short(options(None))));
    receiver.answer(&[json!("hang")]);
    assert_eq!(said(&hasty.send(&target, &message("a")).await), "later: no answer within 0.3 s");
    receiver.next();
    receiver.answer(&[json!("cut")]);
    let cut = said(&patient.send(&target, &message("a")).await);
    assert!(cut.starts_with("later: ") && !cut.contains(&receiver.port.to_string()), "{cut}");
    receiver.next();
    receiver.answer(&[json!("half")]);
    assert_eq!(said(&patient.send(&target, &message("a")).await), "later: 500 Internal Server Error: it begins");
    receiver.next();
    receiver.answer(&[json!("endless")]);
    let endless = said(&patient.send(&target, &message("a")).await);
    assert!(endless.starts_with("later: 500 Internal Server Error: xxx") && endless.chars().count() < 320, "{endless}");
    receiver.next();
    drop(receiver);
    let dead = said(&patient.send(&target, &message("a")).await);
    assert!(dead.starts_with("later: ") && dead.contains("refused"), "{dead}");
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_not_called() {
    let Some(certificate) = Certificate::new() else { return };
    let Some(mut receiver) = Receiver::webhooks(Some(&certificate)) else { return };
    let sender = sender(options(Some(&certificate)));
    let url = format!("https://hook.test:{}/x", receiver.port);
    let refused = sender.send(&Target::parse(&url, None, false).unwrap(), &message("a")).await;
    let expected = "refused: 127.0.0.1 is an address of this machine, which is refused without --allow-private";
    assert_eq!(said(&refused), expected);
    // A stored target is not parsed by the rules of new ones: the check is made at each attempt.
    let stored = json!({ "kind": "webhook", "url": format!("https://127.0.0.1:{}/", receiver.port), "style": "json", "secrets": [] });
    let stored: Target = serde_json::from_value(stored).unwrap();
    assert_eq!(said(&sender.send(&stored, &message("a")).await), expected);
    assert!(receiver.came().is_none());
    let target = Target::parse(&url, None, true).unwrap();
    receiver.trust(&[secrets(&target)[0].reveal()]);
    assert_eq!(sender.send(&target, &message("a")).await, Outcome::Delivered);
    assert_eq!(receiver.next()["verified"], json!([true]));
    let strangers = crate::support::sender(options(None));
    let unknown = said(&strangers.send(&target, &message("a")).await);
    assert!(unknown.starts_with("later: ") && unknown.contains("certificate"), "{unknown}");
}

#[tokio::test]
async fn http_is_for_private_addresses_alone() {
    let hosts = BTreeMap::from([("hook.test".to_owned(), vec!["8.8.8.8".parse().unwrap()])]);
    let sender = sender(Options { hosts, ..options(None) });
    let target = Target::parse("http://hook.test/x", None, true).unwrap();
    let outcome = said(&sender.send(&target, &message("a")).await);
    assert_eq!(outcome, "refused: 8.8.8.8 is a public address, which is only called over https");
}

#[tokio::test]
async fn what_cannot_be_signed_is_refused_and_an_unknown_name_waits() {
    let sender = sender(options(None));
    let target = Target::parse("https://8.8.8.8/", None, false).unwrap();
    assert_eq!(said(&sender.send(&target, &message("a.b")).await), "refused: the id `a.b` cannot be sent");
    let nowhere = Options { hosts: BTreeMap::from([("hook.test".to_owned(), Vec::new())]), ..options(None) };
    let target = Target::parse("https://hook.test/", None, false).unwrap();
    let outcome = said(&crate::support::sender(nowhere).send(&target, &message("a")).await);
    assert!(outcome.starts_with("later: "), "{outcome}");
}

#[tokio::test]
async fn chats_get_their_own_form() {
    let Some(mut receiver) = Receiver::webhooks(None) else { return };
    let sender = sender(options(None));
    for (style, pointer, expected) in [
        (Style::Slack, "/blocks/1/fields/0/text", "file: threat:/cam7_1700000000.json"),
        (Style::Teams, "/attachments/0/content/body/1/inlines/1/text", "threat:/cam7_1700000000.json"),
    ] {
        let url = format!("http://127.0.0.1:{}/", receiver.port);
        let target = Target::parse(&url, Some(style), true).unwrap();
        receiver.trust(&[secrets(&target)[0].reveal()]);
        assert_eq!(sender.send(&target, &message("a")).await, Outcome::Delivered);
        let event = receiver.next();
        assert_eq!(event["body"].pointer(pointer), Some(&json!(expected)), "{event}");
        assert_eq!(event["verified"], json!([true]));
    }
}

/// A proxy that passes one connection on; gives the line that asked for it.
async fn proxy(listener: TcpListener, to: u16) -> String {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    copy_bidirectional(&mut client, &mut server).await.ok();
    String::from_utf8(head).unwrap().lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_proxy_is_used_for_https_and_gets_the_name() {
    let Some(certificate) = Certificate::new() else { return };
    let Some(receiver) = Receiver::webhooks(Some(&certificate)) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = Proxies::At(format!("http://{}", listener.local_addr().unwrap()));
    let proxy = tokio::spawn(proxy(listener, receiver.port));
    let hosts = BTreeMap::new();
    {
        let sender = sender(Options { proxies: at, hosts, ..options(Some(&certificate)) });
        let target = Target::parse("https://hook.test/x", None, false).unwrap();
        assert_eq!(said(&sender.send(&target, &message("a")).await), "delivered");
        let private = Target::parse("https://10.0.0.1/x", None, true).unwrap();
        let Target::Webhook { url, style, secrets, .. } = private else { panic!() };
        let private = Target::Webhook { url, style, allow_private: false, secrets };
        assert!(
            said(&sender.send(&private, &message("a")).await).starts_with("refused: 10.0.0.1 is a private address")
        );
    }
    assert_eq!(proxy.await.unwrap(), "CONNECT hook.test:443 HTTP/1.1");
    assert_eq!(receiver.next()["path"], json!("/x"));
}
