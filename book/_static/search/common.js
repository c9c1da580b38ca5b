/* What the pages that one can search share: elements, sounds, ranks as dots. No module and no request: a browser opens
   these pages from a local file, too, so the data are globals that scripts beside this one assign. */
window.atri = Object.assign(window.atri || {}, (() => {
  "use strict";
  const here = document.currentScript.src.replace(/[^/]*$/, "");
  const sound = new Audio();
  const icon = (path) => `<svg viewBox="0 0 10 10" aria-hidden="true" focusable="false"><path d="${path}"/></svg>`;
  const PLAY = icon("M2 1 9 5 2 9Z"), STOP = icon("M2 2H8V8H2Z");
  let playing = null;

  /* h("p", {class: "x", onclick: f}, "text", child, ...) */
  function h(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (typeof value === "function") element[name] = value;
      else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat().filter((child) => child != null));
    return element;
  }

  function stop() {
    sound.pause();
    if (playing) face(playing, false);
    playing = null;
  }

  function face(button, active) {
    button.innerHTML = active ? STOP : PLAY;
    button.setAttribute("aria-label", `${active ? "Stop" : "Play"}: ${button.dataset.name}`);
  }

  /* A button that plays a clip, one at a time; `name` is what a screen reader says. */
  function player(data, clip, name, text) {
    if (data.silent.includes(clip)) return h("span", {class: "atri-silent"}, "(no sound here)");
    const button = h("button", {type: "button", class: "atri-play", "data-clip": clip, "data-name": name});
    face(button, false);
    button.onclick = () => {
      const again = playing === button;
      stop();
      if (again) return;
      playing = button;
      face(button, true);
      sound.src = `${here}sounds/${clip}.mp3`;
      sound.play().catch(() => { if (playing === button) stop(); });
    };
    return text ? h("span", {}, button, h("span", {class: "atri-play-label", "aria-hidden": "true"}, text)) : button;
  }
  sound.onended = sound.onerror = stop;

  /* Places on a line from rank 1 to the last clip, logarithmic: one mark for each {rank, colour, shape, title}. */
  function track(clips, marks) {
    const place = (rank) => `left:${(100 * Math.log(rank) / Math.log(clips)).toFixed(1)}%`;
    const lines = [10, 100].filter((rank) => rank < clips);
    const ticks = lines.map((rank) => h("i", {class: "atri-tick", style: place(rank)}));
    const dots = marks.map(({rank, colour, shape, on}) => h("i", {
      class: `atri-dot ${shape || ""} ${on ? "on" : ""}`, style: `${place(rank)};background:${colour}`}));
    return h("span", {class: "atri-track", "aria-hidden": "true"}, h("span", {}, ticks, dots));
  }

  /* A check box that shows and hides the run with alignment. A page has two of them, and both say the same. */
  function alignedBox(id, changed) {
    const tell = () => document.dispatchEvent(new CustomEvent("atri-aligned", {detail: box.checked}));
    const box = h("input", {id, type: "checkbox", onchange: tell});
    document.addEventListener("atri-aligned", (event) => {
      box.checked = event.detail;
      changed();
    });
    return box;
  }
  const ALIGN = "Align translations before training (balanced)";
  const alignedRow = (box) => h("div", {class: "atri-check"}, box, h("label", {for: box.id}, ALIGN));
  /* Places of the runs that are shown: with the box, all. */
  const shown = (schemes, box) => [...schemes.keys()].filter((s) => box.checked || !schemes[s].aligned);

  const own = (locale) => new Intl.DisplayNames([locale], {type: "language"}).of(locale.split("-")[0]);
  const tongue = ({locale}) => own(locale).replace(/^./, (letter) => letter.toLocaleUpperCase(locale));
  const languageOption = (entry, k) =>
    h("option", {value: k, lang: entry.locale}, k ? `${tongue(entry)} (${entry.name})` : entry.name);
  const percent = (share) => `${(100 * share).toFixed(0)} %`;
  return {h, player, track, alignedBox, alignedRow, shown, tongue, languageOption, percent};
})());
