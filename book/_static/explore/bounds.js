"use strict";
/* Published bound, trajectory bound, mean-square law and random walk with constant coefficients, and measured dots.
   values: eta, lipschitz (lambda, curvature of the sharpest pairs), h (curvature where the error lies), T; error: D;
   gradient: g_max; xi: length of a fresh gradient error; dots: {measured, trajectory, published}, as [step, value]. */
explore.register("bounds", (box, values) => {
  const { fix, range } = explore, log = Math.log10;
  const power = (exponent) => Math.abs(exponent) < 4 ? fix(10 ** exponent, 3) : `10^${exponent.toFixed(1)}`;
  const read = explore.sliders(box, {
    eta: { label: "η, step size", min: -3, max: -0.3, step: 0.01, value: values.eta, log: true },
    lipschitz: { label: "λ, curvature of the sharpest pairs", min: -1, max: Math.max(3, log(values.lipschitz)),
      step: 0.01, value: values.lipschitz, log: true },
    h: { label: "h, curvature where the error lies", min: Math.min(-2, log(values.h)), max: 0.6,
      step: 0.01, value: values.h, log: true },
    T: { label: "T, steps", min: 2, max: Math.max(400, values.T), step: 1, value: values.T },
  });
  const whole = explore.choice(box, "let the axis reach up to the published bound", "checkbox");
  const holder = explore.panels(box), words = explore.result(box);
  const looks = { published: "one", trajectory: "two dashed", law: "three", walk: "four dotted" };
  explore.legend(box, [
    ["published bound", looks.published], ["trajectory bound", looks.trajectory],
    ["mean-square law", looks.law], ["random walk, √T", looks.walk],
    ...(values.dots ? [["measured weight error", "ink filled", "dot"],
      ["both bounds, from the constants of each step", "ink hollow", "dot"]] : []),
  ]);

  /* All values are logarithms to base 10, because the published bound leaves the range of a number.
     published: x_t = (1 + eta lambda) x + eta D g_max = D g_max ((1 + eta lambda)^t - 1) / lambda
     trajectory: x_t = rho x + eta xi;  law: M_t = rho^2 M + eta^2 xi^2;  walk: eta xi sqrt(t);  rho = |1 - eta h| */
  function curves({ eta, lipschitz, h, T }) {
    const a = log(1 + eta * lipschitz), rho = Math.abs(1 - eta * h);
    const first = log((values.error * values.gradient) / lipschitz);
    const lines = { published: [], trajectory: [], law: [], walk: [] };
    let bound = 0, square = 0;
    for (const t of range(T, 1)) {
      bound = rho * bound + eta * values.xi;
      square = rho ** 2 * square + (eta * values.xi) ** 2;
      lines.published.push([t, first + t * a + log(1 - 10 ** (-t * a))]);
      lines.trajectory.push([t, log(bound)]);
      lines.law.push([t, log(square) / 2]);
      lines.walk.push([t, log(eta * values.xi) + log(t) / 2]);
    }
    return lines;
  }

  return () => {
    const setting = read(), { eta, h, T } = setting, lines = curves(setting);
    const end = Object.fromEntries(Object.entries(lines).map(([name, points]) => [name, points[T - 1][1]]));
    const low = Math.floor(lines.law[0][1] - 0.2), top = Math.max(end.trajectory, end.walk) + 0.5;
    const high = whole.checked ? Math.max(end.published + 0.5, top) : Math.max(Math.ceil(top), low + 3);
    const names = { xlabel: "step", ylabel: "weight error" };
    const plot = explore.figure(holder, { x: [0, T], y: [low, high], powers: true, height: 330, ...names });
    for (const [name, points] of Object.entries(lines)) plot.line(name, points, looks[name]);
    for (const [name, points] of Object.entries(values.dots || {})) {
      const shown = points.filter(([, y]) => y > 0).map(([t, y]) => [t, log(y)]);
      plot.dots(shown, name === "measured" ? "ink filled" : "ink hollow", 3.5);
    }
    words.textContent = `After ${T} steps: published bound ${power(end.published)}, `
      + `trajectory bound ${power(end.trajectory)}, mean-square law ${power(end.law)}, random walk ${power(end.walk)}. `
      + `An ideal step multiplies an old error by ${fix(Math.abs(1 - eta * h), 4)}, `
      + `the published bound multiplies it by ${fix(1 + eta * setting.lipschitz)}.`
      + (values.dots && Math.abs(eta / values.eta - 1) > 0.01
        ? ` The dots stay where they were measured, at step size ${fix(values.eta)}.` : "");
    return { ...setting, ...end };
  };
});
