/**
 * Dates and times as the wire shows them (the wire contract, section 5.6): values of columns declared
 * exactly `date`, `datetime` or `timestamp` are parsed and written again as RFC 3339.
 * Text that no layout fits becomes the year 1, as clients of rqlite know it; the zone is kept.
 */

/** What unparseable text becomes. */
const YEAR_ONE = "0001-01-01T00:00:00Z";

/** An INTEGER past this, either way, counts milliseconds rather than seconds. */
const SECONDS_MAX = 1e12;
/** The years 0 to 9999, in milliseconds since 1970. */
const YEAR_0_MS = -62_167_219_200_000;
const YEAR_10000_MS = 253_402_300_800_000;

const LAYOUT =
  /^(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?)?([+-]\d{2}:\d{2})?$/;

/**
 * A Unix time, in seconds or milliseconds by its size.
 * @returns undefined when its year is outside 0 to 9999: the wire fails the statement then.
 */
export function integerAsTime(value: number): string | undefined {
  const isSeconds = value <= SECONDS_MAX && value >= -SECONDS_MAX;
  const ms = isSeconds ? value * 1000 : value;
  if (!(ms >= YEAR_0_MS && ms < YEAR_10000_MS)) return undefined;
  const date = new Date(ms);
  const fraction = isSeconds
    ? ""
    : trimFraction(String(date.getUTCMilliseconds()).padStart(3, "0"));
  return date.toISOString().slice(0, 19) + fraction + "Z";
}

/** Text of a date or time column, written again. */
export function textAsTime(text: string): string {
  const match = LAYOUT.exec(text.endsWith("Z") ? text.slice(0, -1) : text);
  if (match === null) return YEAR_ONE;
  const [, year, month, day, hour, minute, second, fraction, zone] = match;
  // A zone needs seconds before it; without a time there is nothing to be in a zone.
  if (zone !== undefined && second === undefined) return YEAR_ONE;
  if (!isDate(Number(year), Number(month), Number(day))) return YEAR_ONE;
  if (Number(hour ?? 0) > 23 || Number(minute ?? 0) > 59 || Number(second ?? 0) > 59) {
    return YEAR_ONE;
  }
  const offset = zone === undefined ? "Z" : zoneText(zone);
  if (offset === undefined) return YEAR_ONE;
  const clock = `${hour ?? "00"}:${minute ?? "00"}:${second ?? "00"}`;
  return `${year}-${month}-${day}T${clock}${trimFraction((fraction ?? "").slice(0, 9))}${offset}`;
}

function isDate(year: number, month: number, day: number): boolean {
  if (month < 1 || month > 12 || day < 1) return false;
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] as number;
  return day <= days;
}

function zoneText(zone: string): string | undefined {
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(4));
  if (hours > 24 || minutes > 59) return undefined;
  return hours === 0 && minutes === 0 ? "Z" : zone;
}

function trimFraction(digits: string): string {
  const kept = digits.replace(/0+$/, "");
  return kept === "" ? "" : `.${kept}`;
}
