/**
 * The payment API as somebody who sees everything sees it: the charges that carry our sale, each with its whole life.
 * A charge's life only grows, so what a late answer shows is an earlier chapter of it.
 */
import type { ChargeSeen } from '../../cloud/charge.js'
import type { RefundSeen } from '../../cloud/reversal.js'
import type { Order } from '../../device/protocol/wire.js'

/** 2026-03-01T12:00:00Z. The model's clocks stand still here; time.ts says what that means. */
export const NOW = Date.parse('2026-03-01T12:00:00Z')

export const TERMINAL = 'T-1'
export const ORDER: Order = {
  sale: '019ca8a5-5e00-7000-8000-000000000001', nonce: '0123456789abcdef0123456789abcdef',
  amountMinor: 2500, currency: 'THB', method: 'alipayplus_mpm',
}
/** What somebody gives back at Omise's dashboard when it is not all of it. */
export const DESK_MINOR = 1000

/** A refund says who made it and how much it was. */
export type Chapter = 'pending' | 'successful' | 'failed' | 'expired' | `refund by ${'us' | 'desk'} of ${number}`

/** Omise may answer with a charge that is not the one that was asked for. */
export type Oddity = 'of another amount' | 'in the other mode'

export interface Charge {
  readonly id: string
  readonly odd: Oddity | null
  readonly life: readonly Chapter[]
  /** Its code was on the panel. */
  readonly shown: boolean
  /** ... while it could be paid: a wallet may have begun, and may end after the charge expired. */
  readonly begun: boolean
}

export const newCharge = (id: string, odd: Oddity | null = null): Charge => ({ id, odd, life: ['pending'], shown: false, begun: false })

export const amountOf = ({ odd }: Pick<Charge, 'odd'>): number => (odd === 'of another amount' ? 9900 : ORDER.amountMinor)

/** What is in a charge's code. */
export const codeOf = (charge: string): string => `https://qr.example/${charge}`

export const grown = (charge: Charge, chapter: Chapter): Charge => ({ ...charge, life: [...charge.life, chapter] })

export const now = ({ life }: Charge): number => life.length - 1

const isRefund = (chapter: Chapter): boolean => chapter.startsWith('refund')
const minorOf = (chapter: Chapter): number => Number(chapter.split(' of ')[1])

export const statusOf = ({ life }: Charge, chapter = life.length - 1): string =>
  life.slice(0, chapter + 1).findLast((each) => !isRefund(each)) ?? 'pending'

export const isPending = (charge: Charge): boolean => statusOf(charge) === 'pending'
export const tookMoney = ({ life }: Charge): boolean => life.includes('successful')
/** The money came although the charge had been closed. */
export const tookMoneyLate = ({ life }: Charge): boolean => life[1] === 'expired' && life.includes('successful')

export const refundsOf = ({ id, odd, life }: Charge, by: 'us' | 'desk' | 'anybody' = 'anybody'): readonly RefundSeen[] =>
  life.filter(isRefund).map((chapter, at) => ({ chapter, at }))
    .filter(({ chapter }) => by === 'anybody' || chapter.startsWith(`refund by ${by} `))
    .map(({ chapter, at }) => ({
      id: `rfnd_${at + 1}_of_${id}_${minorOf(chapter)}`, amountMinor: minorOf(chapter), voided: minorOf(chapter) === amountOf({ odd }),
    }))

export const refundedMinor = (charge: Charge): number =>
  refundsOf(charge).reduce((sum, { amountMinor }) => sum + amountMinor, 0)

export const leftMinor = (charge: Charge): number => (tookMoney(charge) ? amountOf(charge) - refundedMinor(charge) : 0)

/** The charge as a read shows it that was answered when its life had come to this chapter. */
export function seen(charge: Charge, chapter = now(charge)): ChargeSeen {
  const status = statusOf(charge, chapter)
  const paid = status === 'successful'
  // Expiring writes its time over the one that was set; a payment that comes all the same is dated after it.
  const expiresAt = charge.life.slice(0, chapter + 1).includes('expired') ? NOW - 60_000 : NOW + 120_000
  return {
    id: charge.id, amountMinor: amountOf(charge), currency: ORDER.currency, status, paid, livemode: charge.odd === 'in the other mode',
    expiresAt: new Date(expiresAt).toISOString(), paidAt: paid ? new Date(NOW).toISOString() : undefined,
    failureCode: status === 'failed' ? 'payment_rejected' : undefined, feeMinor: 41, feeVatMinor: 3,
    refundedMinor: refundedMinor({ ...charge, life: charge.life.slice(0, chapter + 1) }),
  }
}
