"use strict";
/* One step of the weight error as three vectors (eq-law-split): what is carried along, u, the fresh error, e, and their
   sum; the opposite draw has the fresh error -e. values: old |u|, fresh |e|, angle between them in degrees. */
explore.register("step", (box, values) => {
  const { fix } = explore;
  const read = explore.sliders(box, {
    old: { label: "length of the error carried along", min: 0, max: 2, step: 0.05, value: values.old },
    fresh: { label: "length of the fresh error", min: 0, max: 2, step: 0.05, value: values.fresh },
    angle: { label: "angle between them", min: 0, max: 180, step: 1, value: values.angle, show: (x) => `${x}°` },
  });
  const opposite = explore.choice(box, "show the draw that is as likely, with the opposite fresh error", "checkbox");
  const holder = explore.panels(box), words = explore.result(box);
  explore.legend(box, [
    ["error carried along", "ink"], ["fresh error", "one"], ["error after the step", "two"],
    ["reach of the triangle inequality", "grey dashed"], ["at a right angle", "three dotted"],
  ]);

  return () => {
    const { old, fresh, angle } = read(), turn = (angle * Math.PI) / 180;
    const move = [fresh * Math.cos(turn), fresh * Math.sin(turn)];
    const lengths = { // law of cosines, triangle inequality, Pythagoras
      actual: Math.sqrt(old ** 2 + fresh ** 2 + 2 * old * fresh * Math.cos(turn)),
      opposite: Math.sqrt(old ** 2 + fresh ** 2 - 2 * old * fresh * Math.cos(turn)),
      bound: old + fresh,
      right: Math.sqrt(old ** 2 + fresh ** 2),
    };
    const rms = Math.sqrt((lengths.actual ** 2 + lengths.opposite ** 2) / 2), both = opposite.checked;
    const narrow = holder.clientWidth < 560, full = Math.max(lengths.bound, 0.5);
    const plane = explore.figure(holder, { equal: true, share: narrow ? 1 : 0.56, height: 290,
      x: [Math.min(0, old - fresh) - 0.1, full + 0.1], y: [both ? -fresh - 0.1 : -0.1, fresh + 0.1] });
    plane.line("circle", arc(old, fresh, both ? 72 : 36), "grey thin");
    plane.line("right", [[old, 0], [old, fresh]], "three dotted");
    plane.line("hypotenuse", [[0, 0], [old, fresh]], "three dotted");
    plane.line("straight", [[old, 0], [full, 0]], "grey dashed");
    plane.arrow("old", [0, 0], [old, 0], "ink");
    if (both) {
      plane.arrow("mirrored fresh", [old, 0], [old - move[0], -move[1]], "one thin");
      plane.arrow("mirrored", [0, 0], [old - move[0], -move[1]], "two thin");
    }
    plane.arrow("fresh", [old, 0], [old + move[0], move[1]], "one");
    plane.arrow("sum", [0, 0], [old + move[0], move[1]], "two");

    const bars = [["triangle inequality", lengths.bound, "grey bar"], ["right angle", lengths.right, "three bar"],
      ["this draw", lengths.actual, "two bar"]];
    if (both) bars.push(["the opposite draw", lengths.opposite, "two thinbar"], ["RMS of the two", rms, "ink bar"]);
    const chart = explore.figure(holder, { x: [0, Math.max(2, Math.ceil(2 * full) / 2)], y: [0, bars.length],
      rows: true, share: narrow ? 1 : 0.44, height: narrow ? 210 : 290, xlabel: "length" });
    bars.forEach(([name, length, look], row) => {
      const y = bars.length - row - 0.6;
      chart.line(name, [[0, y], [length, y]], look);
      chart.text([0.05, y + 0.26], `${name}: ${length.toFixed(2)}`, "begin");
    });
    words.textContent = `Triangle inequality: at most ${lengths.bound.toFixed(2)}. `
      + `This draw: ${lengths.actual.toFixed(2)}, at a right angle: ${lengths.right.toFixed(2)}.`
      + (both ? ` The opposite draw: ${lengths.opposite.toFixed(2)}. RMS of the two: ${rms.toFixed(2)}.` : "");
    return { old, fresh, angle, ...lengths, rms };
  };

  function arc(x, radius, parts) { // around (x, 0), 5 degrees a part
    const turns = explore.range(parts + 1).map((i) => (i * Math.PI) / 36);
    return turns.map((turn) => [x + radius * Math.cos(turn), radius * Math.sin(turn)]);
  }
});
