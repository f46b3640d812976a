/**
 * A gateway, its sweeper and a payment API over real HTTP, in a shop whose webhooks are all lost: money that came too
 * late, or twice, or that went back at the desk, is found and dealt with all the same.
 */
import Database from 'better-sqlite3'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createChargeEffects } from '../../cloud/charge-effects.js'
import { createGateway, type Gateway } from '../../cloud/gateway.js'
import { replay } from '../../cloud/ledger.js'
import { createLog } from '../../cloud/log.js'
import { createOmise, type Omise } from '../../cloud/omise.js'
import { type Store, storeOn } from '../../cloud/store.js'
import { createSweeper, type Sweeper } from '../../cloud/sweeper.js'
import { createOpener, createSeal, mintKey, type OpenSeal, type PrivateKeyJson, publicPart, type Seal } from '../../device/protocol/seal.js'
import { DownMessage, UpMessage, upTopic, WIRE_VERSION } from '../../device/protocol/wire.js'
import { type FakeTerminalLink, fakeTerminalLink } from '../fakes/terminal-link.js'
import { type FakeWallClock, fakeWallClock } from '../fakes/wall-clock.js'
import { until } from './broker-client.js'
import { order, terms } from './charge-story.js'
import { MORNING, openShop, type Shop } from './sandbox/shop.js'

let terminalKey: PrivateKeyJson
let terminalSeal: Seal
let gatewaySeal: Seal
let openDown: OpenSeal<DownMessage>

beforeAll(async () => {
  terminalKey = await mintKey('T-1')
  terminalSeal = await createSeal(terminalKey)
  const gatewayKey = await mintKey('gateway')
  gatewaySeal = await createSeal(gatewayKey)
  openDown = await createOpener(DownMessage, [publicPart(gatewayKey)])
})

let bank: Shop
let clock: FakeWallClock
let link: FakeTerminalLink
let db: Database.Database
let store: Store
let omise: Omise
let gateway: Gateway
let sweeper: Sweeper

beforeEach(async () => {
  bank = await openShop({ switches: { rawData: true, payAfterExpire: 'succeeds', webhooks: 'lose' } })
  clock = fakeWallClock(MORNING)
  db = new Database(':memory:')
  await startGateway()
  await store.addTerminal({ id: 'T-1', key: publicPart(terminalKey), passwordHash: '' }, MORNING)
})

afterEach(async () => {
  await sweeper.stop()
  await gateway.stop()
  db.close()
})

async function startGateway(): Promise<void> {
  const log = createLog('error', { write: () => undefined })
  store = storeOn(db)
  link = fakeTerminalLink()
  omise = createOmise({ apiUrl: bank.sandbox.url, secretKey: bank.sandbox.secretKey, timeoutMs: 2_000, log, sleep: () => Promise.resolve() })
  const codes = { read: () => Promise.reject(new Error('the API says the text')), warm: () => Promise.resolve(true), close: () => Promise.resolve() }
  gateway = createGateway({
    store, link, seal: gatewaySeal, createOpener: (key) => createOpener(UpMessage, [key]), terms, clock, log,
    effects: createChargeEffects({ omise, codes, sendExpiresAt: true, log }), fatal: (error) => { throw error },
  })
  await gateway.start()
  sweeper = createSweeper({ omise, gateway, store, clock, everyMs: 60_000, log })
  sweeper.start()
}

/** Its records are gone, and so is what was under way. */
async function loseEverything(): Promise<void> {
  await sweeper.stop()
  await gateway.stop()
  db.close()
  db = new Database(':memory:')
  await startGateway()
  await store.addTerminal({ id: 'T-1', key: publicPart(terminalKey), passwordHash: '' }, MORNING)
}

const say = async (type: UpMessage['type'], more: object = {}): Promise<void> =>
  link.say(upTopic('T-1', type), await terminalSeal({ v: WIRE_VERSION, terminal: 'T-1', epoch: 1, id: `${type}-1`, type, order, ...more }))

async function word<Type extends DownMessage['type']>(type: Type): Promise<Extract<DownMessage, { type: Type }>> {
  return until(type, async () => {
    for (const { sealed } of link.published) {
      const opened = await openDown(Buffer.from(sealed))
      if ('message' in opened && opened.message.type === type) return opened.message as Extract<DownMessage, { type: Type }>
    }
    return undefined
  })
}

/** Both clocks go on together, a second at a time, until something is so. */
function goOnUntil(what: string, isSo: () => Promise<boolean>): Promise<unknown> {
  return until(what, async () => {
    bank.pass(1_000)
    clock.goTo(clock.now() + 1_000)
    return isSo()
  })
}

const statusOf = async (charge: string): Promise<string> => String((await bank.ask('GET', `/charges/${charge}`)).json.status)
const pay = (payload: string) => bank.ask('POST', '/sandbox/wallet/pay', { key: null, json: { payload, outcome: 'paid' } })
const posted = async (): Promise<readonly string[]> => (await store.ledger(order.sale)).map(({ key }) => key.replace(/ (chrg|rfnd)_.*/, ''))
const balances = async (): Promise<Record<string, number>> => Object.fromEntries((await store.balances()).map(({ account, minor }) => [account, minor]))

async function offered(): Promise<{ readonly charge: string; readonly payload: string }> {
  await say('sale.open')
  return word('sale.offer')
}

async function cancelled(): Promise<{ readonly charge: string; readonly payload: string }> {
  const offer = await offered()
  await say('sale.close', { charge: offer.charge, reason: 'cancelled' })
  expect((await word('sale.verdict')).ending).toEqual({ outcome: 'unpaid', reason: 'cancelled' })
  return offer
}

/** A charge of the same sale that nobody knows of, as when an answer was lost and came true late. */
const orphan = async (): Promise<{ readonly id: string; readonly payload: string }> => {
  const { charge } = await word('sale.offer')
  const { metadata } = (await bank.ask('GET', `/charges/${charge}`)).json as { metadata: object }
  const made = await bank.ask('POST', '/charges', { json: { amount: 2500, currency: 'THB', source: { type: 'alipayplus_mpm' }, metadata } })
  return { id: String(made.json.id), payload: await bank.payloadOf(made.json) }
}

describe('with every webhook lost', () => {
  test('a payment that came after Cancel goes back within two minutes, as a void, and the terminal hears of it', async () => {
    const { charge, payload } = await cancelled()
    expect((await pay(payload)).status).toBe(200)
    const paidAt = clock.now()
    await goOnUntil('the reversal', async () => (await posted()).includes('refund'))
    expect(clock.now() - paidAt).toBeLessThanOrEqual(120_000)
    expect(await word('sale.reversed')).toMatchObject({ charge, amountMinor: 2500, voided: true, order: { sale: order.sale } })
    expect((await bank.ask('GET', `/charges/${charge}`)).json).toMatchObject({ refunded_amount: 2500, voided: true })
    expect(await posted()).toEqual(['late payment', 'refund'])
    expect((await balances())['late']).toBe(0)
    expect(await store.exceptions('all')).toEqual([])
  })

  test('so it does when the answer to the refund is lost: it is found in the list, and not asked for again', async () => {
    const { charge, payload } = await cancelled()
    bank.sandbox.turn({ refundAnswer: 'lost after execution' })
    await pay(payload)
    await goOnUntil('the reversal', async () => (await posted()).includes('refund'))
    expect(await posted()).toEqual(['late payment', 'refund'])
    expect((await bank.ask('GET', `/charges/${charge}/refunds`)).json).toMatchObject({ total: 1 })
    expect((await store.history(order.sale)).filter(({ event }) => event === 'refund refused')).toEqual([])
  })

  test('an orphan that could be paid is closed, and one that was paid goes back, while the sale goes on', async () => {
    const { charge, payload } = await offered()
    const open = await orphan()
    const paid = await orphan()
    await pay(paid.payload)
    await goOnUntil('the reversal of the orphan', async () => (await posted()).includes('refund'))
    await goOnUntil('the close of the other', async () => await statusOf(open.id) === 'expired')
    await pay(payload)
    await goOnUntil('paid', async () => (await posted()).includes('sale paid'))
    expect(await word('sale.verdict')).toMatchObject({ charge, ending: { outcome: 'paid' } })
    expect(await posted()).toEqual(['late payment', 'refund', 'sale paid'])
  })

  test('a refund at the desk of a paid sale is in the books, once', async () => {
    const { charge, payload } = await offered()
    await pay(payload)
    await goOnUntil('paid', async () => (await posted()).includes('sale paid'))
    for (const amount of [1_000, 500]) await bank.ask('POST', `/charges/${charge}/refunds`, { json: { amount } })
    await goOnUntil('both refunds', async () => (await posted()).length === 3)
    for (let sweeps = 0; sweeps < 4; sweeps++) {
      bank.pass(60_000)
      clock.goTo(clock.now() + 60_000)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    expect(await posted()).toEqual(['sale paid', 'refund', 'refund'])
    expect((await balances())['refunds']).toBe(1_500)
  })
})

describe('with all records lost', () => {
  test('a code that is shown goes on to be payable, is watched, and paid: the sale is in the new books, and a person looks', async () => {
    const { charge, payload } = await offered()
    await loseEverything()
    await goOnUntil('the sale is known again', async () => (await store.sale(order.sale))?.phase === 'bound')
    await pay(payload)
    await goOnUntil('paid', async () => (await posted()).includes('sale paid'))
    expect(await word('sale.verdict')).toMatchObject({ charge, ending: { outcome: 'paid' } })
    expect(await store.exceptions('open')).toMatchObject([{ charge, key: `recovered ${charge}` }])
  })

  test('a terminal that opens its sale once more gets the same charge, and no second one is made', async () => {
    const { charge } = await offered()
    await loseEverything()
    expect((await offered()).charge).toBe(charge)
    expect((await bank.ask('GET', '/charges?from=2000-01-01T00:00:00Z')).json.total).toBe(1)
  })
})

test('the books of such a day replay to their balances, and tell what the bank tells', async () => {
  const { payload } = await cancelled()
  await pay(payload)
  await goOnUntil('the reversal', async () => (await posted()).includes('refund'))
  const replayed = await replay(store.entries())
  expect(replayed.ok && replayed.balances).toEqual(await store.balances())
  const { data } = (await bank.ask('GET', '/charges?from=2000-01-01T00:00:00Z')).json as { data: { net: number; refunded_amount: number }[] }
  expect((await balances())['receivable']).toBe(data.reduce((sum, { net, refunded_amount: back }) => sum + net - back, 0))
})
