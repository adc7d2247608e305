//! All notifications of a store at work, with a carrier that a test writes.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use repos::Store;
use tokio::sync::{mpsc, watch};

use super::new;
use super::setting::Setting;
use crate::manage::{create, delete, deliveries, pause, resume};
use crate::message::{Message, Outcome};
use crate::queue::DeliveryState;
use crate::runner::{Carrier, run};
use crate::target::Target;

/// Longer than anything here takes; a test that gets there fails.
const LONG: Duration = Duration::from_mins(1);

/// Carries messages as a test says: by the target's address.
#[derive(Debug)]
struct Scripted {
    /// What the next messages to a target come to, the last first; then they hang. To all others, they are delivered.
    outcomes: Mutex<HashMap<String, Vec<Outcome>>>,
    sent: mpsc::UnboundedSender<(String, Message)>,
}

impl Carrier for Scripted {
    fn send<'a>(
        &'a self,
        target: &'a Target,
        message: &'a Message,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        let address = target.to_string();
        let next = self.outcomes.lock().unwrap().get_mut(&address).map(Vec::pop);
        self.sent.send((address, message.clone())).ok();
        Box::pin(async move {
            match next {
                None => Outcome::Delivered,
                Some(Some(outcome)) => outcome,
                Some(None) => std::future::pending().await,
            }
        })
    }
}

/// Runs the notifications of a store.
struct Runs {
    sent: mpsc::UnboundedReceiver<(String, Message)>,
    carrier: Arc<Scripted>,
    stop: watch::Sender<bool>,
    running: tokio::task::JoinHandle<()>,
}

impl Runs {
    fn start(store: &Store, outcomes: &[(&str, Vec<Outcome>)]) -> Self {
        let outcomes = outcomes.iter().map(|(to, outcomes)| ((*to).to_owned(), outcomes.clone())).collect();
        let (sends, sent) = mpsc::unbounded_channel();
        let carrier = Arc::new(Scripted { outcomes: Mutex::new(outcomes), sent: sends });
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(run(store.clone(), carrier.clone(), stopped));
        Self { sent, carrier, stop, running }
    }

    /// The next message that is sent, and to whom.
    async fn next(&mut self) -> (String, Message) {
        tokio::time::timeout(LONG, self.sent.recv()).await.expect("a message").unwrap()
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        tokio::time::timeout(LONG, self.running).await.expect("it ends").unwrap();
    }
}

fn to(name: &str, address: &str) -> crate::manage::NewNotification {
    crate::manage::NewNotification { to: address.to_owned(), ..new(name, &["new file /** in images"]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_target_holds_up_no_other() {
    let s = Setting::new();
    s.repo("images");
    let (dead, good) = ("https://dead.example.com/x", "https://good.example.com/x");
    create(&s.store, to("dead", dead)).unwrap();
    create(&s.store, to("good", good)).unwrap();
    let mut runs = Runs::start(&s.store, &[(dead, Vec::new())]);
    for number in 0..3 {
        s.put("images", [(format!("/{number}").as_str(), Some("1"))]);
    }
    let (mut to_good, mut to_dead) = (Vec::new(), 0);
    while to_good.len() < 3 || to_dead < 1 {
        let (address, message) = runs.next().await;
        if address == good { to_good.push(message.subject) } else { to_dead += 1 }
    }
    assert_eq!(to_good, [0, 1, 2].map(|number| format!("new file /{number} in images@main")));
    assert_eq!(to_dead, 1, "the first one hangs");
    assert_eq!(runs.carrier.outcomes.lock().unwrap().len(), 1);
    runs.running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_before_a_stop_is_not_sent_again_and_the_rest_is() {
    let s = Setting::new();
    s.repo("images");
    let address = "https://one.example.com/x";
    create(&s.store, to("one", address)).unwrap();
    s.put("images", [("/a", Some("1"))]);
    let mut runs = Runs::start(&s.store, &[]);
    assert_eq!(runs.next().await.1.subject, "new file /a in images@main");
    runs.stop().await;
    let states: Vec<_> = deliveries(&s.store, &"one".parse().unwrap()).unwrap().iter().map(|one| one.state).collect();
    assert_eq!(states, [DeliveryState::Delivered], "the outcome is noted before the end");
    s.put("images", [("/b", Some("1"))]);
    let mut runs = Runs::start(&s.store, &[]);
    assert_eq!(runs.next().await.1.subject, "new file /b in images@main");
    runs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_created_paused_resumed_or_deleted_meanwhile_is_so_at_once() {
    let s = Setting::new();
    s.repo("images");
    let (first, second) = ("https://first.example.com/x", "https://second.example.com/x");
    let mut runs = Runs::start(&s.store, &[]);
    create(&s.store, to("one", first)).unwrap();
    s.put("images", [("/a", Some("1"))]);
    assert_eq!(runs.next().await.0, first);
    pause(&s.store, &"one".parse().unwrap()).unwrap();
    create(&s.store, to("two", second)).unwrap();
    s.put("images", [("/b", Some("1"))]);
    assert_eq!(runs.next().await.0, second);
    resume(&s.store, &"one".parse().unwrap(), false).unwrap();
    let (address, message) = runs.next().await;
    assert_eq!((address.as_str(), message.subject.as_str()), (first, "new file /b in images@main"));
    delete(&s.store, &"one".parse().unwrap()).unwrap();
    s.put("images", [("/c", Some("1"))]);
    assert_eq!(runs.next().await.0, second);
    runs.stop().await;
}
