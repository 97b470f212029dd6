// Reads the depth under the pointer from the numbers the server sent with the picture.
() => {
  let read = null;

  function depths(output) {
    if (read && read.output === output) return read;
    const bytes = Uint8Array.from(atob(output.dataset.values), (c) => c.charCodeAt(0));
    const { width, height, low, span, unit } = output.dataset;
    read = { output, levels: new DataView(bytes.buffer), width: +width, height: +height,
             low: +low, span: +span, unit };
    return read;
  }

  function at(map, u, v) {  // bilinear between pixel centres, as the files are
    const x = Math.min(Math.max(u * map.width - 0.5, 0), map.width - 1);
    const y = Math.min(Math.max(v * map.height - 0.5, 0), map.height - 1);
    const [x0, y0] = [Math.floor(x), Math.floor(y)];
    const [x1, y1] = [Math.min(x0 + 1, map.width - 1), Math.min(y0 + 1, map.height - 1)];
    const depth = (i, j) => Math.exp(
      map.low + map.span * map.levels.getUint16(2 * (j * map.width + i), true) / 65535);
    const [a, b] = [x - x0, y - y0];
    return (1 - b) * ((1 - a) * depth(x0, y0) + a * depth(x1, y0))
      + b * ((1 - a) * depth(x0, y1) + a * depth(x1, y1));
  }

  function show(event) {
    const output = document.getElementById("ssmde-readout");
    const slider = document.getElementById("ssmde-slider");
    if (!output || !slider || !slider.contains(event.target)) return;
    const image = [...slider.querySelectorAll("img")].find((i) => i.naturalWidth > 0);
    if (!image) return;
    const box = image.getBoundingClientRect();  // the picture is fitted into it, in the middle
    const scale = Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight);
    const [width, height] = [image.naturalWidth * scale, image.naturalHeight * scale];
    const u = (event.clientX - box.left - (box.width - width) / 2) / width;
    const v = (event.clientY - box.top - (box.height - height) / 2) / height;
    if (u < 0 || u > 1 || v < 0 || v > 1) return;
    const map = depths(output);
    output.textContent = `Depth here: ${at(map, u, v).toPrecision(3)} ${map.unit}`;
  }

  document.addEventListener("pointermove", show, true);
  document.addEventListener("pointerdown", show, true);
}
