/** The books of a gateway in a file, written as it writes them: each event steps its sale and is committed. */
import Database from 'better-sqlite3'
import { type ChargeSeen, deadline, type Event, initial, step } from '../../cloud/charge.js'
import { openStore, type Store } from '../../cloud/store.js'
import type { Order } from '../../device/protocol/wire.js'
import { charge, CODE, order as anOrder, START, terms } from './charge-story.js'

export interface ShopBooks {
  readonly file: string
  readonly store: Store
  /** Milliseconds after START. */
  tell(atMs: number, order: Order, event: Event): Promise<void>
  /** Somebody with the file and a tool, whom no trigger stops. */
  tamper(sql: string): void
}

export const orderOf = (number: number, changed: Partial<Order> = {}): Order =>
  ({ ...anOrder, sale: `0195f0a0-0000-7000-8000-${number.toString(16).padStart(12, '0')}`, ...changed })

export async function openShopBooks(file: string): Promise<ShopBooks> {
  const store = await openStore(file)
  return {
    file,
    store,
    async tell(atMs, { sale }, event) {
      const before = await store.sale(sale) ?? initial
      const { state, words, entries, concerns } = step(before, event, { now: START + atMs, terms, lookFirst: false })
      if (state.phase === 'none' || state === before && words.length + entries.length + concerns.length === 0) return
      const sealed = words.map(({ re }, at) => ({ topic: `plinth/1/${state.terminal}/dn/sale`, terminal: state.terminal, re, counter: at, sealed: '' }))
      await store.commit({ sale, state, deadline: deadline(state), entries, concerns, words: sealed, event: event.type, at: START + atMs })
    },
    tamper(sql) {
      const db = new Database(file)
      db.exec(`DROP TRIGGER IF EXISTS ledger_is_not_changed; DROP TRIGGER IF EXISTS ledger_is_not_shortened; ${sql}`)
      db.close()
    },
  }
}

const chargeOf = (order: Order, id: string, changed: Partial<ChargeSeen>): ChargeSeen =>
  charge(id, { amountMinor: order.amountMinor, currency: order.currency, ...changed })

export const paidAt = (atMs: number): Partial<ChargeSeen> =>
  ({ status: 'successful', paid: true, paidAt: new Date(START + atMs).toISOString() })

/** Opened, its code shown. */
export async function show({ tell }: ShopBooks, atMs: number, order: Order, id: string, terminal = 'T-1'): Promise<void> {
  await tell(atMs, order, { type: 'sale opened', terminal, order, request: `${id}-open` })
  await tell(atMs + 400, order, { type: 'charge created', charge: chargeOf(order, id, {}) })
  await tell(atMs + 700, order, { type: 'code read', payload: CODE })
}

/** Ten seconds later it is paid. */
export async function sell(books: ShopBooks, atMs: number, order: Order, id: string, terminal = 'T-1'): Promise<void> {
  await show(books, atMs, order, id, terminal)
  await books.tell(atMs + 10_000, order, { type: 'charge read', charge: chargeOf(order, id, paidAt(atMs + 9_000)) })
}

/** Cancelled after five seconds, and paid all the same fifteen seconds later. */
export async function payLate(books: ShopBooks, atMs: number, order: Order, id: string): Promise<void> {
  await show(books, atMs, order, id)
  await books.tell(atMs + 5_000, order, { type: 'close asked', terminal: 'T-1', order, request: `${id}-close`, reason: 'cancelled', showing: id })
  await books.tell(atMs + 5_400, order, { type: 'charge read', charge: chargeOf(order, id, { status: 'expired' }) })
  await seePaid(books, atMs + 20_000, order, id)
}

/** The sweeper comes across a paid charge that carries the sale. */
export const seePaid = ({ tell }: ShopBooks, atMs: number, order: Order, id: string): Promise<void> =>
  tell(atMs, order, { type: 'charge seen', terminal: 'T-1', order, charge: chargeOf(order, id, paidAt(atMs - 1_000)) })

/** What came late goes back, all at once. */
export async function giveBack({ tell }: ShopBooks, atMs: number, order: Order, id: string, voided = true): Promise<void> {
  await tell(atMs, order, { type: 'refunds listed', charge: id, refunds: [] })
  await tell(atMs + 300, order, { type: 'refund made', charge: id, refund: { id: `rfnd_${id}`, amountMinor: order.amountMinor, voided } })
}

/** The payment API will not give it back, however often it is asked. */
export async function refuseRefund({ tell }: ShopBooks, atMs: number, order: Order, id: string): Promise<void> {
  for (let tries = 0; tries < 6; tries++) {
    await tell(atMs + tries * 2, order, { type: 'refunds listed', charge: id, refunds: [] })
    await tell(atMs + tries * 2 + 1, order, { type: 'refund refused', charge: id, code: 'failed_refund' })
  }
}
