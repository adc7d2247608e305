//! Times, sizes and names as text.

use jiff::tz::TimeZone;
use repos::Timestamp;
use repos::documents::{CodeStamp, ImageStamp};
use specs::{CommitId, FilePath, RepoName};

use specs::words::count;

/// Length of a git commit's id, so that it is never cut.
const ID: usize = 64;
/// Maximum number of files named: all that a record has.
const ALL: usize = usize::MAX;

/// A moment in local time with its offset, and in UTC: `2026-07-01 11:02:31 +02:00 (2026-07-01 09:02:31 UTC)`.
pub(super) fn moment(time: Timestamp, zone: &TimeZone) -> String {
    let utc = jiff::Timestamp::from_microsecond(time.as_micros()).unwrap_or_default().to_zoned(TimeZone::UTC);
    let local = utc.with_time_zone(zone.clone());
    let utc = utc.strftime("%Y-%m-%d %H:%M:%S UTC");
    if local.offset().is_zero() {
        return utc.to_string();
    }
    format!("{} ({utc})", local.strftime("%Y-%m-%d %H:%M:%S %:z"))
}

/// `412 bytes`, `187 kB (187,012 bytes)`
pub(super) fn size(bytes: u64) -> String {
    let exact = format!("{} {}", count(bytes), if bytes == 1 { "byte" } else { "bytes" });
    let rounded = |unit: &str, one: u64| format!("{} {unit} ({exact})", (bytes + one / 2) / one);
    match bytes {
        0..10_000 => exact,
        10_000..10_000_000 => rounded("kB", 1000),
        10_000_000..10_000_000_000 => rounded("MB", 1_000_000),
        _ => rounded("GB", 1_000_000_000),
    }
}

/// `images@77ab01c2:/cam7.jpg`
pub(super) fn place(repo: &RepoName, commit: &CommitId, path: &FilePath) -> String {
    format!("{repo}@{}:{}", commit.short(8), visible(path.as_str()))
}

/// A command as a shell would read it.
pub fn command(words: &[String]) -> String {
    let quote = |word: &String| {
        let is_plain = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "_-./=:,@%+".contains(c));
        if is_plain { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// An image by reference and digest; without one, the host's own tools.
pub(super) fn image(image: Option<&ImageStamp>) -> String {
    image.map_or_else(
        || "no image: the tools of the host".to_owned(),
        |image| format!("{} (sha256 {})", visible(&image.reference), image.digest),
    )
}

/// Code by digest, and how it and the spec compare with git: `code in commit 4e1d2f0… at train; spec in commit …; files sha256 …`
pub(super) fn code(stamp: Option<&CodeStamp>) -> Option<String> {
    let stamp = stamp?.checked();
    let git = [("code", &stamp.git_code), ("spec", &stamp.git_spec)];
    let git = git.into_iter().filter_map(|(what, check)| Some(check.as_ref()?.in_words(what, ID, ALL)));
    let parts: Vec<String> = git.chain(stamp.tree.map(|tree| format!("files sha256 {tree}"))).collect();
    (!parts.is_empty()).then(|| visible(&parts.join("; ")))
}

/// Makes text harmless for its surroundings: control characters, and those that reverse or hide text, are written out.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let is_trick = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
        match c {
            '\n' | '\t' => shown.push(c),
            c if is_trick || c.is_control() => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// The first line of a message.
pub(super) fn first_line(text: &str) -> String {
    visible(text.lines().next().unwrap_or_default())
}
