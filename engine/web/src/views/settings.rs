//! Settings of the store, and the names of its secrets.

use answers::setting::{self, ALL, AnySetting, SecretView, SettingSource, SettingView};
use maud::{Markup, html};
use repos::access::Right;

use super::{None, Result};
use crate::address;
use crate::frame::View;
use crate::look::Look;
use crate::parts::{action, form, link, size};

/// All settings, with what they mean.
pub fn settings(look: &Look<'_>, _: None, _: None) -> Result<View> {
    look.store.ensure_may(Right::Check)?;
    let may_change = look.access.may(Right::Settings);
    let rows = ALL.iter().map(|setting| Ok((*setting, setting::setting_view(look.store, setting)?)));
    let rows = rows.collect::<Result<Vec<_>>>()?;
    let table = html! {
        h1 { "Settings" }
        @if look.access.may(Right::Secrets) { p { (link(look, &secrets_address(), "Secrets")) } }
        @if !may_change { p .hint { "Only an admin with access to all repositories can change them." } }
        table .settings {
            thead {
                tr {
                    th scope="col" { "Setting" }
                    th scope="col" { "Value" }
                    th scope="col" { "What it is" }
                    @if may_change { th scope="col" { "Change" } }
                }
            }
            tbody { @for (setting, view) in &rows { (row(look, setting, view, may_change)) } }
        }
    };
    Ok(View::new("Settings", "settings").live("settings", ["*"], table))
}

fn row(look: &Look<'_>, setting: &AnySetting, view: &SettingView, may_change: bool) -> Markup {
    let is_set = view.source == SettingSource::Store;
    html! {
        tr id=(setting.name) {
            th scope="row" { code { (setting.name) } }
            td {
                (value(setting, view.value.as_deref()))
                @if is_set { p .hint { "default: " (value(setting, Some(setting.default))) } } @else { p .hint { "the default" } }
            }
            td {
                (setting.about)
                p .hint { "Allowed: " (setting.what) ". Takes effect " (setting.counts) "." }
            }
            @if may_change { td { (change(look, setting, view, is_set)) } }
        }
    }
}

/// A value, and a number of bytes also in words.
fn value(setting: &AnySetting, value: Option<&str>) -> Markup {
    let bytes = value.filter(|_| setting.what.starts_with("a number of bytes")).and_then(|value| value.parse().ok());
    html! {
        @match value.filter(|value| !value.is_empty()) {
            Some(value) => { code { (value) } @if let Some(bytes) = bytes { " (" (size(bytes)) ")" } }
            Option::None => { span .dim { "not set" } }
        }
    }
}

fn change(look: &Look<'_>, setting: &AnySetting, view: &SettingView, is_set: bool) -> Markup {
    let operation = address::api(["settings", setting.name]);
    let label = format!("New value of {}", setting.name);
    let field =
        html! { input name="value" required value=(view.value.as_deref().unwrap_or_default()) aria-label=(label); };
    html! {
        div .actions {
            (form(look, "PUT", &operation, &field, "Set"))
            @if is_set { (action(look, "DELETE", &operation, &[], "Reset")) }
        }
    }
}

fn secrets_address() -> address::Address {
    address::Address::of(["settings", "secrets"])
}

/// The secrets: names only.
pub fn secrets(look: &Look<'_>, _: None, _: None) -> Result<View> {
    look.store.ensure_may(Right::Secrets)?;
    let secrets = setting::secrets(look.store)?;
    let rows = secrets.iter().map(|secret| secret_row(look, secret)).collect::<Result<Vec<_>>>()?;
    let list = html! {
        h1 { "Secrets" }
        p .hint { "For commands of pipelines and the mail server. Their values are shown nowhere." }
        @if rows.is_empty() { p { "No secrets yet." } }
        @else {
            table {
                thead {
                    tr {
                        th scope="col" { "Secret" }
                        th scope="col" { "Names of its values" }
                        th scope="col" { "Used by" }
                        th scope="col" { "Change" }
                    }
                }
                tbody { @for row in &rows { (row) } }
            }
        }
    };
    let view = View::new("Secrets", "settings").fixed("secrets", list);
    Ok(view.fixed("create", html! { details .create { summary { "Create a secret" } (keep_form(look)) } }))
}

fn secret_row(look: &Look<'_>, secret: &SecretView) -> Result<Markup> {
    let users = setting::users_of_secret(look.store, &secret.name)?;
    let operation = address::api(["secrets", secret.name.as_str()]);
    let keys = secret.keys.iter().map(|key| key.as_str().to_owned()).collect::<Vec<_>>();
    Ok(html! {
        tr {
            th scope="row" { (secret.name) }
            td { code { (keys.join(", ")) } }
            td { @for user in &users { (link(look, &address::pipeline(user), user.as_str())) " " } }
            td {
                details {
                    summary { "Replace" }
                    p { "All its values: those that are not given are gone." }
                    (form(look, "PUT", &operation, &values(&keys), "Replace it"))
                }
                details {
                    summary { "Delete" }
                    @if !users.is_empty() { p { "Pipelines use it: their next jobs fail without it." } }
                    (action(look, "DELETE", &operation, &[], "Delete it"))
                }
            }
        }
    })
}

/// Fields for values with these names; for one more without.
fn values(keys: &[String]) -> Markup {
    let pair = |key: Option<&str>| {
        html! {
            @match key {
                Some(key) => { input type="hidden" name="values:key" value=(key); }
                Option::None => { label { "Name of a value" input name="values:key" autocomplete="off" spellcheck="false"; } }
            }
            label {
                @if let Some(key) = key { "Value of " (key) } @else { "Its value" }
                textarea name="values:value" rows="1" autocomplete="off" spellcheck="false" {}
            }
        }
    };
    html! {
        input type="hidden" name="replace:flag" value="on";
        @for key in keys { (pair(Some(key))) }
        (pair(Option::None))
    }
}

/// The name of a new secret is part of the address of its operation: it is asked for first.
fn keep_form(look: &Look<'_>) -> Markup {
    let pair = html! {
        label { "Name of the secret" input name="{secret}" required autocomplete="off" spellcheck="false"; }
        label { "Name of a value" input name="values:key" required autocomplete="off" spellcheck="false"; }
        label { "Its value" textarea name="values:value" rows="2" required autocomplete="off" spellcheck="false" {} }
        label { "Name of another value" input name="values:key" autocomplete="off" spellcheck="false"; }
        label { "Its value" textarea name="values:value" rows="2" autocomplete="off" spellcheck="false" {} }
    };
    // Kept as it is: the server puts the field of this name there.
    form(look, "PUT", &address::api(["secrets"]).with_field("secret"), &pair, "Create it")
}
