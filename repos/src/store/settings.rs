//! Reading and changing the settings of a store.

use std::time::Duration;

use specs::BranchName;

use super::{Change, Result, Store};
use crate::index::apply::meta;
use crate::index::keys;
use crate::journal::Entry;
use crate::settings::{AnySetting, DEFAULT_BRANCH, GC_GRACE, RETENTION, Setting, SettingSource, Value};

impl Store {
    /// The value of a setting: as set in this store, or its default. `Usage` if the stored text is invalid.
    pub fn setting<T: Value>(&self, setting: &Setting<T>) -> Result<T> {
        setting.read(&self.setting_text(setting)?.0)
    }

    /// The text of a setting's value, empty for none, and its source. It may be invalid.
    pub fn setting_text(&self, setting: &AnySetting) -> Result<(String, SettingSource)> {
        match self.row(&keys::setting(setting.name))? {
            Some(text) => Ok((text, SettingSource::Store)),
            None => Ok((self.default_text(setting)?, SettingSource::Default)),
        }
    }

    fn default_text(&self, setting: &AnySetting) -> Result<String> {
        // `init` may have set it.
        let chosen: Option<BranchName> =
            if setting.name == DEFAULT_BRANCH.name { self.row(&keys::meta(meta::DEFAULT_BRANCH))? } else { None };
        Ok(chosen.map_or_else(|| setting.default.to_owned(), |branch| branch.to_string()))
    }

    /// All settings that were set in this store, including those of other versions of this program.
    pub fn settings(&self) -> Result<Vec<(String, String)>> {
        self.named(&keys::settings())
    }

    /// Sets a setting or, with `None`, restores its default. `Usage` if the text is invalid.
    pub fn set_setting(&self, setting: &AnySetting, value: Option<&str>) -> Result<()> {
        value.map_or(Ok(()), |text| setting.check(text))?;
        let entry = Entry::Setting { key: setting.name.to_owned(), value: value.map(str::to_owned) };
        self.publish(&Change::of(vec![entry]))
    }

    /// The branch for references without one: the setting, or the one given to `init`.
    pub fn default_branch(&self) -> Result<BranchName> {
        self.setting(&DEFAULT_BRANCH)
    }

    /// How long unreachable content is kept.
    pub fn gc_grace(&self) -> Result<Duration> {
        Ok(self.setting(&GC_GRACE)?.get())
    }

    /// Like [`Self::gc_grace`], as it was written.
    pub fn gc_grace_text(&self) -> Result<String> {
        Ok(self.setting_text(&GC_GRACE)?.0)
    }

    /// The age at which files of commits that are not heads and not tagged are given up; `None` for never.
    pub fn retention(&self) -> Result<Option<Duration>> {
        Ok(self.setting(&RETENTION)?.map(specs::Duration::get))
    }
}
