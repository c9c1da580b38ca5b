"use strict";
/* The accumulated distribution error V of a schedule (eq-accumulated, with a memory eq-remembered), and the line in V
   that predicts the own part of disagreement. values: K; epochs: after which the dots were measured; tolerance: share
   by which a prediction may miss; dots: {hold, turns, own, error, stable, fitted}, one a schedule: epochs that a
   language stays, whether all languages come in turn, both parts, standard error of own, whether it gives the line. */
explore.register("law", (box, values) => {
  const { range } = explore, { K, dots } = values, percent = (share) => `${(100 * share).toFixed(0)} %`;
  const LONGEST = 32; // epochs; a language that stays as long stays for good
  const read = explore.sliders(box, {
    E: { label: "E, epochs", min: 1, max: LONGEST, step: 1, value: values.epochs },
    hold: { label: "b, epochs that a clip keeps a language", min: 0, max: Math.log2(LONGEST), step: 1, value: 2,
      show: (power) => (2 ** power === LONGEST ? "all" : String(2 ** power)) },
    rho: { label: "ρ, memory from one epoch to the next", min: 0.5, max: 1, step: 0.01, value: 1,
      show: (x) => x.toFixed(2) },
  });
  const all = explore.choice(box, "all languages in turn, not drawn independently", "checkbox");
  const holder = explore.panels(box), words = explore.result(box);
  const given = dots.filter((dot) => dot.fitted).length, rest = dots.length - given;
  explore.legend(box, [
    ["V of the chosen schedule", "one"], ["V of ML-CLAP", "grey dashed"],
    [`line of ${given} schedules (dotted: ${percent(values.tolerance)} off)`, "two"],
    ["own part that it predicts for the choice", "one filled", "dot"],
    [`measured own part of the ${given}, ± 2 standard errors`, "ink hollow", "dot"],
    [`the same of ${rest} to predict: in turn, b epochs in a row`, "three filled", "dot"],
    ["measured stable part (dashed: mean)", "grey filled", "dot"],
  ]);

  function correlation(e, f, b, turns) { // of the languages of two epochs
    const [i, j] = [Math.floor(e / b), Math.floor(f / b)];
    if (i === j) return 1;
    return turns && Math.floor(i / K) === Math.floor(j / K) ? -1 / (K - 1) : 0;
  }
  function accumulated(epochs, b, turns, rho) { // [e, V_e(rho)], V_e = sum_(f,g < e) rho^|f - g| correlation(f, g)
    const path = [[0, 0]];
    for (const e of range(epochs)) {
      const cross = range(e).reduce((sum, f) => sum + rho ** (e - f) * correlation(e, f, b, turns), 0);
      path.push([e + 1, Math.max(0, path[e][1] + 1 + 2 * cross)]);
    }
    return path;
  }
  function least_squares(points) { // own = alpha + beta V
    const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
    const [v, own] = [mean(points.map((point) => point[0])), mean(points.map((point) => point[1]))];
    const beta = mean(points.map(([x, y]) => (x - v) * (y - own))) / mean(points.map(([x]) => (x - v) ** 2));
    return { alpha: own - beta * v, beta };
  }
  function named(b, turns) {
    if (b === LONGEST) return "Hold all";
    if (turns) return b === 1 ? "Balanced" : `In turn, each language ${b} epochs in a row`;
    return b === 1 ? "ML-CLAP" : `Hold ${b}`;
  }
  return () => {
    const { E, hold, rho } = read(), b = 2 ** hold, turns = all.checked;
    const path = accumulated(E, b, turns, rho), V = path[E][1], usual = accumulated(E, 1, false, rho);
    const after = ({ hold: b, turns }) => accumulated(values.epochs, b, turns, rho)[values.epochs][1];
    const measured = dots.map((dot) => ({ ...dot, V: after(dot) }));
    const { alpha, beta } = least_squares(measured.filter((dot) => dot.fitted).map((dot) => [dot.V, dot.own]));
    const law = (x) => alpha + beta * x, off = (dot) => dot.own / law(dot.V) - 1;
    const predicted = E === values.epochs ? law(V) : null;
    const chosen = predicted === null ? undefined : measured.find((dot) => (
      dot.hold === Math.min(b, values.epochs) && (dot.turns === turns || dot.hold === values.epochs)));

    const narrow = holder.clientWidth < 560, height = narrow ? 240 : 300, symbol = rho < 1 ? "V(ρ)" : "V";
    const left = explore.figure(holder, { x: [0, E], y: [0, 1.08 * Math.max(...path.concat(usual).map(([, y]) => y))],
      share: narrow ? 1 : 0.42, height, xlabel: "epochs", ylabel: `accumulated error, ${symbol}` });
    left.line("usual", usual, "grey dashed");
    left.line("accumulated", path, "one");
    left.dots([path[E]], "one filled", 5);

    const widest = Math.max(...measured.map((dot) => dot.V)), ends = [0, 1.04 * widest];
    const highest = 1.1 * Math.max(...measured.flatMap((dot) => [dot.own + 2 * dot.error, dot.stable]));
    const right = explore.figure(holder, { x: ends, y: [0, highest], share: narrow ? 1 : 0.58, height,
      xlabel: `${symbol} after ${values.epochs} epochs`, ylabel: "part of the disagreement" });
    const mean = measured.reduce((sum, dot) => sum + dot.stable / dots.length, 0);
    right.line("stable", ends.map((x) => [x, mean]), "grey dashed");
    right.dots(measured.map((dot) => [dot.V, dot.stable]), "grey filled", 3);
    for (const share of [1 - values.tolerance, 1 + values.tolerance]) {
      right.line("tolerance", ends.map((x) => [x, share * law(x)]), "two thin dotted");
    }
    right.line("law", ends.map((x) => [x, law(x)]), "two");
    if (predicted !== null) {
      right.line("predicted", [[V, 0], [V, predicted]], "one dotted");
      right.dots([[V, predicted]], "one filled", 7);
    }
    for (const dot of measured) {
      const bar = [dot.own - 2 * dot.error, dot.own + 2 * dot.error];
      right.line("errors", bar.map((y) => [dot.V, y]), dot.fitted ? "ink" : "three");
      right.dots([[dot.V, dot.own]], dot.fitted ? "ink hollow" : "three filled", dot === chosen ? 5 : 3.5);
    }

    const worst = (kind) => Math.max(...measured.filter((dot) => dot.fitted === kind).map((dot) => Math.abs(off(dot))));
    const misses = { fitted: worst(true), others: worst(false) };
    words.textContent = `${named(b, turns)}, ${E} epochs: ${symbol} = ${V.toFixed(1)}. `
      + (predicted === null ? `The line is that of ${values.epochs} epochs: no prediction for ${E}. `
        : `Predicted own part ${predicted.toFixed(3)}`
          + (chosen ? `, measured ${chosen.own.toFixed(3)} ± ${chosen.error.toFixed(3)} (standard error). `
            + `Its stable part is ${chosen.stable.toFixed(3)}. ` : ". "))
      + `The line, fitted to ${given} schedules${rho < 1 ? " anew for this memory" : ""}, is off by up to `
      + `${percent(misses.fitted)} there and by up to ${percent(misses.others)} at the ${rest} that it has to predict; `
      + `${percent(values.tolerance)} was the limit`
      + (rho < 1 ? "." : ", and the plain law failed its test.");
    return { E, b, rho, turns, V, alpha, beta, predicted, measured: chosen ? chosen.own : null, misses,
      V_measured: measured.map((dot) => dot.V) };
  };
});
