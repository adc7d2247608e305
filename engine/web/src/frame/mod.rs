//! The document around a view: head, navigation, the banner for what is stale.
//!
//! - `visible`: characters that would hide or turn text
//! - `alone`: documents without a view

use maud::{DOCTYPE, Markup, html};
use repos::access::Right;

use crate::address::{self, Address};
use crate::assets;
use crate::look::Look;
use visible::visible;

mod alone;
mod visible;

pub use alone::{Fault, checked, done, fault, login, welcome};

/// The `Content-Security-Policy` of every page: nothing from elsewhere, no script or style in the document.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; \
                          connect-src 'self'; worker-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; \
                          frame-ancestors 'none'";

/// What a view shows.
#[derive(Debug)]
pub struct View {
    /// What it is about, for the tab and the history of a browser.
    pub title: String,
    /// The part of the navigation that it belongs to: a name in `PLACES`, or nothing.
    pub place: &'static str,
    /// Its parts, in order.
    pub regions: Vec<Region>,
    /// Where a browser goes instead of showing this.
    pub elsewhere: Option<Address>,
}

/// A part of a view that can be updated by itself.
#[derive(Debug)]
pub struct Region {
    /// Its id: unique in the page.
    pub id: &'static str,
    /// Which events make it old, as `about` of the API's events name them; empty for what never changes.
    pub follows: Vec<String>,
    /// After so many seconds it is old without an event: for what is in no journal.
    pub every_seconds: Option<u32>,
    /// Its content.
    pub content: Markup,
}

impl View {
    /// An empty view.
    pub fn new(title: impl Into<String>, place: &'static str) -> Self {
        Self { title: title.into(), place, regions: Vec::new(), elsewhere: None }
    }

    /// No view, but another address.
    pub fn elsewhere(to: Address) -> Self {
        Self { elsewhere: Some(to), ..Self::new("", "") }
    }

    /// Adds a part that does not change.
    #[must_use]
    pub fn fixed(mut self, id: &'static str, content: Markup) -> Self {
        self.regions.push(Region { id, follows: Vec::new(), every_seconds: None, content });
        self
    }

    /// Adds a part that is updated when something happens to what it follows: `*`, or names of repositories and pipelines, ids of runs.
    #[must_use]
    pub fn live<S: Into<String>>(
        mut self,
        id: &'static str,
        follows: impl IntoIterator<Item = S>,
        content: Markup,
    ) -> Self {
        let follows = follows.into_iter().map(Into::into).collect();
        self.regions.push(Region { id, follows, every_seconds: None, content });
        self
    }

    /// Adds a part that is updated every so many seconds: what it shows is not among the events.
    #[must_use]
    pub fn timed(mut self, id: &'static str, seconds: u32, content: Markup) -> Self {
        self.regions.push(Region { id, follows: Vec::new(), every_seconds: Some(seconds), content });
        self
    }
}

/// The navigation: names, words, addresses.
const PLACES: [(&str, &str); 5] =
    [("home", "Overview"), ("graph", "Graph"), ("repos", "Repositories"), ("pipelines", "Pipelines"), ("runs", "Runs")];
/// What is looked at less often, and the right on the whole store that it needs.
const FURTHER: [(&str, &str, Option<Right>); 7] = [
    ("watches", "Watches", None),
    ("notifications", "Notifications", None),
    ("operations", "Operations", None),
    ("storage", "Storage", Some(Right::Check)),
    ("settings", "Settings", Some(Right::Check)),
    ("tokens", "Tokens", Some(Right::Tokens)),
    ("audit", "Audit", Some(Right::Tokens)),
];

fn address_of(place: &str) -> Address {
    if place == "home" { address::home() } else { address::place(place) }
}

/// A view as a document, or only some of its regions: their ids, with commas between.
pub fn page(look: &Look<'_>, view: &View, only: Option<&str>) -> String {
    let wanted = |region: &&Region| only.is_none_or(|ids| ids.split(',').any(|id| id == region.id));
    let regions = html! { @for region in view.regions.iter().filter(wanted) { (shown(region)) } };
    if only.is_some() {
        return visible(regions.into_string());
    }
    // Where the journal was when the page was made: scripts ask for what happened since. A page of a past state has nothing to ask for.
    let is_live = view.regions.iter().any(|region| !region.follows.is_empty());
    let at = is_live.then(|| look.store.position().records);
    let body = html! {
        (navigation(look, view.place))
        main id="main" tabindex="-1" { (regions) }
        (foot(look))
    };
    let head = Head { base: look.base, title: &view.title, at, has_scripts: true };
    visible(document(&head, &body).into_string())
}

fn shown(region: &Region) -> Markup {
    html! {
        section id=(region.id) data-follows=[(!region.follows.is_empty()).then(|| region.follows.join(" "))]
            data-every=[region.every_seconds] {
            (region.content)
        }
    }
}

/// What stands around the body of a document.
struct Head<'a> {
    base: &'a str,
    title: &'a str,
    at: Option<u64>,
    has_scripts: bool,
}

fn document(head: &Head<'_>, body: &Markup) -> Markup {
    let asset = |name: &str| assets::address_of(name).under(head.base);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (head.title) " · pv" }
                link rel="stylesheet" href=(asset("page.css"));
                link rel="icon" href=(asset("icon.svg"));
                @if head.has_scripts {
                    // Not a module: it offers its one function as a name of the document.
                    script defer src=(asset(assets::MORPH)) {}
                    @for script in assets::SCRIPTS { script type="module" src=(asset(script)) {} }
                }
            }
            body data-base=(head.base) data-at=[head.at] data-worker=[head.has_scripts.then(|| asset(assets::WORKER))] {
                a .skip href="#main" { "Skip to content" }
                (body)
            }
        }
    }
}

fn navigation(look: &Look<'_>, place: &str) -> Markup {
    let entry = |name: &str, words: &str| {
        html! { a href=(look.link(&address_of(name))) aria-current=[(name == place).then_some("page")] { (words) } }
    };
    let further = || FURTHER.iter().filter(|(.., right)| right.is_none_or(|right| look.access.may(right)));
    let current = FURTHER.iter().find(|(name, ..)| *name == place).map(|(_, words, _)| *words);
    html! {
        header .top {
            nav aria-label="Main" {
                @for (name, words) in PLACES { (entry(name, words)) }
                details .more {
                    summary aria-current=[current.map(|_| "true")] { (current.unwrap_or("More")) }
                    div { @for (name, words, _) in further() { (entry(name, words)) } }
                }
            }
            form .search role="search" action=(look.link(&Address::of(["find"]))) {
                input #search type="search" name="q" aria-label="Go to a repository, pipeline, run, file or digest"
                    placeholder="Go to … (Ctrl-K)" autocomplete="off" spellcheck="false";
            }
            span .who { (look.access.who) " · " (look.access.role.word()) }
            (log_out(look))
        }
        p #stale .banner role="status" hidden {}
    }
}

fn log_out(look: &Look<'_>) -> Markup {
    html! {
        form method="post" action=(look.link(&address::act())) {
            input type="hidden" name="-method" value="DELETE";
            input type="hidden" name="-operation" value=(address::api(["session"]).under(""));
            input type="hidden" name="-next" value=(address::login().under(""));
            button .quiet { "Log out" }
        }
    }
}

fn foot(look: &Look<'_>) -> Markup {
    html! {
        footer .foot {
            a #keys-link href=(look.link(&address::keys())) { "Keys" }
            a href=(look.link(&address::api(["docs"]))) { "API" }
            button #times type="button" hidden {}
        }
    }
}
