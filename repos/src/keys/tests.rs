use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::base::faults::Faults;

fn file() -> (tempfile::TempDir, KeyFile) {
    let folder = tempfile::tempdir().unwrap();
    let file = KeyFile::at(folder.path().join("key"), Faults::default());
    (folder, file)
}

#[test]
fn a_key_is_kept_and_read_again() {
    let (_folder, file) = file();
    assert!(file.read().unwrap().is_none());
    let made = file.create(OwnKey::random()).unwrap();
    let read = file.read().unwrap().unwrap();
    assert_eq!(made.public(), read.public());
    let signature = made.sign(b"bytes");
    assert!(read.public().has_signed(b"bytes", &signature));
    assert!(!read.public().has_signed(b"Bytes", &signature));
    assert!(!OwnKey::random().public().has_signed(b"bytes", &signature));
}

#[test]
fn of_two_that_make_the_key_at_once_both_use_the_first() {
    let (folder, file) = file();
    let first = file.create(OwnKey::random()).unwrap();
    let second = file.create(OwnKey::random()).unwrap();
    assert_eq!(first.public(), second.public());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_fix() {
    let (_folder, file) = file();
    file.create(OwnKey::random()).unwrap();
    let mode = || std::fs::metadata(file.path()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    for open in [0o640, 0o604, 0o660, 0o601] {
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(open)).unwrap();
        let error = file.read().unwrap_err();
        assert!(error.hint().unwrap().starts_with("chmod 600 "), "{error}");
    }
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o400)).unwrap();
    assert!(file.read().unwrap().is_some());
}

#[test]
fn what_is_no_key_is_said_to_be_none() {
    let (_folder, file) = file();
    file.create(OwnKey::random()).unwrap();
    for text in ["", "no key", "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n"] {
        std::fs::write(file.path(), text).unwrap();
        assert!(file.read().unwrap_err().to_string().contains("is not an Ed25519 private key"));
        assert_eq!(PublicKey::from_pem(text), Err(KeyError::PublicKey));
    }
}

#[test]
fn public_keys_have_the_forms_of_rfc_8410() {
    // The example of section 10.1 there; the fingerprint is the output of `openssl pkey -pubin -outform DER | sha256sum`.
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let key = PublicKey::from_pem(pem).unwrap();
    assert_eq!(key.to_pem(), pem);
    assert_eq!(key.to_string().parse(), Ok(key.clone()));
    let json = serde_json::to_string(&key).unwrap();
    assert_eq!(json, r#""MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=""#);
    assert_eq!(serde_json::from_str::<PublicKey>(&json).unwrap(), key);
    assert_eq!(key.fingerprint().to_string(), "a1e9156054e04fac899ae9f275132cdc07a5dbc4ea2c2ad3a1ffc6e0d253681f");
}
