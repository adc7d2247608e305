//! `pv show ID`: whatever the id names.

use answers::commit::place_of;
use answers::file::FileEntry;
use answers::named::{Kind, Named, commit_at};
use answers::object::{CodeView, ImageUse, Subject};
use answers::object::{
    certificate_view, code_view, content_view, document_of, document_view, image_use, map_view, result_view,
    signing_key_view,
};
use answers::sorted::Sorted;
use specs::{DatumRef, Digest, RunRef};

use super::{print, show_commit, show_run};
use crate::commands::views::result_word;
use crate::commands::vouched;
use crate::context::Context;
use crate::error::Result;
use crate::output::{plural, size};

/// How many paths of a content are shown.
const NAMED: usize = 10;

pub(super) fn show(cx: &Context, named: &Named) -> Result<()> {
    let store = cx.store()?;
    match named {
        Named::Commit(id) => show_commit(cx, &commit_at(store, *id)?),
        Named::Run(id) => show_run(cx, &RunRef(id.to_string().parse()?)),
        Named::Datum(id) => crate::commands::datum::show_one(cx, &DatumRef::Id(id.to_string().parse()?)),
        Named::Result(digest) => show_result(cx, digest),
        Named::Code(tree, versions) => show_code(cx, &code_view(store, tree, versions)?),
        Named::Image(image, versions) => show_image(cx, &image_use(image, versions)),
        Named::Key(fingerprint) => show_key(cx, fingerprint),
        Named::Certificate(digest) => show_certificate(cx, digest),
        Named::Document(Kind::Log, _) => cx.out().bytes(&document_of(store, &Subject::Object(named.clone()))?),
        Named::Document(kind, digest) => show_document(cx, named, *kind, digest),
        Named::Map(root) => show_map(cx, root),
        Named::Content(file) => show_content(cx, file),
    }
}

fn show_result(cx: &Context, digest: &Digest) -> Result<()> {
    let view = result_view(cx.store()?, digest)?;
    if cx.out().is_json() {
        return cx.out().json(&view);
    }
    let (result, human) = (&view.document, cx.human());
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
    let worker = result.tries.last().and_then(|tried| tried.worker.as_deref());
    let lines = [
        ("result", digest.to_string()),
        ("state", result_word(result.state).to_owned()),
        ("datum", result.recipe.to_string()),
        ("job", format!("{}@{}", result.pipeline, cx.store()?.short_run(&result.run)?)),
        ("pipeline", format!("{}@v{}", result.pipeline, result.version)),
        ("executor", result.executor.on(worker)),
        ("ended", ended),
        ("made", made),
    ];
    print(cx, lines.into_iter().filter(|(_, text)| !text.is_empty()))
}

fn show_code(cx: &Context, code: &CodeView) -> Result<()> {
    if cx.out().is_json() {
        return cx.out().json(code);
    }
    print(
        cx,
        [
            ("code", code.id.to_string()),
            ("files", format!("{}   {}", plural(code.files, "file", "files"), size(code.size_bytes))),
            ("of", code.versions.join(", ")),
            ("look", format!("pv ls {0} -r      pv get {0} DEST", code.id.short(12))),
        ],
    )
}

fn show_image(cx: &Context, used: &Sorted<ImageUse>) -> Result<()> {
    if cx.out().is_json() {
        return cx.out().json(used);
    }
    let image = &used.image;
    let lines = [
        ("image", image.reference.clone()),
        ("digest", image.digest.to_string()),
        ("engine's id", image.id.clone()),
        ("registry", image.registry_digest.clone().unwrap_or_default()),
        ("of", used.versions.join(", ")),
    ];
    print(cx, lines.into_iter().filter(|(_, text)| !text.is_empty()))
}

fn show_key(cx: &Context, fingerprint: &Digest) -> Result<()> {
    let Some(key) = signing_key_view(cx.store()?, fingerprint)? else { return Ok(()) };
    if cx.out().is_json() {
        return cx.out().json(&key);
    }
    let human = cx.human();
    let vouched = if key.vouched { "" } else { "not trusted: pv key trust" };
    let lines = [
        ("key", fingerprint.to_string()),
        ("since", human.local(key.since)),
        ("replaced", key.replaced_at.map_or_else(String::new, |at| human.local(at))),
        ("doubt", vouched.to_owned()),
    ];
    print(cx, lines.into_iter().filter(|(_, text)| !text.is_empty()))
}

fn show_certificate(cx: &Context, digest: &Digest) -> Result<()> {
    let store = cx.store()?;
    let view = certificate_view(store, digest)?;
    if cx.out().is_json() {
        return cx.out().json(&view);
    }
    let of = place_of(store, &view.certificate.commit)?;
    let mut lines = vec![("certificate", digest.to_string()), ("of", of)];
    lines.extend(vouched::certificate_lines(&[view], &cx.human()));
    print(cx, lines)
}

fn show_document(cx: &Context, named: &Named, kind: Kind, digest: &Digest) -> Result<()> {
    let value = document_view(cx.store()?, kind, digest)?;
    if cx.out().is_json() {
        return cx.out().json(&value);
    }
    print(cx, [(named.sort(), digest.to_string())])?;
    cx.out().line("")?;
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.lines().try_for_each(|line| cx.out().line(line))
}

fn show_map(cx: &Context, root: &Digest) -> Result<()> {
    let map = map_view(cx.store()?, root)?;
    if cx.out().is_json() {
        return cx.out().json(&map);
    }
    let look = if map.has_files { format!("pv ls {} -r", root.short(12)) } else { String::new() };
    let lines = [
        ("tree", root.to_string()),
        ("entries", map.entries.map_or_else(String::new, |entries| entries.to_string())),
        ("look", look),
    ];
    print(cx, lines.into_iter().filter(|(_, text)| !text.is_empty()))
}

fn show_content(cx: &Context, file: &FileEntry) -> Result<()> {
    let content = content_view(cx.store()?, file)?;
    if cx.out().is_json() {
        return cx.out().json(&content);
    }
    let paths = &content.paths;
    let mut lines = vec![("sha256", file.digest.to_string()), ("size", plural(file.size, "byte", "bytes"))];
    lines.extend(paths.iter().take(NAMED).map(|path| ("at", path.clone())));
    if paths.is_empty() {
        lines.push(("at", "no path in any commit".to_owned()));
    } else if paths.len() > NAMED {
        lines.push(("at", format!("…  {} more: pv find {}", paths.len() - NAMED, file.digest.short(12))));
    }
    print(cx, lines)
}
