//! The datums of an input by definition: enumerates everything and keeps what fits, without trees, order or shortcuts.

use std::collections::{BTreeMap, BTreeSet};

use specs::spec::{Input, PfsInput};

/// Content by path.
pub(super) type Files = BTreeMap<String, String>;
/// Leaf, path, key of a join or group.
pub(super) type ModelInput = (usize, String, Option<String>);

/// A datum: the parts of its key, and its inputs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ModelDatum {
    pub(super) key: Vec<(usize, String)>,
    pub(super) inputs: Vec<ModelInput>,
}

/// Files by repository.
pub(super) type World = BTreeMap<String, Files>;

/// All paths of a commit: files, the directories above them, and the root unless it is empty.
fn paths(files: &Files) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for file in files.keys() {
        all.insert(file.clone());
        all.insert("/".to_owned());
        all.extend(file.match_indices('/').skip(1).map(|(cut, _)| file[..cut].to_owned()));
    }
    all
}

/// What is at a path or below it.
pub(super) fn content(world: &World, leaf: &PfsInput, path: &str) -> Vec<(String, String)> {
    let below = if path == "/" { "/".to_owned() } else { format!("{path}/") };
    let files = world[leaf.repo.as_str()].iter();
    files
        .filter(|(file, _)| *file == path || file.starts_with(&below))
        .map(|(file, content)| (file.clone(), content.clone()))
        .collect()
}

/// All datums of `input`, whose first leaf has number `first`.
pub(super) fn datums(input: &Input, first: usize, world: &World) -> Vec<ModelDatum> {
    let members = |inputs: &[Input]| -> Vec<Vec<ModelDatum>> {
        let mut first = first;
        let mut all = Vec::new();
        for input in inputs {
            all.push(datums(input, first, world));
            first += input.leaves().len();
        }
        all
    };
    let leaf = |leaf: &PfsInput| -> Vec<ModelDatum> {
        let matched = paths(&world[leaf.repo.as_str()]).into_iter().filter(|path| leaf.glob.matches(path));
        matched.map(|path| ModelDatum { key: vec![(first, path.clone())], inputs: vec![(first, path, None)] }).collect()
    };
    // Keys refer to leaves by their number in the whole spec, which begins at `first` here.
    let leaves = input.leaves();
    let part = |input: &ModelInput, is_join: bool| {
        let leaf = leaves[input.0 - first];
        let template = if is_join { &leaf.join_on } else { &leaf.group_by };
        template.as_ref().map_or(String::new(), |template| template.key(&leaf.glob, &input.1).unwrap())
    };
    let key = |datum: &ModelDatum, is_join: bool| -> String {
        datum.inputs.iter().map(|input| part(input, is_join)).collect()
    };
    match input {
        Input::Pfs(input) => leaf(input),
        Input::Cron(cron) => leaf(&cron.ticks),
        Input::Union(inputs) => members(inputs).concat(),
        Input::Cross(inputs) => cross(&members(inputs)),
        Input::Join(inputs) => {
            let inputs = members(inputs);
            let keys: BTreeSet<String> = inputs.iter().flatten().map(|datum| key(datum, true)).collect();
            let of_key = |wanted: &String| {
                let mut own: Vec<Vec<ModelDatum>> = inputs
                    .iter()
                    .map(|input| input.iter().filter(|datum| key(datum, true) == *wanted).cloned().collect())
                    .collect();
                if own.contains(&Vec::new()) {
                    for input in &mut own {
                        input.retain(|datum| datum.inputs.iter().all(|input| leaves[input.0 - first].outer_join));
                    }
                    own.retain(|input| !input.is_empty());
                    if own.is_empty() {
                        return Vec::new();
                    }
                }
                cross(&own).into_iter().map(|datum| keyed(datum, wanted)).collect()
            };
            keys.iter().flat_map(of_key).collect()
        }
        Input::Group(inputs) => {
            let all = members(inputs).concat();
            let keys: BTreeSet<String> = all.iter().map(|datum| key(datum, false)).collect();
            let of_key = |wanted: String| {
                let members = all.iter().filter(|datum| key(datum, false) == wanted);
                let inputs: BTreeSet<(usize, String)> =
                    members.flat_map(|datum| datum.inputs.iter().map(|input| (input.0, input.1.clone()))).collect();
                let inputs = inputs.into_iter().map(|(leaf, path)| (leaf, path, None)).collect();
                keyed(ModelDatum { key: vec![(first, wanted.clone())], inputs }, &wanted)
            };
            keys.into_iter().map(of_key).collect()
        }
    }
}

fn keyed(mut datum: ModelDatum, key: &str) -> ModelDatum {
    for input in &mut datum.inputs {
        input.2 = Some(key.to_owned());
    }
    datum
}

fn cross(lists: &[Vec<ModelDatum>]) -> Vec<ModelDatum> {
    let mut all = vec![ModelDatum { key: Vec::new(), inputs: Vec::new() }];
    for list in lists {
        let longer = |begun: &ModelDatum| {
            let one = |next: &ModelDatum| ModelDatum {
                key: [begun.key.clone(), next.key.clone()].concat(),
                inputs: [begun.inputs.clone(), next.inputs.clone()].concat(),
            };
            list.iter().map(one).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}
