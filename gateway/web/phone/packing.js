// A batch's text -> the bytes that are kept and sent, compressed where the browser can.

/** @typedef {{bytes: Uint8Array<ArrayBuffer>, encoding: "gzip" | ""}} Packed */

/** @param {string} text @param {boolean} hurry  the page may be gone in a moment: do not compress @returns {Promise<Packed>} */
export async function pack(text, hurry) {
  const plain = new TextEncoder().encode(text);
  if (hurry || plain.length < 512 || typeof CompressionStream === "undefined") return { bytes: plain, encoding: "" };
  const packed = new Blob([plain]).stream().pipeThrough(new CompressionStream("gzip"));
  return { bytes: new Uint8Array(await new Response(packed).arrayBuffer()), encoding: "gzip" };
}
