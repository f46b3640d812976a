import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import type { Effect, Event } from '../../cloud/charge.js'
import { createChargeEffects, saleOf } from '../../cloud/charge-effects.js'
import type { Answer, Charge, ChargeTerms, Omise, Page, Paging, Refund } from '../../cloud/omise.js'
import type { CodeReader } from '../../cloud/qr-document.js'
import { apiCharge, charge, order, START } from './charge-story.js'

const CODE = 'https://qr.example/code-of-a'

const ok = <T>(value: T): Answer<T> => ({ answer: 'ok', value })
const refused: Answer<never> = { answer: 'refused', status: 400, code: 'failed_expire', message: '' }
const none: Answer<never> = { answer: 'none', because: 'timeout', text: '' }
const neverSent: Answer<never> = { answer: 'none', because: 'unreachable', text: 'ECONNREFUSED' }

const seenAs = (id: string, sale: string = order.sale, changed: Partial<Charge> = {}): Charge =>
  apiCharge(charge(id), { metadata: { plinth_sale: sale }, ...changed })

/** An Omise that knows only what a test gives it; anything else is a mistake of the test. */
function omiseWith(known: Partial<Omise>): Omise {
  const unexpected = (): never => { throw new Error('not asked for in this test') }
  return {
    livemode: false, createSource: unexpected, chargeSource: unexpected, chargeNewSource: unexpected, retrieveCharge: unexpected, listCharges: unexpected,
    expireCharge: unexpected, refundCharge: unexpected, listRefunds: unexpected, listEvents: unexpected, chargeEvents: unexpected,
    capability: unexpected, reachable: unexpected, downloadCode: unexpected, ...known,
  }
}

const noReader: CodeReader = {
  read: () => Promise.resolve({ unreadable: 'no code', detail: '' } as never), warm: () => Promise.resolve(true), close: () => Promise.resolve(),
}

interface Told {
  readonly events: readonly (Event | undefined)[]
  readonly logged: string
}

async function execute(known: Partial<Omise>, effects: readonly Effect[], { sendExpiresAt = true, codes = noReader } = {}): Promise<Told> {
  let logged = ''
  const log = pino({ level: 'info' }, { write: (line: string) => { logged += line } })
  const tool = createChargeEffects({ omise: omiseWith(known), codes, sendExpiresAt, log })
  const events: (Event | undefined)[] = []
  for (const effect of effects) events.push(await tool.execute(effect))
  return { events, logged }
}

const create: Effect = { do: 'create charge', terminal: 'T-1', order, attempt: 2, expiresAt: START + 120_000 }
const find: Effect = { do: 'find charges', order, since: START, showing: null }
const readCode: Effect = { do: 'read code', charge: 'a', order }
const expireOrphan: Effect = { do: 'expire orphan', charge: 'a' }

describe('a charge is created', () => {
  test('for the very amount of the sale, named in its metadata, and ending with its code', async () => {
    const asked: (ChargeTerms & { readonly method: string })[] = []
    const chargeNewSource: Omise['chargeNewSource'] = (terms) => { asked.push(terms); return Promise.resolve(ok(seenAs('a'))) }
    await execute({ chargeNewSource }, [create])
    await execute({ chargeNewSource }, [create], { sendExpiresAt: false })
    expect(asked[0]).toMatchObject({
      amountMinor: 2500, currency: 'THB', method: 'alipayplus_mpm', expiresAt: '2026-03-01T12:02:00.000Z',
      metadata: { plinth_sale: order.sale, plinth_nonce: order.nonce, plinth_terminal: 'T-1', plinth_attempt: '2' },
    })
    expect(asked[1]).not.toHaveProperty('expiresAt')
  })

  test('is not the one of another sale: one payment would pay for both', async () => {
    const anothers = ok({ ...seenAs('a'), metadata: { plinth_sale: '01931e7c-0000-7000-8000-0000000000ff' } })
    const nobodys = ok({ ...seenAs('a'), metadata: {} })
    for (const answer of [anothers, nobodys]) {
      expect((await execute({ chargeNewSource: () => Promise.resolve(answer) }, [create])).events).toEqual([{ type: 'create unanswered' }])
    }
  })

  test.each([
    [refused, { type: 'create refused', code: 'failed_expire' }],
    [none, { type: 'create unanswered' }],
    [neverSent, { type: 'create refused', code: 'unreachable' }], // Nothing left us, so nothing is in doubt.
  ])('%j is told as %j', async (answer, event) => {
    expect((await execute({ chargeNewSource: () => Promise.resolve(answer) }, [create])).events).toEqual([event])
  })
})

describe('lost charges are looked for by their metadata', () => {
  /** A merchant's list, given out in pages of at most this many. */
  const listOf = (all: readonly Charge[], perPage: number, asked: Paging[] = []): Partial<Omise> => ({
    listCharges: (paging) => {
      asked.push(paging)
      const { offset = 0, limit = 20 } = paging
      const items = all.slice(offset, offset + Math.min(limit, perPage))
      return Promise.resolve(ok<Page<Charge>>({ items, unreadable: 0, total: all.length, offset, limit: Math.min(limit, perPage) }))
    },
  })
  const crowd = (count: number, at: readonly number[]): readonly Charge[] =>
    Array.from({ length: count }, (_, index) => seenAs(`c${index}`, at.includes(index) ? order.sale : 'another sale'))
  const ids = ([event]: readonly (Event | undefined)[]): readonly string[] | string | undefined =>
    (event?.type === 'charges found' ? event.charges.map(({ id }) => id) : event?.type)

  test.each([0, 1, 99, 100, 101, 250])('through all pages, whatever their number: %i charges, ours the last', async (count) => {
    const { events } = await execute(listOf(crowd(count, [count - 1]), 100), [find])
    expect(ids(events)).toEqual(count === 0 ? [] : [`c${count - 1}`])
  })

  test('even when a page holds fewer than were asked for', async () => {
    const { events } = await execute(listOf(crowd(150, [25, 149]), 20), [find])
    expect(ids(events)).toEqual(['c25', 'c149'])
  })

  test('from a minute before the sale began, oldest first, in the largest pages there are', async () => {
    const asked: Paging[] = []
    await execute(listOf([], 100, asked), [find])
    expect(asked).toEqual([{ from: '2026-03-01T11:59:00.000Z', limit: 100, offset: 0, order: 'chronological' }])
  })

  const incomplete: Readonly<Record<string, Partial<Omise>>> = {
    'a page that did not come': { listCharges: () => Promise.resolve(none) },
    'a list that was refused': { listCharges: () => Promise.resolve(refused) },
    'a charge that could not be read': { listCharges: () => Promise.resolve(ok({ items: [], unreadable: 1, total: 1, offset: 0, limit: 100 })) },
    'an empty page before the end': { listCharges: () => Promise.resolve(ok({ items: [], unreadable: 0, total: 5, offset: 0, limit: 100 })) },
    'more charges than anybody reads': listOf(crowd(10_101, []), 100),
  }
  test.each(Object.entries(incomplete))('and %s never means that there is none', async (_, known) => {
    expect(ids((await execute(known, [find])).events)).toBe('find unanswered')
  })
})

describe('the charge that a terminal shows', () => {
  const list = (...items: readonly Charge[]): Partial<Omise> =>
    ({ listCharges: () => Promise.resolve(ok({ items, unreadable: 0, total: items.length, offset: 0, limit: 100 })) })
  const shown: Effect = { ...find, showing: 'b' }

  test('is found although the list does not have it yet', async () => {
    const known = { ...list(seenAs('a')), retrieveCharge: () => Promise.resolve(ok(seenAs('b'))) }
    expect((await execute(known, [shown])).events).toEqual([{ type: 'charges found', charges: [seenAs('a'), seenAs('b')] }])
  })

  test('is not asked for by its name when the list has it', async () => {
    expect((await execute(list(seenAs('a'), seenAs('b')), [shown])).events).toEqual([{ type: 'charges found', charges: [seenAs('a'), seenAs('b')] }])
  })

  test.each<[string, Answer<Charge>]>([['of another sale', ok(seenAs('b', 'another sale'))], ['that there is not', refused]])('is none of ours %s', async (_, answer) => {
    expect((await execute({ ...list(seenAs('a')), retrieveCharge: () => Promise.resolve(answer) }, [shown])).events)
      .toEqual([{ type: 'charges found', charges: [seenAs('a')] }])
  })

  test('is not said to be none while the API does not answer', async () => {
    expect((await execute({ ...list(), retrieveCharge: () => Promise.resolve(none) }, [shown])).events).toEqual([{ type: 'find unanswered' }])
  })
})

describe('an orphan is closed', () => {
  test('and that is all', async () => {
    expect((await execute({ expireCharge: () => Promise.resolve(ok(seenAs('a'))) }, [expireOrphan])).events).toEqual([undefined])
  })

  test('or, when it had ended, read: a payment on it is told to its sale', async () => {
    const paid = seenAs('a', order.sale, { status: 'successful', paid: true })
    const { events } = await execute({ expireCharge: () => Promise.resolve(refused), retrieveCharge: () => Promise.resolve(ok(paid)) }, [expireOrphan])
    expect(events).toEqual([{ type: 'charge read', charge: paid }])
  })

  test.each(['expired', 'failed', 'pending'])('without trying for ever, when it is %s', async (status) => {
    const known = { expireCharge: () => Promise.resolve(refused), retrieveCharge: () => Promise.resolve(ok(seenAs('a', order.sale, { status }))) }
    expect((await execute(known, [expireOrphan])).events).toEqual([undefined])
  })

  test('or left to the sweeper, when nobody answers', async () => {
    expect((await execute({ expireCharge: () => Promise.resolve(none) }, [expireOrphan])).events).toEqual([undefined])
  })
})

describe('money goes back', () => {
  const rfnd = (id: string): Refund => ({
    id, charge: 'a', amountMinor: 10, currency: 'THB', livemode: false, voided: false, metadata: {}, createdAt: new Date(START).toISOString(),
  })
  const list: Effect = { do: 'list refunds', charge: 'a' }
  const refundCharge: Effect = { do: 'refund charge', charge: 'a', sale: order.sale, amountMinor: 2_500 }
  const pages = (all: readonly Refund[], unreadable = 0): Partial<Omise> => ({
    listRefunds: (_, { offset = 0, limit = 20 } = {}) =>
      Promise.resolve(ok({ items: all.slice(offset, offset + limit), unreadable, total: all.length + unreadable, offset, limit })),
  })

  test.each([0, 1, 100, 101])('after a look at all the refunds of the charge there are: %i', async (count) => {
    const refunds = Array.from({ length: count }, (_, index) => rfnd(`r${index}`))
    expect((await execute(pages(refunds), [list])).events).toEqual([{ type: 'refunds listed', charge: 'a', refunds }])
  })

  test.each<[string, Partial<Omise>]>([
    ['a list that did not come', { listRefunds: () => Promise.resolve(none) }], ['a list that was refused', { listRefunds: () => Promise.resolve(refused) }],
    ['a refund that nobody can read', pages([rfnd('r1')], 1)],
  ])('and %s never means that nothing has gone back', async (_, known) => {
    expect((await execute(known, [list])).events).toEqual([{ type: 'refunds unanswered', charge: 'a' }])
  })

  test('for exactly what is asked, with the sale in its metadata, and once', async () => {
    const asked: unknown[] = []
    const known: Partial<Omise> = { refundCharge: (...of) => { asked.push(of); return Promise.resolve(ok(rfnd('r'))) } }
    expect((await execute(known, [refundCharge])).events).toEqual([{ type: 'refund made', charge: 'a', refund: rfnd('r') }])
    expect(asked).toEqual([['a', { amountMinor: 2_500, metadata: { plinth_sale: order.sale } }]])
  })

  test.each([[refused, { type: 'refund refused', charge: 'a', code: 'failed_expire' }], [none, { type: 'refund unanswered', charge: 'a' }],
    [neverSent, { type: 'refund unanswered', charge: 'a' }]])('%j is told as %j', async (answer, event) => {
    expect((await execute({ refundCharge: () => Promise.resolve(answer) }, [refundCharge])).events).toEqual([event])
  })
})

describe('what a charge says of its sale', () => {
  test('is the whole order, as it was when the charge was made', async () => {
    let metadata: Charge['metadata'] = {}
    const chargeNewSource: Omise['chargeNewSource'] = (terms) => { ({ metadata } = terms); return Promise.resolve(ok(seenAs('a'))) }
    await execute({ chargeNewSource }, [create])
    expect(saleOf(apiCharge(charge('a'), { metadata }))).toEqual({ terminal: 'T-1', order })
    expect(Object.values(metadata).every((value) => typeof value === 'string')).toBe(true)
  })

  test.each<[ReturnType<typeof saleOf>, Partial<Charge>]>([
    ['not ours', { metadata: {} }], ['not ours', { metadata: { order: '7' } }], ['unreadable', { metadata: { plinth_sale: order.sale } }],
    ['unreadable', { metadata: { plinth_sale: order.sale, plinth_nonce: order.nonce, plinth_terminal: 7 } }],
    ['unreadable', { metadata: { plinth_sale: order.sale, plinth_nonce: order.nonce, plinth_terminal: 'T/1' } }],
    ['unreadable', { currency: 'JPY' }], ['unreadable', { amountMinor: 0 }], ['unreadable', { method: 'card' }], ['unreadable', { method: undefined }],
  ])('%s: %j', (expected, changed) => {
    expect(saleOf(apiCharge(charge('a'), changed))).toEqual(expected)
  })
})

describe('the code of a charge', () => {
  const chargeNewSource = (seen: Charge): Partial<Omise> => ({ chargeNewSource: () => Promise.resolve(ok(seen)) })

  test('is the text of the API, as it came with the creation: nothing more is asked', async () => {
    const { events } = await execute(chargeNewSource(seenAs('a')), [create, readCode])
    expect(events[1]).toEqual({ type: 'code read', payload: CODE })
  })

  test('is read from the charge again when its creation was in another life', async () => {
    const { events } = await execute({ retrieveCharge: () => Promise.resolve(ok(seenAs('a'))) }, [readCode])
    expect(events).toEqual([{ type: 'code read', payload: CODE }])
  })

  test.each([undefined, {}, { payload: 'http://qr.example/not-secure' }, { payload: 'no address' }])('is unreadable, and never guessed, from %j', async (code) => {
    const { events, logged } = await execute(chargeNewSource(seenAs('a', order.sale, { code })), [create, readCode])
    expect(events[1]?.type).toBe('code unreadable')
    expect(logged).not.toContain('qr.example')
  })

  test('is asked for again later when its image did not come', async () => {
    const known = { ...chargeNewSource(seenAs('a', order.sale, { code: { downloadUri: 'https://x/charges/1' } })), downloadCode: () => Promise.resolve(none) }
    expect((await execute(known, [create, readCode])).events[1]).toEqual({ type: 'code unanswered' })
  })
})
