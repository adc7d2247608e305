//! `make screenshots`: each view in both themes as PNG, with the data of the threat example, to be looked at one by one.
//!
//! With `PV_SCREENSHOTS=FOLDER` alone. Without Docker, `OpenCV` or the video it shows a small store instead, and says so.

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::TestEnv;
use tests::browser::{Browser, Look};

use super::crawl::walk;
use super::site::{Site, Way};
use super::stores::varied;
use crate::support::has_docker;

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
            let file = folder.join(format!("{}.{theme}.png", name_of(&page.path)));
            std::fs::write(&file, tab.picture()).unwrap();
        }
    });
    eprintln!("{count} views in both themes: {}", folder.display());
}
