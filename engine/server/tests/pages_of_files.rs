//! The pages of repositories and files: what people stored is text there, wherever it shows; what is shown is pinned; forms change what
//! the operations let them change.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod support;

use std::fmt::Write;

use repos::access::Role;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::json;
use support::{Running, without_what_forms_send};

/// Names that would break out of a page or an address.
const HOSTILE: [&str; 8] = [
    "<script>alert(1)</script>.txt",
    "a\" onerror=\"x.png",
    "right\u{202e}left.txt",
    "what?a=b#c%2F..%00.txt",
    " spaces at both ends ",
    "Übergröße 写真.json",
    "javascript:alert(1)",
    "a&amp;b;c=d+e.csv",
];

/// A GET request; redirects are not followed.
async fn get(server: &Running, token: &str, path: &str) -> Response {
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    client.get(format!("{}{path}", server.url)).bearer_auth(token).send().await.unwrap()
}

async fn page(server: &Running, token: &str, path: &str) -> String {
    let response = get(server, token, path).await;
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{path}: {text}");
    text
}

fn escaped(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").unwrap();
        }
        text
    })
}

/// The links of a page.
fn links(html: &str) -> Vec<String> {
    let links = html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.map(|link| link.replace("&amp;", "&")).collect()
}

async fn repo(server: &Running, admin: &str) {
    let (status, _) = server.send(admin, Method::POST, "/repos", json!({ "name": "images" })).await;
    assert_eq!(status, 201);
}

/// The head of `images@main`.
async fn head(server: &Running, token: &str) -> String {
    server.get(token, "/repos/images/branches/main").await.1["commit"].as_str().unwrap().to_owned()
}

/// The body of a form: name, file name, content.
fn form(parts: &[(&str, Option<&str>, &str)]) -> (&'static str, String) {
    let mut body = String::new();
    for (name, file, content) in parts {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        write!(body, "--x-y-z\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}\r\n").unwrap();
    }
    ("multipart/form-data; boundary=x-y-z", body + "--x-y-z--\r\n")
}

/// A PNG of these many pixels.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], data: &[u8]| {
        bytes.extend((data.len() as u32).to_be_bytes());
        let body = [kind.as_slice(), data].concat();
        bytes.extend(&body);
        bytes.extend(crc(&body).to_be_bytes());
    };
    let header = [width.to_be_bytes().as_slice(), &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    chunk(b"IHDR", &header);
    let rows = vec![0; (width as usize + 1) * height as usize];
    chunk(b"IDAT", &stored(&rows));
    chunk(b"IEND", &[]);
    bytes
}

/// Bytes as zlib without compression.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 1];
    let blocks: Vec<&[u8]> = bytes.chunks(65_535).collect();
    for (number, block) in blocks.iter().enumerate() {
        out.push(u8::from(number + 1 == blocks.len()));
        let length = block.len() as u16;
        out.extend([length.to_le_bytes(), (!length).to_le_bytes()].concat());
        out.extend(*block);
    }
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    out.extend((b << 16 | a).to_be_bytes());
    out
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_text_on_every_page_and_their_links_lead_to_them() {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    repo(&server, &admin).await;
    let deep: String = (0..40).flat_map(|at| [format!("d{at}/")]).collect();
    let names: Vec<String> = HOSTILE.iter().map(|name| (*name).to_owned()).chain([format!("{deep}end")]).collect();
    for name in &names {
        let place = format!("/repos/images/branches/main/files/{}?message=%3Cb%3Ehi%3C%2Fb%3E", escaped(name));
        let (status, answer) = server.put(&admin, &place, "<svg onload=alert(1)> \u{202e}").await;
        assert_eq!(status, 200, "{name}: {answer}");
    }
    let commit = head(&server, &admin).await;
    let mut pages = vec!["/repos".to_owned(), "/repos/images".to_owned(), "/repos/images/branches/main".to_owned()];
    pages.push(format!("/repos/images/commits/{commit}"));
    pages.push(format!("/repos/images/commits/{commit}/files?view=grid"));
    for name in &names {
        pages.push(format!("/repos/images/commits/{commit}/files/{}", escaped(name)));
        pages.push(format!("/repos/images/commits/{commit}/files/{}?history=", escaped(name)));
    }
    for place in &pages {
        let html = without_what_forms_send(&page(&server, &admin, place).await);
        for wrong in ["<script>alert", "<b>hi", "<svg onload", "\" onerror=\"", "\u{202e}", "href=\"javascript:"] {
            assert!(!html.contains(wrong), "{place} has {wrong}");
        }
    }
    let listed = page(&server, &admin, &format!("/repos/images/commits/{commit}/files")).await;
    let own = format!("/repos/images/commits/{commit}/files/");
    let shown: Vec<String> = links(&listed).into_iter().filter(|link| link.starts_with(&own)).collect();
    for name in HOSTILE {
        // One has a folder in it.
        let name = name.split('/').next().unwrap();
        assert!(shown.contains(&format!("{own}{}", escaped(name))), "{name} in {shown:?}");
    }
    for link in shown {
        page(&server, &admin, &link).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_move_lead_to_commits_and_a_repository_is_shown_as_it_was() {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    repo(&server, &admin).await;
    server.put(&admin, "/repos/images/branches/main/files/a.txt", "one").await;
    let first = head(&server, &admin).await;
    let run = server.get(&admin, &format!("/repos/images/commits/{first}")).await.1["run"].as_str().unwrap().to_owned();
    let then = page(&server, &admin, &format!("/repos/images?at=@{run}")).await;
    server.put(&admin, "/repos/images/branches/main/files/b.txt", "two").await;
    let second = head(&server, &admin).await;
    for name in ["branches/main", "at/main", "at/main@%7Bnow%7D"] {
        let response = get(&server, &admin, &format!("/repos/images/{name}/files/a.txt?view=text")).await;
        let to = response.headers()["location"].to_str().unwrap().to_owned();
        assert_eq!(
            (response.status().as_u16(), to),
            (303, format!("/repos/images/commits/{second}/files/a.txt?view=text"))
        );
    }
    let without_time = |html: &str| {
        html.split("<time")
            .map(|part| part.split_once("</time>").map_or(part, |(_, rest)| rest).to_owned())
            .collect::<String>()
    };
    assert_eq!(without_time(&page(&server, &admin, &format!("/repos/images?at=@{run}")).await), without_time(&then));
    assert!(then.contains("a.txt") && !then.contains("b.txt") && !then.contains("upload-form"));
    assert!(page(&server, &admin, "/repos/images?at=1%20hour%20ago").await.contains("There were no commits"));
    assert_eq!(get(&server, &admin, "/repos/images?at=nonsense").await.status(), 400);
    let trace = page(&server, &admin, &format!("/repos/images/commits/{second}/files/b.txt")).await;
    assert!(trace.contains(&format!("rel=\"prev\" href=\"/repos/images/commits/{second}/files/a.txt\"")), "{trace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_uploads_files_with_a_message_and_other_forms_change_branches() {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    let reader = server.token("rolf", Role::Reader, &["*"]);
    repo(&server, &admin).await;
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    let (media_type, body) = form(&[
        ("-message", None, "from a page"),
        ("-directory", None, "/in box"),
        ("file", Some("x.txt"), "x"),
        ("folder", Some("sub/y.txt"), "y"),
        ("file", Some(""), ""),
    ]);
    let send = |token: &str| {
        let request = client.post(format!("{}/repos/images/branches/main/upload", server.url)).bearer_auth(token);
        request.header("content-type", media_type).body(body.clone()).send()
    };
    assert_eq!(send(&reader).await.unwrap().status(), 403);
    let unknown = send("pv_wrong").await.unwrap();
    assert_eq!(unknown.status(), 401);
    let text = unknown.text().await.unwrap();
    assert!(text.contains("name=\"next\" value=\"/repos/images?branch=main\""), "{text}");
    let answer = send(&admin).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["location"]),
        (303, &"/repos/images?branch=main".parse().unwrap())
    );
    let commit = head(&server, &admin).await;
    let (_, document) = server.get(&admin, &format!("/repos/images/commits/{commit}")).await;
    assert_eq!((&document["message"], &document["files"]), (&json!("from a page"), &json!(2)));
    let listed = page(&server, &admin, &format!("/repos/images/commits/{commit}/files/in%20box")).await;
    assert!(listed.contains("x.txt") && listed.contains(">sub/<"), "{listed}");
    let branch = client.post(format!("{}/repos/images/branches", server.url)).bearer_auth(&admin);
    let branch = branch.header("content-type", "application/x-www-form-urlencoded").body("branch=next&commit=main");
    assert_eq!(branch.send().await.unwrap().status(), 303);
    assert_eq!(server.get(&admin, "/repos/images/branches/next").await.1["commit"], json!(commit));
    let unknown = client.post(format!("{}/repos/images/branches", server.url)).bearer_auth("pv_wrong");
    let unknown = unknown.header("content-type", "application/x-www-form-urlencoded").body("branch=other").send();
    let text = unknown.await.unwrap().text().await.unwrap();
    assert!(text.contains("name=\"next\" value=\"/repos/images\""), "{text}");
    assert!(!page(&server, &reader, "/repos/images").await.contains("upload-form"), "a reader sees no form");
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_and_media_are_harmless_bounded_and_for_those_who_see_the_file() {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    let other = server.token("olga", Role::Reader, &["other*"]);
    repo(&server, &admin).await;
    let put = async |name: &str, bytes: Vec<u8>| {
        let request = server.ask(&admin, Method::PUT, &format!("/repos/images/branches/main/files/{name}"));
        assert_eq!(request.body(bytes).send().await.unwrap().status(), 200);
    };
    put("a.png", png(300, 100)).await;
    put("b.png", b"\x89PNG\r\n\x1a\nbroken".to_vec()).await;
    put("c.mp4", b"\0\0\0\x18ftypmp42 and more".to_vec()).await;
    put("d.html", b"<script>alert(1)</script>".to_vec()).await;
    let commit = head(&server, &admin).await;
    let at = |what: &str| format!("/repos/images/commits/{commit}/{what}");
    let picture = get(&server, &admin, &at("pictures/192/a.png")).await;
    let headers = picture.headers().clone();
    assert_eq!((picture.status().as_u16(), &headers["content-type"]), (200, &"image/jpeg".parse().unwrap()));
    assert!(headers["cache-control"].to_str().unwrap().contains("immutable"), "{headers:?}");
    assert!(picture.bytes().await.unwrap().starts_with(b"\xff\xd8\xff"));
    let broken = get(&server, &admin, &at("pictures/192/b.png")).await;
    assert_eq!(
        (broken.status().as_u16(), &broken.headers()["content-type"]),
        (415, &"application/problem+json".parse().unwrap())
    );
    assert_eq!(get(&server, &admin, &at("pictures/193/a.png")).await.status(), 400);
    assert_eq!(get(&server, &admin, &at("pictures/192/none.png")).await.status(), 404);
    assert_eq!(get(&server, &other, &at("pictures/192/a.png")).await.status(), 404);
    assert_eq!(get(&server, &other, &at("media/a.png")).await.status(), 404);
    assert_eq!(get(&server, "pv_wrong", &at("media/a.png")).await.status(), 401);
    assert_eq!(get(&server, &admin, &at("media/d.html")).await.status(), 415);
    let part = Client::new().get(format!("{}{}", server.url, at("media/c.mp4"))).bearer_auth(&admin);
    let part = part.header("range", "bytes=4-7").send().await.unwrap();
    let headers = part.headers().clone();
    assert_eq!((part.status().as_u16(), &headers["content-type"]), (206, &"video/mp4".parse().unwrap()));
    assert!(headers["content-security-policy"].to_str().unwrap().starts_with("sandbox"), "{headers:?}");
    assert_eq!(part.text().await.unwrap(), "ftyp");
    let grid = page(&server, &admin, &at("files?view=grid")).await;
    assert!(grid.contains(&at("pictures/192/a.png")), "{grid}");
    let html = page(&server, &admin, &at("files/d.html")).await;
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !html.contains("<script>alert"), "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pdf_is_sent_as_one_only_if_it_is_one() {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    let other = server.token("olga", Role::Reader, &["other*"]);
    repo(&server, &admin).await;
    for (name, bytes) in [("a.pdf", "%PDF-1.4\nand more"), ("b.pdf", "<script>alert(1)</script>"), ("c.pdf", "")] {
        let request = server.ask(&admin, Method::PUT, &format!("/repos/images/branches/main/files/{name}"));
        assert_eq!(request.body(bytes).send().await.unwrap().status(), 200);
    }
    let commit = head(&server, &admin).await;
    let at = |what: &str| format!("/repos/images/commits/{commit}/{what}");
    let whole = get(&server, &admin, &at("media/a.pdf")).await;
    let headers = whole.headers().clone();
    assert_eq!((whole.status().as_u16(), &headers["content-type"]), (200, &"application/pdf".parse().unwrap()));
    assert_eq!(headers["content-disposition"], "inline");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && policy.ends_with("frame-ancestors 'self'"), "{policy}");
    assert_eq!(whole.text().await.unwrap(), "%PDF-1.4\nand more");
    let ask = || Client::new().get(format!("{}{}", server.url, at("media/a.pdf"))).bearer_auth(&admin);
    let part = ask().header("range", "bytes=9-11").send().await.unwrap();
    assert_eq!((part.status().as_u16(), part.text().await.unwrap().as_str()), (206, "and"));
    let again = ask().header("if-none-match", &headers["etag"]).send().await.unwrap();
    assert_eq!((again.status().as_u16(), &again.headers()["content-type"]), (304, &"application/pdf".parse().unwrap()));
    for name in ["b.pdf", "c.pdf"] {
        assert_eq!(get(&server, &admin, &at(&format!("media/{name}"))).await.status(), 415, "{name}");
    }
    assert_eq!(get(&server, &admin, &at("media/none.pdf")).await.status(), 404);
    assert_eq!(get(&server, &other, &at("media/a.pdf")).await.status(), 404);
    assert_eq!(get(&server, "pv_wrong", &at("media/a.pdf")).await.status(), 401);
    let shown = page(&server, &admin, &at("files/a.pdf")).await;
    assert!(shown.contains(&format!("<iframe class=\"pdf\" src=\"{}\"", at("media/a.pdf"))), "{shown}");
    assert!(shown.contains(&format!("href=\"/api/v1{}\">download it", at("files/a.pdf"))), "{shown}");
    let text = page(&server, &admin, &at("files/b.pdf")).await;
    assert!(text.contains("&lt;script&gt;") && !text.contains("<iframe"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_previews_come_in_pages_that_have_everything_once() {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    repo(&server, &admin).await;
    let rows: String = (0..250).fold("id,word\n".to_owned(), |text, row| text + &format!("{row},w{row}x\n"));
    let lines: String = (0..2500).fold(String::new(), |text, line| text + &format!("line {line}x\n"));
    let many: Vec<String> = (0..230).map(|number| format!("many/f{number:03}")).collect();
    let tree = "{\"a\": [1.50, {\"b\": \"<i>\"}]}";
    let mut parts =
        vec![("file", Some("t.csv"), &*rows), ("file", Some("t.txt"), &*lines), ("file", Some("t.json"), tree)];
    parts.extend(many.iter().map(|name| ("file", Some(name.as_str()), "")));
    let (media_type, body) = form(&parts);
    let commits = server.ask(&admin, Method::POST, "/repos/images/branches/main/commits");
    let sent = commits.header("content-type", media_type).body(body).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    let commit = head(&server, &admin).await;
    for (path, count, row) in [("many", 230, "f"), ("t.csv", 250, "w"), ("t.txt", 2500, "line ")] {
        let (mut seen, mut next) = (Vec::new(), Some(format!("/repos/images/commits/{commit}/files/{path}")));
        while let Some(place) = next {
            let html = page(&server, &admin, &place).await;
            seen.extend((0..count).filter(|number| {
                let word = if row == "f" { format!(">f{number:03}<") } else { format!("{row}{number}x") };
                html.contains(&word)
            }));
            next = links(&html).into_iter().find(|link| link.contains("after="));
        }
        assert_eq!(seen, (0..count).collect::<Vec<_>>(), "{path}");
    }
    let tree = page(&server, &admin, &format!("/repos/images/commits/{commit}/files/t.json")).await;
    assert!(tree.contains("<details open>") && tree.contains("1.50") && tree.contains("&lt;i&gt;"), "{tree}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_before_and_after_are_those_of_the_directory() {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    repo(&server, &admin).await;
    for name in ["a/x", "a/y/z", "a-b.txt", "a.txt", "b.txt", "c/deep/er"] {
        server.put(&admin, &format!("/repos/images/branches/main/files/{name}"), name).await;
    }
    let commit = head(&server, &admin).await;
    let own = format!("/repos/images/commits/{commit}/files/");
    let cases = [
        ("a-b.txt", None, Some("a.txt")),
        ("a.txt", Some("a-b.txt"), Some("b.txt")),
        ("b.txt", Some("a.txt"), None),
        ("a/x", None, None),
        ("c/deep/er", None, None),
    ];
    for (name, before, after) in cases {
        let html = page(&server, &admin, &format!("{own}{name}")).await;
        let beside = |rel: &str| {
            let start = html.split(&format!("rel=\"{rel}\" href=\"{own}")).nth(1)?;
            start.split('"').next().map(str::to_owned)
        };
        assert_eq!((beside("prev").as_deref(), beside("next").as_deref()), (before, after), "{name}");
    }
}
