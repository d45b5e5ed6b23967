// The tree's rows in view, as elements.

const view = $("chart");
const pane = $("pane");

function row(process, line, offset) {
  const element = make("div", "row");
  element.id = `row-${process.id}`;
  element.setAttribute("role", "treeitem");
  element.setAttribute("aria-level", process.depth + 1);
  element.setAttribute("aria-selected", process === picked);
  element.dataset.id = process.id;
  element.style.transform = `translateY(${line * LINE - offset}px)`;
  const narrow = pane.clientWidth < 560;
  element.style.paddingLeft = `${4 + Math.min(process.depth, narrow ? 4 : 12) * (narrow ? 9 : 16)}px`;
  element.classList.toggle("picked", process === picked);
  element.classList.toggle("beside", process.kept === 1);
  const twist = make("button", "twist");
  twist.type = "button";
  twist.tabIndex = -1;
  const isParent = process.children.length > 0;
  if (isParent) {
    const isFolded = collapsed.has(process.id);
    twist.textContent = isFolded ? "▸" : "▾";
    twist.setAttribute("aria-label", isFolded ? "Expand" : "Collapse");
    element.setAttribute("aria-expanded", !isFolded);
  }
  twist.style.visibility = isParent ? "" : "hidden";
  element.append(twist, make("span", "name", process.comm || "?"), make("span", "pid", process.pid));
  if (collapsed.has(process.id)) element.append(make("span", "hidden", `+${count(process.below)}`));
  if (process.finding) {
    const { confidence, label } = process.finding;
    element.append(make("span", `mark ${confidence}`, `${label} ${confidence}`));
  }
  return element;
}

function drawRows(offset) {
  const height = pane.clientHeight - HEAD;
  const first = Math.max(0, Math.floor(offset / LINE));
  const last = Math.min(lines.length - 1, Math.floor((offset + height) / LINE));
  const list = [];
  for (let line = first; line <= last; line += 1) list.push(row(lines[line], line, offset));
  $("rows").replaceChildren(...list);
  if (picked && lineOf.has(picked.id)) view.setAttribute("aria-activedescendant", `row-${picked.id}`);
  else view.removeAttribute("aria-activedescendant");
}

let asked = false;

// Draws once before the next frame, however often it is asked to.
function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(draw);
}

function draw() {
  asked = false;
  const offset = Math.min(view.scrollTop, Math.max(0, lines.length * LINE + HEAD - pane.clientHeight));
  drawTime(offset);
  drawRows(offset);
}

// After the rows or the window have changed.
function fit() {
  const most = innerHeight * (innerWidth <= 760 ? .66 : .74);
  const height = Math.max(Math.min(lines.length * LINE + HEAD + 8, most), HEAD + LINE * 4);
  pane.style.height = `${height}px`;
  $("sizer").style.height = `${Math.max(0, lines.length * LINE + HEAD + 8 - height)}px`;
  $("empty").hidden = lines.length > 0;
  resize(Math.max(1, $("time").clientWidth));
  redraw();
}

function scrollTo(line) {
  const height = pane.clientHeight - HEAD;
  const top = line * LINE;
  if (top < view.scrollTop) view.scrollTop = Math.max(0, top - LINE);
  else if (top + LINE > view.scrollTop + height) view.scrollTop = top + 2 * LINE - height;
}
