/** Goods that a box lets out by itself: at most once a sale, only when it is paid, and never in silence when nobody can know. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  CONFIRM_MS, CONFIRM_MS_MAX, deadline, type Effect, type Event, GOODS_MS, initial, restore, RETRY_MS, RETRY_MS_MAX, SETTLED_MS, type State, step,
  undeliveredRequestOf, UNDELIVERED_MS,
} from '../../device/sale.js'
import { BOXES, everyDay, givenAt, reachable, rightOrder, sale, survives, termsOf } from './sale-day.js'

const PAID = { outcome: 'paid', paidAt: '2026-01-01T00:00:00Z' } as const
const [, onePulse] = BOXES
const terms = termsOf(onePulse)
const at = (now: number) => givenAt(now, { terms })
const dos = (effects: readonly Effect[]): readonly string[] => effects.map((effect) => effect.do)
const verdict: Event = { type: 'verdict received', order: rightOrder, counter: 9, re: null, charge: 'chrg_1', ending: PAID }
const noted: Event = { ...verdict, re: undeliveredRequestOf(sale) }
const ring: Event = { type: 'deadline reached' }
const goods = (known: boolean): Event => ({ type: 'goods let out', sale: sale.id, known })

/** From the register's question on: each event at its moment. */
function after(...lines: readonly (readonly [now: number, event: Event])[]): State {
  const opened = step(initial, { type: 'amount asked', amount: sale.amount }, at(0)).state
  return lines.reduce((state, [now, event]) => step(state, event, at(now)).state, opened)
}
const inDoubt = (): State => after([100, verdict], [200, goods(false)])

describe('goods', () => {
  test('are let out at most once a sale, in one life or many, and only by the verdict that it is paid', () => {
    let letOut = 0
    everyDay((moments) => {
      const sales = new Set<string>()
      for (const { release, event, state, effects } of moments) {
        for (const effect of effects) {
          if (effect.do !== 'let goods out') continue
          letOut++
          const { id, amount } = effect.sale
          expect(sales.has(id)).toBe(false)
          sales.add(id)
          if (event === 'power cut' || event.type !== 'verdict received') throw new Error(`let out by ${JSON.stringify(event)}`)
          expect(event.ending.outcome).toBe('paid')
          expect(event.order).toMatchObject({ sale: id, amountMinor: amount.minor })
          expect(state).toMatchObject({ phase: 'delivering', sale: effect.sale })
          if (release === undefined) throw new Error('let out by a box that lets nothing out')
          expect(effect.pulses).toBe(release.pulses === 'one' ? 1 : amount.minor / release.pulses.perMinor)
        }
      }
    })
    expect(letOut).toBeGreaterThan(40)
  })

  test('of a paid sale were let out, and it is known, or the gateway is told that it is not', () => {
    let reported = 0
    everyDay((moments) => {
      const out = new Set<string>()
      const told = new Set<string>()
      for (const { release, before, event, state, effects } of moments) {
        if (event !== 'power cut' && event.type === 'goods let out' && event.known && before.phase === 'delivering') out.add(event.sale)
        for (const effect of effects) if (effect.do === 'report undelivered') told.add(effect.sale.id)
        if (release === undefined || state.phase !== 'settled' || state.verdict.ending.outcome !== 'paid') continue
        if (told.has(state.sale.id)) reported++
        expect(out.has(state.sale.id) || told.has(state.sale.id)).toBe(true)
      }
    })
    expect(reported).toBeGreaterThan(40)
  })

  test('of no sale are in doubt where nothing is let out', () => {
    everyDay((moments) => {
      for (const { release, state, effects } of moments) {
        if (release !== undefined) return
        expect(state.phase).not.toBe('delivering')
        expect(dos(effects)).not.toContain('report undelivered')
      }
    })
  })

  test('in doubt keep the terminal from the next sale until the gateway has answered that very report', () => {
    let waited = 0
    everyDay((moments) => {
      for (const { before, event, state } of moments) {
        if (before.phase !== 'settled' || before.undelivered?.noted !== false) continue
        waited++
        expect(state).toMatchObject({ phase: 'settled', sale: before.sale })
        if (state.phase !== 'settled' || state.undelivered?.noted === false) continue
        if (event === 'power cut' || event.type !== 'verdict received') throw new Error(`noted by ${JSON.stringify(event)}`)
        expect(event.re).toBe(undeliveredRequestOf(before.sale))
      }
    })
    expect(waited).toBeGreaterThan(40)
  })

  test('that were on their way when power went are not let out again, whatever is said later', () => {
    fc.assert(fc.property(reachable, fc.boolean(), ({ state, now, terms: box }, known) => {
      if (state.phase !== 'delivering') return
      const back = restore(survives(state), givenAt(now, { terms: box }))
      expect(dos(back.effects)).toEqual(['tell outcome', 'report undelivered'])
      const late = step(back.state, { type: 'goods let out', sale: state.sale.id, known }, givenAt(now + 1, { terms: box }))
      expect(late).toEqual({ state: back.state, effects: [] })
    }), { numRuns: 3_000 })
  })

  test.each([
    ['a moment before five minutes of doubt are over', GOODS_MS - 1, 'let goods out'],
    ['when they are over', GOODS_MS, 'report undelivered'],
  ])('that are paid %s', (_, doubtMs, then) => {
    const doubted = after([1_000, { type: 'cancel pressed' }])
    expect(dos(step(doubted, verdict, at(1_000 + doubtMs)).effects)).toContain(then)
  })

  test('count as unknown once the release had its time, and not before', () => {
    const delivering = after([1_000, verdict])
    expect(deadline(delivering)).toBe(13_000)
    expect(step(delivering, ring, at(12_999))).toEqual({ state: delivering, effects: [] })
    expect(dos(step(delivering, ring, at(13_000)).effects)).toEqual(['tell outcome', 'report undelivered'])
  })
})

describe('the report that goods are in doubt', () => {
  test('is repeated at once when the link is back, and otherwise ever less often, at least every ten seconds, for ever', () => {
    let state = step(inDoubt(), { type: 'outcome told', sale: sale.id }, at(300)).state
    const pauses: number[] = []
    for (let now = 200; pauses.length < 20;) {
      const due = deadline(state)!
      const next = step(state, ring, at(due))
      expect(next.effects).toEqual([{ do: 'report undelivered', sale, charge: 'chrg_1' }])
      pauses.push(due - now)
      now = due
      state = next.state
    }
    expect(pauses.slice(0, 4)).toEqual([RETRY_MS, 2 * RETRY_MS, 4 * RETRY_MS, RETRY_MS_MAX])
    expect(new Set(pauses.slice(3))).toEqual(new Set([RETRY_MS_MAX]))
    expect(dos(step(state, { type: 'link restored' }, at(500_000)).effects)).toEqual(['report undelivered'])
  })

  test('ends with the verdict in answer, and the reference stays readable for a while', () => {
    const told = step(inDoubt(), { type: 'outcome told', sale: sale.id }, at(300)).state
    expect(step(told, verdict, at(400)).state).toEqual(told)
    const ended = step(told, noted, at(500))
    expect(ended).toMatchObject({ state: { undelivered: { noted: true } }, effects: [] })
    expect(deadline(ended.state)).toBe(500 + UNDELIVERED_MS)
    expect(step(ended.state, { type: 'link restored' }, at(600)).effects).toEqual([])
    expect(step(ended.state, ring, at(500 + UNDELIVERED_MS)).state).toEqual(initial)
  })

  test.each(['another sale', 'another nonce', 'another amount'])('does not end with an answer about %s', (what) => {
    const bent = { 'another sale': { sale: rightOrder.sale.replace(/.$/, 'f') }, 'another nonce': { nonce: 'f'.repeat(32) }, 'another amount': { amountMinor: 1 } }[what]
    const state = inDoubt()
    expect(step(state, { ...noted, order: { ...rightOrder, ...bent } }, at(500))).toMatchObject({ state, effects: [{ do: 'discard word' }] })
  })

  test('survives power cuts, and whoever was told how the sale ended is not told again', () => {
    const told = step(inDoubt(), { type: 'outcome told', sale: sale.id }, at(300)).state
    const back = restore(survives(told), at(1_000))
    expect(dos(back.effects)).toEqual(['report undelivered'])
    expect(back.state).toMatchObject({ phase: 'settled', told: true })
    const untold = restore(survives(inDoubt()), at(1_000))
    expect(dos(untold.effects)).toEqual(['tell outcome', 'report undelivered'])
    const over = step(back.state, noted, at(1_100)).state
    expect(restore(survives(over), at(2_000))).toEqual({ state: initial, effects: [] })
  })

  test('does not keep a register from its answer, nor the answer the report', () => {
    let state = inDoubt()
    const said: string[] = []
    for (let rings = 0; rings < 12; rings++) {
      const next = step(state, ring, at(deadline(state)!))
      said.push(...dos(next.effects))
      state = next.state
    }
    expect(said.filter((what) => what === 'tell outcome').length).toBeGreaterThan(2)
    expect(said.filter((what) => what === 'report undelivered').length).toBeGreaterThan(4)
    expect(step(inDoubt(), ring, at(500_000)).effects.map((effect) => effect.do)).toEqual(['tell outcome', 'report undelivered'])
  })

  test('is never made of goods that came out: that sale is over like any other', () => {
    const known = after([100, verdict], [200, goods(true)], [300, { type: 'outcome told', sale: sale.id }])
    expect(deadline(known)).toBe(200 + SETTLED_MS)
    expect(step(known, ring, at(200 + SETTLED_MS)).state).toEqual(initial)
  })
})

describe('an amount', () => {
  const pulses = termsOf({ pulses: { perMinor: 1_000, max: 10 }, withinMs: 1_000 })

  test('is asked for exactly when whole pulses can hand out for it', () => {
    fc.assert(fc.property(fc.oneof(fc.integer({ min: 2_000, max: 15_000 }), fc.integer({ min: 2, max: 15 }).map((tens) => tens * 1_000)), (minor) => {
      const { state, effects } = step(initial, { type: 'amount asked', amount: { minor, currency: 'THB' } }, givenAt(0, { terms: pulses }))
      if (minor % 1_000 === 0 && minor <= 10_000) expect(state.phase).toBe('opening')
      else expect(effects).toMatchObject([{ do: 'refuse', refusal: { reason: 'not in pulses', stepMinor: 1_000, maxMinor: 10_000 } }])
    }))
  })
})

describe('an unusual amount', () => {
  const unusual = givenAt(0, { terms: { ...termsOf(undefined), usual: { fromMinor: 3_000, toMinor: 50_000 } } })
  const enter = (state: State, now = 0): State => step(state, { type: 'enter pressed' }, { ...unusual, now }).state
  const typed = (digits: string): State => ({ phase: 'idle', digits })

  test('is asked about once more exactly when it is typed, can be charged, and lies outside of what is usual', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 999_999_999 }), fc.boolean(), (minor, isNear) => {
      const near = isNear ? 2_990 + minor % 20 : minor
      const state = enter(typed(String(near)))
      const isAsked = near >= 2_000 && near <= 15_000_000 && (near < 3_000 || near > 50_000)
      expect(state.phase === 'idle' && state.confirm !== undefined).toBe(isAsked)
      const amount = { minor: near, currency: 'THB' } as const
      for (const event of [{ type: 'product chosen', price: amount }, { type: 'amount asked', amount }] as const) {
        expect(step(initial, event, unusual).state).not.toHaveProperty('confirm')
      }
    }))
  })

  test('is meant when Enter is pressed once more, neither so soon that it may have bounced nor so late that it may be anybody\'s', () => {
    const asked = enter(typed('250000'))
    expect(enter(asked, CONFIRM_MS - 1)).toEqual(asked)
    expect(enter(asked, CONFIRM_MS)).toMatchObject({ phase: 'opening', sale: { amount: { minor: 250_000 }, askedBy: 'keypad' } })
    expect(enter(asked, CONFIRM_MS_MAX - 1).phase).toBe('opening')
    expect(deadline(asked)).toBe(CONFIRM_MS_MAX)
    expect(step(asked, ring, { ...unusual, now: CONFIRM_MS_MAX }).state).toEqual(initial)
    expect(enter(asked, CONFIRM_MS_MAX)).toMatchObject({ phase: 'idle', digits: '250000', confirm: { from: CONFIRM_MS_MAX + CONFIRM_MS } })
  })

  test('is forgotten by Clear and Cancel, and is another one after any other key', () => {
    const asked = enter(typed('250000'))
    for (const type of ['clear pressed', 'cancel pressed'] as const) expect(step(asked, { type }, unusual).state).toEqual(initial)
    expect(step(asked, { type: 'digit pressed', digit: '5' }, unusual).state).toEqual(typed('2500005'))
    expect(step(asked, { type: 'point pressed' }, unusual).state).toEqual(typed('250000.'))
  })
})
