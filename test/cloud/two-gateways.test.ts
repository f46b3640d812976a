/** Two gateways on one database: only one of them works, whatever the other believes, and the sale does not notice. */
import Database from 'better-sqlite3'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Effect } from '../../cloud/charge.js'
import { createGateway, type Gateway } from '../../cloud/gateway.js'
import { createLog } from '../../cloud/log.js'
import { openStore, type Store, StoreError, storeOn } from '../../cloud/store.js'
import { createOpener, createSeal, mintKey, type OpenSeal, type PrivateKeyJson, publicPart, type Seal } from '../../device/protocol/seal.js'
import { DownMessage, UpMessage, upTopic, WIRE_VERSION } from '../../device/protocol/wire.js'
import { type FakeTerminalLink, fakeTerminalLink } from '../fakes/terminal-link.js'
import { fakeWallClock } from '../fakes/wall-clock.js'
import { until } from './broker-client.js'
import { apiCharge, moment, order, START, terms } from './charge-story.js'
import { littleOmise } from './little-omise.js'

describe('as two processes', () => {
  const PROGRAM = join(import.meta.dirname, '../../dist/cloud/main.js')
  const READY_MS = 60_000
  let folder = ''
  let running: ChildProcess[] = []

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'plinth-two-'))
    running = []
    const file = (name: string, content: string): void => { writeFileSync(join(folder, name), content, { mode: 0o600 }) }
    file('seal-key.json', JSON.stringify(await mintKey('gateway')))
    file('secret-key', 'skey_test_5x6636kemfhdaxmrodv')
    file('webhook-secret', Buffer.alloc(32).toString('base64'))
    file('gateway.json', JSON.stringify({
      http: { port: 0 }, broker: { kind: 'embedded', port: 0 },
      omise: { apiUrl: 'http://127.0.0.1:9', secretKeyFile: 'secret-key', webhookSecretFiles: ['webhook-secret'] },
    }))
  })

  afterEach(async () => {
    for (const child of running) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
    }
    rmSync(folder, { recursive: true, force: true })
  })

  /** Resolves with what it said when it was ready, or had ended. */
  async function start(): Promise<{ readonly child: ChildProcess; readonly ready: boolean; readonly err: string }> {
    const child = spawn(process.execPath, [PROGRAM, 'run', '--config', join(folder, 'gateway.json')])
    running.push(child)
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk: Buffer) => { out += chunk.toString() })
    child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString() })
    const closed = once(child, 'close')
    const end = Date.now() + READY_MS
    while (!out.includes('gateway ready') && child.exitCode === null && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20))
    if (child.exitCode !== null) await closed
    return { child, ready: out.includes('gateway ready'), err }
  }

  test('the second refuses to start, in one sentence; it starts when the first was killed', async () => {
    const first = await start()
    expect(first).toMatchObject({ ready: true, err: '' })
    const second = await start()
    expect(second).toMatchObject({
      ready: false, err: `plinth-gateway: another gateway works on this database (it holds ${join(folder, 'gateway.sqlite')}-owner)\n`,
    })
    expect(second.child.exitCode).toBe(1)
    expect(first.child.exitCode).toBeNull()

    first.child.kill('SIGKILL')
    await once(first.child, 'exit')
    expect(await start()).toMatchObject({ ready: true, err: '' })
  }, 120_000)

  test('a terminal can be enrolled beside a gateway that runs', async () => {
    await start()
    const enrol = spawn(process.execPath, [
      PROGRAM, 'enrol', 'T-1', '--config', join(folder, 'gateway.json'), '--out', join(folder, 'identity.json'), '--broker', 'mqtt://broker.example',
    ])
    running.push(enrol)
    expect(await once(enrol, 'exit')).toEqual([0, null])
    expect(readFileSync(join(folder, 'identity.json'), 'utf8')).toContain('"T-1"')
  }, 120_000)
})

describe('where the lock does not hold -- a file system without locks, a copied disk', () => {
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

  interface Member {
    readonly gateway: Gateway
    readonly link: FakeTerminalLink
    readonly did: Effect['do'][]
    readonly fatals: unknown[]
  }

  /** Two gateways over one database, one Omise and one clock; the second takes over after so many commits of the first. */
  async function pair() {
    const db = new Database(':memory:')
    const clock = fakeWallClock(START - 90_000)
    const omise = littleOmise(() => clock.now())
    const stores: Store[] = []
    let commits = 0
    let takeOver: () => Promise<void> = () => Promise.resolve()
    let takesOverAfter = Infinity

    async function member(): Promise<Member> {
      const store = storeOn(db)
      stores.push(store)
      const link = fakeTerminalLink()
      const did: Effect['do'][] = []
      const fatals: unknown[] = []
      const gateway = createGateway({
        store: {
          ...store,
          async commit(commit) {
            await store.commit(commit)
            if (++commits === takesOverAfter) await takeOver()
          },
        },
        link, terms, clock, seal: gatewaySeal, createOpener: (key) => createOpener(UpMessage, [key]), log: createLog('error', { write: () => undefined }),
        effects: { execute: (effect) => { did.push(effect.do); return Promise.resolve(omise.obey(effect)) }, reachable: () => Promise.resolve(true) },
        // As the program does: it ends there.
        fatal: (error) => { fatals.push(error); void gateway.stop() },
      })
      return { gateway, link, did, fatals }
    }
    const first = await member()
    const second = await member()
    const [store] = stores
    if (store === undefined) throw new Error('no store')
    await store.addTerminal({ id: 'T-1', key: publicPart(terminalKey), passwordHash: '' }, START)
    await first.gateway.start()
    clock.jumpTo(START)

    return {
      first, second, store, clock, omise,
      takeOverAfter(count: number): void {
        takesOverAfter = count
        takeOver = () => second.gateway.start()
      },
      /** As a broker does that both are connected to. */
      async say(message: object): Promise<void> {
        const sealed = await terminalSeal({ v: WIRE_VERSION, terminal: 'T-1', epoch: 1, order, ...message })
        for (const { link } of [first, second]) link.say(upTopic('T-1', 'sale.open'), sealed)
      },
      async words(): Promise<readonly DownMessage[]> {
        const sealed = new Set([...first.link.published, ...second.link.published].map((it) => it.sealed))
        return Promise.all([...sealed].map(async (text) => {
          const opened = await openDown(Buffer.from(text))
          if ('broken' in opened) throw new Error(opened.broken)
          return opened.message
        }))
      },
      close: async () => {
        await Promise.all([first.gateway.stop(), second.gateway.stop()])
        db.close()
      },
    }
  }

  test.each([1, 2, 3, 4, 5])('a sale that is taken over after commit %i has one charge offered, one ending and one posting', async (count) => {
    const shop = await pair()
    shop.takeOverAfter(count)
    const phase = async (): Promise<string> => (await shop.store.sale(order.sale))?.phase ?? 'none'
    const offered = async () => (await shop.words()).flatMap((word) => (word.type === 'sale.offer' ? [word.charge] : []))

    await shop.say({ type: 'sale.open', id: 'open-1' })
    const shown = await until('an offer', async () => {
      shop.omise.catchUp()
      shop.clock.goTo(shop.clock.now() + 200)
      return (await offered())[0]
    })
    shop.omise.pay(shown, moment(2_000))
    for (const { gateway } of [shop.first, shop.second]) {
      void gateway.hint({ event: 'evnt_1', key: 'charge.complete', objectKind: 'charge', objectId: shown, charge: shown, livemode: false })
    }
    await shop.say({ type: 'sale.close', id: 'close-1', charge: shown, reason: 'cancelled' })
    await until('paid', async () => { shop.clock.goTo(shop.clock.now() + 200); return await phase() === 'paid' })
    await shop.say({ type: 'sale.ask', id: 'ask-1', charge: shown })
    await until('the answer', async () => (await shop.words()).some(({ re }) => re === 'ask-1'))
    // Whoever sweeps closes what was made too much.
    for (const { seen } of shop.omise.made.values()) await shop.second.gateway.see(apiCharge(seen))
    await until('no charge that can be paid', () => [...shop.omise.made.values()].every(({ seen }) => seen.status !== 'pending'))

    const endings = (await shop.words()).flatMap((word) => (word.type === 'sale.verdict' ? [word.ending.outcome] : []))
    expect(new Set(await offered())).toEqual(new Set([shown]))
    expect(new Set(endings)).toEqual(new Set(['paid']))
    expect((await shop.store.ledger(order.sale)).map(({ key }) => key)).toEqual([`sale paid ${shown}`])
    expect(shop.first.fatals.length).toBeGreaterThan(0)
    expect(shop.first.fatals[0]).toBeInstanceOf(StoreError)
    expect(shop.second.fatals).toEqual([])
    await shop.close()
  })

  test('who was taken over records nothing, asks for no charge, gives nothing back, and calls for its own end', async () => {
    const shop = await pair()
    await shop.second.gateway.start()
    const { link, did, fatals } = shop.first
    link.say(upTopic('T-1', 'sale.open'), await terminalSeal({ v: WIRE_VERSION, terminal: 'T-1', epoch: 1, order, type: 'sale.open', id: 'open-1' }))
    await until('its end', () => fatals.length > 0)
    expect(fatals).toMatchObject([{ code: 'STORE_FENCED', message: 'another gateway works on this database now' }])
    expect([did, link.published, await shop.store.sale(order.sale)]).toEqual([[], [], undefined])
    await shop.close()
  })
})

test('a database that another gateway holds is refused before a single terminal is listened to', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'plinth-held-'))
  const holder = await openStore(join(folder, 'gateway.sqlite'))
  await holder.own()
  const store = await openStore(join(folder, 'gateway.sqlite'))
  const heard: string[] = []
  const gateway = createGateway({
    store, link: fakeTerminalLink((what) => { heard.push(what) }), terms, clock: fakeWallClock(START), seal: () => Promise.reject(new Error('nothing is said')),
    createOpener: (key) => createOpener(UpMessage, [key]), log: createLog('error', { write: () => undefined }), fatal: () => undefined,
    effects: { execute: () => Promise.reject(new Error('nothing is done')), reachable: () => Promise.resolve(true) },
  })
  await expect(gateway.start()).rejects.toMatchObject({ code: 'STORE_IN_USE' })
  expect(heard).toEqual([])
  await Promise.all([store.close(), holder.close()])
  rmSync(folder, { recursive: true, force: true })
})
