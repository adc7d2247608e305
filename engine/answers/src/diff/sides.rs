//! The two sides that are compared.

use engine::{EngineError, Result};
use repos::files::{self, Matching};
use repos::store::Resolved;
use repos::tree::Tree;
use repos::{RepoError, Store};
use specs::{CommitId, FilePath, Glob, Source};

use super::{Entries, Entry, Named, entries};
use crate::named::{Files, find_files, find_version};

/// Two trees, and which part of them is compared.
#[derive(Debug)]
pub struct Sides {
    /// The older tree.
    pub older: Tree,
    /// The newer tree.
    pub newer: Tree,
    /// The older commit, if there is one.
    pub old: Option<CommitId>,
    /// The newer commit, if there is one.
    pub new: Option<CommitId>,
    what: Compared,
    /// Restricts the comparison to matching paths.
    matching: Option<Glob>,
    /// Names both sides: `images@77ab01c2 → images@3fa9c1d2`.
    pub title: String,
}

/// One side: its files, and the path at and below which they are compared.
struct Side {
    tree: Tree,
    commit: Option<CommitId>,
    path: FilePath,
    place: String,
}

#[derive(Debug)]
enum Compared {
    /// The content at and below a path.
    Below(FilePath),
    /// Two files at different paths.
    Files(Box<(Named, Named)>),
}

impl Sides {
    /// Without a second side, a reference's parent commit is compared with the reference itself.
    pub fn find(store: &Store, first: &Source, second: Option<&Source>) -> Result<Self> {
        let Some(second) = second else {
            let Files::Commit(at) = find_files(store, first)? else {
                let message = format!("`{first}` is not a commit: it needs a second side");
                return Err(EngineError::Usage { what: message, hint: Some(format!("pv diff {first} OTHER")) });
            };
            return Self::of_commit(store, *at);
        };
        let (first_at, second_at) = (Side::find(store, first)?, Side::find(store, second)?);
        let what = match (first.path(), second.path()) {
            (Some(one), Some(other)) if one != other => two_files(store, (first, &first_at), (second, &second_at))?,
            (one, other) => Compared::Below(one.or(other).cloned().unwrap_or_else(FilePath::root)),
        };
        Ok(Self {
            older: first_at.tree,
            newer: second_at.tree,
            title: format!("{} → {}", first_at.place, second_at.place),
            old: first_at.commit,
            new: second_at.commit,
            what,
            matching: None,
        })
    }

    fn of_commit(store: &Store, at: Resolved) -> Result<Self> {
        let before = at.commit.parents.first().copied();
        let old_name = match &before {
            Some(parent) => format!("{}@{}", at.commit.repo, store.short_commit(parent)?),
            None => "nothing".to_owned(),
        };
        Ok(Self {
            older: files::parent_tree(store, &at.commit)?,
            newer: at.tree(),
            title: format!("{old_name} → {}", name(store, &at)?),
            old: before,
            new: Some(at.id),
            what: Compared::Below(at.path),
            matching: None,
        })
    }

    /// Compares two whole trees.
    pub fn of_trees(older: Tree, newer: Tree) -> Self {
        let title = String::new();
        Self { older, newer, old: None, new: None, what: Compared::Below(FilePath::root()), matching: None, title }
    }

    /// Two commits of one repository; if one is missing, the files of the other.
    pub fn of_commits(store: &Store, old: Option<CommitId>, new: Option<CommitId>) -> Result<Self> {
        let tree = |id: Option<CommitId>| -> Result<Tree> {
            Ok(id.map(|id| store.commit(&id)).transpose()?.map_or(Tree::empty(), |commit| Tree::at(commit.tree)))
        };
        Ok(Self { old, new, ..Self::of_trees(tree(old)?, tree(new)?) })
    }

    /// Restricts the comparison to matching paths.
    #[must_use]
    pub fn matching(self, matching: Option<Glob>) -> Self {
        Self { matching, ..self }
    }

    /// The differences.
    pub fn entries<'s>(&self, store: &'s Store) -> Result<Entries<'s>, RepoError> {
        let all = self.all_entries(store)?;
        let Some(glob) = &self.matching else { return Ok(all) };
        let mut matching = Matching::new(glob);
        let fits = all.filter(|entry| entry.as_ref().map_or(true, |entry| matching.fits(&entry.path)));
        Ok(Entries::of(fits.collect::<Result<_, _>>()?))
    }

    fn all_entries<'s>(&self, store: &'s Store) -> Result<Entries<'s>, RepoError> {
        match &self.what {
            Compared::Below(path) => entries(store, self.older, self.newer, path),
            Compared::Files(files) => {
                let (old, new) = &**files;
                let is_same = old.file.digest == new.file.digest && old.file.executable == new.file.executable;
                let entry = (!is_same).then(|| Entry::modified(old.clone(), new.clone()));
                Ok(Entries::of(entry.into_iter().collect()))
            }
        }
    }

    /// The path at and below which the sides are compared; `None` for two files.
    pub fn path(&self) -> Option<&FilePath> {
        match &self.what {
            Compared::Below(path) => Some(path),
            Compared::Files(_) => None,
        }
    }

    /// Whether the files of both sides exist (are not pruned).
    pub fn are_readable(&self, store: &Store) -> Result<bool> {
        for id in [self.old, self.new].into_iter().flatten() {
            if store.is_pruned(&id)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Side {
    fn find(store: &Store, source: &Source) -> Result<Self> {
        if let Source::Reference(reference) = source
            && let Some((of, document)) = find_version(store, reference)?
        {
            let root = document.code.and_then(|code| code.tree);
            let path = reference.path.clone().unwrap_or_else(FilePath::root);
            return Ok(Self { tree: root.map_or(Tree::empty(), Tree::at), commit: None, path, place: of.to_string() });
        }
        Ok(match find_files(store, source)? {
            Files::Commit(at) => {
                Self { tree: at.tree(), commit: Some(at.id), path: at.path.clone(), place: name(store, &at)? }
            }
            Files::Tree { tree, path, place } => Self { tree, commit: None, path, place },
            Files::One { .. } => {
                let message = format!("`{source}` is the content of a file: name a path that contains it");
                return Err(EngineError::Usage {
                    what: message,
                    hint: Some(format!("pv find {source} lists the paths")),
                });
            }
        })
    }
}

fn two_files(store: &Store, old: (&Source, &Side), new: (&Source, &Side)) -> Result<Compared> {
    let file = |(_, at): (&Source, &Side)| -> Result<Option<Named>> {
        let file = at.tree.file(store, &at.path)?;
        Ok(file.map(|file| Named { path: at.path.clone(), file }))
    };
    if let (Some(old), Some(new)) = (file(old)?, file(new)?) {
        return Ok(Compared::Files(Box::new((old, new))));
    }
    let (one, other) = (&old.1.path, &new.1.path);
    let message = format!("`{one}` and `{other}` are different paths, and not both are files");
    let again = new.0.at(Some(one.clone()));
    Err(EngineError::Usage { what: message, hint: Some(format!("pv diff {} {again}", old.0)) })
}

fn name(store: &Store, at: &Resolved) -> Result<String> {
    Ok(format!("{}@{}", at.commit.repo, store.short_commit(&at.id)?))
}
