/** What somebody with the key and the password of a terminal can do to the shop: as much as that terminal, and no more. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { pino } from 'pino'
import { v7 as uuidv7 } from 'uuid'
import { createGateway, type Gateway } from '../../cloud/gateway.js'
import { openStore, type Store } from '../../cloud/store.js'
import { createOpener, createSeal, mintKey, publicPart, type Seal } from '../../device/protocol/seal.js'
import { type Order, UpMessage, upTopic, WIRE_VERSION } from '../../device/protocol/wire.js'
import { charge, START, terms } from '../cloud/charge-story.js'
import { until } from '../cloud/broker-client.js'
import { type FakeChargeEffects, fakeChargeEffects } from '../fakes/charge-effects.js'
import { type FakeTerminalLink, fakeTerminalLink } from '../fakes/terminal-link.js'
import { fakeWallClock } from '../fakes/wall-clock.js'

const SALES_MAX = 16

let folder = ''
let store: Store
let link: FakeTerminalLink
let effects: FakeChargeEffects
let gateway: Gateway
const seals = new Map<string, Seal>()

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'plinth-stolen-'))
  store = await openStore(join(folder, 'gateway.sqlite'))
  for (const id of ['stolen', 'honest']) {
    const key = await mintKey(id)
    seals.set(id, await createSeal(key))
    await store.addTerminal({ id, key: publicPart(key), passwordHash: '' }, START)
  }
  link = fakeTerminalLink(() => undefined)
  effects = fakeChargeEffects(() => undefined)
  const clock = fakeWallClock(START - 90_000)
  gateway = createGateway({
    store, link, effects, seal: await createSeal(await mintKey('gateway')),
    createOpener: (key) => createOpener(UpMessage, [key]), terms, clock, fatal: (error) => { throw error }, log: pino({ level: 'silent' }),
  })
  await gateway.start()
  clock.jumpTo(START) // It has run for so long that it knows its own sales.
})
afterEach(async () => {
  await gateway.stop()
  await store.close()
  rmSync(folder, { recursive: true, force: true })
})

async function openSale(terminal: string): Promise<Order> {
  const order: Order = {
    sale: uuidv7(), nonce: randomBytes(16).toString('hex'), amountMinor: 2_500, currency: 'THB', method: 'alipayplus_mpm',
  }
  const message = { v: WIRE_VERSION, terminal, epoch: 1, id: `${order.sale}.open`, type: 'sale.open', order }
  link.say(upTopic(terminal, 'sale.open'), await seals.get(terminal)?.(message) ?? '')
  return order
}

const opened = (): number => effects.waiting('create charge')

test('a terminal with more open sales than anybody needs gets no more charges, and the others still do', async () => {
  for (let sales = 0; sales < SALES_MAX; sales++) {
    await openSale('stolen')
    await until('a charge', () => opened() === sales + 1)
  }
  await openSale('stolen')
  await until('a refusal', () => gateway.refused()['too many open sales'] === 1)
  expect(opened()).toBe(SALES_MAX)

  await openSale('honest')
  await until('the charge of the honest one', () => opened() === SALES_MAX + 1)
})

test('a sale that ended makes room for the next one', async () => {
  for (let sales = 0; sales < SALES_MAX; sales++) {
    await openSale('stolen')
    await until('a charge', () => opened() === sales + 1)
  }
  effects.answer('create charge', { type: 'charge created', charge: { ...charge('ended'), status: 'failed', failureCode: 'payment_rejected' } })
  await until('the end of it', () => link.published.length === 1)
  await openSale('stolen')
  await until('a charge', () => opened() === SALES_MAX)
  expect(gateway.refused()).toEqual({})
})
