// A log that is followed: asks for its end once a second while it is open, visible and at its end. The server sends at most 500 lines, so
// the document stays small. Scrolling up stops it; the button goes on.
const EVERY = 1000;
const LONGEST = 30_000; // between two tries
let paused = false, fails = 0;

const lines = () => document.getElementById("log-follow");
const atEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 60;

function say(text, canResume, ...link) {
  const state = document.getElementById("log-state");
  const again = document.getElementById("log-again");
  if (state && state.firstChild?.data !== text) state.replaceChildren(text, ...link);
  if (again) again.hidden = !canResume;
}

// Why there is nothing new.
function explain(status) {
  if (status === 401) {
    const { base } = document.body.dataset;
    const here = location.pathname.slice(base.length) + location.search;
    const a = Object.assign(document.createElement("a"), { target: "_blank", textContent: "Log in in a new tab" });
    a.href = `${base}/login?next=${encodeURIComponent(here)}`;
    say("Your session has ended. ", false, a, "; this page then goes on by itself.");
  } else if (status === 403 || status === 404) {
    say("This log is not there any more, or not for you; it is asked for again.", false);
  } else {
    say(`The server ${status >= 400 ? `answered ${status}` : "does not answer"}; it is asked again.`, false);
  }
}

async function look() {
  if (!lines()?.hasAttribute("data-follow")) return;
  if (!paused && !document.hidden) await refresh();
  setTimeout(look, Math.min(LONGEST, EVERY * 2 ** fails));
}

async function refresh() {
  const address = new URL(location.href);
  address.hash = "";
  address.searchParams.set("only", "lines");
  const answer = await fetch(address, { headers: { accept: "text/html" } }).catch(() => null);
  const text = answer?.ok ? await answer.text().catch(() => null) : null;
  fails = text === null ? fails + 1 : 0;
  if (paused) return;
  if (text === null) return explain(answer?.status);
  const now = lines();
  const news = new DOMParser().parseFromString(text, "text/html").getElementById("log-follow");
  if (!now || !news) return;
  const isOpen = news.hasAttribute("data-follow");
  if (now.innerHTML !== news.innerHTML) {
    now.replaceChildren(...news.childNodes);
    scrollTo(0, document.documentElement.scrollHeight);
  }
  now.toggleAttribute("data-follow", isOpen);
  say(isOpen ? "Following. Scroll up to stop." : "It has ended.", false);
}

addEventListener("scroll", () => {
  if (!lines()?.hasAttribute("data-follow")) return;
  if (!paused && !atEnd()) {
    paused = true;
    say("Stopped here, since you scrolled up.", true);
  } else if (paused && atEnd()) {
    paused = false;
    say("Following. Scroll up to stop.", false);
  }
}, { passive: true });

document.addEventListener("click", (event) => {
  if (event.target.id !== "log-again") return;
  paused = false;
  scrollTo(0, document.documentElement.scrollHeight);
  say("Following. Scroll up to stop.", false);
});

if (lines()?.hasAttribute("data-follow")) {
  scrollTo(0, document.documentElement.scrollHeight);
  look();
}
