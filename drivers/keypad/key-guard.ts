/**
 * What of the moves of keys is a person's: for USB keypads, matrix keypads and product buttons alike. Pure; time is told.
 *
 *   moves of keys ──> guardMove ──> inputs to deliver
 *                         └──> guardFault, looked at after each move and at guardDeadline
 *
 * A key that stays down is stuck. More presses than fingers can make are no person's, and leave nothing typed. Enter twice
 * in a hurry is one Enter. All else goes through untouched: a key that types 000 sends three zeros within milliseconds.
 */
import type { Input } from '../driver.js'

export type KeyMove =
  /** `key` is what a person calls it; one that means nothing here has no input, but may be stuck all the same. */
  | { readonly move: 'pressed'; readonly key: string; readonly input: Input | undefined }
  | { readonly move: 'released'; readonly key: string }

export interface GuardState {
  /** The keys that are down, and since when. */
  readonly down: ReadonlyMap<string, number>
  /** When the presses of the last second came, oldest first; at most PRESSES_PER_SECOND_MAX of them. */
  readonly recent: readonly number[]
  /** While keys come too fast: when it will have been quiet for long enough. */
  readonly quietAt: number | undefined
  /** When Enter was pressed, if that was the last press. */
  readonly enterAt: number | undefined
}

export interface Guarded {
  readonly state: GuardState
  readonly inputs: readonly Input[]
}

/** Nobody holds a key for so long. */
export const STUCK_MS = 30_000
/** A fast typist makes 10, and a 000 key counts as three. */
export const PRESSES_PER_SECOND_MAX = 40
/** After a flood keys are believed again when none came for so long. */
export const QUIET_MS = 1_000
export const DOUBLE_ENTER_MS = 300

const SECOND_MS = 1_000

/** As of a keypad that was just opened: no key is known to be down. */
export const guardStart: GuardState = { down: new Map(), recent: [], quietAt: undefined, enterAt: undefined }

/** `now` in milliseconds on a clock that never goes backwards. A press of a key that is down already is no press. */
export function guardMove(state: GuardState, move: KeyMove, now: number): Guarded {
  switch (move.move) {
    case 'released':
      return state.down.has(move.key) ? { state: { ...state, down: without(state.down, move.key) }, inputs: [] } : { state, inputs: [] }
    case 'pressed':
      if (state.down.has(move.key)) return { state, inputs: [] }
      return countPress({ ...state, down: new Map(state.down).set(move.key, now) }, move.input, now)
  }
}

function countPress(state: GuardState, input: Input | undefined, now: number): Guarded {
  if (state.quietAt !== undefined && now < state.quietAt) return { state: { ...state, quietAt: now + QUIET_MS }, inputs: [] }
  const recent = [...state.recent.filter((at) => at > now - SECOND_MS), now]
  if (recent.length > PRESSES_PER_SECOND_MAX) {
    return { state: { ...state, recent: [], quietAt: now + QUIET_MS, enterAt: undefined }, inputs: [{ type: 'clear pressed' }] }
  }
  const isEnter = input?.type === 'enter pressed'
  const again = isEnter && state.enterAt !== undefined && now - state.enterAt < DOUBLE_ENTER_MS
  return {
    state: { ...state, recent, quietAt: undefined, enterAt: isEnter ? now : undefined },
    inputs: input === undefined || again ? [] : [input],
  }
}

/** What is wrong with the keys now, in one sentence for a PartReport; undefined when nothing is. */
export function guardFault(state: GuardState, now: number): string | undefined {
  if (state.quietAt !== undefined && now < state.quietAt) {
    return `keys come faster than a person can press them, more than ${PRESSES_PER_SECOND_MAX} a second: ` +
      'look for water, a broken cable or a broken keypad'
  }
  const stuck = [...state.down].filter(([, since]) => now - since >= STUCK_MS).map(([key]) => key)
  if (stuck.length === 0) return undefined
  const names = stuck.length === 1 ? `key ${stuck.join()} is` : `keys ${stuck.join(', ')} are`
  return `${names} stuck, down for more than ${STUCK_MS / 1_000} s: free what holds it down, or replace the keypad`
}

/** When guardFault will next say something else although no key moves; undefined when it will not. Always after `now`. */
export function guardDeadline(state: GuardState, now: number): number | undefined {
  let next = Infinity
  for (const at of [state.quietAt ?? now, ...[...state.down.values()].map((since) => since + STUCK_MS)]) {
    if (at > now) next = Math.min(next, at)
  }
  return next === Infinity ? undefined : next
}

function without(down: ReadonlyMap<string, number>, key: string): ReadonlyMap<string, number> {
  const left = new Map(down)
  left.delete(key)
  return left
}
