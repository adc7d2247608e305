//! Tokens are stored as digests, work in every process at once, and stop working at once; the audit log keeps every line.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use repos::access::{Access, RepoGlobs, Role};
use repos::tokens::{Audit, AuditFilter, AuditLine, NewToken, Token, TokenState, Tokens, WhyNot};
use repos::{Store, Timestamp};
use specs::{ErrorKind, TokenName};

use super::access;
use super::common::{START, TestStore};

const DAY: i64 = 86_400_000_000;

fn new(name: &str, expires: Option<u64>) -> NewToken {
    NewToken {
        name: name.parse().unwrap(),
        role: Role::Writer,
        repos: RepoGlobs::parse(&["cam*"]).unwrap(),
        expires: expires.map(|days| Duration::from_secs(days * 86_400)),
        by: "uid:1@edge".to_owned(),
    }
}

fn named(name: &str) -> TokenName {
    name.parse().unwrap()
}

fn after(days: i64) -> Timestamp {
    Timestamp::from_micros(START + days * DAY)
}

#[test]
fn a_token_gives_its_access_until_it_ends_or_is_revoked() {
    let test = TestStore::new();
    let tokens = Tokens::of(&test.store);
    let (token, row) = tokens.create(new("ci", Some(30))).unwrap();
    let found = tokens.find(&token, after(1)).unwrap();
    // What is kept for it belongs to the token, not to its name.
    let client = token.digest().to_string();
    assert_eq!(found, Access { client: client.clone(), ..access(Role::Writer, &["cam*"]) });
    assert_eq!(tokens.of_client(&client, after(1)).unwrap(), found);
    assert_eq!(tokens.of_client(&client, after(31)).unwrap_err().to_string(), "token `ci` has expired");
    for unknown in ["", "ci", &Token::random().digest().to_string()] {
        assert_eq!(tokens.of_client(unknown, after(1)).unwrap_err().to_string(), "unknown token");
    }
    assert_eq!(row.state(after(1)), TokenState::Valid);
    assert_eq!(row.state(after(24)), TokenState::EndsSoon);
    let why = |token: &Token, at| tokens.find(token, at).unwrap_err().to_string();
    assert_eq!(why(&token, after(31)), "token `ci` has expired");
    assert_eq!(why(&Token::random(), after(1)), "unknown token");
    tokens.revoke(&named("ci")).unwrap();
    assert_eq!(why(&token, after(1)), "token `ci` was revoked");
    assert_eq!(why(&token, after(31)), "token `ci` was revoked");
    assert_eq!(tokens.find(&token, after(1)).unwrap_err().name(), Some(&named("ci")));
    assert_eq!(WhyNot::OUTWARDS, "this token is not valid");
}

#[test]
fn of_a_name_one_token_works_and_the_text_is_nowhere() {
    let test = TestStore::new();
    let tokens = Tokens::of(&test.store);
    let (token, _) = tokens.create(new("ci", None)).unwrap();
    let again = tokens.create(new("ci", None)).unwrap_err();
    assert_eq!((again.kind(), again.to_string()), (ErrorKind::Conflict, "token `ci` already exists".to_owned()));
    let missing = tokens.revoke(&named("cl")).unwrap_err();
    assert_eq!((missing.kind(), missing.hint()), (ErrorKind::NotFound, Some("did you mean `ci`?".to_owned())));
    tokens.revoke(&named("ci")).unwrap();
    assert_eq!(tokens.revoke(&named("ci")).unwrap_err().kind(), ErrorKind::NotFound);
    let (second, _) = tokens.create(new("ci", None)).unwrap();
    assert_ne!(token, second);
    let states: Vec<TokenState> = tokens.list().unwrap().iter().map(|row| row.state(after(0))).collect();
    assert_eq!(states, [TokenState::Valid, TokenState::Revoked], "the newest of a name first");
    let path = test.store.folder().join("tokens");
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(!kept.contains(token.text()) && kept.contains(&token.digest().to_string()));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let left: Vec<String> = std::fs::read_dir(test.store.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".part"))
        .filter(|name| name.starts_with("tokens"))
        .collect();
    assert_eq!(left, Vec::<String>::new(), "nothing half-written is left");
}

#[test]
fn a_token_without_repositories_or_with_an_impossible_end_is_refused() {
    let test = TestStore::new();
    let tokens = Tokens::of(&test.store);
    let none = NewToken { repos: RepoGlobs::default(), ..new("ci", None) };
    assert_eq!(tokens.create(none).unwrap_err().to_string(), "token `ci` covers no repository");
    for expires in [Duration::ZERO, Duration::MAX] {
        let error = tokens.create(NewToken { expires: Some(expires), ..new("ci", None) }).unwrap_err();
        assert_eq!(error.to_string(), "token `ci` cannot end then", "{expires:?}");
    }
    assert_eq!(tokens.list().unwrap(), []);
}

#[test]
fn another_process_sees_a_revocation_at_once() {
    let test = TestStore::new();
    let other = Store::open(test.store.dir()).unwrap();
    let (one, two) = (Tokens::of(&test.store), Tokens::of(&other));
    let (token, _) = one.create(new("ci", None)).unwrap();
    two.find(&token, after(0)).unwrap();
    one.revoke(&named("ci")).unwrap();
    assert!(matches!(two.find(&token, after(0)), Err(WhyNot::Revoked(_))));
}

#[test]
fn no_change_is_lost_when_many_write_at_once() {
    let test = TestStore::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let dir = test.store.dir();
            scope.spawn(move || {
                let tokens = Tokens::of(&Store::open(dir).unwrap());
                for number in 0..10 {
                    let (token, _) = tokens.create(new(&format!("t{thread}-{number}"), None)).unwrap();
                    tokens.find(&token, after(0)).unwrap();
                    if number % 2 == 0 {
                        tokens.revoke(&named(&format!("t{thread}-{number}"))).unwrap();
                    }
                }
            });
        }
    });
    let rows = Tokens::of(&test.store).list().unwrap();
    assert_eq!(rows.len(), 40);
    assert!(rows.iter().all(|row| row.used_at.is_some()));
    assert_eq!(rows.iter().filter(|row| row.revoked_at.is_some()).count(), 20);
}

#[test]
fn the_use_of_a_token_is_written_once_a_minute() {
    let test = TestStore::new();
    let tokens = Tokens::of(&test.store);
    let (token, _) = tokens.create(new("ci", None)).unwrap();
    let used = |seconds: i64| {
        let at = Timestamp::from_micros(START + seconds * 1_000_000);
        tokens.find(&token, at).unwrap();
        (tokens.list().unwrap()[0].used_at.unwrap().as_micros() - START) / 1_000_000
    };
    assert_eq!([used(5), used(6), used(64), used(65), used(100), used(500)], [5, 5, 5, 65, 65, 500]);
}

#[test]
fn who_cannot_read_or_write_the_file_is_not_called_unknown() {
    let test = TestStore::new();
    let tokens = Tokens::of(&test.store);
    let (token, _) = tokens.create(new("ci", None)).unwrap();
    std::fs::write(test.store.folder().join("tokens"), "{\"format\":2,\"tokens\":{}}").unwrap();
    let Err(WhyNot::Unreadable(error)) = tokens.find(&token, after(0)) else { panic!("it can be read") };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(tokens.create(new("other", None)).unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn a_workers_token_covers_no_repository_and_cannot_be_limited() {
    let test = TestStore::new();
    let tokens = Tokens::of(&test.store);
    let worker = |repos| NewToken { role: Role::Worker, repos, ..new("edge", None) };
    for limited in [&["cam*"][..], &[]] {
        let error = tokens.create(worker(RepoGlobs::parse(limited).unwrap())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    }
    let (token, row) = tokens.create(worker(RepoGlobs::all())).unwrap();
    let access = tokens.find(&token, after(1)).unwrap();
    assert!(row.repos.is_empty() && access.may_join() && !access.sees_all());
    let store = test.store.seen_by(access);
    assert!(store.repos().unwrap().is_empty(), "it sees nothing of the store");
}

#[test]
fn only_an_admin_of_everything_sees_tokens_and_the_audit_log() {
    let test = TestStore::new();
    for (role, globs, may) in
        [(Role::Admin, &["*"][..], true), (Role::Admin, &["cam*"], false), (Role::Writer, &["*"], false)]
    {
        let store = test.store.seen_by(access(role, globs));
        let tokens = Tokens::of(&store);
        assert_eq!(tokens.list().is_ok(), may);
        assert_eq!(tokens.create(new(&format!("{role}-{}", globs.len()), None)).is_ok(), may);
        assert_eq!(Audit::of(&store).read(AuditFilter::default()).is_ok(), may);
    }
}

fn line(number: i64, who: &str) -> AuditLine {
    AuditLine {
        at: after(number),
        who: who.to_owned(),
        from: Some("192.0.2.1".to_owned()),
        operation: "commits.create".to_owned(),
        on: Some(format!("images@{number}")),
        outcome: 201,
        why: None,
        request: None,
    }
}

fn read(audit: &Audit, filter: AuditFilter) -> Vec<AuditLine> {
    audit.read(filter).unwrap().map(Result::unwrap).collect()
}

#[test]
fn the_audit_log_is_read_newest_first_whatever_its_length() {
    let test = TestStore::new();
    let audit = Audit::of(&test.store);
    assert_eq!(read(&audit, AuditFilter::default()), []);
    // More than one block of the reader.
    let lines: Vec<AuditLine> =
        (0..1_000).map(|number| line(number, if number % 3 == 0 { "ci" } else { "anna" })).collect();
    for line in &lines {
        audit.append(line).unwrap();
    }
    assert!(std::fs::metadata(test.store.folder().join("audit")).unwrap().len() > 100_000);
    assert_eq!(read(&audit, AuditFilter::default()), lines.iter().rev().cloned().collect::<Vec<_>>());
    let newest: Vec<AuditLine> = audit.read(AuditFilter::default()).unwrap().take(2).map(Result::unwrap).collect();
    assert_eq!(newest, [line(999, "ci"), line(998, "anna")]);
    let filter = AuditFilter { who: Some("ci".to_owned()), since: Some(after(995)) };
    assert_eq!(read(&audit, filter), [line(999, "ci"), line(996, "ci")]);
    let mode = std::fs::metadata(test.store.folder().join("audit")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_line_that_was_cut_off_harms_no_other_and_texts_of_clients_stay_short() {
    let test = TestStore::new();
    let audit = Audit::of(&test.store);
    audit.append(&line(1, "ci")).unwrap();
    let path = test.store.folder().join("audit");
    let mut kept = std::fs::read(&path).unwrap();
    kept.extend_from_slice(b"{\"at\":\"2026-07-0");
    std::fs::write(&path, kept).unwrap();
    let long = AuditLine { on: Some("x\n\"".repeat(10_000)), ..line(2, "ci") };
    audit.append(&long).unwrap();
    let read = read(&audit, AuditFilter::default());
    assert_eq!(read.len(), 2);
    assert_eq!((read[0].on.as_ref().unwrap().len(), &read[1]), (300, &line(1, "ci")));
}

#[test]
fn lines_of_many_writers_never_mix() {
    let test = TestStore::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let audit = Audit::of(&test.store);
            scope.spawn(move || (0..50).for_each(|number| audit.append(&line(number, &format!("t{thread}"))).unwrap()));
        }
    });
    let audit = Audit::of(&test.store);
    assert_eq!(read(&audit, AuditFilter::default()).len(), 200);
}

#[test]
fn collecting_checking_and_mirroring_leave_both_files_alone() {
    let test = TestStore::new();
    test.set("images", &[("/a", Some("1"))]);
    let (token, _) = Tokens::of(&test.store).create(new("ci", None)).unwrap();
    Audit::of(&test.store).append(&line(1, "ci")).unwrap();
    let files = ["tokens", "audit"].map(|name| test.store.folder().join(name));
    let before = files.clone().map(|path| std::fs::read(path).unwrap());
    repos::gc::collect(&test.store, "uid:1@edge", false, &|_, _, _| {}).unwrap();
    assert!(repos::fsck::check(&test.store, &|_, _, _| {}).unwrap().problems.is_empty());
    let mirror = test.folder.path().join("mirror");
    let url = format!("file://{}", mirror.display());
    test.store.mirror(&url, &repos::place::Access::default(), false, &|_, _, _| {}).unwrap();
    assert_eq!(before, files.map(|path| std::fs::read(path).unwrap()));
    let copied = super::common::files_in_lossy(&mirror);
    assert!(!copied.is_empty());
    for (name, content) in copied {
        assert!(!name.contains("tokens") && !name.contains("audit"), "{name}");
        assert!(!content.contains(&token.digest().to_string()), "{name}");
    }
}
