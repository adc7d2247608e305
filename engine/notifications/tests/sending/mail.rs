//! Mail, received by a server made of aiosmtpd and read by Python's `email`.

use crate::support::{mailer, message, options, said, short};
use notifications::{MailAccount, Options, Outcome, Picture, Target};
use repos::settings::{self, MailServer, Value as _};
use serde_json::json;
use tests::receivers::{Certificate, LOGIN, Receiver};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

fn account(server: &str) -> MailAccount {
    let server = MailServer::read(server).unwrap();
    MailAccount { server, password: Some(LOGIN.1.to_owned()), from: "pv@example.org".parse().unwrap() }
}

fn to(addresses: &str) -> Target {
    Target::parse(&format!("mailto:{addresses}"), None, false).unwrap()
}

/// 1 pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";

#[tokio::test]
async fn a_mail_arrives_over_tls_with_picture_trace_and_link() {
    let Some(certificate) = Certificate::new() else { return };
    for (mode, scheme) in [("tls", "smtps"), ("starttls", "smtp")] {
        let Some(receiver) = Receiver::mail(mode, Some(&certificate)) else { return };
        let account = account(&format!("{scheme}://{}@mail.test:{}", LOGIN.0, receiver.port));
        let sender = mailer(account, options(Some(&certificate)));
        let mut message = message("msg_1");
        let picture = Picture { name: "cäm7.png".to_owned(), media_type: "image/png", bytes: PNG.to_vec() };
        message.picture = Some(picture);
        assert_eq!(said(&sender.send(&to("ops@example.org,b@example.org"), &message).await), "delivered", "{mode}");
        let mail = receiver.next();
        assert_eq!(mail["subject"], json!("threat 0.91 in threat:/cam7_1700000000.json"));
        assert_eq!((&mail["login"], &mail["is_tls"]), (&json!(LOGIN.0), &json!(true)), "{mode}");
        assert_eq!(
            (&mail["from"], &mail["to"]),
            (&json!("pv@example.org"), &json!(["ops@example.org", "b@example.org"]))
        );
        assert_eq!((&mail["defects"], &mail["is_ascii"]), (&json!([]), &json!(true)));
        assert_eq!(
            (&mail["headers"]["auto-submitted"], &mail["headers"]["message-id"]),
            (&json!("auto-generated"), &json!("<msg_1@example.org>"))
        );
        assert_eq!(
            mail["structure"],
            json!(["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"])
        );
        let parts = mail["parts"].as_array().unwrap();
        let text = parts[0]["text"].as_str().unwrap();
        for expected in
            ["value: 0.91 ≥ 0.8\n", "\n  └ images:/cam7_1700000000.jpg\n", "\nhttps://pv.example.org/r/threat\n"]
        {
            assert!(text.contains(expected), "{text}");
        }
        let image = &parts[2];
        assert_eq!((&image["disposition"], &image["name"]), (&json!("inline"), &json!("cäm7.png")));
        assert_eq!(image["sha256"], json!(repos::hash::digest_of(PNG).to_string()), "byte for byte");
        let id = image["id"].as_str().unwrap().trim_matches(['<', '>']);
        assert!(parts[1]["text"].as_str().unwrap().contains(&format!("src=\"cid:{id}\"")));
    }
}

#[tokio::test]
async fn a_mail_without_a_picture_is_plain_text() {
    let Some(receiver) = Receiver::mail("plain", None) else { return };
    let sender = mailer(account(&format!("smtp://localhost:{}", receiver.port)), options(None));
    let mut evil = message("msg_1");
    evil.subject = "ä\r\nBcc: victim@example.org".to_owned();
    evil.trace = Some(".\n.\nMAIL FROM:<x@example.org>\n".to_owned());
    assert_eq!(said(&sender.send(&to("ops@example.org"), &evil).await), "delivered");
    let mail = receiver.next();
    assert_eq!((&mail["structure"], &mail["is_tls"]), (&json!(["text/plain"]), &json!(false)));
    assert_eq!((&mail["subject"], &mail["to"]), (&json!("ä Bcc: victim@example.org"), &json!(["ops@example.org"])));
    assert_eq!(mail["headers"].get("bcc"), None);
    assert!(
        mail["parts"][0]["text"].as_str().unwrap().contains("\n.\n.\nMAIL FROM:<x@example.org>\n"),
        "dots stay: {mail}"
    );
    assert!(receiver.came().is_none(), "one mail");
}

#[tokio::test]
async fn what_a_server_says_has_its_outcome() {
    let Some(receiver) = Receiver::mail("plain", None) else { return };
    let sender = mailer(account(&format!("smtp://localhost:{}", receiver.port)), options(None));
    let outcome = async |addresses: &str, subject: &str| {
        said(
            &sender.send(&to(addresses), &notifications::Message { subject: subject.to_owned(), ..message("a") }).await,
        )
    };
    let none = outcome("refused@example.org", "none").await;
    assert!(none.starts_with("refused: refused@example.org: ") && none.contains("no such user"), "{none}");
    let wait = outcome("later@example.org,ops@example.org", "wait").await;
    assert!(wait.starts_with("later: later@example.org: ") && wait.contains("come back later"), "{wait}");
    let some = outcome("ops@example.org,refused@example.org", "some").await;
    assert!(some.starts_with("refused: refused@example.org: ") && some.ends_with("; the others have it"), "{some}");
    let first = receiver.next();
    assert_eq!(
        (&first["subject"], &first["to"]),
        (&json!("some"), &json!(["ops@example.org"])),
        "nobody got those before"
    );
    let spam = outcome("ops@example.org", "spam").await;
    assert!(spam.starts_with("refused: the mail is refused: ") && spam.contains("looks like spam"), "{spam}");
    let busy = outcome("ops@example.org", "busy").await;
    assert!(busy.starts_with("later: the mail is refused: ") && busy.contains("disk full"), "{busy}");
}

#[tokio::test]
async fn a_wrong_password_or_certificate_waits_and_shows_no_secret() {
    let Some(certificate) = Certificate::new() else { return };
    let Some(receiver) = Receiver::mail("tls", Some(&certificate)) else { return };
    let server = format!("smtps://{}@mail.test:{}", LOGIN.0, receiver.port);
    let wrong = MailAccount { password: Some("hidden".to_owned()), ..account(&server) };
    assert!(!format!("{wrong:?}").contains("hidden"));
    let outcome = said(&mailer(wrong, options(Some(&certificate))).send(&to("a@b.org"), &message("a")).await);
    assert!(outcome.starts_with("later: pv-user cannot log in: ") && !outcome.contains("hidden"), "{outcome}");
    let stranger = said(&mailer(account(&server), options(None)).send(&to("a@b.org"), &message("a")).await);
    assert!(stranger.starts_with("later: cannot connect") && stranger.contains("certificate"), "{stranger}");
    let none = MailAccount { password: None, ..account(&server) };
    let none = said(&mailer(none, options(Some(&certificate))).send(&to("a@b.org"), &message("a")).await);
    assert_eq!(none, "later: no password for pv-user: pv config set mail_password SECRET");
    drop(receiver);
    let dead = said(&mailer(account(&server), options(Some(&certificate))).send(&to("a@b.org"), &message("a")).await);
    assert!(dead.starts_with("later: cannot connect"), "{dead}");
    assert_eq!(
        said(&crate::support::sender(options(None)).send(&to("a@b.org"), &message("a")).await),
        "later: no mail here"
    );
}

/// A server that says these lines, each after a line of the client; gives what the client said.
async fn script(listener: TcpListener, lines: &'static [&'static str]) -> Vec<String> {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut heard = Vec::new();
    for line in lines {
        stream.get_mut().write_all(line.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        stream.read_until(b'\n', &mut said).await.ok();
        heard.push(String::from_utf8_lossy(&said).trim_end().to_owned());
    }
    heard
}

/// What a client at `host` says to such a server, and what becomes of the mail.
async fn talk(host: &str, options: Options, lines: &'static [&'static str]) -> (Outcome, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let account = account(&format!("smtp://{}@{host}:{}", LOGIN.0, listener.local_addr().unwrap().port()));
    let server = tokio::spawn(script(listener, lines));
    let outcome = mailer(account, options).send(&to("a@b.org"), &message("a")).await;
    (outcome, server.await.unwrap())
}

#[tokio::test]
async fn no_login_is_sent_before_tls() {
    let (outcome, heard) =
        talk("mail.test", options(None), &["220 mail.test\r\n", "250-mail.test\r\n250 AUTH PLAIN LOGIN\r\n"]).await;
    assert!(said(&outcome).starts_with("later: no TLS with the mail server: "), "{outcome:?}");
    assert!(heard.iter().all(|line| !line.starts_with("AUTH")), "{heard:?}");
}

#[tokio::test]
async fn lines_that_came_before_tls_do_not_count_after_it() {
    let Some(certificate) = Certificate::new() else { return };
    let Some(receiver) = Receiver::mail("slipped", Some(&certificate)) else { return };
    let account = account(&format!("smtp://{}@mail.test:{}", LOGIN.0, receiver.port));
    let outcome = mailer(account, options(Some(&certificate))).send(&to("a@b.org"), &message("a")).await;
    assert!(said(&outcome).starts_with("later: no TLS with the mail server: "), "{outcome:?}");
    let heard = receiver.next()["heard"].to_string();
    assert!(!heard.contains("EHLO") && !heard.contains("AUTH"), "{heard}");
}

#[tokio::test]
async fn a_server_that_hangs_is_left() {
    let (outcome, _) = talk("localhost", short(options(None)), &["220-wait\r\n"]).await;
    assert_eq!(said(&outcome), "later: localhost did not take it within 0.3 s");
    let (outcome, _) =
        talk("localhost", options(None), &["220 mail.test\r\n", "250 mail.test\r\n", "421 4.3.2 closing\r\n"]).await;
    assert!(matches!(outcome, Outcome::Later { .. }), "{outcome:?}");
}

#[test]
fn a_mail_account_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let store = repos::OpenOptions::default().init(folder.path(), "main".parse().unwrap()).unwrap();
    let set = |name: &str, value: &str| store.set_setting(settings::named(name).unwrap(), Some(value)).unwrap();
    let missing = || notifications::mail_account(&store).unwrap_err();
    assert_eq!(missing(), "`mail_server` is not set: pv config set mail_server smtps://USER@HOST");
    set("mail_server", "smtps://pv@mail.example.org");
    assert_eq!(missing(), "`mail_from` is not set: pv config set mail_from NAME@HOST");
    set("mail_from", "pv@example.org");
    assert_eq!(missing(), "`mail_password` is not set: pv config set mail_password SECRET");
    set("mail_password", "mail");
    assert_eq!(missing(), "secret `mail` with a text `password` not found: pv secret create mail password=FILE");
    let values = [("password".parse().unwrap(), b"hidden\n".to_vec())].into();
    engine::secrets::keep(&store, &"mail".parse().unwrap(), &values).unwrap();
    let account = notifications::mail_account(&store).unwrap();
    assert_eq!((account.password.as_deref(), account.server.port), (Some("hidden"), 465));
    assert!(!format!("{account:?}").contains("hidden"));
}
