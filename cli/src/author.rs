//! Who makes a change: the claimed author, and the identity that the operating system gives.

use std::path::PathBuf;

use engine::run::Actor;
use git2::{Config, ConfigLevel, Repository};

use crate::context::Context;
use crate::invocation::Environment;

/// The caller: the author is `claim`, else `PV_AUTHOR`, else git's `user.name` and `user.email`, else user and host.
pub(crate) fn by(cx: &Context, claim: Option<&str>) -> Actor {
    let uid = cx.invocation().uid;
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let host = host.unwrap_or_else(|| "localhost".to_owned());
    let named = |name: &&str| !name.trim().is_empty();
    let claim = claim.filter(named).or_else(|| cx.env().get("PV_AUTHOR").filter(named)).map(str::to_owned);
    let author = claim.or_else(|| of_git(cx)).unwrap_or_else(|| {
        let user = cx.env().get("USER").or_else(|| cx.env().get("LOGNAME"));
        format!("{}@{host}", user.map_or_else(|| format!("uid:{uid}"), str::to_owned))
    });
    let author = author.replace(char::is_control, " ");
    let committer = match cx.invocation().client.is_far() {
        Some(far) => far.caller.access.who.clone(),
        None => format!("uid:{uid}@{host}"),
    };
    Actor { author, committer }
}

/// `Anna <anna@example.com>` as git would write it here; damaged configuration counts as missing.
fn of_git(cx: &Context) -> Option<String> {
    let mut config = Config::new().ok()?;
    for (path, level) in global_files(cx.env()) {
        if path.exists() {
            config.add_file(&path, level, false).ok()?;
        }
    }
    // A client on another machine says who the author is.
    if cx.files().are_here()
        && let Ok(repository) = Repository::discover(&cx.invocation().cwd)
    {
        config.add_file(&repository.commondir().join("config"), ConfigLevel::Local, false).ok();
    }
    let get = |key: &str| config.get_string(key).ok().filter(|value| !value.is_empty());
    match (get("user.name"), get("user.email")) {
        (Some(name), Some(email)) => Some(format!("{name} <{email}>")),
        (name, email) => name.or(email),
    }
}

fn global_files(env: &Environment) -> Vec<(PathBuf, ConfigLevel)> {
    let mut files = vec![(PathBuf::from("/etc/gitconfig"), ConfigLevel::System)];
    if let Some(path) = env.get("GIT_CONFIG_GLOBAL") {
        files.push((path.into(), ConfigLevel::Global));
        return files;
    }
    let home = env.get("HOME").map(PathBuf::from);
    let xdg = env.get("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(".config")));
    files.extend(xdg.map(|folder| (folder.join("git/config"), ConfigLevel::XDG)));
    files.extend(home.map(|home| (home.join(".gitconfig"), ConfigLevel::Global)));
    files
}
