//! When two pictures differ to an eye; and `make screenshots`: each view in both themes as PNG, those with states in greyscale too, with the
//! data of the threat example, to be looked at one by one.
//!
//! The latter with `PV_SCREENSHOTS=FOLDER` alone. Without Docker, `OpenCV` or the video it shows a small store instead, and says so.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use compare::{Detail, Options, Side, compare};
use tests::TestEnv;
use tests::browser::{Browser, Look, Tab};

use super::crawl::walk;
use super::site::{Site, Way};
use super::stores::varied;
use crate::support::has_docker;

/// How many pixels differ at least, if an eye sees it.
const SEEN_PIXELS: f64 = 20.0;
/// By how much of 255 one of them does.
const SEEN_DIFFERENCE: f64 = 64.0;

/// Whether an eye tells two pictures of the same size apart: a shape does, a shade does not.
pub(super) fn differ_clearly(one: &[u8], other: &[u8]) -> bool {
    let (mut one, mut other) = (Cursor::new(one), Cursor::new(other));
    let found = compare(side(&mut one), side(&mut other), &Options::default()).unwrap();
    let Detail::Image(found) = found.detail else { panic!("these are no pictures") };
    let pixels = f64::from(found.new.width) * f64::from(found.new.height);
    let share = found.pixels_changed.expect("pictures of the same size");
    share * pixels >= SEEN_PIXELS && found.max_difference.is_some_and(|most| most >= SEEN_DIFFERENCE)
}

fn side<'c>(picture: &'c mut Cursor<&[u8]>) -> Side<'c> {
    Side { name: "picture.png", size_bytes: picture.get_ref().len() as u64, content: picture, pieces: Vec::new() }
}

/// Frames of the example: enough for pages that look like real ones.
const FRAMES: &str = "24";

/// The store of the threat example, after its demo; `None` if it cannot be had here.
fn threats(folder: &Path) -> Option<PathBuf> {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/threat-detection").canonicalize().unwrap();
    let mut demo = Command::new(example.join("demo.sh"));
    demo.env("PV", env!("CARGO_BIN_EXE_pv")).env("DEMO_DIR", folder).env("DEMO_FRAMES", FRAMES);
    let executor = if has_docker() { "docker" } else { "process" };
    let output = demo.env("DEMO_EXECUTOR", executor).output().ok()?;
    output.status.success().then(|| folder.join("store"))
}

/// The name of a picture of a page: its address, without what no file may be called.
fn name_of(path: &str) -> String {
    let words =
        path.split(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-').filter(|word| !word.is_empty());
    let short = words.map(|word| if word.len() > 24 { &word[..12] } else { word });
    let name = short.collect::<Vec<_>>().join("_");
    if name.is_empty() { "overview".to_owned() } else { name.chars().take(90).collect() }
}

/// Whether a page shows how something is doing, by a shape with its word or in a picture.
fn shows_states(tab: &Tab) -> bool {
    tab.holds("document.querySelector('main :is(.state, svg .s, svg.strip, svg.bars)')")
}

#[expect(clippy::print_stderr, reason = "for whoever asked for pictures")]
#[test]
fn each_view_in_both_themes_as_a_picture() {
    let Some(folder) = std::env::var_os("PV_SCREENSHOTS").map(PathBuf::from) else { return };
    let Some(browser) = Browser::start() else { return };
    std::fs::create_dir_all(&folder).unwrap();
    let env = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    let env = if let Some(store) = threats(&env.dir().join("demo")) {
        env.set("PV_STORE", store.to_str().unwrap());
        env
    } else {
        eprintln!("the threat example cannot run here: these are pictures of a small store");
        varied()
    };
    let site = Site::of(env, Way::Direct).unwrap();
    let mut count = 0;
    walk(&site, &browser, |tab, page| {
        count += 1;
        for (theme, is_dark) in [("light", false), ("dark", true)] {
            tab.look(Look { is_dark, is_still: true, ..Look::default() });
            // Pictures that are loaded when they are seen.
            tab.value("for (const image of document.images) image.loading = 'eager'");
            tab.until("all pictures", "[...document.images].every(image => image.complete)");
            let keep = |ending: &str| {
                let file = folder.join(format!("{}.{theme}{ending}.png", name_of(&page.path)));
                std::fs::write(&file, tab.picture()).unwrap();
            };
            keep("");
            if shows_states(tab) {
                tab.greyscale(true);
                keep(".grey");
                tab.greyscale(false);
            }
        }
    });
    eprintln!("{count} views in both themes, those with states in greyscale too: {}", folder.display());
}
