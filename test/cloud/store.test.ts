import Database from 'better-sqlite3'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { decidedByHand, EMPTY, type Entry, latePayment, type Posted, refunded, replay, salePaid } from '../../cloud/ledger.js'
import type { Concern } from '../../cloud/reversal.js'
import { type Commit, openStore, type Outgoing, type Store, storeOn } from '../../cloud/store.js'
import { mintKey, publicPart } from '../../device/protocol/seal.js'
import { referenceOf } from '../../device/protocol/wire.js'
import { charge, closeAsked, codeRead, created, opened, order, paidCharge, play, read, START } from './charge-story.js'

let folder = ''
let store: Store

const file = (): string => join(folder, 'gateway.sqlite')

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'plinth-store-'))
  store = await openStore(file())
})

afterEach(async () => {
  await store.close()
  rmSync(folder, { recursive: true, force: true })
})

async function reopen(): Promise<void> {
  await store.close()
  store = await openStore(file())
}

type Known = Commit['state']
const known = (lines: Parameters<typeof play>[0]): Known => {
  const { state } = play(lines)
  if (state.phase === 'none') throw new Error('the story has not begun')
  return state
}

const intent = known([[0, opened()]])
const bound = known([[0, opened()], [400, created('a')], [700, codeRead]])
const paid = known([[0, opened()], [400, created('a')], [700, codeRead], [2_000, read(paidCharge('a'))]])

const word = (counter: number, re: string | null = null, terminal = 'T-1'): Outgoing =>
  ({ topic: `plinth/1/${terminal}/dn/sale`, terminal, re, counter, sealed: `word ${counter}` })

const commitOf = (state: Known, changed: Partial<Commit> = {}): Commit =>
  ({ sale: order.sale, state, deadline: undefined, entries: [], concerns: [], words: [], event: 'charge read', at: START, ...changed })

const concern: Concern = { key: 'not reversed a', charge: 'a', amountMinor: 2500, currency: 'THB', reason: 'it cannot be refunded' }

async function wholeLedger(): Promise<readonly Posted[]> {
  const all: Posted[] = []
  for await (const entry of store.entries()) all.push(entry)
  return all
}

describe('what was committed', () => {
  test('is there after the program was started again: sale, deadline, ledger, words, answers, counter', async () => {
    await store.commit(commitOf(bound, { deadline: START + 2_700, words: [word(7, 'open-1')], entries: [salePaid(order, charge('a'))] }))
    await reopen()
    expect(await store.sale(order.sale)).toEqual(bound)
    expect(await store.saleOfCharge('a')).toBe(order.sale)
    expect(await store.openSales()).toEqual([{ sale: order.sale, deadline: START + 2_700 }])
    expect(await store.reply('T-1', 'open-1')).toEqual({ topic: 'plinth/1/T-1/dn/sale', sealed: 'word 7' })
    expect((await store.outbox(10)).map(({ sealed }) => sealed)).toEqual(['word 7'])
    expect(await store.counter()).toBe(7)
    expect((await store.ledger(order.sale)).map(({ key }) => key)).toEqual(['sale paid a'])
    expect(await store.balances()).toHaveLength(3)
  })

  test.each(['sale', 'ledger', 'balance', 'history', 'exception', 'outbox', 'reply', 'counter'])('is all or nothing, when writing the %s fails', async (table) => {
    await store.commit(commitOf(intent, { words: [word(1, 'open-1')], deadline: START + 1_000 }))
    const before = await everything()
    const broken = new Database(file())
    for (const verb of ['insert', 'update']) {
      broken.exec(`create trigger disk_full_${verb} before ${verb} on "${table}" begin select raise(abort, 'disk is full'); end`)
    }
    broken.close()
    const whole = commitOf(paid, {
      entries: [salePaid(order, charge('a'))], concerns: [concern], words: [word(2, 'ask-1'), word(3, 'ask-2')],
    })
    await expect(store.commit(whole)).rejects.toThrow('disk is full')
    expect(await everything()).toEqual(before)
  })

  test('is not disturbed by a commit that failed: the next one goes through', async () => {
    const broken = new Database(file())
    broken.exec(`create trigger bad before insert on reply when new.request = 'poison' begin select raise(abort, 'no'); end`)
    broken.close()
    await expect(store.commit(commitOf(intent, { words: [word(1, 'poison')] }))).rejects.toThrow('no')
    await store.commit(commitOf(intent, { words: [word(2, 'open-1')] }))
    expect((await store.outbox(10)).map(({ sealed }) => sealed)).toEqual(['word 2'])
  })

  const everything = async (): Promise<unknown> => ({
    sale: await store.sale(order.sale), open: await store.openSales(), ledger: await wholeLedger(), balances: await store.balances(),
    history: await store.history(order.sale), exceptions: await store.exceptions('all'), outbox: await store.outbox(100),
    counter: await store.counter(), replies: [await store.reply('T-1', 'open-1'), await store.reply('T-1', 'ask-1')],
  })
})

describe('the ledger', () => {
  test('posts the same key once, however often it is committed', async () => {
    const entries = [salePaid(order, charge('a'))]
    await store.commit(commitOf(paid, { entries }))
    await store.commit(commitOf(paid, { entries }))
    await store.commit(commitOf(paid, { entries: [...entries, ...entries] }))
    expect((await wholeLedger()).map(({ key, lines }) => [key, lines.map(({ account, minor }) => `${account} ${minor}`).join(', ')])).toEqual([
      ['sale paid a', 'receivable 2456, fees 44, sales -2500'],
    ])
    expect((await store.balances()).map(({ account, minor }) => `${account} ${minor}`)).toEqual(['fees 44', 'receivable 2456', 'sales -2500'])
  })

  test('keeps the entries of each sale apart, and all in one chain', async () => {
    await store.commit(commitOf(paid, { entries: [salePaid(order, charge('a'))] }))
    const other = { ...order, sale: '0195f0a0-0000-7000-8000-000000000002' }
    await store.commit(commitOf({ ...paid, terminal: 'T-2', order: other }, { sale: other.sale, entries: [salePaid(other, charge('b'))], at: START - 1 }))
    expect((await store.ledger(order.sale)).map(({ key }) => key)).toEqual(['sale paid a'])
    expect((await wholeLedger()).map(({ seq, terminal, at }) => [seq, terminal, at])).toEqual([[1, 'T-1', START], [2, 'T-2', START]])
    expect(await store.ledger('nobody')).toEqual([])
  })

  test('is read in order to its end, however long it is, or from any entry on; and its head is the last', async () => {
    expect(await store.head()).toEqual(EMPTY)
    const entries = Array.from({ length: 2_500 }, (_, index) => refunded(order, 'sale', 'THB', { id: `r${index}`, amountMinor: 1 }))
    await store.commit(commitOf(paid, { entries }))
    const all = await wholeLedger()
    expect(all.map(({ key }) => key)).toEqual(entries.map(({ key }) => key))
    expect(await store.head()).toEqual({ seq: 2_500, at: START, hash: all.at(-1)?.hash })
    const later: number[] = []
    for await (const { seq } of store.entries(1_000)) later.push(seq)
    expect([later[0], later.length]).toEqual([1_001, 1_500])
  })

  test.each(["UPDATE ledger SET lines = '[]'", 'DELETE FROM ledger', 'DELETE FROM exception'])('cannot be changed by hand: %s', async (statement) => {
    await store.commit(commitOf(paid, { entries: [salePaid(order, charge('a'))], concerns: [concern] }))
    const hand = new Database(file())
    expect(() => hand.exec(statement)).toThrow(/append-only|never deleted/)
    hand.close()
    expect(await wholeLedger()).toHaveLength(1)
  })

  test('replays to the very balances that the commits added up, whatever was committed, twice, or failed', async () => {
    const posting = fc.record({
      what: fc.constantFrom('paid', 'late', 'refund', 'late refund'), id: fc.nat(9), amountMinor: fc.integer({ min: 1, max: 999_999 }),
      terminal: fc.constantFrom('T-1', 'T-2'), currency: fc.constantFrom('THB', 'SGD'), fails: fc.constantFrom(false, false, false, true),
    })
    await fc.assert(fc.asyncProperty(fc.array(posting, { maxLength: 20 }), async (postings) => {
      const db = new Database(':memory:')
      const books = storeOn(db)
      for (const { what, id, amountMinor, terminal, currency, fails } of postings) {
        const sale = { ...order, sale: `sale-${id}` }
        const money = { id: `${what}-${id}`, amountMinor, currency, feeMinor: 3, feeVatMinor: 1 }
        const entry: Entry = what === 'paid' ? salePaid(sale, money) : what === 'late' ? latePayment(sale, money)
          : refunded(sale, what === 'refund' ? 'sale' : 'late money', currency, money)
        const commit = commitOf({ ...paid, terminal, order: sale }, { sale: sale.sale, entries: [entry] })
        const broken: Entry = { ...entry, key: `${entry.key} too`, lines: null as never }
        if (fails) await expect(books.commit({ ...commit, entries: [entry, broken] })).rejects.toThrow()
        else await books.commit(commit)
      }
      const replayed = await replay(books.entries())
      expect(replayed.ok && replayed.balances).toEqual(await books.balances())
      expect(replayed.ok && replayed.head).toEqual(await books.head())
      await books.close()
    }), { numRuns: 150 })
  })
})

describe('an exception', () => {
  test('is opened once, with the money, the sale and the terminal, and is there after a restart', async () => {
    await store.commit(commitOf(paid, { concerns: [concern] }))
    await store.commit(commitOf(paid, { concerns: [{ ...concern, reason: 'again' }], at: START + 1 }))
    await reopen()
    const opened = { ...concern, id: 1, sale: order.sale, terminal: 'T-1', openedAt: START, resolution: null }
    expect(await store.exceptions('open')).toEqual([opened])
    expect(await store.exception(1)).toEqual(opened)
    expect(await store.exception(2)).toBeUndefined()
  })

  test('leaves the list only with a decision and a note, once, and its entry is posted with it', async () => {
    await store.commit(commitOf(paid, { entries: [latePayment(order, charge('a'))], concerns: [concern] }))
    const returned = decidedByHand('returned', { concern: concern.key, sale: order.sale, currency: 'THB', amountMinor: 2500 })
    const resolution = { decision: 'returned', note: 'paid out in cash', at: START + 5 } as const
    expect(await store.resolve(1, resolution, returned)).toBe(true)
    expect(await store.resolve(1, { ...resolution, decision: 'kept' }, returned)).toBe(false)
    expect(await store.resolve(7, resolution, returned)).toBe(false)
    expect(await store.exceptions('open')).toEqual([])
    expect(await store.exceptions('all')).toMatchObject([{ id: 1, resolution }])
    expect((await store.balances()).map(({ account, minor }) => `${account} ${minor}`)).toEqual(['fees 44', 'late 0', 'outside -2500', 'receivable 2456'])
    await store.commit(commitOf(paid, { concerns: [concern] }))
    expect(await store.exceptions('open'), 'a person has decided').toEqual([])
  })
})

describe('the history of a sale', () => {
  test('tells each step as it was committed, in order, without the code that can be paid', async () => {
    await store.commit(commitOf(intent, { event: 'sale opened' }))
    await store.commit(commitOf(bound, { event: 'code read', words: [word(7, 'open-1')], at: START + 700 }))
    await store.commit(commitOf(paid, { event: 'charge read', entries: [salePaid(order, charge('a'))], words: [word(8)], at: START + 2_000 }))
    expect((await store.history(order.sale)).map(({ at, event, phase, posted, said }) => [at - START, event, phase, posted, said])).toEqual([
      [0, 'sale opened', 'intent', [], []], [700, 'code read', 'bound', [], ['sale open-1']], [2_000, 'charge read', 'paid', ['sale paid a'], ['sale']],
    ])
    expect(JSON.stringify(await store.history(order.sale))).not.toContain('qr.example')
    expect(await store.history('nobody')).toEqual([])
  })
})

describe('one owner at a time', () => {
  test('another gateway on the same file is refused, as long as the first one lives, and disturbs nobody', async () => {
    await store.own()
    const second = await openStore(file())
    await expect(second.own()).rejects.toMatchObject({ code: 'STORE_IN_USE', message: `another gateway works on this database (it holds ${file()}-owner)` })
    await store.commit(commitOf(intent))
    expect(await second.sale(order.sale), 'the second one can still read').toEqual(intent)
    await store.close()
    await second.own()
    await second.commit(commitOf(bound))
    await second.close()
    store = await openStore(file())
    expect(await store.sale(order.sale)).toEqual(bound)
  })

  test('who was followed by another owner commits nothing any more: no state, no word, no entry', async () => {
    const db = new Database(':memory:')
    const first = storeOn(db)
    const second = storeOn(db)
    await first.own()
    await first.commit(commitOf(intent))
    await second.own()
    const late = commitOf(paid, { entries: [salePaid(order, charge('a'))], concerns: [concern], words: [word(9)] })
    await expect(first.commit(late)).rejects.toMatchObject({ code: 'STORE_FENCED' })
    expect(await second.sale(order.sale)).toEqual(intent)
    expect([await second.outbox(10), await second.balances(), await second.exceptions('all')]).toEqual([[], [], []])
    await second.commit(late)
    expect(await second.sale(order.sale)).toEqual(paid)
    db.close()
  })

  test('a program that owns nothing -- one that enrols a terminal -- may write beside the owner', async () => {
    await store.own()
    const beside = await openStore(file())
    await beside.addTerminal({ id: 'T-9', key: publicPart(await mintKey('T-9')), passwordHash: '' }, START)
    await beside.close()
    expect(await store.terminal('T-9')).toMatchObject({ id: 'T-9' })
    await store.commit(commitOf(intent))
  })
})

describe('a mark', () => {
  test('says where a reader stopped, after a restart too', async () => {
    expect(await store.mark('events')).toBeUndefined()
    await store.setMark('events', 'one')
    await store.setMark('events', 'two')
    await store.setMark('other', 'three')
    await reopen()
    expect([await store.mark('events'), await store.mark('other')]).toEqual(['two', 'three'])
  })
})

describe('words on their way', () => {
  test('leave in the order in which they were committed, and each once', async () => {
    await store.commit(commitOf(intent, { words: [word(1), word(2)] }))
    await store.commit(commitOf(intent, { words: [word(3)] }))
    const [first, second] = await store.outbox(2)
    expect([first?.sealed, second?.sealed]).toEqual(['word 1', 'word 2'])
    await store.said(first?.seq ?? 0)
    expect((await store.outbox(10)).map(({ sealed }) => sealed)).toEqual(['word 2', 'word 3'])
  })

  test('are never numbered again, even when all were said', async () => {
    await store.commit(commitOf(intent, { words: [word(1)] }))
    const [first] = await store.outbox(1)
    await store.said(first?.seq ?? 0)
    await reopen()
    await store.commit(commitOf(intent, { words: [word(2)] }))
    const [second] = await store.outbox(1)
    expect(second?.seq).toBeGreaterThan(first?.seq ?? Infinity)
  })
})

describe('an answer', () => {
  test('keeps its first bytes, whatever is said to the same request later', async () => {
    await store.commit(commitOf(bound, { words: [word(1, 'ask-1')] }))
    await store.commit(commitOf(paid, { words: [word(2, 'ask-1')] }))
    expect(await store.reply('T-1', 'ask-1')).toEqual({ topic: 'plinth/1/T-1/dn/sale', sealed: 'word 1' })
    expect(await store.outbox(10)).toHaveLength(2)
  })

  test('belongs to one terminal: another that asks with the same id gets nothing', async () => {
    await store.commit(commitOf(bound, { words: [word(1, 'ask-1')] }))
    expect(await store.reply('T-2', 'ask-1')).toBeUndefined()
  })

  test('is forgotten when it is old, and not before; the sale is kept', async () => {
    await store.commit(commitOf(bound, { words: [word(1, 'ask-1')], at: START }))
    await store.commit(commitOf(bound, { words: [word(2, 'ask-2')], at: START + 1 }))
    await store.prune(START + 1)
    expect(await store.reply('T-1', 'ask-1')).toBeUndefined()
    expect(await store.reply('T-1', 'ask-2')).toBeDefined()
    expect(await store.sale(order.sale)).toEqual(bound)
  })
})

describe('the counter', () => {
  test('never goes back, even when a smaller one is committed', async () => {
    await store.commit(commitOf(intent, { words: [word(1_000)] }))
    await store.commit(commitOf(intent, { words: [word(7)] }))
    expect(await store.counter()).toBe(1_000)
  })

  test('holds milliseconds of the year 2200', async () => {
    const late = Date.parse('2200-01-01T00:00:00Z')
    await store.commit(commitOf(intent, { words: [word(late)] }))
    expect(await store.counter()).toBe(late)
  })
})

describe('sales', () => {
  test('that wait for something are told apart by terminal', async () => {
    const other = { ...order, sale: '0195f0a0-0000-7000-8000-000000000002' }
    await store.commit(commitOf(intent, { deadline: START }))
    await store.commit(commitOf({ ...intent, terminal: 'T-2', order: other }, { sale: other.sale, deadline: START }))
    expect([await store.openSalesOf('T-1'), await store.openSalesOf('T-2'), await store.openSalesOf('T-3')]).toEqual([[order.sale], [other.sale], []])
    await store.commit(commitOf(paid))
    expect(await store.openSalesOf('T-1')).toEqual([])
  })

  test('have a latest one, whatever our clock and the terminal\'s said meanwhile', async () => {
    const [first, second] = ['0195f0a0-ffff-7000-8000-000000000002', '0195f0a0-0000-7000-8000-000000000003']
    for (const [sale, at] of [[first, START + 86_400_000], [second, START]] as const) {
      await store.commit(commitOf({ ...paid, order: { ...order, sale } }, { sale, at }))
    }
    expect(await store.latestSaleOf('T-1')).toBe(second)
    await store.commit(commitOf({ ...paid, order: { ...order, sale: first } }, { sale: first, at: START + 1 }))
    expect(await store.latestSaleOf('T-1')).toBe(second)
    expect(await store.latestSaleOf('T-2')).toBeUndefined()
  })

  test('are found by the six characters that people name them by', async () => {
    await store.commit(commitOf(bound))
    const [found, ...more] = await store.salesByReference(referenceOf(order.sale))
    expect(found).toMatchObject({ sale: order.sale, terminal: 'T-1', openedAt: START })
    expect(found?.state).toEqual(bound)
    expect(more).toEqual([])
    expect(await store.salesByReference('222222')).toEqual([])
  })

  test('that wait for nothing are not taken up again', async () => {
    await store.commit(commitOf(intent, { deadline: START }))
    await store.commit(commitOf(known([[0, closeAsked()], [100, { type: 'charges found', charges: [] }]]), { deadline: undefined }))
    expect(await store.openSales()).toEqual([])
  })

  test('nobody has heard of are undefined', async () => {
    expect(await store.sale('0195f0a0-0000-7000-8000-00000000ffff')).toBeUndefined()
    expect(await store.saleOfCharge('chrg_unknown')).toBeUndefined()
    expect(await store.terminal('T-none')).toBeUndefined()
  })
})

describe('terminals', () => {
  test('are known by id, with the public half of their key and nothing of the private one', async () => {
    const key = await mintKey('T-1')
    await store.addTerminal({ id: 'T-1', key: publicPart(key), passwordHash: 'ab'.repeat(32) }, START)
    await reopen()
    expect(await store.terminal('T-1')).toEqual({ id: 'T-1', key: publicPart(key), passwordHash: 'ab'.repeat(32), frozen: null })
  })

  test('stay frozen, with the reason, until they are enrolled anew; then their past starts are forgotten', async () => {
    const terminal = { id: 'T-1', key: publicPart(await mintKey('T-1')), passwordHash: '' }
    const boots = { epoch: 7, boot: 'b'.repeat(32), previous: 'a'.repeat(32), returns: 2, returnedAt: START }
    await store.addTerminal(terminal, START)
    expect(await store.boots('T-1')).toBeUndefined()
    await store.rememberBoots('T-1', boots)
    await store.freeze('T-1', 'two boxes use its identity')
    await reopen()
    expect(await store.boots('T-1')).toEqual(boots)
    expect((await store.terminal('T-1'))?.frozen).toBe('two boxes use its identity')
    await store.addTerminal(terminal, START + 1)
    expect([await store.boots('T-1'), (await store.terminal('T-1'))?.frozen]).toEqual([undefined, null])
  })
})

describe('the file', () => {
  test('is brought up to date once: opening it again changes no table and no content', async () => {
    await store.commit(commitOf(intent, { words: [word(5)] }))
    const tables = schema()
    await reopen()
    await reopen()
    expect(schema()).toEqual(tables)
    expect(await store.counter()).toBe(5)
  })

  test('that is no database is refused by name', async () => {
    const foreign = join(folder, 'notes.txt')
    writeFileSync(foreign, 'milk, eggs, bread; and no database at all, however long one looks at it\n'.repeat(50))
    await expect(openStore(foreign)).rejects.toThrow(/notes\.txt/)
  })

  const schema = (): unknown => {
    const db = new Database(file(), { readonly: true })
    try {
      return db.prepare(`select name, sql from sqlite_schema where name not like 'sqlite_%' order by name`).all()
    } finally {
      db.close()
    }
  }
})
