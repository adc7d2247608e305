//! An analyst's day, by the page alone: pictures are dropped, the pipelines run, a flag leads to its frame and to who put it there, the
//! flags of two models are compared, and a bundle proves one.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tests::browser::{Browser, Tab};
use tests::{TestEnv, test_env};

use super::pictures::differ_clearly;
use super::site::{Site, Way, named_token};
use super::stores::{bitmap, stage};
use crate::support::*;

/// Clicks on the first of these words that there are.
fn press_one(tab: &Tab, words: &[&str]) {
    let found = words.iter().find(|words| tab.offers(words));
    let found = found.unwrap_or_else(|| panic!("none of {words:?} at {}:\n{}", tab.address(), tab.shown()));
    tab.press_on(found);
}

fn follow_one(tab: &Tab, words: &[&str]) {
    tab.arrive(words[0], || press_one(tab, words));
}

/// A pipeline that flags what is seen at night, with a picture by this command: from the frame to what it makes of it.
fn model(draw: &str) -> String {
    let flag = format!(
        "name=${{detect##*/}}; case $name in *night*) {draw} < \"$detect\" > \"/pfs/out/$name\"; \
         echo \"person at night\" > \"/pfs/out/${{name%.*}}.txt\";; esac"
    );
    stage("flags", "detect", &flag, "")
}

/// The digest of the flag's picture, once there is one.
fn flagged(env: &TestEnv) -> Option<String> {
    if env.exit_code(["ls", "flags"]) != 0 {
        return None;
    }
    let files = env.json(["ls", "flags"]);
    let flag = files.iter().find(|file| file["path"] == "/night-1.bmp")?;
    flag["digest"].as_str().map(str::to_owned)
}

#[test]
fn from_dropped_pictures_to_a_bundle_that_proves_a_flag() {
    let Some(browser) = Browser::start() else { return };
    let env = test_env!();
    env.ok(["config", "set", "executor", "process"]);
    // The pipelines are there: what is seen at night gets a flag, and the first model shows it as it is.
    apply(&env, &spec_with("detect", &pfs("images", "/*/*"), "cp \"$images\" /pfs/out/", ""));
    apply(&env, &model("cat"));
    for (name, colour) in [("day-1", [250, 250, 200]), ("day-2", [240, 250, 200]), ("night-1", [10, 10, 40])] {
        env.write(format!("frames/{name}.bmp"), bitmap(96, 64, colour));
    }
    let site = Site::of(env, Way::Direct).unwrap();
    let anna = named_token(&site.env, "anna", "writer", &[]);
    let mut tab = site.visitor(&browser, &anna);

    // She finds the repository, and drops a folder of frames.
    follow_one(&tab, &["Repositories"]);
    follow_one(&tab, &["images"]);
    upload(&site, &tab, &site.env.work().join("frames"), "frames of camera 7");

    // The pipelines run while she looks.
    follow_one(&tab, &["Graph"]);
    tab.until(
        "a graph with the pipelines",
        "document.body.innerText.includes('flags') || document.querySelector('svg')?.textContent.includes('flags')",
    );
    let first = until("a flag", || flagged(&site.env));

    // The flag, in the newest commit of the repository `flags`.
    follow_one(&tab, &["Repositories"]);
    follow_one(&tab, &["flags"]);
    tab.until(
        "the flag in the list",
        "[...document.querySelectorAll('a')].some(one => one.innerText.includes('night-1.txt'))",
    );
    follow_one(&tab, &["night-1.txt"]);
    tab.until("the text of the flag", "document.body.innerText.includes('person at night')");

    // Its trace leads to the frame, and to who put it there.
    follow_one(&tab, &["Where it comes from", "Trace"]);
    for what in ["night-1.bmp", "anna", "frames of camera 7"] {
        tab.until(what, &format!("document.querySelector('main').textContent.includes({})", serde_json::json!(what)));
    }
    tab.until("the frame as a picture", "[...document.images].some(one => one.complete && one.naturalWidth > 0)");

    // The second model makes what it found bright; she compares its flag with the first one's.
    apply(&site.env, &model("tr '\\012' '\\360'"));
    until_true("the flag of the second model", || flagged(&site.env).is_some_and(|second| second != first));
    for words in ["Repositories", "flags", "History", "Differences", "/night-1.bmp"] {
        follow_one(&tab, &[words]);
    }
    blink(&tab);

    // The first model's flag is the one that was acted upon: a bundle proves where it came from.
    follow_one(&tab, &["Where it comes from"]);
    assert_proven(&site, &tab);

    let seen = tab.seen();
    assert!(seen.violations.is_empty(), "{:#?}", seen.violations);
    assert!(seen.elsewhere(&site.origin).is_empty(), "{:#?}", seen.elsewhere(&site.origin));
    assert!(browser.strays().is_empty(), "{:?}", browser.strays());
    assert_sound(&site.env);
}

/// One key lays the two pictures of a difference over each other, and flips them; what differs is a picture of its own.
fn blink(tab: &Tab) {
    let are_there = |least: u32| {
        let all = "[...document.images].every(one => one.complete && one.naturalWidth > 0)";
        tab.until("the pictures", &format!("document.images.length >= {least} && {all}"));
    };
    are_there(2);
    tab.key("b");
    tab.until("one picture over the other", "document.querySelector('.pictures.over')");
    let second = tab.picture_of(".stage");
    tab.key("b");
    assert!(differ_clearly(&second, &tab.picture_of(".stage")), "nothing blinks");
    tab.key("b");
    assert!(second == tab.picture_of(".stage"), "what blinks does not come back to where it was");
    follow_one(tab, &["Difference"]);
    are_there(3);
}

/// Takes the bundle of the file whose trace is shown, by its link, and verifies it.
fn assert_proven(site: &Site, tab: &Tab) {
    let bundle = tab.text("[...document.querySelectorAll('main a[href]')].find(one => /bundle/i.test(one.innerText + one.href))?.href ?? ''");
    assert!(bundle.starts_with(&site.origin), "a link to a bundle: {bundle}\n{}", tab.shown());
    let kept = tab.value(&format!(
        "fetch({}).then(answer => answer.arrayBuffer()).then(bytes => btoa(String.fromCharCode(...new Uint8Array(bytes))))",
        serde_json::json!(bundle)
    ));
    let file = site.env.work().join("case.zip");
    tests::browser::write_base64(&file, kept.as_str().unwrap());
    let key = site.env.work().join("key.pem");
    std::fs::write(&key, site.env.ok(["key", "show"])).unwrap();
    let said = site.env.ok(["verify", "--bundle", file.to_str().unwrap(), "--key", key.to_str().unwrap()]);
    assert!(said.contains("PROVEN") && !said.contains("NOT PROVEN"), "{said}");
}

/// How much of the file that is cut travels in a second, in parts of it.
const PACE: u64 = 4;
const MIB: u64 = 1 << 20;

/// A file of so many MiB that do not repeat.
fn large(site: &Site, count: u64) -> PathBuf {
    let (path, mut block) = (site.env.work().join("large.bin"), noise(MIB as usize, 17));
    let mut file = File::create(&path).unwrap();
    for number in 0..count {
        for at in (0..block.len()).step_by(64 << 10) {
            block[at..at + 8].copy_from_slice(&(number << 20 | at as u64).to_be_bytes());
        }
        file.write_all(&block).unwrap();
    }
    path
}

#[test]
fn an_upload_goes_on_after_its_server_was_killed() {
    let Some(browser) = Browser::start() else { return };
    let mut site = Site::empty();
    let count = number("PV_UPLOAD_MIB", 24);
    let file = large(&site, count);
    let tab = site.visitor(&browser, &site.admin);
    tab.open(&site.url("/repos/images"));
    if count < 1024 {
        tab.slow_down(u32::try_from(count * MIB / PACE).unwrap());
    }
    tab.drop_on("form:has(input[type=file])", &[&file]);
    let deadline = Instant::now() + Duration::from_secs(60 + count / 10);
    let wait = |what: &str, is_so: &dyn Fn() -> bool| {
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}: {}", tab.shown());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait("40 % of it", &|| tab.holds("(one => one && one.value >= 0.4 * one.max)(document.querySelector('progress'))"));
    site.kill();
    assert_eq!(site.env.exit_code(["ls", "images:/large.bin"]), 3, "it was there before it was cut");
    tab.slow_down(0);
    site.start();
    wait("the whole file", &|| site.env.exit_code(["ls", "images:/large.bin"]) == 0);
    let sum = Command::new("sha256sum").arg(&file).output().unwrap().stdout;
    let digest = site.env.json(["ls", "images:/large.bin"])[0]["digest"].as_str().unwrap().to_owned();
    assert_eq!(String::from_utf8(sum).unwrap()[..64], digest, "other bytes");
    assert_eq!(site.env.json(["log", "images"]).len(), 1, "it was committed once");
    assert_sound(&site.env);
}

/// Drops a folder on the form for files of the repository that is shown.
fn upload(site: &Site, tab: &Tab, folder: &Path, message: &str) {
    if !tab.holds("document.querySelector('input[type=file]')") {
        follow_one(tab, &["Upload", "Add files", "Put files"]);
    }
    // What hides the field is opened as a person would.
    tab.value("for (const one of document.querySelectorAll('details:has(input[type=file])')) one.open = true");
    let (form, why) = ("form:has(input[type=file])", "form:has(input[type=file]) [name$=message]");
    if tab.holds(&format!("document.querySelector('{why}')")) {
        tab.write(why, message);
    }
    tab.drop_on(form, &[folder]);
    until_true("a commit of what was dropped", || {
        site.env.json(["ls", "-r", "images"]).iter().any(|file| file["path"].as_str().unwrap().ends_with("night-1.bmp"))
    });
    tab.until(
        "the page with what was dropped",
        "document.readyState === 'complete' && document.body.innerText.includes('frames')",
    );
}
