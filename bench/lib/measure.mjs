// Interleaved timing, for Node and browsers alike. On a shared machine only times taken side by side
// can be compared, and minima tell more than means.

const inBrowser = !globalThis.process?.cpuUsage;

/** Browsers round the time, to a millisecond at worst: less than this, and a round runs several times. */
const SHORTEST = 25;

/**
 * Milliseconds. In Node the time that this process's threads computed, which others on the machine
 * disturb less; both sides compute in one thread. Browsers only know the time of day.
 */
export function now() {
  if (inBrowser) return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * Times several sides in turn, round by round, so that a busy moment hits all of them.
 * @param {Record<string, () => unknown>} sides
 * @param {{ warmups?: number, rounds?: number }} options
 * @returns {Promise<Record<string, number[]>>} milliseconds
 */
export async function interleave(sides, { warmups = 5, rounds = 40 } = {}) {
  const times = Object.fromEntries(Object.keys(sides).map((name) => [name, []]));
  const repeats = {};
  for (let round = -warmups; round < rounds; round++) {
    for (const [name, side] of Object.entries(sides)) {
      const start = now();
      for (let i = 0; i < (repeats[name] ?? 1); i++) await side();
      const time = (now() - start) / (repeats[name] ?? 1);
      if (round >= 0) times[name].push(time);
      else if (inBrowser) repeats[name] = Math.max(1, Math.ceil(SHORTEST / Math.max(time, 0.1)));
    }
  }
  return times;
}

/** The value below which a share of the times lies. */
const quantile = (times, share) => [...times].sort((a, b) => a - b)[Math.floor(share * (times.length - 1))];

/** Median, minimum, and the quartiles' distance as a share of the median. */
export function summary(times) {
  const median = quantile(times, 0.5);
  return { median, min: quantile(times, 0), spread: (quantile(times, 0.75) - quantile(times, 0.25)) / median };
}

/** One line of `bench.json`. The peer may be missing. */
export function row(model, part, runtime, ours, peer) {
  const mine = summary(ours);
  const theirs = peer && summary(peer);
  return {
    model,
    part,
    runtime,
    oursMs: mine.median,
    peerMs: theirs?.median ?? null,
    ratio: theirs ? mine.median / theirs.median : null,
    spread: mine.spread,
    oursMinMs: mine.min,
    peerMinMs: theirs?.min ?? null,
    minRatio: theirs ? mine.min / theirs.min : null,
    rounds: ours.length,
  };
}

/** The same made-up input on every side: values of -1 to 1. */
export function inputValues(length) {
  let state = 1;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 23 - 1;
  });
}

/** The same made-up RGBA photo on every side: smooth, with some noise. */
export function photo(width, height) {
  const noise = inputValues(width * height);
  const pixels = new Uint8ClampedArray(width * height * 4);
  for (let i = 0; i < noise.length; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    pixels.set([(x * 255) / width + noise[i] * 20, (y * 255) / height + noise[i] * 20, 128 + noise[i] * 40, 255], i * 4);
  }
  return pixels;
}
