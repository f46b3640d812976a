/**
 * A keypad of rows and columns as electricity sees it: a row is low when current finds any way from it to a line that is
 * pulled low, through one closed contact or through several (ghosts), through a short, or to ground. Contacts that bounce
 * are open or closed at random each time somebody looks. Kernels tell of a changed row a moment later, and once for many
 * changes, as epoll does.
 */
import { DriverError } from '../../drivers/driver.js'
import type { Board } from '../../drivers/linux/gpio.js'
import type { FakeClock } from './clock.js'

export interface KeyMatrixOptions {
  /** BCM numbers, as on the board. */
  readonly rows: readonly number[]
  readonly columns: readonly number[]
  readonly clock: FakeClock
  /** This kernel tells of changes; true unless said. */
  readonly edges?: boolean
}

export interface KeyMatrix {
  readonly board: Pick<Board, 'openInput' | 'openOpenDrain'>
  /** The contact bounces for that long, and then it is closed. */
  press(row: number, column: number, bounceMs?: number): void
  release(row: number, column: number, bounceMs?: number): void
  /** A wire between two lines (BCM numbers), or from a line to ground. */
  join(line: number, other: number | 'ground'): void
  cut(line: number, other: number | 'ground'): void
  /** Water on the contacts of a row: no column alone pulls it low, several together do. */
  wet(row: number): void
  /** From now on opening and using that line fails like this; undefined mends it. */
  fail(line: number, message: string | undefined): void
  /** Columns that are pulled low now. */
  readonly pulled: ReadonlySet<number>
  /** Lines that somebody has open. */
  readonly held: ReadonlySet<number>
  /** How often a row was read. */
  readonly reads: () => number
}

type Node = number | 'ground'
type Wire = readonly [Node, Node]

const EDGE_LATENCY_MS = 1

export function createKeyMatrix({ rows, columns, clock, edges = true }: KeyMatrixOptions): KeyMatrix {
  const closed = new Map<string, Wire>()
  const bouncing = new Map<string, Wire>()
  const shorts = new Map<string, Wire>()
  const pulled = new Set<number>()
  const held = new Set<number>()
  const damp = new Set<number>()
  const faults = new Map<number, string>()
  const watchers = new Map<number, () => void>()
  const announced = new Set<number>()
  const levels = new Map<number, 0 | 1>(rows.map((row) => [row, 1]))
  let reads = 0
  let chance = 1

  const flip = (): boolean => {
    chance = (Math.imul(chance, 1_664_525) + 1_013_904_223) >>> 0 // Numerical Recipes, 7.1
    return chance >>> 31 === 1
  }

  function lowLines(wires: readonly Wire[]): ReadonlySet<Node> {
    const low = new Set<Node>(['ground', ...pulled, ...(pulled.size > 1 ? damp : [])])
    for (let before = 0; before !== low.size;) {
      before = low.size
      for (const [a, b] of wires) {
        if (low.has(a)) low.add(b)
        if (low.has(b)) low.add(a)
      }
    }
    return low
  }

  const levelNow = (row: number): 0 | 1 => {
    if (bouncing.size === 0) return levels.get(row)!
    return lowLines([...shorts.values(), ...closed.values(), ...[...bouncing.values()].filter(flip)]).has(row) ? 0 : 1
  }

  /** Whoever watches a row that is not as it was is told, later. */
  function changed(bounced: boolean): void {
    const low = lowLines([...shorts.values(), ...closed.values(), ...(bounced ? bouncing.values() : [])])
    for (const row of rows) {
      const level = low.has(row) ? 0 : 1
      if (levels.get(row) === level) continue
      levels.set(row, level)
      if (!watchers.has(row) || announced.has(row)) continue
      announced.add(row)
      clock.alarm(clock.now() + EDGE_LATENCY_MS, () => {
        announced.delete(row)
        watchers.get(row)?.()
      })
    }
  }

  function move(row: number, column: number, into: 'closed' | 'open', bounceMs: number): void {
    const key = `${row}/${column}`
    const wire = [rows[row]!, columns[column]!] as const
    const land = (): void => {
      bouncing.delete(key)
      if (into === 'closed') closed.set(key, wire)
      else closed.delete(key)
      changed(true)
    }
    closed.delete(key)
    bouncing.delete(key)
    if (bounceMs === 0) return land()
    bouncing.set(key, wire)
    changed(true)
    changed(false)
    // A later move of the same key has put another wire in this one's place.
    clock.alarm(clock.now() + bounceMs, () => { if (bouncing.get(key) === wire) land() })
  }

  function hold(line: number) {
    const use = (): void => {
      const fault = faults.get(line)
      if (fault !== undefined) throw new DriverError('GPIO_FAILED', fault)
      if (!held.has(line)) throw new DriverError('GPIO_FAILED', `GPIO ${line} is closed`)
    }
    if (held.has(line)) throw new DriverError('GPIO_FAILED', `GPIO ${line} is taken`)
    held.add(line)
    try {
      use()
    } catch (error) {
      held.delete(line)
      throw error
    }
    return use
  }

  const drive = (column: number, low: boolean): void => {
    if (pulled.has(column) === low) return
    if (low) pulled.add(column)
    else pulled.delete(column)
    changed(false)
  }

  return {
    board: {
      async openInput(row) {
        const use = hold(row)
        return {
          level() {
            use()
            reads++
            return levelNow(row)
          },
          watch(listener) {
            use()
            if (edges) watchers.set(row, listener)
            return edges
          },
          close() {
            held.delete(row)
            watchers.delete(row)
          },
        }
      },
      async openOpenDrain(column) {
        const use = hold(column)
        return {
          pullLow() {
            use()
            drive(column, true)
          },
          letGo() {
            use()
            drive(column, false)
          },
          close() {
            held.delete(column)
            drive(column, false)
          },
        }
      },
    },
    press: (row, column, bounceMs = 0) => move(row, column, 'closed', bounceMs),
    release: (row, column, bounceMs = 0) => move(row, column, 'open', bounceMs),
    join(line, other) {
      shorts.set(`${line}/${other}`, [line, other])
      changed(false)
    },
    cut(line, other) {
      shorts.delete(`${line}/${other}`)
      changed(false)
    },
    wet(row) {
      damp.add(row)
      changed(false)
    },
    fail(line, message) {
      if (message === undefined) faults.delete(line)
      else faults.set(line, message)
    },
    pulled,
    held,
    reads: () => reads,
  }
}
