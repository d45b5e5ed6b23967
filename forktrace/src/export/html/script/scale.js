// The time that is shown: d3's zoom over the span of the trace.

const span = Math.max(trace.end, 1);
let width = 1;
let transform = d3.zoomIdentity;
const time = d3.select("#time");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const zoom = d3.zoom()
  .scaleExtent([1, Math.max(1, span / 20)])
  // The plain wheel scrolls the rows, and one finger too: see main.js for what it does sideways.
  .filter((event) => event.type === "wheel" ? event.ctrlKey || event.metaKey
    : event.touches ? event.touches.length > 1 : !event.button && !event.ctrlKey)
  .on("zoom", (event) => {
    transform = event.transform;
    redraw();
  });

const toX = (us) => transform.applyX(us / span * width);
const toTime = (x) => transform.invertX(x) / width * span;

function resize(newWidth) {
  const { k, x } = transform;
  transform = d3.zoomIdentity.translate(x / width * newWidth, 0).scale(k);
  width = newWidth;
  const all = [[0, 0], [width, 1]];
  zoom.extent(all).translateExtent(all);
  time.property("__zoom", transform);
}

const moving = () => calm.matches ? time : time.transition().duration(140);
const zoomBy = (factor) => moving().call(zoom.scaleBy, factor);
const panBy = (share) => moving().call(zoom.translateBy, -share * width / transform.k, 0);
const zoomAll = () => moving().call(zoom.transform, d3.zoomIdentity);

// Shows from..until with some time around it.
function zoomTo(from, until) {
  const most = Math.max(1, span / 20);
  const k = Math.min(most, span / Math.max((until - from) * 1.3, 20));
  const middle = (from + until) / 2 / span * width;
  const x = Math.min(0, Math.max(width * (1 - k), width / 2 - middle * k));
  moving().call(zoom.transform, d3.zoomIdentity.translate(x, 0).scale(k));
}

const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500].flatMap((n) => [n, n * 1e3])
  .concat([1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200].map((s) => s * 1e6))
  .sort((a, b) => a - b);

// Times of the axis's marks, on whole steps of the clock.
function ticks() {
  const [from, until] = [toTime(0), toTime(width)];
  const wanted = (until - from) / Math.max(2, width / 110);
  const step = steps.find((one) => one >= wanted) ?? Math.ceil(wanted / 86400e6) * 86400e6;
  const list = [];
  const first = Math.ceil(at(from) / step) * step;
  for (let us = first; us <= at(until); us += step) list.push(us - trace.epoch_us);
  return { step, list };
}
