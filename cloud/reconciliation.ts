/**
 * The ledger compared with the payment API, charge by charge. Pure: both sides were read by reconciler.ts. Every charge of
 * ours has one line, and so has everything of ours that the API knows nothing of; what does not agree is said in words.
 */
import type { Account, Posted } from './ledger.js'
import { moneyText } from './plain-text.js'

/** A charge as the API has it now. */
export interface ApiCharge {
  readonly id: string
  /** The sale it was made for; undefined when it names one that nobody can read. */
  readonly sale: string | undefined
  readonly amountMinor: number
  readonly currency: string
  readonly status: string
  readonly paid: boolean
  /** With its VAT. */
  readonly feeMinor: number
  readonly createdAt: number
  /** When anything happened to it last. */
  readonly changedAt: number
  /** Undefined when they could not be read. */
  readonly refunds: readonly { readonly id: string; readonly amountMinor: number }[] | undefined
}

/** A sale as our books have it. */
export interface BooksSale {
  readonly sale: string
  readonly phase: 'intent' | 'bound' | 'paid' | 'closed' | 'exception'
  readonly charge: string | null
  readonly amountMinor: number
  readonly currency: string
  readonly openedAt: number
  readonly changedAt: number
  readonly entries: readonly Posted[]
}

export interface Line {
  readonly at: number
  readonly sale: string | null
  readonly charge: string | null
  readonly amountMinor: number
  readonly currency: string
  /** What the API says of it, and what the ledger does. */
  readonly api: string
  readonly ledger: string
  readonly differences: readonly string[]
  /** It changed just now, so what differs may agree in a moment: not counted. */
  readonly moving: boolean
}

export interface Foreign {
  readonly currency: string
  readonly charges: number
  readonly paid: number
  readonly paidMinor: number
}

export interface Report {
  readonly lines: readonly Line[]
  /** Charges that others made with the same account. */
  readonly foreign: readonly Foreign[]
  /** Items of the list of charges that nobody could read; each is a difference. */
  readonly unreadable: number
  readonly differences: number
}

export interface Sides {
  readonly charges: readonly ApiCharge[]
  readonly sales: readonly BooksSale[]
  readonly foreign: readonly Foreign[]
  /** Charges of our books about which the API's answer cannot be read. */
  readonly unread: ReadonlySet<string>
  readonly unreadable: number
  readonly now: number
}

/** A sale is asked for, paid and posted within minutes. */
const MOVING_MS = 600_000

export function reconcile({ charges, sales, foreign, unread, unreadable, now }: Sides): Report {
  const bySale = new Map(sales.map((sale) => [sale.sale, sale]))
  const lines = [
    ...charges.map((charge) => chargeLine(charge, bySale.get(charge.sale ?? ''), now)),
    ...sales.flatMap((sale) => saleLines(sale, charges.filter((charge) => charge.sale === sale.sale), unread, now)),
  ].sort((a, b) => a.at - b.at)
  const counted = lines.filter(({ moving }) => !moving).reduce((sum, { differences }) => sum + differences.length, 0)
  return { lines, foreign, unreadable, differences: counted + unreadable }
}

function chargeLine(charge: ApiCharge, sale: BooksSale | undefined, now: number): Line {
  const { id, amountMinor, currency, status, paid } = charge
  const posting = sale?.entries.find(({ key }) => key === `sale paid ${id}` || key === `late payment ${id}`)
  const differences = [
    ...(charge.sale === undefined ? ['it names a sale of ours that cannot be read'] : []),
    ...(isPaid(charge) || posting === undefined ? [] : ['in the ledger as paid, but it is not']),
    ...(isPaid(charge) ? paidDifferences(charge, sale, posting) : []),
    ...(status === 'pending' ? [pendingDifference(id, sale)] : []),
    ...refundDifferences(charge, sale),
  ]
  return {
    at: charge.createdAt, sale: charge.sale ?? null, charge: id, amountMinor, currency,
    api: `${status}${status === 'successful' && !paid ? ', not paid' : ''}${backText(charge)}`, ledger: ledgerText(posting),
    differences, moving: isMoving(Math.max(charge.changedAt, sale?.changedAt ?? 0), now),
  }
}

/** What our books say and the API does not. */
function saleLines(sale: BooksSale, charges: readonly ApiCharge[], unread: ReadonlySet<string>, now: number): readonly Line[] {
  const { entries, currency } = sale
  const line = (charge: string | null, ledger: string, difference: string, at = sale.openedAt): Line => ({
    at, sale: sale.sale, charge, amountMinor: sale.amountMinor, currency, api: '-', ledger,
    differences: [difference], moving: isMoving(sale.changedAt, now),
  })
  const known = new Set(charges.map(({ id }) => id))
  const but = (charge: string): string =>
    (unread.has(charge) ? 'but what the API says of it cannot be read' : 'but the API has no such charge')
  const lost = entries.flatMap((entry) => {
    const charge = paidChargeOf(entry.key)
    if (charge === undefined || known.has(charge)) return []
    return [line(charge, ledgerText(entry), `in the ledger, ${but(charge)}`, entry.at)]
  })
  const bound = sale.charge
  if (bound !== null && !known.has(bound) && !entries.some(({ key }) => paidChargeOf(key) === bound)) {
    lost.push(line(bound, '-', `the charge of a sale of ours, ${but(bound)}`))
  }
  if (sale.phase === 'intent') lost.push(line(null, '-', 'a sale of ours that still looks for its charge'))

  const refunds = new Set(charges.flatMap((charge) => charge.refunds ?? []).map(({ id }) => `refund ${id}`))
  if (charges.every((charge) => charge.refunds !== undefined)) {
    for (const { key, at } of entries.filter((entry) => entry.key.startsWith('refund ') && !refunds.has(entry.key))) {
      lost.push(line(sale.charge, key, 'in the ledger, but the API has no such refund', at))
    }
  }
  const overMinor = entries.reduce((sum, entry) => sum + sumOf(entry, 'late'), 0)
  if (overMinor > 0) lost.push(line(sale.charge, '-', `${moneyText(overMinor, currency)} more late money went out than came in`))
  return lost
}

function paidDifferences(charge: ApiCharge, sale: BooksSale | undefined, posting: Posted | undefined): readonly string[] {
  const { id, amountMinor, currency, feeMinor } = charge
  if (sale === undefined) return ['paid, but our books know nothing of its sale']
  if (posting === undefined) return ['paid, but not in the ledger']
  const account = posting.key === `sale paid ${id}` ? 'sales' : 'late'
  const expected = sale.phase === 'paid' && sale.charge === id ? 'sales' : 'late'
  const took = -sumOf(posting, account)
  const fees = sumOf(posting, 'fees')
  return [
    ...(account === expected ? [] : [`in the ledger as ${account}, but its sale says ${expected}`]),
    ...(took === amountMinor && posting.currency === currency ? []
      : [`it is of ${moneyText(amountMinor, currency)}, the ledger says ${moneyText(took, posting.currency)}`]),
    ...(fees === feeMinor ? [] : [`its fee is ${moneyText(feeMinor, currency)}, the ledger says ${moneyText(fees, currency)}`]),
  ]
}

function pendingDifference(charge: string, sale: BooksSale | undefined): string {
  if (sale === undefined) return 'it can still be paid, but our books know nothing of its sale'
  const isOpen = sale.phase === 'intent' || sale.phase === 'bound' && sale.charge === charge
  return isOpen ? 'still pending' : 'it can still be paid, but its sale has ended or has another charge'
}

function refundDifferences({ refunds, currency }: ApiCharge, sale: BooksSale | undefined): readonly string[] {
  if (refunds === undefined) return ['its refunds could not be read']
  return refunds.flatMap(({ id, amountMinor }) => {
    const posting = sale?.entries.find(({ key }) => key === `refund ${id}`)
    if (posting === undefined) return [`refund ${id} is not in the ledger`]
    const back = -sumOf(posting, 'receivable')
    if (back === amountMinor) return []
    return [`refund ${id} is of ${moneyText(amountMinor, currency)}, the ledger says ${moneyText(back, currency)}`]
  })
}

const isPaid = ({ status, paid }: ApiCharge): boolean => status === 'successful' && paid

const isMoving = (changedAt: number, now: number): boolean => now - changedAt < MOVING_MS

/** The charge that an entry says was paid. */
export const paidChargeOf = (key: string): string | undefined => /^(?:sale paid|late payment) (.+)$/.exec(key)?.[1]

const sumOf = ({ lines }: Posted, of: Account): number =>
  lines.reduce((sum, { account, minor }) => sum + (account === of ? minor : 0), 0)

const ledgerText = (posting: Posted | undefined): string => posting?.key.replace(/ \S+$/, '') ?? '-'

function backText({ refunds = [], amountMinor }: ApiCharge): string {
  const back = refunds.reduce((sum, refund) => sum + refund.amountMinor, 0)
  return back === 0 ? '' : back >= amountMinor ? ', given back' : ', partly given back'
}
