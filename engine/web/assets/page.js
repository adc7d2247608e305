// What all pages do: keys, and times as people want to read them.
const { base } = document.body.dataset;
const PLACES = { h: '', g: 'graph', r: 'repos', p: 'pipelines', u: 'runs' };
const search = document.getElementById('search');

// Keys.
const isTyping = (element) => element.closest?.('input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]');
let begun = 0; // when `g` was pressed

function move(step) {
  const rows = [...document.querySelectorAll('main tbody tr')].filter((row) => row.querySelector('a[href]') && row.offsetParent);
  if (!rows.length) return;
  const now = rows.indexOf(document.activeElement.closest('tr'));
  const row = rows[now < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, now + step))];
  row.querySelector('a[href]').focus();
  row.scrollIntoView({ block: 'nearest' });
}

async function showKeys() {
  let dialog = document.getElementById('keys-dialog');
  if (!dialog) {
    const answer = await fetch(`${base}/keys?only=keys`).catch(() => null);
    if (!answer?.ok) {
      location.href = `${base}/keys`;
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    dialog = Object.assign(document.createElement('dialog'), { id: 'keys-dialog' });
    dialog.setAttribute('aria-label', 'Keys');
    const close = Object.assign(document.createElement('button'), { textContent: 'Close', type: 'button' });
    close.addEventListener('click', () => dialog.close());
    dialog.append(...page.getElementById('keys').childNodes, close);
    document.body.append(dialog);
  }
  if (!dialog.open) dialog.showModal();
}

document.addEventListener('keydown', (event) => {
  const { key, target } = event;
  const isSearch = key.toLowerCase() === 'k' && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
  if (!isSearch && (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(target))) return;
  if (document.querySelector('dialog[open]') && key !== '?') return;
  const isGo = Date.now() - begun < 1500;
  begun = 0;
  if (isSearch || key === '/') {
    if (!search) return;
    search.focus();
    search.select();
  } else if (isGo && key in PLACES) location.href = `${base}/${PLACES[key]}`;
  else if (key === 'g') begun = Date.now();
  else if (key === 'j' || key === 'k') move(key === 'j' ? 1 : -1);
  else if (key === '?') showKeys();
  else return;
  event.preventDefault();
});

document.getElementById('keys-link')?.addEventListener('click', (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  showKeys();
});

// Times: how long ago, or exactly, here or in UTC; what was chosen is remembered.
const KEPT = 'pv-times';
const MODES = ['ago', 'local', 'utc'];
const WORDS = { ago: 'Times: ago', local: 'Times: local', utc: 'Times: UTC' };
const toggle = document.getElementById('times');
const two = (number) => String(number).padStart(2, '0');
let mode = 'ago';
try { mode = MODES.find((one) => one === localStorage.getItem(KEPT)) ?? 'ago'; } catch { /* It is not remembered. */ }

function ago(seconds) {
  if (seconds < 5) return 'now';
  const [unit, length] = seconds < 60 ? ['s', 1] : seconds < 3600 ? ['min', 60] : seconds < 86400 ? ['h', 3600] : ['d', 86400];
  return `${Math.floor(seconds / length)} ${unit} ago`;
}

const utc = (date) => `${date.toISOString().slice(0, 19).replace('T', ' ')}Z`;

function local(date) {
  const minutes = -date.getTimezoneOffset();
  const zone = `${minutes < 0 ? '-' : '+'}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
  return utc(new Date(date.getTime() + minutes * 60_000)).replace('Z', zone);
}

function write(time) {
  const date = new Date(time.dateTime);
  if (Number.isNaN(date.getTime())) return;
  const isAgo = mode === 'ago' && !time.hasAttribute('data-exact');
  const past = (Date.now() - date) / 1000;
  // What is yet to come is in the words of the server.
  if (isAgo && past < -5) time.textContent = time.dataset.words ??= time.textContent;
  else time.textContent = isAgo ? ago(past) : mode === 'local' ? local(date) : utc(date);
  time.title = `${local(date)} · ${utc(date)}`;
}

const writeAll = (of = document) => of.querySelectorAll('time[datetime]').forEach(write);

if (toggle) {
  toggle.hidden = false;
  toggle.textContent = WORDS[mode];
  toggle.addEventListener('click', () => {
    mode = MODES[(MODES.indexOf(mode) + 1) % MODES.length];
    try { localStorage.setItem(KEPT, mode); } catch { /* It is not remembered. */ }
    toggle.textContent = WORDS[mode];
    writeAll();
  });
}
writeAll();
document.addEventListener('pv:updated', ({ detail }) => writeAll(detail ?? document));
setInterval(() => { if (!document.hidden && mode === 'ago') writeAll(); }, 10_000);
