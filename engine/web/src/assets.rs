//! Scripts and styles, in the binary. The name of each holds the digest of its content, so browsers keep it for ever.
//!
//! `assets/vendor/` holds what others wrote, as they published it: `assets/vendor/README.md` says what, from where, with which digest.

use std::io::Write;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use repos::hash::digest_of;

use crate::address::{self, Address};

/// A file that pages use.
#[derive(Debug)]
pub struct Asset {
    /// Its name, with the beginning of its digest: `page.1a2b3c4d5e6f.css`.
    pub name: String,
    /// Its media type.
    pub media_type: &'static str,
    /// Its content.
    pub content: &'static str,
    /// The same, compressed by gzip.
    pub packed: Vec<u8>,
    source: &'static str,
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! assets {
    ($($name:literal as $media_type:ident from $($file:literal)+),+ $(,)?) => {
        /// All assets.
        pub static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
            vec![$(Asset::new($name, $media_type, concat!($(include_str!(concat!("../assets/", $file))),+))),+]
        });
    };
}

assets! {
    "page.css" as CSS from "base.css" "graph.css" "files.css" "diff.css" "work.css" "operate.css",
    "icon.svg" as SVG from "icon.svg",
    "page.js" as JS from "page.js",
    "live.js" as JS from "live.js",
    "graph.js" as JS from "graph.js",
    "files.js" as JS from "files.js",
    "diff.js" as JS from "diff.js",
    "log.js" as JS from "log.js",
    "worker.js" as JS from "worker.js",
    "idiomorph.js" as JS from "vendor/idiomorph.js",
}

/// What listens to events, for all tabs of a browser.
pub(crate) const WORKER: &str = "worker.js";
/// What changes elements into others and keeps what people did in them.
pub(crate) const MORPH: &str = "idiomorph.js";

/// The scripts of every page. Each is a module of its own: what one tells another is an event of the document, so that none needs the
/// address of another.
pub(crate) const SCRIPTS: [&str; 6] = ["page.js", "live.js", "graph.js", "files.js", "diff.js", "log.js"];

impl Asset {
    fn new(source: &'static str, media_type: &'static str, content: &'static str) -> Self {
        let digest = digest_of(content.as_bytes()).to_string();
        let (stem, ending) = source.rsplit_once('.').expect("a name with an ending");
        let stem = stem.rsplit('/').next().unwrap_or(stem);
        let packed = gzip(content.as_bytes(), Compression::best());
        Self { name: format!("{stem}.{}.{ending}", &digest[..12]), media_type, content, packed, source }
    }
}

/// A page, compressed as fast as it is sent.
pub fn packed_page(page: &[u8]) -> Vec<u8> {
    gzip(page, Compression::new(5))
}

fn gzip(content: &[u8], level: Compression) -> Vec<u8> {
    let mut to = GzEncoder::new(Vec::with_capacity(content.len() / 4), level);
    to.write_all(content).and_then(|()| to.finish()).expect("a vector takes all bytes")
}

/// The asset with this name.
pub fn named(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// The address of the asset that is made from this file in `assets/`.
pub(crate) fn address_of(source: &str) -> Address {
    let asset = ASSETS.iter().find(|asset| asset.source == source).expect("views name only assets that there are");
    address::asset(&asset.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_what_the_readme_names() {
        let readme = include_str!("../assets/vendor/README.md");
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/vendor");
        let files = std::fs::read_dir(own).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|file| !file.ends_with("README.md")) {
            let name = file.file_name().unwrap().to_str().unwrap();
            let digest = digest_of(&std::fs::read(&file).unwrap()).to_string();
            let row = readme.lines().find(|line| line.contains(&format!("`{name}`")));
            assert!(row.is_some_and(|row| row.contains(&digest)), "{name} is {digest}");
        }
    }

    #[test]
    fn scripts_and_styles_stay_small() {
        let bytes = |ending: &str| {
            let those = ASSETS.iter().filter(|asset| asset.source.ends_with(ending));
            those.map(|asset| (asset.source, asset.packed.len())).collect::<Vec<_>>()
        };
        let (scripts, styles) = (bytes(".js"), bytes(".css"));
        let sum = |of: &[(&str, usize)]| of.iter().map(|(_, bytes)| bytes).sum::<usize>();
        assert!(scripts.iter().all(|(_, bytes)| *bytes < 5 << 10), "{scripts:?}");
        assert!(sum(&scripts) < 25 << 10, "{scripts:?}");
        assert!(sum(&styles) < 20 << 10, "{styles:?}");
    }
}
