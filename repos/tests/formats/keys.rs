//! Keys, and what they sign.

use repos::documents::SignatureDocument;
use repos::journal::{Entry, Record, RecordSignature, SIGNED_FORMAT, signed_bytes};
use repos::keys::{PublicKey, Signature, replacement};

use super::{at, commit_id, digest, is, joined};

#[test]
fn entries_of_keys_and_signatures() {
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let public_key = PublicKey::from_pem(pem).unwrap();
    let signature = Signature::from_bytes(&[5; 64]).unwrap();
    is(
        &Entry::Key { public_key: public_key.clone(), previous: None, signature: None },
        r#"
        {"kind":"key","public_key":"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="}"#,
        "2923dfd3788306c9cd90b9ca964154a3f968866812d5361ded71ee2663c7dd17",
    );
    is(
        &Entry::Key { public_key: public_key.clone(), previous: Some(digest(1)), signature: Some(signature) },
        r#"
        {"kind":"key","previous":"0101010101010101010101010101010101010101010101010101010101010101",
        "public_key":"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=",
        "signature":"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQ=="}"#,
        "6ae3240e1011e5ec763ade7ec403112108c2e04ec8ec89a8592b8a08f2839e7f",
    );
    is(
        &SignatureDocument { commit: commit_id(1), key: digest(2), signature },
        r#"
        {"commit":"0101010101010101010101010101010101010101010101010101010101010101",
        "key":"0202020202020202020202020202020202020202020202020202020202020202",
        "signature":"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQ=="}"#,
        "ffdd372169a0e47fd4b4fbfaccdf66a0d11556f365d2a9815e678e87266225ba",
    );
    // What a key signs when it replaces another.
    let signed = format!("pv key replaced\nstore 0a\nfrom {}\nto {}\n", digest(1), public_key.fingerprint());
    assert_eq!(replacement("0a", &digest(1), &public_key), signed.as_bytes());
}

#[test]
fn a_signed_record_and_a_key_that_is_vouched_for() {
    let key = digest(2);
    is(
        &Entry::KeyTrust { key },
        r#"{"key":"0202020202020202020202020202020202020202020202020202020202020202","kind":"key_trust"}"#,
        "821591965898b82b253cc29d1f70f2d9ecf31726b3a27f340882ed0b44391919",
    );
    let entries = vec![Entry::Setting { key: "jobs".to_owned(), value: None }];
    let signature = Signature::from_bytes(&[5; 64]).unwrap();
    let record = Record {
        format: SIGNED_FORMAT,
        signature: Some(RecordSignature { key, signature }),
        ..Record::new(Some(digest(1)), at(), entries)
    };
    is(
        &record,
        r#"
        {"at":"2026-07-01T12:14:43.000123Z","entries":[{"key":"jobs","kind":"setting"}],"format":2,
        "previous":"0101010101010101010101010101010101010101010101010101010101010101",
        "signature":{"key":"0202020202020202020202020202020202020202020202020202020202020202",
        "signature":"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQ=="}}"#,
        "a09c199381a803c4d4619ab34026d067b459b8a8f0dfe09917bdc648f1a16ebe",
    );
    // The signed bytes, including fields that a later version adds.
    let mut value = serde_json::to_value(&record).unwrap();
    value["more"] = true.into();
    let signed = r#"
        {"at":"2026-07-01T12:14:43.000123Z","entries":[{"key":"jobs","kind":"setting"}],"format":2,"more":true,
        "previous":"0101010101010101010101010101010101010101010101010101010101010101"}"#;
    let signed = format!("pv journal record\n{}", joined(signed));
    assert_eq!(String::from_utf8(signed_bytes(&value)).unwrap(), signed);
}
