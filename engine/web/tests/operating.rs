//! Views of those who keep a store running, over small stores.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

use engine::live::Live;
use repos::access::{Access, RepoGlobs, Role};
use repos::tokens::{Audit, AuditLine};
use repos::{Store, Timestamp};
use specs::BranchName;
use web::{Look, View, frame, views};

struct World {
    _folder: tempfile::TempDir,
    store: Store,
    live: Live,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::init(folder.path(), BranchName::main()).unwrap();
        Self { _folder: folder, store, live: Live::default() }
    }

    /// A view as this role sees it.
    fn seen(&self, role: Role, here: &str, show: impl Fn(&Look<'_>) -> views::Result<View>) -> views::Result<String> {
        let access = Access { who: "ann".to_owned(), role, repos: RepoGlobs::all(), client: "ann".to_owned() };
        let store = self.store.seen_by(access.clone());
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        let look = Look { store: &store, live: &self.live, access: &access, base: "/pv", here, now };
        show(&look).map(|view| frame::page(&look, &view, None))
    }

    fn log(&self, number: i64, operation: &str, outcome: u16) {
        let line = AuditLine {
            at: Timestamp::from_micros(number),
            who: "ben<b>".to_owned(),
            from: None,
            operation: operation.to_owned(),
            on: Some("/repos/\u{202e}x".to_owned()),
            outcome,
            why: None,
            request: Some(format!("request-{number}")),
        };
        Audit::of(&self.store).append(&line).unwrap();
    }
}

fn query<Q: serde::de::DeserializeOwned>(text: &str) -> Q {
    serde_urlencoded::from_str(text).unwrap()
}

/// The numbers of the requests of a page.
fn requests(page: &str) -> Vec<i64> {
    page.split("title=\"request-").skip(1).map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn pages_of_the_audit_log_show_each_line_once_also_while_it_grows() {
    let world = World::new();
    for number in 0..250 {
        world.log(
            number,
            if number % 2 == 0 { "createRepo" } else { "deleteRepo" },
            if number == 7 { 403 } else { 200 },
        );
    }
    let page = |query_: &str| {
        world.seen(Role::Admin, "/audit", |look| views::audit::audit(look, query(""), query(query_))).unwrap()
    };
    let (mut seen, mut at, mut number) = (Vec::new(), String::new(), 1000);
    loop {
        let text = page(&at);
        seen.extend(requests(&text));
        let Some(rest) = text.split("rel=\"next\" href=\"/pv/audit?").nth(1) else { break };
        at = rest.split('"').next().unwrap().replace("&amp;", "&");
        world.log(number, "later", 200);
        number += 1;
    }
    assert_eq!(seen, (0..250).rev().collect::<Vec<_>>());
    assert_eq!(requests(&page("operation=DELETE&failed=on")), [7]);
    assert!(requests(&page("who=nobody")).is_empty());
    let text = page("");
    assert!(text.contains("ben&lt;b&gt;") && text.contains("/repos/⟨U+202E⟩x") && !text.contains('\u{202e}'));
}

#[test]
fn the_overview_says_what_needs_somebody_and_offers_what_one_may_do() {
    let world = World::new();
    let home = |role| world.seen(role, "/", |look| views::home::home(look, query(""), query(""))).unwrap();
    let page = home(Role::Reader);
    assert!(page.contains("Nothing needs you.") && page.contains("No pipelines yet"), "{page}");
    assert!(page.contains("data-at=\"") && page.contains("data-follows=\"*\""));
    assert!(page.contains("href=\"/pv/\" aria-current=\"page\""));
}

#[test]
fn only_those_who_may_change_settings_get_forms() {
    let world = World::new();
    let settings = |role| world.seen(role, "/settings", |look| views::settings::settings(look, query(""), query("")));
    assert!(!settings(Role::Writer).unwrap().contains("/api/v1/settings/"));
    let page = settings(Role::Admin).unwrap();
    for setting in answers::setting::ALL {
        assert!(page.contains(&format!("value=\"/api/v1/settings/{}\"", setting.name)), "{}", setting.name);
    }
    let refused = world.seen(Role::Writer, "/tokens", |look| views::tokens::tokens(look, query(""), query("")));
    assert!(refused.unwrap_err().to_string().contains("needs an admin"));
}
