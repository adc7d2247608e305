//! Which settings there are, what they may be, what they are when nobody sets them.

use std::str::FromStr;

use repos::Store;
use serde::Serialize;
use specs::{BranchName, Duration};

use crate::error::Result;
use crate::output::{Human, Row};

/// A setting of a store.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    pub(crate) default: &'static str,
    pub(super) is_legal: fn(&str) -> bool,
    /// What it may be, after `it is`.
    pub(crate) what: &'static str,
    /// What it is for.
    pub(crate) about: &'static str,
    /// From when on a new value counts, after `it counts`.
    pub(crate) counts: &'static str,
}

/// All settings, by name.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        key: "default_branch",
        default: "main",
        is_legal: is_branch,
        what: "the name of a branch",
        about: "the branch that references and specs mean that name none",
        counts: "for commands at once; for a pipeline from its next pv pipeline apply on",
    },
    Setting {
        key: "default_image",
        default: "",
        is_legal: is_text,
        what: "an image, such as `debian:13`",
        about: "the image of specs that name none",
        counts: "for a pipeline from its next pv pipeline apply on",
    },
    Setting {
        key: "executor",
        default: "auto",
        is_legal: is_executor,
        what: "`auto`, `docker` or `process`",
        about: "what executes datums; `auto` becomes the first that answers, and stays it",
        counts: "from the next pv pipeline apply, pv run or pv serve on; it makes a new version of every pipeline, whose datums run anew",
    },
    Setting {
        key: "fail_fast",
        default: "true",
        is_legal: is_bool,
        what: "`true` or `false`",
        about: "whether a job stops whose first 100 datums all fail",
        counts: FROM_NEXT_JOB,
    },
    Setting {
        key: "gc_grace",
        default: repos::keep::DEFAULT_GRACE,
        is_legal: is_duration,
        what: "a time, such as `14d`",
        about: "how long files stay that no branch or tag reaches any more",
        counts: FROM_NEXT_GC,
    },
    Setting {
        key: "jobs",
        default: "",
        is_legal: is_positive,
        what: "a number from 1; when unset, one a CPU",
        about: "datums at a time, of all jobs together",
        counts: "from the next pv run or pv serve on; one that is at work keeps its number",
    },
    Setting {
        key: "log_max",
        default: "16777216",
        is_legal: is_count,
        what: "a number of bytes",
        about: "how much of a try's log is kept: its head and its tail",
        counts: FROM_NEXT_JOB,
    },
    Setting {
        key: "min_free",
        default: "2147483648",
        is_legal: is_count,
        what: "a number of bytes",
        about: "jobs wait while the store's disk has less free",
        counts: "at once, also for jobs that wait",
    },
    Setting {
        key: "missed_ticks",
        default: "one",
        is_legal: is_missed_ticks,
        what: "`one`, `all` or `none`",
        about: "which ticks of a clock are made up for that came while no engine was there",
        counts: "the next time that ticks are due",
    },
    Setting {
        key: "network",
        default: "default",
        is_legal: is_network,
        what: "`default` or `none`",
        about: "what stages reach whose spec does not say `transform.network`",
        counts: "for a pipeline from its next pv pipeline apply on",
    },
    Setting {
        key: "output_bytes_max",
        default: "1099511627776",
        is_legal: is_positive,
        what: "a number of bytes from 1",
        about: "the most bytes that a datum may write",
        counts: FROM_NEXT_JOB,
    },
    Setting {
        key: "output_files_max",
        default: "1000000",
        is_legal: is_positive,
        what: "a number of files from 1",
        about: "the most files that a datum may write",
        counts: FROM_NEXT_JOB,
    },
    Setting {
        key: "process.paths",
        default: "",
        is_legal: is_paths,
        what: "absolute paths with `:` between them",
        about: "folders of this machine that the executor `process` shows to stages, beside /usr and its like",
        counts: FROM_NEXT_JOB,
    },
    Setting {
        key: "retention",
        default: "",
        is_legal: is_duration,
        what: "a time, such as `365d`; when unset, for ever",
        about: "how long files and logs of old commits stay; ids, lineage and jobs do for ever",
        counts: FROM_NEXT_GC,
    },
];

const FROM_NEXT_JOB: &str = "for jobs that start from now on";
const FROM_NEXT_GC: &str = "at the next pv gc";

fn is_branch(text: &str) -> bool {
    text.parse::<BranchName>().is_ok()
}
fn is_text(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}
fn is_executor(text: &str) -> bool {
    ["auto", "docker", "process"].contains(&text)
}
fn is_network(text: &str) -> bool {
    ["default", "none"].contains(&text)
}
fn is_bool(text: &str) -> bool {
    ["true", "false"].contains(&text)
}
fn is_missed_ticks(text: &str) -> bool {
    ["one", "all", "none"].contains(&text)
}
fn is_count(text: &str) -> bool {
    text.parse::<u64>().is_ok() && text.bytes().all(|byte| byte.is_ascii_digit())
}
fn is_positive(text: &str) -> bool {
    is_count(text) && text.parse() != Ok(0_u64)
}
fn is_duration(text: &str) -> bool {
    text.parse::<Duration>().is_ok()
}
fn is_paths(text: &str) -> bool {
    text.split(':').all(|path| path.starts_with('/') && !path.chars().any(char::is_control))
}

/// The name of a setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key(pub(super) &'static Setting);

/// There is no such setting.
#[derive(Debug, thiserror::Error)]
#[error("`{key}` is no setting{}", .similar.map_or_else(String::new, |key| format!("; did you mean `{key}`?")))]
pub(crate) struct NoSetting {
    key: String,
    similar: Option<&'static str>,
}

impl FromStr for Key {
    type Err = NoSetting;
    fn from_str(text: &str) -> Result<Self, NoSetting> {
        let setting = SETTINGS.iter().find(|setting| setting.key == text);
        setting.map(Self).ok_or_else(|| NoSetting {
            key: text.escape_debug().to_string(),
            similar: specs::nearest(text, SETTINGS.iter().map(|setting| setting.key)),
        })
    }
}

/// A setting as it is.
#[derive(Serialize)]
pub(super) struct SettingView {
    key: &'static str,
    value: Option<String>,
    source: Source,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    Default,
    Store,
}

impl SettingView {
    pub(super) fn new(store: &Store, setting: &'static Setting) -> Result<Self> {
        if let Some(value) = store.setting(setting.key)? {
            return Ok(Self { key: setting.key, value: Some(value), source: Source::Store });
        }
        let default = match setting.key {
            // `init` may have chosen it.
            "default_branch" => store.default_branch()?.to_string(),
            _ => setting.default.to_owned(),
        };
        Ok(Self { key: setting.key, value: Some(default).filter(|value| !value.is_empty()), source: Source::Default })
    }

    pub(super) fn value(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }
}

impl Row for SettingView {
    const HEADER: &'static [&'static str] = &["SETTING", "VALUE", "SOURCE"];
    const GIVES_UP: &'static [&'static str] = &["SOURCE"];
    fn cells(&self, _: &Human) -> Vec<String> {
        let source = match self.source {
            Source::Default => "default",
            Source::Store => "store",
        };
        vec![self.key.to_owned(), self.value().to_owned(), source.to_owned()]
    }
}
