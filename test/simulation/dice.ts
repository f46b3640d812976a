/**
 * Chance that can be repeated: each stream is named, and gives the same numbers for the same name, whatever the other
 * streams did meanwhile. So taking one fault out of a run leaves everything else of it as it was.
 */
export interface Dice {
  /** 0 <= x < 1 */
  next(): number
  chance(probability: number): boolean
  /** Whole numbers, both ends included. */
  whole(from: number, to: number): number
  between(from: number, to: number): number
  /** A wait until something that happens every `mean` on average. */
  wait(mean: number): number
  pick<T>(from: readonly [T, ...T[]]): T
  hex(digits: number): string
}

export function dice(...name: readonly (string | number)[]): Dice {
  let [a, b, c, d] = seedOf(name.join('/'))

  // sfc32, a small fast generator of 128 bits of state (PractRand, public domain).
  function bits(): number {
    const sum = (a + b + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + sum) | 0
    return sum >>> 0
  }
  for (let i = 0; i < 12; i++) bits()

  const next = (): number => bits() / 0x1_0000_0000
  return {
    next,
    chance: (probability) => next() < probability,
    whole: (from, to) => from + Math.floor(next() * (to - from + 1)),
    between: (from, to) => from + next() * (to - from),
    wait: (mean) => -Math.log(1 - next()) * mean,
    // The index is within the list, which is not empty by its type.
    pick: <T>(from: readonly [T, ...T[]]): T => from[Math.floor(next() * from.length)] as T,
    hex(digits) {
      let text = ''
      while (text.length < digits) text += bits().toString(16).padStart(8, '0')
      return text.slice(0, digits)
    },
  }
}

/** Four words from a name: FNV-1a, continued. */
function seedOf(name: string): [number, number, number, number] {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  const word = (): number => {
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
    hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39)
    hash ^= hash >>> 15
    return hash | 0
  }
  return [word(), word(), word(), word()]
}
