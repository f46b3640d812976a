/** What a broker, or whoever sits on the line to it, can do to a terminal: delay it, and nothing else. */
import { Aedes } from 'aedes'
import { createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { type CloudLink, createCloudLink, type LinkEvent } from '../../device/cloud-link.js'
import { createMqttTransport } from '../../device/mqtt-transport.js'
import { createOpener, createSeal, mintKey, type PrivateKeyJson, publicPart, type Seal } from '../../device/protocol/seal.js'
import { DownMessage, downTopic } from '../../device/protocol/wire.js'
import { createFakeClock, type FakeClock } from '../fakes/clock.js'

const TERMINAL = 'counter-1'
const NOON = '2026-11-23T12:00:00.000Z'
const MEGABYTE = 1_048_576

let terminalKey: PrivateKeyJson, gatewayKey: PrivateKeyJson
let seal: Seal
beforeAll(async () => {
  terminalKey = await mintKey(TERMINAL)
  gatewayKey = await mintKey('gateway-1')
  seal = await createSeal(gatewayKey)
})

const endings: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end()
})

interface HostileBroker {
  readonly port: number
  /** Raw lines to the terminal, the newest last. */
  readonly sockets: Socket[]
  /** Every word of the gateway that came by, as it was sealed. */
  readonly overheard: string[]
  hellos(): number
  /** From now on the gateway is not there any more. */
  cutOffGateway(): void
  say(sealed: string): Promise<void>
}

/** The terminal's broker, in the hands of somebody who has no key; the gateway behind it is honest. */
async function openBroker(): Promise<HostileBroker> {
  const broker = await Aedes.createBroker()
  const sockets: Socket[] = []
  const overheard: string[] = []
  let hellos = 0
  let counter = 0
  let reachable = true
  const say = (sealed: string): Promise<void> => new Promise((resolve) => {
    broker.publish({
      cmd: 'publish', topic: downTopic(TERMINAL, 'welcome'), payload: Buffer.from(sealed), qos: 1, retain: false, dup: false,
    }, () => resolve())
  })
  broker.on('publish', (packet, client) => {
    if (client === null || !packet.topic.endsWith('/hello')) return
    hellos++
    if (!reachable) return
    const { id } = JSON.parse(Buffer.from(packet.payload.toString().split('.')[1] ?? '', 'base64url').toString()) as { id: string }
    void seal({ v: 1, terminal: TERMINAL, re: id, counter: ++counter, time: NOON, type: 'welcome', charging: true }).then((sealed) => {
      overheard.push(sealed)
      return say(sealed)
    })
  })
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined) // The terminal may hang up in the middle of what we do to it.
    broker.handle(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  endings.push(async () => {
    server.close()
    for (const socket of sockets) socket.destroy()
    await new Promise<void>((resolve) => broker.close(() => resolve()))
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { port: address.port, sockets, overheard, hellos: () => hellos, cutOffGateway: () => { reachable = false }, say }
}

interface Terminal {
  readonly link: CloudLink
  readonly clock: FakeClock
  readonly events: LinkEvent[]
}

async function openTerminal(port: number): Promise<Terminal> {
  const clock = createFakeClock()
  const events: LinkEvent[] = []
  const broker = { url: `mqtt://127.0.0.1:${port}`, username: TERMINAL, password: 'a long password' }
  const link = createCloudLink({
    terminal: TERMINAL, transport: createMqttTransport({ terminal: TERMINAL, broker }),
    seal: await createSeal(terminalKey), open: await createOpener(DownMessage, [publicPart(gatewayKey)]),
    epoch: 1, software: '0.1.0', configHash: 'abc', boot: '0'.repeat(32), forgot: false, openSales: () => [], clock, random: () => 0.5, log: pino({ level: 'silent' }),
  })
  endings.push(() => link.stop())
  await link.start((event) => events.push(event))
  await until(() => expect(types(events)).toBe('link up'))
  return { link, clock, events }
}

const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 10_000, interval: 5 })
const types = (events: readonly LinkEvent[]): string => events.map(({ type }) => type).join(', ')

describe('a broker that means harm', () => {
  test.each<[string, Buffer]>([
    ['256 MB', Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 0x78])],
    ['a kilobyte more than a message may have', Buffer.from([0x30, 0x80, 0x88, 0x01, 0, 1, 0x78])],
  ])('cannot make the terminal collect a packet that announces %s: the line is cut, and a new one is made', async (_, head) => {
    const broker = await openBroker()
    const { link, clock, events } = await openTerminal(broker.port)
    broker.sockets.at(-1)?.write(head)
    await until(() => expect(types(events)).toBe('link up, link down'))
    expect(link.refused()).toEqual({ 'oversized packet': 1 })
    await vi.waitFor(() => {
      clock.advance(500)
      expect(events.at(-1)?.type).toBe('link up')
    }, { timeout: 10_000, interval: 20 })
  })

  test('gets rid of at most what a socket holds behind such an announcement', async () => {
    const broker = await openBroker()
    const { events } = await openTerminal(broker.port)
    const socket = broker.sockets.at(-1)
    socket?.write(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]))
    let sent = 0
    for (; sent < 64 && socket?.destroyed === false; sent++) {
      await new Promise((resolve) => socket.write(Buffer.alloc(MEGABYTE), resolve))
    }
    expect(sent).toBeLessThan(64)
    expect(types(events)).toBe('link up, link down')
  })

  test('cannot keep the link up without a gateway, however often it repeats what the gateway once said', async () => {
    const broker = await openBroker()
    const { clock, events } = await openTerminal(broker.port)
    broker.cutOffGateway()
    for (let half = 0; half < 4 && broker.hellos() < 2; half++) {
      for (const word of broker.overheard) await broker.say(word)
      await sleep(50) // The replay has been opened and judged.
      clock.advance(30_000)
      await sleep(20)
    }
    expect(broker.hellos()).toBe(2)
    for (const count of [3, 4]) {
      clock.advance(5_000)
      await until(() => expect(broker.hellos()).toBe(count))
    }
    clock.advance(5_000)
    await until(() => expect(types(events)).toBe('link up, link down'))
  })

  test('is counted when it repeats even the latest welcome', async () => {
    const broker = await openBroker()
    const { link } = await openTerminal(broker.port)
    for (const word of broker.overheard) await broker.say(word)
    await until(() => expect(link.refused()).toEqual({ 'stale welcome': 1 }))
  })
})
