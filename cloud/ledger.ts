/**
 * The ledger: double entry in whole minor units. Every entry's lines sum to zero, in one currency. Pure.
 *
 * Accounts: what the payment API owes us (receivable), what a terminal sold (sales:<terminal>), what it cost (fees),
 * and money that came in for a sale that ended otherwise (late), which is the customer's until somebody decides.
 */
import type { Currency } from '../device/protocol/money.js'
import type { Order } from '../device/protocol/wire.js'

export interface Line {
  readonly account: 'receivable' | 'sales' | 'fees' | 'late'
  /** Debits are positive, credits negative. */
  readonly minor: number
}

export interface Entry {
  /** Posted at most once: what happened, and to which charge. */
  readonly key: string
  readonly sale: string
  readonly currency: Currency
  readonly lines: readonly Line[]
}

interface Taken {
  readonly id: string
  readonly amountMinor: number
  readonly feeMinor: number
  readonly feeVatMinor: number
}

/** A customer paid for a sale: the API owes us the amount less its fee. */
export const salePaid = (order: Order, charge: Taken): Entry => entry(`sale paid ${charge.id}`, order, [
  { account: 'receivable', minor: charge.amountMinor - charge.feeMinor - charge.feeVatMinor },
  { account: 'fees', minor: charge.feeMinor + charge.feeVatMinor },
  { account: 'sales', minor: -charge.amountMinor },
])

/** A customer paid for a sale that had ended unpaid: we hold money that is not ours. */
export const latePayment = (order: Order, charge: Taken): Entry => entry(`late payment ${charge.id}`, order, [
  { account: 'receivable', minor: charge.amountMinor - charge.feeMinor - charge.feeVatMinor },
  { account: 'fees', minor: charge.feeMinor + charge.feeVatMinor },
  { account: 'late', minor: -charge.amountMinor },
])

function entry(key: string, order: Order, lines: readonly Line[]): Entry {
  const sum = lines.reduce((total, { minor }) => total + minor, 0)
  if (sum !== 0 || lines.some(({ minor }) => !Number.isSafeInteger(minor))) {
    throw new Error(`ledger entry "${key}" does not sum to zero: ${sum}`)
  }
  return { key, sale: order.sale, currency: order.currency, lines }
}
