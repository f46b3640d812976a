/** The shell of the terminal at a counter: what it does, and in what order. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import type { Ending } from '../../device/protocol/wire.js'
import { readBack } from '../../device/qr.js'
import { createRenderer, type Renderer } from '../../device/render.js'
import { REVERSED_MS, SETTLED_MS } from '../../device/sale.js'
import type { Answer } from '../../drivers/driver.js'
import { CHARGE } from '../fakes/link.js'
import { isBlank, PANEL_SIZE } from '../fakes/panel.js'
import { typeAmount } from '../fakes/source.js'
import { drawn, open, opened, PAID, PAYLOAD, phaseOf, SALE, setUp, shop, shown, UNPAID } from './counter.js'

describe('at power-up', () => {
  test('the panel is blanked before anything else happens, whatever the journal holds', async () => {
    const { terminal, order, panel } = setUp({ journalHolds: opened })
    panel.hold()
    const starting = terminal.start()
    await sleep(20)
    expect(order).toEqual(['panel'])
    panel.letOne()
    await vi.waitFor(() => expect(order.slice(1, 3)).toEqual(['record resolving', 'send sale.close']))
    expect(isBlank(panel.drawn[0])).toBe(true)
    panel.letAll()
    await starting
  })

  test('a panel that cannot be blanked is tried again, and nothing is sold before it could', async () => {
    const { terminal, panel, link, clock, register } = setUp()
    panel.failNext(3)
    await terminal.start()
    link.comeUp()
    expect(terminal.status().notReady).toBe('panel fault')
    register.give({ type: 'amount asked', amount: '25.00' })
    expect(register.answers).toEqual([{ answer: 'no', reason: 'terminal not ready: panel fault' }])
    await vi.waitFor(() => {
      clock.advance(2_000)
      expect(terminal.status().notReady).toBeUndefined()
    })
    expect(link.sent).toEqual([])
  })

  test('a code that was shown when power went is never shown again', async () => {
    const counter = await open({ journalHolds: opened })
    const close = { type: 'sale.close', id: `${SALE}.close`, charge: CHARGE, reason: 'restarted' }
    expect(counter.link.sent).toMatchObject([close, close]) // At once, and again when the link is up.
    counter.link.offer(PAYLOAD)
    await drawn(counter)
    expect(phaseOf(counter.terminal)).toBe('resolving')
    for (const frame of counter.panel.drawn) expect(await readBack(frame)).toBeUndefined()
    counter.link.judge(PAID)
    await vi.waitFor(() => expect(counter.register.answers).toEqual([{ answer: 'ok', amount: '25.00', sale: SALE, charge: CHARGE }]))
  })

  test('noise on the line is not answered while the register waits: it would take a NO for its sale\'s', async () => {
    const counter = await open({ journalHolds: opened })
    counter.register.give({ type: 'nonsense received', what: 'xx' })
    counter.register.give({ type: 'amount asked', amount: '2x.00' })
    counter.link.judge(PAID)
    await vi.waitFor(() => expect(counter.register.answers).toEqual([{ answer: 'ok', amount: '25.00', sale: SALE, charge: CHARGE }]))
    expect(counter.terminal.status().refused).toMatchObject({ 'nonsense': 1, 'not an amount': 1 })
  })

  test('an outcome that was not told is told now, and one that was is not', async () => {
    const settled = { phase: 'settled', sale: opened.sale, verdict: { ending: PAID, charge: CHARGE } } as const
    const untold = await open({ journalHolds: { ...settled, told: false } })
    await vi.waitFor(() => expect(untold.register.answers).toEqual([{ answer: 'ok', amount: '25.00', sale: SALE, charge: CHARGE }]))
    expect(untold.journalHolds()).toMatchObject({ phase: 'settled', told: true })
    const told = await open({ journalHolds: { ...settled, told: true } })
    told.clock.advance(60_000)
    await drawn(told)
    expect(told.register.answers).toEqual([])
    expect(phaseOf(told.terminal)).toBe('idle')
  })
})

describe('a sale', () => {
  test('goes from the keys to PAID, every step recorded before anything of it leaves', async () => {
    const counter = await open()
    const { keypad, link, order, terminal, lamps, clock } = counter
    order.length = 0
    typeAmount(keypad, '2500')
    expect(order.filter((what) => what !== 'panel')).toEqual(['record opening', 'send sale.open'])
    expect(link.sent).toEqual([{
      type: 'sale.open', id: `${SALE.slice(0, -12)}${link.sent[0]?.order.sale.slice(-12)}.open`,
      order: { sale: link.sent[0]?.order.sale, nonce: 'a'.repeat(32), amountMinor: 2_500, currency: 'THB', method: 'alipayplus_mpm' },
    }])
    link.offer(PAYLOAD)
    await shown(counter).toBe(PAYLOAD)
    expect(lamps.at(-1)).toBe('waiting')
    link.judge(PAID)
    expect(lamps.at(-1)).toBe('paid')
    await shown(counter).toBeUndefined()
    await vi.waitFor(() => expect(counter.journalHolds()).toMatchObject({ phase: 'settled', told: true }))
    expect(order.filter((what) => what !== 'panel')).toEqual([
      'record opening', 'send sale.open', 'record presenting', 'record settled', 'record settled',
    ])
    clock.advance(SETTLED_MS)
    expect(phaseOf(terminal)).toBe('idle')
  })

  test.each<[string, Ending, Answer]>([
    ['paid', PAID, { answer: 'ok', amount: '150.00', sale: SALE, charge: CHARGE }],
    ['not paid', UNPAID, { answer: 'no', reason: 'payment_rejected: the wallet did not accept it' }],
    ['in doubt for good', { outcome: 'unpaid', reason: 'needs attention' }, {
      answer: 'no', reason: expect.stringMatching(/^needs attention: money may have moved, ref [2-9A-Z]{6}$/) as string,
    }],
  ])('of a register that is %s is answered exactly so, once, after it was recorded', async (_, ending, answer) => {
    const { register, keypad, link, order, clock, journalHolds } = await open()
    register.give({ type: 'amount asked', amount: '150.00' })
    register.give({ type: 'amount asked', amount: '150.00' })
    link.offer(PAYLOAD)
    order.length = 0
    link.judge(ending)
    await vi.waitFor(() => expect(journalHolds()).toMatchObject({ told: true }))
    const sale = link.sent[0]?.order.sale
    expect(register.answers).toEqual([answer.answer === 'ok' ? { ...answer, sale } : answer])
    expect(order.filter((what) => what !== 'panel')).toEqual(['record settled', `answer ${answer.answer}`, 'record settled'])
    expect(keypad.answers).toEqual([])
    clock.advance(3 * SETTLED_MS)
    expect(register.answers).toHaveLength(1)
  })

  test('whose register is unplugged is told when it is back, and nothing else is sold before', async () => {
    const { register, keypad, link, clock, terminal } = await open()
    register.give({ type: 'amount asked', amount: '150.00' })
    link.offer(PAYLOAD)
    register.unplug()
    link.judge(PAID)
    await sleep(5)
    typeAmount(keypad, '3000')
    expect(phaseOf(terminal)).toBe('settled')
    expect(link.sent).toHaveLength(1)
    register.plugIn()
    clock.advance(SETTLED_MS)
    await vi.waitFor(() => expect(register.answers).toMatchObject([{ answer: 'ok', amount: '150.00' }]))
  })

  test.each([['19.99', /below the minimum/], ['1e3', /^not an amount$/], ['150000.01', /above the maximum/], ['', /^not an amount$/]])(
    'of %j does not begin, and the register hears why', async (amount, reason) => {
      const { register, link, terminal } = await open()
      register.give({ type: 'amount asked', amount })
      await vi.waitFor(() => expect(register.answers).toHaveLength(1))
      expect(register.answers[0]).toMatchObject({ answer: 'no', reason: expect.stringMatching(reason) as string })
      expect(link.sent).toEqual([])
      expect(phaseOf(terminal)).toBe('idle')
    })

  test('is not begun by noise on the line, which is counted', async () => {
    const { register, link, terminal } = await open()
    register.give({ type: 'nonsense received', what: 'xx' })
    await vi.waitFor(() => expect(register.answers).toEqual([{ answer: 'no', reason: 'not understood' }]))
    expect(link.sent).toEqual([])
    expect(terminal.status().refused).toEqual({ nonsense: 1 })
  })

  test('is not for a register that asks faster than it listens: it gets no more answers until those on their way have left', async () => {
    const { terminal, register } = await open()
    const waiting: (() => void)[] = []
    vi.spyOn(register, 'answer').mockImplementation(() => new Promise((resolve) => { waiting.push(resolve) }))
    for (let line = 0; line < 1_000; line++) register.give({ type: 'amount asked', amount: '1.00' })
    expect(waiting).toHaveLength(16)
    expect(terminal.status().refused['answer dropped']).toBe(984)

    for (const leave of waiting.splice(0)) leave()
    await sleep(0)
    register.give({ type: 'amount asked', amount: '1.00' })
    expect(waiting).toHaveLength(1)
  })

  test('is not moved by a word about something else, which is counted', async () => {
    const { keypad, link, terminal } = await open()
    typeAmount(keypad, '2500')
    const order = link.sent[0]!.order
    link.say({ type: 'verdict received', order: { ...order, nonce: 'b'.repeat(32) }, counter: 9, re: null, charge: CHARGE, ending: PAID })
    link.say({ type: 'verdict received', order: { ...order, amountMinor: 1 }, counter: 9, re: null, charge: CHARGE, ending: PAID })
    expect(phaseOf(terminal)).toBe('opening')
    expect(terminal.status().refused).toEqual({ 'another nonce': 1, 'another amount': 1 })
  })

  test('that ended before its money came: who still stands there sees that the money went back, until the next sale begins', async () => {
    const counter = await open()
    const { keypad, link, lamps, clock, terminal, journalHolds } = counter
    typeAmount(keypad, '2500')
    link.offer(PAYLOAD)
    keypad.give({ type: 'cancel pressed' })
    expect(link.sent.at(-1)).toMatchObject({ type: 'sale.close', charge: CHARGE, reason: 'cancelled' })
    link.judge({ outcome: 'unpaid', reason: 'cancelled' })
    await vi.waitFor(() => expect(journalHolds()).toMatchObject({ told: true }))
    clock.advance(SETTLED_MS)
    expect(lamps.at(-1)).toBe('ready')

    const { order } = link.sent[0]!
    const reversal = { type: 'reversal received', order, counter: 9, charge: CHARGE, amountMinor: 2_500, voided: true, ageMs: 100 } as const
    link.say(reversal)
    expect(lamps.at(-1)).toBe('not paid')
    await drawn(counter)
    clock.advance(REVERSED_MS - 1)
    expect(lamps.at(-1)).toBe('not paid')
    clock.advance(1)
    expect(lamps.at(-1)).toBe('ready')

    link.say(reversal)
    typeAmount(keypad, '3000')
    expect(phaseOf(terminal)).toBe('opening')
    link.say(reversal)
    expect(phaseOf(terminal)).toBe('opening')
    expect(terminal.status().refused).toEqual({ 'out of turn': 1 })
    expect(journalHolds()).toMatchObject({ phase: 'opening' })
  })
})

describe('without a link', () => {
  test('nothing is sold, and the panel and the lamps say so', async () => {
    const counter = setUp()
    const { terminal, register, keypad, link, lamps } = counter
    await terminal.start()
    await drawn(counter)
    expect(terminal.status().notReady).toBe('link down')
    expect(lamps.at(-1)).toBe('offline')
    register.give({ type: 'amount asked', amount: '25.00' })
    typeAmount(keypad, '2500')
    await vi.waitFor(() => expect(register.answers).toEqual([{ answer: 'no', reason: 'terminal not ready: link down' }]))
    expect(link.sent).toEqual([])
    link.comeUp()
    expect(terminal.status().notReady).toBeUndefined()
    link.say({ type: 'link down' })
    expect(terminal.status().notReady).toBe('link down')
  })

  test('a sale that is open stays open, and asks until it is answered', async () => {
    const { keypad, link, clock, terminal } = await open()
    typeAmount(keypad, '2500')
    link.say({ type: 'link down' })
    clock.advance(15_000)
    expect(phaseOf(terminal)).toBe('resolving')
    const before = link.sent.length
    clock.advance(60_000)
    expect(link.sent.length).toBeGreaterThanOrEqual(before + 6)
    expect(new Set(link.sent.map(({ order }) => order.sale)).size).toBe(1)
    link.judge(UNPAID)
    expect(phaseOf(terminal)).toBe('settled')
  })
})

describe('a journal that fails', () => {
  test('stops everything: nothing leaves, and no code stays on the panel', async () => {
    let broken = false
    const counter = await open({ journalBroken: () => broken })
    const { keypad, register, link, fatal, panel, terminal } = counter
    typeAmount(keypad, '2500')
    link.offer(PAYLOAD)
    await shown(counter).toBe(PAYLOAD)
    broken = true
    link.judge(PAID)
    await vi.waitFor(() => expect(fatal).toHaveBeenCalled())
    expect(isBlank(panel.visible())).toBe(true)
    expect(phaseOf(terminal)).toBe('presenting')
    expect(link.sent).toHaveLength(1)
    keypad.give({ type: 'cancel pressed' })
    register.give({ type: 'amount asked', amount: '25.00' })
    await sleep(20)
    expect(link.sent).toHaveLength(1)
    expect(register.answers).toEqual([])
    expect(isBlank(panel.visible())).toBe(true)
  })

  test('before a sale began lets none begin', async () => {
    const { keypad, link, fatal, order } = await open({ journalBroken: () => true })
    typeAmount(keypad, '2500')
    await vi.waitFor(() => expect(fatal).toHaveBeenCalled())
    expect(link.sent).toEqual([])
    expect(order).not.toContain('send sale.open')
  })

  test('at power-up ends it there: no source and no link is started', async () => {
    const { terminal, link, keypad, fatal } = setUp({ journalHolds: opened, journalBroken: () => true })
    await terminal.start()
    await vi.waitFor(() => expect(fatal).toHaveBeenCalled())
    typeAmount(keypad, '2500')
    expect(link.sent).toEqual([])
  })
})

describe('a code that does not read back', () => {
  /** Draws a code, but another one than it was told to. */
  const lying = (renderer: Renderer): Renderer => ({
    ...renderer, render: (view) => renderer.render(view.screen === 'scan to pay' ? { ...view, payload: `${PAYLOAD}9` } : view),
  })

  test('never reaches the panel; its sale is closed, and the terminal is out of service', async () => {
    const counter = await open({ bend: lying })
    const { register, keypad, link, panel, lamps, terminal } = counter
    register.give({ type: 'amount asked', amount: '25.00' })
    link.offer(PAYLOAD)
    await vi.waitFor(() => expect(link.sent.at(-1)).toMatchObject({ type: 'sale.close', reason: 'code not shown' }))
    await drawn(counter)
    for (const frame of panel.drawn) expect(await readBack(frame)).toBeUndefined()
    link.judge(UNPAID)
    await vi.waitFor(() => expect(counter.journalHolds()).toMatchObject({ told: true }))
    expect(register.answers).toEqual([{ answer: 'no', reason: 'payment_rejected: the wallet did not accept it' }])
    counter.clock.advance(SETTLED_MS)
    expect(lamps.at(-1)).toBe('out of service')
    expect(terminal.status().notReady).toBe('panel fault')

    const sent = link.sent.length
    register.give({ type: 'amount asked', amount: '25.00' })
    typeAmount(keypad, '2500')
    expect(link.sent).toHaveLength(sent)
    await vi.waitFor(() => expect(register.answers.at(-1)).toEqual({ answer: 'no', reason: 'terminal not ready: panel fault' }))
  })

  test('with the mark of the brand is drawn without it, and pays', async () => {
    const counter = await open({ bend: (renderer) => ({ ...lying(renderer), unmarked: renderer }) })
    const { register, link, terminal } = counter
    register.give({ type: 'amount asked', amount: '25.00' })
    link.offer(PAYLOAD)
    await shown(counter).toBe(PAYLOAD)
    expect(phaseOf(terminal)).toBe('presenting')
    expect(terminal.status().notReady).toBeUndefined()
  })

  test('because it could not be drawn at all closes its sale too', async () => {
    const { register, link, clock, terminal } = await open({
      bend: (renderer) => ({
        ...renderer,
        render(view) {
          if (view.screen === 'scan to pay') throw new Error('canvas broke')
          return renderer.render(view)
        },
      }),
    })
    register.give({ type: 'amount asked', amount: '25.00' })
    link.offer(PAYLOAD)
    await vi.waitFor(() => expect(link.sent.at(-1)).toMatchObject({ type: 'sale.close', reason: 'code not shown' }))
    clock.advance(10_000)
    expect(phaseOf(terminal)).toBe('resolving')
  })
})

describe('a panel', () => {
  test('that keeps ghosts has its code drawn clean and swept away, and rests clean', async () => {
    const counter = await open()
    const { keypad, link, panel, clock } = counter
    await drawn(counter)
    /** What is drawn because of this. */
    const after = async (happens: () => void): Promise<readonly string[]> => {
      const before = panel.refreshes.length
      happens()
      await drawn(counter)
      return panel.refreshes.slice(before)
    }
    expect(await after(() => keypad.give({ type: 'digit pressed', digit: '9' }))).toEqual(['quick'])
    expect(await after(() => keypad.give({ type: 'clear pressed' }))).toEqual(['clean'])
    expect((await after(() => typeAmount(keypad, '2500'))).at(-1)).toBe('quick')
    expect(await after(() => link.offer(PAYLOAD))).toEqual(['clean'])
    expect(await after(() => clock.advance(15_000))).toEqual(['quick'])
    expect(await after(() => link.judge(PAID))).toEqual(['swept'])
    expect(await after(() => clock.advance(SETTLED_MS))).toEqual(['clean'])
  })

  test('that fails while a code should appear closes the sale, and no other begins until it works again', async () => {
    const counter = await open()
    const { register, link, panel, clock, terminal } = counter
    register.give({ type: 'amount asked', amount: '25.00' })
    await drawn(counter)
    panel.failNext(2)
    link.offer(PAYLOAD)
    await vi.waitFor(() => expect(link.sent.at(-1)).toMatchObject({ type: 'sale.close', reason: 'code not shown' }))
    expect(terminal.status().notReady).toBe('panel fault')
    link.judge(UNPAID)
    await vi.waitFor(() => expect(counter.journalHolds()).toMatchObject({ told: true }))
    expect(register.answers).toEqual([{ answer: 'no', reason: 'payment_rejected: the wallet did not accept it' }])
    register.give({ type: 'amount asked', amount: '25.00' })
    await vi.waitFor(() => expect(register.answers.at(-1)).toEqual({ answer: 'no', reason: 'terminal not ready: panel fault' }))
    await vi.waitFor(() => {
      clock.advance(2_000)
      expect(terminal.status().notReady).toBeUndefined()
    })
    for (const frame of panel.drawn) expect(await readBack(frame)).toBeUndefined()
  })

  test('that works once and fails once is not out of service for ever', async () => {
    const counter = await open()
    const { panel, keypad, clock, terminal } = counter
    panel.failNext(1)
    keypad.give({ type: 'digit pressed', digit: '7' }) // This picture fails: out of service.
    await vi.waitFor(() => expect(terminal.status().notReady).toBe('panel fault'))
    panel.hold()
    clock.advance(2_000) // 'Out of service' is drawn ...
    await sleep(20)
    panel.letOne()
    await sleep(20)
    panel.failNext(1) // ... and the next picture, that all is well, fails again.
    panel.letAll()
    await drawn(counter)
    await vi.waitFor(() => {
      clock.advance(2_000)
      expect(terminal.status().notReady).toBeUndefined()
    })
    await drawn(counter)
    expect(counter.lamps.at(-1)).toBe('ready')
  })

  test('never gets a code whose sale ended while the code was being read back', async () => {
    const counter = await open()
    const { keypad, link, panel } = counter
    typeAmount(keypad, '2500')
    await drawn(counter)
    const before = panel.drawn.length
    link.offer(PAYLOAD)
    keypad.give({ type: 'cancel pressed' }) // The read-back has just begun: it is asynchronous.
    await drawn(counter)
    expect(panel.drawn.length).toBeGreaterThan(before)
    for (const frame of panel.drawn.slice(before)) expect(await readBack(frame)).toBeUndefined()
  })

  test('that is slow shows the latest picture next, not all that were missed; keys are taken by the thousand', async () => {
    const counter = await open()
    const { keypad, panel, terminal } = counter
    panel.hold()
    const before = panel.drawn.length
    for (let i = 0; i < 10_000; i++) keypad.give(i % 9 === 8 ? { type: 'clear pressed' } : { type: 'digit pressed', digit: String(1 + i % 8) })
    panel.letAll()
    await drawn(counter)
    expect(panel.drawn.length - before).toBeLessThanOrEqual(2)
    expect(phaseOf(terminal)).toBe('idle')
    const fresh = createRenderer({ size: PANEL_SIZE, ...shop })
    const digits = String(1 + 9_999 % 8) // The 9 999th press was Clear.
    expect(panel.visible()?.bits).toEqual(fresh.render({ screen: 'enter amount', digits, lamps: 'ready' }).bits)
  })

  test('keeps no code when the terminal stops', async () => {
    const counter = await open()
    typeAmount(counter.keypad, '2500')
    counter.link.offer(PAYLOAD)
    await shown(counter).toBe(PAYLOAD)
    await counter.terminal.stop()
    expect(isBlank(counter.panel.visible())).toBe(true)
    expect(counter.lamps.at(-1)).toBe('off')
    counter.link.judge(PAID)
    counter.keypad.give({ type: 'cancel pressed' })
    counter.clock.advance(600_000)
    await drawn(counter)
    expect(isBlank(counter.panel.visible())).toBe(true)
  })

  test('keeps no code when the terminal stops, also while the broker does not let go', async () => {
    const counter = await open()
    typeAmount(counter.keypad, '2500')
    counter.link.offer(PAYLOAD)
    await shown(counter).toBe(PAYLOAD)
    counter.link.stop = () => new Promise(() => undefined)
    void counter.terminal.stop()
    await vi.waitFor(() => expect(isBlank(counter.panel.visible())).toBe(true))
  })
})

describe('time', () => {
  test('has one alarm, whatever the terminal does, and one more for each picture on its way', async () => {
    const counter = await open()
    const { clock, keypad, link } = counter
    expect(clock.waiting()).toBe(0)
    typeAmount(keypad, '2500')
    expect(clock.waiting()).toBe(2)
    await drawn(counter)
    expect(clock.waiting()).toBe(1)
    link.offer(PAYLOAD)
    await drawn(counter)
    expect(clock.waiting()).toBe(1)
    clock.advance(60_000)
    await drawn(counter)
    expect(clock.waiting()).toBe(1)
    link.judge(PAID)
    await drawn(counter)
    expect(clock.waiting()).toBe(1)
    clock.advance(SETTLED_MS)
    await drawn(counter)
    expect(clock.waiting()).toBe(0)
  })

  test('moves the countdown, asks after the sale, and ends the code in doubt, not in a verdict', async () => {
    const counter = await open()
    const { clock, keypad, link, terminal } = counter
    typeAmount(keypad, '2500')
    link.offer(PAYLOAD, 30_000)
    await shown(counter).toBe(PAYLOAD)
    const pictures = counter.panel.drawn.length
    clock.advance(16_000)
    await vi.waitFor(() => expect(counter.panel.drawn.length).toBe(pictures + 1))
    expect(link.sent.map(({ type }) => type)).toContain('sale.ask')
    clock.advance(15_000)
    expect(phaseOf(terminal)).toBe('resolving')
    expect(link.sent.at(-1)).toMatchObject({ type: 'sale.close', reason: 'expired' })
    await shown(counter).toBeUndefined()
  })
})

describe('the log', () => {
  test('tells the sale step by step, and never the code', async () => {
    const counter = await open()
    typeAmount(counter.keypad, '2500')
    counter.link.offer(PAYLOAD)
    await shown(counter).toBe(PAYLOAD)
    counter.link.judge(PAID)
    await drawn(counter)
    const text = counter.said.join('')
    expect(text).toContain('"from":"idle","to":"opening"')
    expect(text).toContain('"from":"presenting","to":"settled"')
    expect(text).not.toContain('order.example')
    expect(text).not.toContain('a'.repeat(32))
  })
})
