//! Which changes are told, and which are not.

use sandbox::scripted::{Call, Reply};

use super::setting::Setting;
use super::{Told, access, desk, new};
use crate::desk::Step;
use crate::manage::create;

/// Writes a flag for each file that has the word `threat`, with the bytes of that line alone.
fn flag(call: Call) -> Reply {
    let mut reply = Reply::default();
    for (path, bytes) in call.inputs {
        let text = String::from_utf8(bytes).unwrap();
        if text == "bad" {
            reply.code = 1;
        } else if text.contains("threat") {
            let name = path.rsplit('/').next().unwrap().to_owned();
            let flag = format!("{{\"label\":\"{}\"}}", text.split(' ').next().unwrap());
            reply.files.insert(format!("flags/{name}.json"), flag.into_bytes());
        }
    }
    reply
}

const THREAT: &str = "
pipeline: {name: threat}
transform: {cmd: [threat], image: 'x:1'}
input: {pfs: {repo: images, glob: '/*'}}
";
const AGAIN: &str = "
pipeline: {name: threat}
transform: {cmd: [threat, again], image: 'x:1'}
input: {pfs: {repo: images, glob: '/*'}}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_new_flag_among_many_files_that_did_not_change_is_told_once() {
    const MANY: usize = 10_000;
    let s = Setting::new();
    s.repo("images").pipeline(THREAT);
    let mut told = Told::of(&s.store, &["new file /flags/** in threat"]);
    let names: Vec<String> = (0..MANY).map(|number| format!("/frame{number}")).collect();
    s.put("images", names.iter().map(|name| (name.as_str(), Some("nothing"))));
    s.run_with(flag).await;
    assert_eq!(told.subjects(), Vec::<String>::new());
    s.calls.lock().unwrap().clear();

    s.put("images", [("/cam7", Some("gun threat"))]);
    s.run_with(flag).await;
    assert_eq!(s.seen("threat"), ["images/cam7"], "all others are cached");
    assert_eq!(told.subjects(), ["new file /flags/cam7.json in threat@main"]);
    assert_eq!(told.subjects(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_tell_nothing_and_a_flag_that_comes_back_does() {
    let s = Setting::new();
    s.repo("images").pipeline(THREAT);
    let mut told = Told::of(&s.store, &["new file /flags/** in threat"]);
    s.put("images", [("/a", Some("gun threat 1"))]);
    s.run_with(flag).await;
    assert_eq!(told.subjects(), ["new file /flags/a.json in threat@main"]);

    // Another frame, the same flag; then other code, the same flag.
    s.put("images", [("/a", Some("gun threat 2"))]);
    s.run_with(flag).await;
    s.pipeline(AGAIN);
    s.run_with(flag).await;
    assert_eq!(s.seen("threat").len(), 3, "it was executed again");
    assert_eq!(told.subjects(), Vec::<String>::new());

    s.put("images", [("/a", Some("knife threat"))]);
    s.run_with(flag).await;
    assert_eq!(told.subjects(), ["changed file /flags/a.json in threat@main"]);
    s.put("images", [("/a", Some("nothing"))]);
    s.run_with(flag).await;
    assert_eq!(told.subjects(), Vec::<String>::new());
    s.put("images", [("/a", Some("knife threat"))]);
    s.run_with(flag).await;
    assert_eq!(told.subjects(), ["new file /flags/a.json in threat@main"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_and_the_recovery_after_them_are_told() {
    let s = Setting::new();
    s.repo("images").pipeline(THREAT);
    let mut told = Told::of(&s.store, &["job failed thr*", "job failed other", "job recovered"]);
    s.put("images", [("/a", Some("nothing"))]);
    s.run_with(flag).await;
    assert_eq!(told.subjects(), Vec::<String>::new());
    for path in ["/b", "/c"] {
        s.put("images", [(path, Some("bad"))]);
        s.run_with(flag).await;
        let subjects = told.subjects();
        assert!(subjects.len() == 1 && subjects[0].starts_with("job of threat failed: "), "{subjects:?}");
    }
    s.put("images", [("/b", Some("good")), ("/c", Some("good"))]);
    s.run_with(flag).await;
    assert_eq!(told.subjects(), ["threat succeeds again after 2 failed jobs"]);
    s.put("images", [("/c", Some("still good"))]);
    s.run_with(flag).await;
    assert_eq!(told.subjects(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_is_behind_is_told_once_and_again_only_after_it_was_not() {
    let s = Setting::new();
    s.repo("images").pipeline(THREAT);
    s.put("images", [("/a", Some("bad"))]);
    s.run_with(flag).await;
    let mut told = Told::of(&s.store, &["pipeline behind 2 threat", "pipeline behind 1 other"]);
    assert_eq!(told.subjects(), Vec::<String>::new());
    s.put("images", [("/b", Some("1"))]);
    s.run_with(flag).await;
    assert_eq!(told.subjects(), ["threat is 2 runs behind"]);
    s.put("images", [("/b", Some("2"))]);
    s.run_with(flag).await;
    assert_eq!(told.subjects(), Vec::<String>::new());
    s.put("images", [("/a", Some("good"))]);
    s.run_with(flag).await;
    assert_eq!(told.subjects(), Vec::<String>::new());
    s.put("images", [("/a", Some("bad"))]);
    s.put("images", [("/b", Some("3"))]);
    s.run_with(flag).await;
    assert_eq!(told.subjects(), ["threat is 2 runs behind"]);
}

#[test]
fn a_full_disk_is_told_once_and_again_only_after_it_was_not() {
    let s = Setting::new();
    let set = |bytes: &str| s.store.set_setting(&repos::settings::MIN_FREE, Some(bytes)).unwrap();
    let mut told = Told::of(&s.store, &["disk low"]);
    set("0");
    assert_eq!(told.subjects(), Vec::<String>::new());
    set("9000000000000000000");
    assert_eq!(told.subjects().len(), 1);
    assert_eq!(told.subjects(), Vec::<String>::new());
    set("0");
    assert_eq!(told.subjects(), Vec::<String>::new());
    set("9000000000000000000");
    let subjects = told.subjects();
    assert!(subjects.len() == 1 && subjects[0].starts_with("the disk of the store has only "), "{subjects:?}");
}

#[test]
fn records_of_json_and_tables_are_told_when_they_are_new_or_changed() {
    let s = Setting::new();
    s.repo("found");
    let mut told = Told::of(&s.store, &["record found label=gun", "record found ok=true"]);
    let cam = |label: &str, score: &str| format!("{{\"flags\":[{{\"label\":\"{label}\",\"score\":{score}}}]}}");
    s.put("found", [("/a.json", Some(cam("cat", "1").as_str())), ("/b.txt", Some("label=gun"))]);
    assert_eq!(told.subjects(), Vec::<String>::new());
    s.put("found", [("/a.json", Some(cam("gun", "0.5").as_str()))]);
    assert_eq!(told.subjects(), ["label=gun in found@main:/a.json"]);
    s.put("found", [("/a.json", Some((cam("gun", "0.5") + "\n").as_str()))]);
    assert_eq!(told.subjects(), Vec::<String>::new(), "other bytes, the same record");
    s.put("found", [("/a.json", Some(cam("gun", "0.9").as_str()))]);
    assert_eq!(told.subjects(), ["label=gun in found@main:/a.json"]);
    s.put("found", [("/t.csv", Some("id,label,ok\n1,gun,no\n2,cat,True\n"))]);
    assert_eq!(told.subjects(), ["label=gun in found@main:/t.csv", "ok=true in found@main:/t.csv"]);
    s.put("found", [("/t.csv", Some("id,label,ok\n0,cat,no\n1,gun,no\n2,cat,True\n3,gun,no\n"))]);
    assert_eq!(told.subjects(), ["label=gun in found@main:/t.csv"]);
    s.put("found", [("/torn.json", Some("{\"label\":"))]);
    assert_eq!(told.subjects(), Vec::<String>::new());
}

#[test]
fn many_files_of_one_change_are_one_message() {
    let s = Setting::new();
    s.repo("images");
    let mut told = Told::of(&s.store, &["new file /** in images"]);
    let names: Vec<String> = (0..20).map(|number| format!("/a{number}")).collect();
    s.put("images", names.iter().map(|name| (name.as_str(), Some("1"))));
    assert_eq!(told.subjects().len(), 20);
    let names: Vec<String> = (0..300).map(|number| format!("/b{number}")).collect();
    s.put("images", names.iter().map(|name| (name.as_str(), Some("1"))));
    assert_eq!(told.subjects(), ["300 new or changed files in images@main"]);
}

#[test]
fn only_the_named_branch_counts_and_only_what_comes_later() {
    let s = Setting::new();
    s.repo("images");
    s.put("images", [("/before", Some("1"))]);
    let mut told = Told::of(&s.store, &["new file /*.jpg in images", "new file /a.* in images"]);
    s.put("images", [("/a.jpg", Some("1")), ("/b.txt", Some("1"))]);
    assert_eq!(told.subjects(), ["new file /a.jpg in images@main"], "once, though two rules match");
    let (repo, night): (specs::RepoName, specs::BranchName) = ("images".parse().unwrap(), "night".parse().unwrap());
    let head = s.head("images", "main");
    let moves = vec![repos::journal::Move { repo, branch: night, from: None, to: head }];
    let cause = engine::run::cause(&s.store, repos::journal::CauseKind::Move, &s.by, Vec::new());
    let change = engine::changes::run_change(&s.store, engine::run::new_run(), cause, moves).unwrap();
    s.store.publish(&change).unwrap();
    s.put_on("images", "night", [("/c.jpg", Some("1"))]);
    assert_eq!(told.subjects(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_of_what_the_notification_or_its_creator_may_not_see() {
    let s = Setting::new();
    s.repo("images").repo("secret").pipeline(THREAT);
    let rules = ["new file /** in images", "new file /** in secret", "job failed"];
    let mut told = Told::of(&s.store, &rules);
    let mut some = new("some", &["new file /** in images", "job failed"]);
    some.repos = vec!["images".to_owned()];
    create(&s.store, some).unwrap();
    let limited = s.store.seen_by(access("bob", repos::access::Role::Admin, &["threat", "images"]));
    assert_eq!(
        create(&limited, new("bobs", &["new file /** in secret"])).unwrap_err().to_string(),
        "repository `secret` not found"
    );
    s.put("images", [("/a", Some("bad"))]);
    s.put("secret", [("/b", Some("1"))]);
    s.run_with(flag).await;
    assert_eq!(told.subjects().len(), 3);
    let mut some = desk(&s.store, "some");
    while some.look().unwrap() {}
    let Step::Send(message) = some.next().unwrap() else { panic!("nothing to send") };
    assert_eq!(message.subject, "new file /a in images@main");
    assert_eq!(some.log.state().deliveries.len(), 1, "neither the job nor the other repository");
}
