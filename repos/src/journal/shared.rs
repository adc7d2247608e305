//! The journal in a place shared by several machines: one object per record, created only if it does not exist yet.
//!
//! The numbers define the order: the first to create number `n` owns record `n`; everyone else catches up and tries the next number. Each
//! machine also keeps all lines in its own file, which every reader uses; this module brings in new lines.

use bytes::Bytes;

use crate::base::error::RepoError;
use crate::objects::place::Place;

/// The folder of records in a place.
const FOLDER: &str = "journal";
/// Number of records fetched before they are written to the file.
pub(super) const AT_A_TIME: usize = 4096;

/// The journal's records in a place.
#[derive(Debug, Clone)]
pub(crate) struct SharedJournal {
    place: Place,
}

impl SharedJournal {
    pub(crate) fn new(place: Place) -> Self {
        Self { place }
    }

    /// Creates record `number` (from 1) with this line, which includes its newline. False if another record has the number.
    pub(crate) fn create(&self, number: u64, line: &Bytes) -> Result<bool, RepoError> {
        self.place.create(&format!("{FOLDER}/{}", name(number)), line)
    }

    /// The line of a record; `None` if it does not exist.
    pub(crate) fn line(&self, number: u64) -> Result<Option<Bytes>, RepoError> {
        self.place.get(&format!("{FOLDER}/{}", name(number)))
    }

    /// Lines of the records after number `known`, at most [`AT_A_TIME`]. One request if there are none.
    ///
    /// `None` if record `known` itself is missing: a place that lost its last records must not get new ones in their place.
    pub(super) fn after(&self, known: u64) -> Result<Option<Vec<Bytes>>, RepoError> {
        let before = known.checked_sub(1).map_or_else(|| "0".to_owned(), name);
        let listed = self.place.list_after(FOLDER, &before, AT_A_TIME)?;
        let numbers = listed.iter().map(|found| found.name.parse::<u64>().unwrap_or(0));
        for (expected, found) in (known.max(1)..).zip(numbers.chain((known > 0 && listed.is_empty()).then_some(0))) {
            if found != expected && expected == known {
                return Ok(None);
            }
            if found != expected {
                let why = format!("it no longer exists at `{}`", self.place.url());
                return Err(RepoError::DamagedJournal { record: expected, why });
            }
        }
        let new = listed.into_iter().skip(usize::from(known > 0));
        let names: Vec<String> = new.map(|found| format!("{FOLDER}/{}", found.name)).collect();
        self.place.get_all(&names).map(Some)
    }

    /// The address of the records.
    pub(super) fn url(&self) -> &str {
        self.place.url()
    }

    /// Creates records with the numbers from `first` on, in no particular order: for a place that nobody reads yet. False if some of these
    /// numbers are taken.
    pub(crate) fn create_all(&self, first: u64, lines: Vec<Bytes>) -> Result<bool, RepoError> {
        let named = (first..).zip(lines).map(|(number, line)| (format!("{FOLDER}/{}", name(number)), line));
        self.place.create_all(named.collect())
    }

    /// The lines of all records, up to the first missing number.
    pub(crate) fn lines(&self) -> Result<Vec<Bytes>, RepoError> {
        let names: Vec<String> = (1..=self.count()?).map(|number| format!("{FOLDER}/{}", name(number))).collect();
        self.place.get_all(&names)
    }

    /// Number of records, up to the first missing number. Lists all names.
    pub(crate) fn count(&self) -> Result<u64, RepoError> {
        let listed = self.place.list(FOLDER)?;
        let in_order = (1..).zip(&listed).take_while(|(number, found)| found.name == name(*number));
        Ok(in_order.count() as u64)
    }
}

fn name(number: u64) -> String {
    format!("{number:020}")
}
