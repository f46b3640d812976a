/**
 * Everything that can happen to one shop, drawn at random: days of events, pauses and power cuts, for boxes that let goods
 * out and boxes that do not. What must hold of all of them is in sale.test.ts and goods.test.ts.
 */
import fc from 'fast-check'
import {
  closeRequestOf, type Effect, type Event, type Given, initial, type Recorded, record, type ReleaseTerms, restore, REVERSED_AGE_MS_MAX, type Sale, type State,
  step, type Terms, undeliveredRequestOf,
} from '../../device/sale.js'
import { nonceOf, OTHER_SALE, saleId } from './sale-story.js'

export const CHARGES = ['chrg_1', 'chrg_2'] as const
export const sale: Sale = {
  id: saleId(1), nonce: nonceOf(1), amount: { minor: 2_500, currency: 'THB' }, method: 'alipayplus_mpm', askedBy: 'register',
}
export const rightOrder = { sale: sale.id, nonce: sale.nonce, amountMinor: 2_500, currency: 'THB', method: 'alipayplus_mpm' } as const

/** What a box lets out, and how; undefined where nothing comes out by itself. Sales of 25.00 and 30.00 are 5 and 6 pulses. */
export const BOXES: readonly (ReleaseTerms | undefined)[] =
  [undefined, { pulses: 'one', withinMs: 12_000 }, { pulses: { perMinor: 500, max: 8 }, withinMs: 3_000 }]
export const termsOf = (release: ReleaseTerms | undefined): Terms => ({ currency: 'THB', method: 'alipayplus_mpm', release })

export const givenAt = (now: number, more: Partial<Given> = {}): Given => ({
  now, freshId: saleId(1), freshNonce: nonceOf(1), terms: { currency: 'THB', method: 'alipayplus_mpm' }, notReady: undefined, ...more,
})

/** Mostly the right order, so that the right answer is not lost among wrong ones. */
const orders = fc.oneof({ weight: 4, arbitrary: fc.constant(rightOrder) }, fc.record({
  sale: fc.constantFrom(sale.id, OTHER_SALE), nonce: fc.constantFrom(sale.nonce, nonceOf(7)), amountMinor: fc.constantFrom(2_500, 2_501),
  currency: fc.constantFrom('THB' as const, 'SGD' as const), method: fc.constantFrom('alipayplus_mpm' as const, 'promptpay' as const),
}))
export const endings = fc.constantFrom(
  { outcome: 'paid', paidAt: '2026-01-01T00:00:00Z' } as const, { outcome: 'unpaid', reason: 'payment_rejected' } as const,
)
export const counters = fc.integer({ min: 0, max: 5 })
export const reversals = fc.record({
  type: fc.constant('reversal received' as const), order: orders, counter: counters, charge: fc.constantFrom(...CHARGES),
  amountMinor: fc.constantFrom(1, 2_500), voided: fc.boolean(), ageMs: fc.constantFrom(-50, 0, REVERSED_AGE_MS_MAX, REVERSED_AGE_MS_MAX + 1),
})
export const events: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ type: fc.constant('digit pressed' as const), digit: fc.constantFrom(...'0123456789', 'x', '', '12', '00', '000') }),
  fc.constantFrom<Event>({ type: 'point pressed' }, { type: 'link restored' },
    { type: 'product chosen', price: { minor: 2_500, currency: 'THB' } }, { type: 'product chosen', price: { minor: 2_501, currency: 'THB' } }),
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
    re: fc.constantFrom(null, closeRequestOf(sale), undeliveredRequestOf(sale), `${sale.id}.open`, `${sale.id}.ask.1`),
  }),
  reversals,
  fc.record({ type: fc.constant('goods let out' as const), sale: fc.constantFrom(sale.id, sale.id, OTHER_SALE), known: fc.boolean() }),
  fc.record({ type: fc.constantFrom('code not shown' as const, 'outcome told' as const), sale: fc.constantFrom(sale.id, OTHER_SALE) }),
)
/** A day that begins with a sale. An event after a pause; 'power cut' is the journal and nothing else. */
const happening = fc.record({
  pauseMs: fc.constantFrom(0, 1, 1_999, 2_000, 10_000, 120_000, 300_000),
  event: fc.oneof({ weight: 9, arbitrary: events }, fc.constant('power cut' as const)),
  notReady: fc.constantFrom(undefined, undefined, undefined, 'link down' as const),
})
type Happening = typeof happening extends fc.Arbitrary<infer H> ? H : never
const asked: Happening = { pauseMs: 0, event: { type: 'amount asked', amount: sale.amount }, notReady: undefined }
interface Day {
  readonly release: ReleaseTerms | undefined
  readonly happened: readonly Happening[]
}
const days = fc.record({ release: fc.constantFrom(...BOXES), happened: fc.array(happening, { maxLength: 40 }).map((day) => [asked, ...day]) })

export const survives = (state: State): Recorded => JSON.parse(JSON.stringify(record(state))) as Recorded

export interface Moment {
  readonly release: ReleaseTerms | undefined
  readonly before: State
  readonly event: Event | 'power cut'
  readonly state: State
  readonly now: number
  readonly effects: readonly Effect[]
}

/** Every step of a day, with what led to it. Sales after the first get other ids. */
function* play({ release, happened }: Day): Generator<Moment> {
  let state: State = initial
  let now = 0
  let sales = 0
  for (const { pauseMs, event, notReady } of happened) {
    now += pauseMs
    const given = givenAt(now, { terms: termsOf(release), notReady, freshId: saleId(sales + 1), freshNonce: nonceOf(sales + 1) })
    const before = state
    const next = event === 'power cut' ? restore(survives(state), given) : step(state, event, given)
    state = next.state
    if ('sale' in state && state.sale.id === saleId(sales + 1)) sales++
    yield { release, before, event, state, now, effects: next.effects }
  }
}

export const anyDay = (check: (moment: Moment) => void): void => everyDay((moments) => { for (const moment of moments) check(moment) })

/** A whole day at once. */
export const everyDay = (check: (moments: Iterable<Moment>) => void): void => fc.assert(fc.property(days, (day) => check(play(day))), { numRuns: 3_000 })

/** States worth being in, reached by what can happen, and the terms of the box that is in it. */
export const reachable = days.map((day) => {
  let last: { state: State; now: number } = { state: initial, now: 0 }
  for (const { state, now } of play(day)) last = { state, now }
  return { ...last, terms: termsOf(day.release) }
})
