/** What may be said of money, and what may be done with it: I3 I4 I6 I7, and the lease of I10. */
import type { Charge } from '../../cloud/omise.js'
import type { ChargeRecord } from '../../cloud/sandbox/objects.js'
import { NEEDS_ATTENTION } from '../../device/protocol/wire.js'
import type { ApiWitness } from './payment-api.js'
import type { SaleSeen, Seen } from './seen.js'

export interface MoneyRules extends ApiWitness {
  /** Somebody says that this sale is paid with this charge. */
  calledPaid(sale: SaleSeen, charge: string | null, by: string): void
  calledUnpaid(sale: SaleSeen, charge: string | null, reason: string, by: string): void
  /** A code was seen: from now on its lease counts. */
  leased(charge: string): void
  /** The gateway or the API is away, or the gateway does not know what time it is, until then. */
  trouble(until: number): void
}

/** Several attempts to close a charge may go unanswered. */
const LEASE_MARGIN_MS = 180_000

export function createMoneyRules(seen: Seen): MoneyRules {
  const { engine, api, hold, violate, saleOf, chargeOf, tally } = seen
  /** Charges whose refunds a gateway has looked at since it last asked for one. */
  const looked = new Set<string>()
  let troubleUntil = -Infinity

  /** Nobody may pay a code whose lease is over, however dead its terminal is -- while there is a gateway, and an API for it. */
  function watchLease(charge: string): void {
    if (api().charge(charge)?.state.status !== 'pending') return
    if (engine.now() >= troubleUntil + LEASE_MARGIN_MS) return violate('I10', `${charge} can still be paid, long after its lease`)
    engine.after(LEASE_MARGIN_MS / 2, 'oracle looks at a lease', () => watchLease(charge))
  }

  function created(charge: ChargeRecord): void {
    const sale = saleOf(charge)
    if (sale === undefined) return violate('I1', `${charge.id} was made for a sale that never was`)
    sale.charges.push(charge.id)
    hold('I7', charge.amount === sale.minor && charge.currency === 'THB', () => `${charge.id} is of ${charge.amount}, its sale of ${sale.minor}`)
  }

  return {
    calledPaid(sale, charge, by) {
      const truth = chargeOf(charge)
      if (truth === undefined || !seen.readPaid.has(truth.id)) {
        return violate('I3', `${by} says ${sale.id} is paid with ${charge}, which no gateway has read as paid`)
      }
      hold('I3', truth.state.status === 'successful', () => `${by} says ${sale.id} is paid, and ${truth.id} is ${truth.state.status}`)
      hold('I3', saleOf(truth) === sale, () => `${by} says ${sale.id} is paid with ${truth.id}, a charge of another sale`)
      hold('I7', truth.amount === sale.minor, () => `${by} says ${sale.id} of ${sale.minor} is paid with ${truth.id} of ${truth.amount}`)
    },
    calledUnpaid(sale, charge, reason, by) {
      for (const id of new Set([...sale.shown, ...(charge === null ? [] : [charge])])) {
        const truth = chargeOf(id)
        if (truth === undefined) continue
        hold('I4', truth.state.status !== 'pending', () => `${by} says ${sale.id} is unpaid (${reason}), and its charge ${id} can still be paid`)
        // Money that came after the end goes back: I5. Money that came before it makes the word a lie, unless a person decides.
        const isLate = seen.lateAt.has(id) || truth.refundedAmount > 0 || reason === NEEDS_ATTENTION
        hold('I4', truth.state.status !== 'successful' || isLate, () => `${by} says ${sale.id} is unpaid (${reason}), and its charge ${id} is paid`)
      }
    },
    leased(charge) {
      engine.after(seen.codeLifetimeMs + seen.leaseGraceMs + LEASE_MARGIN_MS, 'oracle looks at a lease', () => watchLease(charge))
    },
    trouble(until) { troubleUntil = Math.max(troubleUntil, until) },

    changed(charge, before) {
      if (before === undefined) return created(charge)
      if (charge.state.status === 'successful' && before.state.status !== 'successful') {
        seen.paidAt.set(charge.id, engine.now())
        const known = seen.states.get(saleOf(charge)?.id ?? '')
        const isOver = before.state.status === 'expired' || known?.phase === 'closed' || known?.phase === 'exception'
        if (isOver) seen.lateAt.set(charge.id, engine.now())
      }
      return hold('I6', charge.refundedAmount <= charge.amount, () => `${charge.id} of ${charge.amount} was refunded ${charge.refundedAmount}`)
    },
    read({ id, paid, status }: Charge) { if (paid && status === 'successful') seen.readPaid.add(id) },
    refundsRead(charge) { looked.add(charge) },
    refundAsked(charge) {
      hold('I6', looked.has(charge), () => `a refund of ${charge} is sent without a look at its refunds`)
      looked.delete(charge)
    },
    refunded({ charge }, by) {
      const truth = chargeOf(charge)
      const sale = saleOf(truth)
      if (by === 'dashboard' || truth === undefined || sale === undefined) return
      const isSold = sale.toldOutcome === 'paid' || sale.panelSaid === 'paid'
      const others = sale.charges.filter((id) => id !== charge && chargeOf(id)?.state.status === 'successful')
      hold('I6', !isSold || others.length > 0, () => `${sale.id} was called paid, and its only payment ${charge} is given back`)
      const since = seen.lateAt.get(charge)
      if (since !== undefined && truth.refundedAmount >= truth.amount) tally.reversals.push(engine.now() - since)
    },
  }
}
