// Puts it together: what is written once, and what the user does.

function pick(process) {
  picked = process;
  drawDetails();
  redraw();
}

// Selects a process and brings it into view, whatever hides it.
function show(process, finding) {
  if (!process) return;
  uncover(process);
  if (isFiltered()) {
    $("search").value = "";
    $("confidence").value = "";
  }
  update();
  pick(process);
  scrollTo(lineOf.get(process.id) ?? 0);
  if (finding) zoomTo(process.from, Math.max(finding.until ?? process.until, finding.since));
  view.focus({ preventScroll: true });
  view.scrollIntoView({ block: "nearest" });
}

function update() {
  filter.terms = $("search").value.toLowerCase().split(/[\s,]+/).filter((term) => term);
  filter.confidence = $("confidence").value;
  const found = layout();
  $("count").textContent = isFiltered()
    ? `${count(found)} of ${plural(processes.length, "process", "processes")}`
    : plural(processes.length, "process", "processes");
  fit();
}

function toggle(process) {
  if (process.children.length === 0) return;
  if (!collapsed.delete(process.id)) collapsed.add(process.id);
  update();
}

function step(lineCount) {
  const line = picked ? lineOf.get(picked.id) ?? -1 : -1;
  const next = Math.min(lines.length - 1, Math.max(0, line + lineCount));
  if (lines.length === 0) return;
  pick(lines[next]);
  scrollTo(next);
}

const page = () => Math.max(1, Math.floor((pane.clientHeight - HEAD) / LINE) - 1);
const keys = {
  ArrowDown: () => step(1),
  ArrowUp: () => step(-1),
  PageDown: () => step(page()),
  PageUp: () => step(-page()),
  Home: () => step(-lines.length),
  End: () => step(lines.length),
  ArrowLeft: () => {
    if (!picked) return;
    if (picked.children.length > 0 && !collapsed.has(picked.id)) toggle(picked);
    else if (processes[picked.above]) {
      pick(processes[picked.above]);
      scrollTo(lineOf.get(picked.id) ?? 0);
    }
  },
  ArrowRight: () => {
    if (!picked) return;
    if (collapsed.has(picked.id)) toggle(picked);
    else if (picked.children.length > 0) step(1);
  },
  Enter: () => picked && toggle(picked),
  "+": () => zoomBy(1.6),
  "=": () => zoomBy(1.6),
  w: () => zoomBy(1.6),
  "-": () => zoomBy(1 / 1.6),
  s: () => zoomBy(1 / 1.6),
  a: () => panBy(-.25),
  d: () => panBy(.25),
  0: () => zoomAll(),
  Escape: () => pick(null),
};

view.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const act = event.shiftKey && event.key === "ArrowLeft" ? keys.a
    : event.shiftKey && event.key === "ArrowRight" ? keys.d : keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || /INPUT|SELECT/.test(event.target.tagName)) return;
  event.preventDefault();
  $("search").focus();
});

const lineAt = (event) =>
  Math.floor((event.clientY - $("time").getBoundingClientRect().top + view.scrollTop) / LINE);

$("rows").addEventListener("click", (event) => {
  const process = processes[event.target.closest(".row")?.dataset.id];
  if (!process) return;
  if (event.target.closest(".twist")) toggle(process);
  else pick(process);
});
$("rows").addEventListener("dblclick", (event) => {
  const process = processes[event.target.closest(".row")?.dataset.id];
  if (process && !event.target.closest(".twist")) toggle(process);
});
$("time").addEventListener("click", (event) => pick(lines[lineAt(event)] ?? null));

// One finger pans sideways; up and down it scrolls, which the browser does itself.
let finger = null;
$("time").addEventListener("pointerdown", (event) => {
  if (event.pointerType !== "mouse") finger = event.isPrimary ? { id: event.pointerId, x: event.clientX } : null;
});
$("time").addEventListener("pointermove", (event) => {
  if (finger?.id === event.pointerId) {
    time.call(zoom.translateBy, (event.clientX - finger.x) / transform.k, 0);
    finger.x = event.clientX;
  }
  if (event.pointerType === "mouse") tip(event);
});
for (const kind of ["pointerup", "pointercancel"]) $("time").addEventListener(kind, () => { finger = null; });
$("time").addEventListener("pointerleave", () => { $("tip").hidden = true; });

function tip(event) {
  const box = $("tip");
  const process = event.buttons === 0 ? lines[lineAt(event)] : undefined;
  box.hidden = !process;
  if (!process) return;
  const us = toTime(event.clientX - $("time").getBoundingClientRect().left);
  box.textContent = `${under(process, us)}\n${clock(at(us))}`;
  const { offsetWidth: w, offsetHeight: h } = box;
  box.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - w - 8))}px`;
  box.style.top = `${event.clientY + 18 + h > innerHeight ? event.clientY - h - 10 : event.clientY + 18}px`;
}

const themes = ["system", "light", "dark"];
$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const next = themes[(themes.indexOf(root.dataset.theme ?? "system") + 1) % themes.length];
  root.dataset.theme = next;
  $("theme").textContent = `Theme: ${next}`;
  readColors();
  redraw();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColors();
  redraw();
});

$("tools").addEventListener("submit", (event) => event.preventDefault());
$("search").addEventListener("input", () => {
  view.scrollTop = 0;
  update();
});
$("confidence").addEventListener("change", update);
$("fold").addEventListener("click", () => {
  for (const process of processes) if (process.children.length > 0) collapsed.add(process.id);
  update();
});
$("unfold").addEventListener("click", () => {
  collapsed.clear();
  update();
});
$("in").addEventListener("click", () => zoomBy(1.6));
$("out").addEventListener("click", () => zoomBy(1 / 1.6));
$("all").addEventListener("click", zoomAll);
$("more").addEventListener("click", () => {
  most += CHUNK;
  drawFindings();
});
$("suspects").firstElementChild.addEventListener("change", (event) => {
  suspects = event.target.checked;
  mark();
  drawFindings();
  drawDetails();
  update();
});
view.addEventListener("scroll", redraw, { passive: true });
addEventListener("resize", fit);

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function head() {
  const [[tone, first], ...warnings] = data.said;
  $("verdict").className = tone;
  $("said").textContent = first;
  $("warnings").append(...warnings.map(([, text]) => make("p", "", text)));
  document.title = `forktrace: ${first}`;
  const day = clock(at(0), 86400e6);
  const ended = trace.end_reason === null ? "cut off" : trace.end_reason;
  $("about").append(
    `${capital(trace.filter || "a trace")} on Linux ${trace.kernel}, ${day} ${clock(at(0), 1e6)} to `
    + `${clock(at(trace.end), 1e6)} UTC (${length(trace.end)}; ${ended}), recorded by `,
    make("code", "", trace.command), ". All times here are UTC.");
  $("file").textContent = trace.version;
  for (const [label, text] of data.totals) {
    const pair = make("div");
    pair.append(make("dt", "", label), make("dd", "", text));
    $("totals").append(pair);
  }
  $("lossmark").hidden = data.losses.length === 0;
}

head();
readColors();
mark();
drawFindings();
time.call(zoom);
update();
// After the first drawing, for whoever measures.
requestAnimationFrame(() => performance.mark("drawn"));
