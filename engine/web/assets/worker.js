// One stream of events for all tabs of a browser: a shared worker, or the worker of one tab, which passes on what it hears.
// A tab says {hello, base, at, shown}, {shown}, {check} or {bye}. It hears {state, since} and {names}, {all}: what has happened.
const tabs = new Map();
const LONGEST = 30_000; // between two tries
const QUIET = 40_000; // the server says something every 15 s
const GATHERED = 100; // so long events are gathered for a tab
const MANY = 200; // beyond so many names a tab looks at everything
const TOLD = new Set(['repo', 'pipeline', 'run', 'job', 'jobs', 'id', 'key']);

let base, stream, timer, tries = 0;
let last = null; // id of the last event
let heard = Date.now();
let state = 'new';

function become(next) {
  state = next;
  for (const port of tabs.keys()) port.postMessage({ state, since: heard });
}

// What an event is about: names of repositories, pipelines and settings, ids of runs and jobs.
function namesIn(value, key, found) {
  if (typeof value === 'string') {
    if (TOLD.has(key)) for (const name of [value, ...value.split('@')]) found.add(name);
  } else if (Array.isArray(value)) {
    for (const one of value) namesIn(one, key, found);
  } else if (value) {
    for (const [name, of] of Object.entries(value)) namesIn(of, name, found);
  }
  return found;
}

function flush(port, tab) {
  clearTimeout(tab.timer);
  tab.timer = 0;
  if (!tab.shown || !(tab.all || tab.names.size)) return;
  port.postMessage(tab.all ? { all: true } : { names: [...tab.names] });
  tab.all = false;
  tab.names.clear();
}

function happened(names) {
  for (const [port, tab] of tabs) {
    if (!tab.all) for (const name of names) tab.names.add(name);
    if (tab.names.size > MANY) {
      tab.all = true;
      tab.names.clear();
    }
    if (tab.shown) tab.timer ||= setTimeout(flush, GATHERED, port, tab);
  }
}

function hear(block) {
  let id, data = '';
  for (const line of block.split('\n')) {
    if (line.startsWith('id: ')) id = Number(line.slice(4));
    if (line.startsWith('data: ')) data += line.slice(6);
  }
  if (id) last = id;
  if (data) happened(namesIn(JSON.parse(data), '', new Set(['*'])));
}

async function listen(stop) {
  const headers = { accept: 'text/event-stream' };
  if (last !== null) headers['last-event-id'] = last;
  const options = { headers, signal: stop.signal, cache: 'no-store', redirect: 'error' };
  const answer = await fetch(`${base}/api/v1/events?progress=true`, options);
  if (answer.status === 401) return 'over';
  if (!answer.ok || !answer.headers.get('content-type')?.startsWith('text/event-stream')) {
    // Another store, perhaps: everything is asked for once.
    if (answer.status < 500 && answer.status !== 429) last = null;
    return 'away';
  }
  const missed = last === null && state !== 'new';
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const wasAway = state === 'away' || state === 'over';
  let text = '', isFirst = true;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return 'ended';
    heard = Date.now();
    if (isFirst) {
      // Also to tabs that think otherwise.
      become('ok');
      if (wasAway || missed) for (const [port, tab] of tabs) { tab.all = true; flush(port, tab); }
    }
    isFirst = false;
    tries = 0;
    const blocks = (text + value).split('\n\n');
    text = blocks.pop();
    blocks.forEach(hear);
  }
}

async function follow() {
  clearTimeout(timer);
  if (stream) return;
  const stop = stream = new AbortController();
  const end = await listen(stop).catch(() => (stop.signal.reason === 'check' ? 'ended' : 'away'));
  stream = null;
  // A stream that ends is begun again; only if that fails is anything stale.
  if (end !== 'ended') become(end);
  const wait = Math.min(LONGEST, 1000 * 2 ** tries++) * (0.8 + 0.4 * Math.random());
  timer = setTimeout(follow, end === 'over' ? LONGEST : wait);
}

setInterval(() => { if (stream && Date.now() - heard > QUIET) stream.abort(); }, 5_000);

function attend(port, said) {
  if (said.bye) {
    tabs.delete(port);
    return;
  }
  // A tab that is left says goodbye, and then that it is hidden.
  if (!said.hello && !tabs.has(port)) return;
  const tab = tabs.get(port) ?? { names: new Set(), all: false, shown: true, timer: 0 };
  tabs.set(port, tab);
  if (said.shown !== undefined) tab.shown = said.shown;
  if (said.hello) {
    base = said.base;
    last ??= said.at;
    if (said.at !== null && last > said.at) tab.all = true;
    if (state !== 'new') port.postMessage({ state, since: heard });
  }
  // A page that was just loaded shows that the server is there, and perhaps a new session.
  if (said.hello || said.check) {
    if (state !== 'ok') tries = Math.min(tries, 1);
    if (said.check && state === 'ok') stream?.abort('check');
    follow();
  }
  flush(port, tab);
}

self.onconnect = ({ ports: [port] }) => { port.onmessage = ({ data }) => attend(port, data); };
if (!('SharedWorkerGlobalScope' in self)) self.onmessage = ({ data }) => attend(self, data);
