//! The journal as a list of numbered records, for those who follow it.

use super::{Result, Store};
use crate::journal::{Entry, Position, Record};

impl Store {
    /// At most `most` records after a position of this journal, each with the position after it; only what this handle may see. A record of
    /// which nothing is visible has no entries.
    pub fn records_after(&self, from: Position, most: usize) -> Result<Vec<(Position, Record)>> {
        let (lines, _) = self.journal().values_after(from, most)?;
        let records = lines.into_iter().filter_map(|(value, after)| Some((after, serde_json::from_value(value).ok()?)));
        Ok(records
            .map(|(after, mut record): (_, Record)| {
                self.retain_seen(&mut record.entries);
                (after, record)
            })
            .collect())
    }

    /// The position after the first `number` records; the end of the journal if it has fewer. Costs the distance from the nearer end.
    pub fn position_after(&self, number: u64) -> Result<Position> {
        self.journal().position_after(number, &self.position())
    }

    /// Removes the entries that this handle may not see, and what it may not see of the others.
    pub fn retain_seen(&self, entries: &mut Vec<Entry>) {
        entries.retain_mut(|entry| self.is_seen_entry(entry));
    }
}
