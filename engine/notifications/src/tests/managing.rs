//! What people do with notifications, and what of them they may see.

use std::os::unix::fs::PermissionsExt;

use repos::access::{RepoGlobs, Role};
use repos::tokens::{NewToken, Tokens};
use repos::{RepoError, Store};
use specs::ErrorKind;

use super::setting::Setting;
use super::{Told, access, definition, new, time};
use crate::desk::Step;
use crate::manage::{create, delete, deliveries, list, needs, pause, redeliver, resume, rotate_secret, show, test};
use crate::view::NotificationState;

fn names(store: &Store) -> Vec<String> {
    list(store).unwrap().into_iter().map(|view| view.name.to_string()).collect()
}

fn kind<T>(done: Result<T, RepoError>) -> ErrorKind {
    done.err().expect("it is refused").kind()
}

#[test]
fn one_is_created_once_and_kept_where_only_its_owner_reads() {
    let s = Setting::new();
    s.repo("images");
    let created = create(&s.store, new("night", &["job failed", "job failed"])).unwrap();
    let secret = created.secret.unwrap();
    assert!(secret.starts_with("whsec_"), "{secret}");
    assert_eq!((created.view.on.len(), created.view.behind, created.view.waiting), (1, 0, 0));
    let folder = s.store.folder().join("notifications");
    for (file, mode) in [(folder.clone(), 0o700), (folder.join("night.json"), 0o600), (folder.join("night.log"), 0o600)]
    {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, mode, "{}", file.display());
    }
    assert!(!serde_json::to_string(&show(&s.store, &"night".parse().unwrap()).unwrap()).unwrap().contains(&secret));
    assert_eq!(kind(create(&s.store, new("night", &["disk low"]))), ErrorKind::Conflict);
    let error = show(&s.store, &"nigth".parse().unwrap()).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.hint().as_deref()),
        ("notification `nigth` not found", Some("did you mean `night`?"))
    );
    delete(&s.store, &"night".parse().unwrap()).unwrap();
    assert_eq!(names(&s.store), Vec::<String>::new());
    assert!(!folder.join("night.log").exists());
    assert_eq!(kind(delete(&s.store, &"night".parse().unwrap())), ErrorKind::NotFound);
}

#[test]
fn what_would_never_tell_anything_is_refused() {
    let s = Setting::new();
    s.repo("images").repo("model");
    let mut faults = vec![new("a", &[]), new("a", &["job succeeded"]), new("a", &["new file /** in image"])];
    let with = |change: &dyn Fn(&mut crate::manage::NewNotification)| {
        let mut one = new("a", &["new file /** in images"]);
        change(&mut one);
        one
    };
    faults.push(with(&|one| one.to = "ftp://x".to_owned()));
    faults.push(with(&|one| one.style = Some("irc".to_owned())));
    faults.push(with(&|one| one.repos = vec!["a/b".to_owned()]));
    faults.push(with(&|one| one.repos = vec!["model".to_owned()]));
    faults.push(with(&|one| one.quiet_hours = Some("night".to_owned())));
    faults.push(with(&|one| one.digest = Some("0s".parse().unwrap())));
    for fault in faults {
        let error = create(&s.store, fault.clone()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Usage | ErrorKind::NotFound), "{fault:?}: {error}");
        assert!(error.hint().is_some(), "{error}");
    }
    assert!(create(&s.store, new("a", &["job failed x y"])).unwrap_err().hint().unwrap().contains("--on 'disk low'"));
    assert_eq!(names(&s.store), Vec::<String>::new());
}

#[test]
fn a_secret_is_rotated_and_the_one_before_signs_for_a_day() {
    let (s, clock) = super::at_time("2026-07-01T12:00:00Z");
    let first = create(&s.store, new("night", &["job failed"])).unwrap().secret.unwrap();
    let rotated = rotate_secret(&s.store, &"night".parse().unwrap()).unwrap();
    assert_ne!(rotated.secret.unwrap(), first);
    assert_eq!(rotated.view.old_secret_until, Some(time("2026-07-02T12:00:00Z")));
    clock.set("2026-07-02T12:00:00Z");
    assert_eq!(show(&s.store, &"night".parse().unwrap()).unwrap().old_secret_until, None);
    let mut mail = new("mail", &["job failed"]);
    mail.to = "mailto:anna@example.com".to_owned();
    assert_eq!(create(&s.store, mail).unwrap().secret, None);
    assert_eq!(kind(rotate_secret(&s.store, &"mail".parse().unwrap())), ErrorKind::Usage);
}

#[test]
fn only_administrators_change_and_nobody_sees_what_tells_more_than_they_may_see() {
    let s = Setting::new();
    s.repo("images").repo("cam1");
    create(&s.store, new("all", &["job failed"])).unwrap();
    let mut cams = new("cams", &["new file /** in cam1"]);
    cams.repos = vec!["cam*".to_owned()];
    create(&s.store, cams).unwrap();
    let mut one = new("one", &["job failed"]);
    one.repos = vec!["cam1".to_owned()];
    create(&s.store, one).unwrap();
    let as_reader = |globs: &[&str]| s.store.seen_by(access("r", Role::Reader, globs));
    assert_eq!(names(&as_reader(&["*"])), ["all", "cams", "one"]);
    assert_eq!(names(&as_reader(&["cam*"])), ["cams", "one"]);
    assert_eq!(names(&as_reader(&["cam1"])), ["one"], "`cam*` may cover more");
    assert_eq!(names(&as_reader(&["images"])), Vec::<String>::new());
    let (all, one) = ("all".parse().unwrap(), "one".parse().unwrap());
    let limited = s.store.seen_by(access("a", Role::Admin, &["cam*"]));
    for store in [as_reader(&["cam*"]), limited.clone()] {
        assert_eq!(kind(show(&store, &all)), ErrorKind::NotFound);
        assert_eq!(kind(pause(&store, &all)), ErrorKind::NotFound);
        assert_eq!(kind(deliveries(&store, &all)), ErrorKind::NotFound);
    }
    let reader = as_reader(&["*"]);
    assert_eq!(kind(create(&reader, new("x", &["disk low"]))), ErrorKind::Refused);
    assert_eq!(kind(pause(&reader, &one)), ErrorKind::Refused);
    assert_eq!(kind(resume(&reader, &one, false)), ErrorKind::Refused);
    assert_eq!(kind(delete(&reader, &one)), ErrorKind::Refused);
    assert_eq!(kind(rotate_secret(&reader, &one)), ErrorKind::Refused);
    assert_eq!(kind(test(&reader, &one)), ErrorKind::Refused);
    pause(&limited, &one).unwrap();
    let mut private = new("private", &["job failed"]);
    (private.to, private.allow_private) = ("http://127.0.0.1:1/".to_owned(), true);
    assert_eq!(kind(create(&limited, private.clone())), ErrorKind::Refused);
    create(&s.store, private).unwrap();
}

#[test]
fn a_delivery_is_seen_and_sent_again_only_by_those_who_may() {
    let s = Setting::new();
    s.repo("images");
    let mut told = Told::of(&s.store, &["new file /** in images"]);
    s.put("images", [("/a", Some("1"))]);
    told.turn();
    let id = deliveries(&s.store, &"told".parse().unwrap()).unwrap()[0].id.clone();
    let reader = s.store.seen_by(access("r", Role::Reader, &["*"]));
    assert_eq!(kind(redeliver(&reader, &id)), ErrorKind::Refused);
    let other = s.store.seen_by(access("a", Role::Admin, &["cam*"]));
    assert_eq!(kind(redeliver(&other, &id)), ErrorKind::NotFound);
    assert_eq!(kind(redeliver(&s.store, "msg_nothing")), ErrorKind::NotFound);
    redeliver(&s.store, &id).unwrap();
    told.turn();
    assert_eq!(told.messages.iter().map(|message| &message.id).collect::<Vec<_>>(), [&id, &id]);
}

#[test]
fn a_notification_of_a_token_that_was_revoked_tells_nothing_more() {
    let s = Setting::new();
    s.repo("images").repo("secret");
    let token = NewToken {
        name: "bob".parse().unwrap(),
        role: Role::Admin,
        repos: RepoGlobs::parse(&["images"]).unwrap(),
        expires: None,
        by: "tests".to_owned(),
    };
    let tokens = Tokens::of(&s.store);
    let (token, _) = tokens.create(token).unwrap();
    let bob = s.store.seen_by(tokens.find(&token, s.store.clock().now()).unwrap());
    create(&bob, new("bobs", &["new file /** in images"])).unwrap();
    assert_eq!(names(&bob), ["bobs"]);
    let mut told = Told::by(&s.store, "bobs");
    s.put("images", [("/a", Some("1"))]);
    assert_eq!(told.subjects(), ["new file /a in images@main"]);
    s.put("images", [("/b", Some("1"))]);
    told.desk.look().unwrap();
    tokens.revoke(&"bob".parse().unwrap()).unwrap();
    s.put("images", [("/c", Some("1"))]);
    assert_eq!(told.subjects(), Vec::<String>::new());
    assert!(matches!(told.desk.next().unwrap(), Step::Wait(None)));
    let view = show(&s.store, &"bobs".parse().unwrap()).unwrap();
    assert_eq!((view.state, view.waiting), (NotificationState::Held, 1));
    assert_eq!(view.why.unwrap(), "token `bob`, which created it, was revoked");
    let needs = needs(&s.store, true).unwrap();
    assert_eq!((needs.len(), needs[0].commands.as_slice()), (1, ["pv notify delete bobs".to_owned()].as_slice()));
}

#[test]
fn another_one_with_the_same_name_has_a_log_of_its_own() {
    let (s, clock) = super::at_time("2026-07-01T12:00:00Z");
    s.repo("images");
    let mut told = Told::of(&s.store, &["new file /** in images"]);
    s.put("images", [("/a", Some("1"))]);
    let before = definition(&s.store, "told");
    delete(&s.store, &before.name).unwrap();
    clock.set("2026-07-01T12:00:01Z");
    create(&s.store, new("told", &["new file /** in images"])).unwrap();
    assert!(!told.desk.renew().unwrap(), "the one before is gone");
    s.put("images", [("/b", Some("1"))]);
    assert!(told.desk.look().is_err_and(|error| error.kind() == ErrorKind::NotFound));
    assert_eq!(deliveries(&s.store, &before.name).unwrap(), Vec::new());
}
