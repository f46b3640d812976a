/**
 * Cashiers, registers and customers. They ask, repeat, cancel, pay at once, pay late, pay twice, walk away, or pay from a
 * photograph. What a customer pays is what stands on the panel; what a register believes is what came over its cable.
 */
import type { Answer } from '../../drivers/driver.js'
import type { Box, Picture } from './box.js'
import type { Dice } from './dice.js'
import { dice } from './dice.js'
import type { Engine } from './engine.js'
import type { Faults } from './faults.js'
import type { PaymentApi } from './payment-api.js'

/** What somebody at the counter wants paid, until it was answered. */
export interface Request {
  readonly minor: number
  readonly at: number
  /** The sales that were begun for it. */
  readonly sales: string[]
  /** The register waits for an answer. */
  pending: boolean
  /** Somebody took over by hand, and looks twice at what the register hears. */
  byHand: boolean
}

export interface PeopleOptions {
  readonly seed: number
  readonly engine: Engine
  readonly faults: Faults
  readonly api: PaymentApi
  readonly codeLifetimeMs: number
  readonly disputed: (charge: string) => void
  /** Somebody has paid, or tried to. */
  readonly tried: (charge: string, behaviour: Behaviour, outcome: 'paid' | 'failed' | 'refused') => void
}

export interface People {
  /** A box stands on its counter from now on. */
  attend(box: Box): void
  leave(box: Box): void
  sees(box: Box, picture: Picture): void
  hears(box: Box, answer: Answer): void
  requestOf(box: Box): Request | undefined
  /** The shop closes: nobody asks for anything new. */
  goHome(): void
}

export const BEHAVIOURS = [
  'pays promptly', 'pays slowly', 'pays at the last moment', 'pays from a photograph', 'cancels', 'cancels while paying',
  'walks away', 'pays twice', 'has no money', 'is rejected',
] as const
export type Behaviour = (typeof BEHAVIOURS)[number]

const WEIGHTS: Readonly<Record<Behaviour, number>> = {
  'pays promptly': 55, 'pays slowly': 12, 'pays at the last moment': 6, 'pays from a photograph': 4, 'cancels': 6,
  'cancels while paying': 4, 'walks away': 4, 'pays twice': 3, 'has no money': 4, 'is rejected': 2,
}

/** How often the bank takes its time: most of all when it matters. */
const SLOW_BANK: Readonly<Partial<Record<Behaviour, number>>> = { 'pays at the last moment': 0.6, 'cancels while paying': 0.5 }

interface Counter {
  readonly box: Box
  readonly chance: Dice
  request: Request | undefined
  /** Payloads that somebody has already taken an interest in. */
  readonly seen: Set<string>
  /** Sales that the register was told of. */
  readonly heard: Set<string>
  cancelNext: () => void
  open: boolean
  byHand: boolean
}

const OVER: ReadonlySet<string> = new Set(['paid', 'undelivered', 'not paid', 'ask staff', 'refused'])
/** A register that hears nothing asks again. */
const REPEATS_MAX = 8
const CANCELS_MAX = 15
const MINUTE = 60_000
const NOT_NOW = /^(busy|terminal not ready|starting|not understood|not an amount)/

export function createPeople({ seed, engine, faults, api, codeLifetimeMs, tried, disputed }: PeopleOptions): People {
  const counters = new Map<Box, Counter>()
  let home = false

  // -- Behind the counter ------------------------------------------------------------------------------------------

  function nextCustomer(counter: Counter, meanMs = counter.box.plan.gapMs): void {
    counter.cancelNext()
    counter.request = undefined
    if (home || !counter.open) return
    counter.cancelNext = engine.after(2_000 + counter.chance.wait(meanMs), 'customer', () => ask(counter))
  }

  function ask(counter: Counter): void {
    const { box, chance } = counter
    if (home || !counter.open) return
    // Small and large, the same again where prices are few, and now and then one that no charge may have.
    const minor = chance.chance(0.02) ? chance.pick([1_999, 15_000_001, 100])
      : box.plan.fewPrices ? chance.pick([2_500, 4_000]) : 2_000 + Math.floor(chance.next() ** 4 * 14_998_000)
    counter.request = { minor, at: engine.now(), sales: [], pending: true, byHand: counter.byHand }
    say(counter, 0)
  }

  function say(counter: Counter, repeats: number): void {
    const { box, chance, request } = counter
    if (request === undefined || home || !counter.open) return
    request.pending = true
    if (box.plan.kind === 'register') {
      box.give({ type: 'amount asked', amount: `${Math.floor(request.minor / 100)}.${String(request.minor % 100).padStart(2, '0')}` })
      const waitMs = chance.between(20_000, 90_000)
      counter.cancelNext = engine.after(waitMs, 'register repeats', () => {
        if (repeats < REPEATS_MAX) return say(counter, repeats + 1)
        return giveUp(counter, 0)
      })
      return
    }
    box.give({ type: 'clear pressed' })
    for (const digit of String(request.minor)) box.give({ type: 'digit pressed', digit })
    box.give({ type: 'enter pressed' })
    // Who types looks at the panel; whatever became of it, somebody else comes after a while.
    counter.cancelNext = engine.after(codeLifetimeMs + 60_000, 'cashier gives up', () => nextCustomer(counter))
  }

  /** It wants no more, and still waits to hear how it ended; in the end somebody takes over. */
  function giveUp(counter: Counter, repeats: number): void {
    counter.box.give({ type: 'cancel pressed' })
    counter.cancelNext = engine.after(MINUTE, 'register cancels', () => {
      if (repeats < CANCELS_MAX) return giveUp(counter, repeats + 1)
      counter.byHand = true
      return nextCustomer(counter)
    })
  }

  // -- Before it ---------------------------------------------------------------------------------------------------

  function customer(counter: Counter, payload: string): void {
    const { box, chance } = counter
    const behaviour = drawn(chance)
    const pay = (ms: number, failureCode: string | null = null, from: 'panel' | 'photograph' = 'panel'): void => {
      engine.after(ms, 'customer pays', () => {
        if (from === 'panel' && payloadOn(box) !== payload) return // The code is gone.
        wallet(counter, payload, behaviour, failureCode)
      })
    }
    const cancel = (ms: number): void => { engine.after(ms, 'cancel', () => box.give({ type: 'cancel pressed' })) }
    switch (behaviour) {
      case 'pays promptly': return pay(chance.between(3_000, 20_000))
      case 'pays slowly': return pay(chance.between(0.2, 0.9) * codeLifetimeMs)
      case 'pays at the last moment': return pay(codeLifetimeMs - chance.between(-1_000, 6_000))
      case 'pays from a photograph': return pay(codeLifetimeMs + chance.between(-10_000, 240_000), null, 'photograph')
      case 'cancels': return cancel(chance.between(500, 40_000))
      case 'cancels while paying': {
        const at = chance.between(4_000, 20_000)
        pay(at)
        return cancel(at + chance.between(-500, 5_000))
      }
      case 'walks away': return undefined
      case 'pays twice': {
        const at = chance.between(4_000, 20_000)
        pay(at)
        return pay(at + chance.between(0, 3_000), null, 'photograph')
      }
      case 'has no money': return pay(chance.between(3_000, 20_000), 'insufficient_fund')
      case 'is rejected': return pay(chance.between(3_000, 20_000), chance.chance(0.5) ? 'payment_rejected' : 'failed_processing')
    }
  }

  /** Looks at the code, and pays if it can be paid; the bank takes its time. */
  function wallet({ chance, box }: Counter, payload: string, behaviour: Behaviour, failureCode: string | null): void {
    const charge = api.scan(payload)
    if (charge === undefined) return
    if (charge.state.status !== 'pending') return tried(charge.id, behaviour, 'refused')
    const bankMs = chance.chance(SLOW_BANK[behaviour] ?? 0.1) ? chance.between(3_000, 25_000) : chance.between(300, 2_500)
    engine.after(bankMs, 'bank', () => {
      const outcome = api.settle(charge.id, failureCode)
      engine.note(box.name, `customer ${behaviour}: ${outcome}`, charge.id)
      tried(charge.id, behaviour, outcome)
      if (outcome !== 'paid') return
      const unplugged = faults.strikes('unplugged after paying', box.name)
      if (unplugged !== undefined) {
        engine.after(unplugged * unplugged * 5_000, 'unplugged after paying', () => {
          box.powerOff()
          engine.after(5_000 + unplugged * 60_000, 'plugged in again', () => box.powerOn())
        })
      }
      const dispute = faults.strikes('payment disputed', 'bank')
      if (dispute !== undefined) engine.after(60_000 + dispute * 1_800_000, 'payment disputed', () => disputed(charge.id))
      const refund = faults.strikes('refunded elsewhere', 'dashboard')
      if (refund !== undefined) {
        const part = refund < 0.5 ? charge.amount : Math.max(1, Math.floor(charge.amount * (refund - 0.5)))
        engine.after(refund * refund * 1_800_000, 'refunded elsewhere', () => api.refundElsewhere(charge.id, part))
      }
    })
  }

  return {
    attend(box) {
      const counter: Counter = {
        box, chance: dice(seed, 'people', box.name), request: undefined, seen: new Set(), heard: new Set(), cancelNext: () => undefined,
        open: true, byHand: false,
      }
      counters.set(box, counter)
      nextCustomer(counter, box.plan.gapMs / 4)
    },
    leave(box) {
      const counter = counters.get(box)
      if (counter === undefined) return
      counter.open = false
      counter.cancelNext()
      counter.request = undefined
    },
    sees(box, picture) {
      const counter = counters.get(box)
      if (counter === undefined || picture === 'blank') return
      if (picture.screen === 'scan to pay' && !counter.seen.has(picture.payload)) {
        counter.seen.add(picture.payload)
        customer(counter, picture.payload)
      }
      const isOver = OVER.has(picture.screen)
      if (box.plan.kind === 'keypad' && isOver && counter.request !== undefined) nextCustomer(counter)
    },
    hears(box, answer) {
      const counter = counters.get(box)
      if (counter === undefined) return
      // A register knows sales by their ids: an answer may come twice, and the second is no answer to what it asked since.
      const isRepeat = answer.answer === 'ok' && counter.heard.has(answer.sale)
      if (answer.answer === 'ok') counter.heard.add(answer.sale)
      if (isRepeat || counter.request === undefined) return
      if (answer.answer === 'no' && NOT_NOW.test(answer.reason)) { // Asks again a little later.
        counter.request.pending = false
        counter.cancelNext()
        counter.cancelNext = engine.after(counter.chance.between(3_000, 20_000), 'register asks again', () => say(counter, 1))
        return
      }
      counter.byHand = false
      nextCustomer(counter)
    },
    requestOf: (box) => counters.get(box)?.request,
    goHome() {
      home = true
      for (const counter of counters.values()) counter.cancelNext()
    },
  }
}

const TOTAL = Object.values(WEIGHTS).reduce((sum, weight) => sum + weight, 0)

function drawn(chance: Dice): Behaviour {
  let left = chance.next() * TOTAL
  for (const behaviour of BEHAVIOURS) {
    left -= WEIGHTS[behaviour]
    if (left < 0) return behaviour
  }
  return 'pays promptly'
}

function payloadOn(box: Box): string | undefined {
  const picture = box.picture()
  return picture !== 'blank' && picture.screen === 'scan to pay' ? picture.payload : undefined
}
