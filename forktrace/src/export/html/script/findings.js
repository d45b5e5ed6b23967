// The HANG blocks, in the words of the text report.

const CHUNK = 100;
let most = 20;

function terms(rows) {
  const list = make("dl", "rows");
  for (const [label, text, kind] of rows) {
    const name = { advice: "todo", place: "place" }[kind] ?? "";
    list.append(make("dt", "", label), make("dd", name + (label === "" ? " again" : ""), text));
  }
  return list;
}

function stack([title, frames]) {
  const element = make("details", "stack");
  element.append(make("summary", "", `${title} (${plural(frames.length, "frame", "frames")})`));
  const list = make("ol");
  for (const [name, place] of frames) {
    const item = make("li", "", `${name} `);
    item.append(make("small", "", place));
    list.append(item);
  }
  element.append(list);
  return element;
}

// The further tasks of one fault: they say the same again, so they have a line each.
function same(others) {
  const element = make("details", "same");
  element.append(make("summary", "", `The same fault in ${plural(others.length, "more task", "more tasks")}`));
  const more = button("Show more", () => element.fill(CHUNK));
  const done = () => element.children.length - 2;
  element.fill = (n) => {
    more.before(...others.slice(done(), done() + n).map((finding) => card(finding, false, [])));
    more.hidden = done() >= others.length;
  };
  element.append(more);
  element.addEventListener("toggle", () => {
    if (done() === 0) element.fill(CHUNK);
  });
  return element;
}

// How long it was stuck as far as the log goes: the header is in the words of the moment of the finding.
function lasted(finding) {
  const process = processes[finding.process];
  const goesOn = finding.until === null && (process?.ended ?? null) === null;
  const all = length((finding.until ?? process?.until ?? trace.end) - finding.since);
  return `${all} ${goesOn ? "when the trace ended" : "in all"}`;
}

function card(finding, open, others) {
  const element = make("details", `finding ${finding.confidence}`);
  element.open = open;
  element.dataset.finding = finding.index;
  const summary = make("summary");
  summary.append(make("b", "", finding.label), make("span", "head", finding.header));
  if (finding.ended) summary.append(make("span", "pill ended", "ended"));
  else summary.append(make("span", "others lasted", lasted(finding)));
  if (others.length > 0) summary.append(make("span", "others", `and ${count(others.length)} more`));
  summary.append(make("span", "pill", finding.confidence));
  element.append(summary);
  // Filled when it is first opened: there may be thousands.
  element.fill = () => {
    if (!element.open || element.children.length > 1) return;
    const inside = make("div", "inside");
    inside.append(terms(finding.ended ? [["now", finding.ended], ...finding.rows] : finding.rows));
    inside.append(...finding.stacks.map(stack));
    if (others.length > 0) inside.append(same(others));
    inside.append(button("Show in the timeline", () => show(processes[finding.process], finding)));
    element.append(inside);
  };
  element.fill();
  element.addEventListener("toggle", element.fill);
  return element;
}

// The findings that are shown, by fault: each begins with the one that was told first.
function faults() {
  const by = new Map();
  for (const finding of findings.filter(isShown)) {
    const first = finding.again ?? finding.index;
    if (by.has(first)) by.get(first).push(finding);
    else by.set(first, [finding]);
  }
  return [...by.values()];
}

function drawFindings() {
  const all = faults();
  const cards = all.slice(0, most).map(([first, ...others], n) => card(first, n < 3, others));
  $("cards").replaceChildren(...cards);
  const rest = all.length - cards.length;
  $("more").hidden = rest <= 0;
  $("more").textContent = `Show ${count(Math.min(rest, CHUNK))} more of ${plural(rest, "finding", "findings")}`;
  $("findings").hidden = findings.length === 0;
  const hidden = new Set(findings.filter((finding) => !finding.shown).map((finding) => finding.process)).size;
  $("suspects").hidden = hidden === 0;
  $("suspects").lastElementChild.textContent =
    `Also show ${plural(hidden, "low-confidence finding (suspect)", "low-confidence findings (suspects)")}`;
}

// Opens a finding's block and brings it into view.
function openFinding(finding) {
  const place = faults().findIndex((fault) => fault.includes(finding));
  if (place < 0) return;
  if (place >= most) {
    most = place + 1;
    drawFindings();
  }
  const outer = $("cards").children[place];
  outer.open = true;
  outer.fill();
  let element = outer;
  if (outer.dataset.finding !== String(finding.index)) {
    const list = outer.querySelector(".same");
    list.open = true;
    list.fill(faults()[place].length);
    element = list.querySelector(`[data-finding="${finding.index}"]`);
    element.open = true;
  }
  element.scrollIntoView({ block: "nearest" });
  element.firstElementChild.focus({ preventScroll: true });
}
