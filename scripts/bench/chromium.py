"""Chromium without a window, driven over its pipe: what a page costs in a browser."""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time

from measure import Failed

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless=new --remote-debugging-pipe --no-sandbox --no-first-run --disable-gpu --disable-dev-shm-usage --disable-extensions "
    "--disable-background-networking --disable-component-update --disable-sync --disable-breakpad --hide-scrollbars"
).split()
PATIENCE = 120  # seconds


class Chromium:
    """The browser; tabs share what it remembers."""

    def __init__(self, to, answers):
        self.to, self.numbers, self.heard = to, itertools.count(1), threading.Condition()
        self.answers, self.events, self.is_over = {}, [], False
        threading.Thread(target=self.listen, args=(answers,), daemon=True).start()

    def listen(self, answers):
        """Messages are JSON, each with a zero byte at its end."""
        rest = b""
        while piece := os.read(answers, 1 << 16):
            *whole, rest = (rest + piece).split(b"\0")
            with self.heard:
                for message in map(json.loads, whole):
                    if "id" in message:
                        self.answers[message["id"]] = message
                    else:
                        self.events.append(message)
                self.heard.notify_all()
        with self.heard:
            self.is_over = True
            self.heard.notify_all()

    def wait(self, what, look):
        with self.heard:
            if not self.heard.wait_for(lambda: self.is_over or look() is not None, PATIENCE) or self.is_over:
                raise Failed(f"this did not happen in the browser: {what}")
            return look()

    def call(self, method, session=None, **params):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        os.write(self.to, json.dumps(message).encode() + b"\0")
        answer = self.wait(method, lambda: self.answers.get(number))
        if "error" in answer:
            raise Failed(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def tab(self):
        # In a window of its own: a tab behind another is hidden, and a hidden page rests.
        target = self.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        return Tab(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def renderers(self):
        """Seconds of CPU that all processes of pages have taken."""
        processes = self.call("SystemInfo.getProcessInfo")["processInfo"]
        return sum(process["cpuTime"] for process in processes if process["type"] == "renderer")


class Tab:
    """One tab."""

    def __init__(self, browser, session):
        self.browser, self.session = browser, session
        self.call("Page.enable")

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def open(self, url):
        """Opens an address and waits until it is loaded."""
        mark = len(self.browser.events)
        if why := self.call("Page.navigate", url=url).get("errorText"):
            raise Failed(f"{url}: {why}")
        self.loaded(mark, url)

    def loaded(self, mark, what):
        def is_loaded():
            events = self.browser.events[mark:]
            return next((e for e in events if e.get("sessionId") == self.session and e["method"] == "Page.loadEventFired"), None)

        self.browser.wait(f"{what} is loaded", is_loaded)

    def value(self, script):
        """What an expression is, once its promise is kept."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise Failed(f"{script[:80]}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def until(self, what, script):
        """Waits until an expression holds; looks at each frame."""
        deadline = time.monotonic() + PATIENCE
        while not self.value(script):
            if time.monotonic() > deadline:
                raise Failed(f"not in the page: {what}")
            time.sleep(0.01)

    def log_in(self, url, token):
        """Logs in by the form, as people do."""
        self.open(f"{url}/login")
        mark = len(self.browser.events)
        self.value(f"document.querySelector('[name=token]').value = {json.dumps(token)}; document.querySelector('[name=token]').form.requestSubmit(); 0")
        self.loaded(mark, "the page after the login")


@contextlib.contextmanager
def running():
    """A browser with a profile of its own."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if not program:
        raise Failed("no Chromium (`scripts/setup.sh page`)")
    # It reads commands from descriptor 3 and writes answers to 4.
    words = ["sh", "-c", 'exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1', program, *OPTIONS]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        child = subprocess.Popen([*words, f"--user-data-dir={profile}", "about:blank"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        try:
            yield Chromium(child.stdin.fileno(), child.stdout.fileno())
        finally:
            child.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(10)
            child.kill()
            child.wait()
