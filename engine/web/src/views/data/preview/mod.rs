//! What a file holds, by its kind. Each preview has bounds, and says so when it stops at one.
//!
//! - `text` lines with numbers; `tokens` their colours
//! - `json` a tree that folds; `table` rows of CSV and Parquet; `tensors` arrays of numbers
//! - `bytes` everything without a better kind
//!
//! Content becomes part of the page only as text. Pictures, sound, films and PDF come from addresses of their own, which say what they are
//! and run nothing; SVG and HTML are shown as text.

mod bytes;
mod json;
mod table;
mod tensors;
mod text;
mod tokens;

use answers::file::FileView;
use answers::file::shown::{Kind, bytes};
use maud::{Markup, html};
use specs::{CommitId, FilePath, RepoName};

use super::shared::Place;
use crate::address::{self, Address};
use crate::look::Look;
use crate::parts::link;
use crate::views::Result;
use crate::views::images::is_shown_by_browsers;

/// Longer side of a picture of an image that browsers do not show themselves.
const PICTURE: u32 = 1280;
/// Bytes by which a kind is known.
const START: u64 = 8000;
/// Largest JSON that folds.
const JSON_BYTES: u64 = 256 << 10;

/// A part of a file that is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'p> {
    pub(super) repo: &'p RepoName,
    pub(super) commit: &'p CommitId,
    pub(super) file: &'p FileView,
    /// Where it begins: what the page before ended with.
    pub(super) after: Option<&'p str>,
    /// How it is shown: `text`, `bytes`, `natural`; absent: by its kind.
    pub(super) view: Option<&'p str>,
}

impl Part<'_> {
    /// The address of this file, shown in this way.
    fn here(&self) -> Address {
        address::files(self.repo, self.commit, Some(&self.file.path)).with_some("view", self.view)
    }

    /// The place where this part begins.
    fn place(&self) -> Option<Place> {
        // A line has at least one byte.
        let is_possible = |place: &Place| place.byte <= self.file.size_bytes && place.number <= place.byte + 1;
        self.after.and_then(Place::of).filter(is_possible)
    }
}

/// What a file is to somebody who looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Empty,
    Text,
    Json,
    Table,
    /// Rows that say their types.
    Parquet,
    Tensors,
    /// An image that browsers show.
    Image,
    /// Another image.
    Picture,
    Audio,
    Video,
    /// What the browser itself shows in a frame.
    Pdf,
    /// Something that has a name and is not shown: its name.
    Other(&'static str),
    Bytes,
}

/// How a PDF begins.
const PDF: &[u8] = b"%PDF-";

/// By the first bytes: what is known and not shown; a PDF only under a name that does not say what it is.
const OTHERS: [(&[u8], &str); 5] = [
    (PDF, "a PDF"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
];

fn sort_of(path: &FilePath, start: &[u8], size_bytes: u64) -> Sort {
    if size_bytes == 0 {
        return Sort::Empty;
    }
    match (Kind::of(path.name(), start), played(path)) {
        (Kind::Image, _) if is_shown_by_browsers(path) => Sort::Image,
        (Kind::Image, _) => Sort::Picture,
        (Kind::Npy | Kind::Npz | Kind::Safetensors, _) => Sort::Tensors,
        (Kind::Csv | Kind::Tsv, _) => Sort::Table,
        (Kind::Parquet, _) => Sort::Parquet,
        (Kind::Text | Kind::Bytes, Some(Sort::Pdf)) if start.starts_with(PDF) => Sort::Pdf,
        (Kind::Json, _) if size_bytes <= JSON_BYTES => Sort::Json,
        (Kind::Bytes, Some(sort @ (Sort::Audio | Sort::Video))) => sort,
        (kind, _) => match OTHERS.iter().find(|(magic, _)| start.starts_with(magic)) {
            Some((_, words)) => Sort::Other(words),
            None if kind == Kind::Bytes => Sort::Bytes,
            None => Sort::Text,
        },
    }
}

/// Sound, a film or a PDF, by its name.
fn played(path: &FilePath) -> Option<Sort> {
    match crate::media::type_of(path)?.split_once('/') {
        Some(("audio", _)) => Some(Sort::Audio),
        Some(("video", _)) => Some(Sort::Video),
        Some(("application", "pdf")) => Some(Sort::Pdf),
        _ => None,
    }
}

/// What a file holds.
pub(super) fn preview(look: &Look<'_>, part: &Part<'_>) -> Result<Markup> {
    let start = bytes(look.store, part.file, 0, START)?;
    let sort = sort_of(&part.file.path, &start, part.file.size_bytes);
    let shown = match (part.view, sort) {
        (_, Sort::Empty) => html! { p .dim { "The file is empty." } },
        (Some("bytes"), _) => bytes::hex(look, part)?,
        (Some("text"), Sort::Json | Sort::Table) => text::text(look, part)?,
        (_, Sort::Text) => text::text(look, part)?,
        (_, Sort::Json) => json::json(look, part)?,
        (_, Sort::Table) => table::table(look, part)?,
        (_, Sort::Parquet) => table::parquet(look, part)?,
        (_, Sort::Tensors) => tensors::tensors(look, part)?,
        (_, Sort::Image | Sort::Picture) => image(look, part, sort),
        (_, Sort::Audio | Sort::Video) => media(look, part, sort),
        (_, Sort::Pdf) => pdf(look, part),
        (_, Sort::Other(words)) => html! {
            p { "This is " (words) ", which is not shown here: download it to open it." }
            (bytes::hex(look, part)?)
        },
        (_, Sort::Bytes) => bytes::hex(look, part)?,
    };
    Ok(html! { h2 { "Content" } (ways(look, part, sort)) (shown) })
}

/// Links to other ways to show a file.
fn ways(look: &Look<'_>, part: &Part<'_>, sort: Sort) -> Markup {
    let (first, second): (&str, Option<(&str, &str)>) = match sort {
        Sort::Json => ("Tree", Some(("text", "Text"))),
        Sort::Table => ("Table", Some(("text", "Text"))),
        Sort::Image => ("Fit", Some(("natural", "Natural size"))),
        Sort::Text => ("Text", None),
        Sort::Tensors => ("Tensors", None),
        Sort::Parquet => ("Table", None),
        Sort::Pdf => ("Pages", None),
        _ => return html! {},
    };
    let here = address::files(part.repo, part.commit, Some(&part.file.path));
    let way = |view: Option<&str>, words: &str| {
        let is_it = part.view == view;
        html! { a href=(look.link(&here.clone().with_some("view", view))) aria-current=[is_it.then_some("true")] { (words) } }
    };
    html! {
        p .ways {
            (way(None, first))
            @if let Some((view, words)) = second { (way(Some(view), words)) }
            (way(Some("bytes"), "Bytes"))
        }
    }
}

fn image(look: &Look<'_>, part: &Part<'_>, sort: Sort) -> Markup {
    let (repo, commit, path) = (part.repo, part.commit, &part.file.path);
    let (source, note) = match sort {
        Sort::Image => (address::media(repo, commit, path), None),
        _ => (
            address::picture(repo, commit, path, PICTURE),
            Some("Shown as a smaller picture: browsers do not show this kind of image themselves."),
        ),
    };
    let is_natural = part.view == Some("natural");
    html! {
        @if let Some(note) = note { p .dim { (note) } }
        div .image data-natural[is_natural] {
            a href=(look.link(&source)) { img alt=(path.name()) src=(look.link(&source)); }
        }
    }
}

fn media(look: &Look<'_>, part: &Part<'_>, sort: Sort) -> Markup {
    let source = address::media(part.repo, part.commit, &part.file.path);
    let name = part.file.path.name();
    html! {
        @if sort == Sort::Audio {
            audio controls preload="metadata" src=(look.link(&source)) aria-label=(name) {}
        } @else {
            video controls preload="metadata" src=(look.link(&source)) aria-label=(name) {}
        }
        @let content = address::content(part.repo, part.commit, &part.file.path);
        p .dim { "If it does not play, this browser does not know its format: " (link(look, &content, "download it")) "." }
    }
}

/// A frame in which the browser's own viewer opens.
fn pdf(look: &Look<'_>, part: &Part<'_>) -> Markup {
    let source = address::media(part.repo, part.commit, &part.file.path);
    let content = address::content(part.repo, part.commit, &part.file.path);
    html! {
        iframe .pdf src=(look.link(&source)) title=(part.file.path.name()) {}
        p .dim { "If nothing shows, this browser has no viewer for PDF: " (link(look, &content, "download it")) "." }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_and_names_help() {
        let cases: [(&str, &[u8], Sort); 15] = [
            ("a.png", b"\x89PNG\r\n\x1a\n\0", Sort::Image),
            ("a.tif", b"II*\0\0", Sort::Picture),
            ("photo", b"\xff\xd8\xff\0", Sort::Picture),
            ("a.png", b"<script>", Sort::Text),
            ("a.svg", b"<svg onload=x>", Sort::Text),
            ("a.mp4", b"\0\0\0\x18ftyp", Sort::Video),
            ("a.mp4", b"text", Sort::Text),
            ("a.WAV", b"RIFF\0\0", Sort::Audio),
            ("a.json", b"{}", Sort::Json),
            ("a.PDF", b"%PDF-1.7\n", Sort::Pdf),
            ("a.pdf", b"%PDF-1.7\n\0", Sort::Pdf),
            ("a.pdf", b"<script>", Sort::Text),
            ("paper", b"%PDF-1.7\n", Sort::Other("a PDF")),
            ("a.parquet", b"PAR1\0", Sort::Parquet),
            ("a.bin", b"\0\x01", Sort::Bytes),
        ];
        let of = |name: &str, start: &[u8], bytes: u64| sort_of(&format!("/{name}").parse().unwrap(), start, bytes);
        for (name, start, sort) in cases {
            assert_eq!(of(name, start, start.len() as u64), sort, "{name}");
        }
        assert_eq!(of("a.png", b"", 0), Sort::Empty);
        assert_eq!(of("a.json", b"{", JSON_BYTES + 1), Sort::Text);
    }
}
