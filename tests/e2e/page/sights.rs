//! What is looked at rather than read: a graph that stays where it is, a log of many lines.

use tests::browser::Browser;

use super::site::{Site, Way};
use super::stores::{stage, varied};
use crate::support::*;

/// Where everything in the graph stands, and what a person did to the page. The word of a state is the one thing that may differ.
const PLACES: &str = "JSON.stringify([
    [...document.querySelectorAll('svg a, svg .n')].filter(one => !one.querySelector(':scope > .s'))
        .map(one => [one.getAttribute('aria-label') || one.textContent.trim(), one.getBoundingClientRect()]),
    scrollX, scrollY, document.querySelector('.pane').scrollLeft, document.querySelector('.pane').scrollTop,
    document.querySelector('[data-zoom]').dataset.zoom, document.activeElement.outerHTML.slice(0, 80),
    [...document.querySelectorAll('details')].map(one => one.open), [...document.querySelectorAll('.lit')].length,
    document.querySelector('#search').value])";
/// How often the state of a pipeline changes.
const CHANGES: usize = 50;

#[test]
fn nothing_in_a_graph_moves_when_states_change() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::of(varied(), Way::Direct).unwrap();
    let tab = site.visitor(&browser, &site.admin);
    tab.resize(700, 500, 1.0);
    assert_eq!(tab.open(&site.url("/graph?all&zoom=140&path=copy")), 200, "{}", tab.shown());
    tab.write("#search", "half a wo");
    tab.click(".legend summary");
    tab.value(
        "const pane = document.querySelector('.pane'); pane.scrollTo({ left: 40, behavior: 'instant' });
            scrollTo({ top: 90, behavior: 'instant' }); window.mark = 1",
    );
    let before = tab.text(PLACES);
    for name in ["copy", "sizes", "careful", "after", "resting"] {
        assert!(before.contains(name), "{name} is not in the graph: {before}");
    }
    for number in 0..CHANGES {
        let (verb, state) = if number % 2 == 0 { ("stop", "stopped") } else { ("start", "current") };
        site.env.ok(["pipeline", verb, "copy"]);
        let is_shown = format!("document.querySelector('svg [aria-label=copy] .s').textContent.includes('{state}')");
        tab.until("the new state", &is_shown);
        assert_eq!(tab.text(PLACES), before, "after {} changes", number + 1);
    }
    assert!(tab.holds("window.mark === 1"), "it was loaded again");
    // The same, and no more, stands in the table.
    assert_eq!(tab.open(&site.url("/graph?all&table")), 200, "{}", tab.shown());
    for name in ["copy", "sizes", "careful", "after", "resting", "notes", "images"] {
        assert!(tab.shown().contains(name), "{name} is not in the table: {}", tab.shown());
    }
}

#[test]
fn a_line_of_a_long_log_is_found_by_its_address() {
    let Some(browser) = Browser::start() else { return };
    let env = env_with_notes();
    apply(&env, &stage("loud", "notes", "case $notes in */a) seq 1 20000;; esac", ""));
    env.ok(["run"]);
    let site = Site::of(env, Way::Direct).unwrap();
    let tab = site.visitor(&browser, &site.admin);
    assert_eq!(tab.open(&site.url("/jobs/loud/log?line=15000#L15000")), 200, "{}", tab.shown());
    let place = tab.value(
        "(() => { const line = document.getElementById('L15000'); if (!line) return null;
            const place = line.getBoundingClientRect(); return [place.top >= 0 && place.bottom <= innerHeight, (line.closest('tr, li, div') ?? line).textContent] })()",
    );
    assert_eq!(place[0], true, "{}", tab.shown());
    let rows = tab.number("document.querySelectorAll('[id^=L]').length");
    assert!(rows > 100.0 && rows <= 2000.0, "{rows} lines are in the page");
    assert!(tab.holds("document.querySelector('main').textContent.includes('15000')"));
}

#[test]
fn a_pdf_opens_in_a_frame_and_nothing_of_it_is_forbidden() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::of(varied(), Way::Direct).unwrap();
    let mut tab = site.visitor(&browser, &site.admin);
    // The login was an answer with a problem, as it has to be.
    tab.seen();
    assert_eq!(tab.open(&site.url("/repos/notes")), 200, "{}", tab.shown());
    tab.arrive("the page of the file", || tab.press_on("l.pdf"));
    let height = tab.number("document.querySelector('iframe.pdf')?.getBoundingClientRect().height");
    assert!(height > 300.0, "the frame is {height} high: {}", tab.shown());
    tab.until("the frame to load", "document.readyState === 'complete'");
    assert!(tab.offers("download it"));
    let seen = tab.seen();
    let frame = seen.requests.iter().find(|request| request.url.ends_with("/media/l.pdf"));
    assert_eq!(frame.map(|request| request.status), Some(200), "{:#?}", seen.requests);
    assert!(seen.violations.is_empty() && seen.errors.is_empty(), "{:#?} {:#?}", seen.violations, seen.errors);
    assert!(seen.elsewhere(&site.origin).is_empty(), "{:#?}", seen.requests);
}
