//! The log of a try, bounded in size.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

/// A log of bounded size: beyond the bound only head and tail are kept, and the cut is marked.
#[derive(Debug, Clone)]
pub(super) struct LogBuffer {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half: usize,
    cut: u64,
}

/// The shape of a cut log: the length of its head, and the number of bytes missing after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) head: u64,
    pub(super) missing: u64,
    pub(super) total: u64,
}

impl Cut {
    /// For what was printed after the first `from` bytes: the number of missing bytes, and where the rest begins in the stored form of a
    /// log of `stored` bytes.
    pub(super) fn rest(&self, from: u64, stored: usize) -> (u64, usize) {
        let tail = self.head + self.missing;
        let from = from.min(self.total);
        if from < self.head || self.missing == 0 {
            // The mark of the cut, if any, is part of the text.
            return (0, usize::try_from(from).map_or(stored, |from| from.min(stored)));
        }
        let left = usize::try_from(self.total - from.max(tail)).unwrap_or(usize::MAX);
        (tail.saturating_sub(from), stored.saturating_sub(left))
    }
}

impl LogBuffer {
    fn new(max: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), half: max / 2, cut: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(self.half - self.head.len());
        self.head.extend_from_slice(&bytes[..fits]);
        self.tail.extend(&bytes[fits..]);
        let over = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..over);
        self.cut += over as u64;
    }

    /// Its stored form: a cut is marked in the text.
    fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.head;
        if self.cut > 0 {
            bytes.extend_from_slice(format!("\n… {} bytes omitted …\n", self.cut).as_bytes());
        }
        bytes.extend(self.tail);
        bytes
    }

    pub(super) fn shape(&self) -> Cut {
        let head = self.head.len() as u64;
        Cut { head, missing: self.cut, total: head + self.cut + self.tail.len() as u64 }
    }

    /// At most `most` bytes of what was printed after the first `from` bytes, and how many bytes before these are no longer kept.
    pub(super) fn after(&self, from: u64, most: usize) -> (u64, Vec<u8>) {
        let Cut { head, missing, .. } = self.shape();
        if from < head {
            let rest = &self.head[from as usize..];
            return (0, rest[..rest.len().min(most)].to_vec());
        }
        let begins = head + missing;
        let skipped = begins.saturating_sub(from);
        let passed = usize::try_from(from.saturating_sub(begins)).unwrap_or(usize::MAX);
        (skipped, self.tail.iter().skip(passed).take(most).copied().collect())
    }
}

/// The log of a running try, shared with those who read it.
#[derive(Debug, Clone)]
pub(crate) struct SharedLog(Arc<Mutex<LogBuffer>>);

impl SharedLog {
    pub(crate) fn new(max: usize) -> Self {
        Self(Arc::new(Mutex::new(LogBuffer::new(max))))
    }

    /// Another log that continues from this one's content.
    pub(crate) fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.read().clone())))
    }

    pub(crate) fn push(&self, bytes: &[u8]) {
        self.read().push(bytes);
    }

    /// Its stored form.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.read().clone().into_bytes()
    }

    pub(super) fn read(&self) -> MutexGuard<'_, LogBuffer> {
        self.0.lock().expect("no panic under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_keeps_its_head_and_tail() {
        let mut log = LogBuffer::new(10);
        log.push(b"0123");
        log.push(b"456789abcdef");
        assert_eq!(String::from_utf8(log.into_bytes()).unwrap(), "01234\n… 6 bytes omitted …\nbcdef");
        let mut short = LogBuffer::new(10);
        short.push(b"0123456789");
        assert_eq!(short.into_bytes(), b"0123456789");
    }
}
