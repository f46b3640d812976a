/** Chance that a seed repeats (mulberry32), so that a run can be asked for again with the same choices. */
export interface Chance {
  /** 0 <= x < 1 */
  next(): number
  /** A whole number, from and to included. */
  between(from: number, to: number): number
  pick<T>(of: readonly [T, ...T[]]): T
}

export function createChance(seed: number): Chance {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const between = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1))
  return { next, between, pick: (of) => of[between(0, of.length - 1)] ?? of[0] }
}
