// Cells as plain arrays: sets of cells as bits, the order in which they are drawn, which lie inside a polygon, which
// is nearest to the pointer. Knows no screen and no drawing library.

export const NO_CODE = 255; // a cell without a category or a value

/** Whether a cell belongs to a set; bits are packed little-endian, as numpy.packbits(bitorder="little") does. */
export const holds = (bits, cell) => ((bits[cell >> 3] >> (cell & 7)) & 1) === 1;

export const emptySet = (nCells) => new Uint8Array((nCells + 7) >> 3);

export const add = (bits, cell) => {
  bits[cell >> 3] |= 1 << (cell & 7);
};

const ONES = Uint8Array.from({ length: 256 }, (_, byte) => {
  let ones = 0;
  for (let rest = byte; rest; rest >>= 1) ones += rest & 1;
  return ones;
});

export const size = (bits) => {
  let total = 0;
  for (let place = 0; place < bits.length; place++) total += ONES[bits[place]];
  return total;
};

/** Combine a set with the one that stands: "new" replaces it, "add" unites, "subtract" takes away. */
export const combine = (standing, found, how) => {
  if (how === "new" || (standing === null && how === "add")) return found;
  const out = standing === null ? new Uint8Array(found.length) : standing.slice();
  for (let place = 0; place < out.length; place++) {
    out[place] = how === "add" ? out[place] | found[place] : out[place] & ~found[place];
  }
  return out;
};

export const toBase64 = (bits) => {
  let text = "";
  for (let start = 0; start < bits.length; start += 32768) {
    text += String.fromCharCode.apply(null, bits.subarray(start, start + 32768));
  }
  return btoa(text);
};

/** Count the cells of each code, among all or among those of a set; the last entry counts cells without a code. */
export const countCodes = (codes, nCodes, bits) => {
  const counts = new Uint32Array(nCodes + 1);
  for (let cell = 0; cell < codes.length; cell++) {
    if (bits === null || holds(bits, cell)) counts[Math.min(codes[cell], nCodes)]++;
  }
  return counts;
};

/** Return all cells in an order of no meaning, the same one each time, so that no category always lies on top. */
export const shuffled = (nCells) => {
  const order = new Uint32Array(nCells);
  for (let place = 0; place < nCells; place++) order[place] = place;
  let state = 0x9e3779b9;
  for (let place = nCells - 1; place > 0; place--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const other = Math.floor((state / 4294967296) * (place + 1));
    const kept = order[place];
    order[place] = order[other];
    order[other] = kept;
  }
  return order;
};

/** Sort cells by a level of 0 to 65,535, lowest first; equal levels keep their order. */
export const byLevel = (order, levels) => {
  const starts = new Uint32Array(65537);
  for (let cell = 0; cell < levels.length; cell++) starts[levels[cell] + 1]++;
  for (let level = 0; level < 65536; level++) starts[level + 1] += starts[level];
  const sorted = new Uint32Array(order.length);
  for (let place = 0; place < order.length; place++) sorted[starts[levels[order[place]]]++] = order[place];
  return sorted;
};

/**
 * Find the cells inside a polygon.
 *
 * Edges are sorted into rows, so that a cell meets only the few edges of its own row.
 *
 * @param {Float32Array} places x and y of each cell, one after the other; NaN lies in no polygon
 * @param {[number, number][]} polygon
 * @param {(cell: number) => boolean} counts whether a cell may be chosen
 */
export const inside = (places, polygon, counts) => {
  const nCells = places.length >> 1;
  const found = emptySet(nCells);
  if (polygon.length < 3) return found;
  let [left, right, bottom, top] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const [x, y] of polygon) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    bottom = Math.min(bottom, y);
    top = Math.max(top, y);
  }
  const nRows = 512;
  const rowOf = (y) => Math.min(nRows - 1, Math.max(0, Math.floor(((y - bottom) / (top - bottom || 1)) * nRows)));
  const rows = Array.from({ length: nRows }, () => []);
  polygon.forEach(([x0, y0], place) => {
    const [x1, y1] = polygon[(place + 1) % polygon.length];
    if (y0 === y1) return;
    for (let row = rowOf(Math.min(y0, y1)); row <= rowOf(Math.max(y0, y1)); row++) rows[row].push(x0, y0, x1, y1);
  });
  for (let cell = 0; cell < nCells; cell++) {
    const x = places[2 * cell];
    const y = places[2 * cell + 1];
    if (!(x >= left && x <= right && y >= bottom && y <= top) || !counts(cell)) continue;
    const edges = rows[rowOf(y)];
    let odd = false;
    for (let place = 0; place < edges.length; place += 4) {
      const y0 = edges[place + 1];
      const y1 = edges[place + 3];
      if (y0 > y !== y1 > y && x < edges[place] + ((y - y0) * (edges[place + 2] - edges[place])) / (y1 - y0)) odd = !odd;
    }
    if (odd) add(found, cell);
  }
  return found;
};

/** Finds the cell nearest to a place: cells sorted into the squares of a grid. */
export class NearestCell {
  constructor(places) {
    this.places = places;
    const nCells = places.length >> 1;
    this.n = Math.max(1, Math.min(1024, Math.ceil(Math.sqrt(nCells / 4))));
    this.starts = new Uint32Array(this.n * this.n + 2);
    this.cells = new Uint32Array(nCells);
    for (let cell = 0; cell < nCells; cell++) this.starts[this.square(places[2 * cell], places[2 * cell + 1]) + 1]++;
    for (let square = 0; square <= this.n * this.n; square++) this.starts[square + 1] += this.starts[square];
    const next = this.starts.slice();
    for (let cell = 0; cell < nCells; cell++) {
      this.cells[next[this.square(places[2 * cell], places[2 * cell + 1])]++] = cell;
    }
  }

  /** Places lie between -1 and 1; those without one stand in a last square of their own. */
  square(x, y) {
    if (!(Math.abs(x) <= 1.001 && Math.abs(y) <= 1.001)) return this.n * this.n;
    return this.line(y) * this.n + this.line(x);
  }

  line(value) {
    return Math.min(this.n - 1, Math.max(0, Math.floor(((value + 1) / 2) * this.n)));
  }

  find(x, y, reach, counts) {
    let best = -1;
    let least = reach * reach;
    for (let row = this.line(y - reach); row <= this.line(y + reach); row++) {
      for (let column = this.line(x - reach); column <= this.line(x + reach); column++) {
        const square = row * this.n + column;
        for (let place = this.starts[square]; place < this.starts[square + 1]; place++) {
          const cell = this.cells[place];
          const away = (this.places[2 * cell] - x) ** 2 + (this.places[2 * cell + 1] - y) ** 2;
          if (away <= least && counts(cell)) {
            least = away;
            best = cell;
          }
        }
      }
    }
    return best;
  }
}

/** Choose which labels can be written without covering each other, the first ones first. */
export const withoutOverlap = (boxes) => {
  const kept = [];
  boxes.forEach((box, place) => {
    const free = kept.every((other) => {
      const seen = boxes[other];
      return (
        box.left > seen.left + seen.width ||
        seen.left > box.left + box.width ||
        box.top > seen.top + seen.height ||
        seen.top > box.top + box.height
      );
    });
    if (free) kept.push(place);
  });
  return kept;
};

/** Blend colours (hex) evenly into a scale of so many steps. */
export const blend = (colours, nSteps) => {
  const channels = colours.map((colour) => [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16)));
  return Array.from({ length: nSteps }, (_, step) => {
    const at = (step / Math.max(1, nSteps - 1)) * (channels.length - 1);
    const low = Math.min(Math.floor(at), channels.length - 2);
    const mixed = channels[low].map((value, place) => value + (channels[low + 1][place] - value) * (at - low));
    return `#${mixed.map((value) => Math.round(value).toString(16).padStart(2, "0")).join("")}`;
  });
};
