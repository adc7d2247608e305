//! `pv secret list`

use engine::secrets;
use serde::Serialize;
use specs::{SecretKey, SecretName};

use crate::context::Context;
use crate::error::Result;
use crate::output::{Human, Row};

/// List secrets and their keys; never shows values
#[derive(clap::Args, Debug)]
pub(crate) struct Args;

#[derive(Serialize)]
struct SecretView {
    name: SecretName,
    keys: Vec<SecretKey>,
}

impl Row for SecretView {
    const HEADER: &'static [&'static str] = &["SECRET", "KEYS"];

    fn cells(&self, _: &Human) -> Vec<String> {
        let keys: Vec<&str> = self.keys.iter().map(SecretKey::as_str).collect();
        vec![self.name.to_string(), keys.join(" ")]
    }
}

pub(crate) fn run(cx: &Context, _: &Args) -> Result<()> {
    let secrets = secrets::list(cx.store()?)?;
    cx.list(None, secrets.into_iter().map(|(name, keys)| Ok(SecretView { name, keys })))
}
