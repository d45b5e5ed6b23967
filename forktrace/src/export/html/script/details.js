// What is known of the selected process, and what is under the mouse.

const WAITS = 50;
const origins = ["fork seen", "already running when first seen", "known only from events about it"];
const call = (process) => `${process.comm || "?"}[${process.pid}]`;

function made({ fork }) {
  const thread = fork.tid === fork.pid ? "" : ` thread "${fork.comm}"[${fork.tid}]`;
  const by = fork.tid === fork.pid ? `${fork.comm}[${fork.pid}]` : `process ${fork.pid}`;
  if (!fork.copies) return `${clock(at(fork.when))} by ${by}${thread}; it shares memory until its exec`;
  if (fork.lost === 0) return `${clock(at(fork.when))} by ${by}${thread}`;
  const least = fork.lostKnown ? "" : "at least ";
  const lost = plural(fork.lost, "other thread was", "other threads were");
  return `${clock(at(fork.when))} by ${by}${thread}; ${least}${lost} not copied`;
}

function wait(one, process) {
  const until = one.ended ?? process.until;
  const more = one.older ? "more than " : "";
  const end = one.ended === null ? ", not ended" : one.seen ? "" : ", until the thread ended";
  const timed = one.timed ? "timed" : "untimed";
  return `${clock(at(one.began))} for ${more}${length(until - one.began)}${end}: thread ${one.tid}, futex ${one.address} ${one.op}, ${timed}`;
}

function facts(process) {
  const rows = [];
  if (process.fork) rows.push(["forked", made(process)]);
  else rows.push(["known", origins[process.origin]]);
  const life = process.began === null ? "began before the trace" : `from ${clock(at(process.began))}`;
  const lived = process.began === null ? "" : ` (${length(process.until - process.began)})`;
  rows.push(["lived", process.ended === null
    ? `${life}${lived}; still running when the trace ended` : `${life} to ${clock(at(process.ended))}${lived}`]);
  if (process.exe) rows.push(["program", process.exe]);
  if (process.earlier.length > 0) rows.push(["earlier names", process.earlier.join(", ")]);
  if (process.nsPid !== null) rows.push(["namespace", `pid ${process.nsPid} in its own pid namespace`]);
  process.execs.forEach((exec, n) => rows.push([n ? "" : "exec", `${clock(at(exec.when))} ${exec.path || "?"}`]));
  process.waits.slice(0, WAITS).forEach((one, n) => rows.push([n ? "" : "long waits", wait(one, process)]));
  if (process.waits.length > WAITS) rows.push(["", `and ${count(process.waits.length - WAITS)} more`]);
  if (process.incomplete) rows.push(["incomplete", "events about this process may be lost"]);
  return rows;
}

function drawDetails() {
  const section = $("details");
  section.hidden = picked === null;
  if (picked === null) return;
  const title = make("h2", "", `${picked.comm || "?"} `);
  title.append(make("small", "", `pid ${picked.pid}`));
  const links = make("div", "links");
  const above = processes[picked.above];
  if (above) links.append(button(`Parent: ${call(above)}`, () => show(above)));
  for (const finding of picked.found.filter(isShown)) {
    links.append(button(`${finding.label === "HANG" ? "Why it hangs" : "What is wrong"} (${finding.confidence})`, () => openFinding(finding)));
  }
  const from = picked.from, until = picked.until;
  links.append(button("Zoom to its life", () => zoomTo(from, until)));
  section.replaceChildren(title, terms(facts(picked)), links);
}

// The words for a place in the timeline.
function under(process, us) {
  const slack = 4 / transform.k / width * span;
  const hit = (from, until) => us >= from - slack && us <= until + slack;
  const words = [call(process)];
  for (const finding of process.found.filter(isShown)) {
    const until = finding.until ?? process.until;
    if (finding.label === "HANG" && hit(finding.since, until)) words.push(`stuck for ${length(until - finding.since)} (${finding.confidence})`);
  }
  for (const one of process.waits) {
    if (one.finding === null && hit(one.began, one.ended ?? process.until)) words.push(`waits: ${wait(one, process)}`);
  }
  for (const exec of process.execs) if (hit(exec.when, exec.when)) words.push(`exec ${exec.path}`);
  if (process.fork && hit(process.fork.when, process.fork.when)) words.push(`forked ${made(process)}`);
  words.push(process.ended === null ? "still running at the end" : `lived ${length(process.until - (process.began ?? 0))}`);
  return words.slice(0, 8).join("\n");
}
