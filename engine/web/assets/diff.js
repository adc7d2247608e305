// Pictures of a difference: flipped, beneath a curtain, enlarged and moved together. Files that are looked for by their digest.
// Everything here is by delegation, so it also works on what was updated.

const views = new WeakMap();
const view = (box) => views.get(box) ?? views.set(box, { zoom: 1, x: 0, y: 0, new: true }).get(box);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

/** Shows what a box of pictures is set to. */
const draw = (box) => {
  const at = view(box), way = box.dataset.way;
  box.classList.toggle("over", way === "blink" || way === "swipe");
  box.classList.toggle("drawn", way === "swipe");
  box.classList.toggle("close", at.zoom > 3);
  box.classList.toggle("larger", at.zoom > 1);
  const sizes = all(".frame img", box).map((image) => image.naturalWidth || 1);
  const widest = Math.max(...sizes);
  for (const image of all(".frame img", box)) {
    // Pictures of different sizes are drawn to the same scale.
    image.style.width = `${((image.naturalWidth || widest) / widest) * 100}%`;
    image.style.transform = `translate(${at.x}px, ${at.y}px) scale(${at.zoom})`;
  }
  const [older, newer] = ["old", "new"].map((side) => box.querySelector(`figure.${side}`));
  older.classList.toggle("under", way === "blink" && at.new);
  newer.classList.toggle("under", way === "blink" && !at.new);
  box.querySelector(".which").textContent = way === "blink" ? (at.new ? "New" : "Old") : "";
  const curtain = box.querySelector('[data-do="swipe"]');
  newer.querySelector(".frame").style.clipPath = way === "swipe" && curtain ? `inset(0 0 0 ${curtain.value}%)` : "";
};

const zoom = (box, by, x = 0, y = 0) => {
  const at = view(box), zoom = Math.min(32, Math.max(1, at.zoom * by)), grown = zoom / at.zoom;
  [at.x, at.y, at.zoom] = zoom === 1 ? [0, 0, 1] : [x - (x - at.x) * grown, y - (y - at.y) * grown, zoom];
  draw(box);
};

const move = (box, x, y) => {
  const at = view(box);
  if (at.zoom === 1) return;
  at.x += x;
  at.y += y;
  draw(box);
};

/** Flips the two; from another way to compare, this is where one gets to. */
const flip = (box) => {
  if (box.dataset.way !== "blink") {
    box.dataset.way = "blink";
    for (const tab of all("[data-way]", box.parentElement)) {
      if (tab.tagName === "A") tab.dataset.way === "blink" ? tab.setAttribute("aria-current", "true") : tab.removeAttribute("aria-current");
      if (tab.tagName === "A" && tab.dataset.way === "blink") history.replaceState(history.state, "", tab.href);
    }
  } else view(box).new = !view(box).new;
  draw(box);
};

const start = () => {
  for (const box of all(".pictures")) {
    all("[data-do][hidden]", box).forEach((button) => (button.hidden = false));
    for (const image of all("img", box)) if (!image.complete) image.addEventListener("load", () => draw(box), { once: true });
    draw(box);
  }
  for (const box of all(".drop[hidden]")) box.hidden = false;
  again();
};

const doing = { flip, in: (box) => zoom(box, 1.5), out: (box) => zoom(box, 1 / 1.5), fit: (box) => zoom(box, 0) };

document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("button[data-do]");
  if (button) doing[button.dataset.do]?.(button.closest(".pictures"));
});
document.addEventListener("input", ({ target }) => {
  if (target.dataset?.do === "swipe") draw(target.closest(".pictures"));
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select")) return;
  const link = document.querySelector(`a[data-key="${CSS.escape(event.key)}"]`);
  if (link) return link.click();
  const box = document.querySelector(".pictures");
  if (!box) return;
  const step = 40, inside = event.target.closest?.(".stage");
  const keys = {
    b: () => flip(box), "+": () => zoom(box, 1.5), "-": () => zoom(box, 1 / 1.5), 0: () => zoom(box, 0),
    ...(inside && view(box).zoom > 1 && {
      ArrowLeft: () => move(box, step, 0), ArrowRight: () => move(box, -step, 0),
      ArrowUp: () => move(box, 0, step), ArrowDown: () => move(box, 0, -step),
    }),
  };
  if (Object.hasOwn(keys, event.key)) (event.preventDefault(), keys[event.key]());
});

document.addEventListener("wheel", (event) => {
  const frame = event.target.closest?.(".pictures .frame");
  // A wheel scrolls the page, unless somebody enlarges, or has enlarged.
  if (!frame || !(event.ctrlKey || view(frame.closest(".pictures")).zoom > 1)) return;
  event.preventDefault();
  const { left, top } = frame.getBoundingClientRect();
  zoom(frame.closest(".pictures"), event.deltaY < 0 ? 1.2 : 1 / 1.2, event.clientX - left, event.clientY - top);
}, { passive: false });

let held = null;
document.addEventListener("pointerdown", (event) => {
  const frame = event.target.closest?.(".pictures .frame");
  const box = frame?.closest(".pictures");
  if (!frame || event.button || view(box).zoom === 1) return;
  event.preventDefault();
  frame.closest(".stage").focus({ preventScroll: true });
  held = { box, x: event.clientX, y: event.clientY };
});
document.addEventListener("pointermove", (event) => {
  if (!held) return;
  move(held.box, event.clientX - held.x, event.clientY - held.y);
  Object.assign(held, { x: event.clientX, y: event.clientY });
});
for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => (held = null));

/** Asks where a file is, by its digest. */
const look = async (box, file) => {
  const say = (words) => (box.querySelector("[role=status]").textContent = words);
  if (!file) return;
  if (!globalThis.crypto?.subtle) return say("This browser computes digests only over HTTPS: use pv find FILE.");
  if (file.size > Number(box.dataset.most)) return say("This file is larger than 64 MiB: use pv find FILE.");
  say(`Reading ${file.name} …`);
  try {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    const digits = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    location.assign(`${box.dataset.find}?q=${digits}`);
  } catch {
    say("This cannot be read: is it a folder?");
  }
};
document.addEventListener("change", ({ target }) => {
  const box = target.closest?.(".drop");
  if (box && target.type === "file") look(box, target.files[0]);
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    const box = event.target.closest?.(".drop");
    if (!box) return;
    event.preventDefault();
    box.classList.toggle("above", kind === "dragover");
    if (kind === "drop") look(box, event.dataTransfer.files[0]);
  });
}

/** What is not done yet is asked for again, longer and longer apart. */
let timer = 0, pause = 800;
const again = () => {
  clearTimeout(timer);
  const box = document.querySelector("[data-again]");
  if (!box) return;
  timer = setTimeout(async () => {
    pause = Math.min(5000, 2 * pause);
    const region = box.closest("section[id]"), address = new URL(location);
    address.searchParams.set("only", region.id);
    try {
      const answer = await fetch(address, { headers: { accept: "text/html" } });
      // Only "too many requests" passes.
      if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) return;
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(region.id);
        if (fresh) (region.replaceWith(fresh), document.dispatchEvent(new CustomEvent("pv:updated", { detail: fresh })));
      }
    } catch {
      // The server does not answer: it is asked again.
    }
    again();
  }, document.hidden ? 5000 : pause);
};

document.addEventListener("pv:updated", start);
start();
