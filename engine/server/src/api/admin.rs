//! What concerns the whole store: settings, secrets, keys, tokens, the audit log.

use std::collections::BTreeMap;

use ::repos::RepoError;
use ::repos::access::{RepoGlobs, Right, Role};
use ::repos::settings::{self, AnySetting};
use ::repos::tokens::{AuditFilter, NewToken, Tokens};
use answers::key::{self, KeyView};
use answers::setting::{self, SecretView, SettingView};
use answers::token::{self, AuditLine, CreatedToken, TokenView, token_view};
use engine::secrets;
use schemars::JsonSchema;
use serde::Deserialize;
use specs::{Duration, SecretKey, SecretName, TokenName};

use crate::caller::Call;
use crate::keyed::AfterCrash;
use crate::lists::{Listed, Wanted, list};
use crate::operation::{Operation, delete, get, post, put};
use crate::parts::{Answer, Created, Done, Json, Path, Query};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/settings", ("listSettings", "List settings"), all_settings).needs_right(Right::Check),
        get("/settings/{key}", ("showSetting", "Show a setting"), show_setting).needs_right(Right::Check),
        put("/settings/{key}", ("setSetting", "Change a setting"), set_setting).needs_right(Right::Settings),
        delete("/settings/{key}", ("unsetSetting", "Reset a setting to its default"), unset_setting)
            .needs_right(Right::Settings),
        get("/secrets", ("listSecrets", "List secrets, without their values"), all_secrets).needs_right(Right::Secrets),
        put("/secrets/{secret}", ("keepSecret", "Create or replace a secret"), keep_secret)
            .needs_right(Right::Secrets)
            .after_crash(AfterCrash::Ask),
        delete("/secrets/{secret}", ("deleteSecret", "Delete a secret"), delete_secret)
            .needs_right(Right::Secrets)
            .after_crash(AfterCrash::Ask),
        get("/keys", ("listKeys", "List the keys that sign commits"), all_keys).needs_right(Right::Check),
        get("/tokens", ("listTokens", "List tokens"), all_tokens).needs_right(Right::Tokens),
        post("/tokens", ("createToken", "Create a token; its text is shown only now"), create_token)
            .needs_right(Right::Tokens)
            .after_crash(AfterCrash::Secret),
        delete("/tokens/{name}", ("revokeToken", "Revoke a token"), revoke_token)
            .needs_right(Right::Tokens)
            .after_crash(AfterCrash::Ask),
        get("/audit", ("readAudit", "Read the audit log, newest first"), audit).needs_right(Right::Tokens),
    ]
}

/// A setting.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfSetting {
    /// Its name.
    key: String,
}

impl OfSetting {
    fn find(&self) -> Result<&'static AnySetting> {
        let found = settings::ALL.iter().find(|setting| setting.name == self.key).copied();
        found.ok_or_else(|| {
            let similar = specs::nearest(&self.key, settings::ALL.iter().map(|setting| setting.name));
            let hint = similar.map(|name| format!("did you mean `{name}`?"));
            RepoError::NotFound { what: format!("unknown setting `{}`", self.key), hint }.into()
        })
    }
}

async fn all_settings(call: Call) -> Result<Answer<Vec<SettingView>>> {
    call.ask(|store, _| setting::settings(store).collect::<engine::Result<_>>()).await.map(Answer)
}

async fn show_setting(call: Call, Path(of): Path<OfSetting>) -> Result<Answer<SettingView>> {
    let setting = of.find()?;
    call.ask(move |store, _| setting::setting_view(store, setting)).await.map(Answer)
}

/// A new value of a setting.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewValue {
    /// The value, as `pv config set` takes it.
    value: String,
}

async fn set_setting(call: Call, Path(of): Path<OfSetting>, Json(new): Json<NewValue>) -> Result<Answer<SettingView>> {
    let setting = of.find()?;
    let set = call.change(move |store| {
        store.set_setting(setting, Some(&new.value))?;
        setting::setting_view(store, setting)
    });
    set.await.map(Answer)
}

async fn unset_setting(call: Call, Path(of): Path<OfSetting>) -> Result<Done> {
    let setting = of.find()?;
    call.change(move |store| store.set_setting(setting, None)).await?;
    Ok(Done)
}

async fn all_secrets(call: Call) -> Result<Answer<Vec<SecretView>>> {
    call.ask(|store, _| setting::secrets(store)).await.map(Answer)
}

/// A secret.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfSecret {
    /// Its name.
    secret: SecretName,
}

/// The values of a secret. They are in no log and no answer.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewSecret {
    /// The values, by key.
    #[schemars(extend("minProperties" = 1))]
    values: BTreeMap<SecretKey, String>,
    /// Whether a secret with this name may be replaced.
    #[serde(default)]
    replace: bool,
}

async fn keep_secret(
    call: Call,
    Path(OfSecret { secret }): Path<OfSecret>,
    Json(new): Json<NewSecret>,
) -> Result<Answer<SecretView>> {
    let kept = call.change(move |store| {
        secrets::ensure_can_keep(store, &secret, new.replace)?;
        let values: secrets::Values = new.values.into_iter().map(|(key, value)| (key, value.into_bytes())).collect();
        secrets::keep(store, &secret, &values)?;
        Ok::<_, engine::EngineError>(SecretView { name: secret, keys: values.into_keys().collect() })
    });
    kept.await.map(Answer)
}

async fn delete_secret(call: Call, Path(OfSecret { secret }): Path<OfSecret>) -> Result<Done> {
    call.change(move |store| secrets::delete(store, &secret)).await?;
    Ok(Done)
}

async fn all_keys(call: Call) -> Result<Answer<Vec<KeyView>>> {
    call.ask(|store, _| key::keys(store)).await.map(Answer)
}

/// Which tokens to list.
#[derive(Debug, Deserialize, JsonSchema)]
struct WhichTokens {
    /// Also revoked and expired ones.
    #[serde(default)]
    ended: bool,
}

async fn all_tokens(call: Call, Query(which): Query<WhichTokens>) -> Result<Answer<Vec<TokenView>>> {
    call.ask(move |store, _| token::tokens(store, which.ended)).await.map(Answer)
}

/// A token to create.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TokenToCreate {
    /// Its name: the committer of its commits.
    name: TokenName,
    /// What it may do.
    role: Role,
    /// The repositories that it covers: globs. `*` for a `worker`, which is not limited to some, and sees none.
    #[schemars(extend("minItems" = 1))]
    repos: RepoGlobs,
    /// How long it works, such as `30d`; absent: until it is revoked.
    #[serde(default)]
    expires: Option<Duration>,
}

async fn create_token(call: Call, Json(new): Json<TokenToCreate>) -> Result<Created<CreatedToken>> {
    let by = call.access().who.clone();
    let created = call.change(move |store| {
        let TokenToCreate { name, role, repos, expires } = new;
        let (token, row) =
            Tokens::of(store).create(NewToken { name, role, repos, expires: expires.map(Duration::get), by })?;
        let view = token_view(row, store.clock().now());
        Ok::<_, RepoError>(CreatedToken { token: token.text().to_owned(), view })
    });
    created.await.map(Created)
}

/// A token.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfToken {
    /// Its name.
    name: TokenName,
}

async fn revoke_token(call: Call, Path(OfToken { name }): Path<OfToken>) -> Result<Done> {
    call.change(move |store| Tokens::of(store).revoke(&name)).await?;
    Ok(Done)
}

/// Which lines of the audit log to read.
#[derive(Debug, Deserialize, JsonSchema)]
struct WhichLines {
    /// Only of this token.
    #[serde(default)]
    who: Option<String>,
    /// What was read, instead of what was changed or refused.
    #[serde(default)]
    reads: bool,
}

async fn audit(call: Call, Query(which): Query<WhichLines>, wanted: Wanted) -> Result<Listed<AuditLine>> {
    list(call, wanted, move |store, _, cursor, items| {
        // Pinned to the newest line of the first page, and counted from there: later lines come before it.
        let filter = AuditFilter { who: which.who, since: None };
        let lines: Box<dyn Iterator<Item = engine::Result<AuditLine>>> =
            if which.reads { Box::new(token::reads(store, filter)?) } else { Box::new(token::audit(store, filter)?) };
        let pinned = cursor.pin.clone();
        let skip: usize = cursor.after.as_ref().and_then(|after| after.parse().ok()).unwrap_or(0);
        let mut is_newer = pinned.is_some();
        let mut number = 0;
        for line in lines {
            let line = line?;
            let id = format!("{} {}", line.at, line.request.as_deref().unwrap_or_default());
            is_newer = is_newer && pinned.as_ref() != Some(&id);
            if is_newer {
                continue;
            }
            if number == 0 {
                items.pin(&id);
            }
            number += 1;
            if number > skip && items.push(&number, line).is_break() {
                break;
            }
        }
        Ok::<_, Problem>(())
    })
    .await
}
