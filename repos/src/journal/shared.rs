//! The journal in a place that several machines share: an object a record, made only if nobody else has made it.
//!
//! The numbers are the order: anyone who creates number `n` first has record `n`, and all others catch up and try the next. Each machine
//! keeps all lines in its own file as well, so whatever reads the journal reads that; here is what brings new lines.

use bytes::Bytes;

use crate::base::error::RepoError;
use crate::objects::place::Place;

/// The folder of records in a place.
const FOLDER: &str = "journal";
/// Records that are fetched before they are written down.
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

    /// Records the line (with its newline) as number `number`, from 1. False when another record has the number.
    pub(crate) fn create(&self, number: u64, line: &Bytes) -> Result<bool, RepoError> {
        self.place.create(&format!("{FOLDER}/{}", name(number)), line)
    }

    /// The line of a record; `None` when there is none.
    pub(crate) fn line(&self, number: u64) -> Result<Option<Bytes>, RepoError> {
        self.place.get(&format!("{FOLDER}/{}", name(number)))
    }

    /// Lines of the records after number `known`, at most [`AT_A_TIME`]. One request when there are none.
    ///
    /// `None` when record `known` itself is not there any more: a place that lost its end must not get another one.
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

    /// Where the records are.
    pub(super) fn url(&self) -> &str {
        self.place.url()
    }

    /// Records lines as the numbers from `first` on, in no order: for a place that is not read yet. False when other records have
    /// some of these numbers.
    pub(crate) fn create_all(&self, first: u64, lines: Vec<Bytes>) -> Result<bool, RepoError> {
        let named = (first..).zip(lines).map(|(number, line)| (format!("{FOLDER}/{}", name(number)), line));
        self.place.create_all(named.collect())
    }

    /// The lines of all records, up to the first that is missing.
    pub(crate) fn lines(&self) -> Result<Vec<Bytes>, RepoError> {
        let names: Vec<String> = (1..=self.count()?).map(|number| format!("{FOLDER}/{}", name(number))).collect();
        self.place.get_all(&names)
    }

    /// How many records there are, up to the first that is missing. Looks through all names.
    pub(crate) fn count(&self) -> Result<u64, RepoError> {
        let listed = self.place.list(FOLDER)?;
        let in_order = (1..).zip(&listed).take_while(|(number, found)| found.name == name(*number));
        Ok(in_order.count() as u64)
    }
}

fn name(number: u64) -> String {
    format!("{number:020}")
}
