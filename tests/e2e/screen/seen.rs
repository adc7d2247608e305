//! What a terminal shows after a program wrote to it.

use std::num::NonZero;

use tests::TestEnv;
use tests::pty::Size;
use vt100::Parser;

/// The visible lines, preceded by those that scrolled out at the top.
pub(super) fn seen(bytes: &[u8], (columns, rows): Size) -> Vec<String> {
    let mut parser = Parser::new(NonZero::new(rows).unwrap(), NonZero::new(columns).unwrap(), 10_000);
    parser.process(bytes);
    let screen = parser.screen_mut();
    screen.set_scrollback(usize::MAX);
    let mut above = screen.scrollback();
    let mut lines: Vec<String> = Vec::new();
    while above > 0 {
        screen.set_scrollback(above);
        let take = above.min(usize::from(rows));
        lines.extend(screen.rows(0, columns).take(take));
        above -= take;
    }
    screen.set_scrollback(0);
    lines.extend(screen.rows(0, columns));
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

/// The lines that a shell line shows on a terminal of this size.
pub(super) fn on_screen(env: &TestEnv, line: &str, size: Size) -> Vec<String> {
    seen(&env.terminal_bytes(line, size), size)
}

/// What was written to a terminal as text, without colours: lines as written, however wide.
pub(super) fn text_of(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let mut left = String::new();
    let mut parts = text.split("\u{1b}[");
    left.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        left.push_str(&part[end..]);
    }
    left
}

/// Replaces ids with letters of the same length, so that the layout stays.
pub(super) fn masked(env: &TestEnv, text: &str) -> String {
    let place = env.dir().canonicalize().unwrap().display().to_string();
    let text = text.replace(&place, "[dir]");
    let mut shown = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() {
            word.push(c);
            continue;
        }
        let is_id = word.len() >= 8 && word.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        shown += &if is_id { "x".repeat(word.len()) } else { word.clone() };
        word.clear();
        shown.push(c);
    }
    shown
}
