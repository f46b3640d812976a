/** The rules of one sale: stories as golden texts (UPDATE=1 rewrites them), and properties over everything that can happen. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { amountFromDigits, amountFromKeys, parseAmount } from '../../device/protocol/money.js'
import { type Ending, NEEDS_ATTENTION } from '../../device/protocol/wire.js'
import {
  ASK_MS, closeRequestOf, deadline, type Event, initial, type NotReady, OPENING_MS, restore, REVERSED_AGE_MS_MAX, REVERSED_MS, RETRY_MS, RETRY_MS_MAX,
  SETTLED_MS, type State, step, type Terms,
} from '../../device/sale.js'
import { anyDay, CHARGES, counters, endings, events, givenAt, reachable, reversals, rightOrder, sale, survives } from './sale-day.js'
import { nonceOf, OTHER_SALE, playStory, saleId } from './sale-story.js'

const STORIES = join(import.meta.dirname, 'sale.transcripts')

describe('the story of', () => {
  const files = readdirSync(STORIES).filter((file) => file.endsWith('.txt'))
  test('every way a sale can go is told', () => expect(files.length).toBeGreaterThanOrEqual(45))
  test.each(files)('%s', (file) => {
    const told = readFileSync(join(STORIES, file), 'utf8')
    const played = playStory(told)
    if (process.env['UPDATE'] === '1') writeFileSync(join(STORIES, file), played)
    else expect(played).toBe(told)
  })
})

/** How a day may end for the sale that is open: its verdict, its outcome told, the next customer. */
function endOf({ state, terms }: { readonly state: State; readonly terms: Terms }, ending: Ending, evening: string, now: number): State {
  if (evening === 'as it is') return state
  const { sale } = 'sale' in state ? state : { sale: undefined }
  if (sale === undefined) return initial
  const order = { sale: sale.id, nonce: sale.nonce, amountMinor: sale.amount.minor, currency: sale.amount.currency, method: sale.method }
  const charge = 'offer' in state && state.offer !== undefined ? state.offer.charge : 'chrg_1'
  const verdict: Event = { type: 'verdict received', re: null, order, counter: 9, charge, ending }
  const out: Event = { type: 'goods let out', sale: sale.id, known: true }
  const told: Event = { type: 'outcome told', sale: sale.id }
  const heard: readonly Event[] = [verdict, out, ...(evening === 'ended' ? [] : [told]), ...(evening === 'told' ? [] : [{ type: 'clear pressed' } as const])]
  return heard.reduce((before, event) => step(before, event, givenAt(now, { terms })).state, state)
}

describe('whatever happens', () => {
  test('a sale is paid only by a verdict for this sale, nonce, amount, method and charge', () => {
    let paid = 0
    anyDay(({ before, event, state }) => {
      if (!('verdict' in state) || state.verdict.ending.outcome !== 'paid') return
      if ('verdict' in before) {
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
      const offer = 'offer' in before ? before.offer : undefined
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
      if (before.phase === 'settled') {
        expect(before.told).toBe(true)
        expect(before.undelivered?.noted).not.toBe(false)
      }
      expect(event).toBeDefined()
    })
  })

  test('an answer that was given never changes', () => {
    anyDay(({ before, state }) => {
      if ('verdict' in before && 'verdict' in state) expect(state.verdict).toEqual(before.verdict)
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
    const reasons = fc.constantFrom<NotReady>('link down', 'panel fault', 'journal fault', 'starting', 'keypad fault', 'release fault')
    fc.assert(fc.property(reachable, events, reasons, ({ state, now, terms }, event, notReady) => {
      const next = step(state, event, givenAt(now, { terms, notReady, freshId: saleId(99), freshNonce: nonceOf(99) }))
      expect('sale' in next.state && next.state.sale.id).not.toBe(saleId(99))
    }))
  })

  test('a sale that is open when power goes is open when it is back, and asks the gateway at once', () => {
    fc.assert(fc.property(reachable, ({ state, now, terms }) => {
      const at = now + 5_000
      const { state: after, effects } = restore(survives(state), givenAt(at, { terms }))
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
        case 'delivering':
        case 'settled': {
          const { sale, verdict } = state
          const told = state.phase === 'settled' && state.told
          const isInDoubt = state.phase === 'delivering' || state.undelivered?.noted === false
          const doubt = isInDoubt ? { undelivered: { noted: false, tries: 1, retryAt: at + RETRY_MS } } : {}
          expect(after).toEqual(told && !isInDoubt ? initial : { phase: 'settled', sale, verdict, told, clearAt: at + SETTLED_MS, ...doubt })
          expect(effects).toEqual([
            ...(told ? [] : [{ do: 'tell outcome', sale, verdict }]), ...(isInDoubt ? [{ do: 'report undelivered', sale, charge: verdict.charge }] : []),
          ])
        }
      }
    }))
  })

  test('from any open sale the gateway\'s right verdict settles it', () => {
    let open = 0
    fc.assert(fc.property(reachable, endings, ({ state, now, terms }, ending) => {
      if (state.phase === 'idle' || 'verdict' in state) return
      open++
      const { id, nonce, amount, method } = state.sale
      const offer = 'offer' in state ? state.offer : undefined
      const next = step(state, {
        type: 'verdict received', re: null, counter: offer?.counter ?? 0, charge: offer?.charge ?? 'chrg_9', ending,
        order: { sale: id, nonce, amountMinor: amount.minor, currency: amount.currency, method },
      }, givenAt(now, { terms }))
      expect(next.state).toMatchObject({ verdict: { ending } })
      const goods = ending.outcome === 'unpaid' || terms.release === undefined ? 'none' : next.state.phase === 'delivering' ? 'on their way' : 'in doubt'
      expect(next.effects.map((effect) => effect.do)).toEqual(
        { 'none': ['tell outcome'], 'on their way': ['let goods out'], 'in doubt': ['tell outcome', 'report undelivered'] }[goods])
    }), { numRuns: 3_000 })
    expect(open).toBeGreaterThan(300)
  })

  test('a sale that is being closed is settled by the answer to its close, whatever became of the gateway\'s records', () => {
    let bound = 0
    fc.assert(fc.property(reachable, endings, counters, fc.constantFrom(null, ...CHARGES), ({ state, now, terms }, ending, counter, charge) => {
      if (state.phase !== 'resolving' || (ending.outcome === 'paid' && charge === null)) return
      if (state.offer !== undefined && state.offer.charge !== charge) bound++
      const { id, nonce, amount, method } = state.sale
      const next = step(state, {
        type: 'verdict received', re: closeRequestOf(state.sale), counter, charge, ending,
        order: { sale: id, nonce, amountMinor: amount.minor, currency: amount.currency, method },
      }, givenAt(now, { terms }))
      const unsaid = ending.outcome === 'unpaid' && state.offer !== undefined && state.offer.charge !== charge
      const told = unsaid ? { outcome: 'unpaid', reason: NEEDS_ATTENTION } : ending // What became of the charge on the panel?
      expect(next.state).toMatchObject({ verdict: { ending: told, charge } })
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
      const before = endOf(day, ending, evening, now)
      const { state, effects } = step(before, event, givenAt(now, { terms: day.terms }))
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
    fc.assert(fc.property(reachable, fc.nat(500_000), ({ state, now, terms }, later) => {
      const due = deadline(state)
      if (due === undefined) return
      const at = Math.max(now, due) + later
      const next = step(state, { type: 'deadline reached' }, givenAt(at, { terms }))
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
      for (let rings = 0; rings < 30 && state.phase !== 'idle' && !('verdict' in state); rings++) {
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
  const pressAll = (keys: readonly string[]): State => keys.reduce<State>((state, key) =>
    step(state, key === '.' ? { type: 'point pressed' } : { type: 'digit pressed', digit: key }, givenAt(0)).state, initial)
  const press = (keys: string): State => pressAll([...keys])
  const keysAre = fc.array(fc.constantFrom(...'0123456789', '00', '000', '.'), { maxLength: 14 })

  test('asks for exactly the amount that was typed and shown', () => {
    fc.assert(fc.property(keysAre, (keys) => {
      const typed = pressAll(keys)
      if (typed.phase !== 'idle') throw new Error('typing is no sale')
      const { state } = step(typed, { type: 'enter pressed' }, givenAt(0))
      const amount = amountFromKeys(typed.digits, 'THB')
      expect(amount).toEqual(typed.digits.includes('.') ? parseAmount(typed.digits.replace(/\.$/, ''), 'THB') : amountFromDigits(typed.digits, 'THB'))
      if (typed.digits === '') expect(state).toEqual(typed)
      else if (amount === undefined) expect(state).toMatchObject({ phase: 'idle', digits: '', notice: { refusal: { reason: 'not an amount' } } })
      else if (amount.minor < 2_000 || amount.minor > 15_000_000) expect(state).toMatchObject({ phase: 'idle', digits: '' })
      else expect(state).toMatchObject({ phase: 'opening', sale: { amount, askedBy: 'keypad', id: saleId(1), nonce: nonceOf(1) } })
    }), { numRuns: 2_000 })
  })

  test('takes each key whole, or leaves what was typed as it was', () => {
    fc.assert(fc.property(keysAre, fc.constantFrom(...'0123456789', '00', '000'), (keys, key) => {
      const before = pressAll(keys)
      const after = pressAll([...keys, key])
      if (before.phase !== 'idle' || after.phase !== 'idle') throw new Error('typing is no sale')
      const whole = before.digits === '' ? key.replace(/^0+/, '') : before.digits + key
      expect([before.digits, whole]).toContain(after.digits)
      expect(after.digits).toMatch(/^([1-9][0-9]{0,8})?$|^(0|[1-9][0-9]{0,6})\.[0-9]{0,2}$/)
    }), { numRuns: 2_000 })
  })

  test('takes one point, and only where the decimals have room', () => {
    expect(press('.')).toMatchObject({ digits: '0.' })
    expect(press('.5.5')).toMatchObject({ digits: '0.55' })
    expect(press('25.505')).toMatchObject({ digits: '25.50' })
    expect(press('1234567.')).toMatchObject({ digits: '1234567.' })
    expect(press('12345678.')).toMatchObject({ digits: '12345678' })
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
    for (const type of ['clear pressed', 'cancel pressed'] as const) expect(step(press('25.5'), { type }, givenAt(0)).state).toEqual(initial)
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
