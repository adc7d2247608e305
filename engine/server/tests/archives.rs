//! Directories as archives.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod support;

use std::collections::BTreeMap;
use std::io::Read;

use repos::access::Role;
use reqwest::{Method, StatusCode};
use serde_json::json;
use support::Running;

const FILES: &str = "/repos/images/commits/main/files";

/// A store whose files have odd names, and these files.
async fn with_files() -> (Running, String, BTreeMap<String, Vec<u8>>) {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "images" })).await;
    let long = format!("long/{}/{}/{}", "d".repeat(200), "e".repeat(200), "f".repeat(250));
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, content) in
        [("d/ä ö/日本.txt", "unicode"), ("d/back\\slash", "1"), ("d/-rf", "2"), ("d/C:x", ""), ("e", "3")]
    {
        files.insert(name.to_owned(), content.as_bytes().to_vec());
    }
    files.insert(format!("d/{long}"), b"long".to_vec());
    files.insert("d/large".to_owned(), large);
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in &files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(if name.ends_with("rf") { 0o755 } else { 0o644 });
        archive.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    let request = server.ask(&admin, Method::POST, "/repos/images/branches/main/commits");
    let request = request.header("content-type", "application/x-tar").body(archive.into_inner().unwrap());
    let (status, put) = support::json(request.send().await.unwrap()).await;
    assert_eq!(status, 200, "{put}");
    (server, admin, files)
}

async fn download(server: &Running, token: &str, path: &str) -> (StatusCode, String, Vec<u8>) {
    let response = server.ask(token, Method::GET, path).send().await.unwrap();
    let tag = response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned()).unwrap_or_default();
    (response.status(), tag, response.bytes().await.unwrap().to_vec())
}

fn of_tar(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        assert_eq!(entry.header().mtime().unwrap(), 0);
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        assert_eq!(entry.header().mode().unwrap(), if name.ends_with("rf") { 0o755 } else { 0o644 });
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (name, content)
    });
    entries.collect()
}

fn of_zip(bytes: Vec<u8>) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let all = 0..archive.len();
    let entries = all.map(|at| {
        let mut entry = archive.by_index(at).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert_eq!(entry.last_modified().unwrap().year(), 1980);
        (entry.name().unwrap().into_owned(), content)
    });
    entries.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_comes_out_as_tar_and_zip_with_every_byte_and_always_the_same() {
    let (server, admin, files) = with_files().await;
    let below: BTreeMap<String, Vec<u8>> = files
        .iter()
        .filter_map(|(name, content)| Some((name.strip_prefix("d/")?.to_owned(), content.clone())))
        .collect();
    let (status, tag, tar) = download(&server, &admin, &format!("{FILES}/d?archive=tar")).await;
    assert_eq!((status, of_tar(&tar)), (StatusCode::OK, below.clone()));
    let (status, zip_tag, zip) = download(&server, &admin, &format!("{FILES}/d?archive=zip")).await;
    assert_eq!((status, of_zip(zip.clone())), (StatusCode::OK, below));
    let (_, whole_tag, whole) = download(&server, &admin, &format!("{FILES}?archive=tar")).await;
    assert_eq!(of_tar(&whole), files);
    assert!(tag != zip_tag && tag != whole_tag && tag.len() == 66, "{tag} {zip_tag} {whole_tag}");
    // Another commit with the same files is the same archive.
    server.put(&admin, "/repos/images/branches/main/files/f", "x").await;
    server.ask(&admin, Method::DELETE, "/repos/images/branches/main/files/f").send().await.unwrap();
    assert_eq!(download(&server, &admin, &format!("{FILES}/d?archive=tar")).await, (StatusCode::OK, tag.clone(), tar));
    assert_eq!(download(&server, &admin, &format!("{FILES}/d?archive=zip")).await.2, zip);
    let known = server.ask(&admin, Method::GET, &format!("{FILES}/d?archive=tar")).header("if-none-match", &tag);
    assert_eq!(known.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);
    server.put(&admin, "/repos/images/branches/main/files/d/new", "x").await;
    assert_ne!(download(&server, &admin, &format!("{FILES}/d?archive=tar")).await.1, tag);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_asked_for_by_accept_too_and_has_the_headers_of_stored_content() {
    let (server, admin, _) = with_files().await;
    let (_, commits) = server.get(&admin, "/repos/images/commits").await;
    let id = commits["items"][0]["id"].as_str().unwrap();
    for (form, media_type) in [("tar", "application/x-tar"), ("zip", "application/zip")] {
        for place in [format!("/repos/images/commits/{id}/files/d"), format!("/repos/images/commits/{id}/files")] {
            let response = server.ask(&admin, Method::GET, &place).header("accept", media_type).send().await.unwrap();
            assert_eq!(response.status(), 200, "{place}");
            let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(header("content-type"), media_type);
            assert_eq!(header("content-security-policy"), "sandbox; default-src 'none'");
            assert_eq!(header("cache-control"), "private, max-age=31536000, immutable");
            assert!(header("content-disposition").ends_with(&format!(".{form}")));
        }
    }
    let head = server.ask(&admin, Method::HEAD, &format!("{FILES}/d?archive=zip")).send().await.unwrap();
    assert_eq!((head.status(), &head.headers()["content-type"]), (StatusCode::OK, &"application/zip".parse().unwrap()));
    for (path, status) in [("/e?archive=tar", 400), ("/none?archive=tar", 404), ("/d?archive=rar", 400), ("/d", 400)] {
        let (got, _, problem) = download(&server, &admin, &format!("{FILES}{path}")).await;
        assert_eq!(got, status, "{path}: {}", String::from_utf8_lossy(&problem));
    }
    let ben = server.token("ben", Role::Reader, &["other"]);
    assert_eq!(download(&server, &ben, &format!("{FILES}/d?archive=tar")).await.0, 404);
}
