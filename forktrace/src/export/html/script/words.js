// Numbers and times in words, as the text report writes them. Times are µs.

const whole = new Intl.NumberFormat("en-US");
const count = (n) => whole.format(n);
const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;

function length(us) {
  const ms = Math.floor(us / 1000), s = Math.floor(ms / 1000);
  if (us < 1000) return `${Math.round(us)} µs`;
  if (s < 1) return `${ms} ms`;
  if (s < 120) return `${s}.${Math.floor(ms % 1000 / 100)} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

// `us` since 1970; as many places as a step of `step` needs.
function clock(us, step = 1000) {
  const iso = new Date(Math.floor(us / 1000)).toISOString();
  if (step >= 86400e6) return iso.slice(0, 10);
  if (step >= 60e6) return iso.slice(11, 16);
  if (step >= 1e6) return iso.slice(11, 19);
  if (step >= 1000) return iso.slice(11, 23);
  return iso.slice(11, 23) + String(((us % 1000) + 1000) % 1000).padStart(3, "0");
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function button(text, act) {
  const element = make("button", "", text);
  element.type = "button";
  element.addEventListener("click", act);
  return element;
}

const $ = (id) => document.getElementById(id);
