//! Pages of others, and what each role may: a form that is not there is refused too when somebody sends it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use tests::browser::Browser;

use super::crawl::Shapes;
use super::policy::{Tag, tags};
use super::site::{Answer, Site, Way, bearer, named_token, token};
use super::stores::varied;

/// A form of a page: method, operation, and the fields that are filled in already.
type Sent = BTreeMap<String, String>;

/// Serves one page to whoever comes, at a port of its own; returns the port.
fn stranger(page: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                line.clear();
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                page.len()
            );
            stream.write_all((head + &page).as_bytes()).ok();
        }
    });
    port
}

/// A form that makes a repository, as another page would have it.
fn trap(to: &str, name: &str) -> String {
    format!(
        "<!doctype html><form id=f method=post action=\"{to}/act\"><input name=\"-method\" value=POST><input name=\"-operation\" \
         value=\"/api/v1/repos\"><input name=name value={name}><button>Win</button></form>"
    )
}

#[test]
fn a_form_of_another_page_changes_nothing() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::empty();
    let port = stranger(trap(&site.origin, "won"));
    let tab = site.visitor(&browser, &site.admin);
    // The same site for cookies, another site, and a page without any; with a click, and by a script.
    for page in [
        format!("http://localhost:{port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("data:text/html,{}", trap(&site.origin, "won").replace('#', "%23")),
    ] {
        tab.open(&page);
        tab.arrive("an answer to the form", || tab.press_on("Win"));
        assert!(tab.address().ends_with("/act"), "{}", tab.address());
        assert!(!tab.shown().contains("won") || tab.shown().contains("Log in"), "{page}: {}", tab.shown());
        tab.open(&page);
        tab.value(&format!(
            "fetch({}, {{ method: 'POST', mode: 'no-cors', credentials: 'include', body: new URLSearchParams(new FormData(f)) }}).catch(() => null)",
            serde_json::json!(format!("{}/act", site.origin))
        ));
    }
    let names = site.env.json(["repo", "list"]);
    assert!(names.iter().all(|repo| repo["name"] != "won"), "{names:?}");
    // The session is still there, and the same form of an own page works.
    assert_eq!(tab.open(&site.url("/")), 200);
    tab.value(&format!(
        "document.body.insertAdjacentHTML('beforeend', {})",
        serde_json::json!(trap(&site.origin, "own"))
    ));
    tab.arrive("what follows", || tab.press_on("Win"));
    assert!(site.env.json(["repo", "list"]).iter().any(|repo| repo["name"] == "own"), "{}", tab.shown());
}

/// The cookie of a new session.
fn session(site: &Site, token: &str) -> String {
    let form = "Content-Type: application/x-www-form-urlencoded".to_owned();
    let answer = site.ask("POST", "/login", &[form], &format!("token={token}&next=%2F"));
    assert_eq!(answer.status, 303, "{}", answer.body);
    format!("Cookie: {}", answer.header("set-cookie").split(';').next().unwrap())
}

/// Sends a form as a browser with a session does, from this origin.
fn send(site: &Site, cookie: &str, origin: Option<&str>, form: &Sent) -> Answer {
    let mut headers = vec![cookie.to_owned(), "Content-Type: application/x-www-form-urlencoded".to_owned()];
    headers.extend(origin.map(|origin| format!("Origin: {origin}")));
    let pairs: Vec<String> = form.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    site.ask("POST", "/act", &headers, &pairs.join("&"))
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn form(pairs: &[(&str, &str)]) -> Sent {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_form_that_does_not_say_where_it_comes_from_is_refused() {
    let site = Site::empty();
    let cookie = session(&site, &site.admin);
    let sent = form(&[("-method", "POST"), ("-operation", "/api/v1/repos"), ("name", "made")]);
    for origin in [None, Some("null"), Some("http://localhost"), Some("http://evil.example")] {
        assert_eq!(send(&site, &cookie, origin, &sent).status, 403, "{origin:?}");
    }
    assert_eq!(send(&site, "X-No: cookie", Some(&site.origin), &sent).status, 401);
    assert_eq!(send(&site, &cookie, Some(&site.origin), &sent).status, 303);
    let from = |origin: &str| {
        let headers = [format!("Origin: {origin}"), "Content-Type: application/x-www-form-urlencoded".to_owned()];
        site.ask("POST", "/login", &headers, &format!("token={}", site.admin)).status
    };
    assert_eq!((from("http://evil.example"), from(&site.origin)), (403, 303));
}

/// All pages that a token can reach by links, one of each shape, without a browser.
fn pages(site: &Site, token: &str) -> BTreeMap<String, String> {
    let (mut waiting, mut known) = (VecDeque::from(["/".to_owned()]), Shapes::default());
    let mut pages = BTreeMap::new();
    while let Some(path) = waiting.pop_front() {
        let answer = site.get(&path, token);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        for Tag { name, attributes } in tags(&answer.body) {
            let to = attributes
                .iter()
                .find(|(attribute, _)| attribute == "href")
                .map(|(_, value)| value.replace("&amp;", "&"));
            let is_file = attributes.iter().any(|(attribute, _)| attribute == "download");
            let view = to.filter(|to| name == "a" && !is_file && to.starts_with('/') && !to.starts_with("/api/"));
            let view = view.and_then(|to| to.split('#').next().map(str::to_owned));
            if let Some(view) = view.filter(|view| known.is_new(view)) {
                waiting.push_back(view);
            }
        }
        pages.insert(path, answer.body);
    }
    pages
}

/// The forms of pages that change something: those with an operation.
fn forms(pages: &BTreeMap<String, String>) -> Vec<Sent> {
    let mut forms = Vec::new();
    for page in pages.values() {
        for part in page.split("<form").skip(1).filter_map(|part| part.split("</form>").next()) {
            let is_field = |tag: &Tag| ["input", "select", "textarea"].contains(&&*tag.name);
            let fields = tags(part).into_iter().filter(is_field).filter_map(|tag| {
                let value = |wanted: &str| {
                    let (_, value) = tag.attributes.iter().find(|(name, _)| name == wanted)?;
                    Some(value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
                };
                let (name, value) = (value("name")?, value("value").unwrap_or_default());
                // What stands in the path of the operation has to be there, or it is none.
                let is_open = value.is_empty() && name.starts_with('{');
                Some((name, if is_open { "x".to_owned() } else { value }))
            });
            let sent: Sent = fields.collect();
            if sent.contains_key("-operation") && !forms.contains(&sent) {
                forms.push(sent);
            }
        }
    }
    forms
}

fn called(form: &Sent) -> String {
    format!("{} {}", form["-method"], form["-operation"])
}

#[test]
fn each_role_sees_the_forms_that_it_may_send_and_no_others_are_taken() {
    let site = Site::of(varied(), Way::Direct).unwrap();
    let (reader, writer) = (token(&site.env, "reader", &[]), token(&site.env, "writer", &[]));
    let of = |token: &str| forms(&pages(&site, token));
    let (for_reader, for_writer, for_admin) = (of(&reader), of(&writer), of(&site.admin));
    let calls = |forms: &[Sent]| forms.iter().map(called).collect::<BTreeSet<_>>();
    // What a reader is offered works, or something else is wrong with it: it was not filled in.
    let (cookie, origin) = (session(&site, &reader), Some(&*site.origin));
    for form in for_reader.iter().filter(|form| !called(form).ends_with("/session")) {
        assert_ne!(send(&site, &cookie, origin, form).status, 403, "{} is for a reader", called(form));
    }
    assert!(calls(&for_admin).is_superset(&calls(&for_writer)), "{:?}\n{:?}", calls(&for_admin), calls(&for_writer));
    for (token, own) in [(&reader, &for_reader), (&writer, &for_writer)] {
        let (cookie, own) = (session(&site, token), calls(own));
        for form in for_admin.iter().filter(|form| !own.contains(&called(form))) {
            let answer = send(&site, &cookie, origin, form);
            // Whatever else is wrong with it, the right comes first.
            assert_eq!(answer.status, 403, "{}: {}", called(form), answer.body);
        }
    }
}

#[test]
fn who_may_see_some_repositories_finds_no_trace_of_others() {
    let site = Site::of(varied(), Way::Direct).unwrap();
    let token = named_token(&site.env, "limited", "reader", &["notes", "copy"]);
    for (path, page) in pages(&site, &token) {
        for hidden in ["frames of camera 1", "/repos/images", "/repos/careful", "/pipelines/careful", "resting"] {
            assert!(!page.contains(hidden), "{path} shows `{hidden}`");
        }
    }
    for path in ["/repos/images", "/pipelines/careful", "/repos/none", "/pipelines/none"] {
        assert_eq!(site.ask("GET", path, &[bearer(&token)], "").status, 404, "{path}");
    }
}
