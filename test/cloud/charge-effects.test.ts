import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import type { Effect, Event } from '../../cloud/charge.js'
import { createChargeEffects } from '../../cloud/charge-effects.js'
import type { Answer, Charge, ChargeTerms, Omise, Page, Paging } from '../../cloud/omise.js'
import type { CodeReader } from '../../cloud/qr-document.js'
import { charge, order, START } from './charge-story.js'

const CODE = 'https://qr.example/code-of-a'

const ok = <T>(value: T): Answer<T> => ({ answer: 'ok', value })
const refused: Answer<never> = { answer: 'refused', status: 400, code: 'failed_expire', message: '' }
const none: Answer<never> = { answer: 'none', because: 'timeout', text: '' }
const neverSent: Answer<never> = { answer: 'none', because: 'unreachable', text: 'ECONNREFUSED' }

const seenAs = (id: string, sale: string = order.sale, changed: Partial<Charge> = {}): Charge => ({
  ...charge(id), createdAt: new Date(START).toISOString(), failureMessage: undefined, metadata: { plinth_sale: sale }, code: { payload: CODE },
  netMinor: 0, voided: false, method: 'alipayplus_mpm', source: undefined, ...changed,
})

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
const find: Effect = { do: 'find charges', order, since: START }
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
      metadata: { plinth_sale: order.sale, plinth_terminal: 'T-1', plinth_attempt: '2' },
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
    'more charges than anybody reads': listOf(crowd(1_001, []), 100),
  }
  test.each(Object.entries(incomplete))('and %s never means that there is none', async (_, known) => {
    expect(ids((await execute(known, [find])).events)).toBe('find unanswered')
  })
})

describe('an orphan is closed', () => {
  test('and that is all', async () => {
    expect((await execute({ expireCharge: () => Promise.resolve(ok(seenAs('a'))) }, [expireOrphan])).events).toEqual([undefined])
  })

  test('or, when it had ended, read: a payment on it is told to its sale and to a person', async () => {
    const paid = seenAs('a', order.sale, { status: 'successful', paid: true })
    const { events, logged } = await execute({ expireCharge: () => Promise.resolve(refused), retrieveCharge: () => Promise.resolve(ok(paid)) }, [expireOrphan])
    expect(events).toEqual([{ type: 'charge read', charge: paid }])
    expect(logged).toContain('a person must look')
  })

  test.each(['expired', 'failed', 'pending'])('quietly, and without trying for ever, when it is %s', async (status) => {
    const known = { expireCharge: () => Promise.resolve(refused), retrieveCharge: () => Promise.resolve(ok(seenAs('a', order.sale, { status }))) }
    const { events, logged } = await execute(known, [expireOrphan])
    expect(events).toEqual([undefined])
    expect(logged).not.toContain('a person must look')
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
