//! What changes while one looks: it is shown by itself, and nothing else moves.

use std::time::{Duration, Instant};

use tests::browser::{Browser, Tab};

use super::site::{Site, Way, named_token};
use super::stores::varied;
use crate::support::put_note;

/// How soon a change is to be seen; the median, as other tests run beside this one.
const SOON: Duration = Duration::from_secs(2);
/// How many changes are made.
const CHANGES: usize = 20;

fn is_stale(tab: &Tab, is: bool) {
    let what = if is { "a banner that the page is stale" } else { "no banner that the page is stale" };
    tab.until(what, &format!("document.querySelector('#stale').hidden === {}", !is));
}

/// Does to a page what makes one that is up to date ask again: it is left, and comes back.
fn insist(tab: &Tab) {
    tab.value(
        "for (const name of ['visibilitychange', 'pageshow', 'focus']) {
            document.dispatchEvent(new Event(name)); window.dispatchEvent(new Event(name));
        }
        new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))",
    );
}

#[test]
fn a_page_survives_its_server() {
    let Some(browser) = Browser::start() else { return };
    let mut site = Site::of(varied(), Way::Direct).unwrap();
    let mut tab = site.visitor(&browser, &site.admin);
    tab.open(&site.url("/"));
    tab.value("window.mark = 1");
    tab.write("#search", "half a wo");
    assert!(tab.holds("document.querySelector('#stale').hidden"));
    site.stop();
    is_stale(&tab, true);
    assert!(tab.shown().contains("Overview"), "{}", tab.shown());
    let said = tab.text("document.querySelector('#stale').innerText");
    assert!(!said.trim().is_empty());
    tab.seen();
    insist(&tab);
    let asked = tab.seen().requests;
    assert!(asked.is_empty(), "asked of a server that is not there: {asked:#?}");
    site.start();
    is_stale(&tab, false);
    assert_eq!(tab.text("document.querySelector('#search').value"), "half a wo");
    assert!(tab.holds("window.mark === 1 && document.activeElement.id === 'search'"), "it was loaded again");
    // It goes on.
    site.env.ok(["pipeline", "stop", "sizes"]);
    tab.until("the new state", "[...document.querySelectorAll('main tr')].some(row => row.innerText.includes('sizes') && row.innerText.includes('stopped'))");
    assert!(tab.holds("window.mark === 1"));
}

#[test]
fn a_page_whose_token_was_revoked_says_so_and_does_not_insist() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::of(varied(), Way::Direct).unwrap();
    let token = named_token(&site.env, "anna", "writer", &[]);
    let mut tab = site.visitor(&browser, &token);
    tab.value("window.mark = 1");
    tab.write("#search", "half a wo");
    site.env.ok(["token", "revoke", "anna"]);
    put_note(&site.env, "m.txt", "more");
    is_stale(&tab, true);
    assert!(tab.holds("window.mark === 1 && document.querySelector('#search').value === 'half a wo'"));
    assert!(tab.shown().contains("Overview"), "{}", tab.shown());
    tab.seen();
    for number in 0..3 {
        put_note(&site.env, &format!("{number}.txt"), "more");
        insist(&tab);
    }
    let asked = tab.seen().requests;
    assert!(asked.is_empty(), "asked with a token that was revoked: {asked:#?}");
}

/// Where one is in a page: scrolling, focus, what is open, and where things stand.
fn place(tab: &Tab) -> String {
    tab.text(
        "JSON.stringify([scrollX, scrollY, document.activeElement.id || document.activeElement.outerHTML.slice(0, 80), innerWidth,
            [...document.querySelectorAll('details')].map(one => one.open), document.querySelector('#search').value, getSelection().toString()])",
    )
}

#[test]
fn changes_are_seen_soon_and_nothing_else_moves() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::of(varied(), Way::Direct).unwrap();
    let tab = site.visitor(&browser, &site.admin);
    tab.resize(700, 400, 1.0);
    tab.open(&site.url("/repos/notes"));
    tab.value("window.mark = 1");
    // What is opened is within what is updated, if there is any.
    let summary = ["main details summary", "details summary"];
    let summary = summary.into_iter().find(|one| tab.holds(&format!("document.querySelector('{one}')")));
    if let Some(summary) = summary {
        tab.click(summary);
    }
    tab.write("#search", "typed");
    tab.value("scrollTo({ top: 60, behavior: 'instant' })");
    let before = place(&tab);
    let mut took = Vec::new();
    for number in 0..CHANGES {
        let message = format!("change-{number}-of-many");
        let file = site.env.write("one.txt", &message);
        site.env.ok(["put", "notes:/live", file.to_str().unwrap(), "-m", &message]);
        let start = Instant::now();
        tab.until(&message, &format!("document.querySelector('main').textContent.includes('{message}')"));
        took.push(start.elapsed());
        assert_eq!(place(&tab), before, "after {message}");
    }
    assert!(tab.holds("window.mark === 1"), "it was loaded again");
    took.sort();
    assert!(took[CHANGES / 2] <= SOON, "{took:?}");
}

#[test]
fn any_number_of_tabs_hears_of_a_change() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::of(varied(), Way::Direct).unwrap();
    let first = browser.tab();
    site.log_in(&first, &site.admin, "/repos/notes");
    // A browser opens at most six connections to a server over HTTP/1.1.
    let tabs: Vec<Tab> = (0..12)
        .map(|number| {
            let tab = browser.tab();
            assert_eq!(tab.open(&site.url("/repos/notes")), 200, "tab {number}");
            tab
        })
        .collect();
    let file = site.env.write("one.txt", "x");
    site.env.ok(["put", "notes:/live", file.to_str().unwrap(), "-m", "seen-by-all"]);
    let start = Instant::now();
    for tab in tabs.iter().chain([&first]) {
        tab.until("the change", "document.querySelector('main').textContent.includes('seen-by-all')");
    }
    assert!(start.elapsed() < 5 * SOON, "{:?}", start.elapsed());
}

#[test]
fn a_hidden_tab_asks_for_nothing_until_it_is_shown() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::of(varied(), Way::Direct).unwrap();
    let (mut hidden, shown) = (browser.tab(), browser.tab());
    site.log_in(&hidden, &site.admin, "/repos/notes");
    let is = |hidden: bool| {
        format!(
            "Object.defineProperty(document, 'hidden', {{ get: () => {hidden}, configurable: true }});
                document.dispatchEvent(new Event('visibilitychange'))"
        )
    };
    for tab in [&hidden, &shown] {
        assert_eq!(tab.open(&site.url("/repos/notes")), 200);
    }
    hidden.value(&is(true));
    hidden.seen();
    let has = |message: &str| format!("document.querySelector('main').textContent.includes('{message}')");
    for number in 0..3 {
        let message = format!("change-{number}");
        let file = site.env.write("one.txt", &message);
        site.env.ok(["put", "notes:/live", file.to_str().unwrap(), "-m", &message]);
        // The other tab has it, so both have heard of it.
        shown.until(&message, &has(&message));
    }
    let asked = hidden.seen().requests;
    assert!(asked.is_empty(), "a hidden tab asked: {asked:#?}");
    assert!(!hidden.holds(&has("change-")));
    hidden.value(&is(false));
    hidden.until("the last change", &has("change-2"));
}
