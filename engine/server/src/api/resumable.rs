//! Uploads in parts, for browsers: begun, sent part by part, gone on with after a cut, and committed.

use ::repos::access::Role;
use ::repos::files::{self, ListedFile};
use answers::change::PutView;
use answers::file::FileEntry;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use schemars::JsonSchema;
use serde::Deserialize;
use specs::Digest;

use super::branches::OfBranch;
use super::objects::with_sender;
use super::upload::Upload;
use super::uploads::{NewChange, target};
use crate::caller::Call;
use crate::keyed::{AfterCrash, run_of};
use crate::operation::{Operation, delete, get, post, put};
use crate::parts::{Answer, Created, Done, IfMatch, Json, Path, With};
use crate::problem::{Problem, Result};
use crate::resumable::{FileToSend, UploadView};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post("/repos/{repo}/branches/{branch}/uploads", ("beginUpload", "Begin an upload in parts"), begin)
            .needs(Role::Writer)
            .after_crash(AfterCrash::Repeat),
        get("/uploads", ("listUploads", "List the uploads of this token that are not done"), all).needs(Role::Writer),
        get("/uploads/{upload}", ("showUpload", "Show how much of an upload is there"), show).needs(Role::Writer),
        put("/uploads/{upload}/parts/{offset}", ("sendPart", "Send a part of an upload"), send)
            .needs(Role::Writer)
            .after_crash(AfterCrash::Repeat),
        post("/uploads/{upload}/commit", ("commitUpload", "Commit the files of an upload"), commit)
            .needs(Role::Writer)
            .after_crash(AfterCrash::Find),
        delete("/uploads/{upload}", ("abortUpload", "Give an upload up"), abort)
            .needs(Role::Writer)
            .after_crash(AfterCrash::Repeat),
    ]
}

/// The header that tells how much is there.
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// Most files of an upload.
const FILES: usize = 10_000;

/// Files to upload.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewUpload {
    /// The files, in the order in which their bytes will come; at most 10,000.
    #[schemars(length(min = 1, max = 10_000))]
    files: Vec<FileToSend>,
}

/// An upload.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfUpload {
    /// Its id.
    upload: String,
}

/// A part of an upload.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfPart {
    /// The upload.
    upload: String,
    /// Where the part begins: a multiple of `part_bytes`.
    offset: u64,
}

/// An upload, with its offset as a header too.
fn told(view: &UploadView) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(OFFSET, view.offset.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
}

async fn begin(
    call: Call,
    Path(OfBranch { repo, branch }): Path<OfBranch>,
    Json(NewUpload { files }): Json<NewUpload>,
) -> Result<With<Created<UploadView>>> {
    if files.is_empty() || files.len() > FILES {
        let detail = format!("an upload has 1 to {FILES} files, not {}", files.len());
        return Err(Problem::usage(detail, "begin several uploads"));
    }
    let size_bytes = files.iter().fold(0, |sum: u64, file| sum.saturating_add(file.size_bytes));
    Upload::ensure_space_for(&call, size_bytes).await?;
    let (client, uploads) = (call.access().client.clone(), call.uploads());
    let begun = call.change(move |store| {
        target(store, &repo, &branch)?;
        let nothing = |file: &FileToSend| ListedFile::new(file.path.clone(), entry(file, Digest::from_bytes([0; 32])));
        files::Listing::of(files.iter().map(nothing).collect(), 0)?;
        uploads.begin(&client, (repo, branch), files)
    });
    let begun = begun.await?;
    let mut headers = told(&begun);
    if let Ok(place) = HeaderValue::from_str(&format!("{}/uploads/{}", call.base(), begun.id)) {
        headers.insert(header::LOCATION, place);
    }
    Ok(With(headers, Created(begun)))
}

fn entry(file: &FileToSend, digest: Digest) -> FileEntry {
    FileEntry { digest, size: file.size_bytes, executable: file.executable }
}

async fn all(call: Call) -> Result<Answer<Vec<UploadView>>> {
    let (client, uploads) = (call.access().client.clone(), call.uploads());
    call.ask(move |_, _| uploads.list(&client)).await.map(Answer)
}

async fn show(call: Call, Path(OfUpload { upload }): Path<OfUpload>) -> Result<With<Answer<UploadView>>> {
    let (client, uploads) = (call.access().client.clone(), call.uploads());
    let view = call.ask(move |_, _| uploads.view(&client, &upload)).await?;
    Ok(With(told(&view), Answer(view)))
}

async fn send(
    call: Call,
    Path(OfPart { upload, offset }): Path<OfPart>,
    body: Upload,
) -> Result<With<Answer<UploadView>>> {
    Upload::ensure_space(&call).await?;
    let (access, uploads) = (call.access().clone(), call.uploads());
    let mut reader = body.reader();
    let received = call.change(move |_| {
        let mut held = uploads.hold(&access.client, &upload)?;
        with_sender(&access, |from| uploads.take(&mut held, from, &upload, offset, &mut reader))
    });
    let view = received.await?;
    Ok(With(told(&view), Answer(view)))
}

/// Who makes the commit, and why.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct CommitReason {
    /// The reason, shown in the log.
    message: String,
    /// The author, if not the owner of the token.
    author: Option<String>,
}

async fn commit(
    call: Call,
    Path(OfUpload { upload }): Path<OfUpload>,
    IfMatch(expect): IfMatch,
    Json(CommitReason { message, author }): Json<CommitReason>,
) -> Result<With<Answer<PutView>>> {
    let (access, uploads, by) = (call.access().clone(), call.uploads(), call.actor(author));
    let again = call.clone();
    call.change(move |store| {
        let held = uploads.hold(&access.client, &upload)?;
        let (repo, branch) = (held.begun.repo.clone(), held.begun.branch.clone());
        // Always the same run: should the server die before the upload is ended, the commit is found.
        let run = Some(run_of("pv upload", &access.client, &upload));
        let change = NewChange { call: again, repo, branch, by, message, expect, run };
        change.ensure_possible(store)?;
        let files = with_sender(&access, |from| uploads.join(&held, from))?;
        let entries: Vec<FileEntry> = files.iter().map(|(file, digest)| entry(file, *digest)).collect();
        let listed = files.iter().zip(&entries).map(|((file, _), entry)| ListedFile::new(file.path.clone(), *entry));
        let listing = files::Listing::of(listed.collect(), 0)?;
        with_sender(&access, |from| store.ensure_may_name(from, &entries))?;
        let committed = change.commit(store, |base| listing.edits(store, base))?;
        with_sender(&access, |from| {
            store.release_sent(from, &entries)?;
            uploads.end(&held, from, false)
        })?;
        Ok::<_, Problem>(committed)
    })
    .await
}

async fn abort(call: Call, Path(OfUpload { upload }): Path<OfUpload>) -> Result<Done> {
    let (access, uploads) = (call.access().clone(), call.uploads());
    call.change(move |_| {
        let held = uploads.hold(&access.client, &upload)?;
        with_sender(&access, |from| uploads.end(&held, from, true))
    })
    .await?;
    Ok(Done)
}
