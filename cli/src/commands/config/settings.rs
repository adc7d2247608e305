//! One setting with its value.

use std::str::FromStr;

use answers::setting::{AnySetting, NoSetting, SettingSource, SettingView, named};

use crate::error::Result;
use crate::output::{Human, Row};

/// The name of a setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key(pub(super) &'static AnySetting);

impl FromStr for Key {
    type Err = NoSetting;
    fn from_str(text: &str) -> Result<Self, NoSetting> {
        named(text).map(Self)
    }
}

impl Row for SettingView {
    const HEADER: &'static [&'static str] = &["SETTING", "VALUE", "SOURCE"];
    const GIVES_UP: &'static [&'static str] = &["SOURCE"];
    fn cells(&self, _: &Human) -> Vec<String> {
        let source = match self.source {
            SettingSource::Default => "default",
            SettingSource::Store => "store",
        };
        vec![self.key.to_owned(), self.value.clone().unwrap_or_default(), source.to_owned()]
    }
}
