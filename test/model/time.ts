/**
 * Time in the model. Both clocks stand still at NOW. After each step every deadline in a state is put to FAR, so that
 * states which differ only in when something is due are one state; a deadline fires by being put to NOW first. Any
 * deadline that is set may fire next, in any order, or late: more than real clocks do, and never less.
 *
 * Counters that only choose how long to wait, or how often to try, are projected the same way. Each has its reason here.
 */
import type * as charge from '../../cloud/charge.js'
import { REFUSALS_MAX, type Reversal } from '../../cloud/reversal.js'
import type * as sale from '../../device/sale.js'
import { NOW } from './omise.js'

const FAR = NOW + 3_600_000

// -- The terminal -----------------------------------------------------------------------------------------------------

export type SaleDeadline = 'retryAt' | 'giveUpAt' | 'askAt' | 'endsAt' | 'clearAt'

export function timelessSale(state: sale.State): sale.State {
  switch (state.phase) {
    case 'idle':       return { phase: 'idle', digits: '' } // A notice is for the eye only.
    case 'opening':    return { ...state, retryAt: FAR, giveUpAt: FAR }
    // `asks` only names the question; a new question is never answered with an old answer.
    case 'presenting': return { ...state, asks: 0, askAt: FAR, endsAt: FAR }
    case 'resolving':  return { ...state, tries: 1, retryAt: FAR } // `tries` only chooses the pause.
    case 'delivering': return { ...state, endsAt: FAR }
    case 'settled':    return { ...state, clearAt: FAR }
  }
}

/** The state with one of its deadlines due, for each of them. */
export function dueSales(state: sale.State): readonly (readonly [SaleDeadline, sale.State])[] {
  switch (state.phase) {
    case 'idle':       return []
    case 'opening':    return [['retryAt', { ...state, retryAt: NOW }], ['giveUpAt', { ...state, giveUpAt: NOW }]]
    case 'presenting': return [['askAt', { ...state, askAt: NOW }], ['endsAt', { ...state, endsAt: NOW }]]
    case 'resolving':  return [['retryAt', { ...state, retryAt: NOW }]]
    case 'delivering': return [['endsAt', { ...state, endsAt: NOW }]]
    case 'settled':    return [['clearAt', { ...state, clearAt: NOW }]]
  }
}

// -- The gateway ------------------------------------------------------------------------------------------------------

export function timelessCharge(state: charge.State): charge.State {
  if (state.phase === 'none') return state
  const reversals = state.reversals.map(timelessReversal)
  switch (state.phase) {
    case 'intent':
      return {
        ...state, reversals, since: NOW, retryAt: FAR,
        tries: 0, // Only chooses the pause.
      }
    case 'bound': // `reads` only chooses the pause.
      return { ...state, reversals, codeEndsAt: FAR, leaseEndsAt: FAR, reads: 0, readAt: FAR }
    case 'paid':
      return { ...state, reversals, ...(state.refundsAt === undefined ? {} : { refundsAt: FAR }) }
    case 'closed':
    case 'exception':
      return { ...state, reversals }
  }
}

/** `tries` chooses the pause, and when a person is told; the last of many refusals is a move of its own. */
function timelessReversal(reversal: Reversal): Reversal {
  switch (reversal.phase) {
    case 'listing':
    case 'refunding': return { ...reversal, since: NOW, refusals: 0, tries: 0, at: FAR }
    case 'reversed':  return { ...reversal, since: NOW, refusals: 0, reversedAt: NOW }
    case 'stuck':     return { ...reversal, since: NOW, refusals: 0 }
  }
}

/** The state with one of its deadlines due, for each of them, under a name that says which. */
export function dueCharges(state: charge.State): readonly (readonly [string, charge.State])[] {
  if (state.phase === 'none') return []
  return [...duePhase(state), ...state.reversals.flatMap((reversal, at): [string, charge.State][] => {
    if (reversal.phase !== 'listing' && reversal.phase !== 'refunding') return []
    return [[`reversal of ${reversal.charge}`, { ...state, reversals: state.reversals.with(at, { ...reversal, at: NOW }) }]]
  })]
}

function duePhase(state: Exclude<charge.State, { phase: 'none' }>): [string, charge.State][] {
  switch (state.phase) {
    case 'intent': return [['retryAt', { ...state, retryAt: NOW }]]
    case 'bound': {
      const read: [string, charge.State] = ['readAt', { ...state, readAt: NOW }]
      return state.closing === undefined ? [read, ['leaseEndsAt', leaseEnded(state)]] : [read]
    }
    case 'paid': return state.refundsAt === undefined ? [] : [['refundsAt', { ...state, refundsAt: NOW }]]
    case 'closed':
    case 'exception':
      return []
  }
}

const leaseEnded = (state: Extract<charge.State, { phase: 'bound' }>): charge.State => ({ ...state, codeEndsAt: NOW, leaseEndsAt: NOW })

/** The same state after its code's end; undefined where that makes no difference. */
export const codeEnded = (state: charge.State): charge.State | undefined =>
  state.phase === 'bound' && state.payload !== undefined && state.closing === undefined ? { ...state, codeEndsAt: NOW } : undefined

/** The same state after so many refused refunds that the next refusal is the last. */
export const refusedOften = (state: charge.State): charge.State => state.phase === 'none' ? state : {
  ...state, reversals: state.reversals.map((each) => ('tries' in each ? { ...each, refusals: REFUSALS_MAX } : each)),
}
