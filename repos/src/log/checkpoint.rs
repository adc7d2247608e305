//! A signed root as text: C2SP `tlog-checkpoint` on C2SP `signed-note`, as witnesses and other public tools read and write it.
//!
//! ```text
//! <origin>            the store's id
//! <records>           decimal
//! <root>              base64
//!
//! — <name> <base64>   signature lines: name of the key; 4 bytes of key id, then the signature of the text above the empty line
//! ```
//! The store's key is named after the store's id. Lines of other keys, such as a witness's, are carried along unread.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use specs::Digest;

use super::Head;
use crate::base::hash::digest_of;
use crate::keys::{PublicKey, Signature};

/// The type of a plain Ed25519 signature.
const ED25519: u8 = 1;
/// Maximum size of a note in bytes, and maximum number of signature lines.
const BYTES: usize = 1 << 20;
const SIGNATURES: usize = 100;

/// The state of a journal, possibly signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The journal's origin: the store's id.
    pub origin: String,
    /// The journal's state.
    pub head: Head,
    /// The signed text, exactly as written.
    text: String,
    signatures: Vec<NoteSignature>,
}

/// A signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The name of its key.
    pub name: String,
    /// The key's id, computed from its name and type.
    pub key_id: [u8; 4],
    bytes: Vec<u8>,
}

/// The text is not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint: {0}")]
pub struct CheckpointError(&'static str);

impl Checkpoint {
    /// A checkpoint without signatures.
    pub fn new(origin: impl Into<String>, head: Head) -> Self {
        let origin = origin.into();
        let text = format!("{origin}\n{}\n{}\n", head.size, STANDARD.encode(head.root.as_bytes()));
        Self { origin, head, text, signatures: Vec::new() }
    }

    /// The signed text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds `key`'s signature of the text, under the origin's name.
    pub fn add(&mut self, key: &PublicKey, signature: &Signature) {
        let (name, bytes) = (self.origin.clone(), signature.as_bytes().to_vec());
        self.signatures.push(NoteSignature { key_id: key_id(&name, key), name, bytes });
    }

    /// The signature lines with the origin's name.
    pub fn own_signatures(&self) -> impl Iterator<Item = &NoteSignature> {
        self.signatures.iter().filter(|signature| signature.name == self.origin)
    }

    /// Whether `key` signed this text under the origin's name: `None` if it has no line here; else whether its signature is valid.
    pub fn is_signed_by(&self, key: &PublicKey) -> Option<bool> {
        let id = key_id(&self.origin, key);
        let mut own = self.own_signatures().filter(|line| line.key_id == id).peekable();
        own.peek()?;
        // Every line of a known key must be valid.
        let fits = |line: &NoteSignature| {
            Signature::from_bytes(&line.bytes).is_ok_and(|signature| key.has_signed(self.text.as_bytes(), &signature))
        };
        Some(own.all(fits))
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|NoteSignature { name, key_id, bytes }| {
            writeln!(f, "— {name} {}", STANDARD.encode([&key_id[..], bytes].concat()))
        })
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(note: &str) -> Result<Self, CheckpointError> {
        let error = |why| Err(CheckpointError(why));
        if note.len() > BYTES {
            return error("it is too long");
        }
        if note.contains(|c: char| c < ' ' && c != '\n') {
            return error("it has control characters");
        }
        let Some(end) = note.rfind("\n\n") else { return error("it has no signature line") };
        let (text, lines) = (&note[..=end], &note[end + 2..]);
        let Some(lines) = lines.strip_suffix('\n') else { return error("its last line is incomplete") };
        let signatures = lines.split('\n').take(SIGNATURES + 1).map(signature).collect::<Option<Vec<_>>>();
        let Some(signatures) = signatures else { return error("a signature line is malformed") };
        if signatures.len() > SIGNATURES {
            return error("it has too many signatures");
        }
        let Some((origin, head)) = parts(text) else {
            return error("it does not start with origin, number of records and root");
        };
        Ok(Self { origin, head, text: text.to_owned(), signatures })
    }
}

/// Origin and state from a checkpoint's text; further lines are allowed and ignored.
fn parts(text: &str) -> Option<(String, Head)> {
    let mut lines = text.split_terminator('\n');
    let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
    if origin.is_empty() || lines.any(str::is_empty) {
        return None;
    }
    let number: u64 = size.parse().ok()?;
    let root: [u8; 32] = STANDARD.decode(root).ok()?.try_into().ok()?;
    let root = Digest::from_bytes(root);
    (number.to_string() == size).then(|| (origin.to_owned(), Head { size: number, root }))
}

fn signature(line: &str) -> Option<NoteSignature> {
    let (name, text) = line.strip_prefix("— ")?.split_once(' ')?;
    let bytes = STANDARD.decode(text).ok()?;
    let (key_id, bytes) = bytes.split_first_chunk::<4>()?;
    let is_name = !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace());
    (is_name && !bytes.is_empty()).then(|| NoteSignature {
        name: name.to_owned(),
        key_id: *key_id,
        bytes: bytes.to_vec(),
    })
}

/// The key id that signature lines use for a key with this name.
fn key_id(name: &str, key: &PublicKey) -> [u8; 4] {
    let bytes = [name.as_bytes(), b"\n", &typed(key)].concat();
    *digest_of(&bytes).as_bytes().first_chunk().expect("a digest has more bytes")
}

/// A key with its type byte in front.
fn typed(key: &PublicKey) -> Vec<u8> {
    [&[ED25519], &key.to_bytes()[..]].concat()
}

/// A key with its name, in the format that readers of signed notes expect: `<name>+<key id>+<base64 of type and key>`.
pub fn verifier_key(name: &str, key: &PublicKey) -> String {
    let id = key_id(name, key).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    format!("{name}+{id}+{}", STANDARD.encode(typed(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key from the documentation of Go's package for signed notes, and what it signed there.
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn key(text: &str) -> PublicKey {
        let bytes = STANDARD.decode(text.rsplit('+').next().unwrap()).unwrap();
        PublicKey::from_bytes(bytes[1..].try_into().unwrap()).unwrap()
    }

    #[test]
    fn keys_have_the_form_of_signed_notes() {
        assert_eq!(verifier_key("PeterNeumann", &key(KEY)), KEY);
    }

    #[test]
    fn signatures_are_those_of_signed_notes() {
        let (text, line) = NOTE.rsplit_once("\n\n").unwrap();
        let line = signature(line.trim_end()).unwrap();
        assert_eq!((line.name.as_str(), line.key_id), ("PeterNeumann", key_id("PeterNeumann", &key(KEY))));
        let made = Signature::from_bytes(&line.bytes).unwrap();
        assert!(key(KEY).has_signed(format!("{text}\n").as_bytes(), &made));
        // A valid note, but not a checkpoint.
        assert!(NOTE.parse::<Checkpoint>().unwrap_err().to_string().contains("does not start with origin"));
    }

    /// The examples of C2SP `tlog-checkpoint` and `tlog-cosignature`.
    const CHECKPOINT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

    #[test]
    fn the_examples_of_the_specifications_are_read_and_written() {
        let read: Checkpoint = CHECKPOINT.parse().unwrap();
        assert_eq!((read.origin.as_str(), read.head.size), ("example.com/behind-the-sofa", 20_852_163));
        assert_eq!(read.to_string(), CHECKPOINT);
        assert_eq!(read.own_signatures().count(), 1);
        assert_eq!(read.is_signed_by(&key(KEY)), None, "another key's");
        assert_eq!(Checkpoint::new(read.origin.clone(), read.head).text(), read.text());
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        let changed = |from: &str, to: &str| CHECKPOINT.replacen(from, to, 1).parse::<Checkpoint>();
        for (from, to) in [
            ("20852163", "020852163"),
            ("20852163", "-1"),
            ("20852163", "18446744073709551616"),
            ("20852163\n", ""),
            ("example.com/behind-the-sofa\n", "\n"),
            ("CsUY", "Cs Y"),
            ("CsUYapGG", ""),
            ("\n\n", "\n"),
            ("— example", "-- example"),
            ("— example.com/behind-the-sofa ", "— a+b "),
            ("Az3grlgt", "Az3g="),
            ("behind", "be\thind"),
        ] {
            assert!(changed(from, to).is_err(), "{from:?} to {to:?}");
        }
        assert!(CHECKPOINT[..CHECKPOINT.len() - 1].parse::<Checkpoint>().is_err());
        // More lines may follow the root.
        assert!(changed("q2I=\n\n", "q2I=\nmore\n\n").is_ok());
        assert!(changed("q2I=\n\n", "q2I=\n\nmore\n\n").is_err());
    }
}
