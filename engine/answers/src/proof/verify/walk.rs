//! Checks a claim, link by link, from the requested file to users' commits.
//!
//! Open items are in a list, not on the stack, because chains can be long. Each file, result and commit is checked once.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use bytes::Bytes;
use repos::RepoError;
use repos::documents::{
    Commit, CommitKind, Document, Recipe, RecipeInput, ResultDocument, SignatureDocument, SpecDocument, Transform,
};
use repos::object::Kind;
use repos::tree::{FileEntry, KeyRange, Map, NodeStore, Tree, directory_range, path_of};
use specs::{CommitId, Digest, ErrorKind, FilePath, RepoName};

use super::evidence::{Evidence, Key};
use super::links::{LinkKind, Report, State};

/// Number of cached nodes: each is read and verified once, and used by many lookups.
const NODES: usize = 20_000;

type Result<T, E = RepoError> = std::result::Result<T, E>;

/// Keys of a map with their values.
type Entries<V> = Vec<(Vec<u8>, V)>;

/// A claim being checked.
pub(in crate::proof) struct Walk<'a> {
    evidence: &'a dyn Evidence,
    nodes: RefCell<HashMap<Digest, Bytes>>,
    commits: HashMap<CommitId, Option<Rc<Commit>>>,
    files: HashSet<(CommitId, FilePath)>,
    contents: HashSet<Digest>,
    /// Results with the commits that name them.
    pub(in crate::proof) results: HashSet<(CommitId, Digest)>,
    documents: HashSet<Digest>,
    open: Vec<(CommitId, FilePath)>,
    pub(in crate::proof) report: Report,
    /// The commits in the claim, in the order in which they were reached.
    pub(in crate::proof) met: Vec<CommitId>,
    /// Which commit introduced a source file.
    pub(in crate::proof) introduced: Vec<(CommitId, FilePath, CommitId)>,
    /// Trees of code that were checked.
    code: HashSet<Digest>,
    /// Commits with a signature that counts.
    signed: Vec<CommitId>,
    /// Unsigned commits for which that may be acceptable, as text, and why.
    unsigned: Vec<(CommitId, String, String)>,
}

impl NodeStore for Walk<'_> {
    type Error = RepoError;

    fn read(&self, digest: &Digest) -> Result<Bytes> {
        if let Some(node) = self.nodes.borrow().get(digest) {
            return Ok(node.clone());
        }
        let node = self.evidence.object(Kind::Node, digest)?;
        let mut nodes = self.nodes.borrow_mut();
        if nodes.len() >= NODES {
            nodes.clear();
        }
        nodes.insert(*digest, node.clone());
        Ok(node)
    }
}

/// A path in a commit, as text.
fn place(commit: &Commit, id: &CommitId, path: &FilePath) -> String {
    format!("{}@{}:{path}", commit.repo, id.short(12))
}

impl<'a> Walk<'a> {
    pub(in crate::proof) fn new(evidence: &'a dyn Evidence) -> Self {
        Self {
            evidence,
            nodes: RefCell::default(),
            commits: HashMap::new(),
            files: HashSet::new(),
            contents: HashSet::new(),
            results: HashSet::new(),
            documents: HashSet::new(),
            open: Vec::new(),
            report: Report::default(),
            met: Vec::new(),
            introduced: Vec::new(),
            code: HashSet::new(),
            signed: Vec::new(),
            unsigned: Vec::new(),
        }
    }

    /// Decides about unsigned commits once all commits are known: a signed commit vouches for those that it names, directly or indirectly.
    /// Must be called at the end.
    pub(in crate::proof) fn finish(&mut self) {
        if self.unsigned.is_empty() {
            return;
        }
        let mut brought: HashMap<CommitId, HashSet<CommitId>> = HashMap::new();
        for (at, _, by) in &self.introduced {
            brought.entry(*at).or_default().insert(*by);
        }
        let mut vouched: HashSet<CommitId> = self.signed.iter().copied().collect();
        let mut open = std::mem::take(&mut self.signed);
        while let Some(id) = open.pop() {
            let named = self.commits.get(&id).into_iter().flatten().flat_map(|commit| named_by(commit));
            let brought = brought.get(&id).into_iter().flatten().copied();
            open.extend(named.chain(brought).filter(|named| vouched.insert(*named)));
        }
        for (id, subject, why) in std::mem::take(&mut self.unsigned) {
            let state = if vouched.contains(&id) {
                State::Noted(format!("unsigned: {why}; a signed commit refers to it"))
            } else if self.evidence.is_vouched_for() {
                State::Noted(format!("unsigned: {why}"))
            } else if self.evidence.wants_signer() {
                State::Fails(format!("unsigned: {why}, and nothing signed by the given key refers to it"))
            } else {
                self.report.unsigned += 1;
                State::Noted(format!("unsigned: {why}"))
            };
            self.report.add(LinkKind::Signature, subject, state);
        }
    }

    /// Checks one file of a commit and everything it depends on.
    pub(in crate::proof) fn file(&mut self, id: CommitId, path: &FilePath) -> Result<()> {
        self.open.push((id, path.clone()));
        while let Some((id, path)) = self.open.pop() {
            if self.files.insert((id, path.clone())) {
                self.one_file(id, &path)?;
            }
        }
        Ok(())
    }

    /// Checks a commit, all its files and datums, and everything they depend on.
    pub(in crate::proof) fn commit_in_full(&mut self, id: CommitId) -> Result<()> {
        let Some(commit) = self.commit(id)? else { return Ok(()) };
        let subject = format!("{}@{}", commit.repo, id.short(12));
        let Some(files) = self.all(LinkKind::Tree, &subject, Tree::at(commit.tree), KeyRange::all())? else {
            return Ok(());
        };
        for (key, _) in files {
            self.file(id, &path_of(&key)?)?;
        }
        let Some(datums) = commit.datums else { return Ok(()) };
        // Including datums that wrote nothing.
        let written = KeyRange::prefix([engine::datums::prefix::DATUM]);
        let Some(datums) = self.all(LinkKind::Lineage, &subject, Map::<Vec<u8>>::at(datums), written)? else {
            return Ok(());
        };
        for (_, value) in datums {
            if let Ok(digest) = <[u8; 32]>::try_from(value.as_slice()) {
                self.result(id, &commit, Digest::from_bytes(digest))?;
            }
            while let Some((id, path)) = self.open.pop() {
                self.file(id, &path)?;
            }
        }
        Ok(())
    }

    /// All entries of a map; `None` if it cannot be read, which is reported.
    fn all<V: repos::tree::MapValue>(
        &mut self,
        link: LinkKind,
        subject: &str,
        map: Map<V>,
        range: KeyRange,
    ) -> Result<Option<Entries<V>>> {
        let read = map.range(self, range).and_then(Iterator::collect::<Result<Vec<_>>>);
        self.checked(link, subject, read)
    }

    /// The result of a read; damage is reported, not returned as an error.
    fn checked<T>(&mut self, link: LinkKind, subject: &str, read: Result<T>) -> Result<Option<T>> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::Damaged => {
                self.report.add(link, subject, State::Damaged(error.to_string()));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn document<D: Document>(&mut self, link: LinkKind, subject: &str, digest: &Digest) -> Result<Option<D>> {
        let read = self.evidence.object(D::KIND, digest).and_then(|bytes| parse::<D>(digest, &bytes));
        self.checked(link, subject, read)
    }

    /// A commit's document, with its signature; each is checked once.
    fn commit(&mut self, id: CommitId) -> Result<Option<Rc<Commit>>> {
        if let Some(known) = self.commits.get(&id) {
            return Ok(known.clone());
        }
        let name = format!("commit {}", id.short(12));
        let read = self.evidence.object(Kind::Commit, &id.digest());
        let parsed = read.and_then(|bytes| Ok((parse::<Commit>(&id.digest(), &bytes)?, bytes)));
        let found = match self.checked(LinkKind::Commit, &name, parsed)? {
            Some((commit, bytes)) => {
                let subject = format!("{}@{}", commit.repo, id.short(12));
                self.report.add(LinkKind::Commit, &subject, State::Holds);
                self.signature(id, &subject, &bytes)?;
                self.met.push(id);
                Some(Rc::new(commit))
            }
            None => None,
        };
        self.commits.insert(id, found.clone());
        Ok(found)
    }

    fn signature(&mut self, id: CommitId, subject: &str, bytes: &[u8]) -> Result<()> {
        let mut signed = 0;
        for digest in self.evidence.signatures(&id)? {
            signed += 1;
            let Some(document) = self.document::<SignatureDocument>(LinkKind::Signature, subject, &digest)? else {
                continue;
            };
            let name = document.key.short(12);
            let fits =
                |key: &repos::keys::PublicKey| document.commit == id && key.has_signed(bytes, &document.signature);
            let state = match self.evidence.key(&document.key)? {
                Key::Refused(why) => State::Fails(why),
                Key::Known(key) | Key::Unchecked(key) if !fits(&key) => {
                    State::Fails(format!("signature {} was not made by key {name}", digest.short(12)))
                }
                Key::Known(_) => {
                    self.signed.push(id);
                    State::Holds
                }
                Key::Unchecked(_) => {
                    self.signed.push(id);
                    self.report.unchecked_signers += 1;
                    State::Holds
                }
            };
            self.report.add(LinkKind::Signature, format!("{subject} by key {name}"), state);
        }
        if signed == 0 {
            match self.evidence.may_be_unsigned(&id)? {
                Some(why) => self.unsigned.push((id, subject.to_owned(), why)),
                None => self.report.add(LinkKind::Signature, subject, State::Fails("it is not signed".to_owned())),
            }
        }
        Ok(())
    }

    fn one_file(&mut self, id: CommitId, path: &FilePath) -> Result<()> {
        let Some(commit) = self.commit(id)? else { return Ok(()) };
        let subject = place(&commit, &id, path);
        let found = Tree::at(commit.tree).file(&*self, path);
        let Some(found) = self.checked(LinkKind::Tree, &subject, found)? else { return Ok(()) };
        let Some(file) = found else {
            self.report.add(LinkKind::Tree, &subject, State::Fails("the commit has no such file".to_owned()));
            return Ok(());
        };
        self.report.add(LinkKind::Tree, &subject, State::Holds);
        self.content(&file, &id, &subject)?;
        if commit.kind == CommitKind::Output {
            self.derived(id, &commit, path, &file)
        } else {
            self.source(id, path, &file)
        }
    }

    fn content(&mut self, file: &FileEntry, id: &CommitId, subject: &str) -> Result<()> {
        if !self.contents.insert(file.digest) {
            return Ok(());
        }
        let subject = format!("{subject} sha256 {}", file.digest.short(12));
        let read = self.evidence.content(file, id);
        if let Some(there) = self.checked(LinkKind::Bytes, &subject, read)? {
            self.report.add(LinkKind::Bytes, subject, there.map_or_else(State::Noted, |()| State::Holds));
        }
        Ok(())
    }

    /// A file that a datum wrote.
    fn derived(&mut self, id: CommitId, commit: &Rc<Commit>, path: &FilePath, file: &FileEntry) -> Result<()> {
        let subject = place(commit, &id, path);
        let lineage: Map<Digest> = commit.lineage.map_or(Map::empty(), Map::at);
        let found = lineage.get(&*self, path.as_str().as_bytes());
        let Some(found) = self.checked(LinkKind::Lineage, &subject, found)? else { return Ok(()) };
        let Some(digest) = found else {
            let why = "the commit does not record which datum wrote it";
            self.report.add(LinkKind::Lineage, subject, State::Fails(why.to_owned()));
            return Ok(());
        };
        self.report.add(LinkKind::Lineage, format!("{subject} by result {}", digest.short(12)), State::Holds);
        let Some(outputs) = self.result(id, commit, digest)? else { return Ok(()) };
        let written = outputs.file(&*self, path);
        if let Some(written) = self.checked(LinkKind::Result, &subject, written)? {
            let why = format!("result {} did not produce this content", digest.short(12));
            let state = if written == Some(*file) { State::Holds } else { State::Fails(why) };
            self.report.add(LinkKind::Result, subject, state);
        }
        Ok(())
    }

    /// Checks a result within a commit that names it; returns the tree of its outputs.
    fn result(&mut self, id: CommitId, commit: &Rc<Commit>, digest: Digest) -> Result<Option<Tree>> {
        let subject = format!("result {} of {}", digest.short(12), commit.repo);
        let Some(result) = self.document::<ResultDocument>(LinkKind::Result, &subject, &digest)? else {
            return Ok(None);
        };
        let outputs = result.outputs.map_or(Tree::empty(), Tree::at);
        if !self.results.insert((id, digest)) {
            return Ok(Some(outputs));
        }
        if self.documents.insert(digest) {
            self.report.add(LinkKind::Result, &subject, State::Holds);
            for log in result.tries.iter().filter_map(|attempt| attempt.log) {
                let name = format!("log {} of {subject}", log.short(12));
                let read = self.evidence.log(&log, &id);
                if let Some(there) = self.checked(LinkKind::Log, &name, read)? {
                    self.report.add(LinkKind::Log, name, there.map_or_else(State::Noted, |()| State::Holds));
                }
            }
        }
        self.recipe(id, commit, &result)?;
        Ok(Some(outputs))
    }

    fn recipe(&mut self, id: CommitId, commit: &Rc<Commit>, result: &ResultDocument) -> Result<()> {
        let subject = format!("recipe {} of {}", result.recipe.short(12), commit.repo);
        let Some(recipe) = self.document::<Recipe>(LinkKind::Recipe, &subject, &result.recipe.digest())? else {
            return Ok(());
        };
        let Some(stamp) = &commit.pipeline else {
            self.report.add(
                LinkKind::Recipe,
                subject,
                State::Fails("its commit does not record a pipeline".to_owned()),
            );
            return Ok(());
        };
        let transform = self.document::<Transform>(LinkKind::Recipe, &subject, &recipe.transform)?;
        let Some(transform) = transform else { return Ok(()) };
        transform.code.map_or(Ok(()), |code| self.code(id, commit, code))?;
        let Some(spec) = self.document::<SpecDocument>(LinkKind::Recipe, &subject, &stamp.spec)? else { return Ok(()) };
        // A failed job kept earlier outputs, possibly of another version.
        let is_its_own = recipe.transform == stamp.transform || commit.error.is_some();
        let why = || State::Fails("it does not match the pipeline version in the commit".to_owned());
        self.report.add(LinkKind::Recipe, &subject, if is_its_own { State::Holds } else { why() });
        for input in &recipe.inputs {
            self.input(commit, &subject, &spec, input)?;
        }
        for reference in &result.references {
            let wanted = RecipeInput {
                name: reference.input.clone(),
                path: reference.path.clone(),
                digest: Some(reference.digest),
                executable: false,
                tree: Some(reference.digest),
                empty_files: false,
                key: None,
            };
            let found = self.find_input(reference.commit, &wanted)?;
            self.take_input(&subject, &wanted, found);
        }
        Ok(())
    }

    /// Checks the code that a transform names, file by file.
    fn code(&mut self, id: CommitId, commit: &Rc<Commit>, code: Digest) -> Result<()> {
        if !self.code.insert(code) {
            return Ok(());
        }
        let subject = format!("code {} of {}", code.short(12), commit.repo);
        if let Some(why) = self.evidence.code_left_out(&code) {
            self.report.add(LinkKind::Code, subject, State::Noted(why));
            return Ok(());
        }
        let Some(files) = self.all(LinkKind::Code, &subject, Tree::at(code), KeyRange::all())? else {
            return Ok(());
        };
        for (key, file) in files {
            let subject = format!("{subject}: {}", path_of(&key)?);
            let read = self.evidence.code_file(&file, &id);
            if let Some(there) = self.checked(LinkKind::Code, &subject, read)? {
                self.report.add(LinkKind::Code, subject, there.map_or_else(State::Noted, |()| State::Holds));
            }
        }
        Ok(())
    }

    /// Checks an input of a recipe: it must be in a commit that the output commit names.
    fn input(&mut self, commit: &Rc<Commit>, subject: &str, spec: &SpecDocument, input: &RecipeInput) -> Result<()> {
        let repos = repos_of(&spec.0, &input.name);
        for origin in commit.provenance.iter().filter(|origin| repos.is_empty() || repos.contains(&origin.repo)) {
            let found = self.find_input(origin.commit, input)?;
            if found.is_some() {
                self.take_input(subject, input, found);
                return Ok(());
            }
        }
        self.take_input(subject, input, None);
        Ok(())
    }

    fn take_input(&mut self, subject: &str, input: &RecipeInput, found: Option<Vec<(CommitId, FilePath)>>) {
        let subject = format!("{}:{} of {subject}", input.name, input.path);
        let why = || State::Fails("no input commit of the output contains it with this content".to_owned());
        self.report.add(LinkKind::Input, subject, if found.is_some() { State::Holds } else { why() });
        self.open.extend(found.unwrap_or_default());
    }

    /// The files of an input in a commit; `None` if the commit has different content there.
    fn find_input(&mut self, id: CommitId, input: &RecipeInput) -> Result<Option<Vec<(CommitId, FilePath)>>> {
        let Some(commit) = self.commit(id)? else { return Ok(None) };
        let tree = Tree::at(commit.tree);
        let subject = place(&commit, &id, &input.path);
        let found = self.files_of_input(tree, input);
        let Some(paths) = self.checked(LinkKind::Tree, &subject, found)? else { return Ok(None) };
        Ok(paths.map(|paths| paths.into_iter().map(|path| (id, path)).collect()))
    }

    fn files_of_input(&self, tree: Tree, input: &RecipeInput) -> Result<Option<Vec<FilePath>>> {
        if let Some(digest) = input.digest
            && let Some(file) = tree.file(self, &input.path)?
        {
            return Ok((file.digest == digest).then(|| vec![input.path.clone()]));
        }
        let Some(root) = input.tree else { return Ok(None) };
        let actual =
            if input.path.is_root() { tree.root() } else { engine::recipe::root_below(self, tree, &input.path)? };
        if actual != root {
            return Ok(None);
        }
        let range = if input.path.is_root() { KeyRange::all() } else { directory_range(&input.path) };
        let below = tree.range(self, range)?.map(|entry| Ok(path_of(&entry?.0)?));
        below.collect::<Result<Vec<_>>>().map(Some)
    }

    /// Checks a file committed by a user or a cron input: the commit that introduced it says by whom.
    fn source(&mut self, id: CommitId, path: &FilePath, file: &FileEntry) -> Result<()> {
        let introduced = self.evidence.introduced(&id, path);
        let name = format!("{path} of commit {}", id.short(12));
        let Some(from) = self.checked(LinkKind::Source, &name, introduced)? else { return Ok(()) };
        self.introduced.push((id, path.clone(), from));
        let Some(commit) = self.commit(from)? else { return Ok(()) };
        let subject = format!("{}   {}", place(&commit, &from, path), commit.author);
        let there = Tree::at(commit.tree).file(&*self, path);
        let Some(there) = self.checked(LinkKind::Source, &subject, there)? else { return Ok(()) };
        let is_there = there == Some(*file);
        let why = || State::Fails("the recorded source commit does not contain it".to_owned());
        self.report.add(LinkKind::Source, subject, if is_there { State::Holds } else { why() });
        if is_there { self.copied(&commit, path, file) } else { Ok(()) }
    }

    /// Checks where a file copied by `cp` came from.
    fn copied(&mut self, commit: &Rc<Commit>, path: &FilePath, file: &FileEntry) -> Result<()> {
        for source in &commit.sources {
            let Some(origin) = self.commit(source.commit)? else { continue };
            for candidate in candidates(&source.path, path) {
                let found = Tree::at(origin.tree).file(&*self, &candidate);
                let subject = place(&origin, &source.commit, &candidate);
                if self.checked(LinkKind::Source, &subject, found)?.flatten().is_some_and(|it| it.digest == file.digest)
                {
                    self.open.push((source.commit, candidate));
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// The commits that a commit's document names and thus vouches for.
fn named_by(commit: &Commit) -> impl Iterator<Item = CommitId> {
    let (parents, origins) = (commit.parents.iter().copied(), commit.provenance.iter().map(|origin| origin.commit));
    parents.chain(origins).chain(commit.sources.iter().map(|source| source.commit))
}

fn parse<D: Document>(digest: &Digest, bytes: &[u8]) -> Result<D> {
    serde_json::from_slice(bytes).map_err(|error| RepoError::DamagedObject {
        kind: D::KIND,
        digest: *digest,
        why: error.to_string(),
    })
}

/// The repositories that inputs with this name read, according to the spec; empty if there is no such input.
fn repos_of(spec: &serde_json::Value, name: &str) -> Vec<RepoName> {
    let mut found = Vec::new();
    let mut open = vec![spec];
    while let Some(value) = open.pop() {
        match value {
            serde_json::Value::Array(values) => open.extend(values),
            serde_json::Value::Object(fields) => {
                if let Some(leaf) = fields.get("pfs").and_then(serde_json::Value::as_object) {
                    let repo = leaf.get("repo").and_then(serde_json::Value::as_str);
                    let named = leaf.get("name").and_then(serde_json::Value::as_str).or(repo);
                    found.extend(repo.filter(|_| named == Some(name)).and_then(|repo| repo.parse().ok()));
                }
                open.extend(fields.values());
            }
            _ => {}
        }
    }
    found
}

/// Possible original paths of a file now at `path`: the source itself, or any suffix of the path below it.
fn candidates(source: &FilePath, path: &FilePath) -> Vec<FilePath> {
    let mut found = vec![source.clone()];
    let text = path.as_str();
    let base = if source.is_root() { "" } else { source.as_str() };
    found.extend(text.match_indices('/').filter_map(|(at, _)| format!("{base}{}", &text[at..]).parse().ok()));
    found
}
