// The map above tables and queries, and what is long folded away.

const page = document.querySelector("section.content");

async function addMap() {
  const before = page.querySelector(".facet-results, .table-wrapper");
  if (!before || !document.body.matches(".table, .query")) return;
  const given = new URLSearchParams(location.search);
  given.set("_map_width", Math.min(900, Math.floor(page.clientWidth)));
  const answer = await fetch(`/-/map${location.pathname}?${given}`);
  if (answer.status !== 200) return;
  const figure = document.createElement("figure");
  figure.className = "map";
  figure.innerHTML = await answer.text();
  before.before(figure);
}

function fold(element, title) {
  if (!element) return;
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  summary.textContent = title;
  element.before(details);
  details.append(summary, element);
}

fold(page.querySelector("dl.column-descriptions"), "What the columns mean");
fold(page.querySelector("pre.wrapped-sql"), "How the table is defined");
addMap();
