//! Bodies of webhooks. Each is made so that text of users stays text: no mention, no link, no markup comes out of the name of a file.

use serde_json::{Value, json};

use crate::message::Message;
use crate::target::Style;
use crate::text::{escaped, line, link};

/// Most lines of a message in a chat.
const LINES: usize = 16;
/// Most characters of the word before a value.
const WORD: usize = 60;

/// The body of a message.
pub(crate) fn body(style: Style, message: &Message) -> Value {
    match style {
        Style::Json => generic(message),
        Style::Slack => slack(message),
        Style::Teams => teams(message),
    }
}

fn generic(message: &Message) -> Value {
    let lines: Vec<Value> = message.lines.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let mut data = json!({ "id": message.id, "subject": message.subject, "lines": lines, "details": message.data });
    let more = [("trace", &message.trace), ("link", &message.link)];
    for (name, text) in more.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
        data[name] = json!(text);
    }
    json!({ "type": message.event, "timestamp": message.at, "data": data })
}

/// Slack takes at most 150 characters in a header, 2,000 in a field, 10 fields in a section, 50 blocks.
fn slack(message: &Message) -> Value {
    let plain =
        |text: &str, limit: usize| json!({ "type": "plain_text", "emoji": false, "text": slack_text(text, limit) });
    let mut blocks = vec![json!({ "type": "header", "text": plain(&message.subject, 150) })];
    let lines: Vec<Value> = message
        .lines
        .iter()
        .take(LINES)
        .map(|(name, value)| {
            // One text: its word ends before the line does.
            plain(&format!("{}: {}", line(name, WORD), line(value, 1000)), 2000)
        })
        .collect();
    blocks.extend(lines.chunks(10).map(|fields| json!({ "type": "section", "fields": fields })));
    if let Some(link) = message.link.as_deref().and_then(link) {
        let text = format!("<{}|Open in pv>", escaped(&link, 2800, slack_entity));
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } }));
    }
    json!({
        // For notifications of the system, and for programs that show no blocks.
        "text": slack_text(&message.subject, 1000),
        "mrkdwn": false,
        "parse": "none",
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
    })
}

fn slack_text(text: &str, limit: usize) -> String {
    let escaped = escaped(&line(text, limit), limit, slack_entity);
    // Slack refuses an empty text.
    if escaped.is_empty() { "-".to_owned() } else { escaped }
}

/// The three characters that have a meaning, <https://docs.slack.dev/messaging/formatting-message-text>: mentions and links begin with `<`.
fn slack_entity(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    }
}

/// Teams takes at most 28 KiB. `TextRun` has no markup, unlike `TextBlock` and `FactSet`; a mention needs an entity of its own, which is not made.
fn teams(message: &Message) -> Value {
    let run = |text: &str, limit: usize| json!({ "type": "TextRun", "text": line(text, limit) });
    let mut heading = run(&message.subject, 200);
    heading["weight"] = json!("Bolder");
    heading["size"] = json!("Medium");
    let mut body = vec![json!({ "type": "RichTextBlock", "inlines": [heading] })];
    for (name, value) in message.lines.iter().take(LINES) {
        let word = json!({ "type": "TextRun", "text": format!("{}: ", line(name, WORD)), "isSubtle": true });
        body.push(json!({ "type": "RichTextBlock", "spacing": "Small", "inlines": [word, run(value, 250)] }));
    }
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "msteams": { "width": "Full" },
    });
    if let Some(link) = message.link.as_deref().and_then(link).filter(|link| link.len() <= 2000) {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": "Open in pv", "url": link }]);
    }
    let attachment =
        json!({ "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card });
    json!({ "type": "message", "attachments": [attachment] })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(subject: &str, lines: &[(&str, &str)]) -> Message {
        Message {
            id: "msg_1".to_owned(),
            event: "file.new".to_owned(),
            at: "2026-07-01T12:14:43.000123Z".parse().unwrap(),
            subject: subject.to_owned(),
            lines: lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            trace: Some("threat:/a.json\n└ detect".to_owned()),
            link: Some("https://pv.example.org/r/threat?path=/a|b <x>".to_owned()),
            picture: None,
            data: json!({ "path": "/a.json" }),
        }
    }

    #[test]
    fn the_generic_form_is_that_of_the_standard() {
        let body = body(Style::Json, &message("new file in threat", &[("file", "/a.json")]));
        let expected = json!({
            "type": "file.new",
            "timestamp": "2026-07-01T12:14:43.000123Z",
            "data": {
                "id": "msg_1",
                "subject": "new file in threat",
                "lines": [{ "name": "file", "value": "/a.json" }],
                "trace": "threat:/a.json\n└ detect",
                "link": "https://pv.example.org/r/threat?path=/a|b <x>",
                "details": { "path": "/a.json" },
            },
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn the_name_of_a_file_is_no_mention_and_no_link() {
        let evil = "<!channel> <@U1> <https://evil.org|ok> [x](https://evil.org) <at>all</at> & `*_~";
        let message = message(evil, &[("file", evil), ("<!here>", "v")]);
        let slack = body(Style::Slack, &message);
        let text = slack.to_string();
        assert!(!text.contains("<!") && !text.contains("<@") && !text.contains("<https://evil"), "{text}");
        assert_eq!(slack["text"].as_str().unwrap().matches("&lt;").count(), 5);
        assert_eq!(slack["blocks"][1]["fields"][0]["type"], "plain_text");
        let link = slack["blocks"][2]["text"]["text"].as_str().unwrap();
        assert_eq!(link, "<https://pv.example.org/r/threat?path=/a%7Cb%20%3Cx%3E|Open in pv>");
        let teams = body(Style::Teams, &message);
        let card = &teams["attachments"][0]["content"];
        let mut kinds: Vec<&str> =
            card["body"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect();
        kinds.dedup();
        assert_eq!(kinds, ["RichTextBlock"], "nothing that reads Markdown");
        assert_eq!(card["body"][1]["inlines"][1], json!({ "type": "TextRun", "text": evil }));
        assert_eq!(card["msteams"].get("entities"), None);
    }

    #[test]
    fn only_links_for_browsers_are_made() {
        for bad in ["javascript:alert(1)", "file:///etc/passwd", "/r/threat", ""] {
            let message = Message { link: Some(bad.to_owned()), ..message("a", &[]) };
            assert!(!body(Style::Slack, &message).to_string().contains("Open in pv"), "{bad}");
            assert!(!body(Style::Teams, &message).to_string().contains("Open in pv"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn limits_of_the_receivers_are_kept(subject in ".*", lines in proptest::collection::vec((".*", "(?s).{0,3000}"), 0..40)) {
            let pairs: Vec<(&str, &str)> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let message = message(&subject, &pairs);
            let teams = body(Style::Teams, &message).to_string();
            prop_assert!(teams.len() <= 28 << 10, "{}", teams.len());
            let slack = body(Style::Slack, &message);
            let blocks = slack["blocks"].as_array().unwrap();
            prop_assert!(blocks.len() <= 50);
            prop_assert!((1..=150).contains(&blocks[0]["text"]["text"].as_str().unwrap().chars().count()));
            for block in &blocks[1..] {
                for field in block["fields"].as_array().into_iter().flatten() {
                    let text = field["text"].as_str().unwrap();
                    prop_assert!((1..=2000).contains(&text.chars().count()) && !text.contains(['<', '>']));
                }
            }
        }
    }
}
