// The picture of the graph: lights paths, goes from node to node, changes its size, and shows states as they change. Nodes never move.
const picture = () => document.querySelector('#picture');
const nodeOf = (element) => element?.closest?.('#picture .n');

const named = (svg, name) => svg.querySelector(`.n[aria-label="${name}"]`);

// Who reads whom, from the marks of the nodes; edges are in the order of these, those to one node in one path, which is taken apart. Made
// once for each picture.
const webs = new WeakMap();
function webOf(svg) {
  if (!webs.has(svg)) {
    const nodes = [...svg.querySelectorAll('.n')], edges = svg.querySelector('.edges');
    edges.replaceChildren(...[...edges.children].flatMap((path) => path.getAttribute('d').split(/(?=M)/).map((d) => {
      const one = path.cloneNode();
      one.setAttribute('d', d);
      return one;
    })));
    const lines = edges.children;
    const web = nodes.map((node) => ({ node, above: [], below: [] }));
    let line = 0;
    web.forEach((to, at) => {
      for (const from of to.node.dataset.in?.split(' ') ?? []) {
        const edge = lines[line++];
        to.above.push([+from, edge]);
        web[from].below.push([at, edge]);
      }
    });
    webs.set(svg, { nodes, web, served: [svg.classList.contains('path'), [...svg.querySelectorAll('.lit')]] });
  }
  return webs.get(svg);
}

function unlight(svg) {
  const { served: [isPath, lit] } = webOf(svg);
  svg.querySelectorAll('.lit').forEach((one) => one.classList.remove('lit'));
  svg.classList.toggle('path', isPath);
  lit.forEach((one) => one.classList.add('lit'));
}

function light(svg, node) {
  const { nodes, web } = webOf(svg), start = nodes.indexOf(node);
  svg.querySelectorAll('.lit').forEach((one) => one.classList.remove('lit'));
  svg.classList.add('path');
  for (const way of ['above', 'below']) {
    const open = [start], seen = new Set(open);
    while (open.length) {
      const at = open.pop();
      web[at].node.classList.add('lit');
      for (const [next, edge] of web[at][way]) {
        edge.classList.add('lit');
        if (!seen.has(next)) open.push(next), seen.add(next);
      }
    }
  }
}

for (const [on, off] of [['focusin', 'focusout'], ['pointerover', 'pointerout']]) {
  document.addEventListener(on, ({ target }) => { const node = nodeOf(target); if (node) light(picture(), node); });
  document.addEventListener(off, ({ target, relatedTarget }) => {
    const node = nodeOf(target);
    if (!node || node.contains(relatedTarget)) return;
    const focused = nodeOf(document.activeElement);
    focused && focused !== node ? light(picture(), focused) : unlight(picture());
  });
}

// From node to node: left to what it reads, right to who reads it, up and down in its column.
function neighbour(svg, node, key) {
  const { nodes, web } = webOf(svg), at = nodes.indexOf(node);
  if (key === 'ArrowLeft') return nodes[web[at].above[0]?.[0]];
  if (key === 'ArrowRight') return nodes[web[at].below[0]?.[0]];
  return nodes[at + (key === 'ArrowUp' ? -1 : 1)];
}

// The size: a part of the address.
function zoom(change, x, y) {
  const svg = picture(), pane = svg.parentElement, mark = document.querySelector('[data-zoom]');
  if (!mark) return;
  const { least, most } = mark.dataset, old = +mark.dataset.zoom;
  const now = change ? Math.round(Math.min(most, Math.max(least, old * change))) : 100;
  const [, , width, height] = svg.getAttribute('viewBox').split(' ').map(Number);
  const box = pane.getBoundingClientRect();
  const [left, top] = [(x ?? box.left + box.width / 2) - box.left, (y ?? box.top + box.height / 2) - box.top];
  const [toLeft, toTop] = [(pane.scrollLeft + left) * now / old - left, (pane.scrollTop + top) * now / old - top];
  svg.setAttribute('width', width * now / 100);
  svg.setAttribute('height', height * now / 100);
  pane.scrollTo(toLeft, toTop);
  mark.dataset.zoom = now;
  mark.querySelector('.now').textContent = `${now} %`;
  const here = new URL(location);
  now === 100 ? here.searchParams.delete('zoom') : here.searchParams.set('zoom', now);
  history.replaceState(history.state, '', here);
}

document.addEventListener('wheel', (event) => {
  if (!event.ctrlKey || !event.target.closest?.('.pane') || !picture()) return;
  event.preventDefault();
  zoom(Math.exp(-event.deltaY / 400), event.clientX, event.clientY);
}, { passive: false });

document.addEventListener('keydown', (event) => {
  const { key, target, ctrlKey, metaKey, altKey } = event;
  if (ctrlKey || metaKey || altKey || !picture() || target.closest('input, textarea, select')) return;
  const change = { '+': 1.25, '=': 1.25, '-': 0.8, '0': 0 }[key], node = nodeOf(target);
  if (change !== undefined) zoom(change);
  else if (node && key.startsWith('Arrow')) neighbour(picture(), node, key)?.querySelector('a').focus();
  else return;
  event.preventDefault();
});

// Links to other states of this view keep the size.
document.addEventListener('click', ({ target }) => {
  const link = target.closest?.('a'), now = new URLSearchParams(location.search).get('zoom');
  if (!link || !document.querySelector('[data-zoom]') || link.closest('[data-zoom]')) return;
  const to = new URL(link.getAttribute('href'), location);
  if (to.pathname !== location.pathname) return;
  now ? to.searchParams.set('zoom', now) : to.searchParams.delete('zoom');
  link.setAttribute('href', to.pathname + to.search + to.hash);
}, true);

// States come in a small list; only if the graph itself is another one, the picture is fetched.
async function follow() {
  const list = document.querySelector('#of-nodes'), svg = picture();
  if (!list || !svg) return;
  if (list.dataset.topology !== svg.dataset.topology) {
    // What needs attention changes often: nobody's picture is taken away for that.
    const others = document.querySelector('#others');
    if (others && list.dataset.chosen !== undefined) {
      others.hidden = false;
      return;
    }
    const here = new URL(location);
    here.searchParams.set('only', 'graph');
    const answer = await fetch(here, { headers: { accept: 'text/html' }, cache: 'no-store' }).catch(() => null);
    if (!answer?.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('#picture');
    const focused = nodeOf(document.activeElement)?.getAttribute('aria-label');
    if (fresh) svg.replaceWith(fresh);
    if (fresh && focused) named(fresh, focused)?.querySelector('a').focus({ preventScroll: true });
    return;
  }
  for (const { dataset: { state, sign }, textContent } of list.children) {
    for (const name of textContent.split(' ')) {
      const node = named(svg, name), word = node?.querySelector('.s');
      if (!word || node.classList.contains(state)) continue;
      node.classList.remove('current', 'pending', 'running', 'failed', 'stopped');
      node.classList.add(state);
      word.textContent = `${sign} ${state}`;
    }
  }
}

document.addEventListener('pv:updated', ({ detail }) => {
  if (detail?.id === 'states') follow();
  // Where the picture itself is in what was changed, as on the overview.
  if (detail?.contains?.(picture())) webs.delete(picture());
});
