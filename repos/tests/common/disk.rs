//! The possible contents of a disk after a power cut, derived from the steps on its files.
//!
//! Durable are a file's contents as of its last sync, and a folder's names as of its last sync. The fate of every later step is
//! independent: a write is kept, dropped, torn in the middle, or replaced by zeros; a truncation, a rename, a new name or a removal is kept
//! or undone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use repos::Step;

/// Pseudorandom numbers from a seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What happens to the steps that are not durable.
pub(crate) enum Fate {
    AllLost,
    AllKept,
    Random(Random),
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, fate: &mut Fate) {
        match (self, fate.of_write()) {
            (_, Outcome::Lost) => {}
            (Self::Cut(length), _) => bytes.resize(*length as usize, 0),
            (Self::Write(at, new), outcome) => {
                let end = *at as usize + new.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                let kept = match outcome {
                    Outcome::Torn => new.len() / 2,
                    Outcome::Zeroed => 0,
                    _ => new.len(),
                };
                bytes[*at as usize..*at as usize + kept].copy_from_slice(&new[..kept]);
            }
        }
    }
}

enum Outcome {
    Kept,
    Lost,
    Torn,
    Zeroed,
}

impl Fate {
    fn of_write(&mut self) -> Outcome {
        match self {
            Self::AllLost => Outcome::Lost,
            Self::AllKept => Outcome::Kept,
            Self::Random(random) => match random.below(5) {
                0 | 1 => Outcome::Kept,
                2 => Outcome::Lost,
                3 => Outcome::Torn,
                _ => Outcome::Zeroed,
            },
        }
    }

    fn keeps_name(&mut self) -> bool {
        match self {
            Self::AllLost => false,
            Self::AllKept => true,
            Self::Random(random) => random.below(2) == 0,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

type Names = BTreeMap<PathBuf, usize>;

/// Names that change together, all in one folder.
type NameChange = Vec<(PathBuf, Option<usize>)>;

fn rename_in(names: &mut Names, change: &NameChange) {
    for (path, file) in change {
        match file {
            Some(file) => names.insert(path.clone(), *file),
            None => names.remove(path),
        };
    }
}

/// Files with their durable contents.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    files: Vec<File>,
    now: Names,
    durable: Names,
    pending: Vec<NameChange>,
}

impl Disk {
    /// Adds a durable file that exists from the beginning.
    pub(crate) fn add(&mut self, path: &Path, bytes: Vec<u8>) {
        self.files.push(File { durable: bytes, pending: Vec::new() });
        let change = vec![(path.to_owned(), Some(self.files.len() - 1))];
        rename_in(&mut self.now, &change);
        rename_in(&mut self.durable, &change);
    }

    pub(crate) fn take(&mut self, path: &Path, step: &Step) {
        match step {
            Step::Created => {
                self.files.push(File::default());
                self.rename(vec![(path.to_owned(), Some(self.files.len() - 1))]);
            }
            Step::Wrote { at, bytes } => self.file(path).pending.push(Change::Write(*at, bytes.clone())),
            Step::Cut { length } => self.file(path).pending.push(Change::Cut(*length)),
            Step::Synced => {
                let file = self.file(path);
                for change in std::mem::take(&mut file.pending) {
                    change.apply(&mut file.durable, &mut Fate::AllKept);
                }
            }
            Step::Renamed { to } => {
                let file = self.now[path];
                self.rename(vec![(path.to_owned(), None), (to.clone(), Some(file))]);
            }
            Step::Removed => self.rename(vec![(path.to_owned(), None)]),
            Step::FolderSynced => {
                let (here, elsewhere) = std::mem::take(&mut self.pending)
                    .into_iter()
                    .partition::<Vec<_>, _>(|change| change[0].0.parent() == Some(path));
                self.pending = elsewhere;
                for change in &here {
                    rename_in(&mut self.durable, change);
                }
            }
        }
    }

    fn file(&mut self, path: &Path) -> &mut File {
        &mut self.files[self.now[path]]
    }

    fn rename(&mut self, change: NameChange) {
        rename_in(&mut self.now, &change);
        self.pending.push(change);
    }

    /// The files that exist after a power cut.
    pub(crate) fn cut(&self, mut fate: Fate) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut names = self.durable.clone();
        for change in &self.pending {
            if fate.keeps_name() {
                rename_in(&mut names, change);
            }
        }
        let mut bytes_of = |file: &File| {
            let mut bytes = file.durable.clone();
            file.pending.iter().for_each(|change| change.apply(&mut bytes, &mut fate));
            bytes
        };
        // A file with two names, because a rename was half undone, has the same content under both.
        let used: BTreeSet<usize> = names.values().copied().collect();
        let contents: BTreeMap<usize, Vec<u8>> =
            used.into_iter().map(|number| (number, bytes_of(&self.files[number]))).collect();
        names.into_iter().map(|(path, file)| (path, contents[&file].clone())).collect()
    }
}
