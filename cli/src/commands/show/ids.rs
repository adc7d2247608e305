//! What an id names, whatever its sort.

use answers::named::{Named, VersionOf, files_of, find_id};
use repos::documents::{ImageStamp, ResultDocument, ResultState};
use repos::files;
use repos::history::What;
use repos::object::Kind;
use repos::store::Resolved;
use repos::tree::{FileEntry, Map, Tree, TreeError};
use repos::{RepoError, Store};
use serde_json::json;
use specs::{DatumRef, Digest, FilePath, RunRef, Source};

use super::{print, print_document, show_run, show_whole_commit};
use crate::commands::vouched;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{ShortIds, plural, size};

/// Paths of a content that are named.
const NAMED: usize = 10;

pub(super) fn show(cx: &Context, store: &Store, source: &Source, raw: bool) -> Result<()> {
    let Some((prefix, _)) = source.as_id() else {
        return Err(CliError::usage(format!("`{source}` is not an id"), "pv log"));
    };
    let named = match find_id(store, &prefix) {
        Ok(named) => named,
        // Most likely a repository was meant: its error names the nearest.
        Err(error) => match source {
            Source::Reference(reference) if error.kind() == specs::ErrorKind::NotFound => {
                return Err(store.resolve(reference).err().map_or(error.into(), CliError::from));
            }
            _ => return Err(error.into()),
        },
    };
    if raw {
        return show_raw(cx, &named);
    }
    match &named {
        Named::Commit(id) => {
            let at = Resolved { id: *id, commit: store.commit(id)?, path: FilePath::root() };
            show_whole_commit(cx, &at, false)
        }
        Named::Run(id) => show_run(cx, &RunRef(id.to_string().parse()?)),
        Named::Datum(id) => crate::commands::datum::show_one(cx, &DatumRef::Id(id.to_string().parse()?)),
        Named::Result(digest) => show_result(cx, store, digest),
        Named::Code(tree, versions) => show_code(cx, store, tree, versions),
        Named::Image(image, versions) => show_image(cx, image, versions),
        Named::Key(fingerprint) => show_key(cx, store, fingerprint),
        Named::Certificate(digest) => show_certificate(cx, store, digest),
        Named::Document(Kind::Version, digest) => {
            let document: repos::documents::VersionDocument = store.document(digest)?;
            let of = VersionOf { pipeline: document.name.clone(), version: document.version };
            super::versions::show(cx, store, &of, &document, false)
        }
        Named::Document(Kind::Log, digest) => cx.out().bytes(&store.log(digest)?),
        Named::Document(kind, digest) => show_document(cx, store, &named, *kind, digest),
        Named::Map(root) => show_map(cx, store, &named, root),
        Named::Content(file) => show_content(cx, store, file),
    }
}

fn show_raw(cx: &Context, named: &Named) -> Result<()> {
    let short = named.id().get(..12).unwrap_or_default().to_owned();
    match named {
        Named::Commit(id) => print_document(cx, Kind::Commit, &id.digest()),
        Named::Datum(id) => print_document(cx, Kind::Recipe, &id.digest()),
        Named::Result(digest) => print_document(cx, Kind::Result, digest),
        Named::Certificate(digest) => print_document(cx, Kind::Certificate, digest),
        Named::Document(Kind::Log, digest) => cx.out().bytes(&cx.store()?.log(digest)?),
        Named::Document(kind, digest) => print_document(cx, *kind, digest),
        named => Err(CliError::usage(format!("a {} has no document", named.sort()), format!("pv show {short}"))),
    }
}

fn versions_in_words(versions: &[VersionOf]) -> String {
    versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn show_result(cx: &Context, store: &Store, digest: &Digest) -> Result<()> {
    let result: ResultDocument = store.document(digest)?;
    if cx.out().is_json() {
        let mut value = serde_json::to_value(&result).unwrap_or_default();
        value["id"] = json!(digest);
        return cx.out().json(&value);
    }
    let human = cx.human();
    let made = match result.outputs_count {
        0 => "no files".to_owned(),
        count => format!("{}   pv get {} DEST", plural(count, "file", "files"), digest.short(12)),
    };
    let ended = result.tries.last().map_or_else(String::new, |tried| {
        format!(
            "{}   exit {}",
            human.local(tried.finished_at),
            tried.exit_code.map_or("none".to_owned(), |code| code.to_string())
        )
    });
    let lines = [
        ("result", digest.to_string()),
        ("state", state(result.state).to_owned()),
        ("datum", result.recipe.to_string()),
        ("job", format!("{}@{}", result.pipeline, store.short_run(&result.run)?)),
        ("pipeline", format!("{}@v{}", result.pipeline, result.version)),
        ("executor", format!("{} {} on {}", result.executor.kind, result.executor.version, result.executor.host)),
        ("ended", ended),
        ("made", made),
    ];
    print(cx, lines.into_iter().filter(|(_, text)| !text.is_empty()))
}

fn state(state: ResultState) -> &'static str {
    match state {
        ResultState::Success => "success",
        ResultState::Recovered => "recovered",
        ResultState::Failed => "failed",
    }
}

fn show_code(cx: &Context, store: &Store, tree: &Digest, versions: &[VersionOf]) -> Result<()> {
    let totals = Tree::at(*tree).totals(store)?;
    if cx.out().is_json() {
        let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
        return cx.out().json(&json!({
            "id": tree, "sort": "code", "files": totals.entries, "size_bytes": totals.weight, "versions": versions,
        }));
    }
    print(
        cx,
        [
            ("code", tree.to_string()),
            ("files", format!("{}   {}", plural(totals.entries, "file", "files"), size(totals.weight))),
            ("of", versions_in_words(versions)),
            ("look", format!("pv ls {0} -r      pv get {0} DEST", tree.short(12))),
        ],
    )
}

fn show_image(cx: &Context, image: &ImageStamp, versions: &[VersionOf]) -> Result<()> {
    if cx.out().is_json() {
        let mut value = serde_json::to_value(image).unwrap_or_default();
        value["versions"] = json!(versions.iter().map(ToString::to_string).collect::<Vec<_>>());
        return cx.out().json(&value);
    }
    let lines = [
        ("image", image.reference.clone()),
        ("digest", image.digest.to_string()),
        ("engine's id", image.id.clone()),
        ("registry", image.registry_digest.clone().unwrap_or_default()),
        ("of", versions_in_words(versions)),
    ];
    print(cx, lines.into_iter().filter(|(_, text)| !text.is_empty()))
}

fn show_key(cx: &Context, store: &Store, fingerprint: &Digest) -> Result<()> {
    let Some(row) = store.signing_key(fingerprint)? else { return Ok(()) };
    if cx.out().is_json() {
        return cx.out().json(&json!({
            "fingerprint": fingerprint, "public_key": row.public_key.to_pem(), "since": row.at, "replaced_at": row.replaced_at,
            "previous": row.previous, "vouched": row.vouched,
        }));
    }
    let human = cx.human();
    let vouched = if row.vouched { "" } else { "not trusted: pv key trust" };
    let lines = [
        ("key", fingerprint.to_string()),
        ("since", human.local(row.at)),
        ("replaced", row.replaced_at.map_or_else(String::new, |at| human.local(at))),
        ("doubt", vouched.to_owned()),
    ];
    print(cx, lines.into_iter().filter(|(_, text)| !text.is_empty()))
}

fn show_certificate(cx: &Context, store: &Store, digest: &Digest) -> Result<()> {
    let certificate: repos::documents::Certificate = store.document(digest)?;
    if cx.out().is_json() {
        let mut value = serde_json::to_value(&certificate).unwrap_or_default();
        value["id"] = json!(digest);
        return cx.out().json(&value);
    }
    let commit = certificate.commit;
    let row = store.commit(&commit)?;
    let mut lines =
        vec![("certificate", digest.to_string()), ("of", format!("{}@{}", row.repo, store.short_commit(&commit)?))];
    let all = store.certificates(&commit)?;
    let own: Vec<_> = all.into_iter().filter(|(own, _)| own == digest).collect();
    lines.extend(vouched::vouched_lines(&[], &own, &cx.human()).into_iter().filter(|(word, _)| *word != "signed"));
    print(cx, lines)
}

fn show_document(cx: &Context, store: &Store, named: &Named, kind: Kind, digest: &Digest) -> Result<()> {
    let bytes = store.document_bytes(kind, digest)?;
    let value: serde_json::Value = serde_json::from_slice(&bytes)
        .map_err(|error| CliError::new(specs::ErrorKind::Damaged, format!("{} {digest}: {error}", named.sort())))?;
    if cx.out().is_json() {
        return cx.out().json(&value);
    }
    print(cx, [(named.sort(), digest.to_string())])?;
    cx.out().line("")?;
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.lines().try_for_each(|line| cx.out().line(line))
}

fn show_map(cx: &Context, store: &Store, named: &Named, root: &Digest) -> Result<()> {
    let as_files = Tree::at(*root).totals(store);
    let entries = match as_files.or_else(|_| Map::<Digest>::at(*root).totals(store)) {
        Ok(totals) => Some(totals.entries),
        // A map with other values, such as that of a job's datums.
        Err(RepoError::Tree(TreeError::Damaged { .. })) => None,
        Err(error) => return Err(error.into()),
    };
    let has_files = files_of(store, named, None).is_ok();
    if cx.out().is_json() {
        return cx.out().json(&json!({ "id": root, "sort": "tree", "entries": entries, "has_files": has_files }));
    }
    let look = if has_files { format!("pv ls {} -r", root.short(12)) } else { String::new() };
    let lines = [
        ("tree", root.to_string()),
        ("entries", entries.map_or_else(String::new, |entries| entries.to_string())),
        ("look", look),
    ];
    print(cx, lines.into_iter().filter(|(_, text)| !text.is_empty()))
}

fn show_content(cx: &Context, store: &Store, file: &FileEntry) -> Result<()> {
    let found = files::find(store, &What::Bytes(file.digest))?;
    let paths: Vec<String> = found.iter().map(|found| format!("{}:{}", found.repo, found.path)).collect();
    if cx.out().is_json() {
        return cx.out().json(&json!({ "digest": file.digest, "size_bytes": file.size, "paths": paths }));
    }
    let mut lines = vec![("sha256", file.digest.to_string()), ("size", plural(file.size, "byte", "bytes"))];
    lines.extend(paths.iter().take(NAMED).map(|path| ("at", path.clone())));
    if paths.is_empty() {
        lines.push(("at", "no path in any commit".to_owned()));
    } else if paths.len() > NAMED {
        lines.push(("at", format!("…  {} more: pv find {}", paths.len() - NAMED, file.digest.short(12))));
    }
    print(cx, lines)
}
