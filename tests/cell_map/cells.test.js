// The arithmetic of the cell map, in Node: no browser, no drawing library.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  NearestCell,
  add,
  blend,
  byLevel,
  combine,
  countCodes,
  emptySet,
  holds,
  inside,
  shuffled,
  size,
  toBase64,
  withoutOverlap,
} from "../../assets/cell_map/cells.js";

/** Numbers between 0 and 1, the same ones each time. */
const random = (seed) => () => {
  seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
  return seed / 4294967296;
};

const setOf = (nCells, cells) => {
  const bits = emptySet(nCells);
  for (const cell of cells) add(bits, cell);
  return bits;
};

const members = (bits, nCells) => Array.from({ length: nCells }, (_, cell) => cell).filter((cell) => holds(bits, cell));

test("bits are those of numpy.packbits, little-endian", () => {
  const bits = setOf(12, [0, 3, 9]);
  assert.deepEqual([...bits], [0b00001001, 0b00000010]);
  assert.equal(toBase64(bits), "CQI=");
  assert.equal(size(bits), 3);
});

test("sets are united, taken away from, and replaced; the one that stood is not changed", () => {
  const [one, other] = [setOf(20, [1, 2, 17]), setOf(20, [2, 5])];
  assert.deepEqual(members(combine(one, other, "new"), 20), [2, 5]);
  assert.deepEqual(members(combine(one, other, "add"), 20), [1, 2, 5, 17]);
  assert.deepEqual(members(combine(one, other, "subtract"), 20), [1, 17]);
  assert.deepEqual(members(combine(null, other, "add"), 20), [2, 5]);
  assert.equal(size(combine(null, other, "subtract")), 0);
  assert.deepEqual(members(one, 20), [1, 2, 17]);
});

test("cells of a code are counted, those without one in the last place", () => {
  const codes = Uint8Array.of(0, 1, 1, 255, 2, 1);
  assert.deepEqual([...countCodes(codes, 3, null)], [1, 3, 1, 1]);
  assert.deepEqual([...countCodes(codes, 3, setOf(6, [1, 3]))], [0, 1, 0, 1]);
});

test("a shuffled order holds every cell once, and is the same each time", () => {
  const order = shuffled(1000);
  assert.deepEqual([...order].sort((one, other) => one - other), Array.from({ length: 1000 }, (_, cell) => cell));
  assert.deepEqual(order, shuffled(1000));
  assert.notDeepEqual([...order.slice(0, 10)], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test("cells are drawn by level, equal levels in the order given", () => {
  const order = Uint32Array.of(3, 1, 0, 2);
  const levels = Uint16Array.of(5, 0, 5, 0);
  assert.deepEqual([...byLevel(order, levels)], [3, 1, 0, 2]);
  assert.deepEqual([...byLevel(order, Uint16Array.of(0, 700, 1, 700))], [0, 2, 3, 1]);
});

test("a polygon holds the cells that a plain test of every edge finds", () => {
  const next = random(7);
  const nCells = 5000;
  const places = Float32Array.from({ length: 2 * nCells }, () => 2 * next() - 1);
  places[20] = Number.NaN;
  const star = Array.from({ length: 41 }, (_, corner) => {
    const [angle, far] = [(2 * Math.PI * corner) / 41, 0.2 + 0.7 * next()];
    return [far * Math.cos(angle), far * Math.sin(angle)];
  });
  const plain = [];
  for (let cell = 0; cell < nCells; cell++) {
    const [x, y] = [places[2 * cell], places[2 * cell + 1]];
    let odd = false;
    star.forEach(([x0, y0], corner) => {
      const [x1, y1] = star[(corner + 1) % star.length];
      if (y0 > y !== y1 > y && x < x0 + ((y - y0) * (x1 - x0)) / (y1 - y0)) odd = !odd;
    });
    if (odd) plain.push(cell);
  }
  const found = inside(places, star, () => true);
  assert.deepEqual(members(found, nCells), plain);
  assert.ok(plain.length > 500 && !holds(found, 10));
  const even = inside(places, star, (cell) => cell % 2 === 0);
  assert.deepEqual(members(even, nCells), plain.filter((cell) => cell % 2 === 0));
  assert.equal(size(inside(places, star.slice(0, 2), () => true)), 0);
});

test("the nearest cell is the nearest one, within reach and among those that count", () => {
  const next = random(3);
  const nCells = 2000;
  const places = Float32Array.from({ length: 2 * nCells }, () => 2 * next() - 1);
  places[0] = places[1] = Number.NaN;
  const nearest = new NearestCell(places);
  for (let trial = 0; trial < 200; trial++) {
    const [x, y] = [2 * next() - 1, 2 * next() - 1];
    let [best, least] = [-1, 0.05 ** 2];
    for (let cell = 0; cell < nCells; cell++) {
      const away = (places[2 * cell] - x) ** 2 + (places[2 * cell + 1] - y) ** 2;
      if (away <= least && cell % 3 > 0) [best, least] = [cell, away];
    }
    assert.equal(nearest.find(x, y, 0.05, (cell) => cell % 3 > 0), best);
  }
  assert.equal(nearest.find(5, 5, 0.05, () => true), -1);
});

test("of labels that cover each other the first one stays", () => {
  const box = (left, top) => ({ left, top, width: 10, height: 10 });
  assert.deepEqual(withoutOverlap([box(0, 0), box(5, 5), box(20, 0), box(11, 0)]), [0, 2]);
});

test("colours are blended evenly from end to end", () => {
  assert.deepEqual(blend(["#000000", "#ffffff"], 3), ["#000000", "#808080", "#ffffff"]);
  const steps = blend(["#000000", "#ff0000", "#ffff00"], 255);
  assert.equal(steps.length, 255);
  assert.deepEqual([steps[0], steps[127], steps[254]], ["#000000", "#ff0000", "#ffff00"]);
});
