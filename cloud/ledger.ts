/**
 * The ledger: double entry in whole minor units, append-only, each entry chained to the one before it by a hash. Pure.
 * Every entry's lines sum to zero, in one currency. The balances are nothing but the sum of the entries.
 *
 * Accounts: what the payment API owes us (receivable); what a terminal sold (sales) and gave back (refunds); what it cost
 * (fees); money that came in for a sale that ended otherwise (late), which is the customer's until it has gone back or a
 * person decided; and what a person gave back by other means than the API (outside).
 */
import { createHash } from 'node:crypto'
import type { Order } from '../device/protocol/wire.js'

export const ACCOUNTS = ['receivable', 'sales', 'refunds', 'fees', 'late', 'outside'] as const
export type Account = (typeof ACCOUNTS)[number]

export interface Line {
  readonly account: Account
  /** Debits are positive, credits negative. */
  readonly minor: number
}

export interface Entry {
  /** Posted at most once: what happened, and to which charge or refund. */
  readonly key: string
  readonly sale: string
  /** ISO 4217, three capitals. */
  readonly currency: string
  readonly lines: readonly Line[]
}

interface Taken {
  readonly id: string
  readonly amountMinor: number
  readonly currency: string
  readonly feeMinor: number
  readonly feeVatMinor: number
}

interface GivenBack {
  readonly id: string
  readonly amountMinor: number
}

/** A customer paid for a sale: the API owes us the amount less its fee. */
export const salePaid = (order: Order, charge: Taken): Entry => entry(`sale paid ${charge.id}`, order.sale, charge.currency, [
  ...owed(charge),
  { account: 'sales', minor: -charge.amountMinor },
])

/** A customer paid for a sale that had ended unpaid, or paid twice: we hold money that is not ours. */
export const latePayment = (order: Order, charge: Taken): Entry => entry(`late payment ${charge.id}`, order.sale, charge.currency, [
  ...owed(charge),
  { account: 'late', minor: -charge.amountMinor },
])

/** Money went back through the API. What it cost to take it is not given back by that. */
export const refunded = (order: Order, of: 'sale' | 'late money', currency: string, refund: GivenBack): Entry =>
  entry(`refund ${refund.id}`, order.sale, currency, [
    { account: of === 'sale' ? 'refunds' : 'late', minor: refund.amountMinor },
    { account: 'receivable', minor: -refund.amountMinor },
  ])

/** What a person decided of money nobody could reverse: it is ours after all, or the customer has it by other means. */
export const decidedByHand = (
  what: 'kept' | 'returned', { concern, sale, currency, amountMinor }:
  { readonly concern: string; readonly sale: string; readonly currency: string; readonly amountMinor: number },
): Entry => entry(`${what} by hand ${concern}`, sale, currency, [
  { account: 'late', minor: amountMinor },
  { account: what === 'kept' ? 'sales' : 'outside', minor: -amountMinor },
])

const owed = ({ amountMinor, feeMinor, feeVatMinor }: Taken): readonly Line[] => [
  { account: 'receivable', minor: amountMinor - feeMinor - feeVatMinor },
  { account: 'fees', minor: feeMinor + feeVatMinor },
]

function entry(key: string, sale: string, currency: string, lines: readonly Line[]): Entry {
  const fault = faultOfLines(lines)
  if (fault !== undefined) throw new Error(`ledger entry "${key}" ${fault}`)
  return { key, sale, currency, lines }
}

function faultOfLines(lines: readonly Line[]): string | undefined {
  if (lines.some(({ minor }) => !Number.isSafeInteger(minor))) return 'is not in whole minor units'
  const sum = lines.reduce((total, { minor }) => total + minor, 0)
  return sum === 0 ? undefined : `does not sum to zero: ${sum}`
}

// -- The chain ----------------------------------------------------------------------------------------------------

/** An entry in its place. `at` is milliseconds since 1970 and never goes backwards along the chain. */
export interface Posted extends Entry {
  readonly seq: number
  readonly terminal: string
  readonly at: number
  /** SHA-256 of this entry and the hash before it, hexadecimal. */
  readonly hash: string
}

export interface Head {
  readonly seq: number
  readonly at: number
  readonly hash: string
}

export const EMPTY: Head = { seq: 0, at: 0, hash: '0'.repeat(64) }

/** The entry as the next of the chain. */
export function chain(head: Head, { key, sale, currency, lines }: Entry, terminal: string, at: number): Posted {
  const next = { key, sale, currency, lines, terminal, seq: head.seq + 1, at: Math.max(head.at, at) }
  return { ...next, hash: hashOf(head.hash, next) }
}

function hashOf(previous: string, { seq, key, sale, terminal, currency, at, lines }: Omit<Posted, 'hash'>): string {
  const said = [previous, seq, key, sale, terminal, currency, at, lines.map(({ account, minor }) => [account, minor])]
  return createHash('sha256').update(JSON.stringify(said)).digest('hex')
}

// -- Replay -------------------------------------------------------------------------------------------------------

export interface Balance {
  readonly terminal: string
  readonly currency: string
  readonly account: Account
  readonly minor: number
}

export type Replay =
  | { readonly ok: true; readonly head: Head; readonly balances: readonly Balance[] }
  | { readonly ok: false; readonly seq: number; readonly fault: string }

/** Follows the chain from its beginning: every hash, every sum, one posting per key and per paid sale. */
export async function replay(entries: Iterable<Posted> | AsyncIterable<Posted>): Promise<Replay> {
  const keys = new Set<string>()
  const paid = new Set<string>()
  const sums = new Map<string, number>()
  let head = EMPTY
  for await (const posted of entries) {
    const fault = faultInChain(head, posted)
      ?? (keys.has(posted.key) ? `is a second "${posted.key}"` : undefined)
      ?? (posted.key.startsWith('sale paid ') && paid.has(posted.sale) ? `is a second payment posted as sale ${posted.sale}` : undefined)
    if (fault !== undefined) return { ok: false, seq: posted.seq, fault }
    keys.add(posted.key)
    if (posted.key.startsWith('sale paid ')) paid.add(posted.sale)
    for (const { account, minor } of posted.lines) {
      const of = JSON.stringify([posted.terminal, posted.currency, account])
      sums.set(of, (sums.get(of) ?? 0) + minor)
    }
    head = { seq: posted.seq, at: posted.at, hash: posted.hash }
  }
  return { ok: true, head, balances: [...sums].sort(byKey).map(([of, minor]) => balanceOf(of, minor)) }
}

function faultInChain(head: Head, posted: Posted): string | undefined {
  if (posted.seq !== head.seq + 1) return `follows entry ${head.seq}`
  if (posted.at < head.at) return 'is dated before the entry it follows'
  if (hashOf(head.hash, posted) !== posted.hash) return 'is not as it was written'
  return faultOfLines(posted.lines)
}

const byKey = ([a]: readonly [string, number], [b]: readonly [string, number]): number => (a < b ? -1 : a > b ? 1 : 0)

/** The key is the JSON that `replay` made of these three. */
function balanceOf(of: string, minor: number): Balance {
  const [terminal, currency, account] = JSON.parse(of) as [string, string, Account]
  return { terminal, currency, account, minor }
}

// -- Day close ----------------------------------------------------------------------------------------------------

/** What a terminal did in one currency since its last close: the figures of its till slip. */
export interface DayClose {
  readonly terminal: string
  readonly currency: string
  /** Sales paid, and their sum before fees. */
  readonly sales: number
  readonly salesMinor: number
  readonly refundsMinor: number
  readonly feesMinor: number
  /** Came in late, and went back of it; what is left is the customers'. */
  readonly lateMinor: number
  readonly reversedMinor: number
  /** What the API owes for all of it. */
  readonly receivableMinor: number
}

/** One line a terminal and currency, in order of both. */
export function closeOfDay(entries: Iterable<Posted>): readonly DayClose[] {
  const closes = new Map<string, DayClose>()
  for (const posted of entries) {
    const of = `${posted.terminal} ${posted.currency}`
    closes.set(of, addToClose(closes.get(of) ?? {
      terminal: posted.terminal, currency: posted.currency, sales: 0, salesMinor: 0, refundsMinor: 0, feesMinor: 0,
      lateMinor: 0, reversedMinor: 0, receivableMinor: 0,
    }, posted))
  }
  return [...closes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, close]) => close)
}

function addToClose(close: DayClose, { key, lines }: Posted): DayClose {
  const sum = (account: Account): number => lines.reduce((total, line) => total + (line.account === account ? line.minor : 0), 0)
  const late = sum('late')
  return {
    ...close,
    sales: close.sales + (key.startsWith('sale paid ') ? 1 : 0),
    salesMinor: close.salesMinor - sum('sales'),
    refundsMinor: close.refundsMinor + sum('refunds'),
    feesMinor: close.feesMinor + sum('fees'),
    lateMinor: close.lateMinor + Math.max(-late, 0),
    reversedMinor: close.reversedMinor + Math.max(late, 0),
    receivableMinor: close.receivableMinor + sum('receivable'),
  }
}
