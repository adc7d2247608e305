//! Files of commits: listed, read, written one at a time.

use ::repos::access::Role;
use ::repos::files::{self, ListedFile};
use answers::change::PutView;
use answers::file::{self, FileEntry, ListedView, Listing};
use axum::http::HeaderMap;
use engine::edit::Edit;
use schemars::JsonSchema;
use serde::Deserialize;
use specs::{BranchName, FilePath, Glob, Reference, RepoName, Source};

use super::archive::{Archive, ArchiveForm};
use super::commits::{OfCommit, Word, file_path};
use super::content::{Content, ensure_head};
use super::objects::broken;
use super::upload::Upload;
use super::uploads::{NewChange, target};
use crate::app::App;
use crate::caller::Call;
use crate::keyed::AfterCrash;
use crate::lists::{Listed, Wanted, list};
use crate::operation::{Description, Operation, Part, delete, get, put};
use crate::parts::{Answer, Either, IdempotencyKey, IfMatch, Path, Query, With, current};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/repos/{repo}/commits/{commit}/files", ("listFiles", "List a directory of a commit"), all).reads(),
        get(
            "/repos/{repo}/commits/{commit}/files/{*path}",
            ("readFile", "Read a file or a directory of a commit"),
            read,
        )
        .reads(),
        put("/repos/{repo}/branches/{branch}/files/{*path}", ("putFile", "Commit one file"), write)
            .needs(Role::Writer)
            .after_crash(AfterCrash::Find),
        delete("/repos/{repo}/branches/{branch}/files/{*path}", ("removeFile", "Remove a file or a directory"), remove)
            .needs(Role::Writer),
    ]
}

/// Which files to list.
#[derive(Debug, Deserialize, JsonSchema)]
struct Which {
    /// The directory; absent: the root.
    #[serde(default)]
    directory: Option<FilePath>,
    /// All files below, instead of one level.
    #[serde(default)]
    recursive: bool,
    /// Only paths that match.
    #[serde(default, rename = "match")]
    matching: Option<Glob>,
    /// The directory with all below it as an archive, instead of a list. `Accept` asks for it too.
    #[serde(default)]
    archive: Option<ArchiveForm>,
}

async fn all(
    call: Call,
    Path(of): Path<OfCommit>,
    Query(which): Query<Which>,
    Conditions(headers): Conditions,
    wanted: Wanted,
) -> Result<Either<Listed<ListedView>, Archive>> {
    if let Some(form) = ArchiveForm::of(which.archive, &headers) {
        let path = which.directory.unwrap_or_else(FilePath::root);
        return archive(call, of, path, form, headers).await.map(Either::Other);
    }
    let listed = list(call, wanted, move |store, _, cursor, items| {
        let mut reference = of.at(which.directory);
        if let Some(pin) = &cursor.pin {
            reference.revision =
                Some(pin.parse().map_err(|_| Problem::usage("`cursor` is not one of this list", "start without it"))?);
        }
        let at = store.resolve(&reference)?;
        items.pin(&at.id);
        let listing = Listing { recursive: which.recursive, changed: false, matching: which.matching.as_ref() };
        // Without `match`, directories come by their names. With it, everything comes in the order of the tree's keys, where that of a
        // directory is the beginning of those below it.
        let by_key = which.matching.is_some();
        let key = move |line: &ListedView| match line {
            ListedView::Directory(_) if by_key => format!("{}/", line.path()),
            line => line.path().to_string(),
        };
        let after: Option<FilePath> = if by_key { None } else { cursor.after_as()? };
        let lines = file::listing_after(store, &Source::Reference(reference), listing, after.as_ref())?;
        let rest = lines.filter(|line| line.as_ref().map_or(true, |line| !cursor.is_before(&key(line))));
        items.extend(rest, key).map_err(Problem::from)
    });
    listed.await.map(Either::One)
}

async fn archive(call: Call, of: OfCommit, path: FilePath, form: ArchiveForm, headers: HeaderMap) -> Result<Archive> {
    call.ask(move |store, _| {
        let at = store.resolve(&of.at(Some(path)))?;
        Archive::of(store, &at, form, of.is_whole_id(&at.id), &headers)
    })
    .await
}

/// How to read a file or a directory.
#[derive(Debug, Deserialize, JsonSchema)]
struct How {
    /// A directory, with all below it, as an archive. `Accept` asks for it too.
    #[serde(default)]
    archive: Option<ArchiveForm>,
}

/// A file of a commit.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfFile {
    /// The repository.
    repo: RepoName,
    /// The commit: its id, a unique beginning of it, a branch, a tag, or `BRANCH~2`.
    commit: Word,
    /// The path, with its `/` as they are.
    #[schemars(regex(pattern = specs::pattern::relative_path()))]
    path: String,
}

/// The headers that say which part of a content is wanted.
#[derive(Debug)]
struct Conditions(HeaderMap);

impl axum::extract::FromRequestParts<App> for Conditions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, _: &App) -> Result<Self> {
        Ok(Self(parts.headers.clone()))
    }
}

/// What [`Conditions`] reads.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct ConditionHeaders {
    /// One range of bytes: `bytes=0-1023`.
    #[schemars(rename = "Range")]
    range: Option<String>,
    /// The `ETag` of the content that the client has.
    #[schemars(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

impl Part for Conditions {
    fn describe(of: &mut Description<'_>) {
        of.parameters::<ConditionHeaders>(crate::operation::Place::Header);
    }
}

async fn read(
    call: Call,
    Path(OfFile { repo, commit, path }): Path<OfFile>,
    Query(How { archive: asked }): Query<How>,
    Conditions(headers): Conditions,
) -> Result<Either<Content, Archive>> {
    let (of, path) = (OfCommit { repo, commit }, file_path(&path)?);
    if let Some(form) = ArchiveForm::of(asked, &headers) {
        return archive(call, of, path, form, headers).await.map(Either::Other);
    }
    let content = call.ask(move |store, _| {
        let at = store.resolve(&of.at(Some(path)))?;
        let entry = file::file_in(store, &at)?;
        Content::of(store, &entry, at.path.name(), of.is_whole_id(&at.id), &headers)
    });
    content.await.map(Either::One)
}

/// A file of a branch.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfBranchFile {
    /// The repository.
    repo: RepoName,
    /// The branch.
    branch: BranchName,
    /// The path, with its `/` as they are.
    #[schemars(regex(pattern = specs::pattern::relative_path()))]
    path: String,
}

/// Who makes a change, and why.
#[derive(Debug, Deserialize, JsonSchema)]
struct Why {
    /// The reason, shown in the log.
    #[serde(default)]
    message: String,
    /// The author, if not the owner of the token.
    #[serde(default)]
    author: Option<String>,
}

async fn write(
    call: Call,
    Path(OfBranchFile { repo, branch, path }): Path<OfBranchFile>,
    Query(why): Query<Why>,
    (IfMatch(expect), IdempotencyKey(key)): (IfMatch, IdempotencyKey),
    upload: Upload,
) -> Result<With<Answer<PutView>>> {
    let (path, by) = (file_path(&path)?, call.actor(why.author));
    let run = key.map(|key| key.run(&call.access().client));
    let change = NewChange { call: call.clone(), repo, branch, by, message: why.message, expect, run };
    Upload::ensure_space(&call).await?;
    let reader = upload.reader();
    call.upload(move |store| {
        change.ensure_possible(store)?;
        let stored = store.put_content(reader).map_err(|error| broken(&error))?;
        let file = FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
        let listing = files::Listing::of(vec![ListedFile::new(path, file)], stored.new_bytes)?;
        change.commit(store, |base| listing.edits(store, base))
    })
    .await
}

/// What to remove, and why.
#[derive(Debug, Deserialize, JsonSchema)]
struct Removal {
    /// Whether a directory may be removed.
    #[serde(default)]
    recursive: bool,
    /// The reason, shown in the log.
    #[serde(default)]
    message: String,
    /// The author, if not the owner of the token.
    #[serde(default)]
    author: Option<String>,
}

async fn remove(
    call: Call,
    Path(OfBranchFile { repo, branch, path }): Path<OfBranchFile>,
    Query(removal): Query<Removal>,
    IfMatch(expected): IfMatch,
) -> Result<With<Answer<PutView>>> {
    let (by, path) = (call.actor(removal.author), file_path(&path)?);
    call.change(move |store| {
        ensure_head(store, &repo, &branch, expected)?;
        let named = Reference { path: Some(path), ..target(store, &repo, &branch)?.named().clone() };
        let outcome = Edit::remove(store, &[named], removal.recursive, None)?.commit(store, &by, &removal.message)?;
        let headers = outcome.head().as_ref().map_or_else(HeaderMap::new, current);
        Ok::<_, Problem>(With(headers, Answer(PutView::from(&outcome))))
    })
    .await
}
