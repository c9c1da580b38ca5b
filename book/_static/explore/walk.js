"use strict";
/* Twin paths of a toy: one clip, K languages with fixed gradients in the plane, x_k about their mean. In an epoch a
   scheme draws a language; the old error shrinks by rho and x_k is added. values: K, epochs, hold, rho, seed. */
explore.register("walk", (box, values) => {
  const { fix, range } = explore, K = values.K;
  if (!(K > 1)) return () => null; // no cycle of languages
  let seed = values.seed;
  const read = explore.sliders(box, {
    epochs: { label: "epochs", min: 1, max: 4 * K, step: 1, value: values.epochs },
    hold: { label: "b, epochs that Hold keeps a language", min: 2, max: K, step: 1, value: values.hold },
    rho: { label: "ρ, what an epoch leaves of an old error", min: 0.6, max: 1, step: 0.01, value: values.rho,
      show: (x) => x.toFixed(2) },
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
  // Gamma_l, with Gamma_0 = 1
  const lag = range(K).map((l) => range(K).reduce((sum, k) => sum + dot(x[k], x[(k + l) % K]) / K, 0));

  function draws(epochs, hold) { // the language of each epoch
    const next = random(seed), any = () => Math.floor(next() * K);
    const offset = any(), free = range(epochs).map(any), order = [];
    while (order.length < epochs) {
      const cycle = range(K);
      for (let i = K - 1; i > 0; i -= 1) {
        const j = Math.floor(next() * (i + 1));
        [cycle[i], cycle[j]] = [cycle[j], cycle[i]];
      }
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
  function expected(name, epochs, hold, rho) { // E |delta_E|^2 = sum_(e,f < E) rho^(2 (E-1) - e - f) c(e, f)
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
    const { epochs, hold, rho } = read(), drawn = draws(epochs, hold), ends = {}, rms = {}, lengths = {};
    const paths = Object.fromEntries(Object.keys(NAMES).map((name) => {
      const errors = [[0, 0]];
      for (const k of drawn[name]) errors.push(errors.at(-1).map((value, axis) => rho * value + x[k][axis]));
      return [name, errors];
    }));
    const height = 140, share = small.clientWidth < 560 ? 1 : 0.5, all = Object.values(paths).flat();
    const y = [Math.min(-1.5, ...all.map(([, b]) => b)) - 0.3, Math.max(1.5, ...all.map(([, b]) => b)) + 0.3];
    const drift = Math.max(0.4, (((y[1] - y[0]) * share * small.clientWidth) / height - 4) / epochs); // fills the panel
    const ideal = range(epochs + 1).map((e) => [drift * e, 0]), twins = {};
    for (const [name, errors] of Object.entries(paths)) twins[name] = errors.map(([a, b], e) => [drift * e + a, b]);
    const across = Object.values(twins).flat().map(([a]) => a);
    const x_axis = [Math.min(...across) - 0.5, Math.max(drift * epochs, ...across) + 0.5];
    for (const [name, errors] of Object.entries(paths)) {
      const plot = explore.figure(small, { title: NAMES[name], share, height, equal: true, x: x_axis, y });
      plot.line(`${name} ideal`, ideal, "ink dashed");
      plot.line(`${name} twin`, twins[name], `${name} solid`);
      const full = (_, e) => e > 0 && e % K === 0;
      plot.dots(ideal.filter(full), "ink hollow", 5);
      plot.dots(twins[name].filter(full), `${name} filled`, 3);
      lengths[name] = errors.map(([a, b]) => Math.hypot(a, b));
      ends[name] = lengths[name][epochs];
    }
    const curves = Object.fromEntries(Object.keys(NAMES).map((name) => [name, expected(name, epochs, hold, rho)]));
    const top = Math.max(...Object.values(curves).flat().map((point) => point[1]), ...Object.values(lengths).flat());
    const plot = explore.figure(large, { x: [0, epochs], y: [0, top * 1.05], xlabel: "epoch", ylabel: "weight error" });
    for (const name of Object.keys(NAMES)) {
      plot.line(name, curves[name], name);
      plot.dots(lengths[name].map((length, e) => [e, length]), `${name} hollow`, 3);
      rms[name] = curves[name][epochs][1];
    }
    const both = (name) => `${NAMES[name]} ${ends[name].toFixed(2)} (${rms[name].toFixed(2)})`;
    words.textContent = `After ${epochs} epochs, weight error of this draw (root mean square over draws): `
      + `${Object.keys(NAMES).map(both).join(", ")}.`
      + (epochs % K === 0 ? " A full cycle: Balanced and Latin have shown every language equally often." : "");
    return { epochs, hold, rho, x, drawn, ends, rms };
  };
});
