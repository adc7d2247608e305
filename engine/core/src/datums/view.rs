//! One side of a comparison: the datums of an input, given its commits at one moment.
//!
//! `all` visits every datum and holds none, except what a combination needs: a cross streams its largest input and packs the others, a join
//! or group packs and sorts its inputs. `with_keys` returns only datums with certain keys, found through the member rows.

use std::collections::{BTreeSet, HashSet};

use repos::tree::Tree;
use repos::{RepoError, Store};
use specs::FilePath;

use super::key::{LONG, stamp};
use super::list::{DatumList, SortedList};
use super::matches::{Finder, visit_matches};
use super::members::Members;
use super::shape::{By, KeyedNode, Node, Shape};
use super::{Datum, DatumKey, InputMatch, Match};

/// Called with a datum.
pub(super) type Visit<'v> = dyn FnMut(Datum) -> Result<(), RepoError> + 'v;

/// The leaves' commits at one moment.
pub(super) struct View<'a> {
    pub(super) store: &'a Store,
    pub(super) shape: &'a Shape,
    /// One for each leaf.
    pub(super) trees: Vec<Tree>,
    pub(super) members: Members<'a>,
}

/// The source of an input's datums in a cross.
pub(super) enum DatumSource<'l> {
    /// All datums of a node, except some.
    All(&'l Node, Option<&'l HashSet<DatumKey>>),
    These(&'l DatumList),
}

/// The datums of an input, ready to be iterated repeatedly.
enum Choices<'l> {
    One(&'l Datum),
    Packed(&'l DatumList),
    Plain(&'l [Datum]),
}

impl View<'_> {
    /// Every datum of a node, each once.
    pub(super) fn all(&self, node: &Node, visit: &mut Visit<'_>) -> Result<(), RepoError> {
        match node {
            Node::Leaf(leaf) => {
                let glob = &self.shape.leaves[*leaf].input.glob;
                visit_matches(self.store, self.trees[*leaf], glob, &mut |path, matched| {
                    visit(Datum::of_match(*leaf, path, matched))
                })
            }
            Node::Union(inputs) => inputs.iter().try_for_each(|input| self.all(input, visit)),
            Node::Cross(inputs) => {
                let sources: Vec<DatumSource<'_>> = inputs.iter().map(|input| DatumSource::All(input, None)).collect();
                self.cross(&sources, visit)
            }
            Node::Keyed(keyed) => {
                let mut lists =
                    keyed.inputs.iter().map(|input| self.sorted(keyed, input)).collect::<Result<Vec<_>, _>>()?;
                while let Some(key) = lists.iter().filter_map(SortedList::peek).min().map(str::to_owned) {
                    let of_key = lists.iter_mut().map(|list| list.take(&key)).collect();
                    self.combine(keyed, &key, of_key, visit)?;
                }
                Ok(())
            }
        }
    }

    fn sorted(&self, keyed: &KeyedNode, input: &Node) -> Result<SortedList, RepoError> {
        let mut list = DatumList::default();
        self.all(input, &mut |datum| {
            list.push_under(&self.shape.key_of(keyed.by, &datum), &datum);
            Ok(())
        })?;
        Ok(list.sorted())
    }

    /// Every combination of one datum from each source.
    pub(super) fn cross(&self, sources: &[DatumSource<'_>], visit: &mut Visit<'_>) -> Result<(), RepoError> {
        let sizes = sources.iter().map(|source| self.size(source)).collect::<Result<Vec<_>, _>>()?;
        let Some(streamed) = (0..sources.len()).max_by_key(|at| sizes[*at]) else { return Ok(()) };
        let mut packed: Vec<DatumList> = Vec::new();
        for (at, source) in sources.iter().enumerate() {
            let mut list = DatumList::default();
            if at != streamed {
                self.each(source, &mut |datum| {
                    list.push(&datum);
                    Ok(())
                })?;
                if list.is_empty() {
                    return Ok(());
                }
            }
            packed.push(list);
        }
        self.each(&sources[streamed], &mut |datum| {
            let choice = |(at, list)| if at == streamed { Choices::One(&datum) } else { Choices::Packed(list) };
            let choices: Vec<Choices<'_>> = packed.iter().enumerate().map(choice).collect();
            product(&choices, Datum::default(), visit)
        })
    }

    fn each(&self, source: &DatumSource<'_>, visit: &mut Visit<'_>) -> Result<(), RepoError> {
        match source {
            DatumSource::These(list) => list.iter().try_for_each(|(key, inputs)| visit(Datum { key, inputs })),
            DatumSource::All(node, without) => self.all(node, &mut |datum| match without {
                Some(without) if without.contains(&datum.key) => Ok(()),
                _ => visit(datum),
            }),
        }
    }

    /// The approximate number of datums in a source.
    fn size(&self, source: &DatumSource<'_>) -> Result<u64, RepoError> {
        match source {
            DatumSource::These(list) => Ok(list.len() as u64),
            DatumSource::All(node, _) => self.files_below(node),
        }
    }

    fn files_below(&self, node: &Node) -> Result<u64, RepoError> {
        match node {
            Node::Leaf(leaf) if self.shape.leaves[*leaf].input.glob.is_root() => Ok(1),
            Node::Leaf(leaf) => Ok(self.trees[*leaf].totals(self.store)?.entries),
            Node::Cross(inputs) | Node::Union(inputs) | Node::Keyed(KeyedNode { inputs, .. }) => {
                inputs.iter().try_fold(0, |sum: u64, input| Ok(sum.saturating_add(self.files_below(input)?)))
            }
        }
    }

    /// The datums that a join or group builds from its inputs' datums with one key.
    pub(super) fn combine(
        &self,
        keyed: &KeyedNode,
        key: &str,
        mut of_key: Vec<Vec<Datum>>,
        visit: &mut Visit<'_>,
    ) -> Result<(), RepoError> {
        if keyed.by == By::Group {
            let mut inputs: Vec<InputMatch> = of_key.into_iter().flatten().flat_map(|datum| datum.inputs).collect();
            if inputs.is_empty() {
                return Ok(());
            }
            inputs.sort_by(|one, other| (one.leaf, &one.path).cmp(&(other.leaf, &other.path)));
            inputs.dedup_by(|one, other| (one.leaf, &one.path) == (other.leaf, &other.path));
            stamp(&mut inputs, key);
            return visit(Datum { key: DatumKey::of_group(keyed.first_leaf, key), inputs });
        }
        if of_key.iter().any(Vec::is_empty) {
            for datums in &mut of_key {
                datums.retain(|datum| datum.inputs.iter().all(|input| self.shape.leaves[input.leaf].input.outer_join));
            }
            of_key.retain(|datums| !datums.is_empty());
            if of_key.is_empty() {
                return Ok(());
            }
        }
        let choices: Vec<Choices<'_>> = of_key.iter().map(|datums| Choices::Plain(datums)).collect();
        product(&choices, Datum::default(), &mut |mut datum| {
            stamp(&mut datum.inputs, key);
            visit(datum)
        })
    }

    /// The datums of an input of a join or group that have one of the keys, each under its key. An input that is itself a join or group is
    /// processed completely.
    pub(super) fn with_keys(
        &self,
        by: By,
        node: &Node,
        keys: &BTreeSet<String>,
        visit: &mut dyn FnMut(&str, Datum) -> Result<(), RepoError>,
    ) -> Result<(), RepoError> {
        match node {
            Node::Leaf(leaf) => {
                let mut finder = Finder::new(self.store, self.trees[*leaf])?;
                for key in keys {
                    for path in self.members.of_key(self.store, *leaf, key)? {
                        if let Some(matched) = finder.at(&path)? {
                            visit(key, Datum::of_match(*leaf, path, matched))?;
                        }
                    }
                }
                Ok(())
            }
            Node::Union(inputs) => inputs.iter().try_for_each(|input| self.with_keys(by, input, keys, visit)),
            Node::Cross(inputs) if !keys.iter().any(|key| key.starts_with(LONG)) => {
                self.cross_with_keys(by, inputs, keys, visit)
            }
            Node::Cross(_) | Node::Keyed(_) => self.all(node, &mut |datum| {
                let key = self.shape.key_of(by, &datum);
                if keys.contains(&key) { visit(&key, datum) } else { Ok(()) }
            }),
        }
    }

    /// The key of a cross is the concatenation of its inputs' keys: each input is asked for the possible continuations of a key.
    fn cross_with_keys(
        &self,
        by: By,
        inputs: &[Node],
        keys: &BTreeSet<String>,
        visit: &mut dyn FnMut(&str, Datum) -> Result<(), RepoError>,
    ) -> Result<(), RepoError> {
        let mut begun = vec![(String::new(), Datum::default())];
        for (at, input) in inputs.iter().enumerate() {
            let is_last = at + 1 == inputs.len();
            let mut wanted = BTreeSet::new();
            for rest in
                begun.iter().flat_map(|(start, _)| keys.iter().filter_map(|key| key.strip_prefix(start.as_str())))
            {
                let cuts = rest.char_indices().map(|(cut, _)| cut).filter(|_| !is_last).chain([rest.len()]);
                wanted.extend(cuts.map(|cut| rest[..cut].to_owned()));
            }
            let mut found: Vec<(String, Datum)> = Vec::new();
            self.with_keys(by, input, &wanted, &mut |key, datum| {
                found.push((key.to_owned(), datum));
                Ok(())
            })?;
            let longer = |(start, datum): &(String, Datum)| {
                let pairs = found.iter().map(|(key, next)| (format!("{start}{key}"), datum.and(next)));
                pairs.filter(|(start, _)| keys.iter().any(|key| key.starts_with(start))).collect::<Vec<_>>()
            };
            begun = begun.iter().flat_map(longer).collect();
        }
        begun.into_iter().filter(|(key, _)| keys.contains(key)).try_for_each(|(key, datum)| visit(&key, datum))
    }

    /// The datum for these parts of a key, which are consumed from the front, as far as it exists.
    pub(super) fn by_key(&self, node: &Node, parts: &mut &[(usize, &str)]) -> Result<Option<Datum>, RepoError> {
        let Some(((leaf, text), rest)) = parts.split_first() else { return Ok(None) };
        match node {
            Node::Leaf(own) => {
                let Some(path) = text.parse::<FilePath>().ok().filter(|_| own == leaf) else { return Ok(None) };
                *parts = rest;
                let matched = Finder::new(self.store, self.trees[*own])?.at(&path)?;
                Ok(matched.map(|matched| Datum::of_match(*own, path, matched)))
            }
            Node::Union(inputs) => match inputs.iter().find(|input| input.has_leaf(*leaf)) {
                Some(input) => self.by_key(input, parts),
                None => Ok(None),
            },
            Node::Cross(inputs) => self.in_turn(inputs, parts, false),
            Node::Keyed(keyed) if keyed.by == By::Join => {
                let datum = self.in_turn(&keyed.inputs, parts, true)?;
                Ok(datum.map(|mut datum| {
                    let key = self.join_key(keyed, &datum);
                    stamp(&mut datum.inputs, &key);
                    datum
                }))
            }
            Node::Keyed(keyed) => {
                *parts = rest;
                let mut of_key = Vec::new();
                for input in &keyed.inputs {
                    self.with_keys(keyed.by, input, &BTreeSet::from([(*text).to_owned()]), &mut |_, datum| {
                        of_key.push(datum);
                        Ok(())
                    })?;
                }
                let mut found = None;
                self.combine(keyed, text, vec![of_key], &mut |datum| {
                    found = Some(datum);
                    Ok(())
                })?;
                Ok(found)
            }
        }
    }

    /// One datum of each input; with `some`, only of those inputs for which there are parts.
    fn in_turn(&self, inputs: &[Node], parts: &mut &[(usize, &str)], some: bool) -> Result<Option<Datum>, RepoError> {
        let mut whole = Datum::default();
        for input in inputs {
            if some && !parts.first().is_some_and(|(leaf, _)| input.has_leaf(*leaf)) {
                continue;
            }
            let Some(datum) = self.by_key(input, parts)? else { return Ok(None) };
            whole = whole.and(&datum);
        }
        Ok(Some(whole))
    }

    /// The key that brought a join's datum together: the part of any of its inputs.
    fn join_key(&self, keyed: &KeyedNode, datum: &Datum) -> String {
        let first = datum.inputs.first().and_then(|first| keyed.inputs.iter().find(|input| input.has_leaf(first.leaf)));
        let own =
            datum.inputs.iter().filter(|input| first.is_some_and(|node| node.has_leaf(input.leaf))).cloned().collect();
        self.shape.key_of(keyed.by, &Datum { key: DatumKey::default(), inputs: own })
    }
}

/// Every combination of one datum from each list, appended to `begun`.
fn product(lists: &[Choices<'_>], begun: Datum, visit: &mut Visit<'_>) -> Result<(), RepoError> {
    let Some((first, rest)) = lists.split_first() else { return visit(begun) };
    match first {
        Choices::One(datum) => product(rest, begun.and(datum), visit),
        Choices::Packed(list) => {
            list.iter().try_for_each(|(key, inputs)| product(rest, begun.and(&Datum { key, inputs }), visit))
        }
        Choices::Plain(datums) => datums.iter().try_for_each(|datum| product(rest, begun.and(datum), visit)),
    }
}

impl Datum {
    pub(super) fn of_match(leaf: usize, path: FilePath, matched: Match) -> Self {
        let key = DatumKey::of_path(leaf, &path);
        Self { key, inputs: vec![InputMatch { leaf, path, matched, key: None }] }
    }

    /// The combined datum, with the inputs of `next` at the end.
    fn and(&self, next: &Self) -> Self {
        let mut both = self.clone();
        both.key.extend(&next.key);
        both.inputs.extend_from_slice(&next.inputs);
        both
    }
}
