//! Notifications: what is told to whom, and what became of it.

use ::notifications::{
    CreatedNotification, DeliveryView, NewNotification, NotificationView, QuietHours, Rule, TestView,
};
use ::repos::access::{RepoGlobs, Role};
use schemars::JsonSchema;
use serde::Deserialize;
use specs::{Duration, NotificationName};

use crate::caller::Call;
use crate::keyed::AfterCrash;
use crate::operation::{Operation, delete, get, post};
use crate::parts::{Answer, Created, Done, Json, Path, Query};
use crate::problem::Result;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/notifications", ("listNotifications", "List notifications"), all),
        post("/notifications", ("createNotification", "Create a notification; its secret is shown only now"), create)
            .needs(Role::Admin)
            .after_crash(AfterCrash::Secret),
        get("/notifications/{notification}", ("showNotification", "Show a notification"), show),
        delete("/notifications/{notification}", ("deleteNotification", "Delete a notification"), remove)
            .needs(Role::Admin)
            .after_crash(AfterCrash::Ask),
        post("/notifications/{notification}/test", ("testNotification", "Send a test message now"), test)
            .needs(Role::Admin)
            .after_crash(AfterCrash::Ask),
        post("/notifications/{notification}/pause", ("pauseNotification", "Pause a notification"), pause)
            .needs(Role::Admin)
            .after_crash(AfterCrash::Repeat),
        post("/notifications/{notification}/resume", ("resumeNotification", "Resume a notification"), resume)
            .needs(Role::Admin)
            .after_crash(AfterCrash::Ask),
        post(
            "/notifications/{notification}/rotate-secret",
            ("rotateNotificationSecret", "Give a webhook a new secret, which is shown only now"),
            rotate,
        )
        .needs(Role::Admin)
        .after_crash(AfterCrash::Secret),
        get(
            "/notifications/{notification}/deliveries",
            ("listDeliveries", "List the messages of a notification, newest first"),
            deliveries,
        ),
        post("/deliveries/{delivery}/redeliver", ("redeliver", "Send a message again, with the same id"), redeliver)
            .needs(Role::Admin)
            .after_crash(AfterCrash::Ask),
    ]
}

/// A notification.
#[derive(Debug, Deserialize, JsonSchema)]
struct Of {
    /// Its name.
    notification: NotificationName,
}

/// A message.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfDelivery {
    /// Its id.
    delivery: String,
}

/// A notification to create.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ToCreate {
    /// Its name.
    name: NotificationName,
    /// What it is about.
    #[schemars(extend("minItems" = 1))]
    on: Vec<Rule>,
    /// Who is told: the URL of a webhook, or `mailto:` and addresses with commas between.
    #[schemars(extend("format" = "pv-notify-target"))]
    to: String,
    /// The form of what a webhook gets: `json`, `slack` or `teams`; absent: as its host expects.
    #[serde(default)]
    style: Option<String>,
    /// Whether the target may be on the machine of the store or its networks.
    #[serde(default)]
    allow_private: bool,
    /// The repositories that it may tell of, as globs; absent: all that the token covers.
    #[serde(default)]
    repos: Option<RepoGlobs>,
    /// What happens within this time is one message, such as `10m`.
    #[serde(default)]
    digest: Option<Duration>,
    /// When nothing is sent.
    #[serde(default)]
    quiet_hours: Option<QuietHours>,
}

async fn all(call: Call) -> Result<Answer<Vec<NotificationView>>> {
    call.ask(|store, _| ::notifications::list(store)).await.map(Answer)
}

async fn create(call: Call, Json(new): Json<ToCreate>) -> Result<Created<CreatedNotification>> {
    let by = call.access().who.clone();
    let created = call.change(move |store| {
        let new = NewNotification {
            name: new.name,
            on: new.on.iter().map(ToString::to_string).collect(),
            to: new.to,
            style: new.style,
            allow_private: new.allow_private,
            repos: new.repos.map(Vec::from).unwrap_or_default(),
            digest: new.digest,
            quiet_hours: new.quiet_hours.as_ref().map(ToString::to_string),
            zone: None,
            by,
        };
        ::notifications::create(store, new)
    });
    created.await.map(Created)
}

async fn show(call: Call, Path(of): Path<Of>) -> Result<Answer<NotificationView>> {
    call.ask(move |store, _| ::notifications::show(store, &of.notification)).await.map(Answer)
}

async fn remove(call: Call, Path(of): Path<Of>) -> Result<Done> {
    call.change(move |store| ::notifications::delete(store, &of.notification)).await?;
    Ok(Done)
}

async fn test(call: Call, Path(of): Path<Of>) -> Result<Answer<TestView>> {
    let carrier = call.carrier()?;
    let test = call.ask(move |store, _| ::notifications::test(store, &of.notification)).await?;
    Ok(Answer(test.send(&*carrier).await))
}

async fn pause(call: Call, Path(of): Path<Of>) -> Result<Answer<NotificationView>> {
    call.change(move |store| ::notifications::pause(store, &of.notification)).await.map(Answer)
}

/// How to go on.
#[derive(Debug, Deserialize, JsonSchema)]
struct How {
    /// Without what happened meanwhile.
    #[serde(default)]
    skip: bool,
}

async fn resume(call: Call, Path(of): Path<Of>, Query(how): Query<How>) -> Result<Answer<NotificationView>> {
    call.change(move |store| ::notifications::resume(store, &of.notification, how.skip)).await.map(Answer)
}

async fn rotate(call: Call, Path(of): Path<Of>) -> Result<Answer<CreatedNotification>> {
    call.change(move |store| ::notifications::rotate_secret(store, &of.notification)).await.map(Answer)
}

async fn deliveries(call: Call, Path(of): Path<Of>) -> Result<Answer<Vec<DeliveryView>>> {
    call.ask(move |store, _| ::notifications::deliveries(store, &of.notification)).await.map(Answer)
}

async fn redeliver(call: Call, Path(of): Path<OfDelivery>) -> Result<Answer<DeliveryView>> {
    call.change(move |store| ::notifications::redeliver(store, &of.delivery)).await.map(Answer)
}
