//! Very many paths that differ, counted by directory.

use std::collections::BTreeMap;

use specs::FilePath;

use super::entries::{Counts, Entry};

/// Counts by directory, of which a bounded number is held.
#[derive(Debug)]
pub struct Directories {
    found: BTreeMap<FilePath, Counts>,
    wanted: usize,
}

impl Directories {
    /// No counts yet. While counting, it holds up to 25 times as many directories as are `wanted`.
    pub fn up_to(wanted: usize) -> Self {
        Self { found: BTreeMap::new(), wanted }
    }

    /// Counts a path that differs.
    pub fn add(&mut self, entry: &Entry) {
        let directory = entry.path.parent().unwrap_or_else(FilePath::root);
        self.found.entry(directory).or_default().add(entry);
        // Memory is bounded: the deepest directories are merged into their parents.
        if self.found.len() > 25 * self.wanted {
            self.fold(10 * self.wanted);
        }
    }

    /// The counts of as many directories as are wanted at most; those of deeper ones are part of the ones that hold them.
    pub fn counts(mut self) -> BTreeMap<FilePath, Counts> {
        self.fold(self.wanted);
        self.found
    }

    /// Merges the deepest directories into their parents, until at most this many are left.
    fn fold(&mut self, most: usize) {
        let depth = |path: &FilePath| if path.is_root() { 0 } else { path.as_str().matches('/').count() };
        while self.found.len() > most {
            let Some(deepest) = self.found.keys().map(depth).max().filter(|deepest| *deepest > 0) else { return };
            for (path, counts) in std::mem::take(&mut self.found) {
                let path = if depth(&path) == deepest { path.parent().unwrap_or_else(FilePath::root) } else { path };
                self.found.entry(path).or_default().add_all(&counts);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_directories_become_part_of_those_that_hold_them() {
        let mut directories = Directories::up_to(3);
        for path in ["/a/b/1", "/a/b/2", "/a/c/3", "/d/4", "/5"] {
            let counts = Counts { added: 1, ..Counts::default() };
            let path: FilePath = path.parse().unwrap_or_else(|_| FilePath::root());
            let directory = path.parent().unwrap_or_else(FilePath::root);
            directories.found.entry(directory).or_default().add_all(&counts);
        }
        let counts: Vec<(String, u64)> =
            directories.counts().into_iter().map(|(path, counts)| (path.to_string(), counts.added)).collect();
        let expected = [("/", 1), ("/a", 3), ("/d", 1)].map(|(path, added)| (path.to_owned(), added));
        assert_eq!(counts, expected);
    }
}
