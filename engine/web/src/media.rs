//! What browsers show and play, by the ending of a name: pictures, sound, films and PDF.
//!
//! Views link to a file's address of media if it has such a type, and the server answers there with it (`server::page`).

use specs::FilePath;

/// The type of PDF, which browsers show in a viewer of their own.
pub const PDF: &str = "application/pdf";

/// By ending: the type that browsers are told.
const TYPES: [(&str, &str); 24] = [
    ("pdf", PDF),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("jfif", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("bmp", "image/bmp"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("ogg", "audio/ogg"),
    ("oga", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("flac", "audio/flac"),
    ("m4a", "audio/mp4"),
    ("aac", "audio/aac"),
    ("weba", "audio/webm"),
    ("mp4", "video/mp4"),
    ("m4v", "video/mp4"),
    ("webm", "video/webm"),
    ("ogv", "video/ogg"),
    ("mov", "video/quicktime"),
    ("mkv", "video/x-matroska"),
    ("3gp", "video/3gpp"),
];

/// The media type of a file, by its name; `None` if browsers neither show nor play it.
pub fn type_of(path: &FilePath) -> Option<&'static str> {
    let ending = ending_of(path)?;
    TYPES.iter().find(|(known, _)| *known == ending).map(|(_, media_type)| *media_type)
}

/// The ending of a name, in lower case.
pub(crate) fn ending_of(path: &FilePath) -> Option<String> {
    path.name().rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase())
}
