// Keeps what is shown up to date: when something happens to what a region follows, it is fetched again and changed in place.
const { base, worker, at } = document.body.dataset;
const stale = document.getElementById('stale');
const LEAST = 250; // ms between two updates
const SHARE = 8; // an update that takes 1 ms is followed by a rest of 8,
const WAIT = 4; // and one that the server takes 1 ms for by a rest of 4

const live = () => [...document.querySelectorAll('section[data-follows], section[data-every]')];
const pending = new Set(), seen = new Map(), updated = new Map();
let say = () => {};
let state = 'new', since = Date.now(), busy = false, isGone = false, timer = 0, next = 0, fails = 0;

// Until when the page is what it shows, and why not longer.
function tell(why, link) {
  if (!why) {
    stale.hidden = true;
    stale.replaceChildren();
    return;
  }
  const time = new Date(since).toLocaleTimeString('sv');
  stale.replaceChildren(`Not updated since ${time}: ${why}`);
  if (link) {
    const a = Object.assign(document.createElement('a'), { href: link, target: '_blank', textContent: 'Log in in a new tab' });
    stale.append(' ', a, '; this page then goes on by itself.');
  }
  stale.hidden = false;
}

function became(next, at) {
  const before = state;
  [state, since] = [next, at];
  if (state === before) return;
  if (state === 'away') tell('the server does not answer. This page goes on by itself when it does.');
  if (state === 'over') {
    const here = location.pathname.slice(base.length) + location.search;
    tell('your session has ended.', `${base}/login?next=${encodeURIComponent(here)}`);
  }
  if (state === 'ok') {
    fails = 0;
    tell();
    schedule();
  }
}

function want(names) {
  for (const region of live()) {
    const follows = region.dataset.follows?.split(' ') ?? [];
    if (!names || follows.some((name) => names.has(name))) pending.add(region.id);
  }
  schedule();
}

function schedule() {
  if (busy || timer || document.hidden || state !== 'ok' || !pending.size) return;
  timer = setTimeout(update, Math.max(0, next - performance.now()));
}

async function update() {
  timer = 0;
  if (busy || document.hidden || state !== 'ok') return;
  const ids = [...pending];
  pending.clear();
  ids.forEach((id) => updated.set(id, Date.now()));
  busy = true;
  const begun = performance.now();
  let rest = LEAST;
  try {
    const only = `${location.search ? `${location.search}&` : '?'}only=${ids.join(',')}`;
    const answer = await fetch(location.pathname + only, { headers: { accept: 'text/html' }, cache: 'no-store', redirect: 'error' });
    if (answer.status === 401) {
      became('over', since);
      say({ check: true });
      throw 0;
    }
    isGone = answer.status === 403 || answer.status === 404;
    if (isGone) {
      tell('what it shows is not there any more, or not for you.');
      return;
    }
    if (!answer.ok) throw 0;
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const got = performance.now();
    ids.forEach((id) => change(id, fresh.getElementById(id)));
    rest = Math.max(LEAST, SHARE * (performance.now() - got), WAIT * (got - begun));
    since = Date.now();
    fails = 0;
    if (!stale.hidden) tell();
  } catch {
    ids.forEach((id) => pending.add(id));
    rest = Math.min(30_000, 1000 * 2 ** fails++) * (0.8 + 0.4 * Math.random());
    if (fails === 3 && state === 'ok') {
      tell('the server does not answer as it should. This page tries again.');
      say({ check: true });
    }
  } finally {
    busy = false;
    next = begun + rest;
    schedule();
  }
}

function change(id, fresh) {
  const old = document.getElementById(id);
  if (!old || !fresh || seen.get(id) === fresh.outerHTML) return;
  seen.set(id, fresh.outerHTML);
  Idiomorph.morph(old, fresh, { morphStyle: 'outerHTML', ignoreActiveValue: true, callbacks: { beforeNodeMorphed, beforeAttributeUpdated } });
  document.dispatchEvent(new CustomEvent('pv:updated', { detail: document.getElementById(id) }));
}

// What people did stays: what they typed and chose, and elements that say so.
function beforeNodeMorphed(old) {
  if (!(old instanceof Element)) return true;
  if (old.hasAttribute('data-keep')) return false;
  if (old.matches('input[type=checkbox], input[type=radio]')) return old.checked === old.defaultChecked;
  if (old.matches('input, textarea')) return old.value === old.defaultValue || old.type === 'hidden';
  return !old.matches('select') || isAsSent([...old.options]);
}

function isAsSent(options) {
  const sent = options.filter((one) => one.defaultSelected);
  if (!sent.length && options.length) sent.push(options[0]);
  return options.every((one) => one.selected === sent.includes(one));
}

// What they opened too.
function beforeAttributeUpdated(name, element) {
  return !(name === 'open' && element.matches('details, dialog'));
}

// The stream: of a shared worker, or of a worker of the one tab that holds the lock, which passes it on.
function connect(hear) {
  if (window.SharedWorker) {
    const { port } = new SharedWorker(worker, { name: 'pv' });
    port.onmessage = ({ data }) => hear(data);
    return (words) => port.postMessage(words);
  }
  const channel = window.BroadcastChannel && navigator.locks ? new BroadcastChannel(`pv ${base}`) : null;
  let own = null, first = null;
  const lead = () => {
    own = new Worker(worker, { name: 'pv' });
    own.onmessage = ({ data }) => { hear(data); channel?.postMessage({ told: data }); };
    if (first) own.postMessage({ ...first, shown: true });
    return new Promise(() => {});
  };
  // Tabs that are hidden keep what they hear to themselves, so the leader always counts as shown.
  const pass = ({ shown, bye, ...words }) => own && !bye && own.postMessage({ ...words, shown: true });
  if (!channel) {
    lead();
    return pass;
  }
  channel.onmessage = ({ data: { told, said } }) => { told ? hear(told) : pass(said); };
  navigator.locks.request(`pv ${base}`, lead);
  return (words) => {
    if (words.hello) first = words;
    own ? pass(words) : channel.postMessage({ said: words });
  };
}

function begin() {
  say = connect(({ state: now, since: at, names, all }) => {
    if (now) became(now, at);
    if (all) want(null);
    if (names) want(new Set(names));
  });
  const hello = () => say({ hello: true, base, at: at === undefined ? null : Number(at), shown: !document.hidden });
  hello();
  addEventListener('pagehide', () => say({ bye: true }));
  addEventListener('pageshow', ({ persisted }) => { if (persisted) hello(); });
  document.addEventListener('visibilitychange', () => { say({ shown: !document.hidden }); schedule(); });
  setInterval(() => {
    if (isGone || document.hidden || state !== 'ok') return;
    for (const { id, dataset } of live()) {
      if (dataset.every && Date.now() - (updated.get(id) ?? begun) >= dataset.every * 1000) pending.add(id);
    }
    schedule();
  }, 500);
}

const begun = Date.now();
if (live().length) begin();
