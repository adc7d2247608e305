//! Registry logins as stored by `docker login`: in `config.json`, or in a credential helper named there.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Timeout for a helper; it may access a keychain, but nobody is there to answer a dialogue.
const HELPER_TIME: Duration = Duration::from_secs(20);

/// The part of Docker's `config.json` about logins.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    auths: std::collections::HashMap<String, Login>,
    creds_store: Option<String>,
    cred_helpers: std::collections::HashMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Login {
    /// Base64 of `user:password`.
    auth: Option<String>,
    identitytoken: Option<String>,
}

/// The answer of a helper.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The login for a registry; `None` if there is none, so public images are pulled without one.
pub(super) async fn find(directory: &Path, registry: &str) -> Option<DockerCredentials> {
    let text = tokio::fs::read_to_string(directory.join("config.json")).await.ok()?;
    let config: Config = match serde_json::from_str(&text) {
        Ok(config) => config,
        Err(error) => {
            tracing::warn!(%error, "cannot read the logins in docker's config.json; pulling without");
            return None;
        }
    };
    // Docker Hub's key is still the address of its first version.
    let key = if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry };
    let helper = config.cred_helpers.get(registry).or(config.creds_store.as_ref());
    match helper {
        Some(helper) => ask(helper, key).await,
        None => config.auths.get(key).or_else(|| config.auths.get(registry)).and_then(|login| from_login(login, key)),
    }
}

fn from_login(login: &Login, key: &str) -> Option<DockerCredentials> {
    let serveraddress = Some(key.to_owned());
    if let Some(token) = &login.identitytoken {
        return Some(DockerCredentials {
            identitytoken: Some(token.clone()),
            serveraddress,
            ..DockerCredentials::default()
        });
    }
    let text = String::from_utf8(decode_base64(login.auth.as_ref()?)?).ok()?;
    let (username, password) = text.split_once(':')?;
    let password = Some(password.trim_end_matches('\0').to_owned());
    Some(DockerCredentials {
        username: Some(username.to_owned()),
        password,
        serveraddress,
        ..DockerCredentials::default()
    })
}

async fn ask(helper: &str, key: &str) -> Option<DockerCredentials> {
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(key.as_bytes()).await.ok()?;
    let output = tokio::time::timeout(HELPER_TIME, child.wait_with_output()).await.ok()?.ok()?;
    let answer: Answer = serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success())?;
    let serveraddress = Some(key.to_owned());
    Some(if answer.username == "<token>" {
        DockerCredentials { identitytoken: Some(answer.secret), serveraddress, ..DockerCredentials::default() }
    } else {
        DockerCredentials {
            username: Some(answer.username),
            password: Some(answer.secret),
            serveraddress,
            ..DockerCredentials::default()
        }
    })
}

/// Standard base64 with or without padding; `None` for any other text.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for character in text.trim_end_matches('=').bytes() {
        let digit = ALPHABET.iter().position(|other| *other == character)?;
        bits = bits << 6 | digit as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn login(config: &str, registry: &str) -> Option<(String, String)> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.json"), config).unwrap();
        let found = find(directory.path(), registry).await?;
        Some((found.username?, found.password?))
    }

    #[tokio::test]
    async fn logins_are_found_by_registry() {
        let config = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "YW5hOnNlY3JldA=="}, "ghcr.io": {"auth": "Ym86eDp5"}}}"#;
        assert_eq!(login(config, "docker.io").await, Some(("ana".into(), "secret".into())));
        assert_eq!(login(config, "ghcr.io").await, Some(("bo".into(), "x:y".into())));
        assert_eq!(login(config, "quay.io").await, None);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_no_login() {
        for config in ["", "{", r#"{"auths": {"ghcr.io": {"auth": "?"}}}"#, r#"{"credsStore": "no-such-helper"}"#] {
            assert_eq!(login(config, "ghcr.io").await, None, "{config}");
        }
    }
}
