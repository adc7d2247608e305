//! The form of a mail: plain text, or beside it HTML with the picture, which all programs for mail show.

use std::time::{Duration, SystemTime};

use lettre::Address;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, Message as Mail, MultiPart, SinglePart};
use repos::Timestamp;

use crate::message::{Message, Picture};
use crate::text::{escaped, html, line, link};

/// A larger picture is left out.
const PICTURE: usize = 1 << 20;
/// Most characters of a subject.
const SUBJECT: usize = 180;
/// Most characters of a value.
const VALUE: usize = 2000;
/// Most lines of a trace, and most characters of each.
const TRACE: (usize, usize) = (500, 400);

/// The mail as it is sent: ASCII, lines of at most 998 bytes that end with CR LF.
pub(super) fn mail(from: &Address, to: &[Address], message: &Message, now: Timestamp) -> Result<Vec<u8>, String> {
    let mailbox = |name: Option<&str>, address: &Address| Mailbox::new(name.map(str::to_owned), address.clone());
    let mut builder = Mail::builder()
        .from(mailbox(Some("pv"), from))
        .subject(line(&message.subject, SUBJECT))
        .date(date(now))
        .message_id(Some(format!("<{}@{}>", message_id(&message.id), from.domain())))
        // RFC 3834: so that no holiday notice answers.
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Auto-Response-Suppress", "All"));
    for one in to {
        builder = builder.to(mailbox(None, one));
    }
    let text = SinglePart::plain(plain(message));
    let mail = match message.picture.as_ref().filter(|picture| picture.bytes.len() <= PICTURE) {
        None => builder.singlepart(text),
        Some(picture) => {
            builder.multipart(MultiPart::alternative().singlepart(text).multipart(pictured(message, picture)?))
        }
    };
    mail.map(|mail| mail.formatted()).map_err(|error| error.to_string())
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn date(now: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(now.as_micros()).unwrap_or_default())
}

/// An id as the left part of a `Message-ID`: what may not stand there is replaced by its number, so different ids stay different.
fn message_id(id: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    id.chars().map(|c| if kept(c) { c.to_string() } else { format!("={:x}=", u32::from(c)) }).collect()
}

fn plain(message: &Message) -> String {
    let mut text = format!("{}\n\n", line(&message.subject, VALUE));
    for (name, value) in &message.lines {
        text += &format!("{}: {}\n", line(name, VALUE), line(value, VALUE));
    }
    if let Some(trace) = &message.trace {
        text += &format!("\n{}\n", trace_text(trace));
    }
    if let Some(link) = message.link.as_deref().and_then(link) {
        text += &format!("\n{link}\n");
    }
    text + &format!("\n-- \n{}\n", footer(message))
}

/// The last line: the event, its time and id, for filters in mail programs.
fn footer(message: &Message) -> String {
    line(&format!("pv · {} · {} · {}", message.event, message.at, message.id), VALUE)
}

/// The lines of a trace keep their indentation.
fn trace_text(trace: &str) -> String {
    let (most, limit) = TRACE;
    let mut lines: Vec<String> = trace
        .lines()
        .take(most)
        .map(|text| {
            let indent: String = text.chars().take_while(|c| *c == ' ').collect();
            indent + &line(text, limit)
        })
        .collect();
    if trace.lines().nth(most).is_some() {
        lines.push("…".to_owned());
    }
    lines.join("\n")
}

fn pictured(message: &Message, picture: &Picture) -> Result<MultiPart, String> {
    let content_id = format!("picture.{}@pv", message_id(&message.id));
    let kind = ContentType::parse(picture.media_type)
        .map_err(|_| format!("`{}` is not a type of media", picture.media_type))?;
    let bytes = Body::new_with_encoding(picture.bytes.clone(), ContentTransferEncoding::Base64);
    let bytes = bytes.map_err(|_| "the picture cannot be encoded".to_owned())?;
    let name = line(&picture.name, 200);
    let image = Attachment::new_inline_with_name(content_id.clone(), name).body(bytes, kind);
    Ok(MultiPart::related().singlepart(SinglePart::html(page(message, picture, &content_id))).singlepart(image))
}

fn page(message: &Message, picture: &Picture, content_id: &str) -> String {
    let safe = |text: &str| escaped(&line(text, VALUE), VALUE * 6, html);
    let row = |(name, value): &(String, String)| {
        format!("<tr><td valign=\"top\">{}</td><td>{}</td></tr>\n", safe(name), safe(value))
    };
    let rows = message.lines.iter().map(row).collect::<Vec<_>>().concat();
    let trace = message
        .trace
        .as_deref()
        .map_or_else(String::new, |trace| format!("<pre>{}</pre>\n", escaped(&trace_text(trace), usize::MAX, html)));
    let link = message.link.as_deref().and_then(link).map_or_else(String::new, |link| {
        format!("<p><a href=\"{}\">Open in pv</a></p>\n", escaped(&link, usize::MAX, html))
    });
    format!(
        "<!DOCTYPE html>\n<html><body>\n<p><b>{}</b></p>\n<table>\n{rows}</table>\n\
         <p><img src=\"cid:{content_id}\" alt=\"{}\" style=\"max-width:100%\"></p>\n{trace}{link}<p><small>{}</small></p>\n</body></html>\n",
        safe(&message.subject),
        safe(&picture.name),
        safe(&footer(message)),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn message(subject: &str, name: &str) -> Message {
        Message {
            id: "msg_1.a".to_owned(),
            event: "file.new".to_owned(),
            at: "2026-07-01T12:14:43.000123Z".parse().unwrap(),
            subject: subject.to_owned(),
            lines: vec![("file".to_owned(), name.to_owned())],
            trace: Some(format!("threat:{name}\n  └ detect <b>\n")),
            link: Some("https://pv.example.org/r/threat".to_owned()),
            picture: Some(Picture {
                name: name.to_owned(),
                media_type: "image/png",
                bytes: b"\x89PNG\r\n\0\xff".to_vec(),
            }),
            data: json!({}),
        }
    }

    fn composed(message: &Message) -> String {
        let address = |text: &str| text.parse::<Address>().unwrap();
        let to = [address("ops@example.org"), address("b@example.org")];
        let now = Timestamp::from_micros(1_782_908_083_000_123);
        String::from_utf8(mail(&address("pv@example.org"), &to, message, now).unwrap()).unwrap()
    }

    fn headers(text: &str) -> Vec<(String, String)> {
        let head = text.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ").replace("\r\n\t", " ");
        head.lines()
            .map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
            .collect()
    }

    #[test]
    fn a_mail_says_where_it_comes_from_and_that_nobody_wrote_it() {
        let text = composed(&message("threat 0.91 in threat:/cam7.json", "/cam7.json"));
        let found = headers(&text);
        let value = |name: &str| found.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(value("Subject"), Some("threat 0.91 in threat:/cam7.json"));
        assert_eq!(value("From"), Some("pv <pv@example.org>"));
        assert_eq!(value("To"), Some("ops@example.org, b@example.org"));
        assert_eq!(value("Message-ID"), Some("<msg_1=2e=a@example.org>"), "the same at each attempt");
        assert_eq!(value("Auto-Submitted"), Some("auto-generated"));
        assert_eq!(value("Date"), Some("Wed, 01 Jul 2026 12:14:43 +0000"));
        assert!(text.contains("Content-ID: <picture.msg_1=2e=a@pv>"), "{text}");
        assert!(text.contains("iVBORw0KAP8="), "the picture, whole: {text}");
    }

    #[test]
    fn a_name_is_neither_a_header_nor_markup() {
        let evil = "x\r\nBcc: victim@example.org\r\n\r\n<script>alert(1)</script>\"&.png";
        let message = message(evil, evil);
        assert!(headers(&composed(&message)).iter().all(|(name, _)| name != "Bcc"));
        let page = page(&message, message.picture.as_ref().unwrap(), "id");
        assert!(!page.contains("<script") && !page.contains("<b>\n") && page.contains("&lt;script&gt;"), "{page}");
    }

    #[test]
    fn a_large_picture_is_left_out() {
        let mut large = message("a", "b");
        large.picture.as_mut().unwrap().bytes = vec![0; PICTURE + 1];
        let text = composed(&large);
        assert!(
            text.contains("Content-Type: text/plain") && !text.contains("multipart") && text.len() < 4000,
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn every_mail_is_ascii_with_short_lines(subject in "(?s).{0,300}", name in "(?s).{0,3000}", id in "(?s).{1,20}") {
            let message = Message { id, ..message(&subject, &name) };
            let text = composed(&message);
            prop_assert!(text.is_ascii());
            prop_assert!(text.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
            let mut names: Vec<String> = headers(&text).into_iter().map(|(name, _)| name).collect();
            names.sort();
            let expected = ["Auto-Submitted", "Content-Type", "Date", "From", "MIME-Version", "Message-ID", "Subject", "To", "X-Auto-Response-Suppress"];
            prop_assert_eq!(names, expected);
        }
    }
}
