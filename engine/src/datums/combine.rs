//! Datums from the matches of all inputs.
//!
//! Nested crosses are one cross of all their leaves: a datum is one match of each leaf. What a change touches is every combination in
//! which at least one match changed, so only the other inputs of a changed match are looked through.

use std::collections::{BTreeMap, BTreeSet};

use repos::tree::Tree;
use repos::{RepoError, Store};
use specs::{FilePath, Glob};

use super::DatumKey;
use super::matches::{ChangedMatch, Match, changed_matches, matches};

/// What one input contributes to a datum.
pub type Arm = (FilePath, Match);

/// Datums by their keys, each with one arm for each leaf.
pub type Datums = BTreeMap<DatumKey, Vec<Arm>>;

fn key_of(arms: &[Arm]) -> DatumKey {
    DatumKey::new(arms.iter().enumerate().map(|(leaf, (path, _))| (leaf, path)))
}

/// Every combination of one arm of each list.
fn product(lists: &[Vec<Arm>], visit: &mut impl FnMut(&[Arm])) {
    fn extend(lists: &[Vec<Arm>], arms: &mut Vec<Arm>, visit: &mut impl FnMut(&[Arm])) {
        match lists.split_first() {
            None => visit(arms),
            Some((first, rest)) => {
                for arm in first {
                    arms.push(arm.clone());
                    extend(rest, arms, visit);
                    arms.pop();
                }
            }
        }
    }
    if lists.iter().all(|list| !list.is_empty()) {
        extend(lists, &mut Vec::with_capacity(lists.len()), visit);
    }
}

/// All datums of these leaves.
pub fn all(store: &Store, leaves: &[(&Glob, Tree)]) -> Result<Datums, RepoError> {
    let lists: Vec<Vec<Arm>> = leaves
        .iter()
        .map(|(glob, tree)| Ok(matches(store, *tree, glob)?.into_iter().collect()))
        .collect::<Result<_, RepoError>>()?;
    let mut datums = Datums::new();
    product(&lists, &mut |arms| {
        datums.insert(key_of(arms), arms.to_vec());
    });
    Ok(datums)
}

/// The datums that differ when the leaves' trees go from old to new: those that there are now (new or changed), and the keys of those
/// that there were (gone or changed).
pub fn touched(store: &Store, leaves: &[(&Glob, Tree, Tree)]) -> Result<(Datums, BTreeSet<DatumKey>), RepoError> {
    let changed: Vec<Vec<ChangedMatch>> =
        leaves.iter().map(|(glob, old, new)| changed_matches(store, *old, *new, glob)).collect::<Result<_, _>>()?;
    let mut now = Datums::new();
    let mut before = BTreeSet::new();
    let side = |changed: &[ChangedMatch], new: bool| -> Vec<Arm> {
        let arm = |change: &ChangedMatch| Some((change.path.clone(), if new { change.new } else { change.old }?));
        changed.iter().filter_map(arm).collect()
    };
    for (at, own) in changed.iter().enumerate().filter(|(_, own)| !own.is_empty()) {
        for new in [true, false] {
            let lists: Vec<Vec<Arm>> = leaves
                .iter()
                .enumerate()
                .map(|(leaf, (glob, old_tree, new_tree))| {
                    if leaf == at {
                        return Ok(side(own, new));
                    }
                    let tree = if new { *new_tree } else { *old_tree };
                    let all = matches(store, tree, glob)?.into_iter();
                    // Combinations with a change in an earlier leaf were made when that leaf was at hand.
                    let made: BTreeSet<&FilePath> = if leaf < at {
                        changed[leaf].iter().map(|change| &change.path).collect()
                    } else {
                        BTreeSet::new()
                    };
                    Ok(all.filter(|(path, _)| !made.contains(path)).collect())
                })
                .collect::<Result<_, RepoError>>()?;
            product(&lists, &mut |arms| {
                if new {
                    now.insert(key_of(arms), arms.to_vec());
                } else {
                    before.insert(key_of(arms));
                }
            });
        }
    }
    Ok((now, before))
}
