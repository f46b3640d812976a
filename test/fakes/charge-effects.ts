/** The commands of charge.ts without an API behind them: a test sees each and answers when it likes. */
import type { Effect, Event } from '../../cloud/charge.js'
import type { ChargeEffects } from '../../cloud/charge-effects.js'

export interface FakeChargeEffects extends ChargeEffects {
  /** Every command so far, answered or not. */
  readonly executed: readonly Effect[]
  /** Answers the oldest command of this kind that waits; throws when there is none. */
  answer(what: Effect['do'], event: Event | undefined): void
  /** Breaks the oldest command of this kind that waits. */
  fail(what: Effect['do'], error: Error): void
  waiting(what: Effect['do']): number
  /** What `reachable` says from now on. */
  cutOff(): void
  /** How often it was asked. */
  looks(): number
}

interface Waiting {
  readonly effect: Effect
  readonly resolve: (event: Event | undefined) => void
  readonly reject: (error: Error) => void
}

export function fakeChargeEffects(note: (what: string) => void = () => undefined): FakeChargeEffects {
  const executed: Effect[] = []
  const waiting: Waiting[] = []
  let reachable = true
  let looks = 0
  const oldest = (what: Effect['do']): Waiting => {
    const at = waiting.findIndex(({ effect }) => effect.do === what)
    const [found] = at < 0 ? [] : waiting.splice(at, 1)
    if (found === undefined) throw new Error(`no ${what} waits; what does: ${waiting.map(({ effect }) => effect.do).join(', ')}`)
    return found
  }
  return {
    executed,
    execute: (effect) => {
      note(effect.do)
      executed.push(effect)
      return new Promise((resolve, reject) => { waiting.push({ effect, resolve, reject }) })
    },
    answer: (what, event) => oldest(what).resolve(event),
    fail: (what, error) => oldest(what).reject(error),
    reachable() {
      looks++
      return Promise.resolve(reachable)
    },
    cutOff: () => { reachable = false },
    looks: () => looks,
    waiting: (what) => waiting.filter(({ effect }) => effect.do === what).length,
  }
}
