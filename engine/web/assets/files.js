// Files: uploads that go on after a cut, dropping files and folders, keys in grids and between files, pictures that there are not.

const at = (id) => document.getElementById(id);
const wait = (ms, signal) => new Promise((done) => {
  setTimeout(done, ms);
  signal.addEventListener("abort", done, { once: true });
});
const size = (bytes) => {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 999.5 && unit < 4) { bytes /= 1000; unit++; }
  return (unit && bytes < 9.95 ? bytes.toFixed(1) : Math.round(bytes)) + " " + units[unit];
};

// ── Uploads ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
// Bytes of all files, one after the other, go in parts to an upload of the API. Its id is kept, so that a later tab goes on with the same
// files. Nothing is said to be done before the server has answered the commit.

const MOST_FILES = 10000;
const LISTED = 200;
const NOT_TAKEN = " Files that come while an upload is running are not taken: send them afterwards.";
let running = null; // the AbortController of the upload that runs
let note = ""; // said besides, until that upload ends

const kept = {
  key: () => "pv upload " + at("upload-form").dataset.key,
  read() { try { return JSON.parse(localStorage.getItem(this.key())); } catch { return null; } },
  write(value) { try { localStorage.setItem(this.key(), JSON.stringify(value)); } catch { /* then a closed tab begins anew */ } },
  drop() { try { localStorage.removeItem(this.key()); } catch { /* as above */ } },
};

const tell = (text, isProblem) => {
  at("upload-list").hidden = false;
  const state = at("upload-state");
  state.textContent = text + note;
  state.className = isProblem ? "problem" : "";
};

class Refused extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

// One request. Throws Refused with what the server says, or something else if there was no whole answer.
async function ask(method, url, body, headers = {}) {
  const json = body && !(body instanceof Blob);
  const response = await fetch(url, {
    method,
    body: json ? JSON.stringify(body) : body,
    headers: json ? { "content-type": "application/json", ...headers } : headers,
    signal: running.signal,
  });
  if (response.ok) return response.json();
  const answer = await response.json().catch(() => ({}));
  const hint = answer.hint ? " – " + answer.hint : "";
  throw new Refused(response.status, (answer.detail || "the server answered " + response.status) + hint);
}

// Whether to try again: of conflicts, some pass (another tab sends too), others do not.
const passes = (error, tried) => !(error instanceof Refused) || (error.status === 409 && tried < 6)
  || [401, 408, 429, 502, 503, 504, 507].includes(error.status);

// Repeats a step until it is done, longer and longer apart; gives up only on what will not pass, or when somebody cancels.
async function persist(step) {
  for (let tried = 0; ; tried++) {
    try {
      return await step(tried);
    } catch (error) {
      if (running.signal.aborted || !passes(error, tried) || error.isFile) throw error;
      const seconds = Math.min(30, 2 ** tried) * (0.75 + Math.random() / 2);
      tell(`Cut off (${error instanceof Refused ? error.message : "no answer"}). Trying again in ${Math.ceil(seconds)} s.`);
      await wait(seconds * 1000, running.signal);
      if (running.signal.aborted) throw error;
    }
  }
}

// The pieces of files that are the bytes from `from` on, without reading them.
function part(files, from, length) {
  const pieces = [];
  let start = 0;
  for (const { file, path } of files) {
    const first = Math.max(from - start, 0), last = Math.min(from + length - start, file.size);
    if (first < last) pieces.push({ path, bytes: file.slice(first, last) });
    start += file.size;
    if (start >= from + length) break;
  }
  return pieces;
}

// A file that changed or went away cannot be read any more: that is no cut.
async function ensureReadable(pieces) {
  for (const { path, bytes } of pieces) {
    await bytes.slice(0, 1).arrayBuffer().catch(() => {
      throw Object.assign(new Error(`${path} cannot be read any more: it was changed or removed`), { isFile: true });
    });
  }
}

// Commits. Only if every try was refused (4xx) is it certain that nothing was committed; it cannot be cancelled.
async function commit(url, message, key) {
  at("upload-cancel").hidden = true;
  let isUnsure = false;
  await persist(() => ask("POST", url, { message }, { "idempotency-key": key }).catch((error) => {
    isUnsure ||= !(error.status < 500);
    throw Object.assign(error, { isUnsure });
  }));
}

async function transfer(files, message) {
  const { begin, uploads, done } = at("upload-form").dataset;
  const total = files.reduce((sum, { file }) => sum + file.size, 0);
  const same = JSON.stringify(files.map(({ path, file }) => [path, file.size, file.lastModified]));
  const rows = list(files);
  let session = kept.read();
  if (session?.same !== same) session = null;
  const open = async () => {
    const view = session
      ? await ask("GET", `${uploads}/${session.id}`).catch((error) => { if (error.status === 404) return null; throw error; })
      : null;
    if (view) return view;
    const fresh = await ask("POST", begin, { files: files.map(({ path, file }) => ({ path, size_bytes: file.size })) });
    session = { id: fresh.id, same, files: files.length, total };
    kept.write(session);
    return fresh;
  };
  let { offset, part_bytes } = await persist(open);
  while (offset < total) {
    show(rows, offset, total);
    offset = (await persist(async (tried) => {
      if (tried) {
        await ensureReadable(part(files, offset, part_bytes));
        offset = (await open()).offset;
      }
      if (offset >= total) return { offset };
      const bytes = part(files, offset, part_bytes).map((piece) => piece.bytes);
      return ask("PUT", `${uploads}/${session.id}/parts/${offset}`, new Blob(bytes));
    })).offset;
  }
  show(rows, total, total);
  tell("Everything is there. Committing …");
  await commit(`${uploads}/${session.id}/commit`, message, "page " + session.id);
  kept.drop();
  tell(`Committed ${files.length} ${files.length === 1 ? "file" : "files"}.`);
  running = null;
  location.assign(done);
}

function list(files) {
  const ul = at("upload-list").querySelector("ul");
  let end = 0;
  const rows = files.slice(0, LISTED).map(({ path, file }) => {
    const li = document.createElement("li");
    li.textContent = `${path} · ${size(file.size)}`;
    return { li, end: (end += file.size) };
  });
  ul.replaceChildren(...rows.map(({ li }) => li));
  if (files.length > LISTED) ul.append(Object.assign(document.createElement("li"), { textContent: `and ${files.length - LISTED} more` }));
  return rows;
}

function show(rows, offset, total) {
  at("upload-progress").value = total ? (100 * offset) / total : 100;
  tell(`${size(offset)} of ${size(total)} are there.`);
  for (const { li, end } of rows) li.toggleAttribute("data-sent", end <= offset);
}

async function upload(chosen) {
  const form = at("upload-form");
  if (!form) return;
  if (running) {
    if (!note) at("upload-state").append(note = NOT_TAKEN);
    return;
  }
  if (!chosen.length) return tell("Choose files or a folder first.", true);
  if (chosen.length > MOST_FILES) return tell(`At most ${MOST_FILES} files at a time: send more with pv put, or as several folders.`, true);
  const directory = "/" + form.elements["-directory"].value.split("/").filter(Boolean).join("/");
  const files = chosen.map(({ name, file }) => ({ path: (directory === "/" ? "/" : directory + "/") + name, file }));
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  running = new AbortController();
  at("upload-cancel").hidden = false;
  form.toggleAttribute("data-busy", true);
  try {
    await transfer(files, form.elements["-message"].value);
  } catch (error) {
    if (running?.signal.aborted) tell("Cancelled. Nothing was committed.", true);
    else if (error.isUnsure) tell(`It is not known whether it was committed: look at the branch. (${error.message})`, true);
    else tell(`Nothing was committed: ${error.message}`, true);
  } finally {
    running = null;
    note = "";
    at("upload-cancel").hidden = true;
    form.removeAttribute("data-busy");
  }
}

async function giveUp() {
  const session = kept.read();
  running?.abort();
  kept.drop();
  if (session) fetch(`${at("upload-form").dataset.uploads}/${session.id}`, { method: "DELETE" }).catch(() => {});
  if (!running) at("upload-list").hidden = true;
}

// What an earlier tab left undone.
async function remind() {
  const form = at("upload-form"), session = form && kept.read();
  if (!session || running) return;
  const response = await fetch(`${form.dataset.uploads}/${session.id}`).catch(() => null);
  const view = response?.ok ? await response.json().catch(() => null) : null;
  if (running) return;
  if (response?.status === 404) return kept.drop();
  if (!view) return;
  at("upload-progress").value = view.size_bytes ? (100 * view.offset) / view.size_bytes : 100;
  tell(`An upload of ${session.files} files was cut off at ${size(view.offset)} of ${size(view.size_bytes)}. Choose or drop the same files to go on.`);
}

const named = (input) => [...input.files].map((file) => ({ name: file.webkitRelativePath || file.name, file }));

document.addEventListener("submit", (event) => {
  if (event.target.id !== "upload-form") return;
  event.preventDefault();
  const { file, folder } = event.target.elements;
  upload([...named(file), ...named(folder)]);
});
document.addEventListener("click", (event) => { if (event.target.id === "upload-cancel") giveUp(); });
addEventListener("beforeunload", (event) => { if (running) event.preventDefault(); });

// ── Dropping ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async function below(entry, path, into) {
  if (entry.isFile) {
    into.push({ name: path + entry.name, file: await new Promise((done, failed) => entry.file(done, failed)) });
    return;
  }
  const reader = entry.createReader();
  for (;;) { // it gives a part of the entries each time
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return;
    for (const one of some) await below(one, `${path}${entry.name}/`, into);
    if (into.length > MOST_FILES) return;
  }
}

const drops = (event) => at("upload-form") && event.dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!drops(event)) return;
  event.preventDefault();
  at("upload-form").toggleAttribute("data-over", true);
});
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) at("upload-form")?.removeAttribute("data-over"); });
document.addEventListener("drop", async (event) => {
  if (!drops(event)) return;
  event.preventDefault();
  at("upload-form").removeAttribute("data-over");
  // The entries have to be taken before anything is awaited.
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const into = [];
  try {
    for (const entry of entries) await below(entry, "", into);
  } catch (error) {
    return tell(`This cannot be read: ${error.message}`, true);
  }
  at("upload-form").scrollIntoView({ block: "nearest" });
  upload(into);
});

// ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || !event.key.startsWith("Arrow")) return;
  const link = event.target.closest(".grid a");
  if (link) {
    const all = [...link.closest(".grid").querySelectorAll("a")], here = all.indexOf(link);
    const top = all[0].offsetTop, row = all.findIndex((one) => one.offsetTop !== top);
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: row < 0 ? 0 : -row, ArrowDown: row < 0 ? 0 : row }[event.key];
    event.preventDefault();
    return all[here + by]?.focus();
  }
  if (event.target.closest("input, textarea, select, audio, video, [tabindex='0'], summary")) return;
  const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  const to = rel && document.querySelector(`nav.links a[rel=${rel}]`);
  if (to) { event.preventDefault(); to.click(); }
});

// ── Pictures that there are not ──────────────────────────────────────────────────────────────────────────────────────────────────────

async function explain(image) {
  if (!image.matches(".grid img, .image img")) return;
  const none = Object.assign(document.createElement("span"), { className: "none", textContent: "no picture" });
  image.replaceWith(none);
  if (!image.src.includes("/pictures/")) return void (none.textContent = "this browser cannot show it");
  const problem = await fetch(image.src).then((response) => (response.ok ? null : response.json())).catch(() => null);
  if (problem?.detail) none.textContent = problem.detail.replace(/^there is no picture: /, "");
}
document.addEventListener("error", (event) => { if (event.target.tagName === "IMG") explain(event.target); }, true);

function look() {
  for (const image of document.querySelectorAll(".grid img, .image img")) {
    if (image.complete && image.src && !image.naturalWidth) explain(image);
  }
}
document.addEventListener("pv:updated", look);
look();
remind();
