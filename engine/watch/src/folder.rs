//! Looks at the folder: which files are there, and whether it is the folder that it was.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use repos::RepoError;
use repos::files::{self, Gathered, LeftOut, PutOptions};
use specs::FilePath;

use crate::plan::Plan;
use crate::writers::FileId;

/// The folder as it was when it was last looked at as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity(FileId);

/// The watched folder.
#[derive(Debug)]
pub(crate) struct Folder<'p> {
    plan: &'p Plan,
    directory: FilePath,
    /// By the patterns of the plan; not by those that are in the folder.
    left_out: LeftOut,
}

/// What a look at some paths found.
#[derive(Debug)]
pub(crate) struct Look {
    /// Files that are there.
    pub(crate) files: Gathered,
    /// Paths of the branch where nothing is, without those that are left out.
    pub(crate) gone: Vec<FilePath>,
    /// Paths of the branch where a folder is.
    pub(crate) folders: Vec<FilePath>,
    /// Paths of the branch where something else is.
    pub(crate) others: Vec<FilePath>,
}

impl<'p> Folder<'p> {
    pub(crate) fn new(plan: &'p Plan) -> Self {
        Self { plan, directory: plan.directory(), left_out: LeftOut::by(&plan.excludes()) }
    }

    pub(crate) fn path(&self) -> &'p Path {
        &self.plan.folder
    }

    pub(crate) fn directory(&self) -> &FilePath {
        &self.directory
    }

    /// Which folder it is; the reason if it is not there.
    pub(crate) fn identity(&self) -> Result<Identity, String> {
        match std::fs::metadata(self.path()) {
            Ok(data) if data.is_dir() => Ok(Identity((data.dev(), data.ino()))),
            Ok(_) => Err("is not a folder any more".to_owned()),
            Err(error) => Err(format!("is not there: {error}")),
        }
    }

    /// All files.
    pub(crate) fn whole(&self) -> Result<Gathered, RepoError> {
        files::gather(&self.options(None))
    }

    /// The files at and below these paths, which are relative to the folder.
    pub(crate) fn some(&self, paths: &BTreeSet<PathBuf>) -> Result<Look, RepoError> {
        let (mut gone, mut folders, mut others) = (Vec::new(), Vec::new(), Vec::new());
        // A folder comes before what is in it, and is looked at as a whole.
        let mut outer: Vec<PathBuf> = Vec::with_capacity(paths.len());
        for path in paths {
            let data = self.path().join(path).symlink_metadata();
            if data.is_ok() && !outer.last().is_some_and(|last| path.starts_with(last)) {
                outer.push(path.clone());
            }
            let at = match data {
                Err(_) => &mut gone,
                Ok(data) if data.is_dir() => &mut folders,
                Ok(_) => &mut others,
            };
            at.extend(self.target(path));
        }
        gone.retain(|path| !self.left_out.covers(path.below(&self.directory).unwrap_or_default()));
        Ok(Look { files: files::gather(&self.options(Some(outer.into())))?, gone, folders, others })
    }

    /// Where a path of the folder belongs in the branch; `None` if no commit may contain it.
    pub(crate) fn target(&self, relative: &Path) -> Option<FilePath> {
        use std::os::unix::ffi::OsStrExt;
        FilePath::from_bytes(&[self.directory.as_prefix().as_bytes(), relative.as_os_str().as_bytes()].concat()).ok()
    }

    /// Where a path of the branch is in the folder.
    pub(crate) fn relative(&self, target: &FilePath) -> PathBuf {
        PathBuf::from(target.below(&self.directory).unwrap_or_default())
    }

    /// Where a path of the branch is on this machine.
    pub(crate) fn place(&self, target: &FilePath) -> PathBuf {
        self.path().join(self.relative(target))
    }

    fn options(&self, only: Option<Arc<[PathBuf]>>) -> PutOptions {
        PutOptions {
            reference: self.plan.target.to_string(),
            directory: Some(self.directory.clone()),
            sources: vec![self.path().to_owned()],
            excludes: self.plan.excludes(),
            skip_unreadable: true,
            skip_illegal: true,
            files_from: only,
            ..PutOptions::default()
        }
    }
}
