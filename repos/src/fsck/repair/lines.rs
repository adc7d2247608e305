//! Reassembles the lines of a damaged journal: from intact lines, from lines with one wrong byte, and from a mirror.
//!
//! Each line contains its own digest and that of the previous line, so no line can end up in the wrong place, whatever its source.

use std::collections::{BTreeMap, HashMap};

use specs::Digest;

use crate::base::hash::{Hasher, digest_of};
use crate::journal::Position;

/// Length of the hex digest and the space before the JSON of a line.
const PREFIX: usize = 65;
/// A wrong byte is searched for only in JSON up to this size in bytes: the time grows with its square.
const SEARCHED_BYTES: usize = 2048;

/// The source of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LineSource {
    Own,
    /// Restored by finding the wrong byte.
    Mended,
    Mirror,
}

/// An intact line, without its newline.
#[derive(Debug, Clone)]
struct Line {
    bytes: Vec<u8>,
    previous: Option<Digest>,
    source: LineSource,
}

/// The mended journal.
#[derive(Debug)]
pub(super) struct Mended {
    pub(super) bytes: Vec<u8>,
    /// Number of records from each source.
    pub(super) sources: BTreeMap<LineSource, u64>,
    /// Number of lines that are not records and were left out.
    pub(super) dropped: u64,
}

/// Builds a journal from the lines of `own` and `mirror`; otherwise describes what would be lost.
///
/// `known` is the furthest journal position known from elsewhere.
pub(super) fn mend(own: &[u8], mirror: &[u8], known: Option<Position>) -> Result<Mended, String> {
    let mut lines = Lines::default();
    let dropped = lines.add_own(own, known.is_some());
    for line in mirror.split(|byte| *byte == b'\n') {
        if let Some((digest, previous)) = parse(line) {
            lines.add(digest, Line { bytes: line.to_owned(), previous, source: LineSource::Mirror });
        }
    }
    let chain = lines.chain();
    let records = chain.len() as u64;
    let behind = lines.by_digest.values().filter(|line| line.source != LineSource::Mirror).count();
    let behind = behind - chain.iter().filter(|digest| lines.by_digest[*digest].source != LineSource::Mirror).count();
    if behind > 0 {
        return Err(format!("record {} is lost; the {behind} records after it would be lost too", records + 1));
    }
    match known {
        Some(known) if known.records > records => {
            return Err(format!("records {} to {} are lost", records + 1, known.records));
        }
        Some(known) if known.records > 0 && known.last != Some(chain[known.records as usize - 1]) => {
            return Err(format!("record {} was replaced", known.records));
        }
        None if dropped > 0 => return Err(format!("record {} is lost, if the damaged line was a record", records + 1)),
        _ => {}
    }
    let mut mended = Mended { bytes: Vec::new(), sources: BTreeMap::new(), dropped };
    for digest in chain {
        let line = &lines.by_digest[&digest];
        *mended.sources.entry(line.source).or_default() += 1;
        mended.bytes.extend_from_slice(&line.bytes);
        mended.bytes.push(b'\n');
    }
    Ok(mended)
}

#[derive(Debug, Default)]
struct Lines {
    by_digest: HashMap<Digest, Line>,
    by_previous: HashMap<Option<Digest>, Vec<Digest>>,
}

impl Lines {
    /// The first source of a line wins.
    fn add(&mut self, digest: Digest, line: Line) {
        if !self.by_digest.contains_key(&digest) {
            self.by_previous.entry(line.previous).or_default().push(digest);
            self.by_digest.insert(digest, line);
        }
    }

    /// Adds the lines of the damaged journal; returns how many are not records, whichever byte is changed.
    fn add_own(&mut self, own: &[u8], is_end_known: bool) -> u64 {
        let (whole, rest) = own.split_at(own.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        let mut damaged: Vec<&[u8]> = Vec::new();
        let mut dropped = 0;
        for line in whole.strip_suffix(b"\n").into_iter().flat_map(|lines| lines.split(|byte| *byte == b'\n')) {
            if self.add_line(line, LineSource::Own) {
                dropped += damaged.drain(..).filter(|line| !self.add_mended(line)).count() as u64;
                continue;
            }
            damaged.push(line);
            // A byte damaged into a newline splits one line in two.
            if let [first, second] = damaged[..]
                && self.add_mended(&[first, b"\n", second].concat())
            {
                damaged.clear();
            }
        }
        dropped += damaged.into_iter().filter(|line| !self.add_mended(line)).count() as u64;
        // After the last newline is either the rest of an interrupted write, or a record with a damaged newline: the known end tells which.
        if is_end_known && !self.add_line(rest, LineSource::Mended) && !rest.is_empty() {
            self.add_line(&rest[..rest.len() - 1], LineSource::Mended);
        }
        dropped
    }

    fn add_line(&mut self, line: &[u8], source: LineSource) -> bool {
        let Some((digest, previous)) = parse(line) else { return false };
        self.add(digest, Line { bytes: line.to_owned(), previous, source });
        true
    }

    /// Adds a line in which one byte, or the newline, is wrong.
    fn add_mended(&mut self, line: &[u8]) -> bool {
        if let Some(mended) = with_another_byte(line) {
            return self.add_line(&mended, LineSource::Mended);
        }
        let newline =
            (PREFIX..line.len()).find(|at| parse(&line[..*at]).is_some_and(|_| parse(&line[at + 1..]).is_some()));
        newline.is_some_and(|at| {
            self.add_line(&line[..at], LineSource::Mended) && self.add_line(&line[at + 1..], LineSource::Mended)
        })
    }

    /// The digests of the records in order. If two follow the same one, the one found first wins.
    fn chain(&self) -> Vec<Digest> {
        let mut chain = Vec::new();
        let mut last = None;
        while let Some(next) = self.by_previous.get(&last).and_then(|next| next.first()) {
            chain.push(*next);
            last = Some(*next);
        }
        chain
    }
}

/// The digest of an intact line, and that of the previous line it names.
fn parse(line: &[u8]) -> Option<(Digest, Option<Digest>)> {
    let (prefix, json) = line.split_at_checked(PREFIX)?;
    // A cheap test first: most candidates do not even end like JSON.
    if json.last() != Some(&b'}') {
        return None;
    }
    let digest = digest_of(json);
    if prefix != format!("{digest} ").as_bytes() {
        return None;
    }
    let value: serde_json::Value = serde_json::from_slice(json).ok()?;
    let previous = value.get("previous").map(|previous| previous.as_str()?.parse().ok());
    Some((digest, previous.map_or(Some(None), |previous: Option<Digest>| previous.map(Some))?))
}

/// The line with one byte corrected so that its digest matches.
fn with_another_byte(line: &[u8]) -> Option<Vec<u8>> {
    let (prefix, json) = line.split_at_checked(PREFIX)?;
    let own = format!("{} ", digest_of(json));
    if prefix.iter().zip(own.as_bytes()).filter(|(found, right)| found != right).count() <= 1 {
        return Some([own.as_bytes(), json].concat());
    }
    let wanted: Digest = std::str::from_utf8(prefix.strip_suffix(b" ")?).ok()?.parse().ok()?;
    if json.len() > SEARCHED_BYTES {
        return None;
    }
    let mut before = Hasher::default();
    for at in 0..json.len() {
        for byte in b' '..=u8::MAX {
            let mut whole = before.clone();
            whole.update(&[byte]);
            whole.update(&json[at + 1..]);
            if whole.finish() == wanted {
                return Some([prefix, &json[..at], &[byte], &json[at + 1..]].concat());
            }
        }
        before.update(&json[at..=at]);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five records, and the position after them.
    fn example() -> (Vec<u8>, Position) {
        let mut bytes = Vec::new();
        let mut last: Option<Digest> = None;
        for number in 0..5 {
            let previous = last.map_or(String::new(), |last| format!(",\"previous\":\"{last}\""));
            let json = format!("{{\"at\":{number}{previous}}}");
            let digest = digest_of(json.as_bytes());
            bytes.extend_from_slice(format!("{digest} {json}\n").as_bytes());
            last = Some(digest);
        }
        let position = Position { bytes: bytes.len() as u64, records: 5, last };
        (bytes, position)
    }

    #[test]
    fn any_one_byte_is_put_right_without_a_mirror() {
        let (bytes, known) = example();
        for at in 0..bytes.len() {
            for byte in [bytes[at] ^ 1, b'\n', 0, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] = byte;
                let mended = mend(&damaged, &[], Some(known));
                assert_eq!(mended.map(|mended| mended.bytes), Ok(bytes.clone()), "byte {at} as {byte}");
            }
        }
    }

    #[test]
    fn records_come_into_their_order_and_what_is_no_record_goes() {
        let (bytes, known) = example();
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let swapped = [lines[0], lines[2], lines[1], lines[3], lines[4]].concat();
        assert_eq!(mend(&swapped, &[], Some(known)).unwrap().bytes, bytes);
        let garbage = [&bytes, &b"some garbage\n"[..]].concat();
        let mended = mend(&garbage, &[], Some(known)).unwrap();
        assert_eq!((mended.bytes, mended.dropped), (bytes.clone(), 1));
        mend(&garbage, &[], None).unwrap_err();
    }

    #[test]
    fn what_is_lost_comes_from_a_mirror_or_is_refused() {
        let (bytes, known) = example();
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let without = [lines[0], lines[1], lines[3], lines[4]].concat();
        let refused = mend(&without, &[], Some(known)).unwrap_err();
        assert_eq!(refused, "record 3 is lost; the 2 records after it would be lost too");
        let behind = lines[..3].concat();
        assert_eq!(mend(&without, &behind, Some(known)).unwrap().bytes, bytes);
        assert_eq!(mend(&behind, &[], Some(known)).unwrap_err(), "records 4 to 5 are lost");
        let mended = mend(&behind, &bytes, Some(known)).unwrap();
        assert_eq!(mended.sources, BTreeMap::from([(LineSource::Own, 3), (LineSource::Mirror, 2)]));
        let (_, other) = example();
        let other = Position { last: Some(digest_of(b"another")), ..other };
        mend(&bytes, &[], Some(other)).unwrap_err();
    }

    #[test]
    fn half_a_record_of_a_dead_writer_goes() {
        let (bytes, known) = example();
        let torn = [&bytes[..], &bytes[..100]].concat();
        assert_eq!(mend(&torn, &[], Some(known)).unwrap().bytes, bytes);
        assert_eq!(mend(&torn, &[], None).unwrap().bytes, bytes);
        assert_eq!(mend(&[&bytes[..], &[0; 50]].concat(), &[], None).unwrap().bytes, bytes);
    }
}
