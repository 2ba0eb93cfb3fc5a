/**
 * Mathematics that V8 leaves to the system's library, done here so that it does not ask the processor
 * (rule Q2): with and without fused multiply-add, `Math.pow` differs in 7 of 10,000 last bits and
 * `Math.tanh` in 20. JavaScript's own `+ - * /` are the same everywhere.
 *
 * `power` computes with pairs of doubles, a sum that is exact to about 104 bits, so that results are
 * the nearest double nearly always, and whole powers that fit are exact. Frozen: what it gave is in
 * databases.
 */

/** A number as the sum of two doubles, the second at most half a last place of the first. */
interface Pair {
  readonly high: number;
  readonly low: number;
}

const SPLITTER = 2 ** 27 + 1;
const LN2: Pair = { high: 0.6931471805599453, low: 2.3190468138462996e-17 };
const ONE: Pair = { high: 1, low: 0 };
/** |r| up to half of ln 2: r^n / n! is below 2^-110 from here on. */
const EXPONENTIAL_TERMS = 27;
/** As near to 1 the series of the logarithm takes so many terms. */
const NEAR_ONE = 2 ** -10;
const LOGARITHM_TERMS = 13;
/** Results of larger exponents are infinite, of smaller ones 0. */
const EXPONENT_MAX = 710;
const EXPONENT_MIN = -746;
/** Exponents that all are even, and so large that every result but 1 is infinite or 0. */
const HUGE_EXPONENT = 2 ** 64;
const NORMAL_MIN = 2 ** -1022;
/** Below it the tangent is its argument, above it 1. */
const TANGENT_MIN = 1e-9;
const TANGENT_MAX = 22;
const SQRT_2 = 1.4142135623730951;

/** x to the power of y, as C has it but that 1 to any power is 1. */
export function power(x: number, y: number): number {
  if (x === 1 || y === 0) return 1;
  if (x === -1 && (y === Infinity || y === -Infinity)) return 1;
  if (Number.isNaN(x) || Number.isNaN(y)) return NaN;
  const isWhole = Number.isInteger(y);
  const isOdd = isWhole && Math.abs(y) < 2 ** 53 && y % 2 !== 0;
  const isNegative = x < 0 || Object.is(x, -0);
  if (isNegative && x !== 0 && x !== -Infinity && Number.isFinite(y) && !isWhole) return NaN;
  const sign = isNegative && isOdd ? -1 : 1;
  return sign * powerOfPositive(Math.abs(x), y);
}

/** The hyperbolic tangent: (e^2x - 1) / (e^2x + 1). */
export function hyperbolicTangent(x: number): number {
  const size = Math.abs(x);
  if (size < TANGENT_MIN || Number.isNaN(x)) return x;
  if (size > TANGENT_MAX) return Math.sign(x);
  const { mantissa, twos } = exponential({ high: 2 * size, low: 0 });
  const factor = powerOfTwo(twos);
  const grown: Pair = { high: mantissa.high * factor, low: mantissa.low * factor };
  const above = plus(grown, { high: -1, low: 0 });
  const below = plus(grown, ONE);
  const first = above.high / below.high;
  const rest = plus(above, timesNumber(below, -first));
  return Math.sign(x) * (first + rest.high / below.high);
}

function powerOfPositive(x: number, y: number): number {
  if (x === 1) return 1;
  const isLarge = (x > 1) === (y > 0);
  if (x === 0 || x === Infinity || Math.abs(y) >= HUGE_EXPONENT) return isLarge ? Infinity : 0;
  const exponent = timesNumber(logarithm(x), y);
  if (exponent.high > EXPONENT_MAX) return Infinity;
  if (exponent.high < EXPONENT_MIN) return 0;
  const { mantissa, twos } = exponential(exponent);
  // In two steps, since neither 2^1024 nor the reciprocal of the smallest number is a double.
  const half = Math.trunc(twos / 2);
  return (mantissa.high + mantissa.low) * powerOfTwo(half) * powerOfTwo(twos - half);
}

/** Exact, for exponents from -1022 to 1023. */
function powerOfTwo(exponent: number): number {
  const size = Math.abs(exponent);
  let result = 1;
  for (let bit = 1, factor = 2; bit <= size; bit *= 2, factor *= factor) {
    if (Math.floor(size / bit) % 2 === 1) result *= factor;
  }
  return exponent < 0 ? 1 / result : result;
}

/** The natural logarithm of a positive, finite number. */
function logarithm(x: number): Pair {
  let mantissa = x < NORMAL_MIN ? x * 2 ** 54 : x;
  let twos = x < NORMAL_MIN ? -54 : 0;
  for (let step = 512; step >= 1; step /= 2) {
    const factor = powerOfTwo(step);
    if (mantissa >= factor) {
      mantissa /= factor;
      twos += step;
    } else if (mantissa * factor < 2) {
      mantissa *= factor;
      twos -= step;
    }
  }
  if (mantissa > SQRT_2) {
    mantissa /= 2;
    twos += 1;
  }
  return plus(timesNumber(LN2, twos), logarithmNearOne(mantissa));
}

/** The logarithm of a number between the roots of 1/2 and 2. */
function logarithmNearOne(x: number): Pair {
  const distance = x - 1;
  if (Math.abs(distance) < NEAR_ONE) return logarithmSeries(distance);
  // One of Newton's steps doubles the digits of a first guess, whose last bit does not matter then.
  const guess = Math.log(x);
  const nearOne = timesNumber(exponentialSeries({ high: -guess, low: 0 }), x);
  const error = plus(nearOne, { high: -1, low: 0 });
  const correction = error.high + error.low - error.high * error.high / 2;
  return sum(guess, correction);
}

/** log(1 + d) = d - d^2/2 + d^3/3 - ... for a small d. */
function logarithmSeries(distance: number): Pair {
  const d: Pair = { high: distance, low: 0 };
  let total: Pair = { high: 0, low: 0 };
  for (let term = LOGARITHM_TERMS; term >= 1; term--) {
    const coefficient = divide(term % 2 === 1 ? 1 : -1, term);
    total = times(plus(total, coefficient), d);
  }
  return total;
}

/** e^x as a mantissa times a power of 2, for x between EXPONENT_MIN and EXPONENT_MAX. */
function exponential(x: Pair): { readonly mantissa: Pair; readonly twos: number } {
  const twos = Math.round(x.high / LN2.high);
  return { mantissa: exponentialSeries(plus(x, timesNumber(LN2, -twos))), twos };
}

/** e^r for |r| of at most 0.36: 1 + r (1 + r/2 (1 + r/3 (...))). */
function exponentialSeries(r: Pair): Pair {
  let total = ONE;
  for (let term = EXPONENTIAL_TERMS; term >= 1; term--) {
    total = plus(ONE, times(times(total, r), divide(1, term)));
  }
  return total;
}

// --- pairs (T. J. Dekker, "A floating-point technique for extending the available precision", 1971) ---

/** a + b, exactly. */
function sum(a: number, b: number): Pair {
  const high = a + b;
  const part = high - a;
  return { high, low: (a - (high - part)) + (b - part) };
}

/** a * b, exactly, where nothing overflows. */
function product(a: number, b: number): Pair {
  const high = a * b;
  const aScaled = SPLITTER * a;
  const aHigh = aScaled - (aScaled - a);
  const aLow = a - aHigh;
  const bScaled = SPLITTER * b;
  const bHigh = bScaled - (bScaled - b);
  const bLow = b - bHigh;
  return { high, low: ((aHigh * bHigh - high) + aHigh * bLow + aLow * bHigh) + aLow * bLow };
}

function plus(a: Pair, b: Pair): Pair {
  const first = sum(a.high, b.high);
  const second = sum(a.low, b.low);
  const middle = sum(first.high, first.low + second.high);
  return sum(middle.high, middle.low + second.low);
}

function times(a: Pair, b: Pair): Pair {
  const { high, low } = product(a.high, b.high);
  return sum(high, low + (a.high * b.low + a.low * b.high));
}

function timesNumber(a: Pair, b: number): Pair {
  const { high, low } = product(a.high, b);
  return sum(high, low + a.low * b);
}

/** a / b, of small whole numbers. */
function divide(a: number, b: number): Pair {
  const high = a / b;
  const { high: back, low } = product(high, b);
  return sum(high, ((a - back) - low) / b);
}
