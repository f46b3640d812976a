import Database from 'better-sqlite3'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { salePaid } from '../../cloud/ledger.js'
import { type Commit, openStore, type Outgoing, type Store } from '../../cloud/store.js'
import { mintKey, publicPart } from '../../device/protocol/seal.js'
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
  ({ sale: order.sale, state, deadline: undefined, entries: [], words: [], at: START, ...changed })

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
    expect((await store.ledger(order.sale)).reduce((sum, { minor }) => sum + minor, 0)).toBe(0)
  })

  test.each(['sale', 'ledger', 'outbox', 'reply', 'counter'])('is all or nothing, when writing the %s fails', async (table) => {
    await store.commit(commitOf(intent, { words: [word(1, 'open-1')], deadline: START + 1_000 }))
    const before = await everything()
    const broken = new Database(file())
    for (const verb of ['insert', 'update']) {
      broken.exec(`create trigger disk_full_${verb} before ${verb} on "${table}" begin select raise(abort, 'disk is full'); end`)
    }
    broken.close()
    const whole = commitOf(paid, { entries: [salePaid(order, charge('a'))], words: [word(2, 'ask-1'), word(3, 'ask-2')] })
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
    sale: await store.sale(order.sale), open: await store.openSales(), ledger: await store.ledger(), outbox: await store.outbox(100),
    counter: await store.counter(), replies: [await store.reply('T-1', 'open-1'), await store.reply('T-1', 'ask-1')],
  })
})

describe('the ledger', () => {
  test('posts the same key once, however often it is committed', async () => {
    const entries = [salePaid(order, charge('a'))]
    await store.commit(commitOf(paid, { entries }))
    await store.commit(commitOf(paid, { entries }))
    await store.commit(commitOf(paid, { entries: [...entries, ...entries] }))
    expect((await store.ledger()).map(({ key, account, minor }) => [key, account, minor])).toEqual([
      ['sale paid a', 'receivable', 2456], ['sale paid a', 'fees', 44], ['sale paid a', 'sales', -2500],
    ])
  })

  test('keeps the entries of each sale apart', async () => {
    await store.commit(commitOf(paid, { entries: [salePaid(order, charge('a'))] }))
    const other = { ...order, sale: '0195f0a0-0000-7000-8000-000000000002' }
    await store.commit(commitOf({ ...paid, order: other }, { sale: other.sale, entries: [salePaid(other, charge('b'))] }))
    expect(new Set((await store.ledger(order.sale)).map(({ key }) => key))).toEqual(new Set(['sale paid a']))
    expect(await store.ledger()).toHaveLength(6)
    expect(await store.ledger('nobody')).toEqual([])
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
    expect(await store.terminal('T-1')).toEqual({ id: 'T-1', key: publicPart(key), passwordHash: 'ab'.repeat(32) })
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
