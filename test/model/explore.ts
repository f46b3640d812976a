/**
 * Visits every reachable state of a model, breadth first, and says what is wrong with it: states and moves that break
 * an invariant, and states from which no settled state can be reached. Knows nothing of sales.
 *
 * What happens by luck or by spite -- a customer pays, a message comes late -- can lead to trouble but is nothing to hope
 * for: the way to a settled state must lead over moves that are sure to come.
 */
export interface Move<S> {
  readonly name: string
  readonly to: S
  /** It comes by itself, sooner or later. */
  readonly sure: boolean
  /** The invariant that was broken on the way. */
  readonly wrong?: string | undefined
}

export interface Model<S> {
  readonly start: S
  /** A short text for a state, another for every other state. */
  readonly key: (state: S) => string
  readonly state: (key: string) => S
  readonly moves: (state: S) => Iterable<Move<S>>
  /** The invariant that does not hold in this state, in words. */
  readonly wrong: (state: S) => string | undefined
  /** What is still open, in words; nothing in a settled state. */
  readonly open: (state: S) => readonly string[]
}

export interface Finding {
  readonly what: string
  /** The names of the moves that lead there, by one of the shortest ways. */
  readonly trace: readonly string[]
}

export interface Report {
  readonly states: number
  readonly moves: number
  readonly settled: number
  readonly deepest: readonly string[]
  /** How many states and moves broke an invariant; the first of each kind is among the findings. */
  readonly bad: number
  /** How many states cannot settle; the nearest to the start of each kind is among the findings. */
  readonly stuck: number
  readonly findings: readonly Finding[]
  /** True when the exploration was ended before every state was visited. */
  readonly cut: boolean
}

export interface Limits {
  readonly statesMax?: number
  /** End at the first broken invariant: enough for a mutant. */
  readonly firstOnly?: boolean
  readonly progress?: (states: number, waiting: number) => void
}

const NOBODY = -1

export function explore<S>(model: Model<S>, { statesMax = Infinity, firstOnly = false, progress }: Limits = {}): Report {
  const numbers = new Map<string, number>()
  const keys: string[] = []
  const cameFrom = createIntegers()
  const depth = createIntegers()
  /** Sure moves, as pairs of states. */
  const sureFrom = createIntegers()
  const sureTo = createIntegers()
  const settled: number[] = []
  const findings = new Map<string, Finding>()
  let moves = 0
  let bad = 0
  let cut = false

  function visit(key: string, from: number): number {
    const known = numbers.get(key)
    if (known !== undefined) return known
    const number = keys.length
    numbers.set(key, number)
    keys.push(key)
    cameFrom.push(from)
    depth.push(from === NOBODY ? 0 : depth.at(from) + 1)
    return number
  }

  function traceTo(number: number): string[] {
    const way: number[] = []
    for (let at = number; at !== NOBODY; at = cameFrom.at(at)) way.unshift(at)
    return way.slice(1).map((to, at) => nameOfMove(way[at]!, to))
  }

  /** Names are not kept: the move is looked up again. */
  function nameOfMove(from: number, to: number): string {
    for (const move of model.moves(model.state(keys[from]!))) if (model.key(move.to) === keys[to]) return move.name
    throw new Error('a state was reached by a move that is not there any more')
  }

  function report(what: string, trace: () => readonly string[]): void {
    bad++
    const kind = what.split(':')[0] ?? what
    if (!findings.has(kind)) findings.set(kind, { what, trace: trace() })
  }

  visit(model.key(model.start), NOBODY)
  for (let number = 0; number < keys.length && !cut; number++) {
    if (number % 20_000 === 0) progress?.(number, keys.length - number)
    const state = model.state(keys[number]!)
    const wrong = model.wrong(state)
    if (wrong !== undefined) report(wrong, () => traceTo(number))
    if (model.open(state).length === 0) settled.push(number)
    for (const move of model.moves(state)) {
      moves++
      const to = move.to === state ? number : visit(model.key(move.to), number)
      if (move.wrong !== undefined) report(move.wrong, () => [...traceTo(number), move.name])
      if (move.sure && to !== number) {
        sureFrom.push(number)
        sureTo.push(to)
      }
    }
    cut = keys.length > statesMax || (firstOnly && findings.size > 0)
  }

  const stuck = cut ? [] : stuckStates()

  /** Those from which no sure moves lead to a settled state; each kind of reason is reported by its state nearest to the start. */
  function stuckStates(): readonly number[] {
    const into = sourcesOf(keys.length, sureFrom, sureTo)
    const isSeenTo = new Uint8Array(keys.length)
    spread(isSeenTo, settled, into)
    const all = keys.flatMap((_, number) => (isSeenTo[number] === 1 ? [] : [number]))
    const open = new Map(all.map((number) => [number, model.open(model.state(keys[number]!))]))
    // A stuck state is blamed for what stays open in the best state it can still come to.
    const nearest = new Map<string, number>()
    for (const best of [...all].sort((one, other) => open.get(one)!.length - open.get(other)!.length || other - one)) {
      if (isSeenTo[best] === 1) continue
      const what = open.get(best)!.join('; ')
      nearest.set(what, spread(isSeenTo, [best], into).reduce((one, other) => Math.min(one, other), nearest.get(what) ?? Infinity))
    }
    for (const [what, number] of nearest) findings.set(what, { what: `${what} -- for ever`, trace: traceTo(number) })
    return all
  }

  return {
    states: keys.length, moves, settled: settled.length, deepest: traceTo(keys.length - 1), bad, stuck: stuck.length, findings: [...findings.values()], cut,
  }
}

type Sources = (state: number) => Int32Array

/** Where the moves into a state come from. */
function sourcesOf(states: number, from: Integers, to: Integers): Sources {
  // The moves sorted by where they lead: those into state n are sources[first[n]] .. sources[first[n + 1] - 1].
  const first = new Int32Array(states + 2)
  for (let at = 0; at < to.length(); at++) first[to.at(at) + 2]!++
  for (let n = 2; n < first.length; n++) first[n]! += first[n - 1]!
  const sources = new Int32Array(to.length())
  for (let at = 0; at < to.length(); at++) sources[first[to.at(at) + 1]!++] = from.at(at)
  return (state) => sources.subarray(first[state], first[state + 1])
}

/** Marks `targets` and every state from which moves lead to one of them; returns those that were not marked before. */
function spread(marked: Uint8Array, targets: readonly number[], into: Sources): readonly number[] {
  const reached: number[] = []
  const mark = (state: number): void => {
    if (marked[state] === 1) return
    marked[state] = 1
    reached.push(state)
  }
  targets.forEach(mark)
  for (let at = 0; at < reached.length; at++) into(reached[at]!).forEach(mark)
  return reached
}

interface Integers {
  push(value: number): void
  at(index: number): number
  length(): number
}

/** A list of whole numbers in four bytes each. */
function createIntegers(): Integers {
  let values = new Int32Array(1024)
  let length = 0
  return {
    push(value) {
      if (length === values.length) {
        const larger = new Int32Array(2 * length)
        larger.set(values)
        values = larger
      }
      values[length++] = value
    },
    at: (index) => values[index]!,
    length: () => length,
  }
}
