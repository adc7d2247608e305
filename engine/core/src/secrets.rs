//! Secrets: values that only stages see, and servers that the store itself logs in to.
//!
//! A secret is a file in the store's folder that only its owner can read, with a value for each key. It is in no pack, no journal record
//! and no mirror, so it is not part of what determines a result: a changed value runs nothing again. Stages get it over the agent's stdin,
//! try by try, and it is masked in their output (`execution::mask`).
//!
//! In a variable, one line ending at the end of the value is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use repos::Store;
use repos::access::Right;
use specs::spec::SecretUse;
use specs::{SecretKey, SecretName};

use crate::error::{EngineError, Result};
use sandbox::SecretFile;

/// Maximum size of all values of a secret in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Values with no line longer than this are not masked, because too much else would match.
pub const UNMASKED_BYTES: usize = 3;
/// The first byte of a secret's file.
const FORMAT: u8 = 1;

/// The values of a secret by their keys.
pub type Values = BTreeMap<SecretKey, Vec<u8>>;

/// Whether a secret of this name exists; `Conflict` if so, unless it may be replaced.
pub fn ensure_can_keep(store: &Store, name: &SecretName, replace: bool) -> Result<bool> {
    store.ensure_may(Right::Secrets)?;
    let is_known = list(store)?.iter().any(|(known, _)| known == name);
    if is_known && !replace {
        let what = format!("secret `{name}` exists; nothing was changed");
        return Err(EngineError::Conflict { what, hint: Some("--force replaces it".to_owned()) });
    }
    Ok(is_known)
}

/// The keys of values that will be visible in logs, since no line of them is long enough to be masked.
pub fn unmasked(values: &Values) -> impl Iterator<Item = &SecretKey> {
    let is_short =
        |value: &[u8]| value.split(|byte| *byte == b'\n').all(|line| line.trim_ascii().len() <= UNMASKED_BYTES);
    values.iter().filter(move |(_, value)| is_short(value)).map(|(key, _)| key)
}

/// Stores a secret durably, replacing an older one with its name.
///
/// `Usage` for no value or too many bytes.
pub fn keep(store: &Store, name: &SecretName, values: &Values) -> Result<()> {
    store.ensure_may(Right::Secrets)?;
    let size: usize = values.values().map(Vec::len).sum();
    if values.is_empty() || size > MAX_BYTES {
        let what = format!("secret `{name}` has {} keys and {size} bytes", values.len());
        return Err(EngineError::Usage {
            what,
            hint: Some("use at least one key, and at most 1 MiB in total".to_owned()),
        });
    }
    let bytes =
        postcard::to_stdvec(&(FORMAT, values)).map_err(|error| failed("encode", name, io::Error::other(error)))?;
    write(store, name, &bytes).map_err(|error| failed("keep", name, error))
}

fn write(store: &Store, name: &SecretName, bytes: &[u8]) -> io::Result<()> {
    let folder = folder(store);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    // No secret has such a name: names begin with a letter or digit.
    let part = folder.join(format!(".{}", repos::random_hex()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| {
        fs::rename(&part, folder.join(name.as_str()))?;
        fs::File::open(&folder)?.sync_all()
    });
    written.inspect_err(|_| drop(fs::remove_file(&part)))
}

/// The names and keys of all secrets, sorted; never a value.
pub fn list(store: &Store) -> Result<Vec<(SecretName, Vec<SecretKey>)>> {
    store.ensure_may(Right::Secrets)?;
    let unreadable = |error| EngineError::Secret { action: "list", name: "*".to_owned(), source: error };
    let entries = match fs::read_dir(folder(store)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let Some(name) = entry.file_name().to_str().and_then(|name| name.parse::<SecretName>().ok()) else { continue };
        found.extend(find(store, &name)?.map(|values| (name, values.into_keys().collect())));
    }
    found.sort();
    Ok(found)
}

/// Deletes a secret; `NotFound` if it does not exist.
pub fn delete(store: &Store, name: &SecretName) -> Result<()> {
    store.ensure_may(Right::Secrets)?;
    match fs::remove_file(folder(store).join(name.as_str())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(EngineError::NotFound {
            what: format!("secret `{name}` not found"),
            hint: Some("pv secret list".to_owned()),
        }),
        removed => removed
            .and_then(|()| fs::File::open(folder(store))?.sync_all())
            .map_err(|error| failed("delete", name, error)),
    }
}

/// A value as text, without one line ending at its end, for a server that the store itself logs in to; `None` if there is none, or it is not
/// text on one line. Not for anything that somebody reads.
pub fn text(store: &Store, name: &SecretName, key: &str) -> Result<Option<String>> {
    let values = find(store, name)?.unwrap_or_default();
    let value = values.into_iter().find(|(known, _)| known.as_str() == key).map(|(_, value)| value);
    let text = value.and_then(|value| String::from_utf8(value).ok());
    let text =
        text.map(|text| text.strip_suffix('\n').map_or(text.as_str(), |text| text.trim_end_matches('\r')).to_owned());
    Ok(text.filter(|text| !text.is_empty() && !text.contains(char::is_control)))
}

/// The values of a secret; `None` if it does not exist.
pub(crate) fn find(store: &Store, name: &SecretName) -> Result<Option<Values>> {
    let bytes = match fs::read(folder(store).join(name.as_str())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(|error| failed("read", name, error))?,
    };
    match postcard::from_bytes(&bytes) {
        Ok((FORMAT, values)) => Ok(Some(values)),
        _ => Err(failed("read", name, io::Error::new(io::ErrorKind::InvalidData, "made by a newer pv, or damaged"))),
    }
}

fn folder(store: &Store) -> PathBuf {
    store.folder().join("secrets")
}

fn failed(action: &'static str, name: &SecretName, source: io::Error) -> EngineError {
    EngineError::Secret { action, name: name.to_string(), source }
}

/// The secrets of a stage.
#[derive(Clone, Default)]
pub(crate) struct Confided {
    /// Environment variables.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) files: Vec<SecretFile>,
    /// All values.
    pub(crate) values: BTreeSet<Vec<u8>>,
}

impl std::fmt::Debug for Confided {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Confided").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Something in a secret that a spec needs and that does not exist.
#[derive(Debug)]
pub(crate) struct Missing {
    /// The index of the use that needs it.
    pub(crate) number: usize,
    /// Whether the secret itself is missing, not only a key.
    pub(crate) is_whole: bool,
    pub(crate) what: String,
    pub(crate) hint: String,
}

/// Collects the secrets of a stage, as the store has them now, and everything that is missing.
pub(crate) fn confide(store: &Store, uses: &[SecretUse]) -> Result<(Confided, Vec<Missing>)> {
    let (mut confided, mut missing) = (Confided::default(), Vec::new());
    for (number, one) in uses.iter().enumerate() {
        let name: Option<SecretName> = one.name.parse().ok();
        match name.map(|name| find(store, &name)).transpose()?.flatten() {
            Some(values) => {
                let lacks = confided.add(one, &values);
                missing.extend(lacks.map(|(what, hint)| Missing { number, is_whole: false, what, hint }));
            }
            None => missing.push(Missing {
                number,
                is_whole: true,
                what: format!("secret `{}` not found", one.name.escape_debug()),
                hint: format!("pv secret create {} {}=FILE", one.name, one.key.as_deref().unwrap_or("KEY")),
            }),
        }
    }
    Ok((confided, missing))
}

impl Confided {
    /// Adds what this use needs; otherwise returns what is missing, and a hint.
    fn add(&mut self, one: &SecretUse, values: &Values) -> Option<(String, String)> {
        let wanted: Vec<(&SecretKey, &Vec<u8>)> = match &one.key {
            None => values.iter().collect(),
            Some(key) => values.iter().filter(|(known, _)| known.as_str() == key).collect(),
        };
        let Some((key, value)) = wanted.first() else {
            let known: Vec<&str> = values.keys().map(SecretKey::as_str).collect();
            let key = one.key.as_deref().unwrap_or_default();
            return Some((
                format!("secret `{}` has no key `{}`; its keys are {}", one.name, key.escape_debug(), known.join(", ")),
                format!("pv secret create {} {key}=FILE … --force", one.name),
            ));
        };
        if let Some(variable) = &one.env_var {
            // A value piped in usually ends with a newline.
            let text = std::str::from_utf8(value).ok().map(|text| text.strip_suffix('\n').unwrap_or(text));
            let Some(text) = text.filter(|text| !text.contains('\0')) else {
                return Some((
                    format!(
                        "key `{key}` of secret `{}` is not text, so it cannot be an environment variable",
                        one.name
                    ),
                    "use `mount_path` instead of `env_var`".to_owned(),
                ));
            };
            self.env.push((variable.clone(), text.to_owned()));
        }
        if let Some(directory) = &one.mount_path {
            let file = |(key, value): &(&SecretKey, &Vec<u8>)| SecretFile {
                path: format!("{directory}/{key}"),
                content: (*value).clone(),
            };
            self.files.extend(wanted.iter().map(file));
        }
        self.values.extend(wanted.into_iter().map(|(_, value)| value.clone()));
        None
    }
}

/// The directories created for a stage's secrets, without those below another.
///
/// In `/tmp` that is the topmost one: a mount point there can be neither moved nor removed, so it stays when the rest of `/tmp` is removed.
pub(crate) fn directories(uses: &[SecretUse]) -> BTreeSet<String> {
    let all: BTreeSet<&str> = uses.iter().filter_map(|one| one.mount_path.as_deref()).map(top_in_tmp).collect();
    let below = |path: &str| all.iter().any(|top| path.strip_prefix(top).is_some_and(|rest| rest.starts_with('/')));
    all.iter().filter(|path| !below(path)).map(|path| (*path).to_owned()).collect()
}

fn top_in_tmp(path: &str) -> &str {
    let end = path.strip_prefix("/tmp/").and_then(|rest| rest.find('/')).map_or(path.len(), |end| "/tmp/".len() + end);
    &path[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = repos::OpenOptions::default().init(folder.path(), "main".parse().unwrap()).unwrap();
        (folder, store)
    }

    fn values(pairs: &[(&str, &[u8])]) -> Values {
        pairs.iter().map(|(key, value)| (key.parse().unwrap(), value.to_vec())).collect()
    }

    fn used(key: Option<&str>, env_var: Option<&str>, mount_path: Option<&str>) -> SecretUse {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        SecretUse { name: "mail".to_owned(), key: owned(key), env_var: owned(env_var), mount_path: owned(mount_path) }
    }

    #[test]
    fn only_the_owner_can_read_what_is_kept() {
        let (folder, store) = store();
        let name = "mail".parse().unwrap();
        keep(&store, &name, &values(&[("token", b"one")])).unwrap();
        keep(&store, &name, &values(&[("token", b"two"), ("tls.crt", b"\xff")])).unwrap();
        let keys = vec!["tls.crt".parse().unwrap(), "token".parse().unwrap()];
        assert_eq!(list(&store).unwrap(), [(name.clone(), keys)]);
        assert_eq!(find(&store, &name).unwrap(), Some(values(&[("token", b"two"), ("tls.crt", b"\xff")])));
        let path = folder.path().join(".pv/secrets");
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("mail"))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "nothing half-written is left");
        delete(&store, &name).unwrap();
        assert_eq!(list(&store).unwrap(), []);
        assert_eq!(delete(&store, &name).unwrap_err().kind(), specs::ErrorKind::NotFound);
    }

    #[test]
    fn a_value_for_a_server_is_text_on_one_line() {
        let (_folder, store) = store();
        let name: SecretName = "mail".parse().unwrap();
        keep(
            &store,
            &name,
            &values(&[("password", b"a b\r\n"), ("raw", b"\xff"), ("lines", b"a\nb"), ("empty", b"\n")]),
        )
        .unwrap();
        assert_eq!(text(&store, &name, "password").unwrap().as_deref(), Some("a b"));
        for key in ["raw", "lines", "empty", "other"] {
            assert_eq!(text(&store, &name, key).unwrap(), None, "{key}");
        }
        assert_eq!(text(&store, &"other".parse().unwrap(), "password").unwrap(), None);
    }

    #[test]
    fn a_stage_is_told_what_its_spec_names() {
        let (_folder, store) = store();
        keep(&store, &"mail".parse().unwrap(), &values(&[("token", b"abc\n"), ("raw", b"\0")])).unwrap();
        let uses = [used(Some("token"), Some("TOKEN"), None), used(None, None, Some("/secrets/mail"))];
        let (confided, missing) = confide(&store, &uses).unwrap();
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!(confided.env, [("TOKEN".to_owned(), "abc".to_owned())]);
        let files: Vec<(&str, &[u8])> =
            confided.files.iter().map(|file| (file.path.as_str(), file.content.as_slice())).collect();
        assert_eq!(files, [("/secrets/mail/raw", &b"\0"[..]), ("/secrets/mail/token", b"abc\n")]);
        assert!(!format!("{confided:?}").contains("abc"));
        for (one, expected) in [
            (used(Some("other"), Some("X"), None), "secret `mail` has no key `other`; its keys are raw, token"),
            (
                used(Some("raw"), Some("X"), None),
                "key `raw` of secret `mail` is not text, so it cannot be an environment variable",
            ),
            (SecretUse { name: "../x".to_owned(), ..used(None, None, None) }, "secret `../x` not found"),
        ] {
            assert_eq!(confide(&store, &[one]).unwrap().1[0].what, expected);
        }
    }

    #[test]
    fn directories_inside_others_are_no_places_of_their_own() {
        let uses = ["/secrets/a", "/secrets", "/secretsb"].map(|path| used(None, None, Some(path)));
        assert_eq!(directories(&uses).into_iter().collect::<Vec<_>>(), ["/secrets", "/secretsb"]);
        let uses = ["/tmp/a/b", "/tmp/a/c/d", "/tmp/e"].map(|path| used(None, None, Some(path)));
        assert_eq!(directories(&uses).into_iter().collect::<Vec<_>>(), ["/tmp/a", "/tmp/e"]);
    }
}
