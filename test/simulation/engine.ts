/**
 * Virtual time. Events happen in the order of (time, sequence); after each one every promise it resolved has run its
 * course before the next begins. Nothing in here knows a real clock: equal seeds give equal traces, to the last bit.
 *
 * A process that is killed is a Life that ended: its timers are dropped, and what it still holds does nothing any more.
 */
import type { Logger } from 'pino'

/** One run of a process, from its start to its end. */
export interface Life {
  readonly name: string
  alive: boolean
}

export interface Line {
  readonly at: number
  readonly who: string
  readonly what: string
  readonly more: unknown
}

export interface Engine {
  /** Whole milliseconds since the world began. */
  now(): number
  /** Happens unless it is called off, or `life` has ended by then. */
  at(time: number, what: string, run: () => void, life?: Life): () => void
  after(ms: number, what: string, run: () => void, life?: Life): () => void
  /** Into the trace and its hash. */
  note(who: string, what: string, more?: string | number): void
  /** A logger whose lines go into the trace. */
  log(who: string): Logger
  /** Ends the run after the event that is under way. */
  halt(): void
  /** Until this time, or until halted. */
  run(until: number): Promise<void>
  events(): number
  hash(): string
  /** The last lines of the trace, oldest first. */
  lines(): readonly Line[]
}

interface Scheduled {
  readonly time: number
  readonly seq: number
  readonly what: string
  readonly run: () => void
  readonly life: Life | undefined
  off: boolean
}

/** Enough to see what led to a violation. */
const LINES_KEPT = 1_500
const nextTurn = setImmediate // The real one, whatever is done to the globals later.

/** Everything that was already able to go on has gone on when this resolves. */
const drained = (): Promise<void> => new Promise((resolve) => { nextTurn(resolve) })

export function createEngine(broken: (error: unknown) => void, linesKept = LINES_KEPT): Engine {
  const heap = createHeap()
  const lines: Line[] = []
  let now = 0
  let seq = 0
  let count = 0
  let halted = false
  let high = 0x811c9dc5
  let low = 0x01000193

  const mix = (value: number): void => {
    high = Math.imul(high ^ value, 0x01000193)
    low = Math.imul(low ^ (high >>> 7), 0x85ebca6b) + value | 0
  }
  const mixText = (text: string): void => {
    for (let i = 0; i < text.length; i++) mix(text.charCodeAt(i))
  }
  const keep = (line: Line): void => {
    if (lines.length >= 2 * linesKept) lines.splice(0, linesKept)
    lines.push(line)
  }

  const at: Engine['at'] = (time, what, run, life) => {
    const scheduled: Scheduled = { time: Math.max(now, Math.round(time)), seq: ++seq, what, run, life, off: false }
    heap.push(scheduled)
    return () => { scheduled.off = true }
  }

  const note: Engine['note'] = (who, what, more) => {
    mixText(who)
    mixText(what)
    if (typeof more === 'string') mixText(more)
    if (typeof more === 'number') mix(more)
    keep({ at: now, who, what, more })
  }

  return {
    now: () => now,
    at,
    after: (ms, what, run, life) => at(now + Math.max(0, ms), what, run, life),
    note,
    log(who) {
      const say = (level: string) => (more: unknown, text?: string): void => {
        mixText(text ?? '')
        keep({ at: now, who, what: `${level} ${text ?? ''}`, more })
      }
      const silent = (): void => undefined
      // What the product uses of a logger, and nothing else of it.
      return {
        fatal: say('fatal'), error: say('error'), warn: say('warn'), info: say('info'), debug: silent, trace: silent, level: 'info',
      } as unknown as Logger
    },
    halt: () => { halted = true },
    async run(until) {
      while (!halted) {
        const next = heap.peek()
        if (next === undefined || next.time > until) break
        heap.pop()
        if (next.off || next.life?.alive === false) continue
        now = next.time
        count++
        mix(now)
        mixText(next.what)
        try {
          next.run()
        } catch (error) {
          broken(error)
        }
        await drained()
      }
      if (!halted) now = Math.max(now, until)
    },
    events: () => count,
    hash: () => (high >>> 0).toString(16).padStart(8, '0') + (low >>> 0).toString(16).padStart(8, '0'),
    lines: () => lines.slice(-linesKept),
  }
}

interface Heap {
  push(scheduled: Scheduled): void
  peek(): Scheduled | undefined
  pop(): void
}

/** A binary heap by (time, seq). */
function createHeap(): Heap {
  const items: Scheduled[] = []
  const before = (a: Scheduled, b: Scheduled): boolean => a.time < b.time || (a.time === b.time && a.seq < b.seq)

  function sink(item: Scheduled): void {
    let place = 0
    for (let child = 1; child < items.length; child = 2 * place + 1) {
      const right = items[child + 1]
      if (right !== undefined && before(right, items[child]!)) child++
      const smaller = items[child]!
      if (!before(smaller, item)) break
      items[place] = smaller
      place = child
    }
    items[place] = item
  }

  return {
    push(item) {
      let place = items.length
      items.push(item)
      while (place > 0) {
        const parent = (place - 1) >> 1
        const above = items[parent]!
        if (!before(item, above)) break
        items[place] = above
        place = parent
      }
      items[place] = item
    },
    peek: () => items[0],
    pop() {
      const last = items.pop()
      if (last !== undefined && items.length > 0) sink(last)
    },
  }
}
