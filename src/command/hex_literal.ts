/**
 * Text parameters that are spelled like SQL's hex literals become BLOBs (the wire contract, section
 * 4.3): trimmed of white space, `x'<hex>'` or `X'<hex>'` with an even number of digits, zero allowed.
 * Whatever fails the pattern stays text.
 */

const APOSTROPHE = 0x27;

/** The bytes that `text` spells, or undefined when it is ordinary text. */
export function blobFromText(text: string): Uint8Array | undefined {
  if (!maybeHexLiteral(text)) return undefined;
  const literal = text.trim();
  if (literal.length < 3 || literal.length % 2 === 0) return undefined;
  if (literal.charCodeAt(0) !== 0x78 && literal.charCodeAt(0) !== 0x58) return undefined;
  if (literal.charCodeAt(1) !== APOSTROPHE) return undefined;
  if (literal.charCodeAt(literal.length - 1) !== APOSTROPHE) return undefined;
  try {
    return Uint8Array.fromHex(literal.substring(2, literal.length - 1));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Cheap, since it runs for every text: the ends are an x and an apostrophe, or something to trim. */
function maybeHexLiteral(text: string): boolean {
  const last = text.charCodeAt(text.length - 1);
  if (last !== APOSTROPHE && !isMaybeBlank(last)) return false;
  const first = text.charCodeAt(0);
  return first === 0x78 || first === 0x58 || isMaybeBlank(first);
}

function isMaybeBlank(code: number): boolean {
  return code <= 0x20 || code >= 0x80;
}
