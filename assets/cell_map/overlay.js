// What lies over the picture: the shape that is being drawn, the labels, the frame of the axes, the hover card.

import { withoutOverlap } from "./cells.js";
import { element } from "./legend.js";

const NEAR = 3; // pixels between two corners of a lasso

/** Let a lasso or a box be drawn; `done` gets its corners in pixels. A click draws nothing. */
export class Drawing {
  constructor(layer, svg, done) {
    this.layer = layer;
    this.svg = svg;
    this.done = done;
    this.kind = "lasso";
    this.corners = null;
    layer.addEventListener("pointerdown", (event) => this.begin(event));
    layer.addEventListener("pointermove", (event) => this.go(event));
    layer.addEventListener("pointerup", (event) => this.end(event));
    layer.addEventListener("pointercancel", () => this.stop());
  }

  place(event) {
    const frame = this.layer.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  }

  begin(event) {
    if (event.button !== 0) return;
    this.layer.setPointerCapture(event.pointerId);
    this.corners = [this.place(event)];
    event.preventDefault();
    this.layer.closest("[tabindex]")?.focus({ preventScroll: true });
  }

  go(event) {
    if (this.corners === null) return;
    const [x, y] = this.place(event);
    if (this.kind === "box") {
      this.corners = [this.corners[0], [x, y]];
    } else {
      const [lastX, lastY] = this.corners[this.corners.length - 1];
      if (Math.hypot(x - lastX, y - lastY) >= NEAR) this.corners.push([x, y]);
    }
    this.show();
  }

  end(event) {
    if (this.corners === null) return;
    this.go(event);
    const shape = this.shape();
    this.stop();
    const across = shape.map(([x]) => x);
    const down = shape.map(([, y]) => y);
    const large = Math.max(...across) - Math.min(...across) > NEAR && Math.max(...down) - Math.min(...down) > NEAR;
    if (shape.length >= 3 && large) this.done(shape, event);
  }

  stop() {
    this.corners = null;
    this.svg.replaceChildren();
  }

  shape() {
    if (this.kind !== "box") return this.corners;
    const [[x0, y0], [x1, y1]] = [this.corners[0], this.corners[this.corners.length - 1]];
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
  }

  show() {
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
    line.setAttribute("points", this.shape().map((corner) => corner.join(",")).join(" "));
    this.svg.replaceChildren(line);
  }
}

const SMALL = 14; // pixels; a name would hide a group that small, and stands above it

/** Write the names of categories at their middles, as many as fit without covering each other. */
export const labels = (box, entries, toScreen) => {
  box.replaceChildren();
  const { width, height } = box.getBoundingClientRect();
  const placed = entries
    .map((entry) => {
      const [x, y] = toScreen(entry.x, entry.y);
      const reach = Math.abs(toScreen(entry.x + entry.reach, entry.y)[0] - x);
      return { entry, at: [x, reach < SMALL ? y - reach - SMALL : y] };
    })
    .filter(({ at: [x, y] }) => x > 0 && y > 0 && x < width && y < height);
  const boxes = placed.map(({ entry, at: [x, y] }) => {
    const wide = Math.min(7.2 * entry.label.length + 8, 190);
    return { left: x - wide / 2, top: y - 9, width: wide, height: 18 };
  });
  for (const place of withoutOverlap(boxes)) {
    const { entry, at: [x, y] } = placed[place];
    const label = element("span", entry.dim ? "label dim" : "label", entry.label);
    label.style.left = `${x}px`;
    label.style.top = `${y}px`;
    box.append(label);
  }
};

/** Show what is known of a cell, beside the pointer. */
export const card = (box, rows, [x, y], { width, height }) => {
  const table = element("dl", "card-rows");
  for (const [name, value] of rows) table.append(element("dt", "", name), element("dd", "", value));
  box.replaceChildren(table);
  box.hidden = false;
  const own = box.getBoundingClientRect();
  box.style.left = `${Math.max(0, x + 14 + own.width > width ? x - own.width - 10 : x + 14)}px`;
  box.style.top = `${Math.max(0, Math.min(y + 10, height - own.height))}px`;
};
