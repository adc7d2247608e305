//! One setting with its value.

use std::str::FromStr;

use repos::Store;
use repos::settings::{self, AnySetting, NoSetting, Source};
use serde::Serialize;

use crate::error::Result;
use crate::output::{Human, Row};

/// The name of a setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key(pub(super) &'static AnySetting);

impl FromStr for Key {
    type Err = NoSetting;
    fn from_str(text: &str) -> Result<Self, NoSetting> {
        settings::named(text).map(Self)
    }
}

/// A setting with its value.
#[derive(Serialize)]
pub(super) struct SettingView {
    key: &'static str,
    value: Option<String>,
    source: Source,
}

impl SettingView {
    pub(super) fn new(store: &Store, setting: &'static AnySetting) -> Result<Self> {
        let (text, source) = store.setting_text(setting)?;
        Ok(Self { key: setting.name, value: Some(text).filter(|text| !text.is_empty()), source })
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
