//! What a message says: the answer to the first questions about what happened.

use sandbox::scripted::{Call, Reply};
use serde_json::json;

use super::setting::Setting;
use super::{Told, at_time, new};
use crate::manage::create;
use crate::message::Message;

const THREAT: &str = "
pipeline: {name: threat}
transform: {cmd: [threat], image: 'x:1'}
input: {cross: [{pfs: {repo: images, glob: '/*'}}, {pfs: {repo: model, glob: /}}, {pfs: {repo: rules, glob: /}}]}
";

fn flag(call: Call) -> Reply {
    let is_bad = call.inputs.into_values().any(|bytes| bytes == b"bad");
    let mut reply = Reply { code: i32::from(is_bad), ..Reply::default() };
    reply.files.insert("flags/cam7.json".to_owned(), b"{\"label\":\"gun\"}\n".to_vec());
    reply
}

/// A picture, as far as its first bytes say.
const PICTURE: &str = "GIF89a 1";

async fn flagged(s: &Setting) {
    s.put("model", [("/weights.bin", Some("w"))]);
    s.put("rules", [("/rules.json", Some("{}"))]);
    s.put("images", [("/cam7.gif", Some(PICTURE))]);
    s.run_with(flag).await;
}

fn line<'m>(message: &'m Message, word: &str) -> &'m str {
    let found = message.lines.iter().find(|(of, _)| of == word);
    &found.unwrap_or_else(|| panic!("no {word} in {:?}", message.lines)).1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_flag_comes_with_its_value_source_committer_model_rules_and_trace() {
    let s = Setting::new();
    s.repo("images").repo("model").repo("rules").pipeline(THREAT);
    let mut told = Told::of(&s.store, &["new file /flags/** in threat", "record threat label=gun"]);
    s.store.set_setting(&repos::settings::SERVER_URL, Some("https://pv.example.com/pv/")).unwrap();
    flagged(&s).await;
    told.turn();
    let messages = std::mem::take(&mut told.messages);
    let subjects: Vec<&str> = messages.iter().map(|message| message.subject.as_str()).collect();
    assert_eq!(subjects, ["new file /flags/cam7.json in threat@main", "label=gun in threat@main:/flags/cam7.json"]);
    let head = |repo: &str| s.head(repo, "main").unwrap();
    let commit = head("threat");
    let file = format!("threat@{}:/flags/cam7.json", commit.short(12));
    for message in &messages {
        assert_eq!(line(message, "file"), file);
        assert_eq!(line(message, "look"), format!("pv trace {file}"));
        assert_eq!(line(message, "source"), format!("images@{}:/cam7.gif", head("images").short(12)));
        assert!(line(message, "committed by").starts_with("anna (uid:0@test), "), "{}", line(message, "committed by"));
        assert!(line(message, "committed by").ends_with(": test"));
        assert_eq!(line(message, "model"), format!("model@{}", head("model").short(12)));
        assert_eq!(line(message, "rules"), format!("rules@{}", head("rules").short(12)));
        assert!(line(message, "made by").starts_with("threat@"));
        assert_eq!(
            message.link.as_deref(),
            Some(
                format!("https://pv.example.com/pv/api/v1/repos/threat/commits/{commit}/files/flags/cam7.json")
                    .as_str()
            )
        );
        let picture = message.picture.as_ref().unwrap();
        assert_eq!(
            (picture.name.as_str(), picture.media_type, picture.bytes.as_slice()),
            ("cam7.gif", "image/gif", PICTURE.as_bytes())
        );
        let trace = message.trace.as_ref().unwrap();
        for part in [
            file.as_str(),
            "made by threat v1",
            "/cam7.gif",
            "/weights.bin",
            "/rules.json",
            "complete: 1 datum, 3 source files",
        ] {
            assert!(trace.contains(part), "{part} in {trace}");
        }
        assert_eq!(message.data["source"]["path"], "/cam7.gif");
        assert_eq!(message.data["file"]["commit"], json!(commit));
        assert_eq!(message.data["inputs"][0]["repo"], "model");
    }
    assert_eq!(line(&messages[0], "value"), "{\"label\":\"gun\"}");
    assert_eq!(line(&messages[1], "value"), "label=gun");
    assert_eq!(line(&messages[1], "record"), "{\"label\":\"gun\"}");
    assert_eq!(messages[1].data["fact"]["record"], json!({"label": "gun"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_notification_may_not_tell_is_a_gap_without_a_name() {
    let s = Setting::new();
    s.repo("images").repo("model").repo("rules").pipeline(THREAT);
    let mut some = new("some", &["new file /flags/** in threat"]);
    some.repos = vec!["threat".to_owned(), "images".to_owned()];
    create(&s.store, some).unwrap();
    let mut told = Told::by(&s.store, "some");
    flagged(&s).await;
    told.turn();
    let message = told.messages.pop().unwrap();
    let all = format!("{message:?} {}", message.data);
    assert!(all.contains("cam7.gif") && all.contains("not visible"), "{all}");
    for hidden in ["model", "weights", "rules"] {
        assert!(!all.contains(hidden), "{hidden} in {all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_comes_with_its_reason_and_what_to_look_at() {
    let s = Setting::new();
    s.repo("images").repo("model").repo("rules").pipeline(THREAT);
    let mut told = Told::of(&s.store, &["job failed"]);
    s.put("model", [("/weights.bin", Some("bad"))]);
    s.put("rules", [("/rules.json", Some("{}"))]);
    s.put("images", [("/cam7.gif", Some(PICTURE))]);
    s.run_with(flag).await;
    told.turn();
    let message = told.messages.pop().unwrap();
    assert_eq!(line(&message, "pipeline"), "threat");
    assert!(line(&message, "look").starts_with("pv logs threat@") && line(&message, "look").ends_with(" --failed"));
    assert_eq!(line(&message, "datums"), "1 of 1 failed");
    assert!(!line(&message, "reason").is_empty());
    assert!(line(&message, "caused by").starts_with("commit of images@main, anna (uid:0@test)"), "{:?}", message.lines);
    assert_eq!(message.link, None, "no server is known");
}

#[test]
fn a_large_picture_and_one_that_is_none_are_not_sent() {
    let (s, _clock) = at_time("2026-07-01T12:00:00Z");
    s.repo("images");
    let mut told = Told::of(&s.store, &["new file /** in images"]);
    let large = format!("GIF89a{}", "x".repeat(1 << 20));
    s.put("images", [("/large.gif", Some(large.as_str())), ("/no.png", Some("<svg>")), ("/small.gif", Some("GIF87a"))]);
    told.turn();
    let pictures: Vec<bool> = told.messages.iter().map(|message| message.picture.is_some()).collect();
    assert_eq!(pictures, [false, false, true]);
    assert_eq!(line(&told.messages[0], "size"), "1,048,582 bytes");
    assert_eq!(line(&told.messages[1], "value"), "<svg>");
    assert_eq!(line(&told.messages[1], "when"), "2026-07-01T12:00:00Z");
}

#[test]
fn a_message_about_a_file_that_is_gone_says_what_is_known() {
    let s = Setting::new();
    s.repo("images");
    let mut told = Told::of(&s.store, &["new file /** in images"]);
    s.put("images", [("/a", Some("1"))]);
    while told.desk.look().unwrap() {}
    engine::changes::delete_repo(&s.store, &"images".parse().unwrap()).unwrap();
    told.turn();
    let message = told.messages.pop().unwrap();
    assert_eq!(message.subject, "new file /a in images@main");
}
