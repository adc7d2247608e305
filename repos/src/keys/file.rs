//! The private key in its file.

use std::fmt;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{KeyInit, Mac};
use specs::Digest;

use super::{PublicKey, Signature};
use crate::base::error::Result;
use crate::base::error::{IoContext, RepoError};
use crate::base::faults::Faults;

/// Maximum size of a key file: a key is a few lines of text.
const MAX_BYTES: u64 = 4096;
/// The mode bits that let users other than the owner read or write the file.
const OTHERS: u32 = 0o077;

/// A whole key, private half included. It is never printed.
pub(crate) struct OwnKey {
    key: SigningKey,
    public: PublicKey,
    /// For codes that only the holder of the key can make or check.
    codes: HmacSha256,
}

type HmacSha256 = hmac::Hmac<sha2::Sha256>;

fn hmac_of(secret: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(secret).expect("a key of any length will do")
}

impl fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnKey({})", self.public.fingerprint())
    }
}

impl OwnKey {
    fn of(key: SigningKey) -> Self {
        let public = PublicKey::of(key.verifying_key());
        // Derives a separate key, so that neither key can be computed from codes or signatures of the other.
        let derived = hmac_of(key.as_bytes()).chain_update(b"pv codes of this key\n").finalize().into_bytes();
        Self { key, public, codes: hmac_of(&derived) }
    }

    /// A new key.
    pub(crate) fn random() -> Self {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).expect("the operating system gives random bytes");
        Self::of(SigningKey::from_bytes(&secret))
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> Signature {
        Signature::from_bytes(&self.key.sign(bytes).to_bytes()).expect("a signature has 64 bytes")
    }

    /// The code (HMAC) of bytes that come in pieces: it proves that the holder of this key has seen exactly these bytes.
    pub(crate) fn code(&self, pieces: &[&[u8]]) -> Digest {
        let mut codes = self.codes.clone();
        for piece in pieces {
            codes.update(piece);
        }
        Digest::from_bytes(codes.finalize().into_bytes().into())
    }

    /// Whether this is the code of these bytes; takes the same time for every wrong code.
    pub(crate) fn is_code(&self, pieces: &[&[u8]], code: &Digest) -> bool {
        let mut codes = self.codes.clone();
        for piece in pieces {
            codes.update(piece);
        }
        codes.verify_slice(code.as_bytes()).is_ok()
    }

    fn from_pem(text: &str) -> Option<Self> {
        SigningKey::from_pkcs8_pem(text).ok().map(Self::of)
    }

    /// The PKCS#8 form, version 1, without the public half: older `openssl` reads nothing else.
    fn to_pem(&self) -> String {
        let pair = KeypairBytes { secret_key: self.key.to_bytes(), public_key: None };
        pair.to_pkcs8_pem(LineEnding::LF).expect("32 bytes have a PEM form").to_string()
    }
}

/// Where the private key is kept.
#[derive(Debug, Clone)]
pub(crate) struct KeyFile {
    path: PathBuf,
    faults: Faults,
}

impl KeyFile {
    pub(crate) fn at(path: PathBuf, faults: Faults) -> Self {
        Self { path, faults }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of a key that is about to replace this one.
    pub(crate) fn next(&self) -> Self {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".next");
        Self { path: self.path.with_file_name(name), faults: self.faults.clone() }
    }

    /// Reads the key; `None` if there is no such file. Refused if other users may read it.
    pub(crate) fn read(&self) -> Result<Option<OwnKey>> {
        let file = match std::fs::File::open(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Err(self.not_mine()),
            opened => opened.doing("open", &self.path)?,
        };
        let mode = file.metadata().doing("look at", &self.path)?.mode();
        if mode & OTHERS != 0 {
            return Err(self.refused(
                &format!("can be read or changed by other users (its mode is {:o})", mode & 0o777),
                format!("chmod 600 {path}; if others could read it, also: pv key rotate", path = self.path.display()),
            ));
        }
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text).doing("read", &self.path)?;
        let key = OwnKey::from_pem(&text);
        key.map(Some).ok_or_else(|| {
            self.refused(
                "is not an Ed25519 private key in PKCS#8 PEM format",
                format!(
                    "restore it from a backup, or move it away: then a new key is created ({})",
                    self.path.display()
                ),
            )
        })
    }

    /// Stores a key unless the file exists; in that case returns the existing key.
    pub(crate) fn create(&self, key: OwnKey) -> Result<OwnKey> {
        let part = self.write_beside(&key)?;
        let linked = std::fs::hard_link(&part, &self.path);
        std::fs::remove_file(&part).ok();
        match linked {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let there = self.read()?;
                return there
                    .ok_or_else(|| self.refused("disappeared while it was read", "repeat the command".to_owned()));
            }
            linked => linked.doing("create", &self.path)?,
        }
        self.sync_folder()?;
        Ok(key)
    }

    /// Stores a key, replacing any existing file.
    pub(crate) fn replace(&self, key: &OwnKey) -> Result<()> {
        let part = self.write_beside(key)?;
        std::fs::rename(&part, &self.path).doing("write", &self.path)?;
        self.sync_folder()
    }

    /// Renames this file to `file`, replacing it.
    pub(crate) fn become_file(&self, file: &Self) -> Result<()> {
        self.faults.step().doing("write", &file.path)?;
        std::fs::rename(&self.path, &file.path).doing("write", &file.path)?;
        file.sync_folder()
    }

    fn write_beside(&self, key: &OwnKey) -> Result<PathBuf> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", crate::base::random::hex()));
        let part = self.path.with_file_name(name);
        self.faults.step().doing("write", &part)?;
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&part).doing("create", &part)?;
        let written = file.write_all(key.to_pem().as_bytes()).and_then(|()| file.sync_all());
        if written.is_err() {
            std::fs::remove_file(&part).ok();
        }
        written.doing("write", &part)?;
        Ok(part)
    }

    fn sync_folder(&self) -> Result<()> {
        match self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => crate::base::durable::sync_folder(folder),
            None => Ok(()),
        }
    }

    fn not_mine(&self) -> RepoError {
        self.refused(
            "cannot be read by this user",
            "set PV_KEY to a file of your own: a new key is created there, and its public key recorded".to_owned(),
        )
    }

    fn refused(&self, why: &str, hint: String) -> RepoError {
        RepoError::Conflict { what: format!("the key `{}` {why}", self.path.display()), hint: Some(hint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_hmacs_of_a_key_derived_from_the_private_one() {
        // Computed with Python's hmac: k = HMAC(seed, "pv codes of this key\n"), code = HMAC(k, concatenated pieces), all with SHA-256.
        let key = OwnKey::of(SigningKey::from_bytes(&[7; 32]));
        let pieces: [&[u8]; 4] = [b"pv result\n", b"{\"mac\":\"", &[b'0'; 64], b"\"}"];
        let code = key.code(&pieces);
        assert_eq!(code.to_string(), "496982215187707aa81a8f97fb21e725e82112df6703c72298d559f2e570168f");
        assert!(key.is_code(&pieces, &code) && !key.is_code(&pieces[1..], &code));
    }
}
