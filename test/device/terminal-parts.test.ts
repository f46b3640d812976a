/** The shell of a box that lets goods out, has buttons with prices, or has lost a part. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { referenceOf } from '../../device/protocol/wire.js'
import { CONFIRM_MS, type Recorded, SETTLED_MS, UNDELIVERED_MS } from '../../device/sale.js'
import { CHARGE } from '../fakes/link.js'
import { createFakeRelease, type FakeRelease } from '../fakes/release.js'
import { typeAmount } from '../fakes/source.js'
import { type Counter, drawn, open, opened, PAID, PAYLOAD, phaseOf, SALE, UNPAID } from './counter.js'

type Delivered = Extract<Recorded, { phase: 'delivering' }>
const delivering: Delivered = { phase: 'delivering', sale: opened.sale, verdict: { ending: PAID, charge: CHARGE } }

/** A counter whose box lets goods out: one pulse for each 5.00. */
async function openWithGoods(options: Counter = {}) {
  let release: FakeRelease | undefined
  const counter = await open({
    terms: { release: { pulses: { perMinor: 500, max: 100 }, withinMs: 12_000 } },
    release(order) {
      release = createFakeRelease((pulses) => { order.push(`release ${pulses}`) })
      return release
    },
    ...options,
  })
  if (release === undefined) throw new Error('nobody made the release')
  return { ...counter, release }
}
type Machine = Awaited<ReturnType<typeof openWithGoods>>

const screenOn = ({ screens }: Machine): string | undefined => screens.at(-1)?.screen
const world = ({ order }: Machine): readonly string[] => order.filter((what) => what !== 'panel')

/** From the question to the verdict. */
async function pay(machine: Machine, askedBy: 'keypad' | 'register' = 'register'): Promise<void> {
  if (askedBy === 'register') machine.register.give({ type: 'amount asked', amount: '25.00' })
  else typeAmount(machine.keypad, '2500')
  machine.link.offer(PAYLOAD)
  await drawn(machine)
  machine.order.length = 0
  machine.link.judge(PAID)
}

describe('goods', () => {
  test('come out after the journal has it that they do, and the register hears of it after them', async () => {
    const machine = await openWithGoods()
    machine.release.hold()
    await pay(machine)
    expect(world(machine)).toEqual(['record delivering', 'release 5'])
    expect(machine.lamps.at(-1)).toBe('paid')
    machine.release.answer({ delivery: 'delivered' })
    await vi.waitFor(() => expect(machine.journalHolds()).toMatchObject({ phase: 'settled', told: true }))
    expect(world(machine)).toEqual(['record delivering', 'release 5', 'record settled', 'answer ok', 'record settled'])
    expect(machine.link.sent.map(({ type }) => type)).not.toContain('sale.undelivered')
    machine.clock.advance(SETTLED_MS)
    expect(phaseOf(machine.terminal)).toBe('idle')
  })

  test('that take their time do not keep a keypad\'s terminal from the next sale: PAID could be read all along', async () => {
    const machine = await openWithGoods()
    machine.release.hold()
    await pay(machine, 'keypad')
    await drawn(machine)
    expect(screenOn(machine)).toBe('paid')
    machine.release.answer({ delivery: 'released' })
    await vi.waitFor(() => expect(machine.journalHolds()).toMatchObject({ phase: 'settled', told: true }))
    machine.clock.advance(SETTLED_MS)
    expect(phaseOf(machine.terminal)).toBe('idle')
  })

  test('stay inside when the journal cannot be written', async () => {
    let broken = false
    const machine = await openWithGoods({ journalBroken: () => broken })
    machine.register.give({ type: 'amount asked', amount: '25.00' })
    machine.link.offer(PAYLOAD)
    await drawn(machine)
    broken = true
    machine.link.judge(PAID)
    await vi.waitFor(() => expect(machine.fatal).toHaveBeenCalled())
    expect(machine.release.asked).toEqual([])
    expect(machine.register.answers).toEqual([])
  })

  test('stay inside when the sale was not paid', async () => {
    const machine = await openWithGoods()
    machine.register.give({ type: 'amount asked', amount: '25.00' })
    machine.link.offer(PAYLOAD)
    await drawn(machine)
    machine.link.judge(UNPAID)
    await vi.waitFor(() => expect(machine.journalHolds()).toMatchObject({ told: true }))
    expect(machine.release.asked).toEqual([])
  })

  test('nobody knows of are told of: PAID to the register, the reference to the customer, a report to the gateway', async () => {
    const machine = await openWithGoods()
    machine.release.hold()
    await pay(machine)
    machine.release.answer({ delivery: 'unknown', why: 'the sensor saw nothing' })
    await vi.waitFor(() => expect(machine.journalHolds()).toMatchObject({ phase: 'settled', told: true, undelivered: true }))
    const { order } = machine.link.sent[0]!
    expect(machine.register.answers).toEqual([{ answer: 'ok', amount: '25.00', sale: order.sale, charge: CHARGE }])
    const report = { type: 'sale.undelivered', id: `${order.sale}.undelivered`, order, charge: CHARGE }
    expect(machine.link.sent.at(-1)).toEqual(report)
    await drawn(machine)
    expect(machine.screens.at(-1)).toMatchObject({ screen: 'undelivered', reference: referenceOf(order.sale), amount: { minor: 2_500 } })
    expect(machine.lamps.at(-1)).toBe('not paid')

    machine.register.give({ type: 'amount asked', amount: '30.00' })
    await vi.waitFor(() => expect(machine.register.answers.at(-1)).toEqual({ answer: 'no', reason: 'busy with another sale' }))
    machine.clock.advance(60_000)
    const reports = machine.link.sent.filter(({ type }) => type === 'sale.undelivered')
    expect(reports.length).toBeGreaterThan(5)
    for (const again of reports) expect(again).toEqual(report)
    expect(machine.said.filter((line) => line.includes('nobody knows whether the goods came out'))).toHaveLength(1)

    machine.link.judge(PAID) // In answer to the report.
    expect(machine.journalHolds()).not.toHaveProperty('undelivered')
    machine.clock.advance(UNDELIVERED_MS)
    expect(phaseOf(machine.terminal)).toBe('idle')
    expect(machine.release.asked).toEqual([5])
  })

  test('that were on their way when power went are not let out again, and a person is told', async () => {
    const machine = await openWithGoods({ journalHolds: delivering })
    expect(machine.release.asked).toEqual([])
    await vi.waitFor(() => expect(machine.journalHolds()).toMatchObject({ phase: 'settled', told: true, undelivered: true }))
    expect(machine.register.answers).toEqual([{ answer: 'ok', amount: '25.00', sale: SALE, charge: CHARGE }])
    expect(machine.link.sent.every(({ id }) => id === `${SALE}.undelivered`)).toBe(true)
    await drawn(machine)
    expect(screenOn(machine)).toBe('undelivered')
  })

  test('of a sale that was paid while the power was away stay inside, and a person is told', async () => {
    const machine = await openWithGoods({ journalHolds: opened })
    machine.link.judge(PAID)
    await vi.waitFor(() => expect(machine.journalHolds()).toMatchObject({ phase: 'settled', undelivered: true }))
    expect(machine.release.asked).toEqual([])
  })

  test('in doubt are not told to a register twice, whatever the power does', async () => {
    const machine = await openWithGoods({ journalHolds: { phase: 'settled', sale: opened.sale, verdict: delivering.verdict, told: true, undelivered: true } })
    machine.clock.advance(60_000)
    await drawn(machine)
    expect(machine.register.answers).toEqual([])
    expect(machine.link.sent.at(-1)?.type).toBe('sale.undelivered')
    expect(screenOn(machine)).toBe('undelivered')
  })

  test('whose release breaks its promise, or is not there, are in doubt; the terminal lives on', async () => {
    const broken = { release: () => Promise.reject(new Error('relay on fire')), close: () => Promise.resolve() }
    for (const release of [() => broken, () => undefined as unknown as FakeRelease]) {
      const counter = await open({ terms: { release: { pulses: 'one', withinMs: 12_000 } }, release })
      counter.register.give({ type: 'amount asked', amount: '25.00' })
      counter.link.offer(PAYLOAD)
      await drawn(counter)
      counter.link.judge(PAID)
      await vi.waitFor(() => expect(counter.journalHolds()).toMatchObject({ phase: 'settled', told: true, undelivered: true }))
    }
  })

  test('whose release says nothing are in doubt when its time is over; what it says later changes nothing', async () => {
    const machine = await openWithGoods()
    machine.release.hold()
    await pay(machine)
    machine.clock.advance(12_000)
    await vi.waitFor(() => expect(machine.journalHolds()).toMatchObject({ phase: 'settled', undelivered: true }))
    machine.release.answer({ delivery: 'delivered' })
    await sleep(5)
    expect(machine.journalHolds()).toMatchObject({ phase: 'settled', undelivered: true })
  })
})

describe('a part of the box that is missing', () => {
  test('without which nothing could be handed out puts it out of service, by name, until it is back', async () => {
    const machine = await openWithGoods()
    const why = 'the relay on GPIO 17 does not answer; look at its wires'
    machine.parts.reporterOf('release')(why)
    await drawn(machine)
    expect(machine.screens.at(-1)).toEqual({ screen: 'out of service', fault: 'release fault', lamps: 'out of service' })
    expect(machine.lamps.at(-1)).toBe('out of service')
    expect(machine.terminal.status()).toMatchObject({ notReady: 'release fault', missing: { release: why } })
    machine.register.give({ type: 'amount asked', amount: '25.00' })
    await vi.waitFor(() => expect(machine.register.answers).toEqual([{ answer: 'no', reason: 'terminal not ready: release fault' }]))
    expect(machine.link.sent).toEqual([])

    machine.parts.reporterOf('release')(undefined)
    await drawn(machine)
    expect(screenOn(machine)).toBe('refused')
    machine.clock.advance(5_000)
    await drawn(machine)
    expect(screenOn(machine)).toBe('enter amount')
    expect(machine.terminal.status()).toMatchObject({ notReady: undefined, missing: {} })
    typeAmount(machine.keypad, '2500')
    expect(phaseOf(machine.terminal)).toBe('opening')
  })

  test('of two to ask with: it sells with the other, and says what is missing; of both, it is out of service', async () => {
    const counter = await open()
    counter.parts.reporterOf('register')('no cable in /dev/ttyUSB0')
    await drawn(counter)
    expect(counter.screens.at(-1)).toMatchObject({ screen: 'enter amount', missing: 'register', lamps: 'ready' })
    expect(counter.terminal.status()).toMatchObject({ notReady: undefined, missing: { register: 'no cable in /dev/ttyUSB0' } })
    counter.parts.reporterOf('keypad')('no keypad')
    await drawn(counter)
    expect(counter.screens.at(-1)).toEqual({ screen: 'out of service', fault: 'keypad fault', lamps: 'out of service' })
    counter.parts.reporterOf('register')(undefined)
    await drawn(counter)
    expect(counter.screens.at(-1)).toMatchObject({ screen: 'enter amount', missing: 'keypad' })
    counter.register.give({ type: 'amount asked', amount: '25.00' })
    expect(phaseOf(counter.terminal)).toBe('opening')
  })

  test('in the middle of a sale leaves the sale its screen, and its customer the goods', async () => {
    const machine = await openWithGoods()
    await pay(machine)
    machine.parts.reporterOf('keypad')('no keypad')
    machine.parts.reporterOf('register')('no register')
    await vi.waitFor(() => expect(machine.journalHolds()).toMatchObject({ phase: 'settled' }))
    await drawn(machine)
    expect(screenOn(machine)).toBe('paid')
    expect(machine.release.asked).toEqual([5])
  })

  test('before the terminal is up is known when it is', async () => {
    const counter = await open()
    counter.parts.reporterOf('lamps')('no lamp')
    expect(counter.terminal.status()).toMatchObject({ notReady: undefined, missing: { lamps: 'no lamp' } })
    await drawn(counter)
    expect(counter.screens.at(-1)).toMatchObject({ screen: 'enter amount', missing: 'lamps' })
  })

  test('that comes and goes all day leaves one alarm and one picture', async () => {
    const counter = await open()
    const pictures = counter.panel.drawn.length
    for (let i = 0; i < 500; i++) {
      counter.parts.reporterOf('keypad')('no keypad')
      counter.parts.reporterOf('keypad')(undefined)
    }
    await drawn(counter)
    expect(counter.clock.waiting()).toBe(0)
    expect(counter.panel.drawn.length).toBeLessThanOrEqual(pictures + 2)
  })
})

describe('a button', () => {
  const prices = new Map([['cola', { minor: 2_500, currency: 'THB' } as const]])

  test('with a price begins a sale of that price', async () => {
    const { buttons, link, terminal } = await open({ prices })
    buttons.give({ type: 'product chosen', product: 'cola' })
    expect(phaseOf(terminal)).toBe('opening')
    expect(link.sent[0]).toMatchObject({ type: 'sale.open', order: { amountMinor: 2_500, currency: 'THB' } })
  })

  test('without one begins none, and says so in the log', async () => {
    const { buttons, link, terminal, said } = await open({ prices })
    for (const product of ['tea', '', '__proto__', 'constructor']) buttons.give({ type: 'product chosen', product })
    expect(phaseOf(terminal)).toBe('idle')
    expect(link.sent).toEqual([])
    expect(said.filter((line) => line.includes('a button without a price'))).toHaveLength(4)
  })
})

describe('an unusual amount', () => {
  test('is shown as a question, and asked for when Enter is pressed once more', async () => {
    const counter = await open({ terms: { usual: { fromMinor: 2_000, toMinor: 50_000 } } })
    typeAmount(counter.keypad, '250000')
    counter.keypad.give({ type: 'enter pressed' })
    await drawn(counter)
    expect(counter.screens.at(-1)).toEqual({ screen: 'confirm amount', digits: '250000', lamps: 'working' })
    expect(counter.link.sent).toEqual([])
    counter.clock.advance(CONFIRM_MS)
    counter.keypad.give({ type: 'enter pressed' })
    expect(counter.link.sent).toMatchObject([{ type: 'sale.open', order: { amountMinor: 250_000 } }])
  })
})

describe('a panel that dies while its customer pays', () => {
  test('leaves lamps that say so, one line of the ending, and shows it when it draws again', async () => {
    const counter = await open()
    typeAmount(counter.keypad, '2500')
    counter.link.offer(PAYLOAD)
    await drawn(counter)
    counter.panel.failNext(Infinity)
    counter.link.judge(PAID)
    await drawn(counter)
    for (let round = 0; round < 4; round++) {
      counter.clock.advance(SETTLED_MS)
      await drawn(counter)
    }
    expect(counter.lamps.at(-1)).toBe('out of service')
    expect(counter.said.filter((line) => line.includes('sale ended'))).toHaveLength(1)
    expect(counter.terminal.status()).toMatchObject({ phase: 'settled', notReady: 'panel fault' })

    counter.panel.failNext(0)
    counter.clock.advance(2_000)
    await vi.waitFor(() => expect(counter.lamps.at(-1)).toBe('paid'))
    await vi.waitFor(() => expect(counter.journalHolds()).toMatchObject({ phase: 'settled', told: true }))
    counter.clock.advance(SETTLED_MS)
    await vi.waitFor(() => expect(phaseOf(counter.terminal)).toBe('idle'))
  })
})
