/* The page "Search it yourself": words or a scene, a language, and what each training scheme finds. */
(() => {
  "use strict";
  const {h, player, track, alignedBox, alignedRow, shown, languageOption} = window.atri, data = window.ATRI_SCENES;
  const root = document.getElementById("atri-search");
  if (!data || !root) return;
  const {schemes, languages, captions, clips} = data, K = languages.length, M = captions[0].length, STEP = 12;
  const {ranks, found, owner} = data, known = new Set(data.known);
  const FOUND = found.length / ranks.length, BY_NUMBER = "0-";
  const captionOf = new Map([...owner].map((clip, scene) => [clip, scene]).reverse());  // a clip's first caption
  const at = (s, scene, k) => (s * M + scene) * K + k;
  const row = (s, scene) => ranks.slice(at(s, scene, 0), at(s, scene, K));
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const std = (values) => Math.sqrt(mean([...values].map((value) => (value - mean(values)) ** 2)));
  const state = {scene: data.promised, k: 0, shown: STEP};

  /* Words: letters and digits. Chinese and Japanese do not separate them: characters, and pairs of neighbours. */
  const ASIAN = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}ー]/u;
  const RUNS = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}ー]+|[\p{L}\p{M}\p{N}]+/gu;
  function plain(text) {
    return text.normalize("NFKC").toLowerCase().normalize("NFD").replace(/[\u0300-\u036f]/g, "").normalize("NFC");
  }
  function words(text) {
    return (plain(text).match(RUNS) || []).flatMap((run) => {
      const characters = [...run];
      return ASIAN.test(run) ? [...characters, ...characters.slice(1).map((next, i) => characters[i] + next)] : [run];
    });
  }
  let index = null;  // per language: each caption's words, and in how many captions a word is
  function indexed(sentences) {
    const rows = sentences.map((sentence) => new Set(words(sentence))), counts = new Map();
    rows.forEach((row) => row.forEach((word) => counts.set(word, (counts.get(word) || 0) + 1)));
    return {rows, counts};
  }
  /* Captions of all languages that share words with a text, best first; rare words count more, beginnings less. */
  function matches(text) {
    index ||= captions.map(indexed);
    const wanted = new Set(words(text)), hits = [];
    index.forEach(({rows, counts}, k) => {
      const weight = new Map();
      for (const word of wanted) {
        const longer = [...counts.keys()].filter((other) => other.startsWith(word));
        if (counts.has(word)) weight.set(word, Math.log(1 + M / counts.get(word)));
        else if (word.length > 2) longer.forEach((other) => weight.set(other, 1));
      }
      rows.forEach((row, scene) => {
        const score = [...weight].reduce((sum, [word, value]) => sum + (row.has(word) ? value : 0), 0);
        const whole = score && plain(captions[k][scene]).includes(plain(text));
        if (score) hits.push({scene, k, score: score + (whole ? 1 : 0) - row.size / 100});
      });
    });
    return hits.sort((a, b) => b.score - a.score || a.k - b.k || a.scene - b.scene);
  }
  const isKnown = (character) => /\s/.test(character) || known.has([...character.normalize("NFKC")][0]);
  /* A text with its words, in Chinese and Japanese its characters, marked for which the encoder has no piece. */
  function marked(text) {
    return text.split(/(\s+|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}ー])/u).map((word) => {
      const strange = [...word].filter((character) => !isKnown(character)).join(" ");
      return strange ? h("mark", {title: `unknown to the text encoder: ${strange}`}, word) : word;
    });
  }

  const caption = (scene, k) => h("span", {lang: languages[k].locale}, captions[k][scene]);
  const field = (id, text, control) => h("div", {class: "atri-field"}, h("label", {for: id}, text), control);
  const options = (pairs) => pairs.map(([value, text]) => h("option", {value}, text));
  const box = h("input", {
    id: "atri-words", type: "search", autocomplete: "off", spellcheck: "false", placeholder: "rooster, Hahn, 犬 …",
    oninput: suggest, onkeydown: (event) => {
      const best = event.key === "Enter" && matches(box.value)[0];
      if (best) choose(best.scene, best.k, true);
    },
  });
  const suggestions = h("div", {class: "atri-suggestions"}), said = h("p", {class: "visually-hidden", role: "status"});
  const language = h("select", {id: "atri-language", onchange: () => choose(state.scene, +language.value)},
    languages.map(languageOption));
  const english = h("input", {id: "atri-english", type: "checkbox", onchange: () => answer()});
  const aligned = alignedBox("atri-aligned", () => {
    answer();
    orders();
    scenes();
  });
  const result = h("section", {"aria-label": "Answers"}), list = h("div", {});
  const sort = h("select", {id: "atri-sort", onchange: () => scenes(Object.assign(state, {shown: STEP}))});

  function orders() {
    const {value} = sort, places = shown(schemes, aligned);
    sort.replaceChildren(...options([
      ...places.map((s) => [s, `most disagreement under ${schemes[s].label} first`]),
      ...places.slice(1).map((s) => [`0-${s}`, `largest fall from ${schemes[0].label} to ${schemes[s].label} first`]),
      [BY_NUMBER, "as numbered"],
    ]));
    sort.value = value;
    if (!sort.value) sort.selectedIndex = 0;
  }

  function suggest() {
    const text = box.value.trim(), best = matches(text).slice(0, 6), parts = marked(text);
    said.textContent = text ? `${best.length} captions match` : "";
    suggestions.replaceChildren();
    if (!text) return;
    if (parts.some((part) => typeof part !== "string")) {
      suggestions.append(h("p", {}, parts, h("span", {}, ": the text encoder has no piece for what is marked; "
        + "whatever is unknown to it looks the same.")));
    }
    if (!best.length) suggestions.append(h("p", {}, "No caption shares a word with this."));
    suggestions.append(h("ul", {}, best.map(({scene, k}) => h("li", {},
      h("button", {type: "button", "data-scene": scene, onclick: () => choose(scene, k, true)},
        caption(scene, k), h("small", {}, ` ${languages[k].name}`))))));
  }

  function choose(scene, k, moveOn) {
    Object.assign(state, {scene, k});
    language.value = k;
    document.dispatchEvent(new CustomEvent("atri-scene", {detail: {scene, k}}));
    const place = `#scene=${scene}&lang=${languages[k].code}`;
    try { history.replaceState(null, "", place); } catch { /* some browsers forbid it in a local file */ }
    answer();
    if (moveOn) result.querySelector("h2").focus();
  }

  function ladder(s) {
    const {colour, label} = schemes[s], ranksHere = row(s, state.scene);
    return h("table", {class: "atri-ladder"},
      h("caption", {class: "visually-hidden"}, `Rank of the right scene under ${label}`),
      h("tbody", {}, languages.map((entry, k) => h("tr", {class: k === state.k ? "on" : ""},
        h("th", {scope: "row"}, h("abbr", {title: entry.name}, entry.code)),
        h("td", {}, track(clips, [{rank: ranksHere[k], colour, on: k === state.k}])),
        h("td", {class: "atri-number"}, String(ranksHere[k]))))));
  }

  function hit(clip, k) {
    const scene = captionOf.get(clip), right = clip === owner[state.scene];
    return h("li", {class: right ? "right" : "", "data-clip": clip}, player(data, clip, captions[0][scene]), " ",
      caption(scene, k), right ? h("strong", {}, " ✓ the right scene") : null);
  }

  function card(s) {
    const {name, label, colour} = schemes[s], place = at(s, state.scene, state.k);
    const hits = [...found.slice(place * FOUND, (place + 1) * FOUND)];
    return h("article", {class: "atri-card", style: `border-top-color:${colour}`, "data-scheme": name},
      h("h3", {}, label), h("p", {}, "rank ", h("b", {}, String(ranks[place])), ` of ${clips}`),
      h("h4", {}, "In all eight languages"), ladder(s),
      h("h4", {}, "Found first"), h("ol", {}, hits.map((clip) => hit(clip, english.checked ? 0 : state.k))));
  }

  function answer() {
    const {scene, k} = state, meaning = captions[0][scene], places = shown(schemes, aligned);
    const told = places.map((s) => `${schemes[s].label} rank ${ranks[at(s, scene, k)]}`);
    result.replaceChildren(
      h("h2", {tabindex: -1}, h("q", {lang: languages[k].locale}, captions[k][scene])),
      h("p", {class: "atri-asked"}, player(data, owner[scene], `the right scene, ${meaning}`, "Play the right scene."),
        k ? ` In English: ${meaning}` : null),
      h("div", {class: "atri-cards"}, places.map(card)));
    said.textContent = `Asked in ${languages[k].name}: ${told.join(", ")}`;
  }

  function scenes() {
    const drawn = sort.value.split("-").filter(Boolean).map(Number), all = [...Array(M).keys()];  // schemes
    const spread = all.map((scene) => drawn.map((s) => std(row(s, scene))));
    const key = spread.map(([first, second = 0]) => (sort.value === BY_NUMBER ? 0 : first - second));
    const marks = (s, scene) => [...row(s, scene)].map((rank) => (
      {rank, colour: schemes[s].colour, shape: s === drawn[0] ? "" : "square"}));
    const entry = (scene) => h("li", {},
      h("button", {type: "button", "data-scene": scene, onclick: () => choose(scene, state.k, true)},
        caption(scene, 0), h("span", {class: "atri-strips"}, drawn.map((s) => track(clips, marks(s, scene)))),
        h("span", {class: "visually-hidden"},
          drawn.map((s) => ` ${schemes[s].label}: ranks ${row(s, scene).join(", ")}.`))));
    const more = h("button", {type: "button", class: "atri-more", onclick: () => {
      state.shown += STEP;
      scenes();
      list.querySelectorAll("li button")[state.shown - STEP]?.focus();
    }}, `Show ${Math.min(STEP, M - state.shown)} more of ${M}`);
    const order = all.sort((x, y) => key[y] - key[x] || x - y).slice(0, state.shown);
    list.replaceChildren(h("ol", {class: "atri-scenes"}, order.map(entry)), ...(state.shown < M ? [more] : []));
  }

  root.replaceChildren(
    h("div", {class: "atri-controls", role: "search"},
      field("atri-words", "Words, in any of the eight languages", box), suggestions,
      field("atri-language", "Language of the query", language),
      h("div", {class: "atri-check"}, english, h("label", {for: "atri-english"}, "show in English what was found")),
      schemes.some((scheme) => scheme.aligned) ? alignedRow(aligned) : null),
    said, result, h("h2", {}, "Scenes by disagreement"), field("atri-sort", "Order", sort), list);
  const asked = new URLSearchParams(location.hash.slice(1)), text = asked.get("words"), best = text && matches(text)[0];
  box.value = text || "";
  suggest();
  const k = Math.max(0, languages.findIndex(({code}) => code === asked.get("lang")));
  const start = best || {k, scene: captions[0][asked.get("scene")] ? +asked.get("scene") : data.promised};
  choose(start.scene, start.k);
  orders();
  scenes();
})();
