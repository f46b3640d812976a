/**
 * A violation made small: which of the faults that struck are needed for it, found by leaving others out (ddmin), and
 * which terminals. What is left is written down as a story that is replayed for ever; it does not depend on how the faults
 * were once drawn.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Decision, ProfileName } from './faults.js'
import type { Invariant } from './seen.js'
import { type Outcome, runWorld, type Shape, type WorldOptions } from './world.js'

export interface Regression {
  /** What went wrong, as the oracle said it. */
  readonly invariant: Invariant
  readonly what: string
  /** Where it was found. */
  readonly profile: ProfileName
  readonly shape: Shape
  readonly decisions: readonly Decision[]
}

const RUNS_MAX = 200
const MARGIN_MS = 60_000

/** Undefined when the world is in order, or does not show it again from its decisions alone. */
export async function minimise(profile: ProfileName, world: WorldOptions): Promise<Regression | undefined> {
  const first = await runWorld(world)
  if (first.violation === undefined) return undefined
  const { invariant } = first.violation
  let runs = 0
  let last: Outcome = first

  const shows = async (shape: Shape, decisions: readonly Decision[]): Promise<boolean> => {
    if (runs >= RUNS_MAX) return false
    runs++
    const outcome = await runWorld({ ...world, shape, source: { kind: 'given', decisions } })
    const is = outcome.violation?.invariant === invariant
    if (is) last = outcome
    return is
  }

  let { shape } = world
  let { decisions } = first
  if (!await shows(shape, decisions)) return undefined
  shape = await closedEarlier(shape, decisions, first, shows)
  shape = await withFewerBoxes(shape, decisions, shows)
  decisions = await fewest(decisions, (some) => shows(shape, some))
  return { invariant, what: last.violation?.what ?? first.violation.what, profile, shape, decisions }
}

type Shows = (shape: Shape, decisions: readonly Decision[]) => Promise<boolean>

/** The shop closes soon after the violation; or, when only the audit found it, as early as it still does. */
async function closedEarlier(shape: Shape, decisions: readonly Decision[], first: Outcome, shows: Shows): Promise<Shape> {
  const at = first.violation?.at ?? shape.openMs
  let best = shape
  let low = 0
  let high = Math.min(shape.openMs, at + MARGIN_MS)
  for (let tries = 0; tries < 8; tries++) {
    const openMs = tries === 0 ? high : Math.round((low + high) / 2)
    const shorter = { ...shape, openMs }
    if (await shows(shorter, decisions)) {
      best = shorter
      high = openMs
    } else low = openMs
  }
  return best
}

async function withFewerBoxes(shape: Shape, decisions: readonly Decision[], shows: Shows): Promise<Shape> {
  let left = shape
  for (const box of shape.boxes) {
    const boxes = left.boxes.filter((it) => it !== box)
    if (boxes.length > 0 && await shows({ ...left, boxes }, decisions)) left = { ...left, boxes }
  }
  return left
}

/** Delta debugging (Zeller and Hildebrandt, 2002): ever smaller parts are left out while the rest still shows it. */
async function fewest(decisions: readonly Decision[], shows: (some: readonly Decision[]) => Promise<boolean>): Promise<readonly Decision[]> {
  let left = decisions
  for (let parts = 2; left.length > 0;) {
    const size = Math.ceil(left.length / parts)
    let smaller: readonly Decision[] | undefined
    for (let from = 0; from < left.length && smaller === undefined; from += size) {
      const rest = [...left.slice(0, from), ...left.slice(from + size)]
      if (await shows(rest)) smaller = rest
    }
    if (smaller !== undefined) {
      left = smaller
      parts = Math.max(parts - 1, 2)
    } else if (size === 1) break
    else parts = Math.min(parts * 2, left.length)
  }
  return left
}

// -- On disk --------------------------------------------------------------------------------------------------------

/** The sources, also when this runs compiled, from dist/. */
export const REGRESSIONS = join(import.meta.dirname.replace(/\/dist\/test\/simulation$/, '/test/simulation'), 'regressions')

export function writeRegression(name: string, regression: Regression): string {
  const file = join(REGRESSIONS, `${name}.json`)
  const { decisions, ...rest } = regression
  const lines = decisions.map((decision) => `    ${JSON.stringify(decision)}`).join(',\n')
  const head = JSON.stringify(rest, undefined, 2).replace(/\n}$/, '')
  writeFileSync(file, `${head},\n  "decisions": [\n${lines}\n  ]\n}\n`)
  return file
}

export const regressionNames = (): readonly string[] =>
  readdirSync(REGRESSIONS).filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length)).sort()

export const readRegression = (name: string): Regression =>
  // Only writeRegression writes these.
  JSON.parse(readFileSync(join(REGRESSIONS, `${name}.json`), 'utf8')) as Regression

export const replay = ({ shape, decisions, profile }: Regression, linesKept?: number): Promise<Outcome> => runWorld({
  shape, source: { kind: 'given', decisions }, sunny: profile === 'sunny', ...(linesKept === undefined ? {} : { linesKept }),
})
