"use strict";
/* What the explorables share: sliders, figures with axes, lines, dots and arrows, a legend, and the result in words.

   A page says <div class="explorable" data-explorable="NAME" data-values='JSON'><p>alt</p></div>; NAME.js calls
   explore.register(NAME, build). build(box, values) makes the controls and returns draw(), which is called at once and
   whenever a slider or the width changes. Nothing is fetched. What a draw computed is in data-results of the box. */
const explore = (() => {
  const builders = {};
  let clips = 0;
  const SVG = "http://www.w3.org/2000/svg";
  const fix = (x, digits = 3) => String(Number(x.toPrecision(digits)));
  const range = (count, first = 0) => Array.from({ length: count }, (_, i) => first + i);

  function add(parent, name, attributes = {}, text = "") {
    const drawn = name === "svg" || parent.namespaceURI === SVG;
    const child = drawn ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) child.setAttribute(key, value);
    child.append(text);
    return parent.appendChild(child);
  }

  /* One slider a name: {name: {label, min, max, step, value, log, show}}. Returns read() -> {name: number}. log: the
     positions are logarithms to base 10. show(x): the value in words, also for screen readers. */
  function sliders(box, settings) {
    const controls = add(box, "div", { class: "explore-controls" }), inputs = {};
    for (const [name, { label, min, max, step, value, log, show }] of Object.entries(settings)) {
      const id = `explore-${box.dataset.number}-${name}`, place = log ? Math.log10(value) : value;
      const lowest = place - Math.round((place - min) / step) * step; // so that the given value is one of the steps
      add(controls, "label", { for: id }, label);
      const input = add(controls, "input", { type: "range", id, min: lowest, max, step, "data-slider": name });
      input.value = place;
      inputs[name] = { input, log, show: show || ((x) => fix(x)), shown: add(controls, "output", { for: id }) };
      input.addEventListener("input", () => box.dispatchEvent(new Event("change")));
    }
    return (limits = {}) => Object.fromEntries(Object.entries(inputs).map(([name, { input, log, show, shown }]) => {
      if (name in limits) input.max = limits[name]; // the browser moves a value that is beyond it
      const x = log ? 10 ** Number(input.value) : Number(input.value);
      shown.textContent = show(x);
      input.setAttribute("aria-valuetext", show(x));
      return [name, x];
    }));
  }

  function choice(box, label, kind, act = () => {}) { // a check box or a button below the sliders
    const line = add(box, "p", { class: "explore-choice" });
    const input = kind === "button" ? add(line, "button", { type: "button" }, label)
      : add(add(line, "label", {}, ` ${label}`), "input", { type: kind });
    if (kind !== "button") input.parentNode.prepend(input);
    input.addEventListener(kind === "button" ? "click" : "change", () => {
      act();
      box.dispatchEvent(new Event("change"));
    });
    return input;
  }

  const panels = (box) => add(box, "div", { class: "explore-panels" });

  function ticks([low, high], count) {
    const rough = (high - low) / count, unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * unit).find((size) => size >= rough);
    const first = Math.ceil(low / step - 1e-9);
    return range(Math.floor(high / step + 1e-9) - first + 1, first).map((k) => Number((k * step).toPrecision(12)));
  }

  /* A figure with axes in `panels`: x, y are [low, high]; share: of the panels' width; powers: y holds exponents of 10;
     rows: y is not numbered; equal: one unit is as long on both axes, and no axes are drawn. */
  function figure(parent, { x, y, xlabel = "", ylabel = "", title, height = 280, share = 1, powers, rows, equal }) {
    const whole = Math.max(240, parent.clientWidth), width = Math.floor(whole * share) - (share < 1 ? 8 : 0);
    const svg = add(parent, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    let [left, right, top, bottom] = equal ? [4, 4, title ? 22 : 4, 4] : [rows ? 8 : 52, 14, 12, 42];
    if (equal) { // widen the axis that has room to spare
      const unit = Math.max((x[1] - x[0]) / (width - left - right), (y[1] - y[0]) / (height - top - bottom));
      const widen = ([low, high], room) => [(low + high - unit * room) / 2, (low + high + unit * room) / 2];
      x = widen(x, width - left - right);
      y = widen(y, height - top - bottom);
    }
    const across = (value) => left + ((value - x[0]) / (x[1] - x[0])) * (width - left - right);
    const up = (value) => height - bottom - ((value - y[0]) / (y[1] - y[0])) * (height - top - bottom);
    const clip = (clips += 1);
    const spare = 6; // so that a dot on an axis stays whole
    const frame = { x: left - spare, y: top - spare, width: width - left - right + 2 * spare };
    frame.height = height - top - bottom + 2 * spare;
    add(add(svg, "clipPath", { id: `explore-clip-${clip}` }), "rect", frame);
    svg.dataset.axes = JSON.stringify({ x, y, across: x.map(across), up: y.map(up) });
    if (title) add(svg, "text", { x: left, y: 15, class: "title" }, title);
    for (const value of equal ? [] : ticks(x, width < 420 ? 5 : 8)) {
      add(svg, "line", { x1: across(value), x2: across(value), y1: top, y2: height - bottom, class: "grid" });
      add(svg, "text", { x: across(value), y: height - bottom + 16, class: "middle" }, value);
    }
    const heights = equal || rows ? [] : ticks(y, powers ? 6 : 5);
    for (const value of heights.filter((tick) => !powers || Number.isInteger(tick))) {
      add(svg, "line", { x1: left, x2: width - right, y1: up(value), y2: up(value), class: "grid" });
      const text = add(svg, "text", { x: left - 6, y: up(value) + 4, class: "end" }, powers ? "10" : value);
      if (powers) add(text, "tspan", { dy: -5, class: "small" }, value);
    }
    add(svg, "text", { x: (left + width - right) / 2, y: height - 6, class: "middle" }, xlabel);
    const turned = `translate(13 ${(top + height - bottom) / 2}) rotate(-90)`;
    add(svg, "text", { transform: turned, class: "middle" }, ylabel);
    const inside = add(svg, "g", { "clip-path": `url(#explore-clip-${clip})` });
    const point = ([a, b]) => `${across(a).toFixed(2)},${up(b).toFixed(2)}`;
    return {
      line(name, points, look) {
        add(inside, "path", { d: `M${points.map(point).join("L")}`, class: look, "data-line": name });
      },
      dots(points, look, r = 4) {
        for (const [a, b] of points) add(inside, "circle", { cx: across(a), cy: up(b), r, class: look });
      },
      text([a, b], words, look = "middle") {
        add(svg, "text", { x: across(a), y: up(b), class: look }, words);
      },
      arrow(name, from, to, look) {
        this.line(name, [from, to], look);
        const [x, y] = [across(to[0]), up(to[1])], angle = Math.atan2(y - up(from[1]), x - across(from[0]));
        const wing = (turn) => `${x - 10 * Math.cos(angle + turn)},${y - 10 * Math.sin(angle + turn)}`;
        add(inside, "polygon", { points: `${point(to)} ${wing(0.4)} ${wing(-0.4)}`, class: `${look} head` });
      },
    };
  }

  function legend(box, entries) { // [words, class, "line" or "dot"]
    const list = add(box, "ul", { class: "explore-legend" });
    for (const [words, look, kind = "line"] of entries) {
      const item = add(list, "li"), svg = add(item, "svg", { width: 30, height: 12, "aria-hidden": "true" });
      if (kind === "line") add(svg, "path", { d: "M1,6L29,6", class: look });
      else add(svg, "circle", { cx: 15, cy: 6, r: 4, class: look });
      add(item, "span", {}, words);
    }
  }

  const result = (box) => add(box, "p", { class: "explore-result", role: "status" });

  function start() {
    document.querySelectorAll(".explorable:not([role])").forEach((box) => {
      const build = builders[box.dataset.explorable];
      if (!build) return; // the paragraph stays
      box.dataset.number = document.querySelectorAll(".explorable[role]").length + 1;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", box.textContent.trim());
      box.replaceChildren();
      const draw = build(box, JSON.parse(box.dataset.values));
      const again = () => {
        box.querySelectorAll(".explore-panels").forEach((holder) => holder.replaceChildren());
        box.dataset.results = JSON.stringify(draw());
      };
      box.addEventListener("change", again);
      let width = box.clientWidth;
      const fit = () => { if (box.clientWidth !== width) { width = box.clientWidth; again(); } };
      new ResizeObserver(() => requestAnimationFrame(fit)).observe(box);  // a frame later: drawing resizes the box
      again();
    });
  }

  function register(name, build) {
    builders[name] = build;
    if (document.readyState !== "loading") start();
  }

  document.addEventListener("DOMContentLoaded", start);
  return { register, start, add, sliders, choice, panels, figure, legend, result, fix, range };
})();
