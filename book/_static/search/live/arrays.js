/* Arrays that book/live_encoder.py wrote as scripts. A page from a file may load scripts and nothing else, so each
   script hands over a text of deflated bytes: seven bits per character, fourteen in one that begins with AWKWARD. */
window.atriLive = (() => {
  "use strict";
  const here = document.currentScript.src.replace(/[^/]*$/, "");
  const taken = {};  // name -> bytes
  const AWKWARD = [0, 10, 13, 26, 34, 92];

  function bytesOf(text) {
    const bytes = new Uint8Array((text.length * 14) >> 3);
    let held = 0, bits = 0, at = 0;
    function add(seven) {
      held = (held << 7) | seven;
      bits += 7;
      if (bits < 8) return;
      bits -= 8;
      bytes[at++] = held >> bits;
      held &= (1 << bits) - 1;
    }
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i), before = AWKWARD[(code >> 7) - 1];
      if (before !== undefined) add(before);
      add(code & 127);
    }
    return bytes.slice(0, at);
  }

  /* What each script calls. */
  function take(name, text) {
    taken[name] = bytesOf(text);
  }

  function script(name) {
    return new Promise((done, failed) => {
      const element = document.createElement("script");
      element.charset = "utf-8";
      element.src = `${here}data-${name}.js`;
      element.onload = done;
      element.onerror = () => failed(new Error(`data-${name}.js cannot be read`));
      document.head.append(element);
    });
  }

  /* Load scripts one after the other: {name: bytes}; `progress` hears how many bytes are there. */
  async function load(sizes, progress) {
    let there = 0;
    for (const [name, size] of Object.entries(sizes)) {
      await script(name);
      there += size;
      progress(there);
    }
  }

  const TYPES = {u1: Uint8Array, i1: Int8Array, u2: Uint16Array, i2: Int16Array, f4: Float32Array};
  /* The arrays of a name: {array name: typed array, its shape as .shape}. */
  async function arrays(name) {
    const packed = new Blob([taken[name]]).stream();
    delete taken[name];
    const buffer = await new Response(packed.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
    const start = 4 + new DataView(buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, start - 4)));
    const found = {};
    let at = start;
    for (const {name: array, type, shape} of header) {
      const kind = TYPES[type], count = shape.reduce((product, size) => product * size, 1);
      const end = at + count * kind.BYTES_PER_ELEMENT;
      found[array] = new kind(buffer.slice(at, end));
      found[array].shape = shape;
      at = end;
    }
    return found;
  }

  return {take, load, arrays};
})();
