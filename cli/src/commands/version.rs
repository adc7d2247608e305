//! `pv version`

use serde::Serialize;

use crate::context::Context;
use crate::error::Result;

/// Print the version
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// The version as programs read it.
#[derive(Serialize)]
struct VersionView {
    version: &'static str,
    os: &'static str,
    architecture: &'static str,
}

pub(crate) fn run(cx: &Context, _: &Args) -> Result<()> {
    let view = VersionView {
        version: env!("CARGO_PKG_VERSION"),
        os: std::env::consts::OS,
        architecture: std::env::consts::ARCH,
    };
    if cx.out().is_json() {
        return cx.out().json(&view);
    }
    cx.out().line(format!("pv {} {} {}", view.version, view.os, view.architecture))
}
