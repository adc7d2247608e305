//! Several files in one commit: named by digest, or sent in the same request as an archive or a form.

use ::repos::RepoError;
use ::repos::Store;
use ::repos::access::Role;
use ::repos::files::{self, Edits, ListedFile};
use ::repos::tree::Tree;
use answers::change::PutView;
use answers::file::FileEntry;
use axum::extract::multipart::Field;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, StatusCode, header};
use engine::EngineError;
use engine::changes::{self, Committed, NewCommit};
use engine::run::Actor;
use engine::target::TargetBranch;
use schemars::JsonSchema;
use serde::Deserialize;
use specs::{BranchName, CommitId, Digest, ErrorKind, FilePath, Reference, RepoName, RunId};

use super::branches::OfBranch;
use super::content::other_head;
use super::objects::{broken, with_sender};
use super::upload::{Upload, piped_reader};
use crate::app::App;
use crate::caller::Call;
use crate::keyed::AfterCrash;
use crate::operation::{Description, Operation, Part, post};
use crate::parts::{Answer, IdempotencyKey, IfMatch, Json, Path, Query, With, current};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post("/repos/{repo}/branches/{branch}/commits", ("commit", "Commit several files at once"), commit)
            .needs(Role::Writer)
            .after_crash(AfterCrash::Find),
    ]
}

/// A change of a branch's files that is about to be made.
pub(super) struct NewChange {
    pub(super) call: Call,
    pub(super) repo: RepoName,
    pub(super) branch: BranchName,
    pub(super) by: Actor,
    pub(super) message: String,
    /// The head that the change is for.
    pub(super) expect: Option<CommitId>,
    /// The run that it makes, if a repeated request has to find it again.
    pub(super) run: Option<RunId>,
}

impl NewChange {
    /// Refuses, before anything is read, what cannot be committed to.
    pub(super) fn ensure_possible(&self, store: &Store) -> Result<()> {
        target(store, &self.repo, &self.branch).map(drop)
    }

    /// Commits. Without an expected head, the change is made to whatever the head is then.
    pub(super) fn commit(
        self,
        store: &Store,
        change: impl FnMut(Tree) -> std::result::Result<Edits, RepoError>,
    ) -> Result<With<Answer<PutView>>> {
        let Self { call, repo, branch, by, message, expect, run } = self;
        // The upload may have taken hours.
        call.ensure_still_valid()?;
        let new = NewCommit { repo: &repo, branch: &branch, expect, by: &by, message: &message };
        let committed = match run {
            Some(run) => changes::commit_in_run(store, run, &new, change),
            None => changes::commit(store, &new, change),
        };
        let (committed, summary) = committed.map_err(|error| match error {
            EngineError::NotExpected { expected: Some(expected), actual, .. } => {
                other_head(store, &repo, &branch, expected, actual)
            }
            error => error.into(),
        })?;
        let (head, run) = match committed {
            Committed::Made { commit, run, .. } => (Some(commit), Some(run)),
            Committed::Unchanged { head } => (head, None),
        };
        let headers = head.as_ref().map_or_else(HeaderMap::new, current);
        Ok(With(headers, Answer(PutView::new((&repo, &branch), &summary, head, run))))
    }
}

/// The branch to commit to.
pub(super) fn target(store: &Store, repo: &RepoName, branch: &BranchName) -> Result<TargetBranch> {
    let revision = branch.as_str().parse();
    let revision = revision.map_err(|_| Problem::new(ErrorKind::Usage, format!("`{branch}` is not a branch")))?;
    Ok(TargetBranch::of(store, &Reference { repo: repo.clone(), revision: Some(revision), path: None })?)
}

/// Files that are stored already.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    /// The files to add or replace.
    #[serde(default)]
    files: Vec<NamedFile>,
    /// The paths of files to remove.
    #[serde(default)]
    remove: Vec<FilePath>,
}

/// A file whose content is stored, or was sent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedFile {
    /// Its whole path.
    path: FilePath,
    /// SHA-256 of its content.
    digest: Digest,
    /// The length of its content.
    size_bytes: u64,
    /// Whether its owner may execute it.
    #[serde(default)]
    executable: bool,
}

impl NamedFile {
    pub(super) fn listed(&self) -> ListedFile {
        let file = FileEntry { digest: self.digest, size: self.size_bytes, executable: self.executable };
        ListedFile::new(self.path.clone(), file)
    }
}

/// Who makes a change, why, and where its files go.
#[derive(Debug, Deserialize, JsonSchema)]
struct Why {
    /// The reason, shown in the log.
    #[serde(default)]
    message: String,
    /// The author, if not the owner of the token.
    #[serde(default)]
    author: Option<String>,
    /// The directory for the files of an archive or form; absent: the root.
    #[serde(default)]
    directory: Option<FilePath>,
}

/// The files of a commit, in one of three forms.
enum Files {
    Named(Named),
    Archive(Upload),
    Form(Multipart),
}

/// The media types of archives.
const ARCHIVES: [&str; 4] = ["application/x-tar", "application/gzip", "application/zstd", "application/octet-stream"];

impl FromRequest<App> for Files {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let of = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let of = of.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match of.as_str() {
            "application/json" => Ok(Self::Named(Json::from_request(request, app).await?.0)),
            "multipart/form-data" => {
                let refused = |error: axum::extract::multipart::MultipartRejection| {
                    Problem::usage(error.body_text(), "curl -F does it right")
                };
                Ok(Self::Form(Multipart::from_request(request, app).await.map_err(refused)?))
            }
            archive if ARCHIVES.contains(&archive) => Ok(Self::Archive(Upload::of(request.into_body()))),
            _ => Err(Problem::usage(
                format!("`{of}` is not a form for the files of a commit"),
                "send application/json, application/x-tar or multipart/form-data",
            )
            .status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
        }
    }
}

impl Part for Files {
    fn describe(of: &mut Description<'_>) {
        of.takes::<Named>();
        of.takes_bytes("application/x-tar");
        of.body.push(("multipart/form-data", form()));
        of.gives::<Problem>(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body has none of these forms");
        of.gives::<Problem>(StatusCode::INSUFFICIENT_STORAGE, "The disk is full");
    }
}

/// A form: the name of each file is its part's file name, or else the part's own. Before the files, a page sends the message and the
/// directory as `-message` and `-directory`.
fn form() -> schemars::Schema {
    let file = serde_json::json!({ "type": "string", "format": "binary" });
    schemars::json_schema!({
        "type": "object",
        "properties": { "file": { "type": "array", "items": file, "minItems": 1 } },
        "required": ["file"],
    })
}

async fn commit(
    call: Call,
    Path(OfBranch { repo, branch }): Path<OfBranch>,
    Query(why): Query<Why>,
    (IfMatch(expect), IdempotencyKey(key)): (IfMatch, IdempotencyKey),
    files: Files,
) -> Result<With<Answer<PutView>>> {
    let by = call.actor(why.author);
    let run = key.map(|key| key.run(&call.access().client));
    let change = NewChange { call: call.clone(), repo, branch, by, message: why.message, expect, run };
    let directory = why.directory.unwrap_or_else(FilePath::root);
    match files {
        Files::Named(named) => commit_named(call, change, named).await,
        Files::Archive(upload) => commit_archive(call, change, directory, upload).await,
        Files::Form(form) => commit_form(call, change, &directory, form).await,
    }
}

async fn commit_named(call: Call, change: NewChange, named: Named) -> Result<With<Answer<PutView>>> {
    let access = call.access().clone();
    call.change(move |store| {
        let files: Vec<ListedFile> = named.files.iter().map(NamedFile::listed).collect();
        let entries: Vec<FileEntry> = files.iter().map(ListedFile::entry).collect();
        with_sender(&access, |sender| store.ensure_may_name(sender, &entries))?;
        let listing = files::Listing::of(files, 0)?;
        let committed = change.commit(store, |base| {
            let mut edits = listing.edits(store, base)?;
            edits.files.extend(named.remove.iter().map(|path| (path.clone(), None)));
            Ok(edits)
        })?;
        // The commit keeps it now.
        with_sender(&access, |sender| store.release_sent(sender, &entries))?;
        Ok::<_, Problem>(committed)
    })
    .await
}

async fn commit_archive(
    call: Call,
    change: NewChange,
    directory: FilePath,
    upload: Upload,
) -> Result<With<Answer<PutView>>> {
    Upload::ensure_space(&call).await?;
    let reader = upload.reader();
    call.upload(move |store| {
        change.ensure_possible(store)?;
        let edits = files::unpack(store, reader, &directory, "the body")?.edits;
        change.commit(store, |_| Ok(edits.clone()))
    })
    .await
}

/// Most files of a form: each is a part, which is meant for people with `curl`.
const FORM_FILES: usize = 10_000;

async fn commit_form(
    call: Call,
    mut change: NewChange,
    directory: &FilePath,
    mut form: Multipart,
) -> Result<With<Answer<PutView>>> {
    let wrong =
        |error: axum::extract::multipart::MultipartError| Problem::usage(error.body_text(), "send the form again");
    let store = call.store();
    let _operation = store.operation();
    let mut directory = directory.clone();
    let (mut files, mut new_bytes) = (Vec::new(), 0);
    while let Some(mut field) = form.next_field().await.map_err(wrong)? {
        match (field.file_name(), field.name()) {
            // What a browser sends for an input in which nobody chose a file.
            (Some(""), _) => continue,
            (None, Some("-message")) => {
                change.message = text_of(&mut field).await?;
                continue;
            }
            (None, Some("-directory")) => {
                directory = super::commits::file_path(text_of(&mut field).await?.trim_start_matches('/'))?;
                continue;
            }
            _ => {}
        }
        let name = field.file_name().or(field.name()).unwrap_or_default().trim_start_matches('/').to_owned();
        let path = super::commits::file_path(&format!("{}{name}", directory.as_prefix().trim_start_matches('/')))?;
        if files.len() == FORM_FILES {
            return Err(Problem::usage(format!("a form has at most {FORM_FILES} files"), "send a tar archive"));
        }
        let stored = store_field(&call, field).await?;
        new_bytes += stored.1;
        files.push(ListedFile::new(path, stored.0));
    }
    if files.is_empty() {
        return Err(Problem::usage("the form has no files", "curl -F 'file=@PATH;filename=DIR/NAME'"));
    }
    call.change(move |store| {
        let listing = files::Listing::of(files, new_bytes)?;
        change.commit(store, |base| listing.edits(store, base))
    })
    .await
}

/// Most bytes of a text in a form.
const TEXT_BYTES: usize = 64 << 10;

/// The text of a field of a form.
async fn text_of(field: &mut Field<'_>) -> Result<String> {
    let wrong =
        |error: axum::extract::multipart::MultipartError| Problem::usage(error.body_text(), "send the form again");
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(wrong)? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > TEXT_BYTES {
            return Err(Problem::usage("a text of the form is too long", "write less"));
        }
    }
    String::from_utf8(bytes).map_err(|_| Problem::usage("a text of the form is not UTF-8", "send the form again"))
}

/// Stores a file of a form while it arrives; returns it and the bytes of it that are new.
async fn store_field(call: &Call, mut field: Field<'_>) -> Result<(FileEntry, u64)> {
    let (send, reader) = piped_reader();
    let storing = call.upload(move |store| store.put_content(reader).map_err(|error| broken(&error)));
    let sending = async move {
        while let Some(piece) = field.chunk().await.transpose() {
            let is_broken = piece.is_err();
            if send.piece(piece.map_err(std::io::Error::other)).await.is_err() || is_broken {
                return;
            }
        }
        send.end().await;
    };
    let (stored, ()) = tokio::join!(storing, sending);
    let stored = stored?;
    Ok((FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false }, stored.new_bytes))
}
