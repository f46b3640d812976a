import { describe, expect, test } from 'vitest'
import type { Sale, SaleVerdict, State } from '../../device/sale.js'
import { COUNTDOWN_MS, type Health, view, viewDeadline } from '../../device/view.js'
import { referenceOf } from '../../device/protocol/wire.js'

const sale: Sale = {
  id: '0193b3c4-5d6e-7f80-9a1b-2c3d4e5f6071', nonce: 'a'.repeat(32), amount: { minor: 2_500, currency: 'THB' },
  method: 'alipayplus_mpm', askedBy: 'keypad',
}
const offer = { charge: 'chrg_1', payload: 'https://qr.alipayplus.com/SECRET', counter: 1 }
const well: Health = { notReady: undefined, codeFault: false }

const idle = { phase: 'idle', digits: '' } as const
const opening: State = { phase: 'opening', sale, retryAt: 0, giveUpAt: 0 }
const presenting: State = { phase: 'presenting', sale, offer, endsAt: 120_000, asks: 0, askAt: 0 }
const resolving = (doubt: Extract<State, { phase: 'resolving' }>['doubt']): State =>
  ({ phase: 'resolving', sale, doubt, offer, tries: 1, retryAt: 0 })
const settled = (ending: SaleVerdict['ending']): State =>
  ({ phase: 'settled', sale, verdict: { ending, charge: 'chrg_1' }, told: true, clearAt: 0 })
const paid = settled({ outcome: 'paid', paidAt: '2026-11-23T06:00:00Z' })
const unpaid = (reason: string): State => settled({ outcome: 'unpaid', reason })
const DOUBTS = ['cancelled', 'expired', 'no answer', 'code not shown', 'restarted'] as const

describe('the code', () => {
  test('is in the picture while the sale is presented, with all a customer must compare', () => {
    expect(view(presenting, well, 0)).toEqual({
      screen: 'scan to pay', payload: offer.payload, method: 'alipayplus_mpm', secondsLeft: 120,
      amount: sale.amount, reference: referenceOf(sale.id), lamps: 'waiting',
    })
  })

  test('is in no other picture', () => {
    for (const state of [idle, opening, ...DOUBTS.map(resolving), paid, unpaid('expired')]) {
      expect(JSON.stringify(view(state, well, 0))).not.toContain('SECRET')
    }
  })

  test('is not shown again once a code did not read back', () => {
    const shown = view(presenting, { ...well, codeFault: true }, 0)
    expect(shown.screen).toBe('checking')
    expect(JSON.stringify(shown)).not.toContain('SECRET')
  })
})

describe('in doubt', () => {
  test.each(DOUBTS)('%s: the customer reads that we are checking, and nothing about how it ended', (doubt) => {
    expect(view(resolving(doubt), well, 0)).toEqual({
      screen: 'checking', amount: sale.amount, reference: referenceOf(sale.id), lamps: 'checking',
    })
  })
})

describe('an ending', () => {
  test('that is paid shows the amount and the reference', () => {
    expect(view(paid, well, 0)).toEqual({ screen: 'paid', amount: sale.amount, reference: referenceOf(sale.id), lamps: 'paid' })
  })

  test('that is unpaid also shows why', () => {
    expect(view(unpaid('insufficient_fund'), well, 0)).toEqual({
      screen: 'not paid', reason: 'insufficient_fund', amount: sale.amount, reference: referenceOf(sale.id), lamps: 'not paid',
    })
  })

  test('that a person must look at is neither paid nor not paid, and can be found by its reference', () => {
    expect(view(unpaid('needs attention'), well, 0)).toEqual({
      screen: 'ask staff', amount: sale.amount, reference: referenceOf(sale.id), lamps: 'checking',
    })
  })
})

describe('a register that does not take its answer', () => {
  test('does not leave PAID, or anything else of that sale, on the panel for whoever comes next', () => {
    for (const ended of [paid, unpaid('insufficient_fund'), unpaid('needs attention')]) {
      if (ended.phase !== 'settled') throw new Error('not settled')
      expect(view({ ...ended, sale: { ...ended.sale, askedBy: 'register' }, told: false, overdue: true }, well, 0)).toEqual({ screen: 'offline', lamps: 'offline' })
    }
  })
})

describe('a panel that cannot show how a sale ended', () => {
  test('leaves lamps that say so, and shows the ending once it can', () => {
    if (paid.phase !== 'settled') throw new Error('not settled')
    const unseen = { ...paid, told: false, overdue: true } as const
    expect(view(unseen, { ...well, notReady: 'panel fault' }, 0)).toMatchObject({ screen: 'out of service', lamps: 'out of service' })
    expect(view(unseen, well, 0).screen).toBe('paid')
  })
})

describe('goods', () => {
  const verdict: SaleVerdict = { ending: { outcome: 'paid', paidAt: '2026-11-23T06:00:00Z' }, charge: 'chrg_1' }
  const inDoubt = { phase: 'settled', sale, verdict, told: true, clearAt: 0, undelivered: { noted: false, tries: 1, retryAt: 0 } } as const
  const noted = { ...inDoubt, undelivered: { ...inDoubt.undelivered, noted: true } }
  const isInDoubt = { screen: 'undelivered', amount: sale.amount, reference: referenceOf(sale.id), lamps: 'not paid' }

  test('on their way are paid for, and nothing else is said', () => {
    expect(view({ phase: 'delivering', sale, verdict, endsAt: 9_000 }, well, 0)).toEqual(view(paid, well, 0))
  })

  test('in doubt can be found by their reference, whether the gateway knows it yet or not', () => {
    for (const state of [inDoubt, noted]) expect(view(state, well, 0)).toEqual(isInDoubt)
  })

  test('in doubt do not stay on the panel for hours when only the register is left to tell', () => {
    const asked = { ...sale, askedBy: 'register' } as const
    expect(view({ ...noted, sale: asked, told: false, overdue: true }, well, 0).screen).toBe('offline')
    expect(view({ ...inDoubt, told: false, overdue: true }, well, 0)).toEqual(isInDoubt)
  })
})

describe('parts of the box that are missing', () => {
  test('are said where the next amount is asked for, and nowhere else', () => {
    expect(view(idle, { ...well, missing: ['register', 'lamps'] }, 0)).toEqual({ screen: 'enter amount', digits: '', missing: 'register, lamps', lamps: 'ready' })
    expect(view(idle, { ...well, missing: [] }, 0)).toEqual(view(idle, well, 0))
    for (const state of [opening, presenting, resolving('expired'), paid]) expect(view(state, { ...well, missing: ['lamps'] }, 0)).toEqual(view(state, well, 0))
  })
})

describe('an unusual amount', () => {
  test('is asked about, as it was typed', () => {
    expect(view({ ...idle, digits: '250000', confirm: { from: 700, until: 20_000 } }, well, 0)).toEqual({
      screen: 'confirm amount', digits: '250000', lamps: 'working',
    })
  })
})

describe('money that went back', () => {
  const reversal = { sale: 'S-9', charge: 'chrg_9', amount: { minor: 9_900, currency: 'THB' } } as const
  test.each([true, false])('is said with its amount and reference, not those of another sale (voided: %s)', (voided) => {
    const notice = { type: 'reversed', reversal: { ...reversal, voided }, clearAt: 15_000 } as const
    expect(view({ ...idle, notice }, well, 0)).toEqual({
      screen: 'reversed', amount: reversal.amount, reference: referenceOf('S-9'), voided, lamps: 'not paid',
    })
  })
})

describe('when no sale could be started', () => {
  const notReady = (because: Health['notReady']): Health => ({ ...well, notReady: because })

  test.each([
    ['link down', 'offline', 'offline'],
    ['starting', 'starting', 'working'],
    ['panel fault', 'out of service', 'out of service'],
    ['journal fault', 'out of service', 'out of service'],
    ['keypad fault', 'out of service', 'out of service'],
    ['buttons fault', 'out of service', 'out of service'],
    ['register fault', 'out of service', 'out of service'],
    ['release fault', 'out of service', 'out of service'],
  ] as const)('%s is shown as %s', (because, screen, lamps) => {
    expect(view(idle, notReady(because), 0)).toMatchObject({ screen, lamps })
  })

  test('typed digits do not hide it', () => {
    expect(view({ ...idle, digits: '25' }, notReady('link down'), 0).screen).toBe('offline')
  })

  test('an open or just ended sale keeps its own screen', () => {
    for (const state of [opening, presenting, resolving('expired'), paid, unpaid('cancelled')]) {
      for (const because of ['link down', 'panel fault', 'journal fault', 'starting'] as const) {
        expect(view(state, notReady(because), 0)).toEqual(view(state, well, 0))
      }
    }
  })

  test('a code that did not read back means out of service, whatever else is true', () => {
    const notice = { type: 'refused', refusal: { reason: 'busy', text: 'busy' }, clearAt: 9 } as const
    for (const because of [undefined, 'link down', 'starting'] as const) {
      expect(view({ ...idle, notice }, { notReady: because, codeFault: true }, 0))
        .toEqual({ screen: 'out of service', fault: 'code fault', lamps: 'out of service' })
    }
  })
})

describe('a terminal that belongs to no shop yet', () => {
  const unpaired = { code: 'K7M4-QP2X', address: 'https://gate.example.com/enrol' }

  test('says where it is set up, and with which code', () => {
    expect(view(idle, { ...well, unpaired }, 0)).toEqual({ screen: 'set up', ...unpaired, lamps: 'offline' })
  })

  test('says what is broken first', () => {
    expect(view(idle, { ...well, unpaired, notReady: 'panel fault' }, 0).screen).toBe('out of service')
  })
})

describe('an update', () => {
  const health: Health = { ...well, notReady: 'starting', updating: { minutesLeft: 2 } }

  test('is said with the time it takes', () => {
    expect(view(idle, health, 0)).toEqual({ screen: 'updating', minutesLeft: 2, lamps: 'working' })
  })

  test('is never seen while a sale is open, or has just ended', () => {
    for (const state of [opening, presenting, resolving('expired'), paid, unpaid('cancelled'), unpaid('needs attention')]) {
      expect(view(state, health, 0)).toEqual(view(state, well, 0))
    }
  })

  test('does not hide that money went back', () => {
    const reversal = { sale: 'S-9', charge: 'chrg_9', amount: { minor: 9_900, currency: 'THB' }, voided: true } as const
    expect(view({ ...idle, notice: { type: 'reversed', reversal, clearAt: 9 } }, health, 0).screen).toBe('reversed')
  })
})

describe('an idle terminal', () => {
  test('asks for an amount and shows what was typed', () => {
    expect(view({ ...idle, digits: '250' }, well, 0)).toEqual({ screen: 'enter amount', digits: '250', lamps: 'ready' })
  })

  test('says why the last amount was refused, for as long as the notice lasts', () => {
    const refusal = { reason: 'amount too small', text: 'THB 1.00 is below the minimum of THB 20.00' } as const
    expect(view({ ...idle, notice: { type: 'refused', refusal, clearAt: 5_000 } }, well, 0)).toEqual({ screen: 'refused', refusal, lamps: 'not paid' })
  })
})

describe('the countdown', () => {
  test.each([
    [0, 120], [1, 120], [14_999, 120], [15_000, 105], [104_999, 30], [105_000, 15], [119_999, 15], [120_000, 0], [130_000, 0],
  ])('after %d ms of 120 s there are %d s left, in steps an e-ink panel can follow', (now, secondsLeft) => {
    expect(view(presenting, well, now)).toMatchObject({ secondsLeft })
  })

  test('the picture changes exactly when it says it will', () => {
    let now = 7
    const changes: number[] = []
    for (;;) {
      const next = viewDeadline(presenting, now)
      if (next === undefined) break
      expect(next).toBeGreaterThan(now)
      expect(view(presenting, well, next - 1)).toEqual(view(presenting, well, now))
      expect(view(presenting, well, next)).not.toEqual(view(presenting, well, now))
      now = next
      changes.push(now)
    }
    expect(changes).toEqual([1, 2, 3, 4, 5, 6, 7].map((steps) => steps * COUNTDOWN_MS))
  })

  test('no other picture changes by itself', () => {
    for (const state of [idle, opening, resolving('expired'), paid]) expect(viewDeadline(state, 0)).toBeUndefined()
  })
})
