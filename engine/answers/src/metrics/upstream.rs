//! The parameters of a file: the figures in small files that its datum read, what their datums read, and so on up to users' commits.
//!
//! The variables of specs are parameters too. Files above 1 MiB and inputs after the 64th of a datum are left out, and the answer says so.
//! A figure in a pipeline's output is a parameter only if nothing that users committed differs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use compare::Figures;
use repos::documents::{Commit, CommitKind, Recipe, Reference, ResultDocument, Transform};
use repos::tree::{FileEntry, Map, PathKind, Tree, directory_range, path_of};
use repos::{RepoError, Store};
use serde_json::Value;
use specs::{CommitId, Digest, FilePath, RepoName};

use super::files::{figures_of, parameter_of_word};
use crate::sight::{InputSight, gap_in_words, recipe_of};
use crate::trace::{matched, origins_of};
use engine::Result;
use engine::graph::Versions;

/// Maximum number of inputs of a datum, and of files in a directory, that are examined.
const LOOKED_AT: usize = 64;
/// Maximum number of unreadable files named.
const NAMED: usize = 3;

/// The source of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Sort {
    /// A file committed by a user or a cron input, or the environment of a stage.
    Given,
    /// The version of a pipeline that executed it.
    Version,
    /// A file that a pipeline wrote.
    Made,
}

/// A parameter of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parameter {
    pub(super) sort: Sort,
    /// Its repository or pipeline.
    pub(super) place: String,
    /// The input through which it was read, and its file; `None` for an environment or a version.
    pub(super) file: Option<(String, FilePath)>,
    /// Its name in the file.
    pub(super) key: String,
    pub(super) value: Value,
}

/// A file that a datum read, and the name of its only value, if it has just one.
struct Read {
    input: String,
    repo: RepoName,
    commit: CommitId,
    path: FilePath,
    file: FileEntry,
    word: String,
}

/// Looks up parameters and caches those of each result.
pub(super) struct Upstream<'s> {
    store: &'s Store,
    known: HashMap<Digest, Rc<Vec<Parameter>>>,
    pipelines: Versions,
    unfit: BTreeSet<String>,
    /// Whether some inputs were not examined because there are many.
    is_cut: bool,
    /// How many inputs are not visible, by result.
    hidden: BTreeMap<Digest, u64>,
}

impl<'s> Upstream<'s> {
    pub(super) fn new(store: &'s Store) -> Self {
        Self {
            store,
            known: HashMap::new(),
            pipelines: Versions::default(),
            unfit: BTreeSet::new(),
            is_cut: false,
            hidden: BTreeMap::new(),
        }
    }

    /// Notes on what could not be read, and whether something was left out.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> =
            self.unfit.iter().take(NAMED).map(|what| format!("no parameters were read from {what}")).collect();
        if self.unfit.len() > NAMED {
            notes.push(format!("no parameters were read from {} more files", self.unfit.len() - NAMED));
        }
        if self.is_cut {
            notes.push(format!("only the first {LOOKED_AT} inputs were searched for parameters"));
        }
        let hidden: u64 = self.hidden.values().sum();
        if hidden > 0 {
            notes.push(format!("no parameters were read from what is hidden: {}", gap_in_words(hidden, "input")));
        }
        notes
    }

    /// The recipe of a result of this commit's pipeline, as far as it is visible.
    fn recipe(&mut self, commit: &Commit, digest: &Digest, result: &ResultDocument) -> Result<Recipe> {
        let pipeline = self.pipelines.of_commit(self.store, commit)?;
        let sight = pipeline.map_or_else(InputSight::nothing, |pipeline| InputSight::of(self.store, &pipeline));
        let (recipe, hidden) = recipe_of(self.store, &sight, digest, &result.recipe)?;
        if hidden > 0 {
            self.hidden.insert(*digest, hidden);
        }
        Ok(recipe)
    }

    /// The parameters of a file: none for a file that a user committed. If the datum linked or copied the file from an input, these are the
    /// parameters of the original, not of everything that the datum could choose from.
    pub(super) fn of_file(&mut self, commit: CommitId, path: &FilePath) -> Result<Rc<Vec<Parameter>>> {
        let commit = self.store.commit(&commit)?;
        let lineage: Map<Digest> = commit.lineage.map_or(Map::empty(), Map::at);
        let Some(digest) = lineage.get(self.store, path.as_str().as_bytes())? else { return Ok(Rc::default()) };
        let result: ResultDocument = self.store.document(&digest)?;
        let file = Tree::at(commit.tree).file(self.store, path)?;
        if let Some(file) = file.filter(|file| file.size > 0)
            && let Some((repo_commit, original)) = self.original(&commit, (&digest, &result), path, file)?
        {
            let recipe = self.recipe(&commit, &digest, &result)?;
            let mut found = self.of_stage(&result, &recipe)?;
            found.extend(self.of_file(repo_commit, &original)?.iter().cloned());
            return Ok(Rc::new(found));
        }
        self.of_result(&commit, &digest)
    }

    /// The one file with the same content that a pipeline wrote and the datum read; of several, the one with the same name.
    fn original(
        &mut self,
        commit: &Commit,
        (digest, result): (&Digest, &ResultDocument),
        path: &FilePath,
        file: FileEntry,
    ) -> Result<Option<(CommitId, FilePath)>> {
        let recipe = self.recipe(commit, digest, result)?;
        let mut same = Vec::new();
        for read in self.inputs(commit, &recipe)? {
            let is_new = |known: &(CommitId, FilePath)| (known.0, &known.1) != (read.commit, &read.path);
            if read.file.digest == file.digest
                && same.iter().all(is_new)
                && self.store.commit(&read.commit)?.kind == CommitKind::Output
            {
                same.push((read.commit, read.path));
            }
        }
        if same.len() > 1 {
            same.retain(|(_, original)| original.name() == path.name());
        }
        Ok(if same.len() == 1 { same.pop() } else { None })
    }

    fn of_result(&mut self, commit: &Commit, digest: &Digest) -> Result<Rc<Vec<Parameter>>> {
        if let Some(known) = self.known.get(digest) {
            return Ok(Rc::clone(known));
        }
        let result: ResultDocument = self.store.document(digest)?;
        let recipe = self.recipe(commit, digest, &result)?;
        let mut found = self.of_stage(&result, &recipe)?;
        let mut files = self.inputs(commit, &recipe)?;
        for reference in &result.references {
            let tree = Tree::at(self.store.commit(&reference.commit)?.tree);
            if let Some(file) = tree.file(self.store, &reference.path)? {
                let Reference { input, repo, commit, path, .. } = reference.clone();
                files.push(Read { word: input.clone(), input, repo, commit, path, file });
            }
        }
        for read in files {
            self.of_input(&read, &mut found)?;
        }
        let found = Rc::new(found);
        self.known.insert(*digest, Rc::clone(&found));
        Ok(found)
    }

    /// The environment and the version of a stage.
    fn of_stage(&self, result: &ResultDocument, recipe: &Recipe) -> Result<Vec<Parameter>> {
        let transform: Transform = self.store.document(&recipe.transform)?;
        let place = result.pipeline.to_string();
        let parameter = |sort, key: String, value| Parameter { sort, place: place.clone(), file: None, key, value };
        let env = transform.env.into_iter().map(|(key, value)| parameter(Sort::Given, key, Value::String(value)));
        let version = Value::String(format!("v{}", result.version));
        Ok(env.chain([parameter(Sort::Version, "version".to_owned(), version)]).collect())
    }

    /// The files that a datum read.
    fn inputs(&mut self, commit: &Commit, recipe: &Recipe) -> Result<Vec<Read>> {
        let Some(pipeline) = self.pipelines.of_commit(self.store, commit)? else { return Ok(Vec::new()) };
        self.is_cut |= recipe.inputs.len() > LOOKED_AT;
        let mut files = Vec::new();
        for input in recipe.inputs.iter().filter(|input| !input.empty_files).take(LOOKED_AT) {
            for origin in origins_of(commit, &pipeline, &input.name) {
                let tree = Tree::at(self.store.commit(&origin.commit)?.tree);
                let read = |path: FilePath, file, word| Read {
                    input: input.name.clone(),
                    repo: origin.repo.clone(),
                    commit: origin.commit,
                    path,
                    file,
                    word,
                };
                match matched(self.store, tree, input)? {
                    None => continue,
                    Some(PathKind::File(file)) => {
                        // An input with its own name says what the file is, although its path may differ between datums.
                        files.push(read(input.path.clone(), file, input.name.clone()));
                    }
                    Some(PathKind::Directory { files: count, .. }) => {
                        self.is_cut |= count > LOOKED_AT as u64;
                        for entry in tree.range(self.store, directory_range(&input.path))?.take(LOOKED_AT) {
                            let (key, file) = entry?;
                            let path = path_of(&key).map_err(RepoError::from)?;
                            let word = parameter_of_word(&path);
                            files.push(read(path, file, word));
                        }
                    }
                }
                break;
            }
        }
        Ok(files)
    }

    /// Adds the figures of a file that was read, and the parameters that led to it.
    fn of_input(&mut self, read: &Read, found: &mut Vec<Parameter>) -> Result<()> {
        let Read { input, repo, commit, path, file, word } = read;
        let is_made = self.store.commit(commit)?.kind == CommitKind::Output;
        let mut add = |parameter: Parameter| {
            if !found.contains(&parameter) {
                found.push(parameter);
            }
        };
        if is_made {
            self.of_file(*commit, path)?.iter().cloned().for_each(&mut add);
        }
        let values = match figures_of(self.store, path, file)? {
            Figures::Values(values) => values,
            Figures::Other => return Ok(()),
            Figures::Unfit(why) => {
                self.unfit.insert(format!("{repo}:{path}: {why}"));
                return Ok(());
            }
        };
        let sort = if is_made { Sort::Made } else { Sort::Given };
        for (key, value) in values.leaves {
            let key = if key.is_empty() { word.clone() } else { key };
            add(Parameter { sort, place: repo.to_string(), file: Some((input.clone(), path.clone())), key, value });
        }
        Ok(())
    }
}

/// Possible names of a parameter, from short to long: by its key, its repository or pipeline, the input that read it, its file.
fn names_of(parameter: &Parameter) -> [String; 4] {
    let Parameter { sort, place, file, key, .. } = parameter;
    let long = format!("{place}.{key}");
    let short = if *sort == Sort::Version { long.clone() } else { key.clone() };
    match file {
        Some((input, path)) => [short, long, format!("{input}.{key}"), format!("{place}:{path}:{key}")],
        None => [short, long.clone(), long.clone(), long],
    }
}

/// The parameters of all rows by name: for each the shortest name that is unambiguous in every row.
pub(super) fn named(rows: &[Rc<Vec<Parameter>>]) -> Vec<BTreeMap<String, (Sort, Value)>> {
    type Holder<'r> = (&'r str, Option<&'r (String, FilePath)>, &'r str);
    let mut shared: BTreeSet<String> = BTreeSet::new();
    for row in rows {
        let mut holders: BTreeMap<String, BTreeSet<Holder<'_>>> = BTreeMap::new();
        for parameter in row.iter() {
            let this = (parameter.place.as_str(), parameter.file.as_ref(), parameter.key.as_str());
            for name in names_of(parameter) {
                holders.entry(name).or_default().insert(this);
            }
        }
        shared.extend(holders.into_iter().filter(|(_, holders)| holders.len() > 1).map(|(name, _)| name));
    }
    let name = |parameter: &Parameter| {
        let [first, second, third, last] = names_of(parameter);
        [first, second, third].into_iter().find(|name| !shared.contains(name)).unwrap_or(last)
    };
    let of = |row: &Rc<Vec<Parameter>>| row.iter().map(|one| (name(one), (one.sort, one.value.clone()))).collect();
    rows.iter().map(of).collect()
}
