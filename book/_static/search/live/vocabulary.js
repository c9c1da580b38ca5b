/* The encoder's tokenizer: SentencePiece's unigram model (Kudo 2018, arXiv 1804.10959). A sentence is cut into the pieces
   whose scores have the largest sum. All pieces of the eight languages are known here; those that have no vector in this
   page ("left out") are cut again, into pieces that have one. */
window.atriLive.Vocabulary = class {
  constructor({texts, scores, kept, lowest, step, changed}) {
    const read = (array) => new TextDecoder().decode(array);
    this.texts = read(texts).split("\n");
    this.number = new Map(this.texts.map((text, number) => [text, number]));
    let sum = 0;
    this.scores = Float64Array.from(scores, (fall) => -step[0] * (sum += fall));
    this.unknown = lowest[0] - 10;  // the score of a character that is no piece
    this.longest = this.texts.reduce((most, text) => Math.max(most, text.length), 0);
    this.changed = new Map(Object.entries(JSON.parse(read(changed))));
    this.kept = kept;
    this.row = new Int32Array(kept.length);  // of a kept piece; the first three rows are unknown, begin and end
    let row = 3;
    kept.forEach((keep, number) => { this.row[number] = keep ? row++ : -1; });
    this.size = row;
  }

  /* As the encoder sees a text: NFKC with exceptions, one ▁ for each run of spaces and one before the first word. */
  normal(text) {
    const replaced = [...text].map((character) => this.changed.get(character) ?? character).join("");
    const words = replaced.normalize("NFKC").split(" ").filter(Boolean);
    return words.map((word) => `▁${word}`).join("");
  }

  /* The best cut of a text into pieces that `usable` accepts: [{text, number}], -1 for a run of unknown characters. */
  cut(text, usable) {
    const characters = [...text], length = characters.length;
    const best = new Float64Array(length + 1).fill(-Infinity);
    const from = new Int32Array(length + 1), piece = new Int32Array(length + 1);
    best[0] = 0;
    const offer = (start, end, number, score) => {
      if (best[start] + score <= best[end]) return;
      best[end] = best[start] + score;
      from[end] = start;
      piece[end] = number;
    };
    for (let start = 0; start < length; start++) {
      let part = "", single = false;
      for (let end = start + 1; end <= length && part.length < this.longest; end++) {
        part += characters[end - 1];
        const number = this.number.get(part);
        if (number === undefined || !usable(number)) continue;
        offer(start, end, number, this.scores[number]);
        single ||= end === start + 1;
      }
      if (!single) offer(start, start + 1, -1, this.unknown);
    }
    const found = [];
    for (let end = length; end > 0; end = from[end]) {
      const token = {text: characters.slice(from[end], end).join(""), number: piece[end]};
      if (token.number < 0 && found[0]?.number < 0) found[0].text = token.text + found[0].text;
      else found.unshift(token);
    }
    return found;
  }

  /* A sentence's tokens: {text, row, kind}; kind is "known", "unknown" to the encoder, or "left out" of this page. */
  tokens(sentence) {
    const tokens = [];
    for (const {text, number} of this.cut(this.normal(sentence), () => true)) {
      if (number < 0) tokens.push({text, row: 0, kind: "unknown"});
      else if (this.kept[number]) tokens.push({text, row: this.row[number], kind: "known"});
      else {
        const parts = this.cut(text, (other) => this.kept[other]);
        tokens.push(...parts.map((part) => (
          {text: part.text, row: part.number < 0 ? 0 : this.row[part.number], kind: "left out"})));
      }
    }
    return tokens;
  }
};
