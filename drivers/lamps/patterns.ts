/**
 * The patterns of driver.ts as numbers: what each of them is on a lamp, in milliseconds, brightness and sound. Pure; lights
 * nothing. Every shape keeps the same rhythm, so that a pattern is known by one light alone and without its colour; colour
 * and place only add to it.
 *
 *   working      ####....####....     not paid        ##..##..............
 *   waiting      ######..######..     out of service  ##..##..##..............
 *   checking     ##..##..##..##..     offline         ########........########........
 *
 * EN 301 549, 9.2.3.1 (three flashes or below threshold): never above 3 flashes in any second.
 */
import type { LampPattern } from '../driver.js'

/** On, off, on, off ... and again from the start; steady lamps have no rhythm. */
export type Rhythm =
  | { readonly steady: 'off' | 'dim' | 'on' }
  | { readonly steady?: undefined; readonly onOffMs: readonly number[] }

export const RHYTHMS: Readonly<Record<LampPattern, Rhythm>> = {
  'off': { steady: 'off' },
  'ready': { steady: 'dim' },
  'working': { onOffMs: [500, 500] },
  'waiting': { onOffMs: [800, 200] },
  'checking': { onOffMs: [250, 250] },
  'paid': { steady: 'on' },
  'not paid': { onOffMs: [200, 200, 200, 1_400] },
  'offline': { onOffMs: [1_000, 1_000] },
  'out of service': { onOffMs: [200, 200, 200, 200, 200, 1_400] },
}

/** 'dim' on a light that is only on or off: steady it would say 'paid', and off nobody could tell the box from a dead one. */
const DIM_WITHOUT_DIMMER: Rhythm = { onOffMs: [100, 3_900] }

const BRIGHTNESSES = { off: 0, dim: 0.1, on: 1 } as const

export const FLASHES_MAX = 3
export const FLASHES_WITHIN_MS = 1_000

/** Sound and silence, once, when the pattern begins: only what ends a sale, or stops the box, is worth a sound. */
export const SOUNDS: Readonly<Record<LampPattern, readonly number[]>> = {
  'off': [],
  'ready': [],
  'working': [],
  'waiting': [],
  'checking': [],
  'paid': [700],
  'not paid': [150, 150, 150],
  'offline': [],
  'out of service': [150, 150, 150, 150, 150],
}

export interface LampForm {
  /** single: one light. rgb: red, green and blue in one place. ring: lights side by side, in the order they stand. */
  readonly shape: 'single' | 'rgb' | 'ring'
  /** 1, 3, 2..16 */
  readonly lights: number
  /** Whether all of them can be less than fully on. */
  readonly dimmable: boolean
}

/** Brightnesses (0..1) of all the lights, and how long they last; Infinity for ever. */
export interface Step {
  readonly brightnesses: readonly number[]
  readonly ms: number
}

/** What a pattern is on such lamps: these steps, and again from the first. */
export function stepsOf(pattern: LampPattern, form: LampForm): readonly Step[] {
  const known = RHYTHMS[pattern]
  const rhythm = known.steady === 'dim' && !form.dimmable ? DIM_WITHOUT_DIMMER : known
  if (rhythm.steady !== undefined) {
    const share = BRIGHTNESSES[rhythm.steady]
    return [{ brightnesses: pictureOf(pattern, 0, form).map((brightness) => brightness * share), ms: Infinity }]
  }
  const dark = Array<number>(form.lights).fill(0)
  const flashes = rhythm.onOffMs.length / 2
  return Array.from({ length: roundsOf(pattern, form) }).flatMap((_, round) => rhythm.onOffMs.map((ms, at) => ({
    brightnesses: at % 2 === 0 ? pictureOf(pattern, round * flashes + at / 2, form) : dark, ms,
  })))
}

/** Colours of red, green and blue. No pattern is known by its colour alone. */
const COLOURS: Readonly<Record<LampPattern, readonly [red: number, green: number, blue: number]>> = {
  'off': [0, 0, 0],
  'ready': [1, 1, 1],
  'working': [1, 1, 1],
  'waiting': [1, 1, 1],
  'checking': [0, 0, 1],
  'paid': [0, 1, 0],
  'not paid': [1, 0, 0],
  'offline': [1, 1, 0],
  'out of service': [1, 0, 0],
}

/** Which lights of a ring a flash lights: all of them, the next one of them, or the other half of them. */
const PLACES: Readonly<Record<LampPattern, 'all' | 'round' | 'halves'>> = {
  'off': 'all',
  'ready': 'all',
  'working': 'all',
  'waiting': 'all',
  'checking': 'round',
  'paid': 'all',
  'not paid': 'halves',
  'offline': 'all',
  'out of service': 'all',
}

/** What the flash of that number looks like. */
function pictureOf(pattern: LampPattern, flash: number, { shape, lights }: LampForm): readonly number[] {
  switch (shape) {
    case 'single': return [1]
    case 'rgb': return COLOURS[pattern]
    case 'ring': return Array.from({ length: lights }, (_, at) => (isInPlace(PLACES[pattern], flash, at, lights) ? 1 : 0))
  }
}

function isInPlace(places: 'all' | 'round' | 'halves', flash: number, at: number, lights: number): boolean {
  switch (places) {
    case 'all': return true
    case 'round': return at === flash % lights
    case 'halves': return (at < lights / 2) === (flash % 2 === 0)
  }
}

/** How often the rhythm is played until its pictures begin anew. */
const roundsOf = (pattern: LampPattern, { shape, lights }: LampForm): number =>
  shape === 'ring' && PLACES[pattern] === 'round' ? lights : 1

/** What lasts at a moment, and until when (Infinity: for ever); always later than that moment. */
export interface Moment<What> {
  readonly what: What
  readonly until: number
}

/** Counted from the start of the pattern and from nothing else: whoever looks late sees what belongs to that moment. */
export function stepAt(steps: readonly Step[], startedAt: number, at: number): Moment<readonly number[]> {
  const roundMs = steps.reduce((sum, { ms }) => sum + ms, 0)
  if (roundMs === 0 || roundMs === Infinity) return { what: steps[0]?.brightnesses ?? [], until: Infinity }
  let until = startedAt + Math.floor((at - startedAt) / roundMs) * roundMs
  for (;;) { // The second time only where a division of fractions ended one round too early.
    for (const { brightnesses, ms } of steps) {
      until += ms
      if (at < until) return { what: brightnesses, until }
    }
  }
}

/** A sound is played once. */
export function soundAt(onOffMs: readonly number[], startedAt: number, at: number): Moment<boolean> {
  let until = startedAt
  for (const [index, ms] of onOffMs.entries()) {
    until += ms
    if (at < until) return { what: index % 2 === 0, until }
  }
  return { what: false, until: Infinity }
}

/** Whether any light becomes brighter: that is where a flash begins. */
export const isFlash = (before: readonly number[], after: readonly number[]): boolean =>
  after.some((brightness, at) => brightness > (before[at] ?? 0))

/** The most flashes that begin within any one second, wherever they are: two lights in turn are two flashes. */
export function flashesPerSecond(steps: readonly Step[]): number {
  const roundMs = steps.reduce((sum, { ms }) => sum + ms, 0)
  if (!(roundMs > 0 && roundMs < Infinity)) return 0
  const starts: number[] = []
  let before = steps.at(-1)?.brightnesses ?? []
  for (let at = 0; at < roundMs + FLASHES_WITHIN_MS;) {
    for (const { brightnesses, ms } of steps) {
      if (isFlash(before, brightnesses)) starts.push(at)
      before = brightnesses
      at += ms
    }
  }
  return Math.max(0, ...starts.map((from) => starts.filter((at) => at >= from && at < from + FLASHES_WITHIN_MS).length))
}
