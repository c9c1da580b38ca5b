/* The book's own script: the switch for code, wide things that scroll inside themselves, verdicts, languages, bar charts,
   explorables. No library. */
(() => {
  "use strict";
  const page = document.documentElement;
  const here = document.currentScript.src.replace(/[^/]*$/, "");
  const WAYS = ["teach", "all", "none"];

  const kept = {
    get(name) { try { return localStorage.getItem(name); } catch { return null; } },
    set(name, value) { try { localStorage.setItem(name, value); } catch { /* a private window */ } },
  };

  /* Code: where it teaches (the cells' own folding), all of it, or none, on every page. */
  const code = (way) => {
    page.dataset.code = WAYS.includes(way) ? way : "teach";
    kept.set("atri-code", page.dataset.code);
    for (const cell of document.querySelectorAll("details.hide.above-input")) cell.open = page.dataset.code === "all";
    for (const one of WAYS) {
      for (const button of document.querySelectorAll(`.btn-code-${one}`)) {
        button.setAttribute("aria-pressed", String(one === page.dataset.code));
      }
    }
    wide();
  };
  page.dataset.code = kept.get("atri-code") || "teach";

  /* What is wider than its column can be scrolled, by the keyboard too, and shows that it can. */
  const WIDE = ".atri-scroll, div.math, mjx-container[display], .atri-long, .cell_output .text_html, div.highlight pre, .cell_output pre, .atri-bars-values";
  const ended = (box) => box.classList.toggle("atri-end", box.scrollLeft + box.clientWidth >= box.scrollWidth - 2);
  const wide = () => {
    for (const math of document.querySelectorAll('mjx-container:not([display="true"])')) {  // no line breaks inside
      const room = math.closest("p, li, dd, td, th, figcaption, section, div")?.clientWidth;
      const long = math.firstElementChild?.getBoundingClientRect().width;
      if (room && long) math.classList.toggle("atri-long", long > room);
    }
    for (const box of document.querySelectorAll(WIDE)) {
      const over = box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== "visible";
      if (over) ended(box);
      if (over === box.classList.contains("atri-wide")) continue;
      box.classList.toggle("atri-wide", over);
      if (over) {
        box.tabIndex = 0;
        box.addEventListener("scroll", () => ended(box), { passive: true });
        if (!box.hasAttribute("role") && box.tagName !== "PRE") {
          box.setAttribute("role", "group");
          box.setAttribute("aria-label", "wider than the page: scroll sideways");
        }
      } else if (box.tagName !== "MJX-CONTAINER") {
        box.removeAttribute("tabindex");
      }
    }
  };

  /* Bar charts. */
  const SVG = "http://www.w3.org/2000/svg";
  const draw = (parent, kind, attributes, text) => {
    const element = document.createElementNS(SVG, kind);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return parent.appendChild(element);
  };
  const put = (parent, kind, attributes = {}, text) => {
    const element = document.createElement(kind);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return parent.appendChild(element);
  };
  const rounded = (value) => String(Number(Number(value).toPrecision(4)));
  const step = (top) => {
    const size = 10 ** Math.floor(Math.log10(top / 4));
    return [1, 2, 5, 10].map((factor) => factor * size).find((one) => top / one <= 6);
  };

  /* Plotly writes arrays as lists or in base64. */
  const TYPES = { f8: Float64Array, f4: Float32Array, i1: Int8Array, u1: Uint8Array, i2: Int16Array, u2: Uint16Array, i4: Int32Array, u4: Uint32Array };
  const numbers = (values) => {
    if (!values?.bdata) return values || [];
    const bytes = Uint8Array.from(atob(values.bdata), (character) => character.charCodeAt(0));
    return [...new TYPES[values.dtype](bytes.buffer)];
  };
  const read = ({ data, layout }) => {
    const isUpright = ({ type, orientation, x, marker }) => type === "bar" && orientation !== "h" && x && marker?.color;
    if (!data.every(isUpright)) throw new Error("only upright bars with colours have a form on pages");
    const title = (axis) => layout[axis]?.title?.text || "";
    const slider = layout.sliders?.[0];
    return {
      series: data.map(({ name, marker, x, y, customdata }) => (
        { name: name || "", colour: marker.color, x: numbers(x), y: numbers(y), more: numbers(customdata) })),
      titles: { x: title("xaxis"), y: title("yaxis") },
      range: layout.yaxis?.range,
      more: /^([\w ]+?) %\{customdata\}/.exec(data[0].hovertemplate)?.[1],
      slider: slider && { label: slider.currentvalue.prefix.trim(), values: slider.steps.map(({ label }) => label), active: slider.active || 0 },
    };
  };

  /* What has room to scroll: tables, and figures of panels side by side, which keep their size on a phone. */
  const WIDE_FIGURE = 1.4;  // from this width to height on
  const scrolls = (one) => {
    const box = document.createElement("div");
    box.className = "atri-scroll";
    one.before(box);
    box.append(one);
  };
  const panels = (picture) => {
    if (picture.naturalWidth <= WIDE_FIGURE * picture.naturalHeight) return;
    picture.classList.add("atri-panels");
    scrolls(picture);
    wide();
  };

  /* Printed lines `sentence: True` as a list with ticks and crosses; any other text stays. */
  const verdicts = (printed) => {
    const lines = printed.textContent.trim().split("\n").map((line) => /^(.*\S): (True|False)$/.exec(line));
    if (!lines.every(Boolean)) return;
    const list = document.createElement("ul");
    list.className = "atri-verdicts";
    for (const [, sentence, value] of lines) {
      const holds = value === "True";
      const item = put(list, "li", { class: holds ? "yes" : "no" });
      put(item, "span", { class: "atri-mark", "aria-hidden": "true" }, holds ? "✓" : "✗");
      put(item, "span", { class: "atri-spoken" }, holds ? "holds: " : "does not hold: ");
      item.append(sentence);
    }
    printed.className = "output text_html";
    printed.replaceChildren(list);
  };

  /* Languages (BCP 47) for voices and fonts. The name of a translated page ends in its language: found_fra. */
  const TAGS = { eng: "en", fra: "fr", deu: "de", spa: "es", nld: "nl", cat: "ca", jpn: "ja", zho: "zh-Hans" };
  const NAMES = { English: "en", French: "fr", German: "de", Spanish: "es", Dutch: "nl", Catalan: "ca", Japanese: "ja", Chinese: "zh-Hans", ...TAGS };
  const HAN = /[\u3040-\u30ff\u3400-\u9fff]/;
  const EASTERN = /([\u3040-\u30ff\u3400-\u9fff][\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]*)/;
  const languageOf = (address) => TAGS[/_(\w{3})\.html$/.exec(address)?.[1]] || "en";

  const languages = () => {
    const own = languageOf(location.pathname);
    for (const link of document.querySelectorAll("a.internal[href], .prev-next-area a[href]")) {
      const other = languageOf(link.getAttribute("href").split("#")[0] || location.pathname);
      if (own !== "en" || other !== "en") (link.querySelector(".prev-next-title") || link).lang = other;
    }
    for (const table of document.querySelectorAll("article table")) captions(table);
    words(document.querySelector("article") || document.body);
  };
  /* Captions in a table with a row for each language: in the columns whose Japanese cell is Japanese. */
  const captions = (table) => {
    const tag = (row) => NAMES[row.cells[0]?.textContent.trim()];
    const rows = [...table.rows].filter(tag);
    const japanese = rows.find((row) => tag(row) === "ja");
    [...japanese?.cells || []].forEach((cell, column) => {
      if (column === 0 || !HAN.test(cell.textContent)) return;
      for (const row of rows) if (row.cells[column]) row.cells[column].lang = tag(row);
    });
  };
  /* Japanese and Chinese words in a text: kana is Japanese, Han alone Chinese unless `jpn:` stands before. */
  const words = (article) => {
    const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT), found = [];
    while (walker.nextNode()) {
      const parent = walker.currentNode.parentElement;
      const isMarked = parent.closest("[lang]") && parent.closest("[lang]") !== page;
      if (HAN.test(walker.currentNode.data) && !isMarked && !parent.closest("script, style, pre, code")) found.push(walker.currentNode);
    }
    for (const text of found) {
      const parts = text.data.split(EASTERN);  // every second one is such words
      const nodes = parts.map((part, place) => {
        if (place % 2 === 0) return part;
        const span = document.createElement("span");
        span.lang = /[\u3040-\u30ff]/.test(part) || /jpn: ?$/.test(parts[place - 1]) ? "ja" : "zh-Hans";
        span.textContent = part;
        return span;
      });
      text.replaceWith(...nodes);
    }
  };

  /* The scripts of the explorables that the page holds. */
  const explorables = () => {
    const names = [...document.querySelectorAll("[data-explorable]")].map((box) => box.dataset.explorable);
    for (const name of new Set(names.length ? ["plot", ...names] : [])) {
      const script = document.createElement("script");
      script.async = false;  // one after the other
      script.src = `${here}explore/${name}.js`;
      document.head.append(script);
    }
  };

  const bars = (box) => {
    const data = read(JSON.parse(box.querySelector("script").textContent));
    const shown = () => (data.slider ? [data.series[data.slider.active]] : data.series);
    const top = data.range ? data.range[1] : Math.max(...data.series.flatMap((one) => one.y));
    const picture = draw(box, "svg", { "aria-hidden": "true" });
    const said = put(box, "p", { class: "atri-bars-said", "aria-live": "polite" });
    const paint = () => {
      const width = Math.max(300, Math.min(720, box.clientWidth || 720)), height = 340;
      const left = 52, right = 8, up = 12, down = 52, groups = shown()[0].x.length;
      const high = (value) => height - down - (value / top) * (height - up - down);
      const room = (width - left - right) / groups, each = (room * 0.8) / shown().length;
      picture.replaceChildren();
      picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
      for (let tick = 0; tick <= top * 1.0001; tick += step(top)) {
        draw(picture, "line", { x1: left, x2: width - right, y1: high(tick), y2: high(tick), class: "grid" });
        draw(picture, "text", { x: left - 6, y: high(tick) + 4, "text-anchor": "end" }, rounded(tick));
      }
      shown().forEach((series, place) => series.y.forEach((value, group) => {
        const colour = Array.isArray(series.colour) ? series.colour[group] : series.colour;
        const x = left + group * room + room * 0.1 + place * each;
        const bar = draw(picture, "rect", { x, y: high(value), width: Math.max(1, each - 1), height: high(0) - high(value), fill: colour });
        const more = data.more ? `${data.more} ${rounded(series.more[group])}, ` : "";
        draw(bar, "title", {}, `${[series.name, series.x[group]].filter((one) => one !== "").join(", ")}: ${more}${rounded(value)}`);
        bar.addEventListener("pointerenter", () => { said.textContent = bar.querySelector("title").textContent; });
      }));
      const every = Math.ceil(groups / Math.floor((width - left) / 62));
      shown()[0].x.forEach((label, group) => {
        if (group % every === 0) {
          draw(picture, "text", { x: left + (group + 0.5) * room, y: height - down + 16, "text-anchor": "middle" }, label);
        }
      });
      draw(picture, "text", { x: (left + width) / 2, y: height - 10, "text-anchor": "middle" }, data.titles.x);
      const middle = (height - down + up) / 2;
      draw(picture, "text", { x: 14, y: middle, "text-anchor": "middle", transform: `rotate(-90 14 ${middle})` }, data.titles.y);
    };
    if (data.slider) {
      const label = put(box, "label", { class: "atri-slider" }, `${data.slider.label} `);
      const range = put(label, "input", { type: "range", min: 0, max: data.slider.values.length - 1, step: 1 });
      const value = put(label, "output");
      range.value = data.slider.active;
      const move = () => {
        data.slider.active = Number(range.value);
        value.textContent = data.slider.values[data.slider.active];
        range.setAttribute("aria-valuetext", value.textContent);
        paint();
      };
      range.addEventListener("input", move);
      move();
    } else {
      const legend = put(box, "ul", { class: "atri-legend" });
      for (const series of data.series) put(legend, "li", { style: `--colour: ${series.colour}` }, series.name);
      paint();
    }
    const values = put(put(box, "details"), "div", { class: "atri-bars-values" });
    put(values.parentElement, "summary", {}, "Values");
    const table = put(values, "table"), head = put(put(table, "thead"), "tr"), body = put(table, "tbody");
    put(head, "th", { scope: "col" }, data.slider ? data.slider.label : "");
    for (const x of data.series[0].x) put(head, "th", { scope: "col" }, x);
    data.series.forEach((series, place) => {
      const row = put(body, "tr");
      put(row, "th", { scope: "row" }, data.slider ? data.slider.values[place] : series.name);
      for (const y of series.y) put(row, "td", {}, rounded(y));
    });
    let width = box.clientWidth;
    new ResizeObserver(() => { if (box.clientWidth !== width) { width = box.clientWidth; paint(); } }).observe(box);
  };

  const start = () => {
    languages();
    for (const toggle of document.querySelectorAll(".toctree-toggle")) toggle.parentElement.setAttribute("aria-label", "Pages below");
    for (const table of document.querySelectorAll("article table:not([class^=atri-])")) scrolls(table);
    for (const picture of document.querySelectorAll(".cell_output img")) {
      if (picture.complete) panels(picture); else picture.addEventListener("load", () => panels(picture));
    }
    for (const printed of document.querySelectorAll(".output.stream")) verdicts(printed);
    explorables();
    for (const link of document.querySelectorAll('a[href$=".ipynb"]')) { link.download = ""; link.removeAttribute("target"); }
    code(page.dataset.code);
    new ResizeObserver(wide).observe(document.body);
    document.addEventListener("toggle", wide, true);
    if (window.MathJax?.startup?.promise) window.MathJax.startup.promise.then(wide);
    for (const box of document.querySelectorAll(".atri-bars")) bars(box);  // last: a figure may fail
  };
  window.atri = Object.assign(window.atri || {}, { code, wide });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
  window.addEventListener("load", () => window.MathJax?.startup?.promise?.then(wide) ?? wide());
})();
