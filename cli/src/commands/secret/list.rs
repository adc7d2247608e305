//! `pv secret list`

use answers::setting::{SecretView, secrets};
use specs::SecretKey;

use crate::context::Context;
use crate::error::Result;
use crate::output::{Human, Row};

/// List secrets and their keys; never shows values
#[derive(clap::Args, Debug)]
pub(crate) struct Args;

impl Row for SecretView {
    const HEADER: &'static [&'static str] = &["SECRET", "KEYS"];

    fn cells(&self, _: &Human) -> Vec<String> {
        let keys: Vec<&str> = self.keys.iter().map(SecretKey::as_str).collect();
        vec![self.name.to_string(), keys.join(" ")]
    }
}

pub(crate) fn run(cx: &Context, _: &Args) -> Result<()> {
    cx.list(None, secrets(cx.store()?)?.into_iter().map(Ok))
}
