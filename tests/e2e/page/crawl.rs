//! Every link of every view, and what holds for each page: it answers, has a heading and a title, complains of nothing, is the same when it
//! is loaded again and when one comes back to it.
//!
//! One address of each shape stands for the others: `/repos/a` for `/repos/b`. Of one path each parameter is looked at; of what they make
//! together, a few.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tests::browser::{Browser, Tab};

use super::policy;
use super::site::{Site, Way};
use super::stores::{PWN, TRACE, hostile, varied};

/// Most pages of one walk.
const MOST: usize = 180;
/// Most of them that differ in their parameters alone, unless one has a parameter that none of the others has.
const VARIANTS: usize = 6;
/// Words of addresses that are not names.
const WORDS: [&str; 31] = [
    "",
    "graph",
    "repos",
    "branches",
    "commits",
    "files",
    "history",
    "pipelines",
    "versions",
    "runs",
    "jobs",
    "datums",
    "log",
    "diff",
    "trace",
    "find",
    "watches",
    "notifications",
    "deliveries",
    "tokens",
    "audit",
    "settings",
    "storage",
    "operations",
    "plan",
    "explain",
    "upload",
    "compare",
    "reads",
    "events",
    "keys",
];

/// A page that was looked at.
pub(super) struct Seen {
    /// Its address below the base path.
    pub(super) path: String,
}

/// Walks over all links from the overview; calls `look` with each page as it is in the tab. Returns the pages.
pub(super) fn walk(site: &Site, browser: &Browser, mut look: impl FnMut(&mut Tab, &Seen)) -> Vec<Seen> {
    let mut tab = site.visitor(browser, &site.admin);
    let (mut waiting, mut shapes) = (VecDeque::from(["/".to_owned()]), Shapes::default());
    let mut pages = Vec::new();
    while let Some(path) = waiting.pop_front() {
        assert!(pages.len() < MOST, "more pages than {MOST}: {shapes:?}");
        tab.seen();
        let status = tab.open(&site.url(&path));
        assert_eq!(status, 200, "{path}\n{}", tab.shown());
        for link in links(site, &tab) {
            if shapes.is_new(&link) {
                waiting.push_back(link);
            }
        }
        let page = Seen { path };
        look(&mut tab, &page);
        pages.push(page);
    }
    assert!(browser.strays().is_empty(), "{:?}", browser.strays());
    pages
}

/// The addresses of views that a page links to, below the base path.
fn links(site: &Site, tab: &Tab) -> Vec<String> {
    let all = tab.value(
        "[...document.querySelectorAll('a[href], form[method=get], form:not([method])')].filter(one => !one.hasAttribute('download')).map(one => {
            const to = new URL(one.getAttribute('href') ?? one.getAttribute('action') ?? '', location.href);
            if (one.tagName !== 'FORM') return to.href;
            const fields = [...new FormData(one)];
            to.search = new URLSearchParams(fields);
            return fields.some(([, value]) => value) && one.checkValidity() ? to.href : '';
        }).filter(Boolean)",
    );
    let own = site.url("/");
    let all = all.as_array().cloned().unwrap_or_default();
    let all = all.iter().map(|link| link.as_str().unwrap_or_default().split('#').next().unwrap_or_default());
    let mut views = Vec::new();
    for link in all {
        let path = link.strip_prefix(&own).unwrap_or_else(|| panic!("{} links to {link}", tab.address()));
        let is_view = !["api/", "assets/", "login", "act", "metrics"].iter().any(|other| path.starts_with(other));
        // A file by itself is no view.
        let is_view = is_view && !path.contains("/media/");
        if is_view && !path.is_empty() {
            views.push(format!("/{path}"));
        }
    }
    views
}

/// The shapes of the addresses that were found.
#[derive(Debug, Default)]
pub(super) struct Shapes(BTreeMap<String, BTreeSet<String>>);

impl Shapes {
    /// Whether none of the addresses before stands for this one.
    pub(super) fn is_new(&mut self, address: &str) -> bool {
        let shape = shape(address);
        let (path, names) = shape.split_once('?').unwrap_or((&shape, ""));
        let variants =
            self.0.entry(path.to_owned()).or_insert_with(|| BTreeSet::from_iter((path == "/").then(String::new)));
        let is_known = |name: &str| variants.iter().any(|others| others.split('&').any(|other| other == name));
        let has_new_parameter = !names.split('&').all(is_known);
        (has_new_parameter || variants.len() < VARIANTS) && variants.insert(names.to_owned())
    }
}

/// What addresses of one kind have in common.
fn shape(address: &str) -> String {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let words: Vec<&str> = path.split('/').map(|part| if WORDS.contains(&part) { part } else { "*" }).collect();
    let mut shape = words.join("/");
    if let Some((before, below)) = shape.clone().split_once("/files/") {
        // Files of different kinds are shown differently, however deep they are.
        let name = path.rsplit('/').next().unwrap_or_default();
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        let ending = if ending.len() <= 12 { ending } else { "" };
        shape = format!("{before}/files/{}{ending}", if below.is_empty() { "" } else { "*." });
    }
    let names: BTreeSet<&str> =
        query.split('&').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty()).collect();
    format!("{shape}?{}", names.into_iter().collect::<Vec<_>>().join("&"))
}

#[test]
fn each_parameter_of_a_path_is_looked_at_and_few_of_their_combinations() {
    let mut shapes = Shapes::default();
    let mut taken = |address: &str| shapes.is_new(address);
    assert!(!taken("/") && taken("/repos/a") && !taken("/repos/b"), "one repository stands for the others");
    for more in ["a=1", "b=1", "a=1&b=1", "c=1", "a=1&c=1"] {
        assert!(taken(&format!("/repos/a?{more}")), "{more}");
        assert!(!taken(&format!("/repos/b?{more}")), "{more} of another repository");
    }
    assert!(!taken("/repos/a?b=1&c=1"), "another combination of what is known");
    assert!(taken("/repos/a?a=1&version=2") && !taken("/repos/a?b=1&version=3"), "a parameter that was not looked at");
    assert!(taken("/jobs/a?b=1&c=1"), "another path");
}

/// The page as text, without what the time of day changes.
fn picture_of(tab: &Tab) -> String {
    tab.text(
        "(() => {
            const all = document.documentElement.cloneNode(true);
            for (const time of all.querySelectorAll('time, [data-volatile]')) { time.textContent = ''; time.removeAttribute('title'); }
            for (const dated of all.querySelectorAll('[data-at]')) dated.removeAttribute('data-at');
            for (const free of all.querySelectorAll('data')) if (/free/i.test(free.closest('dd')?.previousElementSibling.textContent)) free.remove();
            return all.outerHTML.replace(/\\b[0-9.,]+ ?(ms|s|min|h|d) ago\\b|\\bnow\\b/g, '');
        })()",
    )
}

/// What holds for each page, whatever it shows.
fn look_closely(site: &Site, tab: &mut Tab, page: &Seen) {
    let path = &page.path;
    let facts = tab.value(
        "({ headings: document.querySelectorAll('h1').length, title: document.title, language: document.documentElement.lang,
            mains: document.querySelectorAll('main').length,
            twice: [...document.querySelectorAll('[id]')].map(one => one.id).filter((id, at, all) => all.indexOf(id) !== at) })",
    );
    assert_eq!((&facts["headings"], &facts["mains"]), (&1.into(), &1.into()), "{path}: {}", tab.shown());
    let title = facts["title"].as_str().unwrap_or_default();
    assert!(title.len() > 4 && facts["language"] == "en", "{path}: {facts}");
    assert_eq!(facts["twice"], serde_json::json!([]), "{path}: ids that are there twice");
    let first = picture_of(tab);
    assert_eq!(tab.reload(), 200, "{path}");
    assert_same(path, "loaded again", &first, &picture_of(tab));
    if path != "/" {
        tab.open(&site.url("/"));
        tab.go(-1);
        assert_eq!(tab.address(), site.url(path), "the way back");
        assert_same(path, "come back to", &first, &picture_of(tab));
    }
    let seen = tab.seen();
    assert!(seen.violations.is_empty(), "{path}: {:#?}", seen.violations);
    assert!(seen.errors.is_empty(), "{path}: {:#?}", seen.errors);
    assert!(seen.elsewhere(&site.origin).is_empty(), "{path}: {:#?}", seen.elsewhere(&site.origin));
    let wrong: Vec<_> = seen.requests.iter().filter(|request| request.status >= 400).collect();
    assert!(wrong.is_empty(), "{path}: {wrong:#?}");
}

#[track_caller]
fn assert_same(path: &str, when: &str, one: &str, other: &str) {
    if one == other {
        return;
    }
    let parts = |text: &str| text.split_inclusive('>').map(str::to_owned).collect::<Vec<_>>();
    let (one, other) = (parts(one), parts(other));
    let at = one.iter().zip(&other).position(|(one, other)| one != other).unwrap_or(one.len().min(other.len()));
    let around = |parts: &[String]| parts[at.saturating_sub(6).min(parts.len())..(at + 4).min(parts.len())].concat();
    panic!("{path} differs when {when}:\n--- first\n{}\n--- then\n{}", around(&one), around(&other));
}

fn every_link_works(way: Way) {
    let Some(browser) = Browser::start() else { return };
    let Some(site) = Site::of(varied(), way) else { return };
    let pages = walk(&site, &browser, |tab, page| {
        look_closely(&site, tab, page);
        policy::check(&site, &page.path);
    });
    assert!(!pages.is_empty());
}

#[test]
fn every_link_of_every_view_works_and_gives_the_same_page_again() {
    every_link_works(Way::Direct);
}

#[test]
fn every_link_works_behind_nginx_below_a_path() {
    every_link_works(Way::BehindNginx);
}

#[test]
fn in_a_hostile_store_every_text_is_text() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::of(hostile(), Way::Direct).unwrap();
    let mut shown = 0;
    walk(&site, &browser, |tab, page| {
        let path = &page.path;
        policy::check(&site, path);
        // What a script did would be seen a little later.
        tab.value("new Promise(done => setTimeout(done, 50))");
        assert!(!tab.holds("'__pwned' in window || document.title === 'pwned'"), "{path}: a script ran");
        let taken = tab.value(
            "[...document.querySelectorAll('script:not([src]), [onload], [onerror], iframe[srcdoc], object, embed, base, img[src=x]')]
                .concat([...document.querySelectorAll('[href], [src], [action]')].filter(one =>
                    /^\\s*(javascript|data|vbscript):/i.test(one.getAttribute('href') || one.getAttribute('src') || one.getAttribute('action'))))
                .map(one => one.outerHTML.slice(0, 200))",
        );
        assert_eq!(taken, serde_json::json!([]), "{path}");
        // Nothing turns or hides text: not in what is shown, and not in titles and labels. What forms send is as it is.
        let tricks = "/[\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u2069\\ufeff\\u0007\\u001b]/";
        let page = "(page => {
            page.querySelectorAll('input, option, textarea').forEach(one => one.remove());
            return page.outerHTML;
        })(document.documentElement.cloneNode(true))";
        assert!(!tab.holds(&format!("{tricks}.test({page})")), "{path}: a character that hides or turns");
        shown += usize::from(tab.shown().contains(TRACE));
        let seen = tab.seen();
        assert!(seen.violations.is_empty(), "{path}: {:#?}", seen.violations);
        assert!(seen.elsewhere(&site.origin).is_empty(), "{path}: {:#?}", seen.elsewhere(&site.origin));
    });
    content_is_no_page(&site, &browser);
    assert!(shown >= 1, "no page shows `{PWN}` as text");
}

/// Files that are pages, opened by themselves.
fn content_is_no_page(site: &Site, browser: &Browser) {
    let mut tab = site.visitor(browser, &site.admin);
    for name in ["picture.svg", "page.html", "page.png", "page.pdf", "script.js", "readme.md"] {
        let address = site.url(&format!("/api/v1/repos/notes/commits/main/files/{name}"));
        let kept = tab.value(&format!(
            "fetch({}).then(answer => [answer.status, answer.headers.get('content-security-policy'), answer.headers.get('x-content-type-options')])",
            serde_json::json!(address)
        ));
        assert_eq!((&kept[0], &kept[2]), (&200.into(), &"nosniff".into()), "{name}: {kept}");
        assert!(kept[1].as_str().is_some_and(|policy| policy.contains("sandbox")), "{name}: {kept}");
        // Within a page of this server, as a picture and as a frame.
        let ran = tab.value(&format!(
            "new Promise(done => {{
                const image = new Image(); image.src = {0}; document.body.append(image);
                const frame = document.createElement('iframe'); frame.src = {0}; document.body.append(frame);
                setTimeout(() => {{ let inner = false; try {{ inner = frame.contentWindow.__pwned }} catch {{}} done(Boolean(window.__pwned || inner)) }}, 100);
            }})",
            serde_json::json!(address)
        ));
        assert_eq!(ran, false, "{name}");
    }
    tab.seen();
}
