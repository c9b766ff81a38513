// Makes tables of more than eight rows sortable by each column and filterable by words.
"use strict";
{
  const LONG = 8;
  const SECONDS = { s: 1, min: 60, h: 3600 };

  const text = (cell) => cell.textContent.replace(/\u00a0/g, " ").trim();

  // The words of a footnote are no part of a number.
  const plain = (cell) => {
    const copy = cell.cloneNode(true);
    copy.querySelectorAll("sup").forEach((mark) => mark.remove());
    return text(copy);
  };

  // "12 min" -> 720, "2 of 10" -> 0.2, "< 0.001 px" -> 0.001, "IoU 0.9" -> 0.9, others -> NaN
  const number = (words) => {
    const found = words.replace(/(\d),(?=\d{3})/g, "$1").match(/^(?:< |IoU )?(-?[\d.]+)(?: (of )?(\S+))?/);
    if (!found) return NaN;
    const [, first, of, unit] = found;
    return of ? first / parseFloat(unit) : first * (SECONDS[unit] ?? 1);
  };

  const compare = (one, other) => {
    const [a, b] = [number(one), number(other)];
    if (isNaN(a) || isNaN(b)) return one.localeCompare(other, "en", { numeric: true });
    return a - b;
  };

  const sort = (table, head) => {
    const down = head.ariaSort === "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const cells = new Map([...body.rows].map((row) => [row, plain(row.cells[head.cellIndex])]));
    const rows = [...cells.keys()].sort((one, other) => {
      const [a, b] = [cells.get(one), cells.get(other)];
      if (a === "" || b === "") return (a === "") - (b === "");  // Blank cells are always last.
      return down ? compare(b, a) : compare(a, b);
    });
    body.append(...rows);
  };

  const filter = (table, field, count) => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) {
      const line = [...row.cells].map(text).join(" ").toLowerCase();
      row.hidden = !words.every((word) => line.includes(word));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  };

  const improve = (table) => {
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.append(...head.childNodes);
      button.title = "Sort";
      head.append(button);
      button.addEventListener("click", () => sort(table, head));
    }
    const bar = document.createElement("p");
    bar.className = "table-filter";
    const field = document.createElement("input");
    field.type = "search";
    field.placeholder = "Filter rows, e.g. coordconv quadrant";
    field.setAttribute("aria-label", "Filter the rows of the table below");
    const count = document.createElement("span");
    count.setAttribute("role", "status");
    bar.append(field, count);
    table.before(bar);
    field.addEventListener("input", () => filter(table, field, count));
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const table of document.querySelectorAll(".md-typeset table:not([class])")) {
      if (table.tHead && table.tBodies[0]?.rows.length > LONG) improve(table);
    }
  });
}
