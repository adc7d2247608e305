//! What happened in a tab: requests, errors, violations of the policy.

use serde_json::Value;

use super::wire::Event;

/// Schemes of what no server is asked for.
const WITHIN: [&str; 4] = ["data:", "about:", "chrome:", "chrome-extension:"];

/// What happened in a tab in some time.
#[derive(Debug, Default)]
pub struct Seen {
    /// What was asked for, in order.
    pub requests: Vec<Request>,
    /// What scripts and the browser complained about.
    pub errors: Vec<String>,
    /// What the policy of a page forbade.
    pub violations: Vec<String>,
    /// Windows that scripts opened: `alert` and its like.
    pub dialogs: Vec<String>,
    /// Addresses that became the page, within one page too.
    pub addresses: Vec<String>,
    frame: String,
}

/// A request of a page.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Its number, which redirections share.
    id: String,
    frame: String,
    /// Its whole address.
    pub url: String,
    /// Its method.
    pub method: String,
    /// `Document`, `Script`, `Fetch`, `EventSource` and so on.
    pub kind: String,
    /// The status of the answer; 0 if none came.
    pub status: u64,
}

impl Seen {
    /// What these events say about a page and what it holds. `frame`: the page's own frame.
    pub(super) fn of(events: &[Event], frame: &str) -> Self {
        let mut seen = Self { frame: frame.to_owned(), ..Self::default() };
        for event in events {
            seen.take(&event.method, &event.params);
        }
        seen
    }

    fn take(&mut self, method: &str, params: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match method {
            "Network.requestWillBeSent" => {
                if params["redirectResponse"].is_object() {
                    self.answered(&text(&params["requestId"]), &params["redirectResponse"]);
                }
                let request = &params["request"];
                let (url, method) = (text(&request["url"]), text(&request["method"]));
                let (id, kind) = (text(&params["requestId"]), text(&params["type"]));
                let frame = text(&params["frameId"]);
                self.requests.push(Request { id, frame, url, method, kind, status: 0 });
            }
            "Network.responseReceived" => self.answered(&text(&params["requestId"]), &params["response"]),
            "Network.webSocketCreated" => {
                let kind = "WebSocket".to_owned();
                self.requests.push(Request { url: text(&params["url"]), kind, ..Request::default() });
            }
            "Runtime.exceptionThrown" => self.errors.push(params["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" if ["error", "warning", "assert"].contains(&&*text(&params["type"])) => {
                self.errors.push(params["args"].to_string());
            }
            "Log.entryAdded" if ["error", "warning"].contains(&&*text(&params["entry"]["level"])) => {
                let entry = &params["entry"];
                self.errors.push(format!(
                    "{}: {} {}",
                    text(&entry["source"]),
                    text(&entry["text"]),
                    text(&entry["url"])
                ));
            }
            "Audits.issueAdded" if text(&params["issue"]["code"]) == "ContentSecurityPolicyIssue" => {
                self.violations.push(params["issue"]["details"]["contentSecurityPolicyIssueDetails"].to_string());
            }
            "Page.javascriptDialogOpening" => self.dialogs.push(text(&params["message"])),
            "Page.frameNavigated" if params["frame"]["parentId"].is_null() => {
                self.addresses.push(text(&params["frame"]["url"]));
            }
            "Page.navigatedWithinDocument" => self.addresses.push(text(&params["url"])),
            _ => {}
        }
    }

    fn answered(&mut self, id: &str, response: &Value) {
        if let Some(request) = self.requests.iter_mut().rev().find(|request| request.id == id) {
            request.status = response["status"].as_u64().unwrap_or(0);
        }
    }

    /// The status of the newest page.
    pub fn status(&self) -> u64 {
        let is_page = |request: &&Request| request.kind == "Document" && request.frame == self.frame;
        self.requests.iter().rev().find(is_page).map_or(0, |request| request.status)
    }

    /// What was asked of anything but this origin. Data in the page itself is none, nor are the browser's own pages, such as its viewer
    /// of PDF.
    pub fn elsewhere(&self, origin: &str) -> Vec<&Request> {
        let is_own = |url: &str| {
            let rest = url.strip_prefix(origin).or_else(|| url.strip_prefix("blob:")?.strip_prefix(origin));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let is_within = |url: &str| WITHIN.iter().any(|scheme| url.starts_with(scheme));
        self.requests.iter().filter(|request| !is_own(&request.url) && !is_within(&request.url)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_of_the_origin_is_elsewhere() {
        let event = |id: &str, url: &str| Event {
            session: String::new(),
            method: "Network.requestWillBeSent".to_owned(),
            params: json!({ "requestId": id, "frameId": "f", "type": "Document", "request": { "url": url, "method": "GET" } }),
        };
        let own = ["http://localhost:1/", "http://localhost:1", "blob:http://localhost:1/x", "data:text/plain,x"];
        let others =
            ["http://localhost:12/", "https://localhost:1/", "http://localhost:1.evil.example/", "blob:null/x"];
        let events: Vec<Event> =
            own.iter().chain(&others).enumerate().map(|(at, url)| event(&at.to_string(), url)).collect();
        let seen = Seen::of(&events, "f");
        let elsewhere: Vec<&str> = seen.elsewhere("http://localhost:1").iter().map(|request| &*request.url).collect();
        assert_eq!(elsewhere, others);
        assert_eq!(seen.status(), 0);
    }
}
