/**
 * JSON text re-indented by four spaces, one element per line, empty containers in one piece (the wire
 * contract, section 5.9). Works on text, never on values: numbers and escapes stay as they are
 * written. Takes the text in pieces cut anywhere, so that streams can be indented as well.
 * The input is compact, valid JSON; blanks outside strings are not expected.
 */

const INDENT = "    ";

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** `text`, indented. */
export function prettyJson(text: string): string {
  return new PrettyPrinter().push(text);
}

/** Indents one document that comes in pieces; what `push` returns, joined, is the whole. */
export class PrettyPrinter {
  #depth = 0;
  #inString = false;
  /** Inside a string: the character before was a backslash that escapes the next one. */
  #escaped = false;
  /** The last character opened a container, which may turn out to be empty. */
  #opened = false;

  push(text: string): string {
    let out = "";
    let copied = 0;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (this.#inString) {
        this.#stepInString(code);
        continue;
      }
      const before = this.#lineBreakBefore(code);
      const after = this.#stepOutside(code);
      if (before === "" && after === "") continue;
      out += text.slice(copied, at) + before + text.charAt(at) + after;
      copied = at + 1;
    }
    return out + text.slice(copied);
  }

  #stepInString(code: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (code === BACKSLASH) this.#escaped = true;
    else if (code === QUOTE) this.#inString = false;
  }

  #lineBreakBefore(code: number): string {
    const closes = code === CLOSE_BRACKET || code === CLOSE_BRACE;
    if (closes) this.#depth--;
    return closes === this.#opened ? "" : this.#lineBreak();
  }

  /** Takes the character into account and returns what follows it. */
  #stepOutside(code: number): string {
    this.#opened = code === OPEN_BRACKET || code === OPEN_BRACE;
    if (this.#opened) this.#depth++;
    if (code === QUOTE) this.#inString = true;
    if (code === COMMA) return this.#lineBreak();
    return code === COLON ? " " : "";
  }

  #lineBreak(): string {
    return `\n${INDENT.repeat(this.#depth)}`;
  }
}
