//! What people do with notifications: create, list, show, test, pause, resume, delete; deliveries, and sending one again.
//!
//! Each function takes the handle of a store and keeps to its access: only an administrator changes notifications, and nobody sees one that
//! tells what they may not see. Such a notification does not exist for them.

use std::time::Duration;

use answers::status::Need;
use jiff::tz::TimeZone;
use repos::access::{RepoGlobs, Role};
use repos::tokens::Tokens;
use repos::{RepoError, Store};
use specs::{NotificationName, nearest};

use crate::compose::Composer;
use crate::definition::{Creator, Definition, FORMAT};
use crate::folder::{Folder, Log, gone};
use crate::message::{Message, Outcome};
use crate::queue::{Line, State};
use crate::quiet::{QuietHours, QuietHoursError};
use crate::rule::Rule;
use crate::secret::Secret;
use crate::target::{Style, Target};
use crate::view::{
    CreatedNotification, DeliveryView, NotificationState, NotificationView, TestView, notification_view,
};

/// How long messages are also signed with the secret before, after it was rotated.
const OVERLAP: Duration = Duration::from_hours(24);
/// Notifications of a store: each reads the journal by itself.
const MOST: usize = 100;
/// Rules of a notification.
const MOST_RULES: usize = 50;

/// A notification to create.
#[derive(Debug, Clone)]
pub struct NewNotification {
    /// Its name.
    pub name: NotificationName,
    /// What it is about, as text; at least one rule.
    pub on: Vec<String>,
    /// Who is told: `https://…` or `mailto:…`.
    pub to: String,
    /// The form of what a webhook gets: `json`, `slack` or `teams`; `None`: as its host expects.
    pub style: Option<String>,
    /// Whether the target may be on this machine or its networks.
    pub allow_private: bool,
    /// The repositories that it may tell of; none for all that its creator may see.
    pub repos: Vec<String>,
    /// What happens within this time is one message.
    pub digest: Option<specs::Duration>,
    /// When nothing is sent: `22:00-07:00[Europe/Berlin]`.
    pub quiet_hours: Option<String>,
    /// The zone of quiet hours that name none.
    pub zone: Option<TimeZone>,
    /// Who creates it.
    pub by: String,
}

fn usage(what: String, hint: Option<String>) -> RepoError {
    RepoError::Usage { what, hint }
}

/// Creates a notification: from the present end of the journal on, it tells what happens.
///
/// `Usage` for what is not a rule, a target, a glob or hours; `Conflict` if the name is taken; `Refused` without the right.
pub fn create(store: &Store, new: NewNotification) -> Result<CreatedNotification, RepoError> {
    ensure_admin(store)?;
    if new.allow_private && store.access().is_some_and(|access| !access.is_unlimited()) {
        let what = "a target on this machine or its networks needs an administrator of the whole store".to_owned();
        return Err(RepoError::Refused { what, hint: Some("leave out --allow-private".to_owned()) });
    }
    let definition = definition(store, new)?;
    let secret = match &definition.to {
        Target::Webhook { secrets, .. } => secrets.first().map(Secret::reveal),
        Target::Mail { .. } => None,
    };
    let folder = Folder::of(store);
    let lock = folder.lock()?;
    let names = folder.names()?;
    if names.contains(&definition.name) {
        let name = &definition.name;
        let hint = Some(format!("pv notify delete {name}, or use another name"));
        return Err(RepoError::Conflict { what: format!("notification `{name}` already exists"), hint });
    }
    if names.len() >= MOST {
        let hint = Some("one notification can have several rules: --on may be repeated".to_owned());
        return Err(RepoError::Conflict { what: format!("a store has at most {MOST} notifications"), hint });
    }
    let state = State { records: store.position().records, ..State::default() };
    folder.begin(&definition.name, state.clone(), &lock)?;
    folder.keep(&definition, &lock)?;
    Ok(CreatedNotification { secret, view: notification_view(store, &definition, &state, None) })
}

fn definition(store: &Store, new: NewNotification) -> Result<Definition, RepoError> {
    if new.on.is_empty() || new.on.len() > MOST_RULES {
        return Err(usage(format!("a notification has 1 to {MOST_RULES} rules"), Some("--on 'job failed'".to_owned())));
    }
    let rule = |text: &String| text.parse::<Rule>().map_err(|error| usage(error.to_string(), Some(error.hint())));
    let mut on = new.on.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    on.dedup();
    let style = new.style.map(|style| style.parse::<Style>());
    let style = style.transpose().map_err(|error| usage(error.to_string(), error.hint()))?;
    let to =
        Target::parse(&new.to, style, new.allow_private).map_err(|error| usage(error.to_string(), error.hint()))?;
    let repos = if new.repos.is_empty() { Ok(RepoGlobs::all()) } else { RepoGlobs::parse(&new.repos) };
    let repos = repos.map_err(|error| usage(error.to_string(), Some("--repo images, or --repo 'cam*'".to_owned())))?;
    let hours = new.quiet_hours.map(|text| QuietHours::parse(&text, new.zone.as_ref())).transpose();
    let quiet_hours = hours.map_err(|error| usage(error.to_string(), Some(QuietHoursError::HINT.to_owned())))?;
    if new.digest.is_some_and(|digest| digest.get().is_zero()) {
        return Err(usage(
            "a digest of no time collects nothing".to_owned(),
            Some("--digest 10m, or leave it out".to_owned()),
        ));
    }
    let definition = Definition {
        format: FORMAT,
        name: new.name,
        on,
        to,
        repos,
        digest: new.digest,
        quiet_hours,
        created_at: store.clock().now(),
        created_by: new.by,
        creator: Creator::of(store.access()),
    };
    ensure_may_see(store, &definition)?;
    Ok(definition)
}

/// Refuses rules about repositories that would never tell anything: misspelt ones, and those that are not visible.
fn ensure_may_see(store: &Store, definition: &Definition) -> Result<(), RepoError> {
    for repo in definition.on.iter().filter_map(Rule::repo) {
        store.repo(repo)?;
        if !definition.repos.fit(repo) {
            let what = format!("`{repo}` is not among the repositories that it may tell of: `{}`", definition.repos);
            return Err(usage(what, Some(format!("--repo {repo}, besides the others"))));
        }
    }
    Ok(())
}

fn ensure_admin(store: &Store) -> Result<(), RepoError> {
    match store.access() {
        Some(access) if access.role < Role::Admin => Err(RepoError::Refused {
            what: format!("`{}` is a {}: only an admin may change notifications", access.who, access.role),
            hint: Some("ask an administrator of this store for a token with more rights".to_owned()),
        }),
        Some(_) | None => Ok(()),
    }
}

/// All notifications that are visible, by name.
pub fn list(store: &Store) -> Result<Vec<NotificationView>, RepoError> {
    let folder = Folder::of(store);
    let mut views = Vec::new();
    for name in folder.names()? {
        match show(store, &name) {
            Ok(view) => views.push(view),
            // Deleted meanwhile, or not visible.
            Err(error) if error.kind() == specs::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(views)
}

/// A notification as it is now.
pub fn show(store: &Store, name: &NotificationName) -> Result<NotificationView, RepoError> {
    let (definition, log) = open(store, name)?;
    let held = definition.held_by(&Tokens::of(&store.whole()), store.clock().now())?;
    Ok(notification_view(store, &definition, log.state(), held))
}

/// Notifications that need somebody: their targets fail, or they send nothing for another reason that nobody asked for. `is_served`: whether
/// a process of this store sends notifications.
pub fn needs(store: &Store, is_served: bool) -> Result<Vec<Need>, RepoError> {
    Ok(list(store)?.into_iter().filter_map(|view| need(view, is_served)).collect())
}

fn need(view: NotificationView, is_served: bool) -> Option<Need> {
    let NotificationView { name, state, why, to, .. } = view;
    let why = why.unwrap_or_default();
    let (what, commands) = match state {
        NotificationState::Failing => {
            (format!("cannot be delivered to {to}: {why}"), vec![format!("pv notify deliveries {name}")])
        }
        NotificationState::Ended => (
            format!("{to} wants no messages any more: {why}"),
            vec![format!("pv notify resume {name}"), format!("pv notify delete {name}")],
        ),
        NotificationState::Held => (why, vec![format!("pv notify delete {name}")]),
        NotificationState::Active if !is_served => {
            ("nothing sends it: no pv serve is running".to_owned(), vec!["pv serve".to_owned()])
        }
        NotificationState::Active | NotificationState::Paused => return None,
    };
    Some(Need { notification: Some(name), what, commands, ..Need::default() })
}

/// The definition and the log of a visible notification.
fn open(store: &Store, name: &NotificationName) -> Result<(Definition, Log), RepoError> {
    let folder = Folder::of(store);
    let found = folder.find(name)?.filter(|definition| definition.is_seen_by(store.access()));
    let Some(definition) = found else { return Err(not_found(store, &folder, name)?) };
    let mut log = Log::of(&folder, &definition);
    log.refresh()?;
    Ok((definition, log))
}

/// The same error for one that does not exist and one that is not visible.
fn not_found(store: &Store, folder: &Folder, name: &NotificationName) -> Result<RepoError, RepoError> {
    let mut names = Vec::new();
    for known in folder.names()? {
        let is_seen = folder.find(&known)?.is_some_and(|definition| definition.is_seen_by(store.access()));
        names.extend(is_seen.then(|| known.to_string()));
    }
    let similar = nearest(name.as_str(), names.iter().map(String::as_str));
    let hint = similar.map_or_else(|| "pv notify list".to_owned(), |name| format!("did you mean `{name}`?"));
    Ok(RepoError::NotFound { what: format!("notification `{name}` not found"), hint: Some(hint) })
}

fn open_to_change(store: &Store, name: &NotificationName) -> Result<(Definition, Log), RepoError> {
    let opened = open(store, name)?;
    ensure_admin(store)?;
    Ok(opened)
}

/// Sends nothing from now on; what happens meanwhile is told when it is resumed.
pub fn pause(store: &Store, name: &NotificationName) -> Result<NotificationView, RepoError> {
    let (definition, mut log) = open_to_change(store, name)?;
    let at = store.clock().now();
    let line = |state: &State| if state.paused_at.is_none() { vec![Line::Paused { at }] } else { Vec::new() };
    log.change(|state| Ok(((), line(state))))?;
    Ok(notification_view(store, &definition, log.state(), None))
}

/// Goes on, also after its target had ended it. `skip`: without what happened meanwhile and was not yet found.
pub fn resume(store: &Store, name: &NotificationName, skip: bool) -> Result<NotificationView, RepoError> {
    let (definition, mut log) = open_to_change(store, name)?;
    let (at, end) = (store.clock().now(), store.position().records);
    log.change(|_| Ok(((), vec![Line::Resumed { at, records: skip.then_some(end) }])))?;
    let held = definition.held_by(&Tokens::of(&store.whole()), at)?;
    Ok(notification_view(store, &definition, log.state(), held))
}

/// Deletes a notification with all that is known of its deliveries.
pub fn delete(store: &Store, name: &NotificationName) -> Result<(), RepoError> {
    open_to_change(store, name)?;
    let folder = Folder::of(store);
    let lock = folder.lock()?;
    if folder.find(name)?.is_none() {
        return Err(gone(name));
    }
    folder.remove(name, &lock)
}

/// Gives a webhook a new secret, which is returned; for 24 hours messages are signed with the one before too.
pub fn rotate_secret(store: &Store, name: &NotificationName) -> Result<CreatedNotification, RepoError> {
    open_to_change(store, name)?;
    let folder = Folder::of(store);
    let lock = folder.lock()?;
    let Some(mut definition) = folder.find(name)? else { return Err(gone(name)) };
    let secret = definition.to.rotate(store.clock().now(), OVERLAP).map(Secret::reveal);
    let Some(secret) = secret else {
        let what = format!("notification `{name}` sends mail, which has no secret");
        return Err(usage(what, Some("pv notify list shows who is told".to_owned())));
    };
    folder.keep(&definition, &lock)?;
    drop(lock);
    Ok(CreatedNotification { secret: Some(secret), view: show(store, name)? })
}

/// The deliveries of a notification, newest first.
pub fn deliveries(store: &Store, name: &NotificationName) -> Result<Vec<DeliveryView>, RepoError> {
    let (_, log) = open(store, name)?;
    Ok(log.state().deliveries.iter().rev().map(DeliveryView::from).collect())
}

/// Sends a delivery again, with the same id; one that was sent with others, together with these. `NotFound` if none has this id, or only one
/// that is not kept any more.
pub fn redeliver(store: &Store, id: &str) -> Result<DeliveryView, RepoError> {
    let folder = Folder::of(store);
    for name in folder.names()? {
        let (_, log) = match open(store, &name) {
            Err(error) if error.kind() == specs::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        let Some(found) = log.state().find(id) else { continue };
        let id = found.part_of.clone().unwrap_or_else(|| id.to_owned());
        let (_, mut log) = open_to_change(store, &name)?;
        let at = store.clock().now();
        log.change(|_| Ok(((), vec![Line::Again { id: id.clone(), at }])))?;
        if let Some(delivery) = log.state().find(&id) {
            return Ok(delivery.into());
        }
    }
    let hint = Some("pv notify deliveries NAME lists those that are kept".to_owned());
    Err(RepoError::NotFound { what: format!("delivery `{}` not found", id.escape_debug()), hint })
}

/// A message that says that messages arrive, and its target.
pub struct Test {
    message: Message,
    target: Target,
}

/// Prepares a test of a notification.
pub fn test(store: &Store, name: &NotificationName) -> Result<Test, RepoError> {
    let (definition, _) = open_to_change(store, name)?;
    let seen = definition.sight(&store.whole())?;
    let message = Composer { store: &seen, name }.test(store.clock().now());
    Ok(Test { message, target: definition.to })
}

impl Test {
    /// Sends it once.
    pub async fn send(self, carrier: &dyn crate::runner::Carrier) -> TestView {
        let outcome: Outcome = carrier.send(&self.target, &self.message).await;
        TestView::of(self.message.id, outcome)
    }
}
