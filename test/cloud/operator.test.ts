import Database from 'better-sqlite3'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { theDay, utcText } from '../../cloud/calendar.js'
import { chain, type Posted } from '../../cloud/ledger.js'
import { type Answer, closeTheDay, listExceptions, resolveException, showException, tellSale, tellVerification } from '../../cloud/operator.js'
import { type Books, openStore, readStore, type Resolution } from '../../cloud/store.js'
import { referenceOf } from '../../device/protocol/wire.js'
import { CODE, START } from './charge-story.js'
import { giveBack, openShopBooks, orderOf, payLate, refuseRefund, seePaid, sell, type ShopBooks, show } from './shop-books.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

let folder = ''
let books: ShopBooks

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'plinth-operator-'))
  books = await openShopBooks(join(folder, 'gateway.sqlite'))
})

afterEach(async () => {
  await books.store.close()
  rmSync(folder, { recursive: true, force: true })
})

/** As the command does it: through a reader of its own, while the gateway has the file open. */
async function ask(question: (reader: Books) => Promise<Answer>, file = books.file): Promise<Answer> {
  const reader = await readStore(file)
  try {
    return await question(reader)
  } finally {
    await reader.close()
  }
}

const resolve = (id: number, decision: Resolution['decision'], atMs = HOUR): Promise<Answer> =>
  resolveException(books.store, { id, note: 'as agreed on the telephone', decision, now: START + atMs })

const balance = async (account: string): Promise<number> =>
  (await books.store.balances()).filter((one) => one.account === account).reduce((sum, { minor }) => sum + minor, 0)

const everything = async (): Promise<unknown> => ({
  exceptions: await books.store.exceptions('all'), head: await books.store.head(), balances: await books.store.balances(),
})

/** Paid late with a method whose money cannot go back by itself: THB 25.00 are held. */
const promptpay = orderOf(1, { method: 'promptpay' })
const stuckSale = (): Promise<void> => payLate(books, 0, promptpay, 'chrg_a')

describe('plinth-gateway exceptions', () => {
  test('lists what a person must look at: how long already, whose, how much, why', async () => {
    await sell(books, 0, orderOf(7), 'chrg_g')
    await stuckSale()
    const { text, ok } = await ask((reader) => listExceptions(reader, { all: false, now: START + 3 * HOUR + 30 * MINUTE }))
    expect(ok).toBe(true)
    expect(text).toBe([
      'id  standing          sale    terminal     amount  charge  reason',
      ` 1  open for 3 hours  ${referenceOf(promptpay.sale)}  T-1       THB 25.00  chrg_a  paid after the sale had ended (cancelled); PromptPay cannot be refunded through the payment API`,
      '',
      '1 exception is open.',
    ].join('\n'))
  })

  test('says so when there is none', async () => {
    expect((await ask((reader) => listExceptions(reader, { all: true, now: START }))).text).toBe('No exception is open.')
  })

  test('shows the resolved ones only to who asks for them, with what was decided', async () => {
    await stuckSale()
    await resolve(1, 'returned')
    const list = (all: boolean) => ask((reader) => listExceptions(reader, { all, now: START + HOUR }))
    expect((await list(false)).text).toBe('No exception is open.')
    expect((await list(false)).json).toEqual([])
    expect((await list(true)).text).toMatch(/^ 1 {2}returned {2}/m)
    expect((await list(true)).json).toMatchObject([{ id: 1, reference: referenceOf(promptpay.sale), resolution: { decision: 'returned', note: 'as agreed on the telephone' } }])
  })
})

describe('plinth-gateway exceptions show', () => {
  const showing = (now: number, id = 1) => ask((reader) => showException(reader, { id, now }))

  test('of a method without refunds says that the money must go back by other means, or be kept', async () => {
    await stuckSale()
    const { text } = await showing(START + HOUR)
    expect(text).toContain('PromptPay cannot be refunded through the payment API.')
    expect(text).toContain('plinth-gateway exceptions resolve 1 --decision returned --note "..."')
    expect(text).toContain('plinth-gateway exceptions resolve 1 --decision kept --note "..."')
    expect(text).toContain(`held    THB 25.00`)
    expect(text).toContain(`Sale ${referenceOf(promptpay.sale)}: THB 25.00 by PromptPay at T-1 -- NOT PAID`)
  })

  test('says until when all of it can be undone at once, and not a second longer', async () => {
    await payLate(books, 0, orderOf(1), 'chrg_a')
    await refuseRefund(books, 30_000, orderOf(1), 'chrg_a')
    const end = Date.parse('2026-03-01T16:15:00Z')
    expect((await showing(end - 1)).text).toContain('Until 2026-03-01 23:15:00 (+07:00), 16:15:00 UTC all of it is undone at once (a void)')
    expect((await showing(end)).text).not.toContain('a void')
    expect((await showing(end)).text).toContain('Refund charge chrg_a at the dashboard of the payment API. It is a refund and takes days')
    expect((await showing(end)).json).toMatchObject({ heldMinor: 2_500, voidableUntil: end })
  })

  test('of money that is still on its way back asks for nothing but patience', async () => {
    await payLate(books, 0, orderOf(1), 'chrg_a')
    for (let tries = 0; tries < 10; tries++) await books.tell(30_000 + tries, orderOf(1), { type: 'refunds unanswered', charge: 'chrg_a' })
    const { text } = await showing(START + HOUR)
    expect(text).toContain('Nothing yet: the gateway goes on giving it back by itself.')
    expect(text).not.toContain('--decision')
  })

  test('of a disputed payment sends to the dashboard', async () => {
    await sell(books, 0, orderOf(1), 'chrg_a')
    await books.tell(MINUTE, orderOf(1), { type: 'dispute seen', charge: 'chrg_a' })
    const { text } = await showing(START + HOUR)
    expect(text).toContain('Answer the dispute at the dashboard')
    expect(text).toContain('held    nothing')
  })

  test('of a resolved one says who decided what, and offers nothing more', async () => {
    await stuckSale()
    await resolve(1, 'kept')
    const { text } = await showing(START + 2 * HOUR)
    expect(text).toContain('closed  2026-03-01 20:00:00 (+07:00), 13:00:00 UTC: kept -- as agreed on the telephone')
    expect(text).not.toContain('What can be done')
  })

  test('of an unknown number is an error that names it', async () => {
    await expect(showing(START, 4711)).rejects.toThrow('there is no exception 4711')
  })
})

describe('plinth-gateway exceptions resolve', () => {
  test('kept: the money becomes a sale', async () => {
    await stuckSale()
    const { text } = await resolve(1, 'kept')
    expect(text).toBe('Exception 1 is resolved. THB 25.00 was booked as kept.')
    expect([await balance('late'), await balance('sales'), await balance('outside')]).toEqual([0, -2_500, 0])
  })

  test('returned: the customer has it by other means, and the books say so', async () => {
    await stuckSale()
    await resolve(1, 'returned')
    expect([await balance('late'), await balance('sales'), await balance('outside')]).toEqual([0, 0, -2_500])
    expect((await ask(tellVerification)).ok).toBe(true)
  })

  test('moves what is left when a part of it went back already', async () => {
    await payLate(books, 0, orderOf(1), 'chrg_a')
    await refuseRefund(books, 30_000, orderOf(1), 'chrg_a')
    await books.tell(MINUTE, orderOf(1), { type: 'refunds listed', charge: 'chrg_a', refunds: [{ id: 'rfnd_1', amountMinor: 700, voided: false }] })
    const { text } = await resolve(1, 'returned')
    expect(text).toContain('THB 18.00 was booked as returned')
    expect(await balance('late')).toBe(0)
  })

  test('of one charge leaves the money of the sale\'s other charge alone', async () => {
    await stuckSale()
    await seePaid(books, MINUTE, promptpay, 'chrg_b')
    await resolve(1, 'kept')
    expect([await balance('late'), await balance('sales')]).toEqual([-2_500, -2_500])
    await resolve(2, 'returned')
    expect([await balance('late'), await balance('outside')]).toEqual([0, -2_500])
  })

  test('of money that has gone back in the end needs no decision', async () => {
    await payLate(books, 0, orderOf(1), 'chrg_a')
    for (let tries = 0; tries < 10; tries++) await books.tell(30_000 + tries, orderOf(1), { type: 'refunds unanswered', charge: 'chrg_a' })
    await giveBack(books, MINUTE, orderOf(1), 'chrg_a')
    expect((await resolve(1, 'none')).text).toBe('Exception 1 is resolved.')
    expect(await books.store.exceptions('open')).toEqual([])
  })

  const refused: readonly (readonly [string, () => Promise<unknown>, Resolution['decision'], RegExp])[] = [
    ['of money that is held, without a decision', stuckSale, 'none', /exception 1 stays open: THB 25\.00 of it is held; say --decision/],
    ['kept where nothing is held', disputed, 'kept', /no money is held, so none can be kept/],
    ['returned where nothing is held', disputed, 'returned', /no money is held, so none can be returned/],
    ['kept while it is on its way back', onItsWay, 'kept', /THB 25\.00 is on its way back by itself/],
    ['a second time', async () => { await stuckSale(); await resolve(1, 'kept') }, 'returned', /was resolved already, on 2026-03-01 20:00:00 .*: as agreed/],
    ['of a number that is none', () => Promise.resolve(), 'none', /there is no exception 1/],
  ]

  test.each(refused)('%s is refused and changes nothing', async (_what, before, decision, said) => {
    await before()
    const then = await everything()
    await expect(resolve(1, decision)).rejects.toThrow(said)
    expect(await everything()).toEqual(then)
  })

  test('works beside a gateway that owns the database, which goes on afterwards', async () => {
    await books.store.own()
    await stuckSale()
    const operator = await openStore(books.file)
    await resolveException(operator, { id: 1, note: 'in cash', decision: 'returned', now: START + HOUR })
    await operator.close()
    await sell(books, 2 * HOUR, orderOf(2), 'chrg_b')
    expect((await ask(tellVerification)).ok).toBe(true)
    expect(await balance('outside')).toBe(-2_500)
  })

  async function disputed(): Promise<void> {
    await sell(books, 0, orderOf(1), 'chrg_a')
    await books.tell(MINUTE, orderOf(1), { type: 'dispute seen', charge: 'chrg_a' })
  }

  async function onItsWay(): Promise<void> {
    await payLate(books, 0, orderOf(1), 'chrg_a')
    for (let tries = 0; tries < 10; tries++) await books.tell(30_000 + tries, orderOf(1), { type: 'refunds unanswered', charge: 'chrg_a' })
  }
})

describe('plinth-gateway sale', () => {
  const order = orderOf(1)
  const reference = referenceOf(order.sale)
  const telling = async (ref: string): Promise<string> => (await ask((reader) => tellSale(reader, ref))).text

  test('tells who has the customer on the telephone what happened, when, and what the customer knows', async () => {
    await sell(books, 0, order, 'chrg_a')
    expect(await telling(reference)).toBe(`Sale ${reference}: THB 25.00 by Alipay+ at T-1 -- PAID
  sale    ${order.sale}
  charge  chrg_a

  +07:00               UTC
  2026-03-01 19:00:00  12:00:00  the terminal asked for a charge of THB 25.00
             19:00:00  12:00:00  its charge is chrg_a
             19:00:00  12:00:00  the code was read
                                   sent the code to the terminal
             19:00:10  12:00:10  PAID
                                   booked: sale paid chrg_a: receivable THB 24.56, fees THB 0.44, sales THB -25.00
                                   told the terminal: PAID

How it stands
  Paid: THB 25.00 on 2026-03-01 19:00:09 (+07:00), 12:00:09 UTC.

The customer was told: PAID`)
  })

  test('tells of money that came too late and went back', async () => {
    await payLate(books, 0, order, 'chrg_a')
    await giveBack(books, 21_000, order, 'chrg_a')
    const text = await telling(reference)
    expect(text.slice(text.indexOf('19:00:05'))).toBe(`19:00:05  12:00:05  the terminal asked to close it
                                 closing the charge: cancelled at the terminal
             19:00:05  12:00:05  ended UNPAID: cancelled at the terminal
                                   told the terminal: NOT PAID: cancelled at the terminal
             19:00:20  12:00:20  THB 25.00 came in with charge chrg_a: paid after the sale had ended (cancelled)
                                 it must go back
                                   booked: late payment chrg_a: receivable THB 24.56, fees THB 0.44, late THB -25.00
             19:00:21  12:00:21  asked the payment API to give THB 25.00 back
             19:00:21  12:00:21  THB 25.00 WENT BACK (undone before settlement)
                                   booked: refund rfnd_chrg_a: late THB 25.00, receivable THB -25.00
                                   told the terminal: the payment was returned

How it stands
  Not paid: cancelled at the terminal.
  THB 25.00 came in with charge chrg_a (paid after the sale had ended (cancelled)) and went back on 2026-03-01 19:00:21 (+07:00), 12:00:21 UTC (undone before settlement).

The customer was told: NOT PAID: cancelled at the terminal; then that THB 25.00 was returned (undone before settlement)`)
  })

  test('tells of an exception where it came up, and of what was decided', async () => {
    await stuckSale()
    const open = await telling(referenceOf(promptpay.sale))
    expect(open).toMatch(/19:00:20 .* exception 1 was opened: a person must look/)
    expect(open).toMatch(/ {2}Exception 1 is open: .* -- see plinth-gateway exceptions show 1/)
    await resolve(1, 'returned')
    const closed = await telling(referenceOf(promptpay.sale))
    expect(closed).toContain('exception 1 was resolved (returned): as agreed on the telephone')
    expect(closed).toContain('booked: returned by hand not reversed chrg_a: late THB 25.00, outside THB -25.00')
    expect(closed).toContain('A person decided: returned -- as agreed on the telephone')
    expect(closed).not.toContain('is open')
  })

  test('counts the looks at a charge that nobody has paid yet', async () => {
    await show(books, 0, order, 'chrg_a')
    for (const atMs of [3_000, 6_000, 9_000]) await books.tell(atMs, order, { type: 'deadline reached' })
    const text = await telling(reference)
    expect(text).toContain('19:00:09  12:00:09  the gateway looked 3 times: nothing new')
    expect(text).toContain('Open: the code may be paid until 2026-03-01 19:02:00 (+07:00), 12:02:00 UTC.')
    expect(text).toContain('The customer was told: nothing final yet; the panel shows the code')
  })

  test('tells of refunds that somebody made at the dashboard', async () => {
    await sell(books, 0, order, 'chrg_a')
    await books.tell(HOUR, order, { type: 'refunds listed', charge: 'chrg_a', refunds: [{ id: 'rfnd_1', amountMinor: 1_000, voided: false }] })
    const text = await telling(reference)
    expect(text).toContain('THB 10.00 of it was given back elsewhere, at the dashboard or by a dispute')
    expect(text).toContain('Of it, THB 10.00 went back to the customer since.')
    const both = [{ id: 'rfnd_1', amountMinor: 1_000, voided: false }, { id: 'rfnd_2', amountMinor: 500, voided: false }]
    await books.tell(2 * HOUR, order, { type: 'refunds listed', charge: 'chrg_a', refunds: both })
    expect((await telling(reference)).match(/booked: refund .*/g)).toEqual([
      'booked: refund rfnd_1: refunds THB 10.00, receivable THB -10.00', 'booked: refund rfnd_2: refunds THB 5.00, receivable THB -5.00',
    ])
  })

  test('is found by whatever of it somebody has: the reference as typed, the sale\'s id, its charge, a charge it was paid twice with', async () => {
    await sell(books, 0, order, 'chrg_a')
    await seePaid(books, MINUTE, order, 'chrg_b')
    const text = await telling(reference)
    for (const ref of [reference.toLowerCase(), ` ${reference} `, order.sale, order.sale.toUpperCase(), 'chrg_a', 'chrg_b']) {
      expect(await telling(ref)).toBe(text)
    }
  })

  test('tells all sales of a reference that two have', async () => {
    const seen = new Map<string, number>()
    let second = 0
    do seen.set(referenceOf(orderOf(second).sale), second++)
    while (!seen.has(referenceOf(orderOf(second).sale)))
    const first = seen.get(referenceOf(orderOf(second).sale)) ?? 0
    await sell(books, 0, orderOf(first), 'chrg_a')
    await sell(books, HOUR, orderOf(second), 'chrg_b')
    const text = await telling(referenceOf(orderOf(first).sale))
    expect(text).toContain(orderOf(first).sale)
    expect(text).toContain(orderOf(second).sale)
    expect(text.indexOf(orderOf(first).sale)).toBeLessThan(text.indexOf(orderOf(second).sale))
  })

  test.each([
    ['2345', '"2345" is no reference of six characters, and no id of a sale or a charge'],
    ['ZZZZZZ', 'no sale has the reference ZZZZZZ'],
    ['chrg_nobody', 'no sale of ours has the charge chrg_nobody'],
    ['0195f0a0-0000-7000-8000-00000000ffff', 'no sale has the id 0195f0a0-0000-7000-8000-00000000ffff'],
    ['%_%_%_', '"%_%_%_" is no reference'],
  ])('does not know %s and says so', async (ref, said) => {
    await sell(books, 0, order, 'chrg_a')
    await expect(telling(ref)).rejects.toThrow(said)
  })

  test('helps who read a character that no reference has', async () => {
    await sell(books, 0, order, 'chrg_a')
    await expect(telling(`${reference.slice(0, 3)}0${reference.slice(4)}`)).rejects.toThrow(`references have no 0, O, 1 or I, so look at it again (D, Q, 8, J, L, 7?); there is ${reference}`)
    await expect(telling('OOOOO2')).rejects.toThrow(/look at it again/)
  })

  test('never tells the code, which can be paid, nor the nonce', async () => {
    await show(books, 0, order, 'chrg_a')
    const { text, json } = await ask((reader) => tellSale(reader, reference))
    for (const secret of [CODE, order.nonce]) expect(`${text}${JSON.stringify(json)}`).not.toContain(secret)
    expect(json).toMatchObject([{ sale: order.sale, reference, phase: 'bound', charge: 'chrg_a', order: { amountMinor: 2_500, currency: 'THB' } }])
  })

  test('shows Singapore its own time', async () => {
    const there = orderOf(1, { currency: 'SGD' })
    await sell(books, 0, there, 'chrg_a')
    expect(await telling(reference)).toMatch(/^ {13}20:00:10 {2}12:00:10 {2}PAID$/m)
  })
})

describe('plinth-gateway ledger verify', () => {
  beforeEach(async () => {
    await sell(books, 0, orderOf(1), 'chrg_a')
    await sell(books, HOUR, orderOf(2, { amountMinor: 9_900 }), 'chrg_b', 'T-2')
    await payLate(books, 2 * HOUR, orderOf(3, { amountMinor: 4_000 }), 'chrg_c')
    await giveBack(books, 2 * HOUR + 21_000, orderOf(3, { amountMinor: 4_000 }), 'chrg_c')
  })

  const closing = () => closeTheDay(books.store, { day: theDay('2026-03-01'), now: START + DAY })

  test('of whole books says what is in them', async () => {
    await closing()
    const { hash, at } = await books.store.head()
    const { text, ok, json } = await ask(tellVerification)
    expect(ok).toBe(true)
    expect(text).toBe(`terminal  account        balance
T-1       fees          THB 0.88
T-1       late          THB 0.00
T-1       receivable   THB 24.12
T-1       sales       THB -25.00
T-2       fees          THB 0.44
T-2       receivable   THB 98.56
T-2       sales       THB -99.00

4 entries, 2 day closes; head ${hash} of ${utcText(at)} UTC
The ledger is whole: chain, sums, balances, day closes and the histories of the sales agree.`)
    expect(json).toMatchObject({ ok: true, head: { seq: 4, hash }, closes: 2 })
  })

  test('of empty books finds nothing wrong', async () => {
    const empty = await openShopBooks(join(folder, 'empty.sqlite'))
    expect((await ask(tellVerification, empty.file)).ok).toBe(true)
    await empty.store.close()
  })

  const forgeries: readonly (readonly [string, string, RegExp])[] = [
    ['a changed amount', `UPDATE ledger SET lines = replace(lines, '-2500', '-2400') WHERE seq = 1`, /entry 1 is not as it was written/],
    ['a changed date', `UPDATE ledger SET at = at - 1 WHERE seq = 2`, /entry 2 is not as it was written/],
    ['another terminal', `UPDATE ledger SET terminal = 'T-9' WHERE seq = 2`, /entry 2 is not as it was written/],
    ['a removed entry', `DELETE FROM ledger WHERE seq = 2`, /entry 3 follows entry 1/],
    ['a swapped pair', `UPDATE ledger SET seq = 99 WHERE seq = 2; UPDATE ledger SET seq = 2 WHERE seq = 3; UPDATE ledger SET seq = 3 WHERE seq = 99`,
      /entry 2 is not as it was written/],
    ['a cut tail', `DELETE FROM ledger WHERE seq = 4`, /the ledger has no "refund rfnd_chrg_c", which sale .*0003 posted/],
    ['a cut tail with balances to match', `DELETE FROM ledger WHERE seq = 4;
      UPDATE balance SET minor = -4000 WHERE terminal = 'T-1' AND account = 'late'; UPDATE balance SET minor = minor + 4000 WHERE terminal = 'T-1' AND account = 'receivable'`,
    /the ledger has no "refund rfnd_chrg_c"/],
    ['a cut tail of ledger and histories', `DELETE FROM ledger WHERE seq = 4; UPDATE history SET posted = '[]' WHERE posted LIKE '%rfnd_chrg_c%'`,
      /the balance T-1 THB late is 0, its entries sum to -4000/],
    ['a forged balance', `UPDATE balance SET minor = minor - 1 WHERE terminal = 'T-2' AND account = 'sales'`,
      /the balance T-2 THB sales is -9901, its entries sum to -9900/],
    ['a balance of nothing', `INSERT INTO balance VALUES ('T-3', 'THB', 'sales', -100)`, /the balance T-3 THB sales is -100, its entries sum to 0/],
    ['lines that are none', `UPDATE ledger SET lines = '{' WHERE seq = 3`, /an entry cannot be read/],
  ]

  test.each(forgeries)('finds %s, and names it', async (_what, sql, said) => {
    books.tamper(sql)
    const { text, ok, json } = await ask(tellVerification)
    expect(ok).toBe(false)
    expect(text).toMatch(said)
    expect(text).toMatch(/^The ledger is NOT whole: /)
    expect(json).toMatchObject({ ok: false })
  })

  test('finds an entry that was added with a good hash, since no sale posted it', async () => {
    const extra = chain(await books.store.head(), {
      key: 'sale paid chrg_x', sale: orderOf(9).sale, currency: 'THB', lines: [{ account: 'receivable', minor: 100 }, { account: 'sales', minor: -100 }],
    }, 'T-2', START + DAY)
    books.tamper(`${insertOf(extra)}; UPDATE balance SET minor = minor + 100 WHERE terminal = 'T-2' AND account = 'receivable';
      UPDATE balance SET minor = minor - 100 WHERE terminal = 'T-2' AND account = 'sales'`)
    expect((await ask(tellVerification)).text).toContain('the ledger has "sale paid chrg_x", which no sale posted')
  })

  test('finds what was rewritten from its place to the end, hashes and balances and all, when the day was closed', async () => {
    await closing()
    let head = { seq: 0, at: 0, hash: '0'.repeat(64) }
    const forged: Posted[] = []
    for await (const entry of books.store.entries()) {
      const lines = entry.seq === 1 ? entry.lines.map(({ account, minor }) => ({ account, minor: account === 'fees' ? minor + 1_000 : account === 'receivable' ? minor - 1_000 : minor })) : entry.lines
      forged.push(head = chain(head, { ...entry, lines }, entry.terminal, entry.at))
    }
    books.tamper(`DELETE FROM ledger; ${forged.map(insertOf).join('; ')}; UPDATE balance SET minor = minor + 1000 WHERE terminal = 'T-1' AND account = 'fees';
      UPDATE balance SET minor = minor - 1000 WHERE terminal = 'T-1' AND account = 'receivable'`)
    expect((await ask(tellVerification)).text).toContain('the close of 2026-03-01 for T-1 THB is not the sum of its entries')
  })

  test.each([
    ['changed', `UPDATE day_close SET figures = replace(figures, '"sales":1', '"sales":2') WHERE terminal = 'T-2'`, /the close of 2026-03-01 for T-2 THB is not the sum of its entries/],
    ['of entries that are gone', `UPDATE day_close SET through_seq = 17 WHERE terminal = 'T-2'`, /the close of 2026-03-01 for T-2 THB goes through entry 17, which the ledger does not have/],
    ['of a later day\'s entries', `UPDATE day_close SET day = '2026-02-28' WHERE terminal = 'T-2'`, /the close of 2026-02-28 for T-2 THB counts entry 2, which is of a later day/],
  ])('finds a day close that was %s', async (_what, sql, said) => {
    await closing()
    books.tamper(sql)
    expect((await ask(tellVerification)).text).toMatch(said)
  })

  test('looks at a copy as well, and changes not a byte of it', async () => {
    await books.store.close()
    const copy = join(folder, 'copy.sqlite')
    copyFileSync(books.file, copy)
    const before = readFileSync(copy)
    expect((await ask(tellVerification, copy)).ok).toBe(true)
    expect(readFileSync(copy).equals(before)).toBe(true)
    books = await openShopBooks(books.file)
  })

  test('opens the database so that it could not write if it wanted to', async () => {
    const reader = await readStore(books.file)
    await expect((reader as unknown as typeof books.store).setMark('a', 'b')).rejects.toThrow(/readonly/i)
    await reader.close()
  })

  test('does not make a database that is not there, nor bring an old one up to date', async () => {
    await expect(readStore(join(folder, 'none.sqlite'))).rejects.toThrow(/none\.sqlite cannot be opened/)
    expect(existsSync(join(folder, 'none.sqlite'))).toBe(false)
    new Database(join(folder, 'old.sqlite')).exec('CREATE TABLE t (a)').close()
    await expect(readStore(join(folder, 'old.sqlite'))).rejects.toThrow(/no gateway of this version has worked on it yet/)
  })

  test('sees one moment of the books while a gateway goes on writing', async () => {
    const reader = await readStore(books.file)
    await reader.together(async () => {
      const before = await reader.head()
      await sell(books, 5 * HOUR, orderOf(5), 'chrg_e')
      expect(await reader.head()).toEqual(before)
    })
    expect((await reader.head()).seq).toBe(5)
    await reader.close()
  })

  const insertOf = ({ seq, key, sale, terminal, currency, at, lines, hash }: Posted): string =>
    `INSERT INTO ledger VALUES (${seq}, '${key}', '${sale}', '${terminal}', '${currency}', ${at}, '${JSON.stringify(lines)}', '${hash}')`
})

describe('plinth-gateway ledger close', () => {
  /** START is 19:00 in Thailand, 20:00 in Singapore and Malaysia. */
  const MIDNIGHT_TH = Date.parse('2026-03-01T17:00:00Z')
  const MIDNIGHT_SG = Date.parse('2026-03-01T16:00:00Z')
  const close = (now: number, day: string | undefined = '2026-03-01') =>
    closeTheDay(books.store, { day: day === undefined ? undefined : theDay(day), now })

  test('prints the slip of each terminal and currency', async () => {
    await sell(books, 0, orderOf(1, { amountMinor: 150_000 }), 'chrg_a')
    await sell(books, MINUTE, orderOf(2), 'chrg_b')
    await books.tell(2 * MINUTE, orderOf(2), { type: 'refunds listed', charge: 'chrg_b', refunds: [{ id: 'rfnd_1', amountMinor: 1_000, voided: false }] })
    await payLate(books, HOUR, orderOf(3, { amountMinor: 4_000 }), 'chrg_c')
    await giveBack(books, HOUR + 21_000, orderOf(3, { amountMinor: 4_000 }), 'chrg_c')
    const { text, note, json } = await close(MIDNIGHT_TH)
    expect(note).toBeUndefined()
    expect(text).toBe(`Day close 2026-03-01  T-1  THB
  sales (2)             THB 1,525.00
  refunds                 THB -10.00
  fees                     THB -1.32
  late money in            THB 40.00
  late money out          THB -40.00
  the payment API owes  THB 1,513.68
  through entry 5, closed on 2026-03-02 00:00:00 (+07:00), 17:00:00 UTC`)
    expect(json).toEqual(await books.store.closedDays('2026-03-01'))
  })

  test('prints the same bytes when it is asked again, whenever that is, and says that it is the stored slip', async () => {
    await sell(books, 0, orderOf(1), 'chrg_a')
    const first = await close(MIDNIGHT_TH)
    const stored = await books.store.closedDays()
    const again = await close(MIDNIGHT_TH + 40 * DAY)
    expect(again.text).toBe(first.text)
    expect(again.note).toBe('2026-03-01 was closed already for T-1 THB: this is the slip as it was stored')
    expect(await books.store.closedDays()).toEqual(stored)
  })

  test('refuses a day that is not over where its currency is spent: to the millisecond', async () => {
    await sell(books, 0, orderOf(1), 'chrg_a')
    await expect(close(MIDNIGHT_TH - 1)).rejects.toThrow('2026-03-01 is not over for T-1 THB: it ends on 2026-03-02 00:00:00 (+07:00), 17:00:00 UTC')
    expect(await books.store.closedDays()).toEqual([])
    await close(MIDNIGHT_TH)
    expect(await books.store.closedDays()).toHaveLength(1)
  })

  test('closes Singapore an hour before Thailand, and says what is not over yet', async () => {
    await sell(books, 0, orderOf(1), 'chrg_a')
    await sell(books, 0, orderOf(2, { currency: 'SGD' }), 'chrg_b', 'T-2')
    const { json, note } = await close(MIDNIGHT_SG)
    expect(json).toMatchObject([{ terminal: 'T-2', currency: 'SGD', salesMinor: 2_500 }])
    expect(note).toContain('2026-03-01 is not over for T-1 THB')
    expect((await close(MIDNIGHT_TH)).json).toMatchObject([{ terminal: 'T-1', currency: 'THB' }, { terminal: 'T-2', currency: 'SGD' }])
  })

  test('puts what was paid at midnight into the next day', async () => {
    await sell(books, MIDNIGHT_TH - START - 10_001, orderOf(1), 'chrg_a')
    await sell(books, MIDNIGHT_TH - START - 10_000, orderOf(2, { amountMinor: 9_900 }), 'chrg_b')
    expect((await close(MIDNIGHT_TH + DAY)).json).toMatchObject([{ sales: 1, salesMinor: 2_500 }])
    expect((await close(MIDNIGHT_TH + DAY, '2026-03-02')).json).toMatchObject([{ sales: 1, salesMinor: 9_900 }])
    expect((await ask(tellVerification)).ok).toBe(true)
  })

  test('takes along the days that nobody closed', async () => {
    await sell(books, 0, orderOf(1), 'chrg_a')
    await sell(books, DAY, orderOf(2), 'chrg_b')
    expect((await close(START + 3 * DAY, '2026-03-02')).json).toMatchObject([{ sales: 2, day: '2026-03-02' }])
    await expect(close(START + 3 * DAY, '2026-03-01')).rejects.toThrow('2026-03-01 is behind the last close of T-1 THB, which was 2026-03-02')
    expect((await ask(tellVerification)).ok).toBe(true)
  })

  test('without a day is about yesterday, as the calendar of the currency has it', async () => {
    await sell(books, 0, orderOf(1), 'chrg_a')
    await sell(books, 0, orderOf(2, { currency: 'MYR' }), 'chrg_b')
    const { json } = await closeTheDay(books.store, { day: undefined, now: MIDNIGHT_SG })
    expect(json).toMatchObject([{ currency: 'MYR', day: '2026-03-01' }])
    expect(json).toHaveLength(1)
  })

  test('of a day without entries has nothing to print and stores nothing', async () => {
    await sell(books, 0, orderOf(1), 'chrg_a')
    expect((await close(START + DAY, '2026-02-20')).text).toBe('There is nothing to close: no entry of that day or before it is left.')
    expect(await books.store.closedDays()).toEqual([])
  })

  test('leaves the books whole, close after close', async () => {
    for (let day = 0; day < 5; day++) {
      await sell(books, day * DAY, orderOf(10 + day), `chrg_${day}`)
      await sell(books, day * DAY, orderOf(20 + day, { currency: 'SGD' }), `chrg_s${day}`)
      await close(START + (day + 1) * DAY, `2026-03-0${day + 1}`)
    }
    expect(await books.store.closedDays()).toHaveLength(10)
    expect(await ask(tellVerification)).toMatchObject({ ok: true, json: { closes: 10 } })
  })

  test('by two at once makes one slip, and who came second is told', async () => {
    await sell(books, 0, orderOf(1), 'chrg_a')
    const other = await openStore(books.file)
    const faster = { day: theDay('2026-03-01'), now: MIDNIGHT_TH }
    const overtaken: typeof other = { ...other, together: async (work) => { await closeTheDay(books.store, faster); return other.together(work) } }
    await expect(closeTheDay(overtaken, faster)).rejects.toThrow('somebody else is closing T-1 THB: look again')
    await other.close()
    expect(await books.store.closedDays()).toHaveLength(1)
  })

  test('of an orphan of yesterday that was found today counts it today', async () => {
    await sell(books, 0, orderOf(1), 'chrg_a')
    await close(MIDNIGHT_TH)
    await seePaid(books, MIDNIGHT_TH - START + HOUR, orderOf(1), 'chrg_b')
    expect((await close(MIDNIGHT_TH + DAY, '2026-03-02')).json).toMatchObject([{ sales: 0, lateMinor: 2_500 }])
  })
})
