/** The real link over real TCP against the real embedded broker, with a gateway of a few lines; time is the test's. */
import { Aedes } from 'aedes'
import { createServer, type Server, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { type EmbeddedBroker, passwordHash, startBroker } from '../../cloud/broker.js'
import { type CloudLink, createCloudLink, type LinkEvent } from '../../device/cloud-link.js'
import { createMqttTransport } from '../../device/mqtt-transport.js'
import { createOpener, createSeal, mintKey, type OpenSeal, type PrivateKeyJson, publicPart } from '../../device/protocol/seal.js'
import { DownMessage, downTopic, MESSAGE_BYTES_MAX, type Order, UP_FILTER_ALL, UpMessage } from '../../device/protocol/wire.js'
import { createFakeClock, type FakeClock } from '../fakes/clock.js'

const TERMINAL = 'counter-1'
const PASSWORD = 'a long password'
const NOON = Date.parse('2026-11-23T12:00:00Z')
const order: Order = {
  sale: '01931e7c-0000-7000-8000-000000000001', nonce: 'a'.repeat(32), amountMinor: 2_500, currency: 'THB', method: 'alipayplus_mpm',
}

let terminalKey: PrivateKeyJson, gatewayKey: PrivateKeyJson, strangerKey: PrivateKeyJson
let openUp: OpenSeal<UpMessage>
beforeAll(async () => {
  terminalKey = await mintKey(TERMINAL)
  gatewayKey = await mintKey('gateway-1')
  strangerKey = await mintKey('gateway-1')
  openUp = await createOpener(UpMessage, [publicPart(terminalKey)])
})

const endings: (() => Promise<unknown>)[] = []
afterEach(async () => {
  vi.restoreAllMocks()
  for (const end of endings.splice(0).reverse()) await end()
})

/** A word of the gateway, all in order but for what the test bends. */
type Bent = Partial<DownMessage> & { readonly type: DownMessage['type'] }
let counter = 0
const word = (bent: Bent): object =>
  ({ v: 1, terminal: TERMINAL, re: null, counter: ++counter, time: new Date(NOON).toISOString(), order, charge: 'chrg_1', ...bent })
const offer = (bent: object = {}): object =>
  word({ type: 'sale.offer', payload: 'https://order.example/1', expiresAt: new Date(NOON + 120_000).toISOString(), ...bent })
const verdict = (bent: object = {}): object => word({ type: 'sale.verdict', ending: { outcome: 'unpaid', reason: 'expired' }, ...bent })

interface Shop {
  readonly broker: EmbeddedBroker
  readonly heard: UpMessage[]
  /** How often a terminal came through the door. */
  connections(): number
  say(message: object, key?: PrivateKeyJson): Promise<void>
}

/** A gateway that answers hellos as `answer` says: with a welcome, unless it says otherwise. */
async function openShop(
  answer: (message: UpMessage) => object | undefined = welcome, port = 0, password: () => string | undefined = () => PASSWORD,
): Promise<Shop> {
  const heard: UpMessage[] = []
  let connections = 0
  const log = pino({}, { write: (line) => { if (line.includes('"terminal connected"')) connections++ } })
  const broker = await startBroker({
    host: '127.0.0.1', port, log,
    passwordHashOf: (terminal) => {
      const known = password()
      return Promise.resolve(terminal === TERMINAL && known !== undefined ? passwordHash(known) : undefined)
    },
  })
  let open = true
  const close = broker.close.bind(broker)
  broker.close = async () => {
    if (open) await close()
    open = false
  }
  endings.push(() => broker.close())
  const say = async (message: object, key = gatewayKey): Promise<void> => {
    const { type } = message as DownMessage
    await broker.publish(downTopic(TERMINAL, type), await (await createSeal(key))(message))
  }
  await broker.subscribe(UP_FILTER_ALL, (_topic, bytes) => {
    void openUp(bytes).then((opened) => {
      if ('broken' in opened) throw new Error(`the gateway could not open: ${opened.broken}`)
      heard.push(opened.message)
      const reply = answer(opened.message)
      return reply === undefined ? undefined : say(reply)
    })
  })
  return { broker, heard, connections: () => connections, say }
}

function welcome(message: UpMessage): object | undefined {
  return message.type === 'hello' ? word({ type: 'welcome', charging: true, re: message.id }) : undefined
}

interface Terminal {
  readonly link: CloudLink
  readonly clock: FakeClock
  readonly events: LinkEvent[]
  readonly said: string[]
}

async function openTerminal(port: number): Promise<Terminal> {
  const clock = createFakeClock()
  const events: LinkEvent[] = []
  const said: string[] = []
  const broker = { url: `mqtt://127.0.0.1:${port}`, username: TERMINAL, password: PASSWORD }
  const link = createCloudLink({
    terminal: TERMINAL, transport: createMqttTransport({ terminal: TERMINAL, broker }),
    seal: await createSeal(terminalKey), open: await createOpener(DownMessage, [publicPart(gatewayKey)]),
    epoch: 7, software: '0.1.0', configHash: 'abc', boot: '0'.repeat(32), forgot: false, openSales: () => [order.sale], clock, random: () => 0.5,
    log: pino({}, { write: (line) => { said.push(line) } }),
  })
  endings.push(() => link.stop())
  await link.start((event) => events.push(event))
  return { link, clock, events, said }
}

const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 10_000, interval: 5 })
const types = (events: readonly LinkEvent[]): string => events.map(({ type }) => type).join(', ')
const isUp = ({ events }: Terminal) => until(() => expect(events.at(-1)?.type).toBe('link up'))
const hellos = (shop: Shop) => shop.heard.filter(({ type }) => type === 'hello')
/** Lets the terminal wait out its pauses until something has happened. */
const meanwhile = ({ clock }: Terminal, check: () => void): Promise<void> => vi.waitFor(() => {
  clock.advance(500)
  check()
}, { timeout: 10_000, interval: 20 })

describe('the link', () => {
  test('is up when a hello was answered', async () => {
    const shop = await openShop()
    const terminal = await openTerminal(shop.broker.port)
    await isUp(terminal)
    expect(hellos(shop)).toMatchObject([{ terminal: TERMINAL, epoch: 7, software: '0.1.0', configHash: 'abc', openSales: [order.sale] }])
    expect(types(terminal.events)).toBe('link up')
  })

  test('is not up while nobody answers: three hellos, each with its own id, then a new connection', async () => {
    const shop = await openShop(() => undefined)
    const terminal = await openTerminal(shop.broker.port)
    for (const count of [1, 2, 3]) {
      await until(() => expect(hellos(shop)).toHaveLength(count))
      terminal.clock.advance(5_000)
    }
    expect(new Set(hellos(shop).map(({ id }) => id)).size).toBe(3)
    await meanwhile(terminal, () => expect(shop.connections()).toBe(2))
    await until(() => expect(hellos(shop)).toHaveLength(4))
    expect(terminal.events).toEqual([])
    expect(terminal.said.join('')).toContain('no answer to 3 hellos')
  })

  test('comes back when the broker does, on the same address, and is down meanwhile', async () => {
    const shop = await openShop()
    const { port } = shop.broker
    const terminal = await openTerminal(port)
    await isUp(terminal)
    await shop.broker.close()
    await until(() => expect(types(terminal.events)).toBe('link up, link down'))
    terminal.clock.advance(60_000)
    const again = await openShop(welcome, port)
    await meanwhile(terminal, () => expect(types(terminal.events)).toBe('link up, link down, link up'))
    expect(hellos(again).length).toBeGreaterThan(0)
  })

  test('to a broker that is not there yet is tried for ever', async () => {
    const shop = await openShop()
    const { port } = shop.broker
    await shop.broker.close()
    const terminal = await openTerminal(port)
    await meanwhile(terminal, () => expect(terminal.said.filter((line) => line.includes('link lost')).length).toBeGreaterThanOrEqual(3))
    await openShop(welcome, port)
    await meanwhile(terminal, () => expect(types(terminal.events)).toBe('link up'))
  })

  test('that is refused for its password keeps trying, and is up when the gateway knows it', async () => {
    const gateway: { knows?: string } = {}
    const shop = await openShop(welcome, 0, () => gateway.knows)
    const terminal = await openTerminal(shop.broker.port)
    await meanwhile(terminal, () => expect(terminal.said.filter((line) => line.includes('link lost')).length).toBeGreaterThanOrEqual(3))
    expect(terminal.events).toEqual([])
    gateway.knows = PASSWORD
    await meanwhile(terminal, () => expect(types(terminal.events)).toBe('link up'))
  })

  test('waits longer each time, and never longer than half a minute', async () => {
    const shop = await openShop()
    await shop.broker.close()
    const terminal = await openTerminal(shop.broker.port)
    const waits = () => terminal.said.map((line) => (JSON.parse(line) as { againInMs?: number }).againInMs).filter((ms) => ms !== undefined)
    await vi.waitFor(() => {
      terminal.clock.advance(30_000)
      expect(waits().length).toBeGreaterThanOrEqual(8)
    }, { timeout: 10_000, interval: 20 })
    expect(waits().slice(0, 8)).toEqual([375, 750, 1_500, 3_000, 6_000, 12_000, 22_500, 22_500])
  })

  test('proves itself again after a minute of silence, and is down when that is not answered', async () => {
    let deaf = false
    const shop = await openShop((message) => (deaf ? undefined : welcome(message)))
    const terminal = await openTerminal(shop.broker.port)
    await isUp(terminal)
    terminal.clock.advance(60_000)
    await until(() => expect(hellos(shop)).toHaveLength(2))
    await until(() => expect(terminal.clock.waiting()).toBe(1))
    deaf = true
    await sleep(20)
    terminal.clock.advance(60_000)
    for (const count of [3, 4, 5]) {
      await until(() => expect(hellos(shop)).toHaveLength(count))
      terminal.clock.advance(5_000)
    }
    await until(() => expect(types(terminal.events)).toBe('link up, link down'))
  })

  test('sends without Nagle\'s delay', async () => {
    const prompt: unknown[] = []
    const real = Socket.prototype.setNoDelay
    vi.spyOn(Socket.prototype, 'setNoDelay').mockImplementation(function (this: Socket, on) {
      if (on === true) prompt.push(this.remotePort)
      return real.call(this, on)
    })
    const shop = await openShop()
    await isUp(await openTerminal(shop.broker.port))
    expect(prompt).toContain(shop.broker.port)
  })

  test('leaves a will that names the boot it belongs to', async () => {
    const shop = await openShop()
    const terminal = await openTerminal(shop.broker.port)
    await isUp(terminal)
    await terminal.link.stop()
    await until(() => expect(shop.heard.at(-1)).toMatchObject({ type: 'gone', epoch: 7, terminal: TERMINAL }))
  })

  test('that was stopped says and does nothing more', async () => {
    const shop = await openShop()
    const terminal = await openTerminal(shop.broker.port)
    await isUp(terminal)
    await terminal.link.stop()
    const heard = shop.heard.filter(({ type }) => type !== 'gone')
    terminal.link.send({ type: 'sale.open', id: 'late', order })
    terminal.clock.advance(600_000)
    await sleep(50)
    expect(shop.heard.filter(({ type }) => type !== 'gone')).toEqual(heard)
    expect(shop.connections()).toBe(1)
    expect(types(terminal.events)).toBe('link up')
  })
})

describe('a request', () => {
  test('arrives sealed, and again under the same id when it is sent again', async () => {
    const shop = await openShop()
    const terminal = await openTerminal(shop.broker.port)
    await isUp(terminal)
    const request = { type: 'sale.close', id: 'x.close', order, charge: null, reason: 'cancelled' } as const
    terminal.link.send(request)
    terminal.link.send(request)
    await until(() => expect(shop.heard.filter(({ type }) => type === 'sale.close')).toEqual([
      { v: 1, terminal: TERMINAL, epoch: 7, ...request }, { v: 1, terminal: TERMINAL, epoch: 7, ...request },
    ]))
  })

  test('without a link is dropped, and does not come out of nowhere later', async () => {
    const shop = await openShop()
    const { port } = shop.broker
    await shop.broker.close()
    const terminal = await openTerminal(port)
    terminal.link.send({ type: 'sale.open', id: 'early', order })
    await sleep(20)
    const again = await openShop(welcome, port)
    await meanwhile(terminal, () => expect(types(terminal.events)).toBe('link up'))
    await sleep(50)
    expect(again.heard.filter(({ type }) => type === 'sale.open')).toEqual([])
  })
})

describe('a word of the gateway', () => {
  const listening = async () => {
    const shop = await openShop()
    const terminal = await openTerminal(shop.broker.port)
    await isUp(terminal)
    return { shop, terminal }
  }

  test('becomes an event, with the life that is left of its code', async () => {
    const { shop, terminal } = await listening()
    await shop.say(offer())
    await until(() => expect(terminal.events.at(-1)).toEqual({
      type: 'offer received', order, counter, charge: 'chrg_1', payload: 'https://order.example/1', lifetimeMs: 120_000,
    }))
    await shop.say(verdict({ ending: { outcome: 'paid', paidAt: '2026-11-23T12:00:30Z' } }))
    await until(() => expect(terminal.events.at(-1)).toEqual({
      type: 'verdict received', order, counter, re: null, charge: 'chrg_1', ending: { outcome: 'paid', paidAt: '2026-11-23T12:00:30Z' },
    }))
    await shop.say(verdict({ re: 'x.close' }))
    await until(() => expect(terminal.events.at(-1)).toMatchObject({ type: 'verdict received', re: 'x.close' }))
    expect(terminal.link.refused()).toEqual({})
  })

  test('that money went back says how old it is: a replay of yesterday\'s is a day old', async () => {
    const { shop, terminal } = await listening()
    const reversed = (bent: object = {}) => word({ type: 'sale.reversed', charge: 'chrg_1', amountMinor: 2_500, voided: true, ...bent })
    await shop.say(reversed())
    await until(() => expect(terminal.events.at(-1)).toEqual({
      type: 'reversal received', order, counter, charge: 'chrg_1', amountMinor: 2_500, voided: true, ageMs: 0,
    }))
    await shop.say(reversed({ time: new Date(NOON - 86_400_000).toISOString() }))
    await until(() => expect(terminal.events.at(-1)).toMatchObject({ type: 'reversal received', ageMs: 86_400_000 }))
  })

  test('that was long on its way leaves its code less life', async () => {
    const { shop, terminal } = await listening()
    terminal.clock.advance(30_000)
    await shop.say(offer())
    await until(() => expect(terminal.events.at(-1)).toMatchObject({ type: 'offer received', lifetimeMs: 90_000 }))
  })

  test('is read by the gateway\'s clock, also after somebody set that clock back', async () => {
    let hoursWrong = 1
    const shop = await openShop((message) => (message.type !== 'hello' ? undefined
      : word({ type: 'welcome', charging: true, re: message.id, time: new Date(NOON + hoursWrong * 3_600_000).toISOString() })))
    const terminal = await openTerminal(shop.broker.port)
    await isUp(terminal)
    hoursWrong = 0
    terminal.clock.advance(60_000)
    await until(() => expect(hellos(shop)).toHaveLength(2))
    await sleep(30)
    await shop.say(offer())
    await until(() => expect(terminal.events.at(-1)).toMatchObject({ type: 'offer received', lifetimeMs: 120_000 }))
  })

  test.each<[string, (shop: Shop) => Promise<void>, string]>([
    ['signed by a stranger', (shop) => shop.say(verdict(), strangerKey), 'not signed by a known key'],
    ['not signed at all', (shop) => shop.broker.publish(downTopic(TERMINAL, 'sale.verdict'), JSON.stringify(verdict())), 'not signed by a known key'],
    ['for another terminal', (shop) => shop.say(verdict({ terminal: 'counter-2' })), 'another terminal'],
    ['of a later version', (shop) => shop.say(verdict({ v: 2 })), 'not a message'],
    ['of no known kind', (shop) => shop.say({ ...verdict(), ending: { outcome: 'perhaps' } }), 'not a message'],
    ['too large', (shop) => shop.broker.publish(downTopic(TERMINAL, 'sale.verdict'), 'x'.repeat(MESSAGE_BYTES_MAX + 1)), 'too large'],
    ['a welcome to nothing', (shop) => shop.say(word({ type: 'welcome', charging: true, re: 'hello-6-1000' })), 'stale welcome'],
    ['a welcome to nobody', (shop) => shop.say(word({ type: 'welcome', charging: true, re: null })), 'stale welcome'],
  ])('that is %s moves nothing, and is counted', async (_, say, reason) => {
    const { shop, terminal } = await listening()
    await say(shop)
    await until(() => expect(terminal.link.refused()).toEqual({ [reason]: 1 }))
    expect(types(terminal.events)).toBe('link up')
  })

  test('that is a welcome to an earlier hello does not bring the link up', async () => {
    let first: string | undefined
    const shop = await openShop((message) => {
      if (message.type !== 'hello') return undefined
      first ??= message.id
      return word({ type: 'welcome', charging: true, re: first === message.id ? 'nothing' : first })
    })
    const terminal = await openTerminal(shop.broker.port)
    await until(() => expect(terminal.link.refused()).toEqual({ 'stale welcome': 1 }))
    terminal.clock.advance(5_000)
    await until(() => expect(terminal.link.refused()).toEqual({ 'stale welcome': 2 }))
    expect(terminal.events).toEqual([])
  })

  test('of a connection that is gone does not bring the link up: it would never be rebuilt', async () => {
    let held: (() => void)[] | undefined
    const verify = crypto.subtle.verify.bind(crypto.subtle)
    vi.spyOn(crypto.subtle, 'verify').mockImplementation(async (...told) => {
      const now = held
      if (now !== undefined) await new Promise<void>((resolve) => { now.push(resolve) })
      return await verify(...told)
    })
    const shop = await openShop((message) => {
      held = [] // From here on only the terminal verifies.
      return welcome(message)
    })
    const { port } = shop.broker
    const terminal = await openTerminal(port)
    await until(() => expect(held).toHaveLength(1))
    await shop.broker.close()
    await until(() => expect(terminal.said.join('')).toContain('link lost'))
    for (const go of held ?? []) go()
    held = undefined
    vi.restoreAllMocks()
    await sleep(50)
    expect(terminal.events).toEqual([])
    await openShop(welcome, port)
    await meanwhile(terminal, () => expect(types(terminal.events)).toBe('link up'))
  })
})

describe('a broker that is not what it should be', () => {
  /** A bare one, that does what the test wants. */
  async function bareBroker(bend: (broker: Aedes) => void) {
    const broker = await Aedes.createBroker()
    bend(broker)
    let connections = 0
    const server: Server = createServer((socket) => {
      connections++
      broker.handle(socket)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    endings.push(async () => {
      server.close()
      await new Promise<void>((resolve) => broker.close(() => resolve()))
    })
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    return { broker, port: address.port, connections: () => connections }
  }
  const rebuilt = async (bend: (broker: Aedes) => void, because: string): Promise<void> => {
    const { port, connections } = await bareBroker(bend)
    const terminal = await openTerminal(port)
    await until(() => expect(connections()).toBe(1))
    await meanwhile(terminal, () => expect(connections()).toBeGreaterThanOrEqual(2))
    expect(terminal.said.join('')).toContain(because)
    expect(terminal.events).toEqual([])
  }

  test('that never grants the subscription is left', () => rebuilt((broker) => { broker.authorizeSubscribe = () => undefined }, 'no SUBACK'))
  test('that refuses the subscription is left', () =>
    rebuilt((broker) => { broker.authorizeSubscribe = (_client, _subscription, done) => done(null, null) }, 'subscription refused'))
  test('that never takes what is said is left', () => rebuilt((broker) => {
    broker.authorizePublish = (client, _packet, done) => { if (client === null) done(null) }
  }, 'no PUBACK'))
  test('that closes on what is said is left', () =>
    rebuilt((broker) => { broker.authorizePublish = (client, _packet, done) => done(client === null ? null : new Error('not yours')) }, 'connection closed'))

  test('that keeps words is not believed: a retained one is somebody\'s replay', async () => {
    const sealed = await (await createSeal(gatewayKey))(verdict())
    const { broker, port } = await bareBroker(() => undefined)
    await new Promise<void>((resolve) => {
      const topic = downTopic(TERMINAL, 'sale.verdict')
      broker.publish({ cmd: 'publish', topic, payload: Buffer.from(sealed), qos: 1, retain: true, dup: false }, () => resolve())
    })
    const terminal = await openTerminal(port)
    await until(() => expect(terminal.link.refused()).toEqual({ retained: 1 }))
    expect(terminal.events).toEqual([])
  })
})

