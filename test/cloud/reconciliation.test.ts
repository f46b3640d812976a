import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { theDay } from '../../cloud/calendar.js'
import { latePayment, type Posted, refunded, salePaid } from '../../cloud/ledger.js'
import { createLog } from '../../cloud/log.js'
import type { Charge, Refund } from '../../cloud/omise.js'
import { resolveException, tellReconciliation } from '../../cloud/operator.js'
import { type Api, createReconciler, readAndReconcile } from '../../cloud/reconciler.js'
import { type ApiCharge, type BooksSale, reconcile, type Report } from '../../cloud/reconciliation.js'
import { type Order, referenceOf } from '../../device/protocol/wire.js'
import { fakeWallClock } from '../fakes/wall-clock.js'
import { apiCharge, charge, order as anOrder, START } from './charge-story.js'
import { giveBack, openShopBooks, orderOf, paidAt, payLate, sell, type ShopBooks, show } from './shop-books.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
/** 2026-03-01 in Thailand ends at 17:00 UTC, five hours after START. */
const MIDNIGHT_TH = Date.parse('2026-03-01T17:00:00Z')

/** The payment API as the reconciliation sees it: charges by creation, refunds by charge. */
interface FakeApi extends Api {
  readonly charges: Map<string, Charge>
  readonly refunds: Map<string, readonly Refund[]>
  /** Items of the list that are not as anybody knows them. */
  unreadable: number
  /** Charges whose own page is not as anybody knows it. */
  readonly garbled: Set<string>
  isAway: boolean
  readonly calls: string[]
}

function fakeApi(): FakeApi {
  const none = { answer: 'none', because: 'unreachable', text: 'connection refused' } as const
  const api: FakeApi = {
    charges: new Map(), refunds: new Map(), unreadable: 0, garbled: new Set(), isAway: false, calls: [],
    listCharges({ from, to = '9999', limit = 20, offset = 0 }) {
      api.calls.push(`list ${from} ${to}`)
      if (api.isAway) return Promise.resolve(none)
      const all = [...api.charges.values()].filter(({ id, createdAt }) => createdAt >= from && createdAt <= to && !api.garbled.has(id))
        .sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1))
      const items = all.slice(offset, offset + limit)
      const unreadable = offset + items.length === all.length && items.length < limit ? api.unreadable : 0
      return Promise.resolve({ answer: 'ok', value: { items, unreadable, total: all.length + api.unreadable, offset, limit } })
    },
    listRefunds(charge) {
      if (api.isAway) return Promise.resolve(none)
      const items = api.refunds.get(charge) ?? []
      return Promise.resolve({ answer: 'ok', value: { items, unreadable: 0, total: items.length, offset: 0, limit: 100 } })
    },
    retrieveCharge(id) {
      api.calls.push(`retrieve ${id}`)
      if (api.isAway) return Promise.resolve(none)
      if (api.garbled.has(id)) return Promise.resolve({ answer: 'none', because: 'unreadable answer', text: 'not a charge' })
      const value = api.charges.get(id)
      return Promise.resolve(value === undefined
        ? { answer: 'refused', status: 404, code: 'not_found', message: `charge ${id} was not found` } : { answer: 'ok', value })
    },
  }
  return api
}

let folder = ''
let books: ShopBooks
let api: FakeApi

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'plinth-reconciliation-'))
  books = await openShopBooks(join(folder, 'gateway.sqlite'))
  api = fakeApi()
})

afterEach(async () => {
  await books.store.close()
  rmSync(folder, { recursive: true, force: true })
})

/** What the API has of a sale's charge; as in our books, unless changed. */
function has(atMs: number, order: Order, id: string, changed: Partial<Charge> = {}): void {
  const { sale, nonce, amountMinor, currency, method } = order
  api.charges.set(id, apiCharge(charge(id, { amountMinor, currency, ...paidAt(atMs + 9_000) }), {
    createdAt: new Date(START + atMs).toISOString(), method,
    metadata: { plinth_sale: sale, plinth_nonce: nonce, plinth_terminal: 'T-1', plinth_attempt: '1' }, ...changed,
  }))
}

function hasRefund(atMs: number, charge: string, id: string, amountMinor: number): void {
  const before = api.refunds.get(charge) ?? []
  api.refunds.set(charge, [...before, {
    id, charge, amountMinor, currency: 'THB', livemode: false, voided: true, metadata: {}, createdAt: new Date(START + atMs).toISOString(),
  }])
  const of = api.charges.get(charge)
  if (of !== undefined) api.charges.set(charge, { ...of, refundedMinor: of.refundedMinor + amountMinor })
}

const reconciled = (day = '2026-03-01', now = START + DAY): Promise<Report> =>
  readAndReconcile({ omise: api, books: books.store, day: theDay(day), now })

const differencesOf = ({ lines }: Report): readonly string[] => lines.flatMap(({ differences }) => differences)

/** A sale that was paid on both sides. */
async function soldTo(atMs: number, order: Order, id: string, changed: Partial<Charge> = {}): Promise<void> {
  await sell(books, atMs, order, id)
  has(atMs, order, id, changed)
}

describe('a day on which ledger and payment API agree', () => {
  test('is printed line by line, with what came late, what ended unpaid and what others charged', async () => {
    await soldTo(0, orderOf(1), 'chrg_a')
    await payLate(books, HOUR, orderOf(2, { amountMinor: 4_000 }), 'chrg_b')
    await giveBack(books, HOUR + 21_000, orderOf(2, { amountMinor: 4_000 }), 'chrg_b')
    has(HOUR, orderOf(2, { amountMinor: 4_000 }), 'chrg_b')
    hasRefund(HOUR + 21_000, 'chrg_b', 'rfnd_chrg_b', 4_000)
    await show(books, 2 * HOUR, orderOf(3), 'chrg_c')
    await books.tell(2 * HOUR + 121_000, orderOf(3), { type: 'charge read', charge: charge('chrg_c', { status: 'expired' }) })
    has(2 * HOUR, orderOf(3), 'chrg_c', { status: 'expired', paid: false, paidAt: undefined })
    has(3 * HOUR, orderOf(4, { amountMinor: 77_000 }), 'chrg_x', { metadata: {} })
    has(3 * HOUR, orderOf(4, { amountMinor: 50_000 }), 'chrg_y', { metadata: { order: 'web-4711' }, status: 'failed', paid: false })

    const { text, ok } = tellReconciliation(await reconciled(), theDay('2026-03-01'))
    expect(ok).toBe(true)
    const [a, b, c] = [1, 2, 3].map((number) => referenceOf(orderOf(number).sale))
    expect(text).toBe(`The ledger and the payment API on 2026-03-01

time                        sale    charge     amount  payment API             ledger
2026-03-01 19:00:00 +07:00  ${a}  chrg_a  THB 25.00  successful              sale paid
2026-03-01 20:00:00 +07:00  ${b}  chrg_b  THB 40.00  successful, given back  late payment
2026-03-01 21:00:00 +07:00  ${c}  chrg_c  THB 25.00  expired                 -

Not made by Plinth: 2 charges in THB, 1 paid, THB 770.00
3 lines, 0 differences`)
  })

  test('counts what others charged in each currency for itself, whatever it is', async () => {
    has(0, orderOf(1), 'chrg_x', { metadata: {}, currency: 'JPY', amountMinor: 500 })
    has(0, orderOf(2), 'chrg_y', { metadata: {}, currency: 'SGD', amountMinor: 123_456 })
    const { text } = tellReconciliation(await reconciled(), theDay('2026-03-01'))
    expect(text).toContain('Not made by Plinth: 1 charge in JPY, 1 paid, JPY 500 (minor units)\nNot made by Plinth: 1 charge in SGD, 1 paid, SGD 1,234.56')
  })

  test('without any sale is one line that says so', async () => {
    expect(tellReconciliation(await reconciled(), theDay('2026-03-01')).text).toMatch(/\n0 lines, 0 differences$/)
  })

  test('agrees, whatever was sold and given back', () => {
    const aSale = fc.record({
      amountMinor: fc.integer({ min: 2_000, max: 999_999 }), feeMinor: fc.nat(1_000), isLate: fc.boolean(), backParts: fc.array(fc.integer({ min: 1, max: 500 }), { maxLength: 3 }),
    })
    fc.assert(fc.property(fc.array(aSale, { maxLength: 20 }), fc.nat(), (wanted, pick) => {
      const sides = wanted.map((one, number) => bothSides(number, one))
      const of = (charges: readonly ApiCharge[], sales: readonly BooksSale[]) =>
        reconcile({ charges, sales, foreign: [], unread: new Set(), unreadable: 0, now: START + DAY }).differences
      const charges = sides.map(({ api: one }) => one), sales = sides.map(({ books: one }) => one)
      expect(of(charges, sales)).toBe(0)
      if (wanted.length === 0) return
      // Whatever one loses on either side, or has of another amount, is found.
      const at = pick % wanted.length
      expect(of(charges.toSpliced(at, 1), sales)).toBeGreaterThan(0)
      expect(of(charges, sales.toSpliced(at, 1))).toBeGreaterThan(0)
      expect(of(charges.map((one, number) => (number === at ? { ...one, amountMinor: one.amountMinor + 1 } : one)), sales)).toBeGreaterThan(0)
      for (const [entry] of sales[at]!.entries.entries()) {
        expect(of(charges, sales.map((one, number) => (number === at ? { ...one, entries: one.entries.toSpliced(entry, 1) } : one)))).toBeGreaterThan(0)
      }
    }))
  })

  function bothSides(number: number, { amountMinor, feeMinor, isLate, backParts }: { amountMinor: number; feeMinor: number; isLate: boolean; backParts: readonly number[] }) {
    const order = orderOf(number, { amountMinor })
    const id = `chrg_${number}`
    const refunds = backParts.map((part, at) => ({ id: `rfnd_${number}_${at}`, amountMinor: part }))
    const taken = { id, amountMinor, currency: 'THB', feeMinor, feeVatMinor: 0 }
    const entries = [
      isLate ? latePayment(order, taken) : salePaid(order, taken),
      ...refunds.map((refund) => refunded(order, isLate ? 'late money' : 'sale', 'THB', refund)),
    ].map((entry, seq): Posted => ({ ...entry, seq, terminal: 'T-1', at: START, hash: '' }))
    const api: ApiCharge = { id, sale: order.sale, amountMinor, currency: 'THB', status: 'successful', paid: true, feeMinor, createdAt: START, changedAt: START, refunds }
    const books: BooksSale = { sale: order.sale, phase: isLate ? 'closed' : 'paid', charge: id, amountMinor, currency: 'THB', openedAt: START, changedAt: START, entries }
    return { api, books }
  }
})

describe('what does not agree is said in words, and counted', () => {
  const order = orderOf(1)
  const differing: readonly (readonly [string, () => unknown, readonly string[]])[] = [
    ['a payment that nobody posted', async () => {
      await show(books, 0, order, 'chrg_a')
      await books.tell(130_000, order, { type: 'charge read', charge: charge('chrg_a', { status: 'expired' }) })
      has(0, order, 'chrg_a')
    }, ['paid, but not in the ledger']],
    ['a posting of what was never paid', () => soldTo(0, order, 'chrg_a', { status: 'failed', paid: false }), ['in the ledger as paid, but it is not']],
    ['another amount', () => soldTo(0, order, 'chrg_a', { amountMinor: 2_600 }), ['it is of THB 26.00, the ledger says THB 25.00']],
    ['another currency', () => soldTo(0, order, 'chrg_a', { currency: 'SGD' }), ['it is of SGD 25.00, the ledger says THB 25.00']],
    ['another fee', () => soldTo(0, order, 'chrg_a', { feeMinor: 50 }), ['its fee is THB 0.53, the ledger says THB 0.44']],
    ['a refund that nobody posted', async () => {
      await soldTo(0, order, 'chrg_a')
      hasRefund(HOUR, 'chrg_a', 'rfnd_1', 700)
    }, ['refund rfnd_1 is not in the ledger']],
    ['a refund of another amount', async () => {
      await soldTo(0, order, 'chrg_a')
      await books.tell(HOUR, order, { type: 'refunds listed', charge: 'chrg_a', refunds: [{ id: 'rfnd_1', amountMinor: 600, voided: false }] })
      hasRefund(HOUR, 'chrg_a', 'rfnd_1', 700)
    }, ['refund rfnd_1 is of THB 7.00, the ledger says THB 6.00']],
    ['a refund that the API never made', async () => {
      await soldTo(0, order, 'chrg_a')
      await books.tell(HOUR, order, { type: 'refunds listed', charge: 'chrg_a', refunds: [{ id: 'rfnd_1', amountMinor: 600, voided: false }] })
    }, ['in the ledger, but the API has no such refund']],
    ['a posting whose charge the API does not have', () => sell(books, 0, order, 'chrg_a'), ['in the ledger, but the API has no such charge']],
    ['a sale whose charge the API does not have', () => show(books, 0, order, 'chrg_a'), ['the charge of a sale of ours, but the API has no such charge']],
    ['a code that can still be paid after its sale ended', async () => {
      await show(books, 0, order, 'chrg_a')
      await books.tell(130_000, order, { type: 'charge read', charge: charge('chrg_a', { status: 'expired' }) })
      has(0, order, 'chrg_a', { status: 'pending', paid: false })
    }, ['it can still be paid, but its sale has ended or has another charge']],
    ['a sale that is still pending', async () => {
      await show(books, 0, order, 'chrg_a')
      has(0, order, 'chrg_a', { status: 'pending', paid: false })
    }, ['still pending']],
    ['a sale that still looks for its charge', () => books.tell(0, order, { type: 'sale opened', terminal: 'T-1', order, request: 'a' }),
      ['a sale of ours that still looks for its charge']],
    ['a payment for a sale that our books lost', () => has(0, order, 'chrg_a'), ['paid, but our books know nothing of its sale']],
    ['a code for a sale that our books lost', () => has(0, order, 'chrg_a', { status: 'pending', paid: false }), ['it can still be paid, but our books know nothing of its sale']],
    ['a charge that names us and no sale', () => has(0, order, 'chrg_a', { metadata: { plinth_sale: 'what?' } }),
      ['it names a sale of ours that cannot be read', 'paid, but our books know nothing of its sale']],
    ['money that went back twice, by hand and at the dashboard', async () => {
      const promptpay = orderOf(1, { method: 'promptpay' })
      await payLate(books, 0, promptpay, 'chrg_a')
      await resolveException(books.store, { id: 1, note: 'in cash', decision: 'returned', now: START + HOUR })
      await books.tell(2 * HOUR, promptpay, { type: 'refunds listed', charge: 'chrg_a', refunds: [{ id: 'rfnd_1', amountMinor: 2_500, voided: false }] })
      has(0, promptpay, 'chrg_a')
      hasRefund(2 * HOUR, 'chrg_a', 'rfnd_1', 2_500)
    }, ['THB 25.00 more late money went out than came in']],
    ['a charge of ours about which the API cannot be understood', async () => {
      await soldTo(0, order, 'chrg_a')
      api.garbled.add('chrg_a')
    }, ['in the ledger, but what the API says of it cannot be read']],
  ]

  test.each(differing)('%s', async (_what, happens, said) => {
    await soldTo(-HOUR, orderOf(9), 'chrg_z')
    await happens()
    const report = await reconciled()
    expect(differencesOf(report)).toEqual(said)
    expect(report.differences).toBe(said.length)
    const { text, ok } = tellReconciliation(report, theDay('2026-03-01'))
    expect(ok).toBe(false)
    for (const difference of said) expect(text).toContain(`\n    ! ${difference}\n`)
  })

  test('items of the list that nobody can read are counted as differences, and the others are compared all the same', async () => {
    await soldTo(0, order, 'chrg_a')
    api.unreadable = 2
    const report = await reconciled()
    expect(report).toMatchObject({ unreadable: 2, differences: 2 })
    expect(report.lines).toHaveLength(1)
    expect(tellReconciliation(report, theDay('2026-03-01')).text).toContain('2 charges of the list could not be read\n1 line, 2 differences')
  })

  test('posted as sold although its sale says late', () => {
    const taken = { id: 'chrg_a', amountMinor: 2_500, currency: 'THB', feeMinor: 0, feeVatMinor: 0 }
    const entries: readonly Posted[] = [{ ...salePaid(order, taken), seq: 1, terminal: 'T-1', at: START, hash: '' }]
    const { lines } = reconcile({
      charges: [{ id: 'chrg_a', sale: order.sale, amountMinor: 2_500, currency: 'THB', status: 'successful', paid: true, feeMinor: 0, createdAt: START, changedAt: START, refunds: [] }],
      sales: [{ sale: order.sale, phase: 'closed', charge: 'chrg_a', amountMinor: 2_500, currency: 'THB', openedAt: START, changedAt: START, entries }],
      foreign: [], unread: new Set(), unreadable: 0, now: START + DAY,
    })
    expect(lines[0]?.differences).toEqual(['in the ledger as sales, but its sale says late'])
  })
})

describe('what is no difference', () => {
  test('a charge of a sale that our books lost, which ended without money', async () => {
    has(0, orderOf(1), 'chrg_a', { status: 'expired', paid: false })
    expect((await reconciled()).differences).toBe(0)
  })

  test('a sale that is under way just now: it is shown as moving, and not counted', async () => {
    await show(books, 0, orderOf(1), 'chrg_a')
    has(0, orderOf(1), 'chrg_a', { status: 'pending', paid: false })
    const soon = await reconciled('2026-03-01', START + MINUTE)
    expect(soon.differences).toBe(0)
    expect(tellReconciliation(soon, theDay('2026-03-01')).text).toContain('\n    moving still pending\n')
    expect((await reconciled('2026-03-01', START + HOUR)).differences).toBe(1)
  })

  test('a charge that was refused to the sale before one was made', async () => {
    await books.tell(0, orderOf(1), { type: 'sale opened', terminal: 'T-1', order: orderOf(1), request: 'a' })
    await books.tell(100, orderOf(1), { type: 'create refused', code: 'invalid_charge' })
    expect(await reconciled()).toMatchObject({ lines: [], differences: 0 })
  })
})

describe('the day', () => {
  test('ends where its currency is spent: at 16:00 UTC in Singapore, at 17:00 in Thailand', async () => {
    const sgd = (number: number): Order => orderOf(number, { currency: 'SGD' })
    await soldTo(MIDNIGHT_TH - START - HOUR - 20_000, sgd(2), 'chrg_sg')
    await soldTo(MIDNIGHT_TH - START - HOUR, sgd(1), 'chrg_sg_next_day')
    await soldTo(MIDNIGHT_TH - START - 20_000, orderOf(3), 'chrg_th')
    await soldTo(MIDNIGHT_TH - START, orderOf(4), 'chrg_th_next_day')
    expect((await reconciled()).lines.map(({ charge }) => charge)).toEqual(['chrg_sg', 'chrg_th'])
    const next = await reconciled('2026-03-02', START + 2 * DAY)
    expect(next.lines.map(({ charge }) => charge)).toEqual(['chrg_sg_next_day', 'chrg_th_next_day'])
    expect(next.differences).toBe(0)
  })

  test('a charge made before midnight and paid after it is in order on both days', async () => {
    await soldTo(MIDNIGHT_TH - START - 5_000, orderOf(1), 'chrg_a')
    for (const day of ['2026-03-01', '2026-03-02']) {
      const report = await reconciled(day, START + 2 * DAY)
      expect(report).toMatchObject({ lines: [{ charge: 'chrg_a', ledger: 'sale paid' }], differences: 0 })
    }
    expect(api.calls).toContain('retrieve chrg_a')
  })

  test('may have more charges than fit on a page', async () => {
    for (let number = 0; number < 250; number++) has(number, orderOf(number), `chrg_${number}`, { metadata: {} })
    expect((await reconciled()).foreign).toEqual([{ currency: 'THB', charges: 250, paid: 250, paidMinor: 250 * anOrder.amountMinor }])
    expect(api.calls.filter((call) => call.startsWith('list'))).toHaveLength(3)
  })

  test('that the API does not list is no day without differences: it is an error', async () => {
    await soldTo(0, orderOf(1), 'chrg_a')
    api.isAway = true
    await expect(reconciled()).rejects.toThrow('the payment API did not list the charges of the day: unreachable, connection refused')
  })

  test('on which the API refuses to show a charge is an error too: refused is not missing', async () => {
    await sell(books, 0, orderOf(1), 'chrg_a')
    api.retrieveCharge = () => Promise.resolve({ answer: 'refused', status: 401, code: 'authentication_failure', message: 'authentication failed' })
    await expect(reconciled()).rejects.toThrow('the payment API did not show charge chrg_a: authentication_failure, authentication failed')
  })

  test('whose list ends before its own total is an error, not an endless read', async () => {
    has(0, orderOf(1), 'chrg_a')
    const { listCharges } = api
    api.listCharges = async (paging) => {
      const page = await listCharges(paging)
      return page.answer === 'ok' ? { ...page, value: { ...page.value, total: 5 } } : page
    }
    await expect(reconciled()).rejects.toThrow('the payment API lists 1 of 5 charges and no more')
  })
})

describe('the gateway reconciles by itself', () => {
  const QUIET = Date.parse('2026-03-01T20:00:00Z')
  let logged: { msg: string; level: number; [field: string]: unknown }[] = []
  const log = createLog('info', { write: (line: string) => { logged.push(JSON.parse(line)) } })
  const clock = (): ReturnType<typeof fakeWallClock> => fakeWallClock(START)
  /** Nothing here waits for the world: all that can happen now has happened after a few turns. */
  const settle = async (): Promise<void> => { for (let turn = 0; turn < 20; turn++) await setImmediate() }
  const summaries = (): unknown[] => logged.filter(({ msg }) => msg === 'reconciled').map(({ day, differences }) => [day, differences])

  beforeEach(() => { logged = [] })

  /** A gateway that runs until then, looking at its clock every few hours. */
  async function run(time: ReturnType<typeof fakeWallClock>, until: number): Promise<void> {
    const reconciler = createReconciler({ omise: api, store: books.store, clock: time, log })
    reconciler.start()
    for (let next = time.next(); next !== undefined && next <= until; next = time.next()) {
      time.goTo(next)
      await settle()
    }
    time.goTo(until)
    await reconciler.stop()
  }

  test('once a day, at night where the shops are, with the day that has just ended', async () => {
    await soldTo(0, orderOf(1), 'chrg_a')
    has(HOUR, orderOf(2), 'chrg_b')
    const time = clock()
    await run(time, QUIET - 1)
    expect(api.calls).toEqual([])
    await run(time, QUIET + HOUR)
    expect(summaries()).toEqual([['2026-03-01', 1]])
    expect(logged.filter(({ level }) => level === 50)).toMatchObject([
      { msg: 'the ledger and the payment API differ', charge: 'chrg_b', reference: referenceOf(orderOf(2).sale), difference: 'paid, but our books know nothing of its sale' },
    ])
    expect(logged.find(({ msg }) => msg === 'reconciled')).toMatchObject({ level: 30, lines: 2 })
  })

  test('alarms nobody about what happened just now and may be posted in a moment', async () => {
    await soldTo(0, orderOf(1), 'chrg_a')
    hasRefund(QUIET - START - MINUTE, 'chrg_a', 'rfnd_1', 700)
    await run(clock(), QUIET + HOUR)
    expect(summaries()).toEqual([['2026-03-01', 0]])
    expect(logged.filter(({ level }) => level === 50)).toEqual([])
  })

  test('a day once, however often it is started', async () => {
    const time = clock()
    await run(time, QUIET + HOUR)
    for (let start = 2; start < 6; start++) await run(time, QUIET + start * HOUR)
    expect(summaries()).toEqual([['2026-03-01', 0]])
  })

  test('makes up for the days it was off, a week of them at most', async () => {
    const time = clock()
    await run(time, START + HOUR)
    time.jumpTo(QUIET + 2 * DAY + HOUR)
    await run(time, QUIET + 2 * DAY + 2 * HOUR)
    expect(summaries()).toEqual([['2026-03-01', 0], ['2026-03-02', 0], ['2026-03-03', 0]])
    time.jumpTo(QUIET + 30 * DAY)
    await run(time, QUIET + 30 * DAY + HOUR)
    expect(summaries().slice(3).map((summary) => (summary as string[])[0])).toEqual(
      ['2026-03-25', '2026-03-26', '2026-03-27', '2026-03-28', '2026-03-29', '2026-03-30', '2026-03-31'])
  })

  test('an hour later when the API is away, until it answers, and misses nothing', async () => {
    await run(clock(), START + HOUR)
    api.isAway = true
    const time = fakeWallClock(QUIET - HOUR)
    await run(time, QUIET + 2 * HOUR)
    expect(summaries()).toEqual([])
    expect(logged.filter(({ msg }) => msg === 'not reconciled; tried again in an hour').length).toBeGreaterThanOrEqual(2)
    api.isAway = false
    await run(time, QUIET + 4 * HOUR)
    expect(summaries()).toEqual([['2026-03-01', 0]])
  })

  test('again after a clock that was years ahead was put right', async () => {
    await run(fakeWallClock(Date.parse('2036-01-01T00:00:00Z')), Date.parse('2036-01-02T00:00:00Z'))
    logged = []
    await run(clock(), QUIET + HOUR)
    expect(summaries()).toEqual([['2026-03-01', 0]])
  })

  test('opens no exception and posts nothing', async () => {
    has(HOUR, orderOf(2), 'chrg_b')
    await run(clock(), QUIET + HOUR)
    expect(summaries()).toEqual([['2026-03-01', 1]])
    expect(await books.store.exceptions('all')).toEqual([])
    expect((await books.store.head()).seq).toBe(0)
  })

  test('and can be stopped in the middle of it', async () => {
    await run(clock(), START + HOUR)
    const { listCharges } = api
    let answer = (): void => undefined
    api.listCharges = async (paging) => {
      await new Promise<void>((resolve) => { answer = resolve })
      return listCharges(paging)
    }
    for (let number = 0; number < 250; number++) has(HOUR + number, orderOf(number), `chrg_${number}`, { metadata: {} })
    const time = fakeWallClock(QUIET)
    const reconciler = createReconciler({ omise: api, store: books.store, clock: time, log })
    reconciler.start()
    time.goTo(QUIET + HOUR)
    await settle()
    const stopped = reconciler.stop()
    answer()
    await stopped
    expect(api.calls.filter((call) => call.startsWith('list'))).toHaveLength(1)
    expect([logged, time.next()]).toEqual([[], undefined])
  })
})
