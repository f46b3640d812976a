/**
 * Money that must go back: a customer paid a charge whose sale had ended otherwise. Pure; one reversal per charge.
 *
 *   listing -> refunding -> reversed          and when the API will not: stuck, for a person
 *
 * There is no idempotency key for a refund either. So the charge's refunds are listed before one is sent, and again
 * whenever an answer was lost; what is sent is never more than what is left. A full refund before settlement is a void:
 * the same request, and `voided` is read from the answer. The whole amount went back or a person must look, never silence.
 */
import { PAYMENT_METHODS } from '../device/protocol/payment-method.js'
import type { Order } from '../device/protocol/wire.js'
import type { ChargeSeen, EpochMs } from './charge.js'
import { type Entry, latePayment, refunded } from './ledger.js'

export interface RefundSeen {
  readonly id: string
  readonly amountMinor: number
  /** Done before settlement, as a void. */
  readonly voided: boolean
}

interface OfCharge {
  readonly charge: string
  readonly amountMinor: number
  readonly currency: string
  /** In words, for people: why the money cannot stay. */
  readonly why: string
  /** When we saw it first. */
  readonly since: EpochMs
  /** How often the API refused to give it back. */
  readonly refusals: number
}

export type Reversal =
  | OfCharge & { readonly phase: 'listing'; readonly tries: number; readonly at: EpochMs }
  | OfCharge & { readonly phase: 'refunding'; readonly tries: number; readonly at: EpochMs; readonly askedMinor: number }
  | OfCharge & { readonly phase: 'reversed'; readonly voided: boolean; readonly reversedAt: EpochMs }
  /** What went back by other hands so far is in the ledger. */
  | OfCharge & { readonly phase: 'stuck'; readonly reason: string; readonly refundedMinor: number }

export type ReversalEvent =
  | { readonly type: 'refunds listed'; readonly charge: string; readonly refunds: readonly RefundSeen[] }
  | { readonly type: 'refunds unanswered'; readonly charge: string }
  | { readonly type: 'refund made'; readonly charge: string; readonly refund: RefundSeen }
  | { readonly type: 'refund refused'; readonly charge: string; readonly code: string }
  | { readonly type: 'refund unanswered'; readonly charge: string }

export type ReversalEffect =
  | { readonly do: 'list refunds'; readonly charge: string }
  | { readonly do: 'refund charge'; readonly charge: string; readonly sale: string; readonly amountMinor: number }

/** Money that a person must look at. It stays on the exception list until somebody resolves it with a note. */
export interface Concern {
  /** Opened at most once. */
  readonly key: string
  readonly charge: string | null
  readonly amountMinor: number
  readonly currency: string
  readonly reason: string
}

export interface ReversalStep {
  readonly reversal: Reversal
  readonly effects: readonly ReversalEffect[]
  readonly entries: readonly Entry[]
  readonly concerns: readonly Concern[]
}

export const LIST_RETRY_MS = 3_000
export const LIST_RETRY_MS_MAX = 300_000
/** The longest that an answer may take; the client gives up sooner. A list that is asked for again before could answer with the past. */
export const ANSWER_MS = 90_000
/** Further attempts at a refund that was refused although nothing had gone back. */
export const REFUSALS_MAX = 5
/** After so many attempts without an answer a person is told, and the attempts go on. */
export const TRIES_QUIET = 10

/** Money that only a person can decide about: it is in the books, and stays until somebody did. */
export function hold(order: Order, charge: ChargeSeen, why: string, now: EpochMs): ReversalStep {
  const held = stick(ofSeen(charge, why, now), 'held for a person to decide')
  const effects: ReversalEffect[] = charge.refundedMinor > 0 ? [{ do: 'list refunds', charge: charge.id }] : []
  return { ...held, effects, entries: [latePayment(order, charge)] }
}

export function begin(order: Order, charge: ChargeSeen, why: string, now: EpochMs): ReversalStep {
  const of = ofSeen(charge, why, now)
  const entries = [latePayment(order, charge)]
  if (!PAYMENT_METHODS[order.method].refundable) {
    return { ...stick(of, `${PAYMENT_METHODS[order.method].title} cannot be refunded through the payment API`), entries }
  }
  return { ...list(of, 0, now), entries }
}

export function advance(reversal: Reversal, order: Order, event: ReversalEvent, now: EpochMs): ReversalStep {
  if (event.charge !== reversal.charge) return stay(reversal)
  switch (reversal.phase) {
    case 'listing':
    case 'refunding':
      return underWay(reversal, order, event, now)
    case 'reversed':
    case 'stuck': // A person may have refunded it at the dashboard: the books follow.
      return event.type === 'refunds listed' ? tally(reversal, order, event.refunds, now) : stay(reversal)
  }
}

/** When the reversal must be looked at again, if nothing else happens first. */
export function reversalDeadline(reversal: Reversal): EpochMs | undefined {
  switch (reversal.phase) {
    case 'listing':
    case 'refunding':
      return reversal.at
    case 'reversed':
    case 'stuck':
      return undefined
  }
}

/** Its time has come: whatever was asked may or may not have happened, so look before anything is asked again. */
export function overdue(reversal: Reversal, now: EpochMs): ReversalStep {
  const at = reversalDeadline(reversal)
  return at === undefined || now < at ? stay(reversal) : resume(reversal, now)
}

/** After a restart, too. */
export function resume(reversal: Reversal, now: EpochMs): ReversalStep {
  switch (reversal.phase) {
    case 'listing':
    case 'refunding':
      return list(reversal, reversal.tries, now)
    case 'reversed':
    case 'stuck':
      return stay(reversal)
  }
}

function underWay(
  reversal: Extract<Reversal, { phase: 'listing' | 'refunding' }>, order: Order, event: ReversalEvent, now: EpochMs,
): ReversalStep {
  switch (event.type) {
    case 'refunds listed':
      return tally(reversal, order, event.refunds, now)
    case 'refund made':
      // All that was left, so that is all of it; a partial answer is looked at.
      return reversal.phase === 'refunding' && event.refund.amountMinor === reversal.askedMinor
        ? { ...stay(done(reversal, event.refund.voided, now)), entries: [post(reversal, order, event.refund)] }
        : { ...list(reversal, reversal.tries, now), entries: [post(reversal, order, event.refund)] }
    case 'refund refused': {
      const refused = { ...reversal, refusals: reversal.refusals + 1 }
      if (refused.refusals > REFUSALS_MAX) return stick(refused, `the payment API refuses the refund: ${event.code}`)
      return later(refused, reversal.tries + 1, now)
    }
    case 'refund unanswered':
    case 'refunds unanswered':
      return later(reversal, reversal.tries + 1, now)
  }
}

/** What the list of refunds says: all went back, or ask for what is left. */
function tally(reversal: Reversal, order: Order, refunds: readonly RefundSeen[], now: EpochMs): ReversalStep {
  const entries = refunds.map((refund) => post(reversal, order, refund))
  const leftMinor = reversal.amountMinor - refunds.reduce((sum, { amountMinor }) => sum + amountMinor, 0)
  if (leftMinor <= 0) {
    const voided = refunds.every((refund) => refund.voided)
    return { ...stay(reversal.phase === 'reversed' ? reversal : done(reversal, voided, now)), entries }
  }
  if (reversal.phase === 'stuck') return { ...stay({ ...reversal, refundedMinor: reversal.amountMinor - leftMinor }), entries }
  if (reversal.phase !== 'listing') return { ...stay(reversal), entries } // What was asked for is on its way.
  return {
    ...stay({ ...reversal, phase: 'refunding', askedMinor: leftMinor, at: now + ANSWER_MS }),
    effects: [{ do: 'refund charge', charge: reversal.charge, sale: order.sale, amountMinor: leftMinor }],
    entries,
  }
}

const ofSeen = ({ id: charge, amountMinor, currency }: ChargeSeen, why: string, since: EpochMs): OfCharge =>
  ({ charge, amountMinor, currency, why, since, refusals: 0 })

const ofCharge = ({ charge, amountMinor, currency, why, since, refusals }: OfCharge): OfCharge =>
  ({ charge, amountMinor, currency, why, since, refusals })

function list(of: OfCharge, tries: number, now: EpochMs): ReversalStep {
  return {
    ...stay({ ...ofCharge(of), phase: 'listing', tries, at: now + ANSWER_MS }),
    effects: [{ do: 'list refunds', charge: of.charge }],
  }
}

/** The deadline lists again; who has waited long is made known to a person meanwhile. */
function later(of: OfCharge, tries: number, now: EpochMs): ReversalStep {
  const waiting = stay({ ...ofCharge(of), phase: 'listing', tries, at: now + pauseOf(tries) })
  if (tries !== TRIES_QUIET) return waiting
  return { ...waiting, concerns: [concern(of, 'not reversed yet', `${of.why}; not reversed yet, the payment API gives no answer`)] }
}

const pauseOf = (tries: number): number => Math.min(LIST_RETRY_MS * 2 ** Math.min(tries, 10), LIST_RETRY_MS_MAX)

const done = (of: OfCharge, voided: boolean, now: EpochMs): Reversal => ({ ...ofCharge(of), phase: 'reversed', voided, reversedAt: now })

function stick(of: OfCharge, reason: string): ReversalStep {
  return { ...stay({ ...ofCharge(of), phase: 'stuck', reason, refundedMinor: 0 }), concerns: [concern(of, 'not reversed', `${of.why}; ${reason}`)] }
}

const concern = ({ charge, amountMinor, currency }: OfCharge, what: string, reason: string): Concern =>
  ({ key: `${what} ${charge}`, charge, amountMinor, currency, reason })

const post = ({ currency }: OfCharge, order: Order, refund: RefundSeen): Entry => refunded(order, 'late money', currency, refund)

const stay = (reversal: Reversal): ReversalStep => ({ reversal, effects: [], entries: [], concerns: [] })
