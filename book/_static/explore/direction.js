"use strict";
/* The direction error of m of K languages with common cosine c (thm-direction): values: K, m, c; dots: measured
   [m, degrees] for that K. */
explore.register("direction", (box, values) => {
  const { fix, range } = explore;
  const dots = values.dots || [];
  const read = explore.sliders(box, {
    K: { label: "K, languages in all", min: 2, max: 16, step: 1, value: values.K },
    m: { label: "m, languages used", min: 1, max: values.K, step: 1, value: values.m },
    c: { label: "c, cosine of any two captions", min: -0.05, max: 0.99, step: 0.01, value: values.c,
      show: (x) => x.toFixed(2) },
  });
  const holder = explore.panels(box), words = explore.result(box);
  explore.legend(box, [
    ["formula", "one"],
    ["the chosen m", "one filled", "dot"],
    ...(dots.length ? [["measured in this chapter", "ink hollow", "dot"]] : []),
  ]);

  // cos theta_m = sqrt(m (1 + (K-1) c) / (K (1 + (m-1) c)))
  const cosine = (K, m, c) => Math.min(1, Math.sqrt((m * (1 + (K - 1) * c)) / (K * (1 + (m - 1) * c))));
  const degrees = (x) => (Math.acos(x) * 180) / Math.PI;

  return () => {
    const { K } = read(), { m, c } = read({ m: K });
    const curve = range(K, 1).map((used) => [used, degrees(cosine(K, used, c))]);
    const angle = curve[m - 1][1], turn = (angle * Math.PI) / 180;
    const narrow = holder.clientWidth < 560, share = narrow ? 1 : 0.68;
    const plot = explore.figure(holder, { x: [0.5, K + 0.5], y: [0, 90], share, height: 300,
      xlabel: `languages used, m of ${K}`, ylabel: "direction error (degrees)" });
    plot.line("formula", curve, "one");
    plot.dots(curve, "one filled", 2.5);
    if (dots.length && K === values.K) plot.dots(dots, "ink hollow", 5);
    plot.line("chosen", [[m, 0], [m, angle]], "one dotted");
    plot.dots([curve[m - 1]], "one filled", 6);

    const fan = explore.figure(holder, { x: [-0.05, 1.2], y: [-0.12, 1.1], share: narrow ? 1 : 0.32,
      height: narrow ? 200 : 300, equal: true });
    const arc = range(31).map((i) => [0.4 * Math.cos((turn * i) / 30), 0.4 * Math.sin((turn * i) / 30)]);
    fan.line("angle", arc, "grey");
    fan.arrow("ideal", [0, 0], [1, 0], "ink");
    fan.arrow("used", [0, 0], [Math.cos(turn), Math.sin(turn)], "one");
    fan.text([0.6, -0.1], "mean of all K");
    fan.text([Math.min(0.72, Math.cos(turn)), Math.sin(turn) + 0.06], `mean of ${m}`);

    words.textContent = `With ${m} of ${K} languages and cosine ${c.toFixed(2)} a step pulls `
      + `${angle.toFixed(1)} degrees off course`
      + (m === K ? ": all languages, no error." : `; one more takes ${fix(angle - curve[m][1], 2)} off.`)
      + (dots.length && K !== values.K ? ` The measured dots, of K = ${values.K}, are not shown.` : "");
    return { K, m, c, cosine: cosine(K, m, c), degrees: angle };
  };
});
