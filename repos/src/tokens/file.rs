//! The tokens of a store: one JSON file that only its owner can read.
//!
//! A change is made under a lock of its own (`.pv/tokens.lock`) on the newest state, written beside and renamed; so any number of processes
//! may change and use tokens at once, and a crash leaves the old file or the new one. A process that uses tokens keeps the file in memory and
//! reads it again when its stamp has changed, so a revoked token stops working at the next request. Revoked tokens stay in the file, so
//! that the audit log can say whose they were.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use specs::{Digest, TokenName};
use subtle::ConstantTimeEq;

use super::Token;
use crate::access::{Access, RepoGlobs, Right, Role};
use crate::base::durable::sync_folder;
use crate::base::error::{IoContext, RepoError, Result};
use crate::base::time::Timestamp;
use crate::store::Store;

/// The version of the file's layout.
const FORMAT: u32 = 1;
/// The use of a token is written at most this often, in microseconds.
const USES_APART: i64 = 60_000_000;
/// The longest wait for another process that changes tokens: it needs milliseconds.
const LOCK_TRIES: u32 = 2_000;
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// How long before its end a token is said to end soon, in microseconds.
const SOON: i64 = 7 * 86_400_000_000;

/// A token as stored: everything but its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// Its name. Of the tokens that are neither revoked nor expired, one has it.
    pub name: TokenName,
    /// SHA-256 of its text.
    pub digest: Digest,
    /// What it may do.
    pub role: Role,
    /// The repositories that it covers.
    pub repos: RepoGlobs,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it.
    pub created_by: String,
    /// When it ends; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute; absent if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// Whether a token works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// It works.
    Valid,
    /// It works, and ends within a week.
    EndsSoon,
    /// Its time is over.
    Expired,
    /// Somebody revoked it.
    Revoked,
}

impl TokenRow {
    /// Whether it works at this time.
    pub fn state(&self, now: Timestamp) -> TokenState {
        match self.expires_at {
            _ if self.revoked_at.is_some() => TokenState::Revoked,
            Some(end) if end <= now => TokenState::Expired,
            Some(end) if end.as_micros() - now.as_micros() <= SOON => TokenState::EndsSoon,
            Some(_) | None => TokenState::Valid,
        }
    }

    fn works(&self, now: Timestamp) -> bool {
        matches!(self.state(now), TokenState::Valid | TokenState::EndsSoon)
    }

    fn ensure_works(&self, now: Timestamp) -> Result<(), WhyNot> {
        match self.state(now) {
            TokenState::Revoked => Err(WhyNot::Revoked(self.name.clone())),
            TokenState::Expired => Err(WhyNot::Expired(self.name.clone())),
            TokenState::Valid | TokenState::EndsSoon => Ok(()),
        }
    }

    fn access(&self) -> Access {
        Access {
            who: self.name.to_string(),
            role: self.role,
            repos: self.repos.clone(),
            client: self.digest.to_string(),
        }
    }
}

/// A token to create.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its name.
    pub name: TokenName,
    /// What it may do.
    pub role: Role,
    /// The repositories that it covers; at least one glob, and all of them for a worker, whose token covers none.
    pub repos: RepoGlobs,
    /// How long it works; `None` for ever.
    pub expires: Option<Duration>,
    /// Who creates it.
    pub by: String,
}

/// Why a token gives no access. The one who showed it learns only [`WhyNot::OUTWARDS`]; the rest is for the audit log.
#[derive(Debug, thiserror::Error)]
pub enum WhyNot {
    /// No token of the store has this text.
    #[error("unknown token")]
    Unknown,
    /// It was revoked.
    #[error("token `{0}` was revoked")]
    Revoked(TokenName),
    /// Its time is over.
    #[error("token `{0}` has expired")]
    Expired(TokenName),
    /// The file of tokens cannot be read: nobody can be let in, and it is not the token's fault.
    #[error("the tokens cannot be read")]
    Unreadable(#[source] Box<RepoError>),
}

impl WhyNot {
    /// What the one who showed a token is told, whatever is wrong with it.
    pub const OUTWARDS: &'static str = "this token is not valid";

    /// The name of the token, if it has one here: for the audit log.
    pub fn name(&self) -> Option<&TokenName> {
        match self {
            Self::Revoked(name) | Self::Expired(name) => Some(name),
            Self::Unknown | Self::Unreadable(_) => None,
        }
    }
}

/// The file as it is.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    format: u32,
    tokens: Vec<TokenRow>,
}

/// What shows that the file is the one that was read: every change is another file.
type Stamp = (u64, i64, i64, u64);

/// The tokens of a store. Clones share what was read.
#[derive(Debug, Clone)]
pub struct Tokens {
    store: Store,
    path: PathBuf,
    known: Arc<Mutex<Known>>,
    /// Held by the one thread that writes the use of a token.
    noting: Arc<Mutex<()>>,
}

/// What was read, and the file's stamp at that time.
type Known = Option<(Option<Stamp>, Arc<Vec<TokenRow>>)>;

impl Tokens {
    /// The tokens of a store. Each call of a method checks that the handle may see and change tokens, except [`Self::find`].
    pub fn of(store: &Store) -> Self {
        Self {
            store: store.clone(),
            path: store.folder().join("tokens"),
            known: Arc::default(),
            noting: Arc::default(),
        }
    }

    /// Creates a token and returns it, which nothing does again.
    ///
    /// `Usage` without a glob, and for a worker with a limit; `Conflict` if a token with this name works.
    pub fn create(&self, new: NewToken) -> Result<(Token, TokenRow)> {
        self.store.ensure_may(Right::Tokens)?;
        let repos = covered(&new)?;
        let now = self.store.clock().now();
        let token = Token::random();
        let ends = |after: Duration| {
            let micros = i64::try_from(after.as_micros()).ok().and_then(|after| now.as_micros().checked_add(after));
            micros.map(Timestamp::from_micros).filter(|end| *end > now)
        };
        let too_long = || RepoError::Usage {
            what: format!("token `{}` cannot end then", new.name),
            hint: Some("use a time such as 90d, or none for a token without an end".to_owned()),
        };
        let row = TokenRow {
            name: new.name.clone(),
            digest: token.digest(),
            role: new.role,
            repos,
            created_at: now,
            created_by: new.by,
            expires_at: new.expires.map(|after| ends(after).ok_or_else(too_long)).transpose()?,
            used_at: None,
            revoked_at: None,
        };
        self.change(|rows| {
            if rows.iter().any(|known| known.name == row.name && known.works(now)) {
                let hint = Some(format!("pv token revoke {}, or use another name", row.name));
                return Err(RepoError::Conflict { what: format!("token `{}` already exists", row.name), hint });
            }
            rows.push(row.clone());
            Ok(())
        })?;
        Ok((token, row))
    }

    /// All tokens, revoked ones too: by name, the newest of a name first.
    pub fn list(&self) -> Result<Vec<TokenRow>> {
        self.store.ensure_may(Right::Tokens)?;
        let mut rows = self.rows()?.to_vec();
        rows.sort_by(|one, other| (&one.name, other.created_at).cmp(&(&other.name, one.created_at)));
        Ok(rows)
    }

    /// Revokes the token with this name: from the next request on it does not work, in any process.
    ///
    /// `NotFound` if no such token works.
    pub fn revoke(&self, name: &TokenName) -> Result<TokenRow> {
        self.store.ensure_may(Right::Tokens)?;
        let now = self.store.clock().now();
        self.change(|rows| {
            let names: Vec<String> = rows.iter().filter(|row| row.works(now)).map(|row| row.name.to_string()).collect();
            let Some(row) = rows.iter_mut().find(|row| row.name == *name && row.works(now)) else {
                let similar = specs::nearest(name.as_str(), names.iter().map(String::as_str));
                let hint = similar.map_or_else(|| "pv token list".to_owned(), |name| format!("did you mean `{name}`?"));
                return Err(RepoError::NotFound { what: format!("token `{name}` not found"), hint: Some(hint) });
            };
            row.revoked_at = Some(now);
            Ok(row.clone())
        })
    }

    /// What a token allows at this time. Takes the same time for every token that is unknown, and writes at most once a minute that the token
    /// was used: a failure to write that refuses nobody.
    pub fn find(&self, token: &Token, now: Timestamp) -> Result<Access, WhyNot> {
        let rows = self.rows().map_err(|error| WhyNot::Unreadable(Box::new(error)))?;
        let shown = token.digest();
        let mut found = None;
        for row in rows.iter() {
            // No early end: the time says nothing about how near a guess was.
            if bool::from(row.digest.as_bytes().ct_eq(shown.as_bytes())) {
                found = Some(row);
            }
        }
        let row = found.ok_or(WhyNot::Unknown)?;
        row.ensure_works(now)?;
        if is_due(row, now) {
            self.note_use(&shown, now);
        }
        Ok(row.access())
    }

    /// Like [`Self::find`], for somebody whom a trusted proxy has authenticated: the working token with this name says what they may do.
    pub fn named(&self, name: &str, now: Timestamp) -> Result<Access, WhyNot> {
        let rows = self.rows().map_err(|error| WhyNot::Unreadable(Box::new(error)))?;
        let row = rows.iter().find(|row| row.name.as_str() == name && row.works(now)).ok_or(WhyNot::Unknown)?;
        if is_due(row, now) {
            self.note_use(&row.digest, now);
        }
        Ok(row.access())
    }

    /// Like [`Self::find`], for somebody who has shown a token before: its [`Access::client`].
    pub fn of_client(&self, client: &str, now: Timestamp) -> Result<Access, WhyNot> {
        let rows = self.rows().map_err(|error| WhyNot::Unreadable(Box::new(error)))?;
        let digest: Digest = client.parse().map_err(|_| WhyNot::Unknown)?;
        let row = rows.iter().find(|row| row.digest == digest).ok_or(WhyNot::Unknown)?;
        row.ensure_works(now)?;
        if is_due(row, now) {
            self.note_use(&digest, now);
        }
        Ok(row.access())
    }

    fn note_use(&self, digest: &Digest, now: Timestamp) {
        // Of many requests at once, one writes.
        let Ok(_noting) = self.noting.try_lock() else { return };
        let noted = self.change(|rows| {
            let row = rows.iter_mut().find(|row| row.digest == *digest && is_due(row, now));
            if let Some(row) = row {
                row.used_at = row.used_at.max(Some(now));
            }
            Ok(())
        });
        if let Err(error) = noted {
            tracing::warn!("the use of a token is not written: {error}");
        }
    }

    /// The tokens, read again if the file has changed.
    fn rows(&self) -> Result<Arc<Vec<TokenRow>>> {
        let mut known = self.known.lock().expect("no panic under this lock");
        let stamp = stamp_of(&self.path)?;
        if let Some((read, rows)) = &*known
            && *read == stamp
        {
            return Ok(rows.clone());
        }
        let (stamp, content) = read(&self.path)?;
        let rows = Arc::new(content.tokens);
        *known = Some((stamp, rows.clone()));
        Ok(rows)
    }

    /// Changes the tokens under the lock; nothing is written after an error, or if nothing changed.
    fn change<T>(&self, change: impl FnOnce(&mut Vec<TokenRow>) -> Result<T>) -> Result<T> {
        let _lock = lock(&self.path.with_extension("lock"))?;
        let before = read(&self.path)?.1.tokens;
        let mut tokens = before.clone();
        let done = change(&mut tokens)?;
        if tokens != before {
            write(&self.path, &Content { format: FORMAT, tokens })?;
        }
        Ok(done)
    }
}

/// The repositories that a new token covers: for a worker none, so that it sees nothing of the store beside what it is to execute.
fn covered(new: &NewToken) -> Result<RepoGlobs> {
    let refuse = |what: &str, hint: &str| {
        Err(RepoError::Usage { what: format!("token `{}` {what}", new.name), hint: Some(hint.to_owned()) })
    };
    match new.role {
        Role::Worker if new.repos.is_all() => Ok(RepoGlobs::default()),
        Role::Worker => refuse("is for a worker, which cannot be limited to some repositories", "leave out --repo"),
        _ if new.repos.is_empty() => refuse("covers no repository", "--repo '*' covers all repositories"),
        _ => Ok(new.repos.clone()),
    }
}

/// Whether the use of a token is to be written.
fn is_due(row: &TokenRow, now: Timestamp) -> bool {
    row.used_at.is_none_or(|at| now.as_micros() - at.as_micros() >= USES_APART)
}

/// Waits for the lock, but not for ever.
fn lock(path: &Path) -> Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(path).doing("open", path)?;
    for _ in 0..LOCK_TRIES {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => std::thread::sleep(LOCK_PAUSE),
            Err(error) => return Err(std::io::Error::from(error)).doing("lock", path),
        }
    }
    Err(RepoError::InUse { holder: "another process, which changes its tokens".to_owned() })
}

fn stamp(metadata: &fs::Metadata) -> Stamp {
    (metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.size())
}

/// The stamp of the file; `None` without a file.
fn stamp_of(path: &Path) -> Result<Option<Stamp>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        metadata => Ok(Some(stamp(&metadata.doing("look at", path)?))),
    }
}

fn read(path: &Path) -> Result<(Option<Stamp>, Content)> {
    let mut file = match fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((None, Content::default())),
        opened => opened.doing("open", path)?,
    };
    let stamp = stamp(&file.metadata().doing("look at", path)?);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).doing("read", path)?;
    let broken = |source| RepoError::Io { doing: "read", path: path.to_owned(), source: std::io::Error::other(source) };
    // Another layout may have other fields.
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(broken)?;
    if value.get("format").and_then(serde_json::Value::as_u64).is_some_and(|format| format > u64::from(FORMAT)) {
        return Err(RepoError::MadeByNewer { what: format!("`{}`", path.display()) });
    }
    Ok((Some(stamp), serde_json::from_value(value).map_err(broken)?))
}

fn write(path: &Path, content: &Content) -> Result<()> {
    let part = path.with_extension(format!("{}.part", crate::base::random::hex()));
    let written = write_part(&part, content).and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        fs::remove_file(&part).ok();
    }
    written.doing("write", path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn write_part(part: &Path, content: &Content) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(part)?;
    let mut bytes = serde_json::to_vec_pretty(content)?;
    bytes.push(b'\n');
    file.write_all(&bytes)?;
    file.sync_all()
}
