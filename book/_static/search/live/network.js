/* The multilingual Universal Sentence Encoder (Yang et al. 2019, arXiv 1907.04307), a run's maps and its text projection:
   the same arithmetic as use.py, alignment.py and dual.py in atri_lib/encoders. Vectors are Float32Array. */
(() => {
  "use strict";
  const ORDERS = [2, 3, 5], CHANNELS = 256, WIDTH = 512;

  /* Numbers made of other numbers; several times faster than Float32Array.from. */
  function made(numbers, make) {
    const out = new Float32Array(numbers.length);
    for (let i = 0; i < out.length; i++) out[i] = make(numbers[i], i);
    return out;
  }

  /* weight [in, out] as one run of numbers, bias [out] -> x weight + bias. */
  function dense(x, {weight, bias, width}) {
    const out = bias ? Float32Array.from(bias) : new Float32Array(width);
    for (let i = 0; i < x.length; i++) {
      const value = x[i], row = i * width;
      if (value === 0) continue;
      for (let j = 0; j < width; j++) out[j] += value * weight[row + j];
    }
    return out;
  }

  function normalised(x, epsilon, scale, shift) {
    let mean = 0, square = 0;
    for (const value of x) mean += value / x.length;
    for (const value of x) square += (value - mean) ** 2 / x.length;
    const factor = 1 / Math.sqrt(square + epsilon);
    return x.map((value, i) => (value - mean) * factor * (scale ? scale[i] : 1) + (shift ? shift[i] : 0));
  }

  const relu = (x) => x.map((value) => Math.max(value, 0));
  const sum = (x, y) => x.map((value, i) => value + y[i]);
  function unit(x) {
    const length = Math.sqrt(x.reduce((total, value) => total + value * value, 0));
    return x.map((value) => value / length);
  }

  function joined(vectors) {
    const out = new Float32Array(vectors.reduce((total, vector) => total + vector.length, 0));
    let at = 0;
    for (const vector of vectors) {
      out.set(vector, at);
      at += vector.length;
    }
    return out;
  }

  /* The error function (Abramowitz and Stegun 7.1.26: off by 1.5e-7 at most). */
  function erf(x) {
    const t = 1 / (1 + 0.3275911 * Math.abs(x));
    const terms = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
    const rest = terms.reduce((total, term) => (total + term) * t, 0) * Math.exp(-x * x);
    return Math.sign(x) * (1 - rest);
  }
  const gelu = (x) => x.map((value) => 0.5 * value * (1 + erf(value / Math.SQRT2)));

  class Encoder {
    constructor(arrays) {
      this.arrays = arrays;
      const layer = (name, bias) => {
        const [low, step] = arrays[`${name}.range`];
        const weight = made(arrays[name], (number) => low + step * number);
        return {weight, bias: arrays[bias], width: arrays[name].shape[1]};
      };
      this.branches = ORDERS.map((order) => ({
        order,
        project: layer(`proj${order}`, `proj_b${order}`),
        convolutions: [layer(`w1_${order}`, `b1_${order}`), layer(`w2_${order}`, `b2_${order}`)],
      }));
      this.scale = joined(ORDERS.map((order) => arrays[`ln_g${order}`]));
      this.shift = joined(ORDERS.map((order) => arrays[`ln_b${order}`]));
      this.mix = layer("cnn_W", "cnn_b");
      for (const name of ["d0", "d1", "d2", "d3", "p1", "p3"]) this[name] = layer(name);
    }

    /* A share of the vector in a row of the vocabulary. */
    embedding({row, share}) {
      const {codes, table, scale, lo} = this.arrays, mine = table[row];
      const own = codes.subarray(row * WIDTH, (row + 1) * WIDTH);
      return made(own, (code) => share * (scale[mine] * code + lo[mine]));
    }

    /* Two residual convolutions over neighbouring tokens; beyond the ends they see zeros. */
    ngrams(tokens, {order, convolutions}) {
      const before = (order - 1) >> 1, nothing = new Float32Array(CHANNELS);
      for (const convolution of convolutions) {
        tokens = tokens.map((token, place) => {
          const window = Array.from({length: order}, (_, i) => tokens[place - before + i] || nothing);
          return sum(token, relu(dense(joined(window), convolution)));
        });
      }
      return tokens;
    }

    /* A sentence's tokens {row, share}, begin and end among them -> a unit vector [512]. */
    encode(tokens) {
      const {ln_g, ln_b} = this.arrays, embeddings = tokens.map((token) => this.embedding(token));
      const projected = embeddings.map((one) => normalised(
        joined(this.branches.map(({project}) => dense(one, project))), 1e-12, this.scale, this.shift));
      const parts = this.branches.map((branch, i) => this.ngrams(
        projected.map((one) => one.subarray(i * CHANNELS, (i + 1) * CHANNELS)), branch));
      const features = embeddings.map((one, place) => normalised(
        joined([one, ...parts.map((part) => part[place])]), 1e-12, ln_g, ln_b));
      const total = features.reduce(sum), count = tokens.length;
      const bias = this.mix.bias.map((value) => count * value);
      const x = dense(total, {...this.mix, bias}).map((value) => value / Math.sqrt(count));
      const y = relu(sum(dense(x, this.p1), dense(relu(dense(x, this.d0)), this.d1)));
      const z = sum(dense(y, this.p3), dense(relu(dense(y, this.d2)), this.d3));
      return unit(z.map(Math.tanh));
    }
  }

  /* What a run adds: from the encoder's vector to the space that it shares with the clips. */
  class Run {
    constructor(arrays, codes) {
      const layer = (name) => {
        const scale = arrays[`${name}.scale`], width = scale.length;
        const weight = made(arrays[name], (number, i) => number * scale[i % width]);
        return {weight, bias: arrays[`${name}.bias`], width};
      };
      [this.first, this.second, this.audio] = ["first", "second", "audio"].map(layer);
      this.maps = codes.filter((code) => code in arrays).map(layer);  // none, or one for each language
    }

    /* The encoder's vector of a sentence in language k -> the run's unit vector. */
    text(vector, k) {
      const aligned = this.maps.length ? dense(vector, this.maps[k]) : vector;
      return unit(dense(gelu(dense(normalised(aligned, 1e-5), this.first)), this.second));
    }

    /* The run's vector of a sentence -> its cosine with every clip. */
    cosines(text) {
      return dense(text, this.audio);
    }
  }

  Object.assign(window.atriLive, {Encoder, Run});
})();
