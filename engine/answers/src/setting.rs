//! The settings of a store, and the names of its secrets.

use engine::{Graph, Pipeline, Result, secrets};
use repos::Store;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{PipelineName, SecretKey, SecretName};

pub use repos::settings::{ALL, AnySetting, EXECUTOR, JOBS, NoSetting, SettingSource, named};

/// A setting with its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SettingView {
    /// Its name.
    pub key: &'static str,
    /// Its value; `null` without one.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: SettingSource,
}

/// A setting of a store.
pub fn setting_view(store: &Store, setting: &'static AnySetting) -> Result<SettingView> {
    let (text, source) = store.setting_text(setting)?;
    Ok(SettingView { key: setting.name, value: Some(text).filter(|text| !text.is_empty()), source })
}

/// All settings of a store, read lazily.
pub fn settings(store: &Store) -> impl Iterator<Item = Result<SettingView>> {
    ALL.iter().map(|setting| setting_view(store, setting))
}

/// A secret: its values are never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretView {
    /// Its name.
    pub name: SecretName,
    /// The names of its values.
    pub keys: Vec<SecretKey>,
}

/// The secrets of a store.
pub fn secrets(store: &Store) -> Result<Vec<SecretView>> {
    Ok(secrets::list(store)?.into_iter().map(|(name, keys)| SecretView { name, keys }).collect())
}

/// The pipelines that use a secret, by name.
pub fn users_of_secret(store: &Store, name: &SecretName) -> Result<Vec<PipelineName>> {
    let graph = Graph::load(store)?;
    let uses = |pipeline: &Pipeline| pipeline.spec.transform.secrets.iter().any(|one| one.name == name.as_str());
    Ok(graph.pipelines.values().filter(|one| uses(one)).map(|one| one.name().clone()).collect())
}
