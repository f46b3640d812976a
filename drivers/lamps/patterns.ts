/**
 * The rhythms of the lamps as numbers: what each pattern of driver.ts is on a lamp, in milliseconds. Pure; lights nothing.
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

/** The most flashes that begin within any one second of a rhythm. */
export function flashesPerSecond(rhythm: Rhythm): number {
  if (rhythm.steady !== undefined) return 0
  const periodMs = rhythm.onOffMs.reduce((sum, ms) => sum + ms, 0)
  const starts: number[] = []
  for (let at = 0; at < periodMs + 1_000;) {
    for (const [i, ms] of rhythm.onOffMs.entries()) {
      if (i % 2 === 0) starts.push(at)
      at += ms
    }
  }
  return Math.max(...starts.map((from) => starts.filter((at) => at >= from && at < from + 1_000).length))
}
