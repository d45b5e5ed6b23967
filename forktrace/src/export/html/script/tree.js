// Which processes have a row, in which order: filter and collapsed subtrees.

const collapsed = new Set();
let lines = [];
let lineOf = new Map();
let picked = null;
const filter = { terms: [], confidence: "" };

function matches(process) {
  const { finding } = process;
  if (filter.confidence === "any" ? !finding : filter.confidence && finding?.confidence !== filter.confidence) {
    return false;
  }
  return filter.terms.every((term) =>
    String(process.pid).startsWith(term)
    || [process.comm, ...process.earlier, process.exe ?? "", ...process.execs.map((exec) => exec.path)]
      .some((text) => text.toLowerCase().includes(term)));
}

const isFiltered = () => filter.terms.length > 0 || filter.confidence !== "";

// Sets what each process is to the filter: 2 matches, 1 stands above one that does, 0 neither.
function sift() {
  for (const process of processes) process.kept = matches(process) ? 2 : 0;
  let found = 0;
  for (const process of processes) {
    if (process.kept !== 2) continue;
    found += 1;
    for (let up = processes[process.above]; up && up.kept === 0; up = processes[up.above]) up.kept = 1;
  }
  return found;
}

// Lays out the rows anew, and returns how many processes match the filter.
function layout() {
  const found = sift();
  lines = [];
  const stack = [...roots].reverse();
  for (const root of roots) root.depth = 0;
  while (stack.length > 0) {
    const process = stack.pop();
    if (!process.kept) continue;
    lines.push(process);
    if (collapsed.has(process.id)) continue;
    for (let n = process.children.length - 1; n >= 0; n -= 1) {
      process.children[n].depth = process.depth + 1;
      stack.push(process.children[n]);
    }
  }
  lineOf = new Map(lines.map((process, line) => [process.id, line]));
  return found;
}

// Makes sure that a process has a row.
function uncover(process) {
  for (let up = processes[process.above]; up; up = processes[up.above]) collapsed.delete(up.id);
}
