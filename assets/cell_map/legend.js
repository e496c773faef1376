// The legend: categories with their counts, to be chosen, hidden and shown alone; or a scale with its unit.

const element = (tag, name, text) => {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
};

const grouped = (number) => String(number).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");

const button = (name, label, tell, text) => {
  const made = element("button", name, text);
  made.type = "button";
  made.title = label;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", tell);
  return made;
};

/** Show the categories; `act` is told "choose", "hide" or "only" with the place of a category. */
export const categories = (box, { title, entries, hidden, all, chosen, missing, act }) => {
  box.replaceChildren();
  box.append(element("div", "legend-title", title));
  const list = element("ul", "legend-list");
  entries.forEach((entry, place) => {
    if (all[place] === 0) return;
    const row = element("li", hidden[place] ? "legend-row gone" : "legend-row");
    row.dataset.label = entry.label;
    const eye = button("legend-eye", hidden[place] ? `Show ${entry.label}` : `Hide ${entry.label}`, () => act("hide", place));
    eye.setAttribute("aria-pressed", String(Boolean(hidden[place])));
    eye.style.setProperty("--own", entry.colour);
    const name = button("legend-name", `Select the cells of ${entry.label} (Shift adds, Alt takes away)`, (event) =>
      act("choose", place, event), entry.label);
    const only = button("legend-only", `Show only ${entry.label}`, () => act("only", place), "only");
    const part = chosen === null ? grouped(all[place]) : `${grouped(chosen[place])} of ${grouped(all[place])}`;
    row.append(eye, name, only, element("span", "legend-count", part));
    list.append(row);
  });
  box.append(list);
  if (missing.n > 0) box.append(plainRow(missing.colour, `${missing.label} (n = ${grouped(missing.n)})`));
  if (hidden.some(Boolean)) box.append(button("legend-all", "Show all categories", () => act("all", -1), "Show all"));
};

/** Show a scale of values. */
export const scale = (box, { title, colours, ticks, missing }) => {
  box.replaceChildren();
  box.append(element("div", "legend-title", title));
  const bar = element("div", "legend-bar");
  const band = element("div", "legend-band");
  band.style.background = `linear-gradient(to top, ${colours.join(",")})`;
  const marks = element("div", "legend-marks");
  for (const [share, label] of ticks) {
    const mark = element("span", "legend-mark", label);
    mark.style.bottom = `${100 * share}%`;
    marks.append(mark);
  }
  bar.append(band, marks);
  box.append(bar);
  if (missing.n > 0) box.append(plainRow(missing.colour, `${missing.label} (n = ${grouped(missing.n)})`));
};

const plainRow = (colour, text) => {
  const row = element("div", "legend-plain", text);
  const dot = element("span", "legend-dot");
  dot.style.background = colour;
  row.prepend(dot);
  return row;
};

export { button, element, grouped };
