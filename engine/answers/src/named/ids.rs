//! Finds ids of every printed kind by their first digits, and the files that they identify.
//!
//! Kinds are searched one after another ([`first_sort`]), and the first with any match wins, so that the ids typed most often need the
//! fewest digits. Within one kind a prefix must be unique.

use std::collections::BTreeMap;

use repos::documents::{ImageStamp, ResultDocument, ResultState, VersionDocument};
use repos::object::Kind;
use repos::store::Resolved;
use repos::tree::{FileEntry, Tree};
use repos::{RepoError, Store};
use specs::reference::IdPrefix;
use specs::{CommitId, DatumId, Digest, FilePath, PipelineName, Reference, RevisionBase, RunId, Source};

use engine::{EngineError, Result};

/// Maximum number of ids listed for an ambiguous prefix.
const CANDIDATES: usize = 10;

/// What an id names.
#[derive(Debug, Clone, PartialEq)]
pub enum Named {
    /// A commit.
    Commit(CommitId),
    /// A run.
    Run(RunId),
    /// A datum with a result.
    Datum(DatumId),
    /// The result of a datum.
    Result(Digest),
    /// The code of pipeline versions: the root of its tree.
    Code(Digest, Vec<VersionOf>),
    /// An image of pipeline versions, by its digest, its id in the container engine, or its registry's digest.
    Image(Box<ImageStamp>, Vec<VersionOf>),
    /// A signing key, by its fingerprint.
    Key(Digest),
    /// The outcome of executing a commit's datums again.
    Certificate(Digest),
    /// Another document, or a log.
    Document(Kind, Digest),
    /// The files of a commit or of a result, or another map.
    Map(Digest),
    /// The content of a file.
    Content(FileEntry),
}

/// A version of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionOf {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// Its version.
    pub version: u32,
}

impl std::fmt::Display for VersionOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@v{}", self.pipeline, self.version)
    }
}

impl Named {
    /// The word for its kind.
    pub fn sort(&self) -> &'static str {
        match self {
            Self::Commit(_) => "commit",
            Self::Run(_) => "run",
            Self::Datum(_) => "datum",
            Self::Result(_) => "result",
            Self::Code(..) => "code tree",
            Self::Image(..) => "image",
            Self::Key(_) => "key",
            Self::Certificate(_) => "certificate",
            Self::Document(kind, _) => sort_of(*kind),
            Self::Map(_) => "tree",
            Self::Content(_) => "content",
        }
    }

    /// Whether it is a log: output of user code, not a document.
    pub fn is_log(&self) -> bool {
        matches!(self, Self::Document(Kind::Log, _))
    }

    /// The full id.
    pub fn id(&self) -> String {
        match self {
            Self::Commit(id) => id.to_string(),
            Self::Run(id) => id.to_string(),
            Self::Datum(id) => id.to_string(),
            Self::Result(id)
            | Self::Code(id, _)
            | Self::Key(id)
            | Self::Certificate(id)
            | Self::Document(_, id)
            | Self::Map(id) => id.to_string(),
            Self::Image(stamp, _) => stamp.digest.to_string(),
            Self::Content(file) => file.digest.to_string(),
        }
    }
}

fn sort_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Chunk | Kind::Manifest => "content",
        Kind::Node => "tree",
        Kind::Commit => "commit",
        Kind::Spec => "spec",
        Kind::Transform => "transform",
        Kind::Recipe => "recipe",
        Kind::Result => "result",
        Kind::Log => "log",
        Kind::Signature => "signature",
        Kind::Version => "version",
        Kind::Job => "job document",
        Kind::Tag => "tag document",
        Kind::Certificate => "certificate",
    }
}

/// What an id with these first digits names; `NotFound` if nothing does, `AmbiguousId` if several of one kind do.
pub fn find_id(store: &Store, prefix: &IdPrefix) -> Result<Named> {
    match first_sort(store, prefix.as_str())?.as_slice() {
        [] => Err(EngineError::NotFound {
            what: format!("no id in this store starts with `{prefix}`"),
            hint: Some("pv find searches for files by name and content".to_owned()),
        }),
        [one] => Ok(one.clone()),
        several => {
            let short = |named: &Named| format!("{} {}", named.sort(), named.id().get(..16).unwrap_or_default());
            let candidates = several.iter().take(CANDIDATES).map(short).collect();
            Err(RepoError::AmbiguousId { prefix: prefix.to_string(), candidates }.into())
        }
    }
}

/// All matches of the first kind that has any.
fn first_sort(store: &Store, prefix: &str) -> Result<Vec<Named>> {
    let mut found: Vec<Named> = store.commits_by_prefix(prefix, CANDIDATES)?.into_iter().map(Named::Commit).collect();
    found.extend(store.runs_by_prefix(prefix, CANDIDATES)?.into_iter().map(Named::Run));
    if found.is_empty() {
        found.extend(store.datums_by_prefix(prefix, CANDIDATES)?.into_iter().map(Named::Datum));
    }
    if found.is_empty() {
        found.extend(store.objects_by_prefix(Kind::Result, prefix, CANDIDATES)?.into_iter().map(Named::Result));
    }
    if found.is_empty() {
        found = of_versions(store, prefix)?;
    }
    if found.is_empty() {
        let keys = store.signing_keys()?.into_iter().map(|(fingerprint, _)| fingerprint);
        found.extend(keys.filter(|key| key.to_string().starts_with(prefix)).map(Named::Key));
    }
    let kinds = [Kind::Certificate, Kind::Version, Kind::Transform, Kind::Spec, Kind::Job, Kind::Tag];
    for kind in kinds.into_iter().chain([Kind::Recipe, Kind::Signature, Kind::Node]) {
        if !found.is_empty() {
            break;
        }
        found.extend(store.objects_by_prefix(kind, prefix, CANDIDATES)?.into_iter().map(|digest| match kind {
            Kind::Certificate => Named::Certificate(digest),
            Kind::Node => Named::Map(digest),
            kind => Named::Document(kind, digest),
        }));
    }
    if found.is_empty() {
        found = contents(store, prefix)?;
    }
    if found.is_empty() {
        let logs = store.objects_by_prefix(Kind::Log, prefix, CANDIDATES)?;
        found.extend(logs.into_iter().map(|digest| Named::Document(Kind::Log, digest)));
    }
    Ok(found)
}

/// Code and images of all pipeline versions.
fn of_versions(store: &Store, prefix: &str) -> Result<Vec<Named>> {
    let mut code: BTreeMap<Digest, Vec<VersionOf>> = BTreeMap::new();
    let mut images: BTreeMap<Digest, (ImageStamp, Vec<VersionOf>)> = BTreeMap::new();
    for pipeline in store.pipelines_ever()? {
        for row in store.pipeline_versions(&pipeline)? {
            let document: VersionDocument = store.document(&row.document)?;
            let of = VersionOf { pipeline: pipeline.clone(), version: row.version };
            let tree = document.code.as_ref().and_then(|code| code.tree);
            if let Some(tree) = tree.filter(|tree| tree.to_string().starts_with(prefix)) {
                code.entry(tree).or_default().push(of.clone());
            }
            if let Some(image) = document.image.filter(|image| is_of_image(image, prefix)) {
                images.entry(image.digest).or_insert_with(|| (image, Vec::new())).1.push(of);
            }
        }
    }
    let code = code.into_iter().map(|(tree, versions)| Named::Code(tree, versions));
    let images = images.into_values().map(|(stamp, versions)| Named::Image(Box::new(stamp), versions));
    Ok(code.chain(images).collect())
}

fn is_of_image(image: &ImageStamp, prefix: &str) -> bool {
    let digits = |id: &str| id.rsplit("sha256:").next().is_some_and(|digits| digits.starts_with(prefix));
    image.digest.to_string().starts_with(prefix)
        || digits(&image.id)
        || image.registry_digest.as_deref().is_some_and(|id| id.contains("sha256:") && digits(id))
}

/// Contents of files, and chunks of large ones.
fn contents(store: &Store, prefix: &str) -> Result<Vec<Named>> {
    let mut digests = store.objects_by_prefix(Kind::Manifest, prefix, CANDIDATES)?;
    digests.extend(store.objects_by_prefix(Kind::Chunk, prefix, CANDIDATES)?);
    digests.sort_unstable();
    digests.dedup();
    let files = digests.iter().filter_map(|digest| store.find_file(digest).transpose());
    Ok(files.map(|file| file.map(Named::Content)).collect::<std::result::Result<_, _>>()?)
}

/// The files that something identifies.
#[derive(Debug, Clone)]
pub enum Files {
    /// Those of a commit, at and below a path.
    Commit(Box<Resolved>),
    /// Those of a tree that does not belong to a commit, at and below a path.
    Tree {
        /// The tree.
        tree: Tree,
        /// The path; `/` for all.
        path: FilePath,
        /// A description for messages: `the code of detect@v3`.
        place: String,
    },
    /// One file, by its content.
    One {
        /// The file.
        file: FileEntry,
        /// A name that it has or had in a commit, or else its digest.
        name: String,
    },
}

/// The files that a reference, a version of a pipeline (`NAME@v3`: its code) or an id identifies.
///
/// Names take precedence: repositories, then their branches and tags. `Usage` for an id without files.
pub fn find_files(store: &Store, source: &Source) -> Result<Files> {
    if let Source::Reference(reference) = source {
        if let Some((of, document)) = find_version(store, reference)? {
            let tree = document.code.and_then(|code| code.tree).ok_or_else(|| EngineError::Usage {
                what: format!("{of} has no code"),
                hint: Some(format!("pv show {of} shows its parts")),
            })?;
            let path = reference.path.clone().unwrap_or_else(FilePath::root);
            return Ok(Files::Tree { tree: Tree::at(tree), path, place: format!("the code of {of}") });
        }
        if store.has_repo(&reference.repo)? || source.as_id().is_none() {
            return Ok(Files::Commit(Box::new(store.resolve(reference)?)));
        }
    }
    let Some((prefix, path)) = source.as_id() else {
        return Err(EngineError::NotFound { what: format!("`{source}` not found"), hint: None });
    };
    match (find_id(store, &prefix), source) {
        // A word that is not an id either was most likely meant as a repository.
        (Err(EngineError::NotFound { .. }), Source::Reference(reference)) => {
            Ok(Files::Commit(Box::new(store.resolve(reference)?)))
        }
        (named, _) => files_of(store, &named?, path),
    }
}

/// The files of what an id names.
pub fn files_of(store: &Store, named: &Named, path: Option<&FilePath>) -> Result<Files> {
    let at = path.cloned().unwrap_or_else(FilePath::root);
    let short = named.id().get(..12).unwrap_or_default().to_owned();
    let in_tree = |root: Digest, place: String| Files::Tree { tree: Tree::at(root), path: at.clone(), place };
    let none = |what: String, hint: &str| EngineError::Usage { what, hint: Some(hint.to_owned()) };
    Ok(match named {
        Named::Commit(id) => {
            let commit = store.commit(id)?;
            Files::Commit(Box::new(Resolved { id: *id, commit, path: at }))
        }
        Named::Datum(id) => {
            let results = store.results(id)?;
            let good = results.iter().find(|(_, state, _)| *state == ResultState::Success);
            let (result, ..) = good.ok_or_else(|| {
                none(format!("datum {short} has no files: it never succeeded"), &format!("pv show {short}"))
            })?;
            in_tree(outputs_of(store, result)?, format!("the output of datum {short}"))
        }
        Named::Result(digest) => in_tree(outputs_of(store, digest)?, format!("result {short}")),
        Named::Code(root, versions) => {
            let of = versions.last().map_or_else(String::new, |of| format!(" of {of}"));
            in_tree(*root, format!("code tree {short}{of}"))
        }
        Named::Map(root) => {
            let tree = Tree::at(*root);
            // Lineage and datums maps do not contain files; their entries cannot be read as such.
            tree.range(store, repos::tree::KeyRange::all())?
                .next()
                .transpose()
                .map_err(|_| none(format!("`{short}` is a map without files"), &format!("pv show {short}")))?;
            in_tree(*root, format!("tree {short}"))
        }
        Named::Content(file) => {
            if path.is_some() {
                let what = format!("`{short}` is the content of a single file: it has no paths");
                return Err(none(what, &format!("pv cat {short}")));
            }
            let found = repos::files::find(store, &repos::history::What::Bytes(file.digest))?;
            let name = found.first().map_or_else(|| file.digest.to_string(), |found| found.path.name().to_owned());
            Files::One { file: *file, name }
        }
        Named::Run(id) => {
            let what = format!("run {short} belongs to several repositories");
            return Err(none(what, &format!("name one: REPO@{}; pv show @{} lists them", id.short(12), id.short(12))));
        }
        Named::Image(..) | Named::Key(_) | Named::Certificate(_) | Named::Document(..) => {
            return Err(none(format!("{} {short} has no files", named.sort()), &format!("pv show {short}")));
        }
    })
}

fn outputs_of(store: &Store, result: &Digest) -> Result<Digest> {
    let document: ResultDocument = store.document(result)?;
    Ok(document.outputs.unwrap_or_else(|| Tree::empty().root()))
}

/// The version of a pipeline named by `NAME@v3`; `None` for anything else. A branch or tag with that name takes precedence.
pub fn find_version(store: &Store, reference: &Reference) -> Result<Option<(VersionOf, VersionDocument)>> {
    let Some(revision) = reference.revision.as_ref().filter(|revision| revision.back == 0) else { return Ok(None) };
    let RevisionBase::Word(word) = &revision.base else { return Ok(None) };
    let number =
        word.strip_prefix('v').filter(|digits| !digits.starts_with('0')).and_then(|digits| digits.parse().ok());
    let (Some(version), Ok(pipeline)) = (number, reference.repo.as_str().parse::<PipelineName>()) else {
        return Ok(None);
    };
    let is_branch = match word.parse() {
        Ok(branch) => store.find_branch(&reference.repo, &branch)?.is_some(),
        Err(_) => false,
    };
    if is_branch || store.find_tag(&reference.repo, word)?.is_some() {
        return Ok(None);
    }
    let versions = store.pipeline_versions(&pipeline)?;
    if versions.is_empty() {
        return Ok(None);
    }
    let no_version = || EngineError::NoVersion { pipeline: pipeline.clone(), version };
    let row = versions.iter().find(|row| row.version == version).ok_or_else(no_version)?;
    Ok(Some((VersionOf { pipeline, version }, store.document(&row.document)?)))
}

/// A commit with all its files.
pub fn commit_at(store: &Store, id: CommitId) -> Result<Resolved> {
    Ok(Resolved { id, commit: store.commit(&id)?, path: FilePath::root() })
}
