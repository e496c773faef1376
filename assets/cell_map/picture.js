// The picture of one map: the points, drawn by regl-scatterplot, and where the camera stands. Knows no legend.
//
// The library keeps points as [x, y, colour]; ours are written into it in the order in which they are drawn, so that
// chosen cells and high values lie on top. Choosing and pointing are done on our own arrays: its own index of a
// million points takes seconds to build, so it is given one of a single point that lies out of sight.

import createScatterplot, { createRenderer, createSpatialIndex } from "regl-scatterplot";
import { NO_CODE, byLevel, holds, shuffled } from "./cells.js";

const MANY = 100_000; // beyond that points are squares: at two pixels nobody sees a corner
const AWAY = 1e6;
let shared = null; // one WebGL context draws all maps of a page
let nobody = null;

export class Picture {
  static async on(canvas, places, look, stage) {
    if (shared === null || shared.isDestroyed) shared = createRenderer();
    nobody ??= await createSpatialIndex([[AWAY, AWAY]], false);
    return new Picture(canvas, places, look, stage);
  }

  constructor(canvas, places, look, stage) {
    this.places = places;
    this.n = places.length >> 1;
    this.order = shuffled(this.n);
    this.points = Array.from({ length: this.n }, () => [AWAY, AWAY, 0, 0]);
    this.settings = new Map();
    const width = Math.max(2, stage.clientWidth);
    const height = Math.max(2, stage.clientHeight);
    this.plot = createScatterplot({
      renderer: shared,
      canvas,
      width,
      height,
      backgroundColor: look.background,
      pointSize: look.size,
      opacity: look.opacity,
      colorBy: "valueA",
      renderPointsAsSquares: this.n > MANY,
      spatialIndexUseWorker: false,
      lassoInitiator: false,
      lassoOnLongPress: false,
      deselectOnDblClick: false,
      deselectOnEscape: false,
      actionKeyMap: {},
      mouseMode: "panZoom",
      pointScaleMode: "constant",
    });
    this.width = width;
    this.height = height;
  }

  /** Draw: `palette` ends with the greys for no value, not chosen, and not of this panel. */
  async draw({ codes, ranked, palette, chosen, member, hidden }) {
    const { n, places, points } = this;
    const levels = new Uint16Array(n);
    const nColours = palette.length - 3;
    const colours = new Uint16Array(n);
    for (let cell = 0; cell < n; cell++) {
      const code = codes[cell];
      const of = member === null || holds(member, cell);
      const picked = chosen === null || holds(chosen, cell);
      if (!of) {
        colours[cell] = nColours + 2;
      } else if (!picked) {
        colours[cell] = nColours + 1;
        levels[cell] = 256;
      } else if (code === NO_CODE) {
        colours[cell] = nColours;
        levels[cell] = 512;
      } else {
        colours[cell] = code;
        levels[cell] = ranked ? 513 + code : 513;
      }
    }
    const order = byLevel(this.order, levels);
    for (let place = 0; place < n; place++) {
      const cell = order[place];
      const point = points[place];
      const x = places[2 * cell];
      const gone = Number.isNaN(x) || (hidden !== null && codes[cell] !== NO_CODE && hidden[codes[cell]]);
      point[0] = gone ? AWAY : x;
      point[1] = gone ? AWAY : places[2 * cell + 1];
      point[2] = colours[cell];
    }
    this.put({ pointColor: palette, pointColorActive: palette[0], pointColorHover: palette[0] });
    await this.plot.draw(points, { zDataType: "categorical", wDataType: "categorical", spatialIndex: nobody });
  }

  look({ size, opacity, background }) {
    this.put({ pointSize: size, opacity, backgroundColor: background });
  }

  /** Set what is not set already: every setting costs a frame, and a frame of a million points costs time. */
  put(settings) {
    const words = Object.entries(settings).map(([name, value]) => [name, String(value)]);
    const changed = words.filter(([name, value]) => this.settings.get(name) !== value);
    if (changed.length === 0) return;
    for (const [name, value] of changed) this.settings.set(name, value);
    this.plot.set(settings);
  }

  /** Take another size; done when the library has taken it, which is a frame later. */
  async resize(width, height) {
    if (width < 2 || height < 2 || (width === this.width && height === this.height)) return;
    this.width = width;
    this.height = height;
    await this.plot.set({ width, height });
  }

  get view() {
    return this.plot.get("cameraView");
  }

  set view(view) {
    this.plot.view(view, { preventEvent: true });
  }

  /** How much larger things are than at the start. */
  get zoom() {
    return this.view[5];
  }

  toScreen(x, y) {
    const view = this.view;
    const aspect = this.width / this.height;
    const across = (view[0] * x + view[12]) / aspect;
    const up = view[5] * y + view[13];
    return [((across + 1) / 2) * this.width, ((1 - up) / 2) * this.height];
  }

  toMap(left, top) {
    const view = this.view;
    const aspect = this.width / this.height;
    const across = ((left / this.width) * 2 - 1) * aspect;
    const up = 1 - (top / this.height) * 2;
    return [(across - view[12]) / view[0], (up - view[13]) / view[5]];
  }

  /** Show a part of the map, given as left, right, bottom, top. */
  show(left, right, bottom, top) {
    const [wide, high] = [Math.max(right - left, 0.02), Math.max(top - bottom, 0.02)];
    const pad = 0.04 * Math.max(wide, high);
    return this.plot.zoomToArea({
      x: (left + right - wide) / 2 - pad,
      y: (bottom + top - high) / 2 - pad,
      width: wide + 2 * pad,
      height: high + 2 * pad,
    });
  }

  move(right, up) {
    const view = Float32Array.from(this.view);
    view[12] += right;
    view[13] += up;
    this.plot.view(view);
  }

  enlarge(factor) {
    const view = Float32Array.from(this.view);
    for (const place of [0, 5, 12, 13]) view[place] *= factor;
    this.plot.view(view);
  }

  onView(tell) {
    return this.plot.subscribe("view", tell);
  }

  destroy() {
    this.plot.destroy();
    this.points = [];
  }
}
