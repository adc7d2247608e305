//! What a datum executes: its recipe, and the files that it sees.
//!
//! The variables describe the inputs only in the environment; there is no file `/pfs/.env`. `PACH_DATUM_<input>_JOIN_ON` and `_GROUP_BY`
//! both hold the key of the outermost join or group, because a recipe has one key for each input. Pachyderm sets only the one that the
//! input names, from the input's own part of the key.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use repos::documents::{Recipe, RecipeInput, Reference, canonical};
use repos::hash::digest_of;
use repos::tree::files::directory_range;
use repos::tree::{FileEntry, NodeSink, NodeStore, Tree};
use repos::{RepoError, Store};
use specs::spec::PfsInput;
use specs::{CommitId, DatumId, Digest, FilePath};

use crate::datums::{InputMatch, Match};
use crate::graph::BranchOf;
use sandbox::InputFile;

/// One input of a job: the leaf of the spec and the commit that the job reads.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The leaf in the spec.
    pub input: PfsInput,
    /// The branch that it reads.
    pub branch: BranchOf,
    /// The commit; `None` if the branch has none.
    pub commit: Option<CommitId>,
    /// The commit's files.
    pub tree: Tree,
}

/// A datum that is ready to be executed.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The recipe's digest.
    pub id: DatumId,
    /// The recipe.
    pub recipe: Recipe,
    /// Its inputs outside the recipe.
    pub references: Vec<Reference>,
}

/// Prepares datums of one job; caches what many of them share.
#[derive(Debug)]
pub struct RecipeBuilder {
    store: Store,
    transform: Digest,
    leaves: Vec<Leaf>,
    /// Roots of matched directories and the files below them: a model that every datum sees is looked up once.
    directories: Mutex<HashMap<(usize, FilePath), Directory>>,
}

#[derive(Debug, Clone)]
struct Directory {
    root: Digest,
    files: Arc<Vec<InputFile>>,
}

/// Number of matched directories that are cached; if there are more, each is probably used once.
const REMEMBERED: usize = 16;

impl RecipeBuilder {
    /// For a job with this transform and these inputs.
    pub fn new(store: Store, transform: Digest, leaves: Vec<Leaf>) -> Self {
        Self { store, transform, leaves, directories: Mutex::default() }
    }

    /// The inputs of the job.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// The recipe of a datum, which is stored.
    pub fn prepare(&self, inputs: &[InputMatch]) -> Result<Prepared, RepoError> {
        let prepared = self.preview(inputs)?;
        self.store.put_document(&prepared.recipe)?;
        Ok(prepared)
    }

    /// The recipe of a datum, without storing it.
    pub fn preview(&self, inputs: &[InputMatch]) -> Result<Prepared, RepoError> {
        let mut direct = Vec::with_capacity(inputs.len());
        let mut references = Vec::new();
        for InputMatch { leaf: number, path, matched, key } in inputs {
            let leaf = &self.leaves[*number];
            let (digest, executable, tree) = match matched {
                Match::File(file) => (Some(file.digest), file.executable, None),
                Match::Directory => (None, false, Some(self.directory(*number, path)?.root)),
            };
            if leaf.input.reference {
                references.push(Reference {
                    input: leaf.input.name.clone(),
                    repo: leaf.branch.0.clone(),
                    commit: leaf.commit.expect("a leaf that has a match has a commit"),
                    path: path.clone(),
                    digest: digest.or(tree).expect("a file or a directory"),
                });
            } else {
                direct.push(RecipeInput {
                    name: leaf.input.name.clone(),
                    path: path.clone(),
                    digest,
                    executable,
                    tree,
                    empty_files: leaf.input.empty_files,
                    key: key.clone(),
                });
            }
        }
        let recipe = Recipe { transform: self.transform, inputs: direct };
        let id = DatumId::new(digest_of(&canonical(&recipe)));
        Ok(Prepared { id, recipe, references })
    }

    fn directory(&self, number: usize, path: &FilePath) -> Result<Directory, RepoError> {
        let key = (number, path.clone());
        if let Some(known) = self.directories.lock().expect("no panic under this lock").get(&key) {
            return Ok(known.clone());
        }
        let leaf = &self.leaves[number];
        let root = if path.is_root() { leaf.tree.root() } else { root_below(&self.store, leaf.tree, path)? };
        let files = crate::datums::files_of(&self.store, leaf.tree, path, Match::Directory)?;
        let files = files.into_iter().map(|(path, file)| input_file(&leaf.input, &path, &file)).collect();
        let directory = Directory { root, files: Arc::new(files) };
        let mut known = self.directories.lock().expect("no panic under this lock");
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, directory.clone());
        Ok(directory)
    }

    /// Everything that a datum sees below `/pfs`, each file once: a group may match a directory and also a file in it.
    pub fn files(&self, inputs: &[InputMatch]) -> Result<Vec<InputFile>, RepoError> {
        let mut files = Vec::new();
        let is_grouped = inputs.windows(2).any(|pair| pair[0].leaf == pair[1].leaf);
        for InputMatch { leaf, path, matched, .. } in inputs {
            match matched {
                Match::File(file) => files.push(input_file(&self.leaves[*leaf].input, path, file)),
                Match::Directory => files.extend(self.directory(*leaf, path)?.files.iter().cloned()),
            }
        }
        if is_grouped {
            files.sort_by(|one, other| one.path.cmp(&other.path));
            files.dedup_by(|one, other| one.path == other.path);
        }
        Ok(files)
    }

    /// The environment variables of a datum's inputs. If a group has several files of an input, the last one wins.
    pub fn environment(&self, inputs: &[InputMatch]) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for InputMatch { leaf, path, key, .. } in inputs {
            let leaf = &self.leaves[*leaf];
            let name = &leaf.input.name;
            let path = if path.is_root() { "" } else { path.as_str() };
            env.insert(name.clone(), format!("/pfs/{name}{path}"));
            env.extend(leaf.commit.map(|commit| (format!("{name}_COMMIT"), commit.to_string())));
            // Both names, for either kind of input: so the recipe, which contains only the key, determines them.
            for by in ["JOIN_ON", "GROUP_BY"] {
                env.extend(key.as_ref().map(|key| (format!("PACH_DATUM_{name}_{by}"), key.clone())));
            }
        }
        env
    }
}

/// Root of the map of exactly the entries below a directory. Only the digest is needed: the nodes are not stored.
pub fn root_below<S>(store: &S, tree: Tree, directory: &FilePath) -> Result<Digest, RepoError>
where
    S: NodeStore<Error = RepoError> + ?Sized,
{
    Ok(tree.subtree(store, &directory_range(directory), &mut NoNodes)?.root())
}

/// A sink that discards all nodes.
struct NoNodes;

impl NodeSink for NoNodes {
    type Error = RepoError;

    fn write(&mut self, _: Digest, _: Vec<u8>) -> Result<(), RepoError> {
        Ok(())
    }
}

fn input_file(input: &PfsInput, path: &FilePath, file: &FileEntry) -> InputFile {
    InputFile {
        path: format!("{}{path}", input.name),
        digest: file.digest,
        size_bytes: file.size,
        executable: file.executable,
        is_placeholder: input.empty_files,
    }
}
