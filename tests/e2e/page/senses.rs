//! For those who do not see, or see little, or use no mouse: `axe-core` in both themes, narrow windows, zoom, and the keyboard alone.

use serde_json::{Value, json};
use tests::browser::{Browser, Look, Tab};
use tests::tools::file_of;

use super::crawl::walk;
use super::site::{Site, Way};
use super::stores::varied;
use crate::support::skip;

/// As `scripts/setup.sh` fetches it.
const AXE: &str = "axe-4.14.1.js";

const LIGHT: Look = Look { is_dark: false, is_forced: false, is_still: false };
const DARK: Look = Look { is_dark: true, ..LIGHT };

/// What `axe-core` finds in a page, in words.
fn faults(tab: &Tab, options: &Value) -> Vec<String> {
    let found = tab.value(&format!(
        "axe.run(document, {options}).then(found => found.violations.map(one => [one.id, one.help, one.nodes.map(node => node.html + '\\n    ' + node.failureSummary)]))"
    ));
    let found = found.as_array().cloned().unwrap_or_default();
    found.iter().map(|one| format!("{}: {} {:#}", one[0], one[1], one[2])).collect()
}

#[test]
fn axe_finds_nothing_in_either_theme_and_no_page_is_wider_than_its_window() {
    let Some(browser) = Browser::start() else { return };
    let Some(axe) = file_of("page-tools", AXE) else {
        return skip("there is no axe-core: scripts/setup.sh page");
    };
    let axe = std::fs::read_to_string(axe).unwrap();
    let site = Site::of(varied(), Way::Direct).unwrap();
    let mut wrong = Vec::new();
    walk(&site, &browser, |tab, page| {
        let path = &page.path;
        tab.look(LIGHT);
        tab.value(&format!("{axe}; void 0"));
        let mut note =
            |how: &str, faults: Vec<String>| wrong.extend(faults.iter().map(|fault| format!("{path}, {how}: {fault}")));
        note("light", faults(tab, &json!({})));
        tab.look(DARK);
        note("dark", faults(tab, &json!({ "runOnly": ["color-contrast", "link-in-text-block"] })));
        tab.look(Look { is_still: true, is_forced: true, ..LIGHT });
        note("at rest, with forced colours", faults_at_rest(tab));
        tab.look(LIGHT);
        for (how, width, zoom) in [("360 px wide", 360, 1.0), ("zoomed to 200 %", 640, 2.0)] {
            tab.resize(width, 640, zoom);
            let wide = tab.value(
                "document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('body *')]
                    .filter(one => one.getBoundingClientRect().right > innerWidth + 1).slice(0, 5).map(one => one.outerHTML.slice(0, 120))",
            );
            let wide = wide.as_array().cloned().unwrap_or_default();
            note(how, wide.iter().map(|one| format!("too wide: {one}")).collect());
        }
        tab.resize(1280, 900, 1.0);
    });
    // It does find what is wrong.
    let tab = site.visitor(&browser, &site.admin);
    tab.value(&format!("{axe}; document.querySelector('main').append(document.createElement('button')); void 0"));
    assert!(faults(&tab, &json!({})).iter().any(|fault| fault.contains("button-name")));
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}

/// What moves although one asked for rest, and states that are told by colour alone, which forced colours take away.
fn faults_at_rest(tab: &Tab) -> Vec<String> {
    let found = tab.value(
        "[...document.querySelectorAll('*')].filter(one => {
            const style = getComputedStyle(one);
            const moves = style.transitionDuration.split(', ').some(time => time !== '0s') && style.transitionProperty !== 'none';
            return moves || one.getAnimations().length || (one.matches('.state') && getComputedStyle(one, '::before').content === 'none');
        }).map(one => one.outerHTML.slice(0, 120))",
    );
    let found = found.as_array().cloned().unwrap_or_default();
    found.iter().map(|one| format!("moves, or is told by colour alone: {one}")).collect()
}

/// What has the focus: its tag, and its words or name.
fn focus(tab: &Tab) -> String {
    tab.text(
        "(() => { const one = document.activeElement; return one.tagName.toLowerCase() + ' ' + (one.id || one.name || one.innerText || one.getAttribute('aria-label') || '').trim().slice(0, 40) })()",
    )
}

#[test]
fn the_keyboard_alone_is_enough() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::of(varied(), Way::Direct).unwrap();
    let tab = site.visitor(&browser, &site.admin);
    tab.open(&site.url("/"));
    tab.key("Tab");
    assert_eq!(focus(&tab), "a Skip to content");
    tab.key("Enter");
    tab.until("focus in the content", "document.activeElement.id === 'main' || location.hash === '#main'");
    tab.key("Tab");
    assert!(tab.holds("document.activeElement.closest('main')"), "{}", focus(&tab));
    // From the top, each link and field comes in the order of the document, and what has the focus is seen.
    tab.open(&site.url("/"));
    let count = tab.number(
        "document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary').length",
    );
    let (mut last, mut reached) = (-1.0, 0);
    for _ in 0..(count as usize + 5) {
        tab.key("Tab");
        let at = tab.number(
            "[...document.querySelectorAll('*')].indexOf(document.activeElement === document.body ? null : document.activeElement)",
        );
        if at < last || at < 0.0 {
            break;
        }
        assert!(
            tab.holds("getComputedStyle(document.activeElement).outlineStyle !== 'none'"),
            "the focus is not seen: {}",
            focus(&tab)
        );
        (last, reached) = (at, reached + 1);
    }
    assert!(tab.holds("[...document.querySelectorAll('[tabindex]')].every(one => one.tabIndex <= 0)"));
    assert!(reached > 5 && tab.number("document.querySelectorAll('main a[href]').length") > 0.0, "{reached}");
    // Ctrl-K and `?`.
    tab.open(&site.url("/"));
    tab.key("Control+k");
    tab.until("focus in the search", "document.activeElement.id === 'search'");
    tab.write("#search", "notes");
    tab.arrive("what was searched for", || tab.key("Enter"));
    assert!(tab.address().contains("notes"), "{}", tab.address());
    tab.open(&site.url("/"));
    assert!(!tab.shown().contains("Ctrl+K") && !tab.holds("document.querySelector('dialog[open]')"));
    tab.key("?");
    tab.until("a list of keys", "document.querySelector('dialog[open]')?.innerText.includes('Ctrl')");
    tab.key("Escape");
    tab.until("no list of keys", "!document.querySelector('dialog[open]')");
    // In a field, it is a letter.
    tab.write("#search", "what");
    tab.key("?");
    assert_eq!(tab.text("document.querySelector('#search').value"), "what?");
}
