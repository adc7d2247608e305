//! URLs and servers.

use std::path::Path;

use repos::OpenOptions;
use repos::packs::{ObjectPacks, PackStore};
use repos::place::{Access, Place};
use specs::BranchName;
use tests::s3::S3Server;

use super::machines::many_machines_make_one_history;
use super::{keeps_the_contract, lives_through_the_loss_of_its_folder};

#[test]
fn urls_that_are_none_are_refused() {
    for url in
        ["bucket", "s3://", "s3://key:secret@bucket", "gs://bucket", "s3://bu cket", "s3://bucket/a//b", "file://x"]
    {
        let error = Place::open(url, &Access::default()).unwrap_err();
        assert_eq!(error.kind(), specs::ErrorKind::Usage, "{url}");
    }
    let access = Access::new([("AWS_SECRET_ACCESS_KEY".to_owned(), "hidden".to_owned())]);
    assert!(!format!("{access:?}").contains("hidden"));
    let plain = Access::new([("AWS_ENDPOINT_URL".to_owned(), "http://127.0.0.1:9".to_owned())]);
    let error = Place::open("s3://bucket", &plain).unwrap_err();
    assert!(error.hint().unwrap().contains("AWS_ALLOW_HTTP"), "{error}");
}

#[test]
fn a_server_that_is_not_there_is_unavailable() {
    let variables = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_MAX_ATTEMPTS", "2"),
    ];
    let access = Access::new(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions::default().access(access);
    let error = options.init_shared(folder.path(), "s3://bucket/prefix", BranchName::main()).unwrap_err();
    assert_eq!(error.kind(), specs::ErrorKind::Unavailable);
    assert!(error.to_string().contains("s3://bucket/prefix/format"), "{error}");
    assert!(error.hint().unwrap().contains("AWS_ENDPOINT_URL"));
    assert!(!Path::new(folder.path()).join(".pv/format").exists());
}

#[test]
fn s3_holds_stores_as_memory_does() {
    let Some(server) = S3Server::start() else { return };
    let access = Access::new(server.variables());
    let place = |prefix: &str| Place::open(&S3Server::url(prefix), &access).unwrap();
    keeps_the_contract(&place("contract"));
    lives_through_the_loss_of_its_folder(&place("a/deep/prefix"));
    many_machines_make_one_history(&place("machines"), 4);
    let error = Place::open("s3://no-such-bucket/x", &access)
        .and_then(|place| ObjectPacks::new(place, Path::new("/nowhere")).list());
    assert!(error.is_err());
}
