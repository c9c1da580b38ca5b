"use strict";
/* Twin paths of a toy: one clip, K languages with fixed gradients in the plane, x_k about their mean. Each epoch a scheme draws a
   language; the error grows by its x_k and shrinks by rho. values: K, epochs, hold, rho, seed. */
explore.register("walk", (box, values) => {
  const { fix, range } = explore, K = values.K;
  let seed = values.seed;
  const read = explore.sliders(box, {
    epochs: { label: "epochs", min: 1, max: 4 * K, step: 1, value: values.epochs },
    hold: { label: "b, epochs that Hold keeps a language", min: 2, max: K, step: 1, value: values.hold },
    rho: { label: "ρ, what an epoch leaves of an old error", min: 0.6, max: 1, step: 0.01, value: values.rho, show: (x) => x.toFixed(2) },
  });
  explore.choice(box, "Draw languages again", "button", () => { seed += 1; });
  const small = explore.panels(box), large = explore.panels(box), words = explore.result(box);
  const NAMES = { ml_clap: "ML-CLAP", hold: "Hold", balanced: "Balanced", latin: "Latin" };
  explore.legend(box, [...Object.entries(NAMES).map(([name, words]) => [`${words}: root mean square over draws`, name]),
    ["this draw", "ink hollow", "dot"]]);

  function random(start) { // mulberry32: numbers in [0, 1), the same in every browser
    let state = start >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let x = Math.imul(state ^ (state >>> 15), state | 1);
      x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
      return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  function languages() { // K points with mean 0 and mean square 1
    const next = random(values.seed + 1000), points = range(K).map(() => [next() - 0.5, next() - 0.5]);
    const centre = [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / K);
    const moved = points.map((point) => point.map((value, axis) => value - centre[axis]));
    const size = Math.sqrt(moved.reduce((sum, [a, b]) => sum + a * a + b * b, 0) / K);
    return moved.map((point) => point.map((value) => value / size));
  }
  const x = languages(), dot = ([a, b], [c, d]) => a * c + b * d;
  const lag = range(K).map((l) => range(K).reduce((sum, k) => sum + dot(x[k], x[(k + l) % K]), 0) / K); // c_l / c_0, as c_0 = 1

  function draws(epochs, hold) { // the language of each epoch
    const next = random(seed), any = () => Math.floor(next() * K), free = range(epochs).map(any), offset = any(), order = [];
    while (order.length < epochs) {
      const cycle = range(K);
      for (let i = K - 1; i > 0; i -= 1) { const j = Math.floor(next() * (i + 1)); [cycle[i], cycle[j]] = [cycle[j], cycle[i]]; }
      order.push(...cycle);
    }
    return { ml_clap: free, hold: free.map((_, e) => free[Math.floor(e / hold)]), balanced: order.slice(0, epochs),
      latin: range(epochs).map((e) => (offset + e) % K) };
  }

  const covariance = { // of the errors of epochs e and f, in units of one epoch's variance
    ml_clap: (e, f) => Number(e === f),
    hold: (e, f, hold) => Number(Math.floor(e / hold) === Math.floor(f / hold)),
    balanced: (e, f) => (e === f ? 1 : Math.floor(e / K) === Math.floor(f / K) ? -1 / (K - 1) : 0),
    latin: (e, f) => lag[Math.abs(e - f) % K],
  };
  function expected(name, epochs, hold, rho) { // E |delta_E|^2 = sum_(e,f) rho^(2 (E-1) - e - f) c(e, f), as a recursion over E
    const squares = [[0, 0]];
    let square = 0;
    for (const e of range(epochs)) {
      const cross = range(e).reduce((sum, f) => sum + rho ** (e - f) * covariance[name](e, f, hold), 0);
      square = rho ** 2 * square + 2 * cross + covariance[name](e, e, hold);
      squares.push([e + 1, Math.sqrt(Math.max(square, 0))]);
    }
    return squares;
  }

  return () => {
    const { epochs, hold, rho } = read(), drawn = draws(epochs, hold), ends = {}, rms = {}, lengths = {}, drift = 0.8;
    const paths = Object.fromEntries(Object.keys(NAMES).map((name) => {
      const errors = [[0, 0]];
      for (const k of drawn[name]) errors.push(errors.at(-1).map((value, axis) => rho * value + x[k][axis]));
      return [name, errors];
    }));
    const reach = Math.max(3, ...Object.values(paths).flat().map((point) => Math.abs(point[1])));
    for (const [name, errors] of Object.entries(paths)) {
      const plot = explore.figure(small, { title: NAMES[name], share: 0.5, height: 130, equal: true, x: [-2, drift * epochs + 2], y: [-reach, reach] });
      const ideal = errors.map((_, e) => [drift * e, 0]), twin = errors.map(([a, b], e) => [drift * e + a, b]);
      plot.line(`${name} ideal`, ideal, "ink dashed");
      plot.line(`${name} twin`, twin, name);
      errors.forEach((_, e) => { if (e % K === 0 && e) { plot.dots([ideal[e]], "ink hollow", 5); plot.dots([twin[e]], `${name} filled`, 3); } });
      lengths[name] = errors.map(([a, b]) => Math.hypot(a, b));
      ends[name] = lengths[name][epochs];
    }
    const curves = Object.fromEntries(Object.keys(NAMES).map((name) => [name, expected(name, epochs, hold, rho)]));
    const top = Math.max(...Object.values(curves).flat().map((point) => point[1]), ...Object.values(lengths).flat());
    const plot = explore.figure(large, { x: [0, epochs], y: [0, top * 1.05], xlabel: "epoch", ylabel: "weight error", height: 250 });
    for (const name of Object.keys(NAMES)) {
      plot.line(name, curves[name], name);
      plot.dots(lengths[name].map((length, e) => [e, length]), `${name} hollow`, 3);
      rms[name] = curves[name][epochs][1];
    }
    words.textContent = `After ${epochs} epochs, weight error of this draw (root mean square over draws): `
      + Object.keys(NAMES).map((name) => `${NAMES[name]} ${fix(ends[name] < 1e-9 ? 0 : ends[name])} (${fix(rms[name] < 1e-6 ? 0 : rms[name])})`).join(", ") + "."
      + (epochs % K === 0 ? " A full cycle: every language has been shown equally often by Balanced and Latin." : "");
    return { epochs, hold, rho, x, drawn, ends, rms };
  };
});
