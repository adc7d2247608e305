//! Which view is where.

use axum::body::Body;
use axum::extract::{OriginalUri, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use specs::ErrorKind;
use web::assets::{self, Asset};
use web::views::operations;
use web::{Look, View, frame, views};

use super::documents::{document, here, show_problems, squeeze, takes_gzip};
use super::{act, differences, forward, pictures, pinned, proofs, session};
use crate::app::App;
use crate::caller::{Call, Needs, authenticate, named};
use crate::login;
use crate::parts::Path;
use crate::problem::{Problem, Result};
use crate::steady;

/// The name of all views among the operations that are counted and recorded.
const NAME: &str = "page";

/// All addresses of the page. `api`: the operations, which forms call.
pub(crate) fn router(app: &App, api: &Router) -> Router<App> {
    let needs = Needs::to_read(NAME);
    // Who reads content is kept.
    let reads = Needs { reads: true, ..needs };
    let overviews = [("/", view(views::home::home)), ("/graph", view(views::graph::graph))];
    let views = behind(app, needs, overviews)
        .merge(behind(app, needs, of_data()))
        .merge(behind(app, reads, of_content()))
        .merge(behind(app, needs, of_work()))
        .merge(behind(app, reads, of_evidence()))
        .merge(behind(app, needs, of_operators()))
        .layer(middleware::from_fn(squeeze));
    views
        .route("/login/{code}", login::route())
        .route("/login", post(session::log_in).get(session::ask))
        .route("/act", post(act::act).with_state(act::Operations::new(app, api)).get(session::home))
        .route("/repos/{repo}/branches", post(forward::new_branch))
        .route("/repos/{repo}/branches/{branch}/upload", post(forward::upload))
        .layer(middleware::from_fn_with_state(app.clone(), show_problems))
        // These answer with bytes; a problem of theirs is for the page that asked.
        .merge(behind(app, reads, of_pictures()))
        .route("/repos/{repo}/commits/{commit}/media/{*path}", get(forward::media))
        .layer(middleware::from_fn(steady::watch_body))
        .route("/assets/{name}", get(asset))
        .layer(Extension(forward::Operations::new(app, api)))
}

/// Routes behind a check of who asks.
fn behind<const N: usize>(app: &App, needs: Needs, routes: [(&'static str, MethodRouter<App>); N]) -> Router<App> {
    let all = routes.into_iter().fold(Router::new(), |all, (path, route)| all.route(path, route));
    all.layer(middleware::from_fn_with_state((app.clone(), needs), authenticate))
}

/// Repositories, branches and commits.
fn of_data() -> [(&'static str, MethodRouter<App>); 9] {
    [
        ("/repos", view(views::data::repos)),
        ("/repos/{repo}", view(views::data::repo)),
        ("/repos/{repo}/branches/{branch}", view(views::data::branch)),
        ("/repos/{repo}/commits/{commit}", view(views::data::commit)),
        ("/repos/{repo}/branches/{branch}/files", get(pinned::branch)),
        ("/repos/{repo}/branches/{branch}/files/{*path}", get(pinned::branch)),
        ("/repos/{repo}/at/{revision}", get(pinned::revision)),
        ("/repos/{repo}/at/{revision}/files", get(pinned::revision)),
        ("/repos/{repo}/at/{revision}/files/{*path}", get(pinned::revision)),
    ]
}

/// Files of commits, and what code printed.
fn of_content() -> [(&'static str, MethodRouter<App>); 6] {
    [
        ("/repos/{repo}/commits/{commit}/files", view(views::data::files)),
        ("/repos/{repo}/commits/{commit}/files/{*path}", view(views::data::files)),
        ("/jobs/{job}", view(views::job::job)),
        ("/jobs/{job}/log", view(views::log::of_job)),
        ("/jobs/{job}/datums/{datum}", view(views::datum::datum)),
        ("/jobs/{job}/datums/{datum}/log", view(views::log::of_datum)),
    ]
}

/// Pipelines and their runs.
fn of_work() -> [(&'static str, MethodRouter<App>); 4] {
    [
        ("/pipelines", view(views::pipelines::pipelines)),
        ("/pipelines/{pipeline}", view(views::pipeline::pipeline)),
        ("/runs", view(views::runs::runs)),
        ("/runs/{run}", view(views::run::run)),
    ]
}

/// What differs, where files come from, and where things are.
fn of_evidence() -> [(&'static str, MethodRouter<App>); 4] {
    [
        ("/diff", view(views::diff::diff)),
        ("/trace", view(views::trace::trace)),
        ("/find", view(views::find::find)),
        ("/trace/page", proofs::page_route()),
    ]
}

/// Pictures that are made for pages.
fn of_pictures() -> [(&'static str, MethodRouter<App>); 2] {
    [
        ("/repos/{repo}/commits/{commit}/pictures/{side}/{*path}", get(pictures::picture)),
        ("/diff/picture", differences::route()),
    ]
}

/// The views of those who keep a store running, and of long work.
fn of_operators() -> [(&'static str, MethodRouter<App>); 12] {
    [
        ("/keys", view(views::keys::keys)),
        ("/watches", view(views::watches::watches)),
        ("/notifications", view(views::notifications::notifications)),
        ("/notifications/{notification}", view(views::notifications::notification)),
        ("/tokens", view(views::tokens::tokens)),
        ("/audit", view(views::audit::audit)),
        ("/settings", view(views::settings::settings)),
        ("/settings/secrets", view(views::settings::secrets)),
        ("/storage", view(views::storage::storage)),
        (
            "/operations",
            view_of(|call, look, _: views::None, _: views::None| {
                operations::operations(look, &call.works().seen(&call.access().client), &call.workers())
            }),
        ),
        (
            "/operations/{id}",
            view_of(|call, look, path: operations::OfWork, _: views::None| {
                operations::operation(look, &call.works().seen(&call.access().client), &path)
            }),
        ),
        (
            "/verified/{id}",
            view_of(|call, look, id: String, of: proofs::Verified| Ok(proofs::verdict_of(call, look, &id, &of))),
        ),
    ]
}

/// What every address of a view takes besides its own parameters.
#[derive(Debug, Deserialize)]
struct Common {
    /// The ids of the only regions that are wanted, with commas between.
    only: Option<String>,
}

/// The route of a view.
fn view<P, Q>(show: fn(&Look<'_>, P, Q) -> views::Result<View>) -> MethodRouter<App>
where
    P: DeserializeOwned + Send + 'static,
    Q: DeserializeOwned + Send + 'static,
{
    view_of(move |_, look, path, query| show(look, path, query))
}

/// The route of a view that also shows what only this process knows.
fn view_of<P, Q>(
    show: impl Fn(&Call, &Look<'_>, P, Q) -> views::Result<View> + Clone + Send + Sync + 'static,
) -> MethodRouter<App>
where
    P: DeserializeOwned + Send + 'static,
    Q: DeserializeOwned + Send + 'static,
{
    let handler = move |State(app): State<App>, call: Call, Path(path): Path<P>, OriginalUri(uri): OriginalUri| {
        let show = show.clone();
        async move {
            let wrong = |why: axum::extract::rejection::QueryRejection| {
                Problem::usage(why.body_text(), "go back, and follow a link of the page")
            };
            let Query(Common { only }) = Query::try_from_uri(&uri).map_err(wrong)?;
            let Query(query) = Query::<Q>::try_from_uri(&uri).map_err(wrong)?;
            let here = here(&app, &uri);
            let (access, base, caller) = (call.access().clone(), app.options().base_path.clone(), call.clone());
            let page = call.ask(move |store, live| {
                let now = store.clock().now();
                let look = Look { store, live, access: &access, base: &base, here: &here, now };
                show(&caller, &look, path, query).map(|view| match &view.elsewhere {
                    Some(to) => Err(look.link(to)),
                    None => Ok(frame::page(&look, &view, only.as_deref())),
                })
            });
            page.await.map(|page| match page {
                Ok(page) => document(page),
                Err(to) => Redirect::to(&to).into_response(),
            })
        }
    };
    named(NAME, get(handler))
}

/// A script or style: what has its digest in its name never changes.
async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response> {
    let missing = || Problem::new(ErrorKind::NotFound, "there is no such file of the page").hint("reload the page");
    let Asset { media_type, content, packed, .. } = assets::named(&name).ok_or_else(missing)?;
    let is_packed = takes_gzip(&headers);
    let body = if is_packed { Body::from(packed.as_slice()) } else { Body::from(*content) };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
        // Of a worker: it talks to this server alone.
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; connect-src 'self'")),
    ];
    let encoding = is_packed.then_some([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
    Ok((headers, encoding.map(HeaderMap::from_iter).unwrap_or_default(), body).into_response())
}
