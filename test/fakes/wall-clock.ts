/** The gateway's clock, standing still until it is told to go, or to jump. */
import type { Clock } from '../../cloud/clock.js'

export interface FakeWallClock extends Clock {
  /** Goes on to this moment, ringing what is due on the way. */
  goTo(at: number): void
  /** As when somebody corrects the clock of the machine: nothing rings. */
  jumpTo(at: number): void
  /** The next alarm rings now, as when the clock was set back while a timer ran. */
  ring(): void
  /** When the next alarm rings, or undefined when none is set. */
  next(): number | undefined
}

export function fakeWallClock(start: number): FakeWallClock {
  let now = start
  const alarms = new Map<symbol, { readonly at: number; readonly ring: () => void }>()
  const earliest = (): readonly [symbol, { readonly at: number; readonly ring: () => void }] | undefined =>
    [...alarms].sort(([, a], [, b]) => a.at - b.at)[0]

  return {
    now: () => now,
    alarm(at, ring) {
      const key = Symbol('alarm')
      alarms.set(key, { at, ring })
      return () => { alarms.delete(key) }
    },
    goTo(at) {
      for (let due = earliest(); due !== undefined && due[1].at <= at; due = earliest()) {
        alarms.delete(due[0])
        now = Math.max(now, due[1].at)
        due[1].ring()
      }
      now = Math.max(now, at)
    },
    jumpTo(at) { now = at },
    ring() {
      const due = earliest()
      if (due === undefined) return
      alarms.delete(due[0])
      due[1].ring()
    },
    next: () => earliest()?.[1].at,
  }
}
