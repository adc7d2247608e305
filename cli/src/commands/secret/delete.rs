//! `pv secret delete`

use engine::{Graph, secrets};
use serde_json::json;
use specs::SecretName;

use crate::context::Context;
use crate::error::Result;

/// Delete a secret; jobs that need it then fail
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Secret
    name: SecretName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let name = &args.name;
    if secrets::list(store)?.iter().any(|(known, _)| known == name) {
        let graph = Graph::load(store)?;
        let sees =
            |pipeline: &engine::Pipeline| pipeline.spec.transform.secrets.iter().any(|one| one.name == name.as_str());
        let users: Vec<String> =
            graph.pipelines.values().filter(|one| sees(one)).map(|one| format!("`{}`", one.name())).collect();
        let who =
            if users.is_empty() { "no pipeline uses it".to_owned() } else { format!("used by {}", users.join(", ")) };
        cx.confirm(&format!("This deletes secret `{name}`; {who}."), &format!("secret `{name}` was not deleted"))?;
    }
    secrets::delete(store, name)?;
    cx.done(&format!("deleted secret `{name}`"), &json!({ "deleted": name }))
}
