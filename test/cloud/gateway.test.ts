import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createGateway, type Gateway } from '../../cloud/gateway.js'
import { createLog } from '../../cloud/log.js'
import { openStore, type Store } from '../../cloud/store.js'
import type { Hint } from '../../cloud/webhook.js'
import { createOpener, createSeal, mintKey, type OpenSeal, type PrivateKeyJson, publicPart, type Seal } from '../../device/protocol/seal.js'
import { DownMessage, MESSAGE_BYTES_MAX, type Order, UpMessage, upTopic, WIRE_VERSION } from '../../device/protocol/wire.js'
import { type FakeChargeEffects, fakeChargeEffects } from '../fakes/charge-effects.js'
import { type FakeTerminalLink, fakeTerminalLink } from '../fakes/terminal-link.js'
import { type FakeWallClock, fakeWallClock } from '../fakes/wall-clock.js'
import { until } from './broker-client.js'
import {
  apiCharge, charge, codeRead, created, expiredCharge, found, listed, order, paidCharge, read, refund, START, terms,
} from './charge-story.js'

const keys: Record<string, PrivateKeyJson> = {}
const seals: Record<string, Seal> = {}
let gatewaySeal: Seal
let openDown: OpenSeal<DownMessage>

beforeAll(async () => {
  for (const id of ['T-1', 'T-2', 'T-stranger']) {
    keys[id] = await mintKey(id)
    seals[id] = await createSeal(keys[id])
  }
  const gatewayKey = await mintKey('gateway')
  gatewaySeal = await createSeal(gatewayKey)
  openDown = await createOpener(DownMessage, [publicPart(gatewayKey)])
})

let folder = ''
let real: Store
let clock: FakeWallClock
let link: FakeTerminalLink
let effects: FakeChargeEffects
let gateway: Gateway
let notes: string[] = []
let logged: string[] = []
let fatals: unknown[] = []
let brokerDiesAfterOneWord = false
/** What the store does instead of its work, when set. */
let sabotage: { [Name in keyof Store]?: Store[Name] | undefined } = {}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'plinth-gateway-'))
  notes = []
  logged = []
  fatals = []
  brokerDiesAfterOneWord = false
  sabotage = {}
  clock = fakeWallClock(START - 90_000)
  real = await openStore(join(folder, 'gateway.sqlite'))
  for (const id of ['T-1', 'T-2']) {
    const key = keys[id]
    if (key !== undefined) await real.addTerminal({ id, key: publicPart(key), passwordHash: '' }, START)
  }
  await startGateway()
  clock.jumpTo(START) // It has run for so long that it knows its own sales.
})

afterEach(async () => {
  await gateway.stop()
  await real.close()
  rmSync(folder, { recursive: true, force: true })
})

async function startGateway(): Promise<void> {
  const note = (what: string): void => {
    notes.push(what)
    if (what === 'publish' && brokerDiesAfterOneWord) link.down = true
  }
  link = fakeTerminalLink(note)
  effects = fakeChargeEffects(note)
  const store: Store = {
    ...real,
    commit: async (commit) => {
      await (sabotage.commit ?? real.commit)(commit)
      note(`commit ${commit.state.phase}`)
    },
    sale: (id) => (sabotage.sale ?? real.sale)(id),
    outbox: (limit) => (sabotage.outbox ?? real.outbox)(limit),
  }
  const log = createLog('info', { write: (line) => { logged.push(line) } })
  gateway = createGateway({
    store, link, effects, seal: gatewaySeal, createOpener: (key) => createOpener(UpMessage, [key]), terms, clock,
    fatal: (error) => { fatals.push(error) }, log,
  })
  await gateway.start()
}

/** As after a power cut and a start: a new program over the same file. */
async function restart(): Promise<void> {
  await gateway.stop()
  await real.close()
  real = await openStore(join(folder, 'gateway.sqlite'))
  notes = []
  await startGateway()
}

interface Said {
  readonly type: UpMessage['type']
  readonly id: string
  readonly order?: Order
  readonly charge?: string | null
  readonly reason?: string
  readonly openSales?: readonly string[]
  readonly boot?: string
  readonly epoch?: number
  readonly forgot?: boolean
}

const dressed = (terminal: string, message: Said): object => ({
  v: WIRE_VERSION, terminal, epoch: 1, ...(message.type === 'hello' ? { software: 'test', configHash: 'x', boot: '0'.repeat(32), forgot: false, openSales: [] } : {}), ...message,
})

async function say(message: Said, { from = 'T-1', signedBy, as }: { from?: string; signedBy?: string; as?: string } = {}): Promise<void> {
  link.say(upTopic(from, message.type), await sealed(dressed(as ?? from, message), signedBy ?? from))
}

function sealed(message: object, signedBy = 'T-1'): Promise<string> {
  const seal = seals[signedBy]
  if (seal === undefined) throw new Error(`no key of ${signedBy}`)
  return seal(message)
}

const open = (id = 'open-1', of: Order = order): Said => ({ type: 'sale.open', id, order: of })
const ask = (id = 'ask-1'): Said => ({ type: 'sale.ask', id, order, charge: null })
const close = (id = 'close-1'): Said => ({ type: 'sale.close', id, order, charge: null, reason: 'cancelled' })
const undelivered = (id = 'undelivered-1', charge: string | null = 'a'): Said => ({ type: 'sale.undelivered', id, order, charge })
/** Of a box that was started as `boot`, one hexadecimal digit. */
const hello = (id: string, boot = '0', openSales: readonly string[] = []): Said => ({ type: 'hello', id, boot: boot.repeat(32), openSales })

async function words(): Promise<readonly DownMessage[]> {
  return Promise.all(link.published.map(async ({ sealed }) => {
    const opened = await openDown(Buffer.from(sealed))
    if ('broken' in opened) throw new Error(`a word of the gateway is ${opened.broken}`)
    return opened.message
  }))
}

const brief = (word: DownMessage): string => {
  switch (word.type) {
    case 'welcome':      return `welcome re ${word.re}`
    case 'sale.offer':   return `offer ${word.charge} re ${word.re}`
    case 'sale.verdict': return `${word.ending.outcome} re ${word.re}`
    case 'sale.reversed': return `reversed ${word.charge}`
  }
}

const published = (count: number): Promise<unknown> => until(`word ${count}`, () => link.published.length >= count)
const commanded = (what: Parameters<FakeChargeEffects['waiting']>[0]): Promise<unknown> => until(what, () => effects.waiting(what) > 0)
const logs = (text: string): Promise<unknown> => until(`the log "${text}"`, () => logged.some((line) => line.includes(text)))
const inPhase = (phase: string): Promise<unknown> => until(phase, () => notes.includes(`commit ${phase}`))

/** The usual beginning: asked, created, offered. */
async function offered(): Promise<void> {
  await say(open())
  await commanded('create charge')
  effects.answer('create charge', created('a'))
  await commanded('read code')
  effects.answer('read code', codeRead)
  await published(1)
}

const hint = (chargeId: string | undefined, key = 'charge.complete'): Hint =>
  ({ event: 'evnt_1', key, objectKind: 'charge', objectId: chargeId ?? 'x', charge: chargeId, livemode: false })

describe('a sale, from request to verdict', () => {
  test('is offered, read because of a webhook, and said to be paid, each word sealed for its terminal', async () => {
    await offered()
    void gateway.hint(hint('a'))
    await commanded('read charge')
    effects.answer('read charge', read(paidCharge('a')))
    await published(2)
    expect((await words()).map(brief)).toEqual(['offer a re open-1', 'paid re null'])
    expect((await words()).every(({ terminal }) => terminal === 'T-1')).toBe(true)
    expect((await real.ledger(order.sale)).map(({ key }) => key)).toEqual(['sale paid a'])
    expect(fatals).toEqual([])
    const { refused } = gateway
    expect(refused()).toEqual({})
  })

  test('records before it acts: no command and no word without its commit before it', async () => {
    await offered()
    await say(close())
    await commanded('expire charge')
    effects.answer('expire charge', read(expiredCharge('a')))
    await published(2)
    expect(notes.filter((note) => note !== 'listen')).toEqual([
      'commit intent', 'create charge', 'commit bound', 'read code', 'commit bound', 'publish', 'commit bound', 'expire charge', 'commit closed', 'publish',
    ])
  })

  test('goes on by itself when nothing is heard: the deadline reads the charge', async () => {
    await offered()
    clock.goTo(START + 2_000)
    await commanded('read charge')
    effects.answer('read charge', read(paidCharge('a')))
    await published(2)
    expect((await words()).map(brief)).toEqual(['offer a re open-1', 'paid re null'])
  })

  test('of a terminal that fell silent is closed at the end of its lease', async () => {
    await offered()
    clock.goTo(START + 150_000)
    await commanded('expire charge')
  })
})

describe('a repeated request', () => {
  test('gets the very same bytes again, and nothing happens twice', async () => {
    await offered()
    await say(open())
    await published(2)
    expect(link.published[1]).toEqual(link.published[0])
    expect(effects.executed.map((effect) => effect.do)).toEqual(['create charge', 'read code'])
  })

  test('gets them after a restart too', async () => {
    await offered()
    const [first] = link.published
    await restart()
    await say(open())
    await published(1)
    expect(link.published).toEqual([first])
  })

  test('said twice in one breath gets the same bytes twice', async () => {
    await offered()
    await Promise.all([say(ask()), say(ask()), say(ask())])
    await published(4)
    expect(new Set(link.published.slice(1).map(({ sealed }) => sealed)).size).toBe(1)
  })

  test('while the first is still being worked on creates nothing more', async () => {
    await Promise.all([say(open()), say(open()), say(open('open-2'))])
    await commanded('create charge')
    await say({ type: 'hello', id: 'hello-1' })
    await published(1)
    expect(effects.executed.map((effect) => effect.do)).toEqual(['create charge'])
  })
})

describe('a terminal that does not know whether its goods came out', () => {
  async function paid(): Promise<void> {
    await offered()
    void gateway.hint(hint('a'))
    await commanded('read charge')
    effects.answer('read charge', read(paidCharge('a')))
    await published(2)
  }
  const open = async () => (await real.exceptions('open')).map(({ key, charge, amountMinor, sale }) => ({ key, charge, amountMinor, sale }))
  const question = { key: `undelivered ${order.sale}`, charge: 'a', amountMinor: 2_500, sale: order.sale }

  test('is answered with the verdict once the question is on the list of exceptions', async () => {
    await paid()
    notes = []
    await say(undelivered())
    await published(3)
    expect(notes).toEqual(['commit paid', 'publish'])
    expect((await words()).map(brief)).toEqual(['offer a re open-1', 'paid re null', 'paid re undelivered-1'])
    expect(await open()).toEqual([question])
    await logs('a person must look')
  })

  test('and asks again gets the same bytes, also after a restart, and the question is asked once', async () => {
    await paid()
    for (let times = 0; times < 3; times++) await say(undelivered())
    await published(5)
    const answer = link.published[2]
    expect(link.published.slice(2)).toEqual([answer, answer, answer])
    await restart()
    await say(undelivered())
    await published(1)
    expect(link.published).toEqual([answer])
    await say(undelivered('undelivered-2'))
    await published(2)
    expect(await open()).toEqual([question])
  })

  test('is heard by a gateway that has lost the sale\'s records: it finds the payment, and a person hears of both', async () => {
    await say(undelivered())
    await commanded('find charges')
    expect(await open()).toEqual([question])
    effects.answer('find charges', found(paidCharge('a')))
    await published(1)
    expect((await words()).map(brief)).toEqual(['paid re undelivered-1'])
    expect((await open()).map(({ key }) => key)).toEqual([question.key, 'recovered a'])
    expect((await real.ledger(order.sale)).map(({ key }) => key)).toEqual(['sale paid a'])
  })

  test('is heard by a gateway whose records still offer the code, which is offered no more', async () => {
    await say({ type: 'sale.open', id: 'open-1', order })
    await commanded('create charge')
    effects.answer('create charge', created('a'))
    await commanded('read code')
    await say(undelivered())
    await commanded('expire charge')
    effects.answer('read code', codeRead)
    effects.answer('expire charge', { type: 'expire refused' })
    await commanded('read charge')
    effects.answer('read charge', read(paidCharge('a')))
    await published(1)
    expect((await words()).map(brief)).toEqual(['paid re undelivered-1'])
    expect(await open()).toEqual([question])
  })

  test('of somebody else\'s sale is refused, and nobody is asked anything', async () => {
    await paid()
    await say(undelivered(), { from: 'T-2' })
    await until('a refusal', () => gateway.refused()['another order'] === 1)
    expect(await open()).toEqual([])
    expect(link.published).toHaveLength(2)
  })
})

describe('somebody else\'s sale', () => {
  test('is not for another terminal: refused, counted, nothing changed and nothing told', async () => {
    await offered()
    const before = await real.sale(order.sale)
    for (const message of [open('x-1'), ask('x-2'), close('x-3')]) await say(message, { from: 'T-2' })
    await until('three refusals', () => gateway.refused()['another order'] === 3)
    expect(await real.sale(order.sale)).toEqual(before)
    expect(link.published).toHaveLength(1)
  })

  test('is not for another terminal that asks at the very same moment', async () => {
    await Promise.all([say(open('open-1')), say(close('x-1'), { from: 'T-2' })])
    await until('one refusal', () => gateway.refused()['another order'] === 1)
    const state = await real.sale(order.sale)
    expect(state).toMatchObject({ phase: 'intent', asked: expect.stringMatching(/^(open-1|x-1)$/) as unknown })
    const mine = JSON.stringify(state).includes('"T-1"')
    expect(state).toMatchObject(mine ? { terminal: 'T-1', asked: 'open-1', doing: 'creating' } : { terminal: 'T-2', asked: 'x-1', doing: 'finding' })
    expect(JSON.stringify(state).includes('closing')).toBe(!mine)
  })

  test.each([
    { amountMinor: 1 }, { currency: 'SGD' as const }, { nonce: 'f'.repeat(32) }, { method: 'promptpay' as const },
  ])('is not the same sale with %j', async (changed) => {
    await offered()
    await say(open('open-2', { ...order, ...changed }))
    await until('a refusal', () => gateway.refused()['another order'] === 1)
    expect(link.published).toHaveLength(1)
  })

  test('named in a hello tells its namer nothing', async () => {
    await offered()
    await say({ type: 'hello', id: 'hello-2', openSales: [order.sale] }, { from: 'T-2' })
    await published(2)
    await say({ type: 'hello', id: 'hello-3', openSales: [order.sale] })
    await published(4)
    expect((await words()).map((word) => `${word.terminal} ${brief(word)}`)).toEqual([
      'T-1 offer a re open-1', 'T-2 welcome re hello-2', 'T-1 welcome re hello-3', 'T-1 offer a re null',
    ])
  })
})

describe('what is refused is counted and changes nothing', () => {
  const refusals: Readonly<Record<string, readonly [because: string, send: () => Promise<void>]>> = {
    'a topic that is not ours': ['foreign topic', async () => { link.say('plinth/2/T-1/up/0d/sale', await sealed(dressed('T-1', open()))) }],
    'the right terminal in a wrong shard': ['foreign topic', async () => { link.say('plinth/1/T-1/up/zz/sale', await sealed(dressed('T-1', open()))) }],
    'a terminal nobody enrolled': ['unknown terminal', () => say(open(), { from: 'T-stranger' })],
    'a message signed by another terminal': ['not signed by a known key', () => say(open(), { signedBy: 'T-2', as: 'T-1' })],
    'a message of another terminal, on this one\'s topic': ['another terminal', () => say(open(), { as: 'T-2' })],
    'plain JSON': ['not signed by a known key', () => { link.say(upTopic('T-1', 'sale.open'), JSON.stringify(dressed('T-1', open()))); return Promise.resolve() }],
    'nothing at all': ['not signed by a known key', () => { link.say(upTopic('T-1', 'sale.open'), ''); return Promise.resolve() }],
    'more bytes than a message may have': ['too large', () => {
      link.say(upTopic('T-1', 'sale.open'), 'x'.repeat(MESSAGE_BYTES_MAX + 1))
      return Promise.resolve()
    }],
    'a message of another version': ['not a message', () => say({ ...open(), v: 2 } as Said)],
    'an unknown type': ['not a message', async () => { link.say(upTopic('T-1', 'sale.open'), await sealed({ ...dressed('T-1', open()), type: 'sale.free' })) }],
    'an amount that is no whole number': ['not a message', () => say(open('open-1', { ...order, amountMinor: 25.5 }))],
    'an amount of zero': ['not a message', () => say(open('open-1', { ...order, amountMinor: 0 }))],
    'a sale that is no UUID': ['not a message', () => say(open('open-1', { ...order, sale: '1; drop table sale' }))],
  }
  test.each(Object.entries(refusals))('%s', async (_, [because, send]) => {
    await send()
    await until(because, () => gateway.refused()[because] === 1)
    expect(notes).toEqual(['listen'])
    expect(await real.sale(order.sale)).toBeUndefined()
  })

  test('no payload, key or signature stands in the log of a whole sale and its refusals', async () => {
    await offered()
    await say(open(), { signedBy: 'T-2', as: 'T-1' })
    await until('a refusal', () => gateway.refused()['not signed by a known key'] === 1)
    const log = logged.join('')
    expect(log).not.toContain('qr.example')
    expect(log).not.toMatch(/eyJ[A-Za-z0-9_-]{10}/)
    expect(log).not.toContain(keys['T-1']?.d)
  })
})

describe('a gateway that cannot reach the payment API', () => {
  test('says so in its welcome, and looks once for many terminals', async () => {
    effects.cutOff()
    await say({ type: 'hello', id: 'hello-1' })
    await say({ type: 'hello', id: 'hello-2' }, { from: 'T-2' })
    await published(2)
    expect((await words()).map((word) => word.type === 'welcome' && word.charging)).toEqual([false, false])
    expect(effects.looks()).toBe(1)
  })
})

describe('a webhook', () => {
  test('causes exactly one read, and no word by itself', async () => {
    await offered()
    void gateway.hint(hint('a'))
    await commanded('read charge')
    await say({ type: 'hello', id: 'hello-1' }, { from: 'T-2' })
    await published(2)
    expect(effects.executed.map((effect) => effect.do)).toEqual(['create charge', 'read code', 'read charge'])
    expect((await words()).map(brief)).toEqual(['offer a re open-1', 'welcome re hello-1'])
  })

  test('that is delivered twice causes one read', async () => {
    await offered()
    void gateway.hint(hint('a'))
    await commanded('read charge')
    void gateway.hint(hint('a'))
    await say({ type: 'hello', id: 'hello-1' }, { from: 'T-2' })
    await published(2)
    expect(effects.executed.filter((effect) => effect.do === 'read charge')).toHaveLength(1)
  })

  test('of a charge that no sale has is said to be so: the sweeper will look at it', async () => {
    await offered()
    expect(await gateway.hint(hint('chrg_somebody_elses'))).toBe(false)
    expect(effects.executed.map((effect) => effect.do)).toEqual(['create charge', 'read code'])
  })

  test.each([hint(undefined), hint('a', 'charge.create')])('%j is no reason to look', async (heard) => {
    await offered()
    expect(await gateway.hint(heard)).toBe(true)
    expect(effects.waiting('read charge')).toBe(0)
  })

  test('of a dispute puts the sale on the exception list, and reads nothing', async () => {
    await offered()
    void gateway.hint(hint('a'))
    await commanded('read charge')
    effects.answer('read charge', read(paidCharge('a')))
    await published(2)
    await gateway.hint({ ...hint('a', 'dispute.create'), event: 'evnt_2', objectKind: 'dispute' })
    expect(await real.exceptions('open')).toMatchObject([{ key: 'disputed a', sale: order.sale, terminal: 'T-1' }])
    expect(effects.waiting('read charge')).toBe(0)
  })
})

describe('a charge that the sweeper came across', () => {
  const closed = async (): Promise<void> => {
    await offered()
    await say(close())
    await commanded('expire charge')
    effects.answer('expire charge', read(expiredCharge('a')))
    await published(2)
  }

  test('and that was paid late goes back, and the terminal is told that it went', async () => {
    await closed()
    expect(await gateway.see(apiCharge(paidCharge('a')))).toBe(true)
    await commanded('list refunds')
    effects.answer('list refunds', listed('a'))
    await commanded('refund charge')
    effects.answer('refund charge', { type: 'refund made', charge: 'a', refund: refund('r') })
    await published(3)
    expect((await words()).map(brief)).toEqual(['offer a re open-1', 'unpaid re close-1', 'reversed a'])
    expect((await real.ledger(order.sale)).map(({ key }) => key)).toEqual(['late payment a', 'refund r'])
    expect(await real.exceptions('all')).toEqual([])
  })

  test('and that the customer disputes is on the exception list, also when the sale is bound to another', async () => {
    await closed()
    await gateway.see(apiCharge(paidCharge('b')))
    await commanded('list refunds')
    expect(await gateway.disputed('b')).toBe(true)
    expect(await gateway.disputed('chrg_somebody_elses')).toBe(true)
    expect(await gateway.hint({ ...hint('b', 'dispute.create'), objectKind: 'dispute' })).toBe(true)
    expect(await real.exceptions('open')).toMatchObject([{ key: 'disputed b', charge: 'b', sale: order.sale }])
  })

  test('again and again costs nothing, once it is dealt with', async () => {
    await closed()
    await gateway.see(apiCharge(paidCharge('a')))
    await commanded('list refunds')
    const steps = (await real.history(order.sale)).length
    for (let sweeps = 0; sweeps < 10; sweeps++) await gateway.see(apiCharge(paidCharge('a')))
    expect((await real.history(order.sale)).length).toBe(steps)
    expect(effects.waiting('list refunds')).toBe(1)
  })

  test('and that nobody here knows is looked for: its sale is taken up', async () => {
    await gateway.see(apiCharge(paidCharge('a')))
    await commanded('find charges')
    effects.answer('find charges', found(paidCharge('a')))
    await published(1)
    expect((await words()).map(brief)).toEqual(['paid re null'])
    expect(await real.exceptions('open')).toMatchObject([{ key: 'recovered a', amountMinor: 2500, currency: 'THB', terminal: 'T-1' }])
  })

  test.each([
    ['was made by others', {}], ['names a sale that is none', { plinth_sale: 'x', plinth_nonce: order.nonce, plinth_terminal: 'T-1' }],
    ['names no nonce', { plinth_sale: order.sale, plinth_terminal: 'T-1' }],
    ['names a terminal that cannot be', { plinth_sale: order.sale, plinth_nonce: order.nonce, plinth_terminal: 'T/1' }],
  ])('and that %s is left alone', async (_, metadata) => {
    expect(await gateway.see(apiCharge(paidCharge('a'), { metadata }))).toBe(true)
    expect([effects.executed, notes]).toEqual([[], ['listen']])
    expect(logged.some((line) => line.includes('cannot be read'))).toBe('plinth_sale' in metadata)
  })

  test('and that could not be written down is not dealt with: it must be come across again', async () => {
    await closed()
    sabotage.commit = () => Promise.reject(new Error('disk is full'))
    expect(await gateway.see(apiCharge(paidCharge('a')))).toBe(false)
    expect(effects.waiting('list refunds')).toBe(0)
    sabotage.commit = undefined
    expect(await gateway.see(apiCharge(paidCharge('a')))).toBe(true)
    await commanded('list refunds')
  })
})

describe('a clock that is set back by an hour', () => {
  test('lets no code be paid for an hour longer: every sale is looked at, and its lease is counted anew', async () => {
    await offered()
    clock.jumpTo(START - 3_600_000)
    clock.ring()
    await commanded('read charge')
    effects.answer('read charge', read(charge('a')))
    clock.goTo(START - 3_600_000 + 149_999)
    expect(effects.waiting('expire charge')).toBe(0)
    clock.goTo(START - 3_600_000 + 150_000)
    await commanded('expire charge')
  })
})

describe('a gateway that has just started', () => {
  test('makes a charge at once for a terminal that greeted it, and began the sale only then', async () => {
    await restart()
    await say(hello('hello-1'))
    await published(1)
    await say(open())
    await commanded('create charge')
    expect(effects.waiting('find charges')).toBe(0)
  })

  test.each([
    ['that has not greeted it yet', () => Promise.resolve()],
    ['that had begun the sale before', async () => {
      await say(hello('hello-1', '0', [order.sale]))
      await published(1)
    }],
  ])('looks before it makes a charge for a terminal %s: its records may be an old backup', async (_, before) => {
    await restart()
    await before()
    await say(open())
    await commanded('find charges')
    effects.answer('find charges', found(charge('a')))
    await commanded('read code')
    effects.answer('read code', codeRead)
    await until('the offer', async () => (await words()).some(({ type }) => type === 'sale.offer'))
    expect((await words()).map(brief).at(-1)).toBe('offer a re open-1')
    expect(effects.executed.map((effect) => effect.do)).toEqual(['find charges', 'read code'])
  })

  test('goes on with money that was on its way back', async () => {
    await offered()
    await say(close())
    await commanded('expire charge')
    effects.answer('expire charge', read(expiredCharge('a')))
    await published(2)
    await gateway.see(apiCharge(paidCharge('a')))
    await commanded('list refunds')
    await restart()
    await commanded('list refunds')
    effects.answer('list refunds', listed('a', refund('r')))
    await published(1)
    expect((await words()).map(brief)).toEqual(['reversed a'])
  })
})

describe('a terminal that started anew', () => {
  test('and does not name its sale has forgotten it: its charge is closed at once, without waiting for the lease', async () => {
    await say(hello('hello-1', 'a'))
    await offered()
    await say(hello('hello-2', 'b'))
    await commanded('expire charge')
    effects.answer('expire charge', read(expiredCharge('a')))
    await published(4)
    expect((await words()).map(brief)).toContain('unpaid re null')
  })

  test('and names it goes on; and so does one that only lost its line for a while', async () => {
    await say(hello('hello-1', 'a'))
    await published(1)
    await offered()
    await say(hello('hello-2', 'a'))
    await published(3)
    await say(hello('hello-3', 'b', [order.sale]))
    await published(5)
    expect((await words()).map(brief)).toEqual([
      'welcome re hello-1', 'offer a re open-1', 'welcome re hello-2', 'welcome re hello-3', 'offer a re null',
    ])
    expect(effects.waiting('expire charge')).toBe(0)
  })

  test.each([{ forgot: true }, { epoch: 1 }])('without the journal of its latest sale, which was paid, leaves a question to a person, once: %j', async (lost) => {
    await say({ ...hello('hello-1', 'a'), epoch: 1 })
    await offered()
    void gateway.hint(hint('a'))
    await commanded('read charge')
    effects.answer('read charge', read(paidCharge('a')))
    await published(3)
    await say({ ...hello('hello-2', 'b'), epoch: 2 })
    await published(4)
    expect(await real.exceptions('open')).toEqual([])
    for (const [id, boot] of [['hello-3', 'c'], ['hello-4', 'd']] as const) await say({ ...hello(id, boot), ...lost })
    await published(6)
    expect(await real.exceptions('open')).toMatchObject([{ key: 'forgotten a', amountMinor: 2500, sale: order.sale }])
  })

  test('forgets nothing for the others', async () => {
    await offered()
    await say(hello('hello-1', 'b'), { from: 'T-2' })
    await published(2)
    expect(effects.waiting('expire charge')).toBe(0)
  })
})

describe('two boxes with one identity', () => {
  const charging = async (): Promise<readonly boolean[]> => (await words()).flatMap((word) => (word.type === 'welcome' ? [word.charging] : []))
  const greet = async (...boots: readonly string[]): Promise<void> => {
    for (const boot of boots) {
      clock.jumpTo(clock.now() + 30_000)
      const before = link.published.length
      await say(hello(`hello-${before}`, boot))
      await published(before + 1)
    }
  }

  test('are found when they take turns: neither may sell, and a person is called', async () => {
    await greet('a', 'b', 'a', 'b', 'a', 'b')
    expect(await charging()).toEqual([true, true, true, true, true, false])
    await say(open())
    await until('a refusal', () => gateway.refused()['frozen'] === 1)
    expect(effects.executed).toEqual([])
    await logs('two boxes use one identity')
    await greet('a')
    expect((await charging()).at(-1)).toBe(false)
  })

  test('are not hellos of two starts that waited in the broker and come in one burst', async () => {
    for (const [at, boot] of ['a', 'b', 'a', 'b', 'a', 'b', 'a', 'b'].entries()) {
      await say(hello(`hello-${at}`, boot))
      await published(at + 1)
    }
    expect(await charging()).not.toContain(false)
  })

  test('are not one box that is started again and again', async () => {
    await greet('a', 'a', 'b', 'b', 'c', 'd', 'd', 'e')
    expect(await charging()).not.toContain(false)
  })

  test('stay frozen over a restart of the gateway, until the terminal is enrolled anew', async () => {
    await greet('a', 'b', 'a', 'b', 'a', 'b')
    await restart()
    await greet('b')
    expect(await charging()).toEqual([false])
    const key = keys['T-1']
    if (key !== undefined) await real.addTerminal({ id: 'T-1', key: publicPart(key), passwordHash: '' }, START)
    await greet('b')
    expect(await charging()).toEqual([false, true])
    await say(open())
    await commanded('create charge')
  })

  test('can still end the sale that was open: money is not frozen', async () => {
    await greet('a')
    await offered()
    await real.freeze('T-1', 'two boxes use its identity')
    await say(close())
    await commanded('expire charge')
    effects.answer('expire charge', read(expiredCharge('a')))
    await published(3)
    expect((await words()).map(brief).at(-1)).toBe('unpaid re close-1')
  })
})

describe('when the broker is away', () => {
  test('words wait, survive a restart, and are said in order when it is back', async () => {
    await offered()
    link.down = true
    await say(ask('ask-1'))
    await until('ask-1', () => real.reply('T-1', 'ask-1'))
    await say(ask('ask-2'))
    await until('ask-2', () => real.reply('T-1', 'ask-2'))
    expect(link.published).toHaveLength(1)
    await restart()
    await published(2)
    expect((await words()).map(brief)).toEqual(['offer a re ask-1', 'offer a re ask-2'])
    const [first, second] = (await words()).map(({ counter }) => counter)
    expect(second).toBeGreaterThan(first ?? Infinity)
  })

  test('a word is struck off only when it was said, not when the one before it was', async () => {
    await offered()
    link.down = true
    for (const id of ['ask-1', 'ask-2', 'ask-3']) {
      await say(ask(id))
      await until(id, () => real.reply('T-1', id))
    }
    brokerDiesAfterOneWord = true
    await restart()
    await until('ask-1 struck off', async () => (await real.outbox(10)).length === 2)
    brokerDiesAfterOneWord = false
    await restart()
    await published(2)
    expect((await words()).map(brief)).toEqual(['offer a re ask-2', 'offer a re ask-3'])
  })

  test('they are tried again by and by, without being asked', async () => {
    await offered()
    link.down = true
    await say(ask('ask-1'))
    await logs('words wait for the broker')
    link.down = false
    clock.goTo(clock.now() + 2_000)
    await published(2)
    expect((await words()).map(brief)).toEqual(['offer a re open-1', 'offer a re ask-1'])
  })

  test('a word committed in the very moment in which the outbox was found empty is not forgotten', async () => {
    await offered()
    // The look that found nothing answers only after the next word has been committed.
    let answerLate: (() => void) | undefined
    let looks = 0
    sabotage.outbox = async (limit) => {
      const waiting = await real.outbox(limit)
      if (++looks === 2) await new Promise<void>((resolve) => { answerLate = resolve })
      return waiting
    }
    await say(ask('ask-1'))
    const late = await until('the look that found nothing', () => answerLate)
    const { commit } = real
    sabotage.commit = async (it) => {
      await commit(it)
      late() // In this order the two continuations run in one go, the look's first.
    }
    await say(ask('ask-2'))
    await published(3)
    expect((await words()).map(brief)).toEqual(['offer a re open-1', 'offer a re ask-1', 'offer a re ask-2'])
  })
})

describe('after a restart', () => {
  test('every open sale is taken up: what was on its way is looked for, what was offered is read', async () => {
    await offered()
    const second = { ...order, sale: '0195f0a0-0000-7000-8000-000000000002' }
    await say(open('open-2', second))
    await until('the second create', () => effects.waiting('create charge') === 1)
    await restart()
    await until('both', () => effects.executed.length === 2)
    expect(effects.executed.map((effect) => effect.do).sort()).toEqual(['find charges', 'read charge'])
    expect(notes.indexOf('listen')).toBeGreaterThan(notes.lastIndexOf('commit bound'))
  })

  test('sales that ended stay ended', async () => {
    await offered()
    void gateway.hint(hint('a'))
    await commanded('read charge')
    effects.answer('read charge', read(paidCharge('a')))
    await published(2)
    await restart()
    await say(ask('ask-9'))
    await published(1)
    expect((await words()).map(brief)).toEqual(['paid re ask-9'])
    expect(effects.executed).toEqual([])
  })

  test('counters go on growing, even when the clock was set back a day', async () => {
    await offered()
    await say(ask('ask-1'))
    await published(2)
    const before = (await words()).map(({ counter }) => counter)
    clock.jumpTo(START - 86_400_000)
    await restart()
    await say(ask('ask-2'))
    await published(1)
    const [after] = (await words()).map(({ counter }) => counter)
    expect(before).toEqual([...before].sort((a, b) => a - b))
    expect(after).toBeGreaterThan(Math.max(...before))
  })

  test('a sale that could not be taken up is tried again', async () => {
    await offered()
    sabotage.commit = () => Promise.reject(new Error('disk is full'))
    await restart()
    expect(effects.executed).toEqual([])
    sabotage.commit = undefined
    clock.goTo(clock.now() + 10_000)
    await commanded('read charge')
  })
})

describe('when the disk fails', () => {
  test('nothing is said and nothing is done, and the deadline comes back to the sale', async () => {
    await offered()
    void gateway.hint(hint('a'))
    await commanded('read charge')
    sabotage.commit = () => Promise.reject(new Error('disk is full'))
    effects.answer('read charge', read(paidCharge('a')))
    await logs('disk is full')
    expect(link.published).toHaveLength(1)
    expect(await real.balances()).toEqual([])
    expect(await real.sale(order.sale)).toMatchObject({ phase: 'bound' })

    sabotage.commit = undefined
    clock.goTo(START + 10_000)
    await commanded('read charge')
    effects.answer('read charge', read(paidCharge('a')))
    await published(2)
    expect((await words()).map(brief)).toEqual(['offer a re open-1', 'paid re null'])
  })

  test('a first request that could not be written creates no charge', async () => {
    sabotage.commit = () => Promise.reject(new Error('disk is full'))
    await say(open())
    await logs('disk is full')
    expect(effects.executed).toEqual([])
    sabotage.commit = undefined
    await say(open())
    await commanded('create charge')
  })

  test('a deadline that could neither be worked on nor read again is not lost', async () => {
    await offered()
    const readsOf = effects.executed.length
    sabotage.sale = () => Promise.reject(new Error('disk cannot be read'))
    clock.goTo(START + 2_000)
    await logs('disk cannot be read')
    await until('another alarm', () => (clock.next() ?? Infinity) < START + 10_000)
    sabotage.sale = undefined
    clock.goTo(START + 10_000)
    await commanded('read charge')
    expect(effects.executed.length).toBeGreaterThan(readsOf)
  })

  test('a command that breaks is done again by the deadline', async () => {
    await offered()
    clock.goTo(START + 2_000)
    await commanded('read charge')
    effects.fail('read charge', new Error('socket hang up'))
    await logs('command failed')
    clock.goTo(START + 10_000)
    await commanded('read charge')
  })
})

describe('money that needs a person', () => {
  test('is on the exception list and said aloud in the log, with the reason, once, however often it is seen', async () => {
    await offered()
    void gateway.hint(hint('a'))
    await commanded('read charge')
    effects.answer('read charge', read(paidCharge('a', { amountMinor: 100 })))
    await inPhase('exception')
    for (let sweeps = 0; sweeps < 10; sweeps++) await gateway.see(apiCharge(paidCharge('a', { amountMinor: 100 })))
    await say(ask('ask-9'))
    await published(3)
    expect((await words()).map(brief)).toEqual(['offer a re open-1', 'unpaid re null', 'unpaid re ask-9'])
    expect(logged.filter((line) => line.includes('a person must look'))).toHaveLength(1)
    expect(await real.exceptions('open')).toMatchObject([{ charge: 'a', amountMinor: 100, currency: 'THB', reason: expect.stringContaining('sale is 2500 THB') as unknown }])
    expect((await real.balances()).map(({ account, minor }) => `${account} ${minor}`)).toEqual(['fees 44', 'late -100', 'receivable 56'])
  })
})

describe('two sales at once', () => {
  test('do not wait for one another', async () => {
    const second = { ...order, sale: '0195f0a0-0000-7000-8000-000000000002' }
    await say(open('open-1'))
    await say(open('open-2', second))
    await until('both creates', () => effects.waiting('create charge') === 2)
    const forSecond = effects.executed.findIndex((effect) => 'order' in effect && effect.order.sale === second.sale)
    expect(forSecond).toBeGreaterThanOrEqual(0)
    effects.answer('create charge', created(forSecond === 0 ? 'b' : 'a'))
    await commanded('read code')
    effects.answer('read code', codeRead)
    await published(1)
    expect(effects.waiting('create charge')).toBe(1)
    expect(charge('a').status).toBe('pending')
  })
})
