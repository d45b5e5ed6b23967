// The rows of data.rs, with the names of their fields.

const data = JSON.parse($("data").textContent);
const { trace, names } = data;
const at = (us) => trace.epoch_us + us;

const processes = data.processes.map(
  ([pid, above, name, origin, began, ended, incomplete, nsPid, exe, earlier], id) => ({
    id, pid, above, comm: names[name], origin, began, ended, incomplete, nsPid,
    exe: exe === null ? null : names[exe],
    earlier: earlier.map((place) => names[place]),
    from: Math.max(began ?? 0, 0), until: ended ?? trace.end,
    children: [], below: 0, execs: [], waits: [], fork: null, finding: null, found: [], depth: 0,
  }));
const roots = [];
for (const process of processes) {
  const above = processes[process.above];
  (above ? above.children : roots).push(process);
}
// How many processes are below each: children are counted before who is above them.
const order = [...roots];
for (let n = 0; n < order.length; n += 1) for (const child of order[n].children) order.push(child);
for (const process of order.reverse()) {
  const above = processes[process.above];
  if (above) above.below += process.below + 1;
}
for (const [child, when, pid, tid, comm, copies, lost, lostKnown] of data.forks) {
  processes[child].fork = { when, pid, tid, comm: names[comm], copies, lost, lostKnown };
}
for (const [process, when, path] of data.execs) {
  processes[process].execs.push({ when, path: names[path] });
}
for (const [process, tid, began, ended, seen, address, op, timed, finding, older] of data.waits) {
  processes[process].waits.push({ tid, began, ended, seen, address, op: names[op], timed, finding, older });
}
const strength = { suspect: 1, likely: 2, certain: 3 };
const findings = data.findings;
findings.forEach((finding, index) => {
  finding.index = index;
  processes[finding.process]?.found.push(finding);
});

let suspects = false;
const isShown = (finding) => finding.shown || suspects;

// The strongest finding that is shown is what a process is marked with.
function mark() {
  for (const process of processes) {
    process.finding = null;
    for (const finding of process.found) {
      const known = process.finding;
      if (isShown(finding) && (!known || strength[finding.confidence] > strength[known.confidence])) {
        process.finding = finding;
      }
    }
  }
}
