//! Many datums in little memory.

use std::collections::VecDeque;

use repos::tree::FileEntry;
use specs::{Digest, FilePath};

use super::{Datum, DatumKey, InputMatch, Match};

/// A new chunk begins when the last one has this many bytes, so that consumed memory is freed piece by piece.
const CHUNK_BYTES: usize = 1 << 20;

/// Datums in push order, packed into about 100 bytes each.
#[derive(Debug, Default)]
pub struct DatumList {
    chunks: VecDeque<Vec<u8>>,
    len: usize,
}

/// A packed datum: its sort text, its key, and for each input leaf number, path, file and key.
type Record<'a> = (&'a str, &'a [u8], Vec<PackedInput<'a>>);
type PackedInput<'a> = (u16, &'a str, Option<PackedFile>, Option<&'a str>);
type PackedFile = ([u8; 32], u64, bool);

impl DatumList {
    /// Number of datums.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The datums, unpacked lazily.
    pub fn iter(&self) -> Iter<'_> {
        Iter { chunks: self.chunks.iter(), rest: &[] }
    }

    /// Keeps only the datums that `keep` accepts.
    pub(crate) fn retain(&mut self, keep: impl Fn(&DatumKey) -> bool) {
        let mut kept = Self::default();
        for (key, inputs) in std::mem::take(self).into_iter().filter(|(key, _)| keep(key)) {
            kept.push(&Datum { key, inputs });
        }
        *self = kept;
    }

    pub(crate) fn push(&mut self, datum: &Datum) {
        self.push_under("", datum);
    }

    /// Appends a datum that can later be found by `text`.
    pub(super) fn push_under(&mut self, text: &str, datum: &Datum) {
        let inputs = datum.inputs.iter().map(pack).collect();
        let record: Record<'_> = (text, datum.key.as_bytes(), inputs);
        if self.chunks.back().is_none_or(|chunk| chunk.len() >= CHUNK_BYTES) {
            self.chunks.push_back(Vec::new());
        }
        let chunk = self.chunks.back_mut().expect("one was just pushed");
        *chunk = postcard::to_extend(&record, std::mem::take(chunk)).expect("memory takes every record");
        self.len += 1;
    }

    /// The same datums, sorted by the texts that they were pushed with.
    pub(super) fn sorted(self) -> SortedList {
        let mut records = Vec::with_capacity(self.len);
        for (number, chunk) in self.chunks.iter().enumerate() {
            let mut rest = chunk.as_slice();
            while !rest.is_empty() {
                records.push((number, chunk.len() - rest.len()));
                rest = unpack(rest).1;
            }
        }
        let mut list = SortedList { list: self, records: Vec::new(), next: 0 };
        records.sort_by(|one, other| list.text(*one).cmp(list.text(*other)));
        list.records = records;
        list
    }
}

/// Datums sorted by their texts.
#[derive(Debug)]
pub(super) struct SortedList {
    list: DatumList,
    /// Chunk and offset of each datum.
    records: Vec<(usize, usize)>,
    next: usize,
}

impl SortedList {
    fn text(&self, (chunk, offset): (usize, usize)) -> &str {
        let record = &self.list.chunks[chunk][offset..];
        postcard::take_from_bytes::<&str>(record).expect("it was packed here").0
    }

    /// The text of the next datums.
    pub(super) fn peek(&self) -> Option<&str> {
        self.records.get(self.next).map(|record| self.text(*record))
    }

    /// The datums of `text`, if they are next.
    pub(super) fn take(&mut self, text: &str) -> Vec<Datum> {
        let mut taken = Vec::new();
        while self.peek() == Some(text) {
            let (chunk, offset) = self.records[self.next];
            taken.push(unpack(&self.list.chunks[chunk][offset..]).0);
            self.next += 1;
        }
        taken
    }
}

fn pack(input: &InputMatch) -> PackedInput<'_> {
    let file = match input.matched {
        Match::File(FileEntry { digest, size, executable }) => Some((*digest.as_bytes(), size, executable)),
        Match::Directory => None,
    };
    let leaf = u16::try_from(input.leaf).expect("no job has more inputs: `inputs` refuses it");
    (leaf, input.path.as_str(), file, input.key.as_deref())
}

/// The first datum in these bytes, and the remaining bytes.
fn unpack(bytes: &[u8]) -> (Datum, &[u8]) {
    let ((_, key, packed), rest): (Record<'_>, _) = postcard::take_from_bytes(bytes).expect("it was packed here");
    let inputs = packed.into_iter().map(|(leaf, path, file, key)| InputMatch {
        leaf: usize::from(leaf),
        path: path.parse::<FilePath>().expect("it was a path"),
        matched: file.map_or(Match::Directory, |(digest, size, executable)| {
            Match::File(FileEntry { digest: Digest::from_bytes(digest), size, executable })
        }),
        key: key.map(str::to_owned),
    });
    (Datum { key: DatumKey::from_bytes(key), inputs: inputs.collect() }, rest)
}

/// Iterates over a list by reference.
#[derive(Debug)]
pub struct Iter<'a> {
    chunks: std::collections::vec_deque::Iter<'a, Vec<u8>>,
    rest: &'a [u8],
}

impl Iterator for Iter<'_> {
    type Item = (DatumKey, Vec<InputMatch>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.rest.is_empty() {
            self.rest = self.chunks.next()?;
        }
        let (datum, rest) = unpack(self.rest);
        self.rest = rest;
        Some((datum.key, datum.inputs))
    }
}

/// Consumes a list; memory of consumed parts is freed.
#[derive(Debug)]
pub struct IntoIter {
    list: DatumList,
    offset: usize,
}

impl Iterator for IntoIter {
    type Item = (DatumKey, Vec<InputMatch>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.list.chunks.front().is_some_and(|chunk| chunk.len() == self.offset) {
            self.list.chunks.pop_front();
            self.offset = 0;
        }
        let chunk = self.list.chunks.front()?;
        let (datum, rest) = unpack(&chunk[self.offset..]);
        self.offset = chunk.len() - rest.len();
        Some((datum.key, datum.inputs))
    }
}

impl IntoIterator for DatumList {
    type Item = (DatumKey, Vec<InputMatch>);
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter { list: self, offset: 0 }
    }
}

impl<'a> IntoIterator for &'a DatumList {
    type Item = (DatumKey, Vec<InputMatch>);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datum(number: u64) -> Datum {
        let path: FilePath = format!("/f{number}").parse().unwrap();
        let file =
            FileEntry { digest: Digest::from_bytes([7; 32]), size: number, executable: number.is_multiple_of(2) };
        let matched = if number.is_multiple_of(3) { Match::Directory } else { Match::File(file) };
        let key = (number.is_multiple_of(5)).then(|| number.to_string());
        let input = InputMatch { leaf: 3, path: path.clone(), matched, key };
        Datum { key: DatumKey::of_path(3, &path), inputs: vec![input] }
    }

    #[test]
    fn what_is_packed_comes_out_again_in_order_and_in_little_memory() {
        let mut list = DatumList::default();
        let datums: Vec<Datum> = (0..30_000).map(datum).collect();
        for datum in &datums {
            list.push(datum);
        }
        let expected: Vec<_> = datums.into_iter().map(|datum| (datum.key, datum.inputs)).collect();
        assert_eq!(list.len(), expected.len());
        assert!(list.chunks.len() > 1 && list.chunks.iter().map(Vec::len).sum::<usize>() < 80 * expected.len());
        assert!(list.iter().eq(expected.iter().cloned()));
        assert!(list.into_iter().eq(expected));
    }

    #[test]
    fn datums_are_found_by_the_text_that_they_were_pushed_under() {
        let mut list = DatumList::default();
        for (text, number) in [("b", 1), ("a", 2), ("b", 3), ("", 4)] {
            list.push_under(text, &datum(number));
        }
        let mut sorted = list.sorted();
        assert_eq!(sorted.take("a"), []);
        assert_eq!(sorted.peek(), Some(""));
        assert_eq!(sorted.take(""), [datum(4)]);
        assert_eq!(sorted.take("a"), [datum(2)]);
        assert_eq!(sorted.take("b"), [datum(1), datum(3)]);
        assert_eq!(sorted.peek(), None);
    }
}
