/* Sentences of the reader's own: the encoder is loaded on request, then each sentence ranks all test scenes under each
   training scheme. The scene that is chosen below on the page is the one whose rank is given. */
(() => {
  "use strict";
  const {h, player, alignedBox, alignedRow, shown, languageOption} = window.atri || {}, live = window.atriLive;
  const data = window.ATRI_SCENES, listed = window.ATRI_LIVE, root = document.getElementById("atri-live");
  if (!data || !listed || !root) return;
  const FIRST = 5, REMEMBERED = 12;
  const owner = data.owner, english = data.captions[0], {languages} = data;
  const schemes = data.schemes.filter(({name}) => name in listed);
  const captionOf = new Map([...owner].map((clip, scene) => [clip, scene]).reverse());
  const asked = [];  // what was asked: {text, its language k, tokens, cosines of each scheme}, the latest first
  let scene = data.promised, vocabulary, encoder, runs;

  const bytes = Object.values(listed).reduce((sum, size) => sum + size, 0);
  const megabytes = (size) => (size / 1e6).toFixed(1);
  const said = h("p", {role: "status", class: "atri-note"});
  const bar = h("progress", {max: bytes, value: 0, "aria-label": "The encoder is loaded", hidden: true});
  const button = h("button", {type: "button", class: "atri-load", onclick: load}, `Load the encoder, ${megabytes(bytes)} MB`);
  const box = h("input", {id: "atri-sentence", type: "text", autocomplete: "off", spellcheck: "false",
    placeholder: "A dog barks in the rain. · 雨の中で犬が吠えています。"});
  const form = h("form", {class: "atri-field", hidden: true, onsubmit: (event) => {
    event.preventDefault();
    ask(box.value);
  }}, h("label", {for: "atri-sentence"}, "A sentence of your own"), box, h("button", {type: "submit", class: "atri-load"}, "Rank the scenes"));
  const aligned = alignedBox("atri-live-aligned", show);
  const language = h("select", {id: "atri-live-language", onchange: () => {
    if (asked[0]?.text === box.value) ask(box.value);  // not where the reader has begun another sentence
  }}, languages.map(languageOption));
  const languageField = h("div", {class: "atri-field", hidden: true},
    h("label", {for: language.id}, "Language of your sentence"), language);
  const choice = h("div", {class: "atri-choice", hidden: true}, alignedRow(aligned), languageField);
  const result = h("section", {"aria-label": "Answers to your sentence"});

  async function load() {
    button.disabled = true;
    bar.hidden = false;
    try {
      if (!window.DecompressionStream) throw new Error("this browser is too old to unpack it (2023 or later is needed)");
      await live.load(listed, (there) => {
        bar.value = there;
        said.textContent = `${megabytes(there)} of ${megabytes(bytes)} MB`;
      });
      vocabulary = new live.Vocabulary(await live.arrays("pieces"));
      encoder = new live.Encoder(await live.arrays("weights"));
      const codes = languages.map(({code}) => code);
      runs = [];
      for (const {name} of schemes) runs.push(new live.Run(await live.arrays(name), codes));
    } catch (error) {
      said.textContent = `The encoder was not loaded: ${error.message}.`;
      bar.hidden = true;
      button.disabled = false;
      return;
    }
    button.remove();
    bar.remove();
    form.hidden = false;
    choice.hidden = !schemes.some((scheme) => scheme.aligned);
    const count = (number) => number.toLocaleString("en");
    said.textContent = `The encoder is loaded, with vectors for ${count(vocabulary.size)} of the `
      + `${count(vocabulary.texts.length)} pieces that the eight languages can need. What you type stays in your browser.`;
    box.focus();
  }

  /* The tokens of a sentence in language k, its vector, and under each scheme its vector and its cosine with every clip. */
  function read(text, k = 0) {
    const tokens = vocabulary.tokens(text), [unknown, begin, end] = vocabulary.special;
    const vector = encoder.encode([begin, ...(tokens.length ? tokens : [unknown]), end]);
    const texts = runs.map((run) => run.text(vector, k));
    return {text, k, tokens, vector, texts, cosines: texts.map((one, s) => runs[s].cosines(one))};
  }

  function ask(text) {
    if (!text.trim()) return;
    const k = +language.value, place = asked.findIndex((one) => one.text === text);
    const [before] = place < 0 ? [] : asked.splice(place, 1);
    asked.unshift(before?.k === k ? before : read(text, k));
    asked.length = Math.min(asked.length, REMEMBERED);
    show();
  }

  const order = (cosines) => [...cosines.keys()].sort((a, b) => cosines[b] - cosines[a]);
  const rankOf = (cosines, clip) => 1 + cosines.filter((value) => value > cosines[clip]).length;

  /* What the encoder reads, piece by piece; what differs from Python is marked and explained. */
  function reading(tokens) {
    const plain = (text) => text.replace("▁", " ").trim() || "␣";
    const shown = tokens.map(({text, kind, like}) => {
      if (kind === "known") return h("span", {class: "atri-piece"}, plain(text));
      const title = kind === "unknown" ? "unknown to the text encoder" : `no vector here; read as ${plain(like)}`;
      const nearest = kind === "unknown" ? null : h("small", {}, ` → ${plain(like)}`);
      return h("mark", {class: `atri-piece ${kind.replace(" ", "-")}`, title}, plain(text), nearest);
    });
    const notes = {
      unknown: "A wavy line: unknown to the encoder, so it looks the same as everything else that is unknown.",
      "left out": "An arrow: this page has no vector for the piece and takes the nearest one, so the ranks are not exact.",
    };
    const kinds = Object.keys(notes).filter((kind) => tokens.some((token) => token.kind === kind));
    return [h("p", {class: "atri-reading"}, "The encoder reads: ", shown),
      ...kinds.map((kind) => h("p", {class: "atri-note"}, notes[kind]))];
  }

  function hit(clip) {
    const name = english[captionOf.get(clip)], right = clip === owner[scene];
    return h("li", {class: right ? "right" : "", "data-clip": clip}, player(data, clip, name), ` ${name}`,
      right ? h("strong", {}, " ✓ the chosen scene") : null);
  }

  function card({name, label, colour}, cosines) {
    const clips = order(cosines), list = h("ol", {}, clips.slice(0, FIRST).map(hit));
    const all = h("button", {type: "button", class: "atri-more", onclick: () => {
      list.append(...clips.slice(FIRST).map(hit));
      list.children[FIRST].querySelector("button")?.focus();
      all.remove();
    }}, `Show all ${clips.length}`);
    return h("article", {class: "atri-card", style: `border-top-color:${colour}`, "data-scheme": name},
      h("h3", {}, label),
      h("p", {}, "the chosen scene: rank ", h("b", {}, String(rankOf(cosines, owner[scene]))), ` of ${clips.length}`),
      h("h4", {}, "Found first"), list, all);
  }

  function again({text, k}) {
    box.value = text;
    language.value = k;
    ask(text);
  }

  function memory(places) {
    const heading = (text) => h("th", {scope: "col"}, text);
    const row = (one) => h("tr", {},
      h("th", {scope: "row"}, h("button", {type: "button", class: "atri-again", onclick: () => again(one)}, one.text),
        aligned.checked ? h("small", {}, ` ${languages[one.k].name}`) : null),
      places.map((s) => h("td", {class: "atri-number"}, String(rankOf(one.cosines[s], owner[scene])))));
    return h("table", {class: "atri-asked-before"},
      h("caption", {}, "Rank of the chosen scene. Say the same in another language, or choose another scene below."),
      h("thead", {}, h("tr", {}, heading("Your sentences"), places.map((s) => heading(schemes[s].label)))),
      h("tbody", {}, asked.map(row)));
  }

  function show() {
    languageField.hidden = !aligned.checked;
    if (!asked.length) return;
    const [{text, tokens, cosines}] = asked, places = shown(schemes, aligned);
    const told = places.map((s) => `${schemes[s].label} rank ${rankOf(cosines[s], owner[scene])}`);
    said.textContent = `The scene chosen below (“${english[scene]}”): ${told.join(", ")}.`;
    result.replaceChildren(h("h2", {}, h("q", {}, text)), ...reading(tokens),
      h("div", {class: "atri-cards"}, places.map((s) => card(schemes[s], cosines[s]))), memory(places));
  }

  document.addEventListener("atri-scene", ({detail}) => {
    scene = detail.scene;
    if (!asked.length) language.value = detail.k;  // a guess, until the reader has asked
    show();
  });
  Object.assign(live, {start: load, read});
  root.replaceChildren(h("div", {class: "atri-controls"},
    h("p", {}, "Ask in words of your own: the encoder can run here, in your browser."), button, bar, form, choice, said), result);
})();
