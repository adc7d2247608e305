//! What is known of the datums of a job, wherever that is: in its output commit, in the engine that runs it, or in the results left by an
//! engine that is gone.

use std::collections::btree_map;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::iter::Peekable;

use repos::documents::{Provenance, ResultDocument};
use repos::object::Kind;
use repos::tree::{KeyRange, Range};
use repos::{JobRow, RepoError, Store};
use specs::{DatumId, Digest};

use engine::Result;
use engine::datums::{DatumKey, prefix};
use engine::datums::{DatumMap, result_in};
use engine::feed::DatumEdits;
use engine::graph::Pipeline;
use engine::inputs::{Readiness, inputs_of};
use engine::live::{JobKey, Live};

/// The datums of a job that have ended so far, including those taken from its base.
#[derive(Debug)]
pub(crate) enum Known {
    /// Those in a map, and edits that are not applied to it yet.
    Map(DatumMap, DatumEdits),
    /// Only results, of an interrupted job: they are in no map yet.
    Results(Vec<Digest>),
}

impl Known {
    /// The datums of a job; `live` is the activity of this process, if it runs an engine.
    pub(crate) fn of(store: &Store, live: Option<&Live>, job: &JobRow) -> Result<Self> {
        let map = |map| Self::Map(map, DatumEdits::new());
        if let Some(commit) = job.commit {
            return Ok(map(store.commit(&commit)?.datums.map_or(DatumMap::empty(), DatumMap::at)));
        }
        if job.sealed.is_some() {
            return Ok(map(DatumMap::empty()));
        }
        let key = JobKey { order: job.order, pipeline: job.pipeline.clone() };
        let feed = live.and_then(|live| live.feed(&key));
        match feed.and_then(|feed| feed.so_far()) {
            Some(so_far) => {
                let (map, edits) = so_far.snapshot();
                Ok(Self::Map(map, edits))
            }
            None => Ok(Self::Results(left_behind(store, job)?)),
        }
    }

    /// Why a datum was recovered, if it was.
    pub(crate) fn recovered(&self, store: &Store, key: &DatumKey) -> Result<Option<String>, RepoError> {
        let Self::Map(map, edits) = self else { return Ok(None) };
        let key = key.below(prefix::RECOVERED);
        let reason = match edits.get(&key) {
            Some(edited) => edited.clone(),
            None => map.get(store, &key)?,
        };
        Ok(reason.map(|reason| String::from_utf8_lossy(&reason).into_owned()))
    }

    /// The keys of all recovered datums, and why each was recovered.
    pub(crate) fn all_recovered(&self, store: &Store) -> Result<BTreeMap<DatumKey, String>, RepoError> {
        let Self::Map(map, edits) = self else { return Ok(BTreeMap::new()) };
        let mut recovered = BTreeMap::new();
        let mut add = |key: &[u8], reason: &[u8]| {
            recovered.insert(DatumKey::from_map(key), String::from_utf8_lossy(reason).into_owned());
        };
        for entry in map.range(store, KeyRange::prefix([prefix::RECOVERED]))? {
            let (key, reason) = entry?;
            if !edits.contains_key(&key) {
                add(&key, &reason);
            }
        }
        for (key, reason) in edits.range(vec![prefix::RECOVERED]..vec![prefix::RECOVERED + 1]) {
            if let Some(reason) = &reason {
                add(key, reason);
            }
        }
        Ok(recovered)
    }

    /// All datums, in the order of their keys as far as these are known.
    pub(crate) fn entries<'s>(&self, store: &'s Store) -> Result<Entries<'s>, RepoError> {
        match self {
            Self::Results(results) => Ok(Entries::Results(results.clone().into_iter())),
            Self::Map(map, edits) => {
                let edits: DatumEdits = edits
                    .range(vec![prefix::DATUM]..vec![prefix::DATUM + 1])
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                let stored = map.range(store, KeyRange::prefix([prefix::DATUM]))?.peekable();
                Ok(Entries::Map { stored, edits: edits.into_iter().peekable() })
            }
        }
    }

    /// The key of a result. The map is keyed by inputs, so this is a scan, but it reads no documents.
    pub(crate) fn place(&self, store: &Store, result: &Digest) -> Result<Option<DatumKey>> {
        for entry in self.entries(store)? {
            let (key, found) = entry?;
            if found == *result {
                return Ok(key);
            }
        }
        Ok(None)
    }
}

/// Keys and results of datums; a result that is in no map yet has no key.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one is made for a listing")]
pub(crate) enum Entries<'s> {
    Map { stored: Peekable<Range<'s, Vec<u8>, Store>>, edits: Peekable<btree_map::IntoIter<Vec<u8>, Option<Vec<u8>>>> },
    Results(std::vec::IntoIter<Digest>),
}

impl Iterator for Entries<'_> {
    type Item = Result<(Option<DatumKey>, Digest), RepoError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self::Map { stored, edits } = self else {
            let Self::Results(results) = self else { return None };
            return results.next().map(|result| Ok((None, result)));
        };
        loop {
            let (key, value) = match next_of(stored, edits)? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error)),
            };
            if let Some(result) = value.as_deref().and_then(result_in) {
                return Some(Ok((Some(DatumKey::from_map(&key)), result)));
            }
        }
    }
}

/// The next entry of the two by key; for equal keys the edit wins.
#[expect(clippy::type_complexity, reason = "an entry of a map, or an edit")]
fn next_of(
    stored: &mut Peekable<Range<'_, Vec<u8>, Store>>,
    edits: &mut Peekable<btree_map::IntoIter<Vec<u8>, Option<Vec<u8>>>>,
) -> Option<Result<(Vec<u8>, Option<Vec<u8>>), RepoError>> {
    let Some((edited, _)) = edits.peek() else {
        return stored.next().map(|entry| entry.map(|(key, value)| (key, Some(value))));
    };
    match stored.peek() {
        Some(Ok((key, _))) if key < edited => stored.next().map(|entry| entry.map(|(key, value)| (key, Some(value)))),
        Some(Ok((key, _))) if key == edited => {
            stored.next();
            edits.next().map(Ok)
        }
        Some(Err(_)) => stored.next().map(|entry| entry.map(|(key, value)| (key, Some(value)))),
        _ => edits.next().map(Ok),
    }
}

/// The results of a job's datums that have ended (so far, for a running job), each with the paths or keys of its datum, if known.
pub fn results_of<'s>(
    store: &'s Store,
    live: Option<&Live>,
    job: &JobRow,
) -> Result<impl Iterator<Item = Result<(Option<String>, Digest), RepoError>> + use<'s>> {
    let entries = Known::of(store, live, job)?.entries(store)?;
    let seen = seen_leaves(store, job)?;
    Ok(entries.map(move |entry| {
        let (key, result) = entry?;
        let parts = key.as_ref().and_then(DatumKey::parts);
        let is_seen = |leaf: usize| seen.as_ref().is_none_or(|seen| seen.get(leaf) == Some(&true));
        let place = parts.map(|parts| {
            let parts = parts.into_iter().filter(|(leaf, _)| is_seen(*leaf));
            parts.map(|(_, text)| text).collect::<Vec<_>>().join(" ")
        });
        Ok((place, result))
    }))
}

/// For each leaf of a job's pipeline, whether it is visible; `None` if all are.
fn seen_leaves(store: &Store, job: &JobRow) -> Result<Option<Vec<bool>>> {
    if !store.is_limited() {
        return Ok(None);
    }
    let pipeline = Pipeline::load_version(store, &job.pipeline, job.version)?;
    Ok(Some(pipeline.spec.input.leaves().into_iter().map(|leaf| store.sees(&leaf.repo)).collect()))
}

/// The newest result of each datum that a job executed before its engine disappeared, in the order in which they ended.
fn left_behind(store: &Store, job: &JobRow) -> Result<Vec<Digest>> {
    let mut newest: HashMap<DatumId, Digest> = HashMap::new();
    let mut in_order = Vec::new();
    for digest in store.results_since(job.created_at)? {
        // After a power cut the index may contain a result whose bytes never reached the disk.
        if !store.contains(Kind::Result, &digest)? {
            continue;
        }
        let result: ResultDocument = store.document(&digest)?;
        if result.run == job.run && result.pipeline == job.pipeline {
            newest.insert(result.recipe, digest);
            in_order.push(digest);
        }
    }
    let newest: HashSet<Digest> = newest.into_values().collect();
    in_order.retain(|digest| newest.contains(digest));
    Ok(in_order)
}

/// How many input commits of a job are not visible.
pub fn hidden_inputs(store: &Store, job: &JobRow) -> Result<u64> {
    if !store.is_limited() {
        return Ok(0);
    }
    let all: BTreeSet<_> = provenance_of(&store.whole(), job)?.into_iter().map(|origin| origin.repo).collect();
    Ok(all.iter().filter(|repo| !store.sees(repo)).count() as u64)
}

/// The visible input commits of a job, also while it runs; empty if its inputs do not exist yet.
pub fn provenance_of(store: &Store, job: &JobRow) -> Result<Vec<Provenance>> {
    if let Some(commit) = job.commit {
        return Ok(store.commit(&commit)?.provenance);
    }
    // Whether its inputs are ready may depend on what is hidden.
    let whole = store.whole();
    let pipeline = Pipeline::load_version(&whole, &job.pipeline, job.version)?;
    let Readiness::Ready(leaves) = inputs_of(&whole, &pipeline, job, &whole.open_jobs()?)? else {
        return Ok(Vec::new());
    };
    let seen = leaves.into_iter().filter(|leaf| store.sees(&leaf.branch.0));
    let commits: BTreeMap<_, _> = seen.filter_map(|leaf| Some((leaf.branch, leaf.commit?))).collect();
    Ok(commits.into_iter().map(|((repo, branch), commit)| Provenance { repo, branch, commit }).collect())
}
