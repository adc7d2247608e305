//! Lists of sources: one path or address per line.

use std::path::Path;

use specs::Digest;

use super::PutSource;
use crate::error::{EngineError, Result};

/// Parses a list of sources, called `shown` in messages: per line a path, or an address, optionally followed by `sha256:HEX`; empty lines
/// and those that begin with `#` are skipped.
///
/// `Lines` for invalid lines, `Usage` for a list without sources.
pub fn sources_in(shown: &str, bytes: Vec<u8>) -> Result<Vec<PutSource>> {
    let text = String::from_utf8(bytes).map_err(|_| {
        EngineError::usage(format!("the list `{shown}` is not UTF-8"), "name such files with --files-from")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (mut sources, mut problems) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match of_line(line) {
            Ok(source) => sources.push(source),
            Err(problem) => problems.push((number, problem)),
        }
    }
    if !problems.is_empty() {
        return Err(EngineError::Lines(problems));
    }
    if sources.is_empty() {
        let what = format!("the list `{shown}` names nothing");
        return Err(EngineError::usage(what, "write one path or URL per line"));
    }
    Ok(sources)
}

/// A path, which may contain spaces, or an address, which cannot.
fn of_line(line: &str) -> Result<PutSource> {
    let first = line.split_whitespace().next().unwrap_or_default();
    let PutSource::Web { url, .. } = PutSource::parse(Path::new(if is_address(line) { first } else { line }))? else {
        return PutSource::parse(Path::new(line));
    };
    let mut digest = None;
    for word in line.split_whitespace().skip(1) {
        let hex = word.strip_prefix("sha256:").or_else(|| word.strip_prefix("sha256="));
        let expected = hex.and_then(|hex| hex.parse::<Digest>().ok()).filter(|_| digest.is_none());
        digest = Some(expected.ok_or_else(|| {
            let what = format!("`{}` after a URL is not a digest", word.escape_debug());
            EngineError::usage(what, "write `sha256:` and 64 hex digits, or nothing")
        })?);
    }
    Ok(PutSource::Web { url, digest })
}

fn is_address(line: &str) -> bool {
    repos::web::WebUrl::is_meant_by(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_list_is_a_path_or_an_address_with_a_digest() {
        let hex = "ab".repeat(32);
        let web = |text: &str, digest: Option<&str>| {
            let url = repos::web::WebUrl::parse(text).unwrap();
            PutSource::Web { url, digest: digest.map(|hex| hex.parse().unwrap()) }
        };
        assert_eq!(of_line("a b/c.jpg").unwrap(), PutSource::Path("a b/c.jpg".into()));
        assert_eq!(of_line("-").unwrap(), PutSource::Input);
        assert_eq!(of_line("https://h.org/x").unwrap(), web("https://h.org/x", None));
        assert_eq!(of_line(&format!("https://h.org/x sha256:{hex}")).unwrap(), web("https://h.org/x", Some(&hex)));
        for line in [
            "https://h.org/x y",
            "https://h.org/x sha256:12",
            "s3://b/k",
            &format!("https://h/x sha256:{hex} sha256:{hex}"),
        ] {
            assert!(of_line(line).is_err(), "{line}");
        }
    }

    #[test]
    fn all_wrong_lines_are_named_at_once_and_a_list_names_something() {
        let EngineError::Lines(problems) =
            sources_in("l", b"a\n\ns3://b/k\n# x\nhttps://h.org/x y\n".into()).unwrap_err()
        else {
            panic!("problems of lines")
        };
        assert_eq!(problems.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 5]);
        assert_eq!(sources_in("l", "\u{feff}a\r\n".into()).unwrap(), [PutSource::Path("a".into())]);
        assert_eq!(sources_in("l", b"# nothing\n".into()).unwrap_err().to_string(), "the list `l` names nothing");
        assert_eq!(sources_in("l", vec![0xff]).unwrap_err().to_string(), "the list `l` is not UTF-8");
    }
}
