//! What holds for the bytes of each page: its headers, and that nothing in it needs a weaker policy.

use super::site::{Answer, Site};

/// The attributes that name addresses.
const ADDRESSES: [&str; 6] = ["href", "src", "action", "formaction", "poster", "data"];

/// Checks a page as the server sends it, and returns it.
pub(super) fn check(site: &Site, path: &str) -> String {
    let answer = site.get(path, &site.admin);
    assert_eq!(answer.status, 200, "{path}");
    check_headers(path, &answer);
    let faults = faults(&answer.body, site.base);
    assert!(faults.is_empty(), "{path}: {faults:#?}");
    answer.body
}

/// Headers of a page, whether it shows something or says why not.
pub(super) fn check_headers(path: &str, answer: &Answer) {
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("cross-origin-opener-policy", "same-origin"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(answer.header(name), value, "{path}: {name}");
    }
}

/// As `web::frame` has it: written down once more, so that it is not weakened by chance.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; connect-src 'self'; \
                      worker-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// An element as it is written: its name, and its attributes.
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
}

/// What of a page the policy would have to allow, and addresses that leave the server or its base path.
fn faults(html: &str, base: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for Tag { name, attributes } in tags(html) {
        let has = |wanted: &str| attributes.iter().any(|(name, _)| name == wanted);
        if name == "style" || (name == "script" && !has("src")) || ["base", "object", "embed"].contains(&&*name) {
            faults.push(format!("<{name}>"));
        }
        for (attribute, value) in &attributes {
            if attribute == "style" || attribute.starts_with("on") || attribute == "srcdoc" {
                faults.push(format!("<{name} {attribute}={value}>"));
            }
            let is_own = value.is_empty() || value.starts_with(&format!("{base}/")) || value.starts_with(['#', '?']);
            if ADDRESSES.contains(&&**attribute) && (!is_own || value.starts_with("//")) {
                faults.push(format!("<{name} {attribute}={value}>"));
            }
        }
    }
    faults
}

/// The elements of a page that was written by a program: attributes have quotes or no value.
pub(super) fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if !rest.starts_with(|first: char| first.is_ascii_alphabetic()) {
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        rest = &rest[end..];
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            if rest.is_empty() || rest.starts_with('>') {
                break;
            }
            let end = rest.find(|c: char| c.is_whitespace() || "=>".contains(c)).unwrap_or(rest.len()).max(1);
            let attribute = rest[..end].to_ascii_lowercase();
            rest = &rest[end..];
            let mut value = "";
            if let Some(after) = rest.strip_prefix("=\"") {
                (value, rest) = after.split_once('"').unwrap_or((after, ""));
            }
            attributes.push((attribute, value.to_owned()));
        }
        tags.push(Tag { name, attributes });
    }
    tags
}

#[test]
fn what_a_policy_would_have_to_allow_is_found() {
    let good =
        "<!DOCTYPE html><a href=\"/pv/x\">a &lt;b onclick=1></a><script src=\"/pv/assets/a.js\"></script><p hidden>";
    assert_eq!(faults(good, "/pv"), Vec::<String>::new());
    for bad in [
        "<script>1</script>",
        "<style>a{}</style>",
        "<p style=\"color:red\">",
        "<p class=\"a\" onclick=\"x()\">",
        "<a href=\"javascript:x\">",
        "<a href=\"https://e.org\">",
        "<a href=\"//e.org\">",
        "<img src=\"/elsewhere\">",
        "<base href=\"/pv/\">",
    ] {
        assert_eq!(faults(bad, "/pv").len(), 1, "{bad}");
    }
}

#[test]
fn problems_and_the_login_have_the_same_policy() {
    let site = Site::empty();
    let wrong = super::site::bearer("pv_wrong");
    for (method, path, headers, status) in [
        ("GET", "/", vec![], 401),
        ("GET", "/", vec![wrong], 401),
        ("GET", "/?only=%00", vec![super::site::bearer(&site.admin)], 200),
        ("POST", "/act", vec![super::site::bearer(&site.admin)], 400),
        ("POST", "/login", vec!["Content-Type: text/plain".to_owned()], 415),
    ] {
        let answer = site.ask(method, path, &headers, "");
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        if answer.header("content-type").contains("html") {
            check_headers(path, &answer);
            assert_eq!(faults(&answer.body, ""), Vec::<String>::new(), "{path}");
        }
    }
}

/// As the server has it for the content of a PDF.
const POLICY_OF_PDF: &str = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'";

#[test]
fn only_a_pdf_is_without_a_sandbox() {
    let site = Site::of(super::stores::varied(), super::site::Way::Direct).unwrap();
    let listed = site.get("/repos/notes", &site.admin);
    let mut links = tags(&listed.body).into_iter().flat_map(|tag| tag.attributes);
    let is_it = |(name, to): &(String, String)| name == "href" && to.ends_with("/files/l.pdf");
    let (_, link) = links.find(is_it).unwrap_or_else(|| panic!("no link to the file: {}", listed.body));
    let shown = check(&site, &link);
    let frames = tags(&shown).into_iter().filter(|tag| tag.name == "iframe").collect::<Vec<_>>();
    assert_eq!(frames.len(), 1, "{shown}");
    let source = &frames[0].attributes.iter().find(|(name, _)| name == "src").unwrap().1;
    let content = site.get(source, &site.admin);
    assert_eq!((content.status, content.header("content-type")), (200, "application/pdf"));
    assert_eq!(content.header("content-security-policy"), POLICY_OF_PDF);
    assert_eq!(content.header("x-content-type-options"), "nosniff");
    let sound = site.get(&source.replace("l.pdf", "f.wav"), &site.admin);
    assert_eq!(sound.header("content-security-policy"), "sandbox; default-src 'none'");
}
