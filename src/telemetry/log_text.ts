/**
 * Text from outside made fit for a log line (fault X18): SQL, user names and peers' messages may hold
 * line breaks, terminal commands or characters that turn the reading direction, and must not be able
 * to forge a line or to hide one.
 * Invariant: what comes out has no control character, no line separator and no lone surrogate.
 */
import { LOGGED_TEXT_LENGTH_MAX } from "./limits.ts";

/** Controls, invisible format characters, line and paragraph separators, lone surrogates. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
const NEEDS_QUOTES = /[\s"=\\]|^$/;

/** `text` with each unsafe character as \n, \r, \t or \u001b; a backslash stays as it is. */
export function escapeControls(text: string): string {
  return text.replace(UNSAFE, escapeCharacter);
}

/** As `escapeControls`, and cut behind `LOGGED_TEXT_LENGTH_MAX` characters. */
export function fitText(text: string): string {
  if (text.length <= LOGGED_TEXT_LENGTH_MAX) return escapeControls(text);
  return `${escapeControls(text.slice(0, LOGGED_TEXT_LENGTH_MAX))}... (${text.length} characters)`;
}

/** As `fitText`, and in double quotes where a reader could not see its end otherwise. */
export function quoteValue(text: string): string {
  if (!NEEDS_QUOTES.test(text)) return fitText(text);
  return `"${fitText(text.replaceAll("\\", "\\\\").replaceAll('"', '\\"'))}"`;
}

function escapeCharacter(character: string): string {
  switch (character) {
    case "\n":
      return "\\n";
    case "\r":
      return "\\r";
    case "\t":
      return "\\t";
    default:
      return escapeCodePoint(character.codePointAt(0) ?? 0);
  }
}

function escapeCodePoint(codePoint: number): string {
  const digits = codePoint.toString(16);
  return codePoint > 0xffff ? `\\u{${digits}}` : `\\u${digits.padStart(4, "0")}`;
}
