//! Images by the endings of their names: lists show them without reading what they hold.

use specs::FilePath;

use crate::media;

/// Images that browsers do not show, and of which the server can make a picture.
const READ: [&str; 8] = ["tif", "tiff", "qoi", "pgm", "ppm", "pbm", "pam", "pnm"];

/// Whether browsers show a file as it is, by its name.
pub(super) fn is_shown_by_browsers(path: &FilePath) -> bool {
    media::type_of(path).is_some_and(|media_type| media_type.starts_with("image/"))
}

/// Whether a file is an image, by its name: then it has a picture.
pub(super) fn has_picture(path: &FilePath) -> bool {
    is_shown_by_browsers(path) || media::ending_of(path).is_some_and(|ending| READ.contains(&ending.as_str()))
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
        for other in ["/a.tga", "/a.avif", "/a.svg", "/a.mp4", "/png", "/a.png/b"] {
            assert_eq!(of(other), (false, false), "{other}");
        }
    }
}
