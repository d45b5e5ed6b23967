// The timeline on its canvas: what the rows in view did.

const LINE = 26;
const HEAD = 28;
let colors = {};

// The style sheet's colours as they are now: the browser resolves them on an element.
function readColors() {
  const probe = make("span");
  document.body.append(probe);
  const read = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const wanted = ["panel", "raised", "line", "text", "quiet", "warning", "alive", "ended", "wait", "hang",
    "fork", "exec", "pick", "link"];
  colors = Object.fromEntries(wanted.map((name) => [name, read(name)]));
  probe.remove();
}

function surface(canvas) {
  const { clientWidth: w, clientHeight: h } = canvas;
  const scale = devicePixelRatio || 1;
  if (canvas.width !== Math.round(w * scale) || canvas.height !== Math.round(h * scale)) {
    canvas.width = Math.round(w * scale);
    canvas.height = Math.round(h * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, w, h);
  return { context, w, h };
}

function drawAxis({ step, list }) {
  const { context, w, h } = surface($("axis"));
  context.font = "11px ui-monospace, 'DejaVu Sans Mono', monospace";
  context.textBaseline = "middle";
  for (const us of list) {
    const x = toX(us);
    context.fillStyle = colors.line;
    context.fillRect(Math.round(x), h - 7, 1, 7);
    const text = clock(at(us), step);
    const half = context.measureText(text).width / 2;
    if (x < half || x > w - half) continue;
    context.fillStyle = colors.quiet;
    context.fillText(text, x - half, h / 2 - 2);
  }
}

// A bar from one x to another, cut to what can be seen; at least as wide as can be seen.
function bar(context, from, until, y, height, color, w) {
  const left = Math.max(from, -4), right = Math.min(Math.max(until, from + 2), w + 4);
  if (right <= left) return;
  context.fillStyle = color;
  context.beginPath();
  context.roundRect(left, y, right - left, height, Math.min(3, (right - left) / 2));
  context.fill();
}

function inBar(context, text, from, until, y, color, w) {
  const left = Math.max(from, 0) + 5, room = Math.min(until, w) - left - 5;
  if (room < 24 || context.measureText(text).width > room) return;
  context.fillStyle = color;
  context.fillText(text, left, y);
}

function drawProcess(context, process, y, w) {
  context.globalAlpha = process.kept === 1 ? .45 : 1;
  const top = y + 7, height = LINE - 14, middle = y + LINE / 2;
  const [from, until] = [toX(process.from), toX(process.until)];
  if (until > -4 && from < w + 4) {
    bar(context, from, until, top, height, process.ended === null ? colors.alive : colors.ended, w);
  }
  for (const wait of process.waits) {
    if (wait.finding !== null && isShown(findings[wait.finding])) continue;
    bar(context, toX(wait.began), toX(wait.ended ?? process.until), top + 3, height - 6, colors.wait, w);
  }
  for (const finding of process.found) {
    if (!isShown(finding)) continue;
    const [a, b] = [toX(finding.since), toX(finding.until ?? process.until)];
    bar(context, a, b, top - 3, height + 6, colors.hang, w);
    const stuck = `stuck ${length((finding.until ?? process.until) - finding.since)}`;
    inBar(context, stuck, a, b, middle, "#fff", w);
  }
  context.fillStyle = colors.exec;
  for (const exec of process.execs) {
    const x = toX(exec.when);
    if (x < -6 || x > w + 6) continue;
    context.beginPath();
    context.moveTo(x, middle - 4);
    context.lineTo(x + 4, middle);
    context.lineTo(x, middle + 4);
    context.lineTo(x - 4, middle);
    context.fill();
  }
  context.globalAlpha = 1;
}

// From the row of the process that forked down to the child's.
function drawForks(context, first, last, offset, w, h) {
  context.strokeStyle = context.fillStyle = colors.fork;
  context.lineWidth = 1;
  const drawn = new Set();
  for (let line = first; line < lines.length; line += 1) {
    const child = lines[line];
    if (!child.fork) continue;
    const above = lineOf.get(child.above);
    // Children further down draw through the view if who forked them is in it or above it.
    if (above === undefined || above > last) continue;
    const x = Math.round(toX(child.fork.when)) + .5;
    if (x < -8 || x > w + 8) continue;
    const from = Math.max(above * LINE - offset + LINE / 2 + 6, -2);
    const until = Math.min(line * LINE - offset + 6, h + 2);
    const inView = line <= last;
    const key = `${above} ${x}`;
    if (!inView && drawn.has(key)) continue;
    drawn.add(key);
    context.beginPath();
    context.moveTo(x, from);
    context.lineTo(x, until);
    context.stroke();
    if (!inView) continue;
    context.beginPath();
    context.moveTo(x - 3.5, until - 4);
    context.lineTo(x + 3.5, until - 4);
    context.lineTo(x, until + 1);
    context.fill();
  }
}

function drawTime(offset) {
  const { context, w, h } = surface($("time"));
  const marks = ticks();
  drawAxis(marks);
  const [from, until] = [toTime(0), toTime(width)];
  $("range").textContent = `${clock(at(from), marks.step / 10)} to ${clock(at(until), marks.step / 10)}`;
  const first = Math.max(0, Math.floor(offset / LINE));
  const last = Math.min(lines.length - 1, Math.floor((offset + h) / LINE));
  context.font = "600 11px system-ui, 'DejaVu Sans', sans-serif";
  context.textBaseline = "middle";
  const own = picked === null ? undefined : lineOf.get(picked.id);
  if (own !== undefined) {
    context.fillStyle = colors.pick;
    context.fillRect(0, own * LINE - offset, w, LINE);
  }
  context.fillStyle = colors.line;
  for (const us of marks.list) context.fillRect(Math.round(toX(us)), 0, 1, h);
  for (const loss of data.losses) {
    context.fillStyle = colors.warning;
    context.fillRect(Math.round(toX(loss[0])) - 1, 0, 3, h);
  }
  drawForks(context, first, last, offset, w, h);
  for (let line = first; line <= last; line += 1) {
    drawProcess(context, lines[line], line * LINE - offset, w);
  }
}
