//! The kinds of files.

use schemars::JsonSchema;
use serde::Serialize;

use crate::content::Watched;
use crate::error::{Fit, Unfit};

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Text,
    Json,
    JsonLines,
    Yaml,
    Csv,
    Tsv,
    Parquet,
    Image,
    Npy,
    Npz,
    Safetensors,
    Bytes,
}

/// By file extension. If content contradicts the name, see [`Kind::of`].
const BY_NAME: [(&str, Kind); 13] = [
    ("json", Kind::Json),
    ("geojson", Kind::Json),
    ("ipynb", Kind::Json),
    ("jsonl", Kind::JsonLines),
    ("ndjson", Kind::JsonLines),
    ("yaml", Kind::Yaml),
    ("yml", Kind::Yaml),
    ("csv", Kind::Csv),
    ("tsv", Kind::Tsv),
    ("tab", Kind::Tsv),
    ("npy", Kind::Npy),
    ("npz", Kind::Npz),
    ("safetensors", Kind::Safetensors),
];

/// By the first bytes, whatever the name.
const BY_CONTENT: [(&[u8], Kind); 14] = [
    (b"PAR1", Kind::Parquet),
    (b"\x93NUMPY", Kind::Npy),
    (b"\x89PNG\r\n\x1a\n", Kind::Image),
    (b"\xff\xd8\xff", Kind::Image),
    (b"GIF87a", Kind::Image),
    (b"GIF89a", Kind::Image),
    (b"BM", Kind::Image),
    (b"II*\0", Kind::Image),
    (b"MM\0*", Kind::Image),
    (b"qoif", Kind::Image),
    (b"P4\n", Kind::Image),
    (b"P5\n", Kind::Image),
    (b"P6\n", Kind::Image),
    (b"P7\n", Kind::Image),
];

/// Number of bytes examined.
const LOOKED_AT: u64 = 8000;

impl Kind {
    /// The kind of a file with this name that begins with these bytes.
    pub fn of(name: &str, start: &[u8]) -> Self {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        let by_name = BY_NAME.iter().find(|(end, _)| extension.as_deref() == Some(*end)).map(|(_, kind)| *kind);
        let by_content = BY_CONTENT.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, kind)| *kind);
        let is_webp = start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP");
        let is_text = !start.contains(&0);
        match (by_content, by_name) {
            // Two letters are not enough to distinguish an image from text.
            (Some(Self::Image), _) if start.starts_with(b"BM") && is_text => by_name.unwrap_or(Self::Text),
            (Some(kind), _) => kind,
            _ if is_webp => Self::Image,
            (None, Some(kind)) if is_text || kind.is_binary() => kind,
            _ if is_text => Self::Text,
            _ => Self::Bytes,
        }
    }

    fn is_binary(self) -> bool {
        matches!(self, Self::Npy | Self::Npz | Self::Safetensors | Self::Image)
    }

    /// Whether such a file holds values: mappings, lists, numbers, texts.
    pub(crate) fn has_values(self) -> bool {
        matches!(self, Self::Json | Self::JsonLines | Self::Yaml)
    }

    /// The kind as text.
    pub fn words(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "JSON",
            Self::JsonLines => "JSON lines",
            Self::Yaml => "YAML",
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
            Self::Parquet => "Parquet",
            Self::Image => "an image",
            Self::Npy => "a numpy array",
            Self::Npz => "numpy arrays",
            Self::Safetensors => "safetensors",
            Self::Bytes => "bytes",
        }
    }
}

/// Whether a file is text, decided as git does: by its first bytes.
pub(crate) fn is_text(side: &mut Watched<'_>) -> Fit<bool> {
    Ok(!side.start(LOOKED_AT)?.contains(&0))
}

/// The kind of both sides. If one of them is empty, both are compared as text or, if the other is not text, as bytes.
pub(crate) fn common(old: &mut Watched<'_>, new: &mut Watched<'_>) -> Fit<Kind> {
    let (old_start, new_start) = (old.start(LOOKED_AT)?, new.start(LOOKED_AT)?);
    let (old_kind, new_kind) = (Kind::of(old.name(), &old_start), Kind::of(new.name(), &new_start));
    let is_text = |start: &[u8]| !start.contains(&0);
    match (old_kind, new_kind) {
        (Kind::Bytes, Kind::Bytes) => Ok(Kind::Bytes),
        _ if old_start.is_empty() || new_start.is_empty() => {
            Ok(if is_text(&old_start) && is_text(&new_start) { Kind::Text } else { Kind::Bytes })
        }
        (old, new) if old == new => Ok(new),
        _ if is_text(&old_start) && is_text(&new_start) => Ok(Kind::Text),
        (old, new) => Err(Unfit(format!("the old side is {}, the new one {}", old.words(), new.words()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_content_then_name() {
        let cases: [(&str, &[u8], Kind); 14] = [
            ("a.png", b"\x89PNG\r\n\x1a\n\0\0", Kind::Image),
            ("a.json", b"\x89PNG\r\n\x1a\n\0\0", Kind::Image),
            ("a.png", b"no image", Kind::Text),
            ("A.JSON", b"{}", Kind::Json),
            ("a.json", b"\0\0", Kind::Bytes),
            ("BMW.txt", b"BMW is a word", Kind::Text),
            ("photo", b"BM\x10\0\0\0", Kind::Image),
            ("w.npz", b"PK\x03\x04\0", Kind::Npz),
            ("w.zip", b"PK\x03\x04\0", Kind::Bytes),
            ("x", b"\x93NUMPY\x01\0", Kind::Npy),
            ("x", b"RIFF\0\0\0\0WEBPVP8 ", Kind::Image),
            ("README", b"", Kind::Text),
            ("t", b"PAR1\x15\0", Kind::Parquet),
            ("t.parquet", b"no table\n", Kind::Text),
        ];
        for (name, start, kind) in cases {
            assert_eq!(Kind::of(name, start), kind, "{name} {start:?}");
        }
    }
}
