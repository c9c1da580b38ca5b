/* The encoder's tokenizer: SentencePiece's unigram model (Kudo 2018, arXiv 1804.10959). A sentence is cut into the pieces
   whose scores have the largest sum. All pieces of the eight languages are known here. Those that have no vector in this
   page ("left out") take a share of the nearest vector that is here. */
window.atriLive.Vocabulary = class {
  constructor({texts, scores, kept, nearest, share, lowest, steps, changed}) {
    const read = (array) => new TextDecoder().decode(array);
    this.texts = read(texts).split("\n");
    this.number = new Map(this.texts.map((text, number) => [text, number]));
    let sum = 0;
    this.scores = Float64Array.from(scores, (fall) => -steps[0] * (sum += fall));
    this.unknown = lowest[0] - 10;  // the score of a character that is no piece
    this.longest = this.texts.reduce((most, text) => Math.max(most, text.length), 0);
    this.changed = new Map(Object.entries(JSON.parse(read(changed))));
    this.row = new Int32Array(kept.length);  // whose vector a piece takes; the first three are unknown, begin and end
    this.share = new Float32Array(kept.length).fill(1);
    this.textOf = ["", "", ""];  // of a row
    let row = 3, left = 0;
    kept.forEach((keep, number) => {
      if (keep) {
        this.textOf.push(this.texts[number]);
        this.row[number] = row++;
      } else {
        this.row[number] = nearest[left];
        this.share[number] = steps[1] * share[left++];
      }
    });
    this.kept = kept;
    this.size = row;
  }

  /* As the encoder sees a text: NFKC with exceptions, one ▁ for each run of spaces and one before the first word. */
  normal(text) {
    const replaced = [...text].map((character) => this.changed.get(character) ?? character).join("");
    const words = replaced.normalize("NFKC").split(" ").filter(Boolean);
    return words.map((word) => `▁${word}`).join("");
  }

  /* The best cut of a text into pieces: [{text, number}], -1 for a run of unknown characters. */
  cut(text) {
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
        if (number === undefined) continue;
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

  /* A sentence's tokens: {text, kind, row and share of its vector, whose vector that is}; kind is "known", "unknown" to
     the encoder, or "left out" of this page. */
  tokens(sentence) {
    return this.cut(this.normal(sentence)).map(({text, number}) => {
      if (number < 0) return {text, kind: "unknown", row: 0, share: 1};
      const row = this.row[number], share = this.share[number];
      return {text, kind: this.kept[number] ? "known" : "left out", row, share, like: this.textOf[row]};
    });
  }
};
