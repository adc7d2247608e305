//! `pv secret delete`

use answers::setting::users_of_secret;
use engine::secrets;
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
        let users: Vec<String> = users_of_secret(store, name)?.iter().map(|user| format!("`{user}`")).collect();
        let who =
            if users.is_empty() { "no pipeline uses it".to_owned() } else { format!("used by {}", users.join(", ")) };
        cx.confirm(&format!("This deletes secret `{name}`; {who}."), &format!("secret `{name}` was not deleted"))?;
    }
    secrets::delete(store, name)?;
    cx.done(&format!("deleted secret `{name}`"), &json!({ "deleted": name }))
}
