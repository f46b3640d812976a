/** What a check is, and what all of them need. */
import { setTimeout as pause } from 'node:timers/promises'
import { pino, type Logger } from 'pino'
import type { Input, PartReport } from '../../../drivers/driver.js'
import type { Outside } from '../outside.js'
import type { SimulatedBoard } from './board.js'

export interface Bench {
  readonly board: SimulatedBoard
  readonly outside: Outside
  /** Printed by the host; no check depends on it. */
  measure(text: string): void
}

/** Rejects when what its name says is not so. */
export interface Check {
  readonly name: string
  /** A check of drivers fails on a machine without hardware; one of the whole daemon is not tried there. */
  readonly of: 'driver' | 'daemon'
  run(bench: Bench): Promise<void>
}

export const driverCheck = (name: string, run: Check['run']): Check => ({ name, of: 'driver', run })
export const daemonCheck = (name: string, run: Check['run']): Check => ({ name, of: 'daemon', run })

export const LOG: Logger = pino({ level: 'silent' })
export const now = (): number => performance.now()
export const alarm = (at: number, ring: () => void): (() => void) => {
  const timer = setTimeout(ring, Math.max(0, at - now()))
  return () => { clearTimeout(timer) }
}

/** Long on a machine that has all it needs, short on one where nothing will come. */
const PATIENCE_MS = Number(process.env['RIG_PATIENCE_MS'] ?? 60_000)

/** Looks until it is so; says what was there instead. */
export async function eventually<T>(what: string, look: () => T | Promise<T>, isSo: (seen: T) => boolean): Promise<T> {
  for (const by = now() + PATIENCE_MS; ;) {
    const seen = await look()
    if (isSo(seen)) return seen
    if (now() > by) throw new Error(`${what}: not in ${PATIENCE_MS} ms, but ${JSON.stringify(seen)}`)
    await pause(50)
  }
}

/** What a driver delivers and reports, for looking at. */
export function listener() {
  const inputs: Input[] = []
  const reports: (string | undefined)[] = []
  const report: PartReport = (fault) => { reports.push(fault) }
  return {
    inputs,
    reports,
    report,
    deliver: (input: Input): void => { inputs.push(input) },
    /** Digits as typed, other keys by their first letters: '250E'. */
    typed: (): string => inputs.map((input) => (input.type === 'digit pressed' ? input.digit : input.type.charAt(0).toUpperCase())).join(''),
  }
}
