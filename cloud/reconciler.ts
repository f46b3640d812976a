/**
 * Reads both sides of a day, what the payment API has and what our books have, for reconciliation.ts to compare: when a
 * person asks, and by itself once a day at a quiet hour. It writes nothing but the day it has done, and repairs nothing.
 */
import { setImmediate } from 'node:timers/promises'
import type { Logger } from 'pino'
import { CURRENCIES } from '../device/protocol/money.js'
import { referenceOf } from '../device/protocol/wire.js'
import { type DayIn, widely, yesterday } from './calendar.js'
import { allPages, saleOf } from './charge-effects.js'
import type { Clock } from './clock.js'
import { type Answer, type Charge, type Omise, PAGE_ITEMS_MAX } from './omise.js'
import { type ApiCharge, type BooksSale, type Foreign, paidChargeOf, reconcile, type Report } from './reconciliation.js'
import type { Store } from './store.js'

export type Api = Pick<Omise, 'listCharges' | 'listRefunds' | 'retrieveCharge'>
export type ReadBooks = Pick<Store, 'salesMoved' | 'saleRow' | 'ledger'>

export interface Tools {
  readonly omise: Api
  readonly store: ReadBooks & Pick<Store, 'mark' | 'setMark'>
  readonly clock: Clock
  readonly log: Logger
}

export interface Reconciler {
  start(): void
  stop(): Promise<void>
}

/** 20:00 UTC is three and four at night where the shops are, and their day is over. */
const QUIET_HOUR_UTC = 20
/** Others have more to do when a gateway starts. */
const AFTER_START_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** A gateway that was off for longer begins with these days; a person can ask for the others. */
const DAYS_MISSED_MAX = 7
const MARK = 'reconciled until'

export function createReconciler({ omise, store, clock, log }: Tools): Reconciler {
  let cancelAlarm = (): void => undefined
  let working: Promise<void> = Promise.resolve()
  const stopping = new AbortController()

  /** The mark is the last quiet hour whose day is done: what was missed is made up for, and nothing is done twice. */
  async function catchUp(last: number): Promise<void> {
    const mark = Number(await store.mark(MARK) ?? NaN)
    // A gateway that begins has nothing behind it; nor has one whose clock was ahead.
    if (!(mark <= last)) return store.setMark(MARK, String(last))
    for (let hour = Math.max(mark + DAY_MS, last - (DAYS_MISSED_MAX - 1) * DAY_MS); hour <= last; hour += DAY_MS) {
      const day = yesterday(hour)
      tell(day, await readAndReconcile({ omise, books: store, day, now: clock.now(), signal: stopping.signal }))
      await store.setMark(MARK, String(hour))
    }
  }

  function tell(day: DayIn, report: Report): void {
    for (const { sale, charge, differences, moving } of report.lines) {
      for (const difference of moving ? [] : differences) {
        const reference = sale === null ? null : referenceOf(sale)
        log.error({ sale, reference, charge, difference }, 'the ledger and the payment API differ')
      }
    }
    const { lines, differences, unreadable, foreign } = report
    if (unreadable > 0) log.error({ unreadable }, 'charges of the payment API could not be read')
    log.info({ day: day('').name, lines: lines.length, differences, foreign }, 'reconciled')
  }

  async function work(): Promise<void> {
    const last = lastQuietHour(clock.now())
    try {
      await catchUp(last)
      setAlarm(last + DAY_MS)
    } catch (error) {
      if (stopping.signal.aborted) return
      log.warn({ error: error instanceof Error ? error.message : String(error) }, 'not reconciled; tried again in an hour')
      setAlarm(clock.now() + HOUR_MS)
    }
  }

  function setAlarm(at: number): void {
    if (!stopping.signal.aborted) cancelAlarm = clock.alarm(at, () => { working = work() })
  }

  return {
    start: () => setAlarm(clock.now() + AFTER_START_MS),
    async stop() {
      stopping.abort()
      cancelAlarm()
      await working
    },
  }
}

function lastQuietHour(now: number): number {
  const today = Math.floor(now / DAY_MS) * DAY_MS + QUIET_HOUR_UTC * HOUR_MS
  return today <= now ? today : today - DAY_MS
}

export interface Wanted {
  readonly omise: Api
  readonly books: ReadBooks
  readonly day: DayIn
  readonly now: number
  /** Calls it off. */
  readonly signal?: AbortSignal
}

/** Throws when the API does not answer: half a list is no side to compare with. */
export async function readAndReconcile({ omise, books, day, now, signal }: Wanted): Promise<Report> {
  const listed = await listCharges(omise, widely(day), signal)
  const ofDay = listed.charges.filter(({ createdAt, currency }) => isOn(day(currency), createdAt))
  const charges = new Map(ofDay.map((charge) => [charge.id, charge]))
  const sales = await salesOf(books, day, ofDay)
  const unread = new Set<string>()
  for (const id of sales.flatMap(chargesOf)) {
    signal?.throwIfAborted()
    if (charges.has(id)) continue
    const charge = await retrieve(omise, id)
    if (charge === 'unreadable') unread.add(id)
    else if (charge !== undefined) charges.set(id, charge)
  }
  const ours: ApiCharge[] = []
  for (const charge of charges.values()) {
    const of = saleOf(charge)
    if (of === 'not ours') continue
    signal?.throwIfAborted()
    ours.push(await asApiCharge(omise, charge, of === 'unreadable' ? undefined : of.order.sale))
  }
  const foreign = foreignOf([...charges.values()].filter((charge) => saleOf(charge) === 'not ours'))
  return reconcile({ charges: ours, sales, foreign, unread, unreadable: listed.unreadable, now })
}

const isOn = ({ start, end }: { readonly start: number; readonly end: number }, createdAt: string): boolean =>
  Date.parse(createdAt) >= start && Date.parse(createdAt) < end

/** All that were made in this time; what nobody can read is counted. */
async function listCharges(
  omise: Api, { start, end }: { readonly start: number; readonly end: number }, signal: AbortSignal | undefined,
): Promise<{ readonly charges: readonly Charge[]; readonly unreadable: number }> {
  const between = { from: new Date(start).toISOString(), to: new Date(end - 1).toISOString(), order: 'chronological' } as const
  const charges: Charge[] = []
  let unreadable = 0
  for (let offset = 0, total = 1; offset < total; offset = charges.length + unreadable) {
    signal?.throwIfAborted()
    const page = await omise.listCharges({ ...between, limit: PAGE_ITEMS_MAX, offset })
    if (page.answer !== 'ok') throw noAnswer('list the charges of the day', page)
    total = page.value.total
    charges.push(...page.value.items)
    unreadable += page.value.unreadable
    if (charges.length + unreadable === offset && offset < total) {
      throw new Error(`the payment API lists ${offset} of ${total} charges and no more`)
    }
  }
  return { charges, unreadable }
}

/** Sales that have to do with the day: opened or posted on it, or with a charge that was made on it. */
async function salesOf(books: ReadBooks, day: DayIn, charges: readonly Charge[]): Promise<readonly BooksSale[]> {
  const ids = new Set(charges.map(saleOf).flatMap((of) => (typeof of === 'string' ? [] : [of.order.sale])))
  for (const currency of CURRENCIES) {
    const { start, end } = day(currency)
    for (const { sale, state } of await books.salesMoved(start, end)) if (state.order.currency === currency) ids.add(sale)
  }
  const sales: BooksSale[] = []
  for (const id of ids) {
    await setImmediate() // The customers of a gateway that runs go first.
    const row = await books.saleRow(id)
    if (row === undefined) continue
    const { sale, state, openedAt, changedAt } = row
    const entries = await books.ledger(sale)
    const { phase, order: { amountMinor, currency } } = state
    const charge = state.phase === 'intent' ? null : state.charge
    sales.push({ sale, phase, charge, amountMinor, currency, openedAt, changedAt, entries })
  }
  return sales
}

const chargesOf = ({ charge, entries }: BooksSale): readonly string[] =>
  [...charge === null ? [] : [charge], ...entries.flatMap(({ key }) => paidChargeOf(key) ?? [])]

/** Undefined: the API has no such charge. */
async function retrieve(omise: Api, id: string): Promise<Charge | 'unreadable' | undefined> {
  const answer = await omise.retrieveCharge(id)
  switch (answer.answer) {
    case 'ok':
      return answer.value
    case 'refused':
      if (answer.status === 404) return undefined
      throw noAnswer(`show charge ${id}`, answer)
    case 'none':
      if (answer.because === 'unreadable answer') return 'unreadable'
      throw noAnswer(`show charge ${id}`, answer)
  }
}

async function asApiCharge(omise: Api, charge: Charge, sale: string | undefined): Promise<ApiCharge> {
  const refunds = charge.refundedMinor === 0 ? []
    : await allPages((page) => omise.listRefunds(charge.id, { ...page, order: 'chronological' }))
  const { id, amountMinor, currency, status, paid, feeMinor, feeVatMinor, createdAt, paidAt = createdAt } = charge
  const moments = [createdAt, paidAt, ...(refunds ?? []).map((refund) => refund.createdAt)].map((text) => Date.parse(text))
  return {
    id, sale, amountMinor, currency, status, paid, feeMinor: feeMinor + feeVatMinor, refunds,
    createdAt: Date.parse(createdAt), changedAt: Math.max(...moments),
  }
}

function foreignOf(charges: readonly Charge[]): readonly Foreign[] {
  return [...new Set(charges.map(({ currency }) => currency))].sort().map((currency) => {
    const all = charges.filter((charge) => charge.currency === currency)
    const paid = all.filter((charge) => charge.paid)
    const paidMinor = paid.reduce((sum, { amountMinor }) => sum + amountMinor, 0)
    return { currency, charges: all.length, paid: paid.length, paidMinor }
  })
}

function noAnswer(what: string, answer: Exclude<Answer<unknown>, { answer: 'ok' }>): Error {
  const why = answer.answer === 'refused' ? `${answer.code}, ${answer.message}` : `${answer.because}, ${answer.text}`
  return new Error(`the payment API did not ${what}: ${why}`)
}
