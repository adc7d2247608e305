//! Tokens: who may use the server. Their text is shown once, when they are created.

use answers::token::{self, TokenState, TokenView};
use maud::{Markup, html};
use repos::access::{Right, Role};
use serde::Deserialize;

use super::Result;
use crate::address;
use crate::frame::View;
use crate::look::Look;
use crate::parts::{action, form_once, link, state, time};

/// Which tokens are listed.
#[derive(Debug, Deserialize)]
pub struct Which {
    /// Also revoked and expired ones, if it is there.
    ended: Option<String>,
}

/// The tokens of the store.
pub fn tokens(look: &Look<'_>, _: super::None, Which { ended }: Which) -> Result<View> {
    look.store.ensure_may(Right::Tokens)?;
    let with_ended = ended.is_some();
    let tokens = token::tokens(look.store, with_ended)?;
    let here = address::place("tokens");
    let other = if with_ended { here } else { here.with("ended", "") };
    let list = html! {
        h1 { "Tokens" }
        table {
            thead {
                tr {
                    th scope="col" { "Name" }
                    th scope="col" { "Role" }
                    th scope="col" { "Repositories" }
                    th scope="col" { "State" }
                    th scope="col" { "Last used" }
                    th scope="col" { "Created" }
                    th scope="col" { "Change" }
                }
            }
            tbody { @for token in &tokens { (row(look, token)) } }
        }
        @if tokens.is_empty() { p { "No token works." } }
        p { (link(look, &other, if with_ended { "Only those that work" } else { "Also revoked and expired ones" })) }
    };
    Ok(View::new("Tokens", "tokens").timed("tokens", 30, list).fixed("create", create(look)))
}

fn row(look: &Look<'_>, token: &TokenView) -> Markup {
    let works = matches!(token.state, TokenState::Valid | TokenState::EndsSoon);
    let repos = token.repos.texts().collect::<Vec<_>>().join(", ");
    html! {
        tr {
            th scope="row" { (token.name) }
            td { (token.role.word()) }
            td { @if repos.is_empty() { "none" } @else { code { (repos) } } }
            td {
                @match token.state {
                    TokenState::Valid => { (state("valid")) }
                    TokenState::EndsSoon => { (state("ends soon")) }
                    TokenState::Expired => { (state("expired")) }
                    TokenState::Revoked => { (state("revoked")) }
                }
                @if let Some(at) = token.revoked_at { " " (time(look, at)) }
                @else if let Some(at) = token.expires_at { " " (time(look, at)) }
            }
            td { @if let Some(at) = token.used_at { (time(look, at)) } @else { "never" } }
            td { (time(look, token.created_at)) " by " (token.created_by) }
            td {
                @if works {
                    details {
                        summary { "Revoke" }
                        p { "It stops working at once, in browsers too." }
                        (action(look, "DELETE", &address::api(["tokens", token.name.as_str()]), &[], "Revoke it"))
                    }
                }
            }
        }
    }
}

fn create(look: &Look<'_>) -> Markup {
    let fields = html! {
        label { "Name: the committer of its commits" input name="name" required; }
        label {
            "Role"
            select name="role" {
                @for role in Role::ALL { option value=(role.word()) selected[role == Role::Reader] { (role.word()) } }
            }
        }
        label { "Repositories, one glob per line; " code { "*" } " is all" textarea name="repos:list" rows="2" required { "*" } }
        label { "Works for (else until it is revoked)" input name="expires" placeholder="90d"; }
    };
    html! {
        details .create {
            summary { "Create a token" }
            p .hint {
                "Readers see; writers also commit, tag, run and retry; admins may do everything with these repositories. Workers only join, by "
                code { "pv worker join" } ": they see nothing, and are not limited to repositories."
            }
            (form_once(look, "POST", &address::api(["tokens"]), &fields, "Create it", "token"))
        }
    }
}
