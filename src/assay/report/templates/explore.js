"use strict";
(() => {
  const rows = JSON.parse(document.getElementById("data").textContent);
  const step = 200;
  const body = document.getElementById("rows");
  const count = document.getElementById("count");
  const more = document.getElementById("more");
  const search = document.getElementById("search");
  const column = document.getElementById("column");
  const flipped = document.getElementById("flipped");
  const heads = [...document.querySelectorAll("th[data-place]")];
  let sorted = null; // as they come: by change, in parts of what the column can change
  let shown = step;

  const minus = (value) => value.toFixed(2).replace("-0.00", "0.00").replace("-", "\u2212");
  const cell = (label, text, className) => {
    const made = document.createElement("td");
    made.dataset.label = label;
    made.dir = "auto";
    made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const matching = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = rows.filter((row) => {
      if (column.value && row[0] !== column.value) return false;
      if (flipped.checked && !row[10]) return false;
      const text = row.slice(0, 7).join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    if (!sorted) return found;
    const sign = sorted.down ? -1 : 1;
    const key = (row) => row[sorted.place];
    found.sort((a, b) => {
      const [one, two] = [key(a), key(b)];
      return sign * (typeof one === "number" ? one - two : one.localeCompare(two));
    });
    return found;
  };
  const draw = () => {
    const found = matching();
    const part = found.slice(0, shown);
    body.replaceChildren(...part.map((row) => {
      const line = document.createElement("tr");
      const quote = (text) => (text && row[12] ? `\u201c${text}\u201d` : text);
      line.append(
        cell("Column", row[1] ? `${row[0]}, ${row[1]}` : row[0]),
        cell("Question", row[3] || row[4]),
        cell("Answer", row[4]),
        cell("Before", quote(row[5])),
        cell("Now", quote(row[6]), row[10] ? "changed" : ""),
        cell("Value before", minus(row[7]), "number"),
        cell("After", minus(row[8]), "number"),
        cell("Change", minus(row[9]), "number"),
        cell("Fact", row[2]),
      );
      return line;
    }));
    count.textContent = `${found.length} of ${rows.length} questions, ${part.length} shown`;
    more.hidden = part.length === found.length;
    for (const head of heads) {
      const own = sorted && Number(head.dataset.place) === sorted.place;
      head.setAttribute("aria-sort", own ? (sorted.down ? "descending" : "ascending") : "none");
    }
  };
  for (const head of heads) {
    head.querySelector("button").addEventListener("click", () => {
      const place = Number(head.dataset.place);
      sorted = { place, down: sorted && sorted.place === place ? !sorted.down : place > 6 };
      draw();
    });
  }
  for (const control of [search, column, flipped]) {
    control.addEventListener("input", () => { shown = step; draw(); });
  }
  more.addEventListener("click", () => { shown += step; draw(); });
  draw();
})();
