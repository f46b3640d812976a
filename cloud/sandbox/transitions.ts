/**
 * A charge's life at Omise: pending -> successful | failed | expired, and money going back. Pure.
 * Rules: Order Code Payment page; omise-api.md, sections 3, 4 and 7.
 */
import type { ChargeRecord, Metadata, Moment, RefundRecord } from './objects.js'
import { type Answer, refuse } from './refusals.js'
import type { Switches } from './switches.js'

export const OUTCOMES = ['paid', 'payment_rejected', 'insufficient_fund', 'failed_processing'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** Fewer than 15 (refunds API page). */
export const REFUNDS_MAX = 14
const DAY_MS = 86_400_000
const REFUND_DAYS = 365

/** The bank's word on a payment. Undefined when this charge can no longer be paid. */
export function settle(
  charge: ChargeRecord, failureCode: string | null, given: { readonly now: Moment; readonly transaction: string }, rules: Switches,
): ChargeRecord | undefined {
  const { status } = charge.state
  const late = status === 'expired' && failureCode === null && rules.payAfterExpire === 'succeeds'
  if (status !== 'pending' && !late) return undefined
  return failureCode === null
    ? { ...charge, state: { status: 'successful', paidAt: given.now, transaction: given.transaction } }
    : { ...charge, state: { status: 'failed', failureCode } }
}

/** POST expire: expires_at becomes now as well (recorded). */
export function expire(charge: ChargeRecord, now: Moment, rules: Switches): Answer<ChargeRecord> {
  if (charge.state.status !== 'pending') return refuse(400, 'failed_expire', rules.failedExpireMessage)
  return { ok: { ...charge, expiresAt: now, state: { status: 'expired', expiredAt: now } } }
}

/** The charge's own time is up. */
export const lapse = (charge: ChargeRecord, rules: Switches): ChargeRecord => ({
  ...charge,
  state: rules.expiryEndsAs === 'expired'
    ? { status: 'expired', expiredAt: charge.expiresAt }
    : { status: 'failed', failureCode: 'payment_expired' },
})

export interface RefundRequest {
  readonly amount: number
  readonly metadata: Metadata
  /** Only as a void, or not at all. */
  readonly voidOnly: boolean
}

export interface Refunded {
  readonly charge: ChargeRecord
  readonly refund: RefundRecord
}

export function refund(
  charge: ChargeRecord, earlier: number, request: RefundRequest,
  given: { readonly now: Moment; readonly id: string; readonly transaction: string }, rules: Switches,
): Answer<Refunded> {
  const failed = (message: string) => refuse(400, 'failed_refund', message)
  const { state } = charge
  if (state.status !== 'successful') return failed('charge was not paid')
  if (!charge.refundable) return failed('charge cannot be refunded')
  if (charge.refundedAmount >= charge.amount) return failed('charge was already fully refunded')
  if (request.amount < 1) return failed('amount must be greater than 0')
  if (request.amount > charge.amount - charge.refundedAmount) {
    return failed('amount is greater than the remaining refundable amount')
  }
  if (earlier >= REFUNDS_MAX) return failed('charge has too many refunds')
  if (given.now > state.paidAt + REFUND_DAYS * DAY_MS) return failed('charge is too old to be refunded')

  // "If the charge is fully refunded prior to its settlement, the refund is processed as a void" (refunds API page).
  const voided = request.amount === charge.amount && given.now < voidCutoff(state.paidAt, rules)
  if (request.voidOnly && !voided) return refuse(400, rules.lateVoidCode, 'charge cannot be voided')
  const { now: createdAt, id, transaction } = given
  const { amount, metadata } = request
  return {
    ok: {
      charge: { ...charge, refundedAmount: charge.refundedAmount + amount, voided },
      refund: { id, charge: charge.id, amount, currency: charge.currency, metadata, voided, transaction, createdAt },
    },
  }
}

/** "16:15 UTC of the transaction date": the end of the day in Beijing, where the date is counted, and 15 minutes. */
export function voidCutoff(paidAt: Moment, rules: Switches): Moment {
  const offsetMs = rules.voidDayUtcOffsetHours * 3_600_000
  const day = Math.floor((paidAt + offsetMs) / DAY_MS)
  return (day + 1) * DAY_MS - offsetMs + rules.voidGraceMinutes * 60_000
}
