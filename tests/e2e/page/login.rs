//! How one comes in, and what happens when that ends.

use tests::browser::Browser;

use super::site::{Site, named_token};

#[test]
fn a_token_opens_the_page_that_was_asked_for_and_a_wrong_one_does_not() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::empty();
    let mut tab = browser.stranger();
    let wanted = site.url("/?from=a%20link");
    assert_eq!(tab.open(&wanted), 401);
    assert_eq!(tab.text("document.querySelector('h1').textContent"), "Log in");
    tab.write("input[name=token]", "pv_wrong");
    tab.arrive("an answer", || tab.press_on("Log in"));
    assert!(tab.shown().contains("unknown, revoked or expired"), "{}", tab.shown());
    assert!(tab.cookies().is_empty());
    // The form is there again, and still knows where one wanted to go.
    tab.write("input[name=token]", &site.admin);
    tab.arrive("the page", || tab.press_on("Log in"));
    assert_eq!((tab.address(), tab.cookies()), (wanted.clone(), vec!["__Host-pv".to_owned()]));
    assert!(tab.shown().contains("admin"), "{}", tab.shown());
    assert_eq!(tab.text("document.cookie"), "", "scripts see no session");
    // Another tab is logged in too; a stranger is not.
    let seen = tab.seen();
    assert_eq!(seen.elsewhere(&site.origin).len(), 0, "{:?}", seen.requests);
    assert!(seen.violations.is_empty(), "{:?}", seen.violations);
    assert_eq!(tab.open(&wanted), 200);
    assert_eq!(browser.stranger().open(&wanted), 401);
    assert!(browser.strays().is_empty(), "{:?}", browser.strays());
}

#[test]
fn the_way_back_from_the_login_stays_on_this_server() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::empty();
    for next in ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", ""] {
        let tab = browser.stranger();
        tab.open(&site.url("/"));
        tab.value(&format!("document.querySelector('input[name=next]').value = {}", serde_json::json!(next)));
        tab.write("input[name=token]", &site.admin);
        tab.arrive("a page", || tab.press_on("Log in"));
        assert_eq!(tab.address(), site.url("/"), "{next}");
        tab.close();
    }
    assert!(browser.strays().is_empty(), "{:?}", browser.strays());
}

#[test]
fn a_login_link_works_once() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::empty();
    let link = || {
        let mut login = site.env.command(["login", "--link", &site.url("")]);
        let output = login.env("PV_TOKEN", &site.admin).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.split_whitespace().find(|word| word.contains("/login/")).unwrap_or_else(|| panic!("{output:?}")).to_owned()
    };
    let link = link();
    let tab = browser.stranger();
    assert_eq!(tab.open(&link), 200, "{}", tab.shown());
    assert_eq!(tab.open(&site.url("/")), 200, "{}", tab.shown());
    assert_eq!(browser.stranger().open(&link), 401);
}

#[test]
fn a_session_ends_with_its_token_and_when_one_logs_out() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::empty();
    let token = named_token(&site.env, "anna", "writer", &[]);
    let tab = site.visitor(&browser, &token);
    site.env.ok(["token", "revoke", "anna"]);
    assert_eq!(tab.reload(), 401, "{}", tab.shown());
    assert_eq!(tab.text("document.querySelector('h1').textContent"), "Log in");
    let tab = site.visitor(&browser, &site.admin);
    if !tab.offers("Log out") && tab.offers("More") {
        tab.press_on("More");
    }
    tab.arrive("a page after logging out", || tab.press_on("Log out"));
    assert!(tab.cookies().is_empty());
    assert_eq!(tab.open(&site.url("/")), 401, "{}", tab.shown());
}
