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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arm {
    /// The number of the leaf in the spec.
    pub leaf: usize,
    /// The path that its glob matched.
    pub path: FilePath,
    /// What is there.
    pub matched: Match,
    /// The key of the join or group that the leaf is in.
    pub key: Option<String>,
}

/// Datums by their keys, each with its arms in spec order.
pub type Datums = BTreeMap<DatumKey, Vec<Arm>>;

fn key_of(arms: &[Arm]) -> DatumKey {
    DatumKey::new(arms.iter().map(|arm| (arm.leaf, &arm.path)))
}

fn arm(leaf: usize, path: FilePath, matched: Match) -> Arm {
    Arm { leaf, path, matched, key: None }
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
        .enumerate()
        .map(|(leaf, (glob, tree))| {
            Ok(matches(store, *tree, glob)?.into_iter().map(|(path, matched)| arm(leaf, path, matched)).collect())
        })
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
    let side = |leaf: usize, changed: &[ChangedMatch], new: bool| -> Vec<Arm> {
        let own = |change: &ChangedMatch| {
            let matched = if new { change.new } else { change.old };
            matched.map(|matched| arm(leaf, change.path.clone(), matched))
        };
        changed.iter().filter_map(own).collect()
    };
    for (at, own) in changed.iter().enumerate().filter(|(_, own)| !own.is_empty()) {
        for new in [true, false] {
            let lists: Vec<Vec<Arm>> = leaves
                .iter()
                .enumerate()
                .map(|(leaf, (glob, old_tree, new_tree))| {
                    if leaf == at {
                        return Ok(side(leaf, own, new));
                    }
                    let tree = if new { *new_tree } else { *old_tree };
                    let all = matches(store, tree, glob)?.into_iter();
                    // Combinations with a change in an earlier leaf were made when that leaf was at hand.
                    let made: BTreeSet<&FilePath> = if leaf < at {
                        changed[leaf].iter().map(|change| &change.path).collect()
                    } else {
                        BTreeSet::new()
                    };
                    let kept = all.filter(|(path, _)| !made.contains(path));
                    Ok(kept.map(|(path, matched)| arm(leaf, path, matched)).collect())
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
