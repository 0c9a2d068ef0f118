// Draws the charts of the page, each as wide as its place, in the colours of the day or of the night. Expressions are
// interpreted, not compiled: the page's policy allows no code but this.
const night = matchMedia("(prefers-color-scheme: dark)");
const places = [...document.querySelectorAll("[data-chart]")];
const drawn = new Map();

async function draw(place) {
  const text = document.getElementById(place.dataset.chart).textContent;
  const faint = getComputedStyle(document.documentElement).getPropertyValue("--faint").trim();
  const spec = JSON.parse(text.replaceAll(INK, faint));
  const width = place.clientWidth;
  const ratio = spec.usermeta && spec.usermeta.ratio;
  if (ratio) spec.height = Math.round(Math.max(180, Math.min(560, width * ratio)));
  drawn.get(place)?.finalize();
  drawn.set(place, await vegaEmbed(place, spec, {
    actions: false, ast: true, renderer: "svg", defaultStyle: false, tooltip: { disableDefaultStyle: true },
  }));
  place.dataset.width = width;
}

let queue = Promise.resolve();
const drawAll = (which) => {
  for (const place of which) queue = queue.then(() => draw(place)).catch((error) => console.error(error));
};
drawAll(places);
queue.then(() => document.documentElement.setAttribute("data-drawn", ""));
night.addEventListener("change", () => drawAll(places));
let later;
addEventListener("resize", () => {
  clearTimeout(later);
  later = setTimeout(() => drawAll(places.filter((place) => place.clientWidth !== Number(place.dataset.width))), 150);
});
