/** The rules of one sale: stories as golden texts (UPDATE=1 rewrites them), and properties over everything that can happen. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { amountFromDigits } from '../../device/protocol/money.js'
import { type Ending, NEEDS_ATTENTION } from '../../device/protocol/wire.js'
import {
  ASK_MS, closeRequestOf, deadline, type Effect, type Event, type Given, initial, type NotReady, OPENING_MS, type Recorded, record, restore, REVERSED_AGE_MS_MAX, REVERSED_MS, RETRY_MS,
  RETRY_MS_MAX, type Sale, SETTLED_MS, type State, step,
} from '../../device/sale.js'
import { nonceOf, OTHER_SALE, playStory, saleId } from './sale-story.js'

const STORIES = join(import.meta.dirname, 'sale.transcripts')

describe('the story of', () => {
  const files = readdirSync(STORIES).filter((file) => file.endsWith('.txt'))
  test('every way a sale can go is told', () => expect(files.length).toBeGreaterThanOrEqual(27))
  test.each(files)('%s', (file) => {
    const told = readFileSync(join(STORIES, file), 'utf8')
    const played = playStory(told)
    if (process.env['UPDATE'] === '1') writeFileSync(join(STORIES, file), played)
    else expect(played).toBe(told)
  })
})

// -- Everything that can happen ------------------------------------------------------------------------------------

const CHARGES = ['chrg_1', 'chrg_2'] as const
const sale: Sale = {
  id: saleId(1), nonce: nonceOf(1), amount: { minor: 2_500, currency: 'THB' }, method: 'alipayplus_mpm', askedBy: 'register',
}
const rightOrder = { sale: sale.id, nonce: sale.nonce, amountMinor: 2_500, currency: 'THB', method: 'alipayplus_mpm' } as const
const givenAt = (now: number, more: Partial<Given> = {}): Given => ({
  now, freshId: saleId(1), freshNonce: nonceOf(1), terms: { currency: 'THB', method: 'alipayplus_mpm' }, notReady: undefined, ...more,
})

/** Mostly the right order, so that the right answer is not lost among wrong ones. */
const orders = fc.oneof({ weight: 4, arbitrary: fc.constant(rightOrder) }, fc.record({
  sale: fc.constantFrom(sale.id, OTHER_SALE), nonce: fc.constantFrom(sale.nonce, nonceOf(7)), amountMinor: fc.constantFrom(2_500, 2_501),
  currency: fc.constantFrom('THB' as const, 'SGD' as const), method: fc.constantFrom('alipayplus_mpm' as const, 'promptpay' as const),
}))
const endings = fc.constantFrom(
  { outcome: 'paid', paidAt: '2026-01-01T00:00:00Z' } as const, { outcome: 'unpaid', reason: 'payment_rejected' } as const,
)
const counters = fc.integer({ min: 0, max: 5 })
const reversals = fc.record({
  type: fc.constant('reversal received' as const), order: orders, counter: counters, charge: fc.constantFrom(...CHARGES),
  amountMinor: fc.constantFrom(1, 2_500), voided: fc.boolean(), ageMs: fc.constantFrom(-50, 0, REVERSED_AGE_MS_MAX, REVERSED_AGE_MS_MAX + 1),
})
const events: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ type: fc.constant('digit pressed' as const), digit: fc.constantFrom(...'0123456789', 'x', '', '12') }),
  fc.constantFrom<Event>({ type: 'clear pressed' }, { type: 'enter pressed' }, { type: 'cancel pressed' }, { type: 'deadline reached' }),
  fc.record({
    type: fc.constant('amount asked' as const),
    amount: fc.record({ minor: fc.constantFrom(1, 2_500, 3_000, 999_999_999), currency: fc.constant('THB' as const) }),
  }),
  fc.record({
    type: fc.constant('offer received' as const), order: orders, counter: counters, charge: fc.constantFrom(...CHARGES),
    payload: fc.constant('https://order.example/1'), lifetimeMs: fc.constantFrom(-1, 0, 1, 20_000, 120_000),
  }),
  fc.record({
    type: fc.constant('verdict received' as const), order: orders, counter: counters, charge: fc.constantFrom(null, ...CHARGES), ending: endings,
    re: fc.constantFrom(null, closeRequestOf(sale), `${sale.id}.open`, `${sale.id}.ask.1`),
  }),
  reversals,
  fc.record({ type: fc.constantFrom('code not shown' as const, 'outcome told' as const), sale: fc.constantFrom(sale.id, OTHER_SALE) }),
)
/** A day that begins with a sale. An event after a pause; 'power cut' is the journal and nothing else. */
const happening = fc.record({
  pauseMs: fc.constantFrom(0, 1, 1_999, 2_000, 10_000, 120_000),
  event: fc.oneof({ weight: 9, arbitrary: events }, fc.constant('power cut' as const)),
  notReady: fc.constantFrom(undefined, undefined, undefined, 'link down' as const),
})
type Happening = typeof happening extends fc.Arbitrary<infer H> ? H : never
const asked: Happening = { pauseMs: 0, event: { type: 'amount asked', amount: sale.amount }, notReady: undefined }
const happenings = fc.array(happening, { maxLength: 40 }).map((day) => [asked, ...day])

const survives = (state: State): Recorded => JSON.parse(JSON.stringify(record(state))) as Recorded

interface Moment {
  readonly before: State
  readonly event: Event | 'power cut'
  readonly state: State
  readonly now: number
  readonly effects: readonly Effect[]
}

/** Every step of a day, with what led to it. Sales after the first get other ids. */
function* day(happened: readonly Happening[]): Generator<Moment> {
  let state: State = initial
  let now = 0
  let sales = 0
  for (const { pauseMs, event, notReady } of happened) {
    now += pauseMs
    const given = givenAt(now, { notReady, freshId: saleId(sales + 1), freshNonce: nonceOf(sales + 1) })
    const before = state
    const next = event === 'power cut' ? restore(survives(state), given) : step(state, event, given)
    state = next.state
    if ('sale' in state && state.sale.id === saleId(sales + 1)) sales++
    yield { before, event, state, now, effects: next.effects }
  }
}

const anyDay = (check: (moment: Moment) => void): void =>
  fc.assert(fc.property(happenings, (happened) => { for (const moment of day(happened)) check(moment) }), { numRuns: 3_000 })

/** States worth being in, reached by what can happen. */
const reachable = happenings.map((happened) => {
  let last: { state: State; now: number } = { state: initial, now: 0 }
  for (const { state, now } of day(happened)) last = { state, now }
  return last
})

/** How a day may end for the sale that is open: its verdict, its outcome told, the next customer. */
function endOf(state: State, ending: Ending, evening: string, now: number): State {
  if (evening === 'as it is') return state
  const { sale } = 'sale' in state ? state : { sale: undefined }
  if (sale === undefined) return initial
  const order = { sale: sale.id, nonce: sale.nonce, amountMinor: sale.amount.minor, currency: sale.amount.currency, method: sale.method }
  const charge = 'offer' in state && state.offer !== undefined ? state.offer.charge : 'chrg_1'
  const verdict: Event = { type: 'verdict received', re: null, order, counter: 9, charge, ending }
  const told: Event = { type: 'outcome told', sale: sale.id }
  const heard: readonly Event[] = [verdict, ...(evening === 'ended' ? [] : [told]), ...(evening === 'told' ? [] : [{ type: 'clear pressed' } as const])]
  return heard.reduce((before, event) => step(before, event, givenAt(now)).state, state)
}

describe('whatever happens', () => {
  test('a sale is paid only by a verdict for this sale, nonce, amount, method and charge', () => {
    let paid = 0
    anyDay(({ before, event, state }) => {
      if (state.phase !== 'settled' || state.verdict.ending.outcome !== 'paid') return
      if (before.phase === 'settled') {
        expect(state.sale).toEqual(before.sale)
        expect(state.verdict).toEqual(before.verdict)
        return
      }
      paid++
      if (event === 'power cut' || event.type !== 'verdict received') throw new Error(`paid by ${JSON.stringify(event)}`)
      if (before.phase === 'idle') throw new Error('paid without a sale')
      const { id, nonce, amount, method } = before.sale
      expect(event.order).toEqual({ sale: id, nonce, amountMinor: amount.minor, currency: amount.currency, method })
      expect(event.ending.outcome).toBe('paid')
      expect(event.charge).not.toBeNull()
      const offer = before.phase === 'opening' ? undefined : before.offer
      // Who was told which charge stood on the panel, and answers with another, has looked at both.
      const answersClose = before.phase === 'resolving' && event.re === closeRequestOf(before.sale)
      if (offer !== undefined && !answersClose) {
        expect(event.charge).toBe(offer.charge)
        expect(event.counter).toBeGreaterThanOrEqual(offer.counter)
      }
    })
    expect(paid).toBeGreaterThan(100)
  })

  test('an open sale leaves its terminal only by a verdict, and a settled one only when its outcome was told', () => {
    anyDay(({ before, event, state }) => {
      if (before.phase === 'idle') return
      if ('sale' in state && state.sale.id === before.sale.id) return
      expect(before.phase).toBe('settled')
      if (before.phase === 'settled') expect(before.told).toBe(true)
      expect(event).toBeDefined()
    })
  })

  test('an answer that was given never changes', () => {
    anyDay(({ before, state }) => {
      if (before.phase === 'settled' && state.phase === 'settled') expect(state.verdict).toEqual(before.verdict)
    })
  })

  test('a code is shown only for the offer of this sale, and never again once there was doubt', () => {
    anyDay(({ before, event, state }) => {
      if (state.phase !== 'presenting') return
      expect(['opening', 'presenting']).toContain(before.phase)
      if (before.phase === 'opening') {
        if (event === 'power cut' || event.type !== 'offer received') throw new Error('a code out of nothing')
        expect(event.order.sale).toBe(state.sale.id)
        expect(event.order.nonce).toBe(state.sale.nonce)
        expect(event.order.amountMinor).toBe(state.sale.amount.minor)
      }
      if (before.phase === 'presenting') {
        expect(state.offer.charge).toBe(before.offer.charge)
        expect(state.offer.payload).toBe(before.offer.payload)
        expect(state.offer.counter).toBeGreaterThanOrEqual(before.offer.counter)
        expect(state.endsAt).toBe(before.endsAt)
      }
    })
  })

  test('every effect names a sale that the journal holds before it leaves', () => {
    anyDay(({ state, effects }) => {
      for (const effect of effects) {
        if (effect.do === 'refuse' || effect.do === 'discard word') continue
        if (!('sale' in state)) throw new Error(`${effect.do} without a sale`)
        expect('sale' in effect && effect.sale).toEqual(state.sale)
      }
    })
  })

  test('no sale starts that could not be finished', () => {
    const reasons = fc.constantFrom<NotReady>('link down', 'panel fault', 'journal fault', 'starting')
    fc.assert(fc.property(reachable, events, reasons, ({ state, now }, event, notReady) => {
      const next = step(state, event, givenAt(now, { notReady, freshId: saleId(99), freshNonce: nonceOf(99) }))
      expect('sale' in next.state && next.state.sale.id).not.toBe(saleId(99))
    }))
  })

  test('a sale that is open when power goes is open when it is back, and asks the gateway at once', () => {
    fc.assert(fc.property(reachable, ({ state, now }) => {
      const { state: after, effects } = restore(survives(state), givenAt(now + 5_000))
      switch (state.phase) {
        case 'idle':
          expect(after).toEqual(initial)
          return
        case 'opening':
        case 'presenting':
        case 'resolving':
          if (after.phase !== 'resolving') throw new Error(`restored as ${after.phase}`)
          expect(after.sale).toEqual(state.sale)
          expect(after.offer).toEqual(state.phase === 'opening' ? undefined : state.offer)
          expect(effects.map((effect) => effect.do)).toEqual(['close sale'])
          return
        case 'settled':
          expect(after).toEqual(state.told ? initial
            : { phase: 'settled', sale: state.sale, verdict: state.verdict, told: false, clearAt: now + 5_000 + SETTLED_MS })
          expect(effects).toEqual(state.told ? [] : [{ do: 'tell outcome', sale: state.sale, verdict: state.verdict }])
      }
    }))
  })

  test('from any open sale the gateway\'s right verdict settles it', () => {
    let open = 0
    fc.assert(fc.property(reachable, endings, ({ state, now }, ending) => {
      if (state.phase === 'idle' || state.phase === 'settled') return
      open++
      const { id, nonce, amount, method } = state.sale
      const offer = state.phase === 'opening' ? undefined : state.offer
      const next = step(state, {
        type: 'verdict received', re: null, counter: offer?.counter ?? 0, charge: offer?.charge ?? 'chrg_9', ending,
        order: { sale: id, nonce, amountMinor: amount.minor, currency: amount.currency, method },
      }, givenAt(now))
      expect(next.state).toMatchObject({ phase: 'settled', verdict: { ending } })
      expect(next.effects.map((effect) => effect.do)).toEqual(['tell outcome'])
    }), { numRuns: 3_000 })
    expect(open).toBeGreaterThan(300)
  })

  test('a sale that is being closed is settled by the answer to its close, whatever became of the gateway\'s records', () => {
    let bound = 0
    fc.assert(fc.property(reachable, endings, counters, fc.constantFrom(null, ...CHARGES), ({ state, now }, ending, counter, charge) => {
      if (state.phase !== 'resolving' || (ending.outcome === 'paid' && charge === null)) return
      if (state.offer !== undefined && state.offer.charge !== charge) bound++
      const { id, nonce, amount, method } = state.sale
      const next = step(state, {
        type: 'verdict received', re: closeRequestOf(state.sale), counter, charge, ending,
        order: { sale: id, nonce, amountMinor: amount.minor, currency: amount.currency, method },
      }, givenAt(now))
      const unsaid = ending.outcome === 'unpaid' && state.offer !== undefined && state.offer.charge !== charge
      const told = unsaid ? { outcome: 'unpaid', reason: NEEDS_ATTENTION } : ending // What became of the charge on the panel?
      expect(next.state).toMatchObject({ phase: 'settled', verdict: { ending: told, charge } })
    }), { numRuns: 3_000 })
    expect(bound).toBeGreaterThan(30)
  })

  test('what is asked and what is closed names the charge that was offered, and no other', () => {
    anyDay(({ state, effects }) => {
      for (const effect of effects) {
        if (effect.do !== 'ask after sale' && effect.do !== 'close sale') continue
        if (state.phase !== 'presenting' && state.phase !== 'resolving') throw new Error(`${effect.do} while ${state.phase}`)
        expect(effect.charge).toBe(state.offer?.charge ?? null)
      }
    })
  })

  test('money that went back is said where no sale is disturbed, and changes no sale', () => {
    let said = 0
    const evenings = fc.constantFrom('as it is', 'ended', 'told', 'ready again')
    fc.assert(fc.property(reachable, endings, evenings, reversals, (day, ending, evening, event) => {
      const now = day.now + SETTLED_MS
      const before = endOf(day.state, ending, evening, now)
      const { state, effects } = step(before, event, givenAt(now))
      if (effects.length > 0) {
        expect(effects.map((effect) => effect.do)).toEqual(['discard word'])
        expect(state).toEqual(before)
        return
      }
      said++
      const { order: { sale, currency }, charge, amountMinor, voided } = event
      const reversal = { sale, charge, amount: { minor: amountMinor, currency }, voided }
      expect(state).toEqual({ phase: 'idle', digits: '', notice: { type: 'reversed', reversal, clearAt: now + REVERSED_MS } })
      expect(event.ageMs).toBeLessThanOrEqual(REVERSED_AGE_MS_MAX)
      if (before.phase === 'settled') {
        expect(before.told).toBe(true)
        expect(before.verdict.ending.outcome).toBe('unpaid')
        expect(event.order).toMatchObject({ sale: before.sale.id, nonce: before.sale.nonce })
      } else expect(before).toMatchObject({ phase: 'idle', digits: '' })
    }), { numRuns: 3_000 })
    expect(said).toBeGreaterThan(100)
  })

  test('time never runs hot: once a deadline was reached the next one lies ahead', () => {
    fc.assert(fc.property(reachable, fc.nat(500_000), ({ state, now }, later) => {
      const due = deadline(state)
      if (due === undefined) return
      const at = Math.max(now, due) + later
      const next = step(state, { type: 'deadline reached' }, givenAt(at))
      const after = deadline(next.state)
      if (after !== undefined) expect(after).toBeGreaterThan(at)
      else expect(next.state.phase).toBe('idle')
    }), { numRuns: 3_000 })
  })

  test('a deadline that rings too early changes nothing', () => {
    fc.assert(fc.property(reachable, fc.integer({ min: 1, max: 1_000 }), ({ state }, early) => {
      const due = deadline(state)
      if (due === undefined) return
      expect(step(state, { type: 'deadline reached' }, givenAt(due - early))).toEqual({ state, effects: [] })
    }))
  })

  test('an open sale asks the gateway at least every ten seconds, for ever', () => {
    fc.assert(fc.property(reachable, ({ state, now }) => {
      let at = now
      let silent = 0
      for (let rings = 0; rings < 30 && state.phase !== 'idle' && state.phase !== 'settled'; rings++) {
        const due = deadline(state)
        if (due === undefined) throw new Error(`no deadline while ${state.phase}`)
        silent += Math.max(due - at, 0)
        at = Math.max(at, due)
        const next = step(state, { type: 'deadline reached' }, givenAt(at))
        if (next.effects.length > 0) silent = 0
        expect(silent).toBeLessThanOrEqual(Math.max(ASK_MS, RETRY_MS_MAX))
        state = next.state
      }
    }))
  })
})

describe('the keypad', () => {
  const press = (digits: string): State => {
    let state: State = initial
    for (const digit of digits) state = step(state, { type: 'digit pressed', digit }, givenAt(0)).state
    return state
  }

  test('asks for exactly the amount that was typed and shown', () => {
    fc.assert(fc.property(fc.stringMatching(/^[0-9]{0,14}$/), (digits) => {
      const typed = press(digits)
      if (typed.phase !== 'idle') throw new Error('typing is no sale')
      const { state } = step(typed, { type: 'enter pressed' }, givenAt(0))
      const amount = amountFromDigits(typed.digits, 'THB')
      if (amount === undefined) expect(state).toEqual(typed)
      else if (amount.minor < 2_000 || amount.minor > 15_000_000) expect(state).toMatchObject({ phase: 'idle', digits: '' })
      else expect(state).toMatchObject({ phase: 'opening', sale: { amount, askedBy: 'keypad', id: saleId(1), nonce: nonceOf(1) } })
    }))
  })

  test('the first nine digits count; more are not taken, and change nothing', () => {
    expect(press('123456789')).toMatchObject({ digits: '123456789' })
    expect(press('1234567890')).toMatchObject({ digits: '123456789' })
    expect(press('0001234')).toMatchObject({ digits: '1234' })
  })

  test('takes one digit at a time, and only ASCII ones', () => {
    for (const digit of ['', '12', 'x', '٢', '๒', '-', '.']) {
      expect(step(initial, { type: 'digit pressed', digit }, givenAt(0)).state).toEqual(initial)
    }
  })

  test('Clear and Cancel forget what was typed', () => {
    for (const type of ['clear pressed', 'cancel pressed'] as const) expect(step(press('25'), { type }, givenAt(0)).state).toEqual(initial)
  })

  test('during a sale its keys are nobody\'s business, but for Cancel', () => {
    const opening = step(press('2500'), { type: 'enter pressed' }, givenAt(0)).state
    for (const event of [{ type: 'digit pressed', digit: '7' }, { type: 'clear pressed' }, { type: 'enter pressed' }] as const) {
      expect(step(opening, event, givenAt(1))).toEqual({ state: opening, effects: [] })
    }
  })
})

describe('patience', () => {
  const opened = () => step(initial, { type: 'amount asked', amount: sale.amount }, givenAt(0)).state

  test('an open sale is asked for again with the same id, and given up after fifteen seconds into doubt', () => {
    let state = opened()
    const asked: unknown[] = []
    for (let due = deadline(state); due !== undefined && state.phase === 'opening'; due = deadline(state)) {
      const next = step(state, { type: 'deadline reached' }, givenAt(due, { freshId: saleId(50) }))
      asked.push(...next.effects.map((effect) => ({ at: due, do: effect.do, sale: effect.do === 'discard word' || effect.do === 'refuse' ? '' : effect.sale.id })))
      state = next.state
    }
    const retries = Math.ceil(OPENING_MS / RETRY_MS) - 1
    expect(asked).toHaveLength(retries + 1)
    expect(asked.every((ask) => (ask as { sale: string }).sale === saleId(1))).toBe(true)
    expect(asked.at(-1)).toEqual({ at: OPENING_MS, do: 'close sale', sale: saleId(1) })
    expect(state).toMatchObject({ phase: 'resolving', doubt: 'no answer' })
  })

  test('the ending stays readable, and then the terminal is ready again', () => {
    const ending = { outcome: 'paid', paidAt: '2026-01-01T00:00:00Z' } as const
    const settled = step(opened(), { type: 'verdict received', order: rightOrder, counter: 1, re: null, charge: 'chrg_1', ending }, givenAt(100)).state
    const told = step(settled, { type: 'outcome told', sale: sale.id }, givenAt(101)).state
    expect(deadline(told)).toBe(100 + SETTLED_MS)
    expect(step(told, { type: 'outcome told', sale: OTHER_SALE }, givenAt(102)).state).toEqual(told)
    expect(step(told, { type: 'deadline reached' }, givenAt(100 + SETTLED_MS)).state).toEqual(initial)
  })
})
