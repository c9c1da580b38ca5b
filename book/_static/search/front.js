/* The front page: the promised sound with its eight queries, and the share of scenes on the first page of results. */
(() => {
  "use strict";
  const {h, player, track, tongue, percent} = window.atri, data = window.ATRI_SUMMARY;
  function time(place) {
    const times = place.dataset.chapters.split(" ").map((name) => Number((window.ATRI_TIMES || {})[name] || 0));
    const minutes = Math.ceil(times.reduce((sum, seconds) => sum + seconds) / 60);
    if (minutes > 0) place.textContent = minutes === 1 ? "a minute at most" : `${minutes} minutes`;
  }
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-chapters]").forEach(time));
  if (!data) return;
  const {schemes, languages, clips, captions, ranks, found, names, clip: right, firstPage} = data;
  const shown = ["ml_clap", "kcl"].map((name) => schemes.findIndex((scheme) => scheme.name === name));
  const shape = (s) => (s === shown[0] ? "" : "square");
  const heading = (...content) => h("th", {scope: "col"}, ...content);

  function cell(s, k) {
    const clip = found[s][k][0];
    const name = `found first in ${languages[k].name} under ${schemes[s].label}: ${names[clip]}`;
    const kind = clip === right ? "atri-number right" : "atri-number";
    return h("td", {class: kind}, `${ranks[s][k]} `, player(data, clip, name));
  }
  const marks = (k) => shown.map((s) => ({rank: ranks[s][k], colour: schemes[s].colour, shape: shape(s)}));
  const row = (entry, k) => h("tr", {},
    h("th", {scope: "row", lang: entry.locale}, tongue(entry)),
    h("td", {class: "atri-query", lang: entry.locale}, captions[k]),
    h("td", {class: "atri-track-column"}, track(clips, marks(k))),
    shown.map((s) => cell(s, k)));
  const key = (s) => h("i", {class: `atri-key ${shape(s)}`, style: `background:${schemes[s].colour}`});
  document.getElementById("atri-promise")?.replaceChildren(
    h("p", {class: "atri-asked"}, player(data, right, `the sound, ${captions[0]}`, "Play the sound we look for,"),
      ` one of ${clips}. At which place does each query find it?`),
    h("table", {class: "atri-promise"},
      h("caption", {class: "visually-hidden"}, "Rank of the same scene for eight queries"),
      h("thead", {}, h("tr", {}, heading("Language"), heading("Query"),
        h("th", {scope: "col", class: "atri-track-column"}, `rank, 1 to ${clips}`),
        shown.map((s) => heading(key(s), schemes[s].label)))),
      h("tbody", {}, languages.map(row))),
    h("p", {class: "atri-note"}, "1 is the best rank; the button beside it plays what that query found first."));

  const part = (share, paint, kind) => h("i", {class: kind, style: `width:${100 * share}%;background-color:${paint}`});
  const bar = ({page: [every, some, none], label, colour, mrv}) => h("tr", {},
    h("th", {scope: "row"}, label),
    h("td", {}, h("span", {class: "atri-bar", "aria-hidden": "true"},
      part(every, colour), part(some, colour, "some"), part(none, "transparent"))),
    [percent(every), percent(some), mrv.toFixed(0)].map((text) => h("td", {class: "atri-number"}, text)));
  document.getElementById("atri-result")?.replaceChildren(
    h("table", {class: "atri-result"},
      h("caption", {}, `Scenes among the first ${firstPage} results in all eight languages (full), in some `
        + "of them only (striped), in none (empty); and mean rank variance (MRV). One training run each."),
      h("thead", {}, h("tr", {}, ["Scheme", "Scenes", "in all", "in some only", "MRV"].map((name) => heading(name)))),
      h("tbody", {}, schemes.map(bar))));
})();
