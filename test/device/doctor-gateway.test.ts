/** The doctor's hello over real TCP to the real embedded broker, with a gateway of a few lines behind it. */
import { createServer } from 'node:net'
import { pino } from 'pino'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { passwordHash, startBroker } from '../../cloud/broker.js'
import type { Clock } from '../../device/clock.js'
import { monotonicClock } from '../../device/clock.js'
import { GATEWAY_MS, greetGateway } from '../../device/doctor-gateway.js'
import { createMqttTransport } from '../../device/mqtt-transport.js'
import { createOpener, createSeal, mintKey, type PrivateKeyJson, publicPart } from '../../device/protocol/seal.js'
import { DownMessage, downTopic, type Order, UP_FILTER_ALL, UpMessage } from '../../device/protocol/wire.js'
import { initial, record, type Recorded } from '../../device/sale.js'
import type { Finding } from '../../drivers/finding.js'

const TERMINAL = 'counter-1'
const PASSWORD = 'a long password'
const log = pino({ level: 'silent' })

let terminalKey: PrivateKeyJson, gatewayKey: PrivateKeyJson, strangerKey: PrivateKeyJson
beforeAll(async () => {
  [terminalKey, gatewayKey, strangerKey] = [await mintKey(TERMINAL), await mintKey('gateway-1'), await mintKey('gateway-1')]
})

const endings: (() => Promise<unknown>)[] = []
afterEach(async () => { for (const end of endings.splice(0).reverse()) await end() })

/** A gateway that seals its welcomes with `key`, or answers nothing. */
async function openShop({ key, charging = true }: { readonly key?: PrivateKeyJson; readonly charging?: boolean }) {
  const heard: UpMessage[] = []
  const broker = await startBroker({
    host: '127.0.0.1', port: 0, log, passwordHashOf: (terminal) => Promise.resolve(terminal === TERMINAL ? passwordHash(PASSWORD) : undefined),
  })
  endings.push(() => broker.close())
  const open = await createOpener(UpMessage, [publicPart(terminalKey)])
  await broker.subscribe(UP_FILTER_ALL, (_topic, bytes) => {
    void open(bytes).then(async (opened) => {
      if ('broken' in opened) return
      heard.push(opened.message)
      if (opened.message.type !== 'hello' || key === undefined) return
      const welcome = { v: 1, terminal: TERMINAL, counter: heard.length, time: new Date().toISOString(), type: 'welcome', re: opened.message.id, charging }
      await broker.publish(downTopic(TERMINAL, 'welcome'), await (await createSeal(key))(welcome))
    })
  })
  return { port: broker.port, heard }
}

/** The doctor's patience, not that of the link, ends at once. */
const impatient: Clock = {
  now: () => monotonicClock.now(),
  alarm: (at, ring) => monotonicClock.alarm(at - monotonicClock.now() > GATEWAY_MS - 1_000 ? monotonicClock.now() + 300 : at, ring),
}

interface Greeter { readonly port: number; readonly password?: string; readonly last?: Recorded; readonly clock?: Clock }

async function greet({ port, password = PASSWORD, last = record(initial), clock = monotonicClock }: Greeter): Promise<readonly Finding[]> {
  const broker = { url: `mqtt://127.0.0.1:${port}`, username: TERMINAL, password }
  return greetGateway({
    journal: { epoch: 12, forgot: false, last: () => last }, terminal: TERMINAL, transport: createMqttTransport({ terminal: TERMINAL, broker }),
    seal: await createSeal(terminalKey), open: await createOpener(DownMessage, [publicPart(gatewayKey)]),
    software: '0.1.0', configHash: 'abc', boot: '5'.repeat(32), clock, random: () => 0.5, log,
  })
}

const order: Order = {
  sale: '01931e7c-0000-7000-8000-000000000001', nonce: 'a'.repeat(32), amountMinor: 2_500, currency: 'THB', method: 'alipayplus_mpm',
}

test('a hello that is answered is good, and says how long it took', async () => {
  const { port } = await openShop({ key: gatewayKey })
  const [gateway, charging] = await greet({ port })
  expect(gateway).toMatchObject({ check: 'gateway', status: 'good', says: expect.stringMatching(/^a hello was answered in [0-9]+ ms$/) })
  expect(charging).toMatchObject({ check: 'charging', status: 'good' })
})

test('it is said as the terminal itself would say it: the journal\'s epoch, a boot of its own, the sale that is open', async () => {
  const { port, heard } = await openShop({ key: gatewayKey })
  const sale = { id: order.sale, order, askedBy: 'keypad' }
  await greet({ port, last: { phase: 'resolving', sale } as unknown as Recorded })
  expect(heard[0]).toMatchObject({ type: 'hello', epoch: 12, boot: '5'.repeat(32), forgot: false, openSales: [order.sale] })
})

test('a gateway that cannot charge is bad, though it answers', async () => {
  const { port } = await openShop({ key: gatewayKey, charging: false })
  expect((await greet({ port })).map(({ check, status }) => `${check} ${status}`)).toEqual(['gateway good', 'charging bad'])
})

describe('what is wrong is told apart', () => {
  test('nobody listens there', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    await new Promise((resolve) => server.close(resolve))
    expect(await greet({ port })).toMatchObject([{ check: 'gateway', status: 'bad', says: expect.stringContaining('cannot be reached'), fix: expect.stringContaining('broker.url') }])
  })

  test('the broker refuses the terminal', async () => {
    const { port } = await openShop({ key: gatewayKey })
    const [found] = await greet({ port, password: 'a wrong password' })
    expect(found).toMatchObject({ check: 'gateway', status: 'bad', says: expect.stringContaining('refuses this terminal'), fix: expect.stringContaining('Enrol it anew') })
    expect(found?.says).not.toContain('a wrong password')
  })

  test('the broker is there, and no gateway answers', async () => {
    const { port } = await openShop({})
    expect(await greet({ port, clock: impatient })).toMatchObject([{ check: 'gateway', status: 'bad', says: expect.stringContaining('did not answer') }])
  })

  test('somebody answers who is not this terminal\'s gateway', async () => {
    const { port } = await openShop({ key: strangerKey })
    expect(await greet({ port, clock: impatient })).toMatchObject([{ check: 'gateway', status: 'bad', says: expect.stringContaining('does not believe') }])
  })
})
