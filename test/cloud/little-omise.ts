/**
 * An Omise that a test sees whole: what was made, paid, closed and given back, and what its lists show of that by now.
 * It keeps its own rules -- nothing goes back that did not come in -- and knows nothing of the gateway.
 */
import type { ChargeSeen, Effect, Event } from '../../cloud/charge.js'
import type { RefundSeen } from '../../cloud/reversal.js'
import { charge } from './charge-story.js'

interface Made {
  seen: ChargeSeen
  listedAt: number
  readonly refunds: (RefundSeen & { listedAt: number; readonly by: 'gateway' | 'desk' })[]
}

export interface LittleOmise {
  readonly made: ReadonlyMap<string, Made>
  seen(id: string): ChargeSeen
  /** What the list of charges shows by now. */
  listed(): readonly ChargeSeen[]
  /** Does what it is told, and answers. */
  obey(command: Effect): Event | undefined
  pay(id: string, paidAt: string): void
  fail(id: string, failureCode: string): void
  expire(id: string): void
  /** Somebody gives money back at the dashboard; nothing happens when nothing is left. */
  refundAtTheDesk(id: string, amountMinor: number): void
  /** The next refund it is asked for it refuses, for no reason. */
  refuseOneRefund(): void
  catchUp(): void
}

/** Lists are behind by no more than this. */
const LAG_MS = 20_000

export function littleOmise(now: () => number): LittleOmise {
  const made = new Map<string, Made>()
  let refunds = 0
  let refusals = 0

  function madeAs(id: string): Made {
    const found = made.get(id)
    if (found === undefined) throw new Error(`the gateway invented a charge: ${id}`)
    return found
  }

  function change(id: string, changed: Partial<ChargeSeen>): ChargeSeen {
    const found = madeAs(id)
    return found.seen = { ...found.seen, ...changed }
  }

  const listed = (): readonly ChargeSeen[] => [...made.values()].filter(({ listedAt }) => listedAt <= now()).map(({ seen }) => seen)

  /** Undefined when it is more than is left. */
  function giveBack(id: string, amountMinor: number, by: 'gateway' | 'desk'): RefundSeen | undefined {
    const { seen, refunds: earlier } = madeAs(id)
    if (!seen.paid || amountMinor < 1 || amountMinor > seen.amountMinor - seen.refundedMinor) return undefined
    const refund = { id: `r${++refunds}`, amountMinor, voided: amountMinor === seen.amountMinor }
    earlier.push({ ...refund, listedAt: now() + LAG_MS, by })
    change(id, { refundedMinor: seen.refundedMinor + amountMinor })
    return refund
  }

  function obey(command: Effect): Event | undefined {
    switch (command.do) {
      case 'create charge': {
        const id = `c${made.size + 1}`
        made.set(id, { seen: charge(id, { expiresAt: new Date(command.expiresAt).toISOString() }), listedAt: now() + LAG_MS, refunds: [] })
        return { type: 'charge created', charge: madeAs(id).seen }
      }
      case 'find charges':
        return { type: 'charges found', charges: [...made.values()].filter(({ seen, listedAt }) => listedAt <= now() || seen.id === command.showing).map(({ seen }) => seen) }
      case 'read code':
        return { type: 'code read', payload: `https://qr.example/${command.charge}` }
      case 'read charge':
        return { type: 'charge read', charge: madeAs(command.charge).seen }
      case 'expire charge':
        return madeAs(command.charge).seen.status === 'pending'
          ? { type: 'charge read', charge: change(command.charge, { status: 'expired' }) } : { type: 'expire refused' }
      case 'expire orphan': {
        const { seen } = madeAs(command.charge)
        if (seen.status === 'pending') change(command.charge, { status: 'expired' })
        return seen.paid ? { type: 'charge read', charge: seen } : undefined
      }
      case 'list refunds':
        return {
          type: 'refunds listed', charge: command.charge,
          refunds: madeAs(command.charge).refunds.filter(({ listedAt }) => listedAt <= now()).map(({ id, amountMinor, voided }) => ({ id, amountMinor, voided })),
        }
      case 'refund charge': {
        const refund = refusals > 0 ? undefined : giveBack(command.charge, command.amountMinor, 'gateway')
        refusals = Math.max(0, refusals - 1)
        return refund === undefined
          ? { type: 'refund refused', charge: command.charge, code: 'failed_refund' } : { type: 'refund made', charge: command.charge, refund }
      }
    }
  }

  return {
    made, obey, listed,
    seen: (id) => madeAs(id).seen,
    pay: (id, paidAt) => { change(id, { status: 'successful', paid: true, paidAt }) },
    fail: (id, failureCode) => { change(id, { status: 'failed', failureCode }) },
    expire: (id) => { change(id, { status: 'expired' }) },
    refundAtTheDesk: (id, amountMinor) => { giveBack(id, amountMinor, 'desk') },
    refuseOneRefund: () => { refusals++ },
    catchUp: () => {
      for (const one of made.values()) {
        one.listedAt = 0
        for (const refund of one.refunds) refund.listedAt = 0
      }
    },
  }
}

/** What the gateway believes when the answer to a command does not come. */
export function unanswered(command: Effect): Event | undefined {
  switch (command.do) {
    case 'create charge': return { type: 'create unanswered' }
    case 'find charges':  return { type: 'find unanswered' }
    case 'read code':     return { type: 'code unanswered' }
    case 'read charge':
    case 'expire charge': return { type: 'charge unanswered' }
    case 'expire orphan': return undefined
    case 'list refunds':  return { type: 'refunds unanswered', charge: command.charge }
    case 'refund charge': return { type: 'refund unanswered', charge: command.charge }
  }
}
