//! A tab: what people do in it, and what they see.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::seen::Seen;
use super::wire::Wire;
use super::{PATIENCE, keys};

/// Tallest part of a page in a picture, in pixels.
const TALLEST: f64 = 6000.0;

/// Before any script of a page: windows that block it become complaints.
const BEFORE: &str = "for (const name of ['alert', 'confirm', 'prompt']) {
    window[name] = text => { console.error(`${name}: ${text}`); window.__pwned = text; return null };
}";

/// How pages are to look, as people ask their system for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// Light on dark.
    pub is_dark: bool,
    /// The system's few colours instead of the page's.
    pub is_forced: bool,
    /// Nothing moves.
    pub is_still: bool,
}

/// A tab. All of it panics if something does not happen in time.
#[derive(Debug)]
pub struct Tab {
    wire: Wire,
    session: String,
    target: String,
    /// Where it began to be looked at.
    mark: usize,
}

impl Tab {
    pub(super) fn new(wire: &Wire, context: Option<&str>) -> Self {
        let mut wanted = json!({ "url": "about:blank" });
        if let Some(context) = context {
            wanted["browserContextId"] = context.into();
        }
        let made = wire.call("", "Target.createTarget", &wanted);
        let target = made["targetId"].as_str().expect("a tab has an id").to_owned();
        let joined = wire.call("", "Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        let session = joined["sessionId"].as_str().expect("a session has an id").to_owned();
        let tab = Self { wire: wire.clone(), session, target, mark: wire.mark() };
        for domain in ["Page", "Runtime", "Network", "Log", "Audits"] {
            tab.call(&format!("{domain}.enable"), &json!({}));
        }
        tab.call("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": BEFORE }));
        tab.call("Emulation.setFocusEmulationEnabled", &json!({ "enabled": true }));
        tab
    }

    fn call(&self, method: &str, params: &Value) -> Value {
        self.wire.call(&self.session, method, params)
    }

    /// Goes to an address; returns the status of the answer, 0 if there is none.
    pub fn open(&self, url: &str) -> u64 {
        let mark = self.wire.mark();
        self.arrive(url, || _ = self.call("Page.navigate", &json!({ "url": url })));
        Seen::of(&self.wire.events(&self.session, mark), &self.target).status()
    }

    /// Loads the page again; returns the status of the answer.
    pub fn reload(&self) -> u64 {
        let mark = self.wire.mark();
        self.arrive("a reload", || _ = self.call("Page.reload", &json!({})));
        Seen::of(&self.wire.events(&self.session, mark), &self.target).status()
    }

    /// Goes back by so many pages, or forward.
    pub fn go(&self, pages: i64) {
        self.arrive("the way back", || {
            let history = self.call("Page.getNavigationHistory", &json!({}));
            let at = history["currentIndex"].as_i64().unwrap_or(0) + pages;
            let entry = usize::try_from(at).ok().and_then(|at| history["entries"][at]["id"].as_i64());
            let entry = entry.expect("there is a page to go back to");
            self.call("Page.navigateToHistoryEntry", &json!({ "entryId": entry }));
        });
    }

    /// Does something that leads to another page, and waits until it is loaded.
    pub fn arrive(&self, what: &str, how: impl FnOnce()) {
        let mark = self.wire.mark();
        how();
        self.wire.event(&self.session, mark, what, |event| match &*event.method {
            "Page.frameNavigated" => event.params["frame"]["id"] == *self.target,
            "Page.navigatedWithinDocument" => event.params["frameId"] == *self.target,
            _ => false,
        });
        self.until("a page that is loaded", "document.readyState === 'complete'");
    }

    /// The address of the page.
    pub fn address(&self) -> String {
        self.text("location.href")
    }

    /// The value of an expression, after it has been awaited.
    pub fn value(&self, expression: &str) -> Value {
        self.try_value(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    fn try_value(&self, expression: &str) -> Result<Value, String> {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let mut answer = self.wire.try_call(&self.session, "Runtime.evaluate", &params)?;
        if answer["exceptionDetails"].is_object() {
            return Err(answer["exceptionDetails"].to_string());
        }
        Ok(answer["result"]["value"].take())
    }

    /// The value of an expression that is a text.
    pub fn text(&self, expression: &str) -> String {
        self.value(expression).as_str().unwrap_or_default().to_owned()
    }

    /// The value of an expression that is a number.
    pub fn number(&self, expression: &str) -> f64 {
        self.value(expression).as_f64().unwrap_or(f64::NAN)
    }

    /// Whether an expression is true.
    pub fn holds(&self, expression: &str) -> bool {
        self.value(&format!("Boolean({expression})")) == true
    }

    /// Waits until an expression is true, over pages that come and go; returns how long it took.
    pub fn until(&self, what: &str, expression: &str) -> Duration {
        let start = Instant::now();
        // A page that goes takes the question with it.
        while self.try_value(&format!("Boolean({expression})")) != Ok(true.into()) {
            assert!(start.elapsed() < PATIENCE, "not in the page: {what}\n{}", self.shown());
            std::thread::sleep(Duration::from_millis(20));
        }
        start.elapsed()
    }

    /// The text that the page shows.
    pub fn shown(&self) -> String {
        self.text("document.body.innerText")
    }

    /// Clicks the first element that a selector finds and that shows something, in its middle.
    pub fn click(&self, selector: &str) {
        self.click_on(&format!("[...document.querySelectorAll({})].find(shows)", json!(selector)), selector);
    }

    /// Clicks the first link, button or summary with these words: rather exactly these than among others, rather in the content than
    /// around it.
    pub fn press_on(&self, words: &str) {
        let found = format!(
            "(() => {{
                const words = one => (one.innerText || one.value || '').trim();
                const all = [...document.querySelectorAll('a, button, summary, label, input[type=submit]')].filter(shows);
                const likely = one => 2 * (words(one) === {words}) + Boolean(one.closest('main'));
                return all.filter(one => words(one).includes({words})).sort((one, other) => likely(other) - likely(one))[0];
            }})()",
            words = json!(words)
        );
        self.click_on(&found, words);
    }

    /// Whether there is something to press on with these words.
    pub fn offers(&self, words: &str) -> bool {
        self.holds(&format!(
            "[...document.querySelectorAll('a, button, summary, label, input[type=submit]')]
                .some(one => (one.innerText || one.value || '').trim().includes({}))",
            json!(words)
        ))
    }

    fn click_on(&self, find: &str, what: &str) {
        let place = self.value(&format!(
            "(() => {{
                const shows = one => one.getClientRects().length > 0;
                const one = {find};
                if (!one) return null;
                one.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                const place = one.getClientRects()[0];
                return [place.x + place.width / 2, place.y + place.height / 2];
            }})()"
        ));
        assert!(place.is_array(), "nothing to click on: {what}\n{}", self.shown());
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    /// Sets the focus to an element and writes a text as if it were typed.
    pub fn write(&self, selector: &str, text: &str) {
        let is_there = self
            .holds(&format!("document.querySelector({0})?.focus() ?? document.querySelector({0})", json!(selector)));
        assert!(is_there, "nothing to write into: {selector}\n{}", self.shown());
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Presses a key: `Tab`, `Shift+Tab`, `Control+k`, `?`.
    pub fn key(&self, name: &str) {
        let (down, up) = keys::pressed(name);
        self.call("Input.dispatchKeyEvent", &down);
        self.call("Input.dispatchKeyEvent", &up);
    }

    /// Chooses files, or a folder, for an input.
    pub fn choose(&self, selector: &str, files: &[&Path]) {
        let object = self.object(&format!("document.querySelector({})", json!(selector)));
        self.call("DOM.setFileInputFiles", &json!({ "files": files, "objectId": object }));
    }

    fn object(&self, expression: &str) -> String {
        let found = self.call("Runtime.evaluate", &json!({ "expression": expression }));
        let object = found["result"]["objectId"].as_str();
        object.unwrap_or_else(|| panic!("not in the page: {expression}\n{}", self.shown())).to_owned()
    }

    /// Drags files, or a folder, over an element and drops them there.
    pub fn drop_on(&self, selector: &str, files: &[&Path]) {
        let place = self.value(&format!(
            "(() => {{ const one = document.querySelector({}); one.scrollIntoView({{ block: 'center' }});
                const place = one.getBoundingClientRect(); return [place.x + place.width / 2, place.y + place.height / 2] }})()",
            json!(selector)
        ));
        let data = json!({ "items": [], "files": files, "dragOperationsMask": 1 });
        for kind in ["dragEnter", "dragOver", "drop"] {
            let event = json!({ "type": kind, "x": place[0], "y": place[1], "data": data });
            self.call("Input.dispatchDragEvent", &event);
        }
    }

    /// Has pages look like this from now on.
    pub fn look(&self, look: Look) {
        let one = |is: bool, yes: &str, no: &str| if is { yes.to_owned() } else { no.to_owned() };
        let features = json!([
            { "name": "prefers-color-scheme", "value": one(look.is_dark, "dark", "light") },
            { "name": "forced-colors", "value": one(look.is_forced, "active", "none") },
            { "name": "prefers-reduced-motion", "value": one(look.is_still, "reduce", "no-preference") },
        ]);
        self.call("Emulation.setEmulatedMedia", &json!({ "media": "", "features": features }));
    }

    /// Shows pages without colours, as some people, and printers, see them; or with them again.
    pub fn greyscale(&self, is_grey: bool) {
        let kind = if is_grey { "achromatopsia" } else { "none" };
        self.call("Emulation.setEmulatedVisionDeficiency", &json!({ "type": kind }));
    }

    /// The size of the window, in pixels of a page, each of which is `zoom` pixels of the screen.
    pub fn resize(&self, width: u32, height: u32, zoom: f64) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": zoom, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// The page as PNG, down to its end.
    pub fn picture(&self) -> Vec<u8> {
        let size = self.call("Page.getLayoutMetrics", &json!({}));
        let (width, height) =
            (&size["cssContentSize"]["width"], size["cssContentSize"]["height"].as_f64().unwrap_or(1.0));
        self.taken(&json!({ "x": 0, "y": 0, "width": width, "height": height.min(TALLEST), "scale": 1 }))
    }

    /// The first element that a selector finds, as PNG: what is seen in its place.
    pub fn picture_of(&self, selector: &str) -> Vec<u8> {
        let place = self.value(&format!(
            "(place => place && {{ x: place.x + scrollX, y: place.y + scrollY, width: place.width, height: place.height, scale: 1 }})
                (document.querySelector({})?.getBoundingClientRect())",
            json!(selector)
        ));
        assert!(place.is_object(), "nothing to take a picture of: {selector}\n{}", self.shown());
        self.taken(&place)
    }

    /// A part of the page as PNG.
    fn taken(&self, clip: &Value) -> Vec<u8> {
        let wanted = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let taken = self.call("Page.captureScreenshot", &wanted);
        bytes_of(taken["data"].as_str().unwrap_or_default())
    }

    /// Has the network take no more than so many bytes a second to the server; 0 for no limit.
    pub fn slow_down(&self, bytes_per_second: u32) {
        let up = if bytes_per_second == 0 { -1 } else { i64::from(bytes_per_second) };
        let limits = json!({ "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": up });
        self.call("Network.emulateNetworkConditions", &limits);
    }

    /// Does not check the policy of pages: for tools that are put into one.
    pub fn without_policy(&self) {
        self.call("Page.setBypassCSP", &json!({ "enabled": true }));
    }

    /// Runs no script of pages from now on.
    pub fn without_scripts(&self) {
        self.call("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    }

    /// The names of all cookies of this site, also of those that no script sees.
    pub fn cookies(&self) -> Vec<String> {
        let kept = self.call("Network.getCookies", &json!({}));
        let kept = kept["cookies"].as_array().map(Vec::as_slice).unwrap_or_default();
        kept.iter().filter_map(|cookie| cookie["name"].as_str().map(str::to_owned)).collect()
    }

    /// Forgets all cookies.
    pub fn forget(&self) {
        self.call("Network.clearBrowserCookies", &json!({}));
    }

    /// All that happened since this was last asked.
    pub fn seen(&mut self) -> Seen {
        let (from, to) = (self.mark, self.wire.mark());
        self.mark = to;
        Seen::of(&self.wire.events(&self.session, from), &self.target)
    }

    /// Closes it.
    pub fn close(self) {
        self.wire.call("", "Target.closeTarget", &json!({ "targetId": self.target }));
    }
}

pub(super) fn bytes_of(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).expect("base64")
}
