//! The protocol of the browser: commands and answers as JSON, each with a zero byte at its end, over two pipes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use serde_json::{Value, json};

use super::PATIENCE;

/// A connection to a browser; copies are the same connection.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    input: Arc<Mutex<(Option<ChildStdin>, u64)>>,
    heard: Arc<(Mutex<Heard>, Condvar)>,
}

/// What the browser said.
#[derive(Debug, Default)]
struct Heard {
    answers: HashMap<u64, Value>,
    events: Vec<Event>,
    is_over: bool,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// The tab or worker where it happened.
    pub(super) session: String,
    pub(super) method: String,
    pub(super) params: Value,
}

impl Wire {
    pub(super) fn new(input: ChildStdin, output: ChildStdout) -> Self {
        let heard = Arc::<(Mutex<Heard>, Condvar)>::default();
        let to = heard.clone();
        std::thread::spawn(move || {
            let (state, changed) = &*to;
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let Ok(message) = serde_json::from_slice(&message) else { continue };
                take(&mut state.lock().expect("no panic under this lock"), message);
                changed.notify_all();
            }
            state.lock().expect("no panic under this lock").is_over = true;
            changed.notify_all();
        });
        Self { input: Arc::new(Mutex::new((Some(input), 0))), heard }
    }

    /// Gives a command to a tab, or to the browser for an empty session, and waits for the answer.
    ///
    /// # Panics
    /// If it fails.
    pub(super) fn call(&self, session: &str, method: &str, params: &Value) -> Value {
        self.try_call(session, method, params).unwrap_or_else(|error| panic!("{method} {params}: {error}"))
    }

    /// Like [`Self::call`]; fails with what the browser says.
    pub(super) fn try_call(&self, session: &str, method: &str, params: &Value) -> Result<Value, String> {
        let id = self.send(session, method, params);
        let mut answer = self.wait(method, |heard| heard.answers.remove(&id));
        if answer["error"].is_object() { Err(answer["error"].to_string()) } else { Ok(answer["result"].take()) }
    }

    fn send(&self, session: &str, method: &str, params: &Value) -> u64 {
        let mut input = self.input.lock().expect("no panic under this lock");
        let (pipe, last) = &mut *input;
        *last += 1;
        let mut command = json!({ "id": *last, "method": method, "params": params });
        if !session.is_empty() {
            command["sessionId"] = session.into();
        }
        let bytes = [command.to_string().as_bytes(), b"\0"].concat();
        let pipe = pipe.as_mut().expect("the browser was not closed");
        pipe.write_all(&bytes).and_then(|()| pipe.flush()).expect("the browser runs");
        *last
    }

    /// How many events there were: those from here on are new.
    pub(super) fn mark(&self) -> usize {
        self.lock().events.len()
    }

    /// Events of a session since a mark.
    pub(super) fn events(&self, session: &str, mark: usize) -> Vec<Event> {
        self.lock().events[mark..].iter().filter(|event| event.session == session).cloned().collect()
    }

    /// Waits for an event of a session since a mark.
    pub(super) fn event(&self, session: &str, mark: usize, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
        self.wait(what, |heard| {
            heard.events[mark..].iter().find(|event| event.session == session && is_it(event)).cloned()
        })
    }

    fn wait<T>(&self, what: &str, mut look: impl FnMut(&mut Heard) -> Option<T>) -> T {
        let (mut found, mut is_over) = (None, false);
        let looks = |heard: &mut Heard| {
            found = look(heard);
            is_over = heard.is_over;
            found.is_none() && !is_over
        };
        drop(self.heard.1.wait_timeout_while(self.lock(), PATIENCE, looks).expect("no panic under this lock"));
        assert!(found.is_some() || !is_over, "the browser has ended before {what}");
        found.unwrap_or_else(|| panic!("this did not happen in the browser: {what}"))
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.0.lock().expect("no panic under this lock")
    }

    /// Closes the pipe, so that the browser ends.
    pub(super) fn close(&self) {
        if let Ok(mut input) = self.input.lock() {
            input.0 = None;
        }
    }
}

fn take(heard: &mut Heard, mut message: Value) {
    if let Some(id) = message["id"].as_u64() {
        heard.answers.insert(id, message);
        return;
    }
    let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
    let (session, method) = (text("sessionId"), text("method"));
    heard.events.push(Event { session, method, params: message["params"].take() });
}
