/**
 * The other side of the header: gpio-sim of the kernel, which stands where a Raspberry Pi has its chip. Here inputs are pulled
 * as buttons and sensors pull them, and outputs are seen as a lamp or a relay sees them: by the kernel's own trace.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { eachLine } from '../lines.js'

/** A level that was written to a line, or a direction that it got. */
export interface Edge {
  /** BCM number. */
  readonly pin: number
  readonly what: 0 | 1 | 'in' | 'out'
  /** Milliseconds of the kernel's monotonic clock. */
  readonly at: number
}

export interface SimulatedBoard {
  readonly base: number
  /** As something outside pulls an input. */
  pull(pin: number, level: 0 | 1): void
  /** What lies on a line, whoever drives it. */
  level(pin: number): 0 | 1
  /** From here on; edges of before are not in it. */
  trace(pins: readonly number[]): Trace
}

export interface Trace {
  /** So far. */
  edges(): readonly Edge[]
  /** The levels only, one after the other. */
  levels(pin: number): readonly (0 | 1)[]
  /** Resolves with the first that matches; rejects with what there was instead. */
  until(matches: (edge: Edge) => boolean, withinMs?: number): Promise<Edge>
}

export const LINES = 54
/** Such as an overlay takes. */
export const TAKEN_PIN = 4
const CONFIG = '/sys/kernel/config/gpio-sim'
const TRACING = '/sys/kernel/tracing'
const EDGE_MS = 60_000

/** A small chip comes first, as an expander might: it takes the number that is no header's. */
export function plugInBoard(label: string): SimulatedBoard {
  makeChip('expander', { label: 'pca9555', lines: 16 })
  const { sim } = makeChip('header', { label, lines: LINES, taken: TAKEN_PIN })
  const base = baseOf(label)
  const seen = traceEdges(base)
  const simulated = (pin: number, name: string): string => join(sim, `sim_gpio${pin}`, name)
  return {
    base,
    pull: (pin, level) => { writeFileSync(simulated(pin, 'pull'), level === 1 ? 'pull-up' : 'pull-down') },
    level: (pin) => (readFileSync(simulated(pin, 'value'), 'utf8').trim() === '1' ? 1 : 0),
    trace: (pins) => traceFrom(seen, pins),
  }
}

function makeChip(name: string, { label, lines, taken }: { label: string; lines: number; taken?: number }): { readonly sim: string } {
  const chip = join(CONFIG, name), bank = join(chip, 'bank')
  mkdirSync(chip)
  mkdirSync(bank)
  writeFileSync(join(bank, 'num_lines'), String(lines))
  writeFileSync(join(bank, 'label'), label)
  if (taken !== undefined) {
    mkdirSync(join(bank, `line${taken}`, 'hog'), { recursive: true })
    writeFileSync(join(bank, `line${taken}`, 'hog', 'name'), 'w1')
    writeFileSync(join(bank, `line${taken}`, 'hog', 'direction'), 'input')
  }
  writeFileSync(join(chip, 'live'), '1')
  const read = (path: string): string => readFileSync(path, 'utf8').trim()
  return { sim: join('/sys/devices/platform', read(join(chip, 'dev_name')), read(join(bank, 'chip_name'))) }
}

/** Found by other means than the product's: the number in the name of the chip's folder. */
function baseOf(label: string): number {
  const root = '/sys/class/gpio'
  const folder = readdirSync(root).find((name) => name.startsWith('gpiochip') && readFileSync(join(root, name, 'label'), 'utf8').trim() === label)
  return Number(folder?.slice('gpiochip'.length))
}

interface Seen {
  readonly edges: Edge[]
  readonly waiting: Set<() => void>
}

/** `node-71 [000] ..... 12.345678: gpio_value: 987 set 1` */
const LINE = /\s(\d+\.\d+): gpio_(?:value: (\d+) set ([01])|direction: (\d+)\s+(in|out) \(0\))/

function traceEdges(base: number): Seen {
  const seen: Seen = { edges: [], waiting: new Set() }
  writeFileSync(join(TRACING, 'trace_clock'), 'mono')
  for (const event of ['gpio_value', 'gpio_direction']) writeFileSync(join(TRACING, 'events/gpio', event, 'enable'), '1')
  eachLine(spawn('cat', [join(TRACING, 'trace_pipe')], { stdio: ['ignore', 'pipe', 'inherit'] }).stdout, (line) => {
    const [, seconds, valueLine, level, directionLine, direction] = LINE.exec(line) ?? []
    if (seconds === undefined) return
    const what = level === undefined ? (direction === 'in' ? 'in' : 'out') : level === '1' ? 1 : 0
    seen.edges.push({ pin: Number(valueLine ?? directionLine) - base, what, at: Number(seconds) * 1000 })
    for (const look of seen.waiting) look()
  })
  return seen
}

function traceFrom({ edges, waiting }: Seen, pins: readonly number[]): Trace {
  const start = edges.length
  const mine = (): readonly Edge[] => edges.slice(start).filter(({ pin }) => pins.includes(pin))
  return {
    edges: mine,
    levels: (wanted) => mine().flatMap(({ pin, what }) => (pin === wanted && (what === 0 || what === 1) ? [what] : [])),
    until: (matches, withinMs = EDGE_MS) => new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(late)
        waiting.delete(look)
      }
      const look = (): void => {
        const found = mine().find(matches)
        if (found === undefined) return
        end()
        resolve(found)
      }
      const late = setTimeout(() => {
        end()
        reject(new Error(`not in ${withinMs} ms; only ${JSON.stringify(mine().map(({ pin, what }) => `${pin}: ${what}`))}`))
      }, withinMs)
      waiting.add(look)
      look()
    }),
  }
}

/** What the kernel has done by now has been read by the time this resolves. */
export const traceSettled = (): Promise<void> => pause(150)
