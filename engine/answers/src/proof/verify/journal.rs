//! Whether the journal is the store's own: each record is signed by a key that counts, and none was removed as far as commits can tell.
//!
//! The journal says where branches point, which keys count and what was given up. So no claim is proven in a store whose journal was
//! written to without a key, whatever the claim is about.

use repos::store::KeyStanding;
use repos::{RepoError, Store};

use super::links::{LinkKind, Report, State};

/// Maximum number of records in doubt that are named.
const NAMED: usize = 20;

/// The standing of the journal.
pub(in crate::proof) struct Standing {
    /// What does not hold: the subject, and why.
    pub(in crate::proof) faults: Vec<(String, String)>,
    /// What holds only as far as it can be checked.
    notes: Vec<(String, String)>,
    /// Whether a record that is not in doubt vouches for the earlier ones.
    pub(in crate::proof) is_vouched_for: bool,
}

impl Standing {
    pub(in crate::proof) fn of(store: &Store) -> Result<Self, RepoError> {
        let (mut faults, mut notes) = (Vec::new(), Vec::new());
        let doubts = store.doubts()?;
        for doubt in doubts.iter().take(NAMED) {
            faults.push((format!("record {} ({})", doubt.record, doubt.does), doubt.words()));
        }
        if doubts.len() > NAMED {
            let more = doubts.len() - NAMED;
            faults.push((format!("{more} more records"), "they are not proven either; pv fsck lists them".to_owned()));
        }
        faults.extend(key(store)?);
        faults.extend(store.cut_back()?.map(|cut_back| ("its end".to_owned(), cut_back.to_string())));
        if store.has_lost_its_end()? {
            let why = "`.pv/position` is gone or not by this place's key, so records may have been taken away there; the next change \
                       notes it anew";
            faults.push(("its end".to_owned(), why.to_owned()));
        }
        for commit in store.unnamed_at_end()? {
            let why = "its writer ended before it was recorded";
            notes.push((format!("commit {}", commit.short(12)), why.to_owned()));
        }
        let (before, records) = (store.unsigned_before()?, store.position().records);
        let unsigned = before.unwrap_or(records);
        if unsigned > 0 && store.has_witness_below(unsigned)? {
            let why = "none is signed, although commits were made by a pv that signs records";
            faults.push((format!("records 1 to {unsigned}"), why.to_owned()));
        }
        if unsigned > 0 {
            let why = match before {
                Some(_) => "made before records were signed: the first signed record covers them as they were then",
                None => "made before records were signed: the next change here covers them as they are now",
            };
            notes.push((format!("records 1 to {unsigned}"), why.to_owned()));
        }
        let is_vouched_for = records - unsigned > doubts.len() as u64;
        Ok(Self { faults, notes, is_vouched_for })
    }

    /// Adds it to a report.
    pub(in crate::proof) fn tell(&self, report: &mut Report) {
        for (subject, why) in &self.faults {
            report.add(LinkKind::Journal, subject, State::Fails(why.clone()));
        }
        for (subject, why) in &self.notes {
            report.add(LinkKind::Journal, subject, State::Noted(why.clone()));
        }
    }
}

/// Checks that the store vouches for the key of this place: otherwise this is not the same store any more.
fn key(store: &Store) -> Result<Option<(String, String)>, RepoError> {
    let (key, why) = match store.key_standing()? {
        KeyStanding::None | KeyStanding::Vouched(_) => return Ok(None),
        KeyStanding::Unvouched(key) => (key, "it is not trusted"),
        KeyStanding::Unknown(key) => (key, "it is not in the journal"),
    };
    Ok(Some((format!("key {} of this machine", key.short(12)), why.to_owned())))
}
