// Sorts tables, filters everything on the page, and draws the explorer. It needs no network.
"use strict";
document.documentElement.classList.add("scripted");

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sign = head.ariaSort === "ascending" ? -1 : 1;
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      const value = (row) => row.cells[head.cellIndex].dataset.value;
      const compare = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b, "en", {numeric: true}) : a - b);
      const rows = [...body.rows].sort((a, b) =>
        value(a) === "" || value(b) === "" ? (value(a) === "") - (value(b) === "") : sign * compare(value(a), value(b)));
      body.append(...rows);
    });
  }
}

// Filters: what has data-task, data-config or data-model is hidden unless that is chosen.
const filters = document.getElementById("filters");
const facets = document.querySelectorAll("[data-task], [data-config], [data-model]");
const groups = [...document.querySelectorAll("[data-group]")].reverse(); // Inner ones first

function filter() {
  const [onlyTask, onlyConfig] = ["only-task", "only-config"].map((id) => document.getElementById(id).value);
  const models = [...filters.querySelectorAll(":checked:not(option)")];
  const chosen = new Set(models.map((each) => each.value));
  const fits = ({dataset: {task, config, model}}) =>
    (!onlyTask || task === undefined || task === onlyTask) &&
    (!onlyConfig || config === undefined || config === onlyConfig) &&
    (!chosen.size || model === undefined || chosen.has(model));
  for (const each of facets) each.toggleAttribute("hidden", !fits(each));
  // A group without any of the chosen models is an empty heading.
  for (const group of groups) {
    const some = [...group.querySelectorAll("[data-model]")].some((each) => !each.closest("[hidden]"));
    group.toggleAttribute("hidden", !fits(group) || (chosen.size > 0 && !some));
  }
  document.getElementById("models-chosen").textContent =
    models.map((each) => each.parentNode.textContent).join(", ") || "all";
  const rows = [...document.querySelectorAll("#leaderboard ~ .wide tbody tr")];
  document.getElementById("shown").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  if (stage) choosePanel();
}

// The explorer: arrows from a place on the canvas to the answers of the models.
const stage = document.getElementById("stage");
const explored = document.getElementById("explored");
const panels = [...document.querySelectorAll(".answers")];
const at = {row: 0, column: 0}; // Of the place, among the rows and columns of the panel
let panel; // What is shown
let speaking;

// Returns the int16 numbers of an attribute, see explorer.py.
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Int16Array(await new Response(stream).arrayBuffer());
}

async function load(list) {
  const found = {list, task: list.dataset.task, config: list.dataset.config};
  for (const name of ["height", "width", "step", "top", "left", "rows", "columns", "size"])
    found[name] = Number(list.dataset[name]);
  [found.places, found.kernel] = await Promise.all([list.dataset.places, list.dataset.kernel].map(unpack));
  found.models = await Promise.all([...list.children].map(async (item, k) => ({
    item, number: k + 1, color: item.dataset.color, unit: item.dataset.unit, scale: Number(item.dataset.scale),
    arrows: "arrows" in item.dataset, values: await unpack(item.dataset.values),
  })));
  return found;
}

// Shows the panel that is selected, or the first that has any of the chosen models.
async function choosePanel() {
  for (const option of explored.options) {
    const list = panels[option.value];
    option.hidden = option.disabled = list.hidden || [...list.children].every((each) => each.hidden);
  }
  if (explored.selectedOptions[0]?.disabled !== false)
    explored.selectedIndex = [...explored.options].findIndex((each) => !each.disabled);
  const list = panels[explored.value];
  for (const each of panels) each.classList.toggle("chosen", each === list);
  if (list && list !== panel?.list) {
    const loaded = list.loaded ??= await load(list);
    if (panels[explored.value] !== list) return; // Another was selected meanwhile.
    panel = loaded;
    Object.assign(at, middle(panel));
  }
  if (!list) panel = undefined;
  draw();
}

// Returns the place of test, if any is shown, that is nearest to the middle of all of them.
function middle({places, columns}) {
  const split = places.includes(2) ? 2 : 1;
  const tests = [...places.keys()].filter((k) => places[k] === split)
    .map((k) => ({row: Math.floor(k / columns), column: k % columns}));
  const mean = (name) => tests.reduce((sum, each) => sum + each[name], 0) / tests.length;
  const [row, column] = [mean("row"), mean("column")];
  const far = (each) => Math.hypot(each.row - row, each.column - column);
  return tests.reduce((best, each) => (far(each) < far(best) ? each : best), tests[0]);
}

// Returns the answer of a model at the place: {row, column, off, right, text}.
function answer(model) {
  const n = panel.rows * panel.columns;
  const k = at.row * panel.columns + at.column;
  const right = model.values[model.values.length - n + k];
  if (right < 0) return {text: "no example here"};
  const word = right ? "right" : "wrong";
  const value = (plane) => model.values[plane * n + k] / model.scale;
  if (!model.arrows) {
    const share = (right ? 1 : Math.min(value(0), 0.99)).toFixed(2); // Only a right canvas has 1.
    const text = model.unit === "px" ? `${value(0).toFixed(1)} px off` : `${model.unit} ${share}`;
    return {right, text: `${word}, ${text}`};
  }
  const [row, column] = [pixel(at).row + value(0), pixel(at).column + value(1)];
  const off = Math.hypot(value(0), value(1)).toFixed(1);
  return {row, column, right, text: `${word}, ${off} px off: row ${row.toFixed(1)}, column ${column.toFixed(1)}`};
}

const pixel = ({row, column}) => ({row: panel.top + row * panel.step, column: panel.left + column * panel.step});

function draw() {
  const place = document.getElementById("place");
  const pen = stage.getContext("2d");
  stage.style.aspectRatio = panel ? `${panel.width} / ${panel.height}` : "";
  const scale = devicePixelRatio * stage.clientWidth / (panel?.width ?? 1); // Of a pixel of the canvas
  stage.width = devicePixelRatio * stage.clientWidth;
  stage.height = scale * (panel?.height ?? 0);
  if (!panel) {
    place.textContent = speak("The explorer has none of the chosen tasks, data sets and models.");
    return;
  }
  const x = (column) => (column + 0.5) * scale; // The middle of a pixel
  const box = (row, column, size) => { // Without gaps between neighbours
    const [left, top, right, bottom] = [column, row, column + size, row + size].map((each) => Math.round(each * scale));
    pen.fillRect(left, top, right - left, bottom - top);
  };
  const hatch = hatched(pen);
  panel.places.forEach((split, k) => {
    if (!split) return;
    pen.fillStyle = split === 2 ? hatch : "#2b323a";
    const {row, column} = pixel({row: Math.floor(k / panel.columns), column: k % panel.columns});
    box(row, column, panel.step);
  });

  const {row, column} = pixel(at);
  const corner = (panel.size - 1) / 2;
  pen.fillStyle = "#fff";
  panel.kernel.forEach((white, k) => {
    if (!white) return;
    box(row - corner + Math.floor(k / panel.size), column - corner + k % panel.size, 1);
  });

  const split = ["without an example", "train", "test"][panel.places[at.row * panel.columns + at.column]];
  place.textContent = `Row ${row}, column ${column}: ${split}`;
  const texts = [];
  for (const model of panel.models) {
    if (model.item.hidden) continue;
    const given = answer(model);
    model.item.querySelector("output").textContent = given.text;
    texts.push(`${model.item.querySelector("a").textContent}: ${given.text}.`);
    if (given.row !== undefined) arrow(pen, [x(column), x(row)], [x(given.column), x(given.row)], model.color, given.right);
  }
  speak(`${place.textContent}. ${texts.join(" ")}`);
}

function hatched(pen) {
  const tile = Object.assign(document.createElement("canvas"), {width: 8, height: 8});
  const lines = tile.getContext("2d");
  lines.fillStyle = "#151a20";
  lines.fillRect(0, 0, 8, 8);
  lines.strokeStyle = "#5c6b7c";
  lines.lineWidth = 2;
  for (const k of [-8, 0, 8]) {
    lines.moveTo(k - 1, -1);
    lines.lineTo(k + 9, 9);
  }
  lines.stroke();
  return pen.createPattern(tile, "repeat");
}

// An arrow to a wrong answer ends in a head, and a right answer is a dot; both have a white rim.
function arrow(pen, [x0, y0], [x1, y1], color, right) {
  const unit = devicePixelRatio;
  const angle = Math.atan2(y1 - y0, x1 - x0);
  const shape = new Path2D();
  if (right) {
    shape.arc(x1, y1, 5 * unit, 0, 2 * Math.PI);
  } else {
    const side = (turn, length) => [x1 - length * Math.cos(angle + turn), y1 - length * Math.sin(angle + turn)];
    shape.moveTo(x1, y1);
    shape.lineTo(...side(0.45, 13 * unit));
    shape.lineTo(...side(-0.45, 13 * unit));
    shape.closePath();
  }
  const line = new Path2D();
  line.moveTo(x0, y0);
  line.lineTo(x1 - (right ? 0 : 8 * unit) * Math.cos(angle), y1 - (right ? 0 : 8 * unit) * Math.sin(angle));
  pen.lineCap = "round";
  for (const [style, width] of [["#fff", 5], [color, 2.5]]) {
    pen.strokeStyle = style;
    pen.lineWidth = width * unit;
    if (!right) pen.stroke(line);
    if (style === "#fff") pen.stroke(shape);
  }
  pen.fillStyle = color;
  pen.fill(shape);
}

// Tells screen readers where the shape is, once it rests.
function speak(text) {
  clearTimeout(speaking);
  speaking = setTimeout(() => (document.getElementById("spoken").textContent = text), 300);
  return text;
}

function move(row, column) {
  at.row = Math.min(Math.max(row, 0), panel.rows - 1);
  at.column = Math.min(Math.max(column, 0), panel.columns - 1);
  draw();
}

function point(event) {
  if (!panel) return;
  const box = stage.getBoundingClientRect();
  const row = Math.floor((event.clientY - box.top) / box.height * panel.height);
  const column = Math.floor((event.clientX - box.left) / box.width * panel.width);
  move(Math.round((row - panel.top) / panel.step), Math.round((column - panel.left) / panel.step));
}

const KEYS = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};

if (stage) {
  panels.forEach((list, k) => explored.add(new Option(`${list.dataset.task}, ${list.dataset.config}`, k)));
  const most = (best, list, k) => (list.children.length > panels[best].children.length ? k : best);
  explored.selectedIndex = panels.reduce(most, 0);
  explored.addEventListener("change", choosePanel);
  stage.addEventListener("pointerdown", point);
  stage.addEventListener("pointermove", point);
  stage.addEventListener("keydown", (event) => {
    if (!panel || !KEYS[event.key]) return;
    event.preventDefault(); // Of scrolling
    const [down, right] = KEYS[event.key].map((each) => each * (event.shiftKey ? 5 : 1));
    move(at.row + down, at.column + right);
  });
  new ResizeObserver(() => panel && draw()).observe(stage);
}
filters.hidden = false;
filters.addEventListener("change", filter);
document.getElementById("all").addEventListener("click", () => {
  for (const each of filters.querySelectorAll("select")) each.value = "";
  for (const each of filters.querySelectorAll("input")) each.checked = false;
  filter();
});
filter();
