//! The settings of a store: one table that all readers and writers use.
//!
//! | column | meaning |
//! |---|---|
//! | name | its name in `pv config` and in the journal |
//! | type | what a reader gets; [`Value`] parses its texts |
//! | default | the text that applies if the setting is not set; empty if the type is an `Option`, which is then `None` |
//! | `what` | the allowed values, printed after `allowed:` |
//! | `about` | its purpose, in one line |
//! | `counts` | when a new value takes effect, printed after `takes effect` |
//!
//! An invalid text in a store is an error for every reader, never the default; `Store::set_setting` refuses to write one.
//!
//! - `value`: which texts are valid for which type
//! - `mail`: addresses of people and of a mail server
//!
//! Not here: where settings are stored (`store`).

use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::ops::Deref;

use specs::{BranchName, Duration, Network, SecretName};

use crate::base::error::RepoError;
use crate::documents::ExecutorKind;

mod mail;
mod value;

pub use mail::{MailAddress, MailServer, NoMailAddress};
pub use value::{ClusterName, HostPaths, ImageName, MissedTicks, PodSecurity, ServerUrl, Value};

/// A setting regardless of its value's type: a row of the table.
#[derive(Debug)]
pub struct AnySetting {
    /// Its name.
    pub name: &'static str,
    /// The text of its default value; empty for none.
    pub default: &'static str,
    /// The allowed values, printed after `allowed:`.
    pub what: &'static str,
    /// Its purpose.
    pub about: &'static str,
    /// When a new value takes effect, printed after `takes effect`.
    pub counts: &'static str,
    is_value: fn(&str) -> bool,
}

impl AnySetting {
    /// Refuses a text that is not a valid value of this setting.
    pub fn check(&self, text: &str) -> Result<(), RepoError> {
        if !text.is_empty() && (self.is_value)(text) {
            return Ok(());
        }
        Err(RepoError::Usage {
            what: format!("`{}` is not a valid value for `{}`", text.escape_debug(), self.name),
            hint: Some(format!("allowed: {}", self.what)),
        })
    }
}

/// A setting whose value is a `T`.
#[derive(Debug)]
pub struct Setting<T> {
    any: AnySetting,
    value: PhantomData<fn() -> T>,
}

impl<T> Deref for Setting<T> {
    type Target = AnySetting;
    fn deref(&self) -> &AnySetting {
        &self.any
    }
}

impl<T: Value> Setting<T> {
    /// Parses a text from a store or from the table.
    pub fn read(&self, text: &str) -> Result<T, RepoError> {
        T::read(text).ok_or_else(|| RepoError::Usage {
            what: format!(
                "the setting `{}` cannot be used: its value `{}` is not valid",
                self.name,
                text.escape_debug()
            ),
            hint: Some(format!("pv config set {} VALUE   allowed: {}", self.name, self.what)),
        })
    }
}

/// Where the value of a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingSource {
    /// The default.
    Default,
    /// It was set in this store.
    Store,
}

/// No setting has this name.
#[derive(Debug, thiserror::Error)]
#[error("unknown setting `{name}`{}", .similar.map_or_else(String::new, |name| format!("; did you mean `{name}`?")))]
pub struct NoSetting {
    name: String,
    similar: Option<&'static str>,
}

/// The setting with this name.
pub fn named(name: &str) -> Result<&'static AnySetting, NoSetting> {
    ALL.iter().copied().find(|setting| setting.name == name).ok_or_else(|| NoSetting {
        name: name.escape_debug().to_string(),
        similar: specs::nearest(name, ALL.iter().map(|setting| setting.name)),
    })
}

/// Defines a constant for each row, and [`ALL`] with all of them.
macro_rules! table {
    ($($constant:ident: $type:ty, $name:literal, default $default:literal, $what:literal, $about:literal, $counts:expr;)+) => {
        $(
            #[doc = concat!("`", $name, "`: ", $about, ".")]
            pub static $constant: Setting<$type> = Setting {
                any: AnySetting {
                    name: $name,
                    default: $default,
                    what: $what,
                    about: $about,
                    counts: $counts,
                    is_value: |text| <$type>::read(text).is_some(),
                },
                value: PhantomData,
            };
        )+
        /// All settings, sorted by name.
        pub static ALL: &[&AnySetting] = &[$(&$constant.any),+];
    };
}

const FROM_NEXT_APPLY: &str = "for a pipeline at its next pv pipeline apply";
const FROM_NEXT_JOB: &str = "for jobs that start after the change";
const FROM_NEXT_ENGINE: &str = "at the next pv serve";
const FROM_NEXT_GC: &str = "at the next pv gc";
const FROM_NEXT_MAIL: &str = "for the next mail that is sent";

table! {
    DEFAULT_BRANCH: BranchName, "default_branch", default "main",
        "the name of a branch",
        "the branch used where a reference or a spec names none",
        "for commands at once; for a pipeline at its next pv pipeline apply";
    DEFAULT_IMAGE: Option<ImageName>, "default_image", default "",
        "an image, such as `debian:13`",
        "the image used where a spec names none",
        FROM_NEXT_APPLY;
    // `auto` is `None`.
    EXECUTOR: Option<ExecutorKind>, "executor", default "auto",
        "`auto`, `docker`, `process`, `workers` or `kubernetes`",
        "what runs datums; `auto` is replaced by docker or process, the first that answers; `workers` are machines that join a server; `kubernetes` is a cluster",
        "at the next pv pipeline apply, pv run or pv serve; it creates a new version of every pipeline, and all datums run again";
    FAIL_FAST: bool, "fail_fast", default "true",
        "`true` or `false`",
        "whether to stop a job whose first 100 datums all fail",
        FROM_NEXT_JOB;
    GC_GRACE: Duration, "gc_grace", default "14d",
        "a time, such as `14d`",
        "how long to keep files that no branch or tag reaches any more",
        FROM_NEXT_GC;
    JOBS: Option<NonZeroU64>, "jobs", default "",
        "a number from 1; when unset, the number of CPUs",
        "how many datums run at a time, over all jobs",
        "at the next pv run or pv serve";
    KUBERNETES_ADVERTISE: Option<ServerUrl>, "kubernetes.advertise", default "",
        "a URL such as `https://pv.example.com:7070`",
        "the URL at which pods reach pv serve",
        FROM_NEXT_ENGINE;
    KUBERNETES_IDLE: Duration, "kubernetes.idle", default "60s",
        "a time, such as `60s`",
        "how long a pod is kept when nothing is left for it",
        FROM_NEXT_ENGINE;
    KUBERNETES_IMAGE: Option<ImageName>, "kubernetes.image", default "",
        "an image, such as `registry.example.com/pv:1`",
        "the image with pv itself, which every pod needs besides its own",
        FROM_NEXT_ENGINE;
    KUBERNETES_MAX_PODS: NonZeroU64, "kubernetes.max_pods", default "100",
        "a number from 1",
        "how many pods there are at most, over all jobs",
        FROM_NEXT_ENGINE;
    KUBERNETES_NAMESPACE: Option<ClusterName>, "kubernetes.namespace", default "",
        "the name of a namespace; when unset, that of the engine's account",
        "the namespace of the pods",
        FROM_NEXT_ENGINE;
    KUBERNETES_POD_SECURITY: PodSecurity, "kubernetes.pod_security", default "baseline",
        "`baseline` or `restricted`",
        "which Pod Security Standard the pods keep; with `restricted` nothing is root, and commands run as the user 65532",
        FROM_NEXT_ENGINE;
    LOG_MAX: u64, "log_max", default "16777216",
        "a number of bytes",
        "how much of a try's log to keep: its beginning and its end",
        FROM_NEXT_JOB;
    MAIL_FROM: Option<MailAddress>, "mail_from", default "",
        "an address, such as `pv@example.org`",
        "the address that mail of notifications comes from",
        FROM_NEXT_MAIL;
    MAIL_PASSWORD: Option<SecretName>, "mail_password", default "",
        "the name of a secret with a key `password`",
        "the secret with the password for the mail server",
        FROM_NEXT_MAIL;
    MAIL_SERVER: Option<MailServer>, "mail_server", default "",
        "`smtps://[USER@]HOST[:PORT]` (TLS) or `smtp://[USER@]HOST[:PORT]` (STARTTLS); without a password",
        "the server that mail of notifications is given to",
        FROM_NEXT_MAIL;
    MIN_FREE: u64, "min_free", default "2147483648",
        "a number of bytes",
        "free disk space below which jobs wait",
        "at once, also for jobs that wait";
    MISSED_TICKS: MissedTicks, "missed_ticks", default "one",
        "`one`, `all` or `none`",
        "which missed ticks of a cron input to make up after no engine was running",
        "at the next tick";
    NETWORK: Network, "network", default "default",
        "`default` or `none`",
        "network access of stages whose spec does not set `transform.network`",
        FROM_NEXT_APPLY;
    OUTPUT_BYTES_MAX: NonZeroU64, "output_bytes_max", default "1099511627776",
        "a number of bytes from 1",
        "how many bytes a datum may write",
        FROM_NEXT_JOB;
    OUTPUT_FILES_MAX: NonZeroU64, "output_files_max", default "1000000",
        "a number of files from 1",
        "how many files a datum may write",
        FROM_NEXT_JOB;
    PROCESS_PATHS: HostPaths, "process.paths", default "",
        "absolute paths, separated by `:`",
        "host folders that the executor `process` shows to stages, besides /usr and similar",
        FROM_NEXT_JOB;
    RETENTION: Option<Duration>, "retention", default "",
        "a time, such as `365d`; when unset, forever",
        "how long to keep files and logs of old commits; ids, lineage and jobs are kept forever",
        FROM_NEXT_GC;
    SERVER_URL: Option<ServerUrl>, "server_url", default "",
        "a URL such as `https://pv.example.com`",
        "where people reach the server of this store, for links in notifications",
        "for notifications that are sent after the change";
}

#[cfg(test)]
mod tests;
