import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { wallClock } from '../../cloud/clock.js'
import { createGateway, type Gateway } from '../../cloud/gateway.js'
import { openStore, type Store } from '../../cloud/store.js'
import { externalLink } from '../../cloud/terminal-link.js'
import { monotonicClock } from '../../device/clock.js'
import { type CloudLink, createCloudLink, type LinkEvent } from '../../device/cloud-link.js'
import { createMqttTransport } from '../../device/mqtt-transport.js'
import { createOpener, createSeal, mintKey, type PrivateKeyJson, publicPart } from '../../device/protocol/seal.js'
import { downFilter, DownMessage, MESSAGE_BYTES_MAX, type Order, shardOf, UP_FILTER_ALL, UpMessage, upTopic } from '../../device/protocol/wire.js'
import { type Knock, knock, until } from '../cloud/broker-client.js'
import { charge, order, paidCharge, read, terms } from '../cloud/charge-story.js'
import { type FakeChargeEffects, fakeChargeEffects } from '../fakes/charge-effects.js'
import { type Mosquitto, prepareMosquitto } from './mosquitto.js'

const log = pino({ level: 'silent' })
const passwords = { 'plinth-gateway': 'password of the gateway', 'T-1': 'password of T-1', 'T-2': 'password of T-2' }
const CODE = 'https://qr.example/code-of-a'

let folder = ''
let mosquitto: Mosquitto
let stops: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'plinth-interop-'))
  stops = []
  mosquitto = await prepareMosquitto(passwords)
})

afterEach(async () => {
  for (const stop of stops.reverse()) await stop()
  await mosquitto.remove()
  rmSync(folder, { recursive: true, force: true })
})

interface Shop {
  readonly gateway: Gateway
  readonly effects: FakeChargeEffects
  readonly store: Store
  readonly keys: { readonly gateway: PrivateKeyJson; readonly terminal: PrivateKeyJson }
}

async function startGateway(): Promise<Shop> {
  const keys = { gateway: await mintKey('gateway'), terminal: await mintKey('T-1') }
  const store = await openStore(join(folder, 'gateway.sqlite'))
  await store.addTerminal({ id: 'T-1', key: publicPart(keys.terminal), passwordHash: '' }, wallClock.now())
  const effects = fakeChargeEffects()
  const url = `mqtt://127.0.0.1:${mosquitto.port}`
  const gateway = createGateway({
    store, effects, terms, log, clock: wallClock, seal: await createSeal(keys.gateway), fatal: (error) => { throw error },
    createOpener: (key) => createOpener(UpMessage, [key]),
    link: externalLink({ url, username: 'plinth-gateway', password: passwords['plinth-gateway'], clientId: 'plinth-gateway' }, log),
  })
  await gateway.start()
  stops.push(() => store.close(), () => gateway.stop())
  return { gateway, effects, store, keys }
}

async function startTerminal({ keys }: Shop): Promise<{ readonly link: CloudLink; readonly events: readonly LinkEvent[] }> {
  const events: LinkEvent[] = []
  const broker = { url: `mqtt://127.0.0.1:${mosquitto.port}`, username: 'T-1', password: passwords['T-1'] }
  const link = createCloudLink({
    terminal: 'T-1', transport: createMqttTransport({ terminal: 'T-1', broker }),
    seal: await createSeal(keys.terminal), open: await createOpener(DownMessage, [publicPart(keys.gateway)]),
    epoch: 1, software: 'test', configHash: 'x', boot: '0'.repeat(32), forgot: false, openSales: () => [order.sale], clock: monotonicClock, random: () => 0, log,
  })
  await link.start((event) => events.push(event))
  stops.push(() => link.stop())
  return { link, events }
}

const seen = <Type extends LinkEvent['type']>(events: readonly LinkEvent[], type: Type, count = 1): Promise<Extract<LinkEvent, { type: Type }>> =>
  until(`${type} ${count}`, () => events.filter((event): event is Extract<LinkEvent, { type: Type }> => event.type === type)[count - 1])

const commanded = (effects: FakeChargeEffects, what: Parameters<FakeChargeEffects['waiting']>[0]): Promise<unknown> =>
  until(what, () => effects.waiting(what) > 0)

/** Nobody's charge ends while this test runs. */
const pending = charge('a', { expiresAt: undefined })

async function offer({ effects }: Shop, link: CloudLink, events: readonly LinkEvent[]): Promise<void> {
  await seen(events, 'link up')
  link.send({ type: 'sale.open', id: 'open-1', order })
  await commanded(effects, 'find charges') // It has just started, and looks first.
  effects.answer('find charges', { type: 'charges found', charges: [] })
  await commanded(effects, 'create charge')
  effects.answer('create charge', { type: 'charge created', charge: pending })
  await commanded(effects, 'read code')
  effects.answer('read code', { type: 'code read', payload: CODE })
  expect(await seen(events, 'offer received')).toMatchObject({ order, charge: 'a', payload: CODE })
}

async function pay({ effects, gateway }: Shop): Promise<void> {
  void gateway.hint({ event: 'evnt_1', key: 'charge.complete', objectKind: 'charge', objectId: 'a', charge: 'a', livemode: false })
  await commanded(effects, 'read charge')
  effects.answer('read charge', read(paidCharge('a')))
}

const paidFor = (it: Order): object => ({ order: it, charge: 'a', ending: { outcome: 'paid' } })

describe('a sale through a real Mosquitto', () => {
  test('goes from hello to offer to paid', async () => {
    await mosquitto.start()
    const shop = await startGateway()
    const { link, events } = await startTerminal(shop)
    await offer(shop, link, events)
    await pay(shop)
    expect(await seen(events, 'verdict received')).toMatchObject(paidFor(order))
    expect(link.refused()).toEqual({})
    expect(shop.gateway.refused()).toEqual({})
  })

  test('goes on when the broker is killed while the code is shown: the verdict waits, and comes', async () => {
    await mosquitto.start()
    const shop = await startGateway()
    const { link, events } = await startTerminal(shop)
    await offer(shop, link, events)
    await mosquitto.kill()
    await seen(events, 'link down')
    await pay(shop)
    await until('paid in the books', async () => (await shop.store.ledger(order.sale)).length > 0)
    expect(events.some(({ type }) => type === 'verdict received')).toBe(false)

    await mosquitto.start()
    await seen(events, 'link up', 2)
    expect(await seen(events, 'verdict received')).toMatchObject(paidFor(order))
  })

  test('begins as soon as the broker is there, when the gateway and the terminal were first', async () => {
    const shop = await startGateway()
    const { link, events } = await startTerminal(shop)
    await mosquitto.start()
    await offer(shop, link, events)
  })
})

describe('what the example of an ACL allows in a real Mosquitto', () => {
  let gateway: Knock
  let one: Knock
  let two: Knock

  beforeEach(async () => {
    await mosquitto.start()
    const enter = async (user: keyof typeof passwords): Promise<Knock> => {
      const entered = await knock(mosquitto.port, user, passwords[user])
      stops.push(() => entered.client.endAsync(true))
      return entered
    }
    gateway = await enter('plinth-gateway')
    one = await enter('T-1')
    two = await enter('T-2')
    await gateway.client.subscribeAsync(UP_FILTER_ALL, { qos: 1 })
    await two.client.subscribeAsync(downFilter('T-2'), { qos: 1 })
  })

  const upText = async (): Promise<readonly string[]> => {
    await two.client.publishAsync(upTopic('T-2', 'hello'), 'last', { qos: 1 })
    return until('the last message', () => gateway.messages.at(-1)?.text === 'last' && gateway.messages.map(({ text }) => text).slice(0, -1))
  }

  test('a terminal is heard on its own topics', async () => {
    await one.client.publishAsync(upTopic('T-1', 'sale.open'), 'mine', { qos: 1 })
    expect(await upText()).toEqual(['mine'])
  })

  test.each([upTopic('T-2', 'sale.open'), 'plinth/1/T-2/dn/sale', 'plinth/1/T-1/dn/sale', 'elsewhere'])('it is not heard on %s', async (topic) => {
    one.client.publish(topic, 'forged', { qos: 1 })
    expect(await upText()).toEqual([])
    expect(two.messages).toEqual([])
  })

  test.each(['#', 'plinth/#', 'plinth/1/+/dn/+', downFilter('T-2'), `plinth/1/T-2/up/${shardOf('T-2')}/+`])('it hears nothing of others under %s', async (filter) => {
    await one.client.subscribeAsync(filter, { qos: 1 }).catch(() => undefined) // Refused or granted: what counts is what comes.
    await one.client.subscribeAsync(downFilter('T-1'), { qos: 1 })
    await gateway.client.publishAsync('plinth/1/T-2/dn/sale', 'for T-2', { qos: 1 })
    await gateway.client.publishAsync('plinth/1/T-1/dn/sale', 'for T-1', { qos: 1 })
    await until('its own word', () => one.messages.some(({ text }) => text === 'for T-1'))
    expect(new Set(one.messages.map(({ text }) => text))).toEqual(new Set(['for T-1']))
    await until('the other\'s word', () => two.messages.some(({ text }) => text === 'for T-2'))
  })

  test('it cannot put out another by taking its client id', async () => {
    const thief = await knock(mosquitto.port, 'T-1', passwords['T-1'], { clientId: 'T-2' })
    stops.push(() => thief.client.endAsync(true))
    await two.client.publishAsync(upTopic('T-2', 'hello'), 'still here', { qos: 1 })
    await until('T-2 is heard', () => gateway.messages.some(({ text }) => text === 'still here'))
    expect(two.client.connected).toBe(true)
  })

  test('nobody comes in without the right password', async () => {
    await expect(knock(mosquitto.port, 'T-1', 'wrong')).rejects.toThrow('Connection refused')
    await expect(knock(mosquitto.port, 'T-9', passwords['T-1'])).rejects.toThrow('Connection refused')
  })

  test('a message may be as long as the wire allows, and not longer', async () => {
    await one.client.publishAsync(upTopic('T-1', 'hello'), 'x'.repeat(MESSAGE_BYTES_MAX), { qos: 1 })
    await until('the longest message', () => gateway.messages.some(({ text }) => text.length === MESSAGE_BYTES_MAX))
    one.client.publish(upTopic('T-1', 'hello'), 'x'.repeat(MESSAGE_BYTES_MAX + 1), { qos: 1 })
    expect((await upText()).map((text) => text.length)).toEqual([MESSAGE_BYTES_MAX])
  })

  test('nothing stays (retained) for who comes later', async () => {
    one.client.publish(upTopic('T-1', 'hello'), 'for ever', { qos: 1, retain: true })
    await upText()
    const late = await knock(mosquitto.port, 'plinth-gateway', passwords['plinth-gateway'])
    stops.push(() => late.client.endAsync(true))
    await late.client.subscribeAsync(UP_FILTER_ALL, { qos: 1 })
    await two.client.publishAsync(upTopic('T-2', 'hello'), 'now', { qos: 1 })
    await until('what is said now', () => late.messages.some(({ text }) => text === 'now'))
    expect(late.messages.map(({ text }) => text)).toEqual(['now'])
  })
})
