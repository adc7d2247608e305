//! For those who do not see, or see little, or no colours, or use no mouse: `axe-core` in both themes, narrow windows, zoom, states in
//! greyscale, and the keyboard alone.

use serde_json::{Value, json};
use tests::browser::{Browser, Look, Tab};
use tests::tools::file_of;

use super::crawl::walk;
use super::pictures::differ_clearly;
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

/// The mark of a state, or of a part of a chart, alone in its page: with the words beside it, or without any as a shape.
fn picture_of_mark(tab: &Tab, attribute: (&str, &str), words: &str) -> Vec<u8> {
    let width = if words.is_empty() { 24 } else { 160 };
    tab.value(&format!(
        "(() => {{
            const [mark, box] = [document.createElement('span'), document.createElement('p')];
            mark.className = 'state';
            mark.setAttribute({}, {});
            mark.textContent = {};
            box.id = 'alone';
            Object.assign(box.style, {{ position: 'absolute', inset: '0 auto auto 0', margin: 0, width: '{width}px', height: '32px' }});
            box.append(mark);
            document.body.replaceChildren(box);
        }})()",
        json!(attribute.0),
        json!(attribute.1),
        json!(words)
    ));
    tab.picture_of("#alone")
}

/// Each of these pictures, which have names, looks different from each other.
#[track_caller]
fn assert_told_apart(pictures: &[(&str, Vec<u8>)], seen: &str) {
    for (at, (name, picture)) in pictures.iter().enumerate() {
        for (other_name, other) in &pictures[..at] {
            assert!(differ_clearly(picture, other), "{seen}: `{name}` looks like `{other_name}`");
        }
    }
}

/// The states that a list can be filtered by: all that there are of its kind.
fn states_of(tab: &Tab) -> Vec<String> {
    let words =
        tab.value("[...document.querySelectorAll('select[name=state] option')].map(one => one.value).filter(Boolean)");
    words.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

#[test]
fn without_colours_states_are_told_apart() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::of(varied(), Way::Direct).unwrap();
    let tab = site.visitor(&browser, &site.admin);
    let shape = |word: &str| picture_of_mark(&tab, ("data-state", word), "");
    let said = |word: &str| picture_of_mark(&tab, ("data-state", word), word);
    assert_eq!(tab.open(&site.url("/runs")), 200, "{}", tab.shown());
    let run = tab.text("document.querySelector('main a[href*=\"/runs/\"]').href");
    // Of jobs, states that are alike in what they mean share a shape, and the word tells them apart.
    let lists = [(site.url("/pipelines"), true), (site.url("/runs"), true), (run, false)];
    for (list, tells_by_shape) in &lists {
        for look in [LIGHT, DARK] {
            tab.look(look);
            tab.greyscale(true);
            assert_eq!(tab.open(list), 200, "{list}");
            let states = states_of(&tab);
            assert!(states.len() >= 5, "{list}: {states:?}");
            let with_words: Vec<_> = states.iter().map(|word| (word.as_str(), said(word))).collect();
            assert_told_apart(&with_words, &format!("{list}, {look:?}"));
            if *tells_by_shape {
                let shapes: Vec<_> = states.iter().map(|word| (word.as_str(), shape(word))).collect();
                assert_told_apart(&shapes, &format!("{list}, {look:?}, without words"));
            }
        }
    }
    // A colour alone tells nothing in greyscale, and is seen otherwise.
    tab.look(LIGHT);
    let busy = shape("running");
    tab.value("document.documentElement.style.setProperty('--busy', 'var(--bad)')");
    assert!(!differ_clearly(&busy, &shape("running")), "this is not greyscale");
    tab.greyscale(false);
    let red = shape("running");
    tab.value("document.documentElement.style.removeProperty('--busy')");
    assert!(differ_clearly(&red, &shape("running")), "colours are not seen where there are some");
}

#[test]
fn the_graph_and_charts_have_shapes_too() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::of(varied(), Way::Direct).unwrap();
    let tab = site.visitor(&browser, &site.admin);
    // Each node has the shape that its state has in the line above the picture.
    assert_eq!(tab.open(&site.url("/graph?all")), 200, "{}", tab.shown());
    let nodes = tab.value(
        "(() => {
            const shape = one => getComputedStyle(one, '::before').content.replace(/[\"\\s]/g, '');
            const shapes = new Map([...document.querySelectorAll('.counts .state')].map(one => [one.dataset.state, shape(one)]));
            return [...document.querySelectorAll('svg .s')].map(one => one.textContent.trim().split(' '))
                .map(([shape, word]) => [word, shape, shapes.get(word)]);
        })()",
    );
    let nodes = nodes.as_array().unwrap();
    assert!(nodes.len() >= 5, "{nodes:?}");
    for node in nodes {
        assert!(node[1].is_string() && node[1] == node[2], "{node}");
    }
    // Parts of a bar are told apart by the shapes in its key.
    tab.greyscale(true);
    for look in [LIGHT, DARK] {
        tab.look(look);
        let of = |part: &'static str| (part, picture_of_mark(&tab, ("class", part), ""));
        assert_told_apart(&["key-processed", "key-cached", "key-failed"].map(of), &format!("a chart, {look:?}"));
    }
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
