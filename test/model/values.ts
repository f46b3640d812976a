/**
 * Equal values are made one value, so that they can be compared and looked up by identity; and a large state gets a short
 * key. Equal means: equal as JSON, whatever the order of names -- which is also all that a journal or a database keeps.
 */
export interface Values {
  /** The one value that stands for all that are equal to this one. It is frozen, and so is everything in it. */
  readonly one: <T>(value: T) => T
}

export function createValues(): Values {
  const ones = new Set<unknown>()
  const byText = new Map<string, unknown>()
  /** The same with names in another order, or with names that are undefined. */
  const bySpelling = new Map<string, unknown>()

  function one<T>(value: T): T {
    if (typeof value !== 'object' || value === null || ones.has(value)) return value
    const spelling = JSON.stringify(value)
    // What stands under a text has that text, and so the shape of what was asked for.
    return (bySpelling.get(spelling) ?? add(value, spelling)) as T
  }

  function add(value: object, spelling: string): unknown {
    const ordered = Array.isArray(value) ? value.map(one) : Object.fromEntries(
      Object.entries(value).filter(([, inner]) => inner !== undefined).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, inner]) => [name, one(inner)]))
    const text = JSON.stringify(ordered)
    const known = byText.get(text) ?? Object.freeze(ordered)
    byText.set(text, known)
    ones.add(known)
    bySpelling.set(spelling, known)
    return known
  }

  return { one }
}

/**
 * Each part of a state has a number, the same for equal values and for no other. A key is those numbers, one UTF-16 unit
 * each: it says exactly one state, and millions of them fit in memory.
 */
export interface Keys<S> {
  readonly key: (state: S) => string
  readonly state: (key: string) => S
  /** How many different values of each part were met. */
  readonly sizes: () => Readonly<Record<string, number>>
}

const NUMBERS_MAX = 0x10000

export function createKeys<S extends object>({ one }: Values, names: readonly (keyof S & string)[]): Keys<S> {
  const parts = names.map((name) => ({ name, values: [] as unknown[], numbers: new Map<unknown, number>() }))

  function numberOf({ name, values, numbers }: (typeof parts)[number], value: unknown): number {
    const known = numbers.get(value)
    if (known !== undefined) return known
    const same = one(value)
    const number = numbers.get(same) ?? values.length
    if (number >= NUMBERS_MAX) throw new Error(`more than ${NUMBERS_MAX} different values of ${name}`)
    if (number === values.length) {
      values.push(same)
      numbers.set(same, number)
    }
    return number
  }

  function valueOf({ name, values }: (typeof parts)[number], number: number): unknown {
    if (number >= values.length) throw new Error(`no ${name} has the number ${number}`)
    return values[number]
  }

  return {
    key: (state) => String.fromCharCode(...parts.map((part, at) => numberOf(part, state[names[at]!]))),
    state: (key) => {
      if (key.length !== parts.length) throw new Error(`a key of ${key.length} parts, not ${parts.length}`)
      // The parts were put there by `key`, under the same names.
      return Object.fromEntries(parts.map((part, at) => [part.name, valueOf(part, key.charCodeAt(at))])) as S
    },
    sizes: () => Object.fromEntries(parts.map(({ name, values }) => [name, values.length])),
  }
}
