/* The encoder's tokenizer: SentencePiece's unigram model (Kudo 2018, arXiv 1804.10959). A sentence is cut into the pieces
   whose scores have the largest sum. All pieces of the eight languages are known here. Those that have no vector in this
   page ("left out") take a share of the nearest vector that is here. */
window.atriLive.Vocabulary = class {
  constructor({texts, scores, rows, shares, special, numbers: [lowest, scoreStep, shareStep]}) {
    this.texts = new TextDecoder().decode(texts).split("\n");
    this.number = new Map(this.texts.map((text, number) => [text, number]));
    let sum = 0;
    this.scores = Float64Array.from(scores, (fall) => -scoreStep * (sum += fall));
    this.unknown = lowest - 10;  // the score of a character that is no piece
    this.longest = this.texts.reduce((most, text) => Math.max(most, text.length), 0);
    this.rows = rows;  // whose vector a piece takes
    this.shares = shares;  // how much of it, in steps; 0 for a vector of its own
    this.step = shareStep;
    this.special = [...special].map((row) => ({row, share: 1}));  // unknown, begin and end
    this.textOf = [];  // of a row
    this.size = special.length;
    shares.forEach((share, number) => {
      if (share) return;
      this.textOf[rows[number]] = this.texts[number];
      this.size++;
    });
  }

  /* As the encoder sees a text: NFKC but for ～, one ▁ for each run of spaces (and of what it takes for one) and one before the
     first word. */
  normal(text) {
    const spaced = text.replace(/[\t\n\f\r\u1680\u200b\u200e\u200f\u2028\u2029\u2581\ufeff\ufffd]/g, " ");
    const composed = spaced.replace(/[^\uff5e]+/g, (part) => part.normalize("NFKC"));  // ～ stays
    const words = composed.split(" ").filter(Boolean);
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
      if (number < 0) return {text, kind: "unknown", ...this.special[0]};
      const row = this.rows[number], like = this.textOf[row];
      if (!this.shares[number]) return {text, kind: "known", row, share: 1, like};
      return {text, kind: "left out", row, share: this.step * this.shares[number], like};
    });
  }
};
