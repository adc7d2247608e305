//! `pv schema`

use crate::context::Context;
use crate::error::Result;

/// Print the JSON Schema of pipeline specs, for editors
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(cx: &Context, _: &Args) -> Result<()> {
    let schema = specs::spec::schema();
    if cx.out().is_json() {
        return cx.out().json(&schema);
    }
    cx.out().line(format!("{schema:#}"))
}
