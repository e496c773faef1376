// The cell map as a component of the page: what the server says comes in as `data`, chosen cells go back as bits.

import { NO_CODE, NearestCell, blend, combine, countCodes, emptySet, add, holds, inside, size, toBase64 } from "./cells.js";
import { button, categories, element, grouped, scale } from "./legend.js";
import { join } from "./link.js";
import { Gone, bytes } from "./loading.js";
import { Drawing, card, labels } from "./overlay.js";
import { Picture } from "./picture.js";
import style from "./style.css";

const NARROW = 560; // pixels; below it the legend stands beneath
const HOVER_MS = 70;
const DUSK_MS = 400; // until the page itself has changed its theme, and tells the server so
const REACH = 7; // pixels from the pointer to a cell
const ICONS = {
  pan: "M12 3v18M3 12h18M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3",
  lasso: "M12 4c5 0 9 2.6 9 6s-4 6-9 6c-1.600 0-3-.2-4.300-.7M12 4C7 4 3 6.600 3 10c0 2 1.500 3.800 3.700 4.900M6 14a2 2 0 1 0 1 3.700c.3 1-.2 2.300-1.500 3.300",
  box: "M4 7V4h3M17 4h3v3M20 17v3h-3M7 20H4v-3M10 4h4M10 20h4M4 10v4M20 10v4",
  add: "M12 5v14M5 12h14",
  subtract: "M5 12h14",
  labels: "M4 6V4h16v2M12 4v16M9 20h6",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  near: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14M16 16l5 5M8 11h6M11 8v6",
  clear: "M6 6l12 12M18 6L6 18",
};
const maps = new WeakMap();

class CellMap {
  constructor(root) {
    this.root = root;
    this.hidden = [];
    this.chosen = null;
    this.mode = "pan";
    this.how = "new";
    this.named = true;
    this.version = 0;
    this.drawn = Promise.resolve();
    this.build();
  }

  build() {
    const sheet = element("style", "", style);
    this.frame = element("div", "cell-map");
    const head = element("div", "head");
    this.title = element("div", "title");
    head.append(this.title, this.tools());
    this.body = element("div", "body");
    this.stage = element("div", "stage");
    this.stage.tabIndex = 0;
    this.canvas = element("canvas");
    this.labels = element("div", "labels");
    this.layer = element("div", "layer");
    this.layer.hidden = true;
    this.shape = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.shape.setAttribute("class", "shape");
    this.axes = [element("span", "axis-x"), element("span", "axis-y")];
    this.card = element("div", "card");
    this.card.hidden = true;
    this.stage.append(this.canvas, this.labels, ...this.axes, this.layer, this.shape, this.card);
    this.side = element("div", "side");
    this.body.append(this.stage, this.side);
    this.status = element("div", "status");
    this.status.setAttribute("role", "status");
    this.frame.append(head, this.body, this.status);
    this.root.replaceChildren(sheet, this.frame);
    this.drawing = new Drawing(this.layer, this.shape, (corners, event) => this.choosePolygon(corners, event));
    this.layer.addEventListener("wheel", (event) => this.passOn(event), { passive: false });
    for (const kind of ["pointerdown", "wheel"]) {
      this.canvas.addEventListener(kind, () => { this.moved = true; }, { passive: true });
    }
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("pointermove", (event) => this.point(event));
    this.stage.addEventListener("pointerleave", () => this.unpoint());
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(this.frame);
    this.night = window.matchMedia("(prefers-color-scheme: dark)");
    this.dusk = () => setTimeout(() => this.component?.setTriggerValue("gone", "theme"), DUSK_MS);
    this.night.addEventListener("change", this.dusk);
  }

  tools() {
    const tools = element("div", "tools");
    this.buttons = {};
    const put = (name, label, tell) => {
      const made = button("", label, tell);
      made.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;
      made.dataset.tool = name;
      this.buttons[name] = made;
      tools.append(made);
    };
    put("pan", "Move and zoom (P)", () => this.setMode("pan"));
    put("lasso", "Draw a lasso around cells (L)", () => this.setMode("lasso"));
    put("box", "Draw a box around cells (B)", () => this.setMode("box"));
    tools.append(element("span", "gap"));
    put("add", "What is drawn is added to the selection (Shift)", () => this.setHow("add"));
    put("subtract", "What is drawn is taken from the selection (Alt)", () => this.setHow("subtract"));
    put("clear", "Clear the selection (Esc)", () => this.choose(null));
    tools.append(element("span", "gap"));
    put("near", "Zoom to the selection (Z)", () => this.zoomToChosen());
    put("fit", "Show the whole map (0)", () => this.fit());
    put("labels", "Names on the map (N)", () => this.toggleLabels());
    return tools;
  }

  async update(data, component) {
    const version = ++this.version;
    const before = this.data;
    this.data = data;
    this.component = component;
    this.dress();
    if (this.linked !== data.link) {
      this.channel?.leave();
      this.linked = data.link;
      this.channel = join(data.link, (message) => this.hear(message));
    }
    if (this.grouped !== data.group) {
      this.panels?.leave();
      this.grouped = data.group;
      this.panels = data.group ? join(data.group, ({ view }) => this.follow(view)) : null;
    }
    try {
      const [places, codes, member, chosen] = await Promise.all([
        bytes(data.places),
        bytes(data.colour.url),
        data.member ? bytes(data.member) : null,
        this.chosenOf(data.selection),
      ]);
      if (version !== this.version) return;
      if (before?.places !== data.places || !this.picture) await this.open(new Float32Array(places));
      if (version !== this.version) return;
      if (before?.colour.url !== data.colour.url) this.hidden = data.colour.entries.map(() => false);
      this.codes = new Uint8Array(codes);
      this.member = member === null ? null : new Uint8Array(member);
      this.chosen = chosen;
      const wanted = this.pictureOf(data.selection?.key ?? "");
      if (wanted !== this.standing) {
        this.standing = wanted;
        await this.redraw();
      }
      if (version === this.version) this.frame.dataset.ready = data.version;
    } catch (error) {
      this.fail(error);
    }
  }

  /** Tell what is drawn in words, so that nothing is drawn twice when the page says what was chosen here. */
  pictureOf(chosen) {
    const { places, colour, member, theme, size: points, opacity } = this.data;
    return [places, colour.url, member, chosen, theme.background, points, opacity, this.hidden].join(" ");
  }

  dress() {
    const { theme, title, axes, height } = this.data;
    for (const [name, value] of Object.entries(theme)) this.frame.style.setProperty(`--${name}`, value);
    this.frame.style.setProperty("--height", `${height}px`);
    this.title.textContent = title;
    this.axes.forEach((axis, place) => {
      axis.textContent = `${axes[place]} ${place === 0 ? "\u2192" : "\u2191"}`;
    });
    this.stage.setAttribute("aria-label", `${title}. Keys: P moves, L draws a lasso, B a box, plus and minus zoom, arrows move, 0 shows all, Z the selection, N names, Escape clears.`);
    this.frame.classList.toggle("narrow", this.frame.clientWidth < NARROW);
    for (const name of ["lasso", "box", "add", "subtract", "clear"]) this.buttons[name].hidden = !this.data.selectable;
    this.press();
  }

  /** Take what the page says to be chosen; what was chosen here is at hand and is not fetched again. */
  async chosenOf(selection) {
    if (!selection) return null;
    const known = this.channel.recall(selection.key);
    if (known) return known;
    const fetched = new Uint8Array(await bytes(selection.url));
    this.channel.remember(selection.key, fetched);
    return fetched;
  }

  async open(places) {
    this.picture?.destroy();
    this.nearest = null;
    this.standing = "";
    this.picture = await Picture.on(this.canvas, places, this.look(), this.stage);
    this.picture.onView(() => this.viewed());
    this.moved = false;
    this.fit();
  }

  /** Points grow a little as one comes nearer, and let less through where fewer lie on top of each other. */
  look() {
    const { size: points, opacity } = this.data;
    const nearer = Math.max(1, (this.picture?.zoom ?? 1) / (this.wholeZoom ?? 1));
    return {
      size: points * (1 + 0.5 * Math.log2(nearer)),
      opacity: Math.min(1, opacity * nearer),
      background: this.data.theme.background,
    };
  }

  colours() {
    const { colour, theme } = this.data;
    const own = colour.kind === "category" ? colour.entries.map((entry) => entry.colour) : blend(colour.scale, 255);
    return [...own, theme.missing, theme.unselected, theme.faint];
  }

  redraw() {
    this.dirty = true;
    this.drawn = this.drawn.then(() => this.drawNow()).catch((error) => this.fail(error));
    return this.drawn;
  }

  async drawNow() {
    if (!this.dirty || !this.picture) return; // a later call has drawn what this one was to draw
    this.dirty = false;
    const hidden = this.hidden.some(Boolean) ? this.hidden : null;
    this.picture.look(this.look());
    await this.picture.draw({
      codes: this.codes,
      ranked: this.data.colour.kind === "value",
      palette: this.colours(),
      chosen: this.chosen,
      member: this.member,
      hidden,
    });
    this.legend();
    this.write();
    this.say();
  }

  legend() {
    const { colour, theme } = this.data;
    const nCodes = colour.kind === "category" ? colour.entries.length : 0;
    const ofPanel = this.member;
    if (nCodes === 0) {
      scale(this.side, {
        title: colour.title,
        colours: colour.scale,
        ticks: colour.ticks,
        missing: { n: colour.missing, label: colour.missing_label, colour: theme.missing },
      });
      return;
    }
    const all = countCodes(this.codes, nCodes, ofPanel);
    const chosen = this.chosen === null ? null : countCodes(this.codes, nCodes, this.chosenHere());
    this.counts = { all, chosen };
    categories(this.side, {
      title: colour.title,
      entries: colour.entries,
      hidden: this.hidden,
      all,
      chosen,
      missing: { n: all[nCodes], label: colour.missing_label, colour: theme.missing },
      act: (what, place, event) => this.act(what, place, event),
    });
  }

  chosenHere() {
    if (this.member === null) return this.chosen;
    return this.chosen.map((byte, place) => byte & this.member[place]);
  }

  act(what, place, event) {
    if (what === "choose") {
      if (!this.data.selectable) return;
      const found = emptySet(this.codes.length);
      for (let cell = 0; cell < this.codes.length; cell++) {
        if (this.codes[cell] === place && this.seen(cell)) add(found, cell);
      }
      this.choose(combine(this.chosen, found, this.howOf(event)), `${this.data.colour.title}: ${this.data.colour.entries[place].label}`);
      return;
    }
    if (what === "hide") this.hidden[place] = !this.hidden[place];
    if (what === "only") this.hidden = this.hidden.map((_, other) => other !== place);
    if (what === "all") this.hidden = this.hidden.map(() => false);
    this.standing = "";
    this.redraw();
  }

  howOf(event) {
    if (event?.shiftKey) return "add";
    if (event?.altKey) return "subtract";
    return this.how;
  }

  /** Whether a cell can be chosen and pointed at: it has a place, is of this panel, and its category is shown. */
  seen(cell) {
    const code = this.codes[cell];
    return (this.member === null || holds(this.member, cell)) && !(code !== NO_CODE && this.hidden[code]);
  }

  choosePolygon(corners, event) {
    const polygon = corners.map(([left, top]) => this.picture.toMap(left, top));
    const found = inside(this.picture.places, polygon, (cell) => this.seen(cell));
    this.choose(combine(this.chosen, found, this.howOf(event)), this.data.drawn);
  }

  choose(bits, label) {
    const empty = bits === null || size(bits) === 0;
    const token = empty ? "" : crypto.randomUUID?.() ?? String(Math.random());
    const kept = empty ? null : bits;
    if (!empty) this.channel.remember(token, bits);
    this.hear({ chosen: kept, token });
    this.channel.tell({ chosen: kept, token });
    this.component.setTriggerValue("selected", {
      bits: empty ? "" : toBase64(bits),
      n: this.codes.length,
      label: label ?? "",
      token,
      link: this.data.link,
    });
  }

  hear({ chosen, token }) {
    this.chosen = chosen;
    if (!this.codes) return;
    this.standing = this.pictureOf(token);
    this.redraw();
  }

  follow(view) {
    if (!this.picture) return;
    this.picture.view = view;
    this.moved = true;
    this.viewed(false);
  }

  viewed(tell = true) {
    this.unpoint();
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      if (!this.picture) return;
      this.write();
      clearTimeout(this.settling);
      this.settling = setTimeout(() => this.picture?.look(this.look()), 150);
      if (tell && this.panels) this.panels.tell({ view: this.picture.view });
    });
  }

  /** Write the names of the shown categories, those of the largest first. */
  write() {
    const { colour } = this.data;
    if (!this.named || colour.kind !== "category" || !this.counts) {
      this.labels.replaceChildren();
      return;
    }
    const shown = colour.entries
      .map((entry, place) => ({ ...entry, dim: this.counts.chosen !== null && this.counts.chosen[place] === 0, place }))
      .filter((entry) => !this.hidden[entry.place] && entry.x !== null && this.counts.all[entry.place] > 0)
      .sort((one, other) => one.dim - other.dim || other.count - one.count);
    labels(this.labels, shown, (x, y) => this.picture.toScreen(x, y));
  }

  say() {
    const n = this.member === null ? this.data.n : size(this.member);
    const chosen = this.chosen === null ? "" : ` \u00b7 ${grouped(size(this.chosenHere()))} selected`;
    const gone = this.hidden.filter(Boolean).length;
    const less = gone ? ` \u00b7 ${gone} ${gone === 1 ? "category" : "categories"} hidden` : "";
    this.status.className = "status";
    this.status.textContent = `${grouped(n)} cells${chosen}${less}`;
    this.frame.dataset.selected = this.chosen === null ? "0" : String(size(this.chosenHere()));
  }

  fail(error) {
    this.status.className = "status wrong";
    if (error instanceof Gone && this.asked !== this.data.version) {
      this.asked = this.data.version;
      this.status.textContent = "Loading";
      this.component.setTriggerValue("gone", this.data.version);
      return;
    }
    this.status.textContent = `The map could not be drawn: ${error.message} Reload the page; if it happens again, choose the plain map under More.`;
  }

  async resize() {
    this.frame.classList.toggle("narrow", this.frame.clientWidth < NARROW);
    if (!this.picture || this.stage.clientWidth < 2) return;
    await this.picture.resize(this.stage.clientWidth, this.stage.clientHeight);
    if (!this.picture) return;
    if (this.moved) this.write();
    else this.fit();
  }

  setMode(mode) {
    this.mode = mode;
    this.layer.hidden = mode === "pan";
    if (mode !== "pan") this.drawing.kind = mode;
    this.press();
  }

  setHow(how) {
    this.how = this.how === how ? "new" : how;
    if (this.mode === "pan") this.setMode("lasso");
    this.press();
  }

  press() {
    for (const name of ["pan", "lasso", "box"]) this.buttons[name].setAttribute("aria-pressed", String(this.mode === name));
    for (const name of ["add", "subtract"]) this.buttons[name].setAttribute("aria-pressed", String(this.how === name));
    this.buttons.labels.setAttribute("aria-pressed", String(this.named));
  }

  toggleLabels() {
    this.named = !this.named;
    this.press();
    this.write();
  }

  async fit() {
    const [left, right, bottom, top] = this.data.extent;
    await this.picture?.show(left, right, bottom, top);
    if (!this.picture) return;
    this.moved = false;
    this.wholeZoom = this.picture.zoom;
    this.picture.look(this.look());
    if (!this.codes) return;
    this.write();
    this.panels?.tell({ view: this.picture.view });
  }

  zoomToChosen() {
    if (this.chosen === null || !this.picture) return;
    const { places } = this.picture;
    let [left, right, bottom, top] = [1, -1, 1, -1];
    for (let cell = 0; cell < this.codes.length; cell++) {
      if (!holds(this.chosen, cell) || Number.isNaN(places[2 * cell])) continue;
      left = Math.min(left, places[2 * cell]);
      right = Math.max(right, places[2 * cell]);
      bottom = Math.min(bottom, places[2 * cell + 1]);
      top = Math.max(top, places[2 * cell + 1]);
    }
    if (left > right) return;
    this.moved = true;
    this.picture.show(left, right, bottom, top).then(() => this.viewed());
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || !this.picture) return;
    const step = 0.15;
    const acts = {
      p: () => this.setMode("pan"),
      l: () => this.data.selectable && this.setMode("lasso"),
      b: () => this.data.selectable && this.setMode("box"),
      n: () => this.toggleLabels(),
      z: () => this.zoomToChosen(),
      0: () => this.fit(),
      "+": () => this.picture.enlarge(1.25),
      "=": () => this.picture.enlarge(1.25),
      "-": () => this.picture.enlarge(0.8),
      ArrowLeft: () => this.picture.move(step, 0),
      ArrowRight: () => this.picture.move(-step, 0),
      ArrowUp: () => this.picture.move(0, -step),
      ArrowDown: () => this.picture.move(0, step),
      Escape: () => (this.drawing.corners ? this.drawing.stop() : this.data.selectable && this.choose(null)),
    };
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key.startsWith("Arrow") || "+=-".includes(event.key)) this.moved = true;
    act();
  }

  passOn(event) {
    event.preventDefault();
    this.canvas.dispatchEvent(new WheelEvent(event.type, event));
  }

  point(event) {
    if (event.buttons || !this.data?.hover || !this.picture) return;
    clearTimeout(this.hovering);
    const frame = this.canvas.getBoundingClientRect();
    const at = [event.clientX - frame.left, event.clientY - frame.top];
    this.hovering = setTimeout(() => this.tell(at), HOVER_MS);
  }

  async tell(at) {
    if (!this.picture || !this.codes) return;
    this.nearest ??= new NearestCell(this.picture.places);
    const [x, y] = this.picture.toMap(...at);
    const [beyond] = this.picture.toMap(at[0] + REACH, at[1]);
    const cell = this.nearest.find(x, y, beyond - x, (other) => this.seen(other));
    if (cell === this.told) return;
    this.told = cell;
    if (cell < 0) {
      this.card.hidden = true;
      return;
    }
    try {
      const answer = await fetch(`${this.data.hover}/${cell}`, { credentials: "same-origin" });
      if (!answer.ok || this.told !== cell) return;
      card(this.card, await answer.json(), at, this.stage.getBoundingClientRect());
    } catch {
      this.card.hidden = true; // the server is away; the page itself says so
    }
  }

  unpoint() {
    clearTimeout(this.hovering);
    this.told = undefined;
    this.card.hidden = true;
  }

  close() {
    this.version++;
    this.watcher.disconnect();
    this.night.removeEventListener("change", this.dusk);
    this.channel?.leave();
    this.panels?.leave();
    clearTimeout(this.settling);
    cancelAnimationFrame(this.waiting);
    this.picture?.destroy();
    this.picture = null;
  }
}

export default (component) => {
  const root = component.parentElement;
  if (!maps.has(root)) maps.set(root, new CellMap(root));
  const map = maps.get(root);
  map.update(component.data, component);
  return () => {
    map.close();
    maps.delete(root);
  };
};
