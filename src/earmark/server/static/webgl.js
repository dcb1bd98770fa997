// Points on a WebGL2 canvas: one draw call, whatever their number. No eval, nothing read back from the card.

const VERTEX = `#version 300 es
in vec2 place;            // 0..1 of the plane
in uvec2 look;            // colour, state (see STATE)
uniform vec2 scale, offset;
uniform float radius;     // pixels of the screen
uniform vec3 palette[16], paper, ink;
flat out vec3 fill, rim;
flat out float size, border;
void main() {
  uint state = look.y & 3u;
  bool picked = look.y >= 4u;
  float grown = picked ? radius + 2.0 : state == 3u ? radius + 1.0 : radius;
  // Hidden ones lie outside; those that were picked or found lie above the others.
  gl_Position = state == 1u ? vec4(2.0, 2.0, 2.0, 1.0) : vec4(place * scale + offset, picked ? 0.0 : state == 2u ? .6 : state == 3u ? .2 : .4, 1.0);
  border = picked ? 2.0 : radius > 2.5 ? 1.0 : 0.0;
  size = 2.0 * (grown + border * .5) + 1.0;
  gl_PointSize = size;
  fill = state == 2u ? mix(paper, ink, .13) : palette[look.x];
  rim = picked ? ink : paper;
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
flat in vec3 fill, rim;
flat in float size, border;
out vec4 colour;
void main() {
  float far = length(gl_PointCoord - .5) * size, edge = size * .5 - .5;
  float cover = clamp(edge + .5 - far, 0.0, 1.0);
  if (cover == 0.0) discard;
  colour = vec4(mix(fill, rim, border > 0.0 ? clamp(far - (edge - border) + .5, 0.0, 1.0) : 0.0), cover);
}`;

/** What is in the second byte of a point's look; PICKED is added to one of the others. */
export const STATE = {SHOWN: 0, HIDDEN: 1, FAINT: 2, FOUND: 3, PICKED: 4};

/** A drawer of points, or null where the browser has no WebGL2. A lost card comes back by itself. */
export function createPoints(canvas) {
  const gl = canvas.getContext("webgl2", {alpha: false, antialias: false, powerPreference: "high-performance"});
  if (!gl) return null;
  let places = null, looks = null, program, at, buffers;

  function build() {
    program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source); gl.compileShader(shader); gl.attachShader(program, shader);
    }
    gl.bindAttribLocation(program, 0, "place"); gl.bindAttribLocation(program, 1, "look");
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) || "the shaders do not link");
    at = name => gl.getUniformLocation(program, name);
    buffers = [gl.createBuffer(), gl.createBuffer()];
    gl.bindVertexArray(gl.createVertexArray());
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers[0]); gl.enableVertexAttribArray(0); gl.vertexAttribPointer(0, 2, gl.UNSIGNED_SHORT, true, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers[1]); gl.enableVertexAttribArray(1); gl.vertexAttribIPointer(1, 2, gl.UNSIGNED_BYTE, 0, 0);
    gl.enable(gl.BLEND); gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    gl.enable(gl.DEPTH_TEST); gl.depthFunc(gl.LEQUAL);
    if (places) send(0, places);
    if (looks) send(1, looks);
  }
  function send(k, array) { gl.bindBuffer(gl.ARRAY_BUFFER, buffers[k]); gl.bufferData(gl.ARRAY_BUFFER, array, k ? gl.DYNAMIC_DRAW : gl.STATIC_DRAW); }
  build();
  let again = () => {};
  canvas.addEventListener("webglcontextlost", event => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", () => { build(); again(); });

  const told = gl.getExtension("WEBGL_debug_renderer_info");
  return {
    renderer: gl.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : gl.RENDERER),
    /** Uint16Array of x, y pairs; y goes down. */
    place(array) { places = array; send(0, array); },
    /** Uint8Array of colour, state pairs. */
    look(array) { looks = array; send(1, array); },
    /** Draws all. `view` has scale, left, top in pixels of the screen a step of the plane, radius; `colours` palette, paper, ink as 0..1.
     *  `share` of the points, the first ones. */
    draw({scale, left, top, radius}, {palette, paper, ink}, share = 1) {
      const {width, height} = canvas;
      gl.viewport(0, 0, width, height);
      gl.clearColor(...paper, 1); gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      if (!places?.length || !looks) return;
      gl.useProgram(program);
      gl.uniform2f(at("scale"), 65535 * scale / width * 2, -65535 * scale / height * 2);
      gl.uniform2f(at("offset"), left / width * 2 - 1, 1 - top / height * 2);
      gl.uniform1f(at("radius"), radius);
      gl.uniform3fv(at("palette"), palette); gl.uniform3f(at("paper"), ...paper); gl.uniform3f(at("ink"), ...ink);
      gl.drawArrays(gl.POINTS, 0, Math.ceil(places.length / 2 * share));
    },
    /** Waits until the card has drawn: for measuring alone. */
    finish() { gl.finish(); gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)); },
    /** What to do when a lost card is back. */
    set restored(draw) { again = draw; },
    dispose() { gl.getExtension("WEBGL_lose_context")?.loseContext(); },
  };
}
