// Elements and texts. Every text of a span goes through `textContent`: nothing here parses HTML.

/** Returns an element with attributes, and children that are elements or texts. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Returns three significant digits. */
function digits(number) {
  if (number >= 100) return Math.round(number).toString();
  return number.toFixed(number >= 10 ? 1 : 2);
}

/** Removes zeros after the point, where numbers do not stand below each other. */
export function short(text) {
  return text.replace(/\.0+(?= |$)|(\.\d*[1-9])0+(?= |$)/, "$1");
}

/** Formats microseconds. */
export function duration(micros) {
  if (micros < 1) return "0 µs";
  if (micros < 999.5) return `${digits(micros)} µs`;
  if (micros < 999500) return `${digits(micros / 1e3)} ms`;
  if (micros < 60e6) return `${digits(micros / 1e6)} s`;
  const seconds = Math.round(micros / 1e6);
  return span(seconds);
}

/** Formats seconds as hours, minutes and seconds. */
export function span(seconds) {
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  if (h > 0) return `${h} h ${m} min`;
  return m > 0 ? `${m} min ${s} s` : `${s} s`;
}

export function count(number) {
  return Math.round(number).toLocaleString("en-US");
}

/** Returns a number and its noun. The plural is that with an s, unless it is given. */
export function counted(number, one, many = `${one}s`) {
  return `${count(number)} ${Math.round(number) === 1 ? one : many}`;
}

/** Formats requests per second. */
export function rate(number) {
  if (number === 0) return "0";
  return number < 0.01 ? "< 0.01" : digits(number);
}

export function bytes(number) {
  if (number < 1024) return `${number} B`;
  return number < 1 << 20 ? `${digits(number / 1024)} KiB` : `${digits(number / (1 << 20))} MiB`;
}

/** Formats microseconds since 1970 as a time of day. */
export function time(micros) {
  const date = new Date(micros / 1000);
  return date.toLocaleTimeString("en-GB") + "." + String(date.getMilliseconds()).padStart(3, "0");
}

/** Replaces the children, and gives the focus back to an element that has had it. */
export function replaceChildren(parent, children) {
  const focused = document.activeElement;
  parent.replaceChildren(...children);
  if (focused !== document.activeElement && parent.contains(focused)) {
    focused.focus({ preventScroll: true });
  }
}
