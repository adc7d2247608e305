//! What is changed is chosen and counted first, also in a browser that runs no scripts.

use tests::browser::{Browser, Tab};

use super::site::{Site, Way, named_token};
use super::stores::stage;
use crate::support::*;

/// Goes to the page before a change of the newest job of `picky`, and counts what reads a path.
fn count(site: &Site, tab: &Tab, link: &str, glob: &str) {
    assert_eq!(tab.open(&site.url("/jobs/picky")), 200, "{}", tab.shown());
    tab.arrive(link, || tab.press_on(link));
    tab.write("main .filter input[name=input]", glob);
    tab.arrive("what was counted", || tab.press_on("Count"));
}

/// Presses the button of a change, and waits until the job that it starts has ended; returns its failed and recovered datums.
fn confirm(site: &Site, tab: &Tab, button: &str) -> (u64, u64) {
    let before = newest_job(&site.env, "picky")["id"].clone();
    tab.arrive("the run", || tab.press_on(button));
    assert!(tab.address().starts_with(&site.url("/runs/")), "{}: {}", tab.address(), tab.shown());
    let job = until("the end of the new job", || {
        let job = newest_job(&site.env, "picky");
        (job["id"] != before && job["finished_at"].is_string()).then_some(job)
    });
    let number = |field: &str| job[field].as_u64().unwrap();
    (number("datums_failed"), number("datums_recovered"))
}

#[test]
fn failed_datums_are_retried_and_left_out_by_what_they_read() {
    let Some(browser) = Browser::start() else { return };
    let env = env_with_notes();
    put_note(&env, "bad1", "x\n");
    put_note(&env, "bad2", "y\n");
    let script = "case $notes in */bad*) exit 3;; esac; cp $notes /pfs/out/";
    apply(&env, &stage("picky", "notes", script, "\"datum_tries\": 1,"));
    assert_eq!(env.exit_code(["run"]), 1);
    let site = Site::of(env, Way::Direct).unwrap();
    let tab = site.visitor(&browser, &named_token(&site.env, "anna", "writer", &[]));
    tab.without_scripts();

    count(&site, &tab, "Retry …", "/a*");
    assert!(tab.shown().contains("0 of 2 datums that failed") && !tab.offers("Retry"), "{}", tab.shown());
    count(&site, &tab, "Retry …", "/bad1");
    let shown = tab.shown();
    assert!(shown.contains("1 of 2 datums that failed") && shown.contains("1 other stays failed"), "{shown}");
    assert_eq!(confirm(&site, &tab, "Retry"), (2, 0));
    let failed = site.env.json(["datum", "list", "picky", "--state", "failed"]);
    let jobs: Vec<_> = failed.iter().map(|datum| &datum["executed_by"]).collect();
    assert!(jobs.len() == 2 && jobs[0] != jobs[1], "only one was executed again: {failed:?}");

    count(&site, &tab, "Go on without the failed …", "/bad*");
    assert!(tab.shown().contains("2 of 2 datums that failed"), "{}", tab.shown());
    tab.write("input[name='skip_failed:query']", "torn frames");
    assert_eq!(confirm(&site, &tab, "Go on without them"), (0, 2));
}
