//! Images by the endings of their names: lists show them without reading what they hold.

use specs::FilePath;

/// What browsers show: the images that the address of media serves, by the list in `engine/server/src/page/forward.rs`.
const SHOWN: [&str; 7] = ["png", "jpg", "jpeg", "jfif", "gif", "webp", "bmp"];
/// Further images, of which the server can make a picture.
const READ: [&str; 8] = ["tif", "tiff", "qoi", "pgm", "ppm", "pbm", "pam", "pnm"];

/// Whether browsers show a file as it is, by its name.
pub(super) fn is_shown_by_browsers(path: &FilePath) -> bool {
    has_ending(path, &SHOWN)
}

/// Whether a file is an image, by its name: then it has a picture.
pub(super) fn has_picture(path: &FilePath) -> bool {
    is_shown_by_browsers(path) || has_ending(path, &READ)
}

fn has_ending(path: &FilePath, endings: &[&str]) -> bool {
    let ending = path.name().rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| endings.contains(&ending.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_can_be_shown() {
        let of = |path: &str| {
            let path: FilePath = path.parse().unwrap();
            (is_shown_by_browsers(&path), has_picture(&path))
        };
        assert_eq!(of("/a/B.JPG"), (true, true));
        assert_eq!(of("/a.tiff"), (false, true));
        for other in ["/a.tga", "/a.avif", "/a.svg", "/png", "/a.png/b"] {
            assert_eq!(of(other), (false, false), "{other}");
        }
    }
}
