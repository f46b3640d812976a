import fc from 'fast-check'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { deadline, type Event, type Word } from '../../cloud/charge.js'
import { type Account, replay } from '../../cloud/ledger.js'
import { LIST_RETRY_MS_MAX } from '../../cloud/reversal.js'
import { evening, type Move, MOVES } from './charge-evening.js'
import {
  askedAfter, charge, closeAsked, CODE, codeRead, created, expiredCharge, failedCharge, found, goodsInDoubt, type Line, listed, moment, opened, order,
  paidCharge, play, read, refund, START, swept, terms,
} from './charge-story.js'

const folder = join(import.meta.dirname, 'charge.transcripts')
const hint: Event = { type: 'hint received' }
const forgot: Event = { type: 'terminal forgot' }
const refused: Event = { type: 'refund refused', charge: 'a', code: 'failed_refund' }
const made = (id: string, amountMinor = 2500, voided = true): Event => ({ type: 'refund made', charge: 'a', refund: refund(id, amountMinor, voided) })

/** The usual beginning: asked, created, offered. */
const offered: readonly Line[] = [[0, opened()], [400, created('a')], [700, codeRead]]

const closed: readonly Line[] = [...offered, [1_000, closeAsked('close-1', 'a')], [1_300, read(expiredCharge('a'))]]

/** The customer's wallet was slower than Cancel. */
const late: readonly Line[] = [...closed, [9_000, hint], [9_200, read(paidCharge('a'))]]

const stories: Readonly<Record<string, readonly Line[]>> = {
  'paid, told by a webhook': [...offered, [1_900, hint], [2_000, read(paidCharge('a'))], [9_000, 'nothing']],
  'paid, found by polling': [...offered, [2_750, read(charge('a'))], [5_300, read(charge('a'))], [8_200, read(paidCharge('a'))], [60_000, 'nothing']],
  'rejected by the wallet': [...offered, [2_000, hint], [2_100, read(failedCharge('a', 'payment_rejected'))]],
  'insufficient fund': [...offered, [2_000, hint], [2_100, read(failedCharge('a', 'insufficient_fund'))]],
  'failed processing': [...offered, [2_000, hint], [2_100, read(failedCharge('a', 'failed_processing'))]],
  'payment expired': [...offered, [2_000, hint], [2_100, read(failedCharge('a', 'payment_expired'))]],
  'a failure code nobody knows': [...offered, [2_000, hint], [2_100, read(failedCharge('a', 'wallet_on_holiday'))]],
  'a failure without a code': [...offered, [2_000, read(charge('a', { status: 'failed' }))]],
  'cancelled': [...offered, [1_000, closeAsked('close-1', 'a')], [1_300, read(expiredCharge('a'))], [30_000, 'nothing']],
  'cancel loses the race': [...offered, [1_000, closeAsked('close-1', 'a')], [1_300, { type: 'expire refused' }], [1_500, read(paidCharge('a'))]],
  'cancelled while the API is away': [
    ...offered, [1_000, closeAsked('close-1', 'a')], [1_900, { type: 'charge unanswered' }], [4_900, { type: 'charge unanswered' }], [7_300, read(expiredCharge('a'))],
  ],
  'expired, said by the terminal': [
    ...offered, [2_600, read(charge('a'))],
    [119_000, { type: 'close asked', terminal: 'T-1', order, request: 'close-1', reason: 'expired', showing: 'a' }], [119_300, read(expiredCharge('a'))],
  ],
  'lease of a silent terminal': [...offered, [149_999, 'nothing'], [150_000, 'nothing'], [150_400, read(expiredCharge('a'))], [200_000, 'nothing']],
  'silent terminal, paid in the last second': [...offered, [150_000, 'nothing'], [150_100, { type: 'expire refused' }], [150_200, read(paidCharge('a'))]],
  'asked after its code ended': [...offered, [121_000, askedAfter('ask-9', 'a')], [121_300, read(expiredCharge('a'))]],
  'outside the limits of its method': [[0, { ...opened(), order: { ...order, amountMinor: 1_999 } } as Event], [5_000, opened('open-2')]],
  'create refused': [[0, opened()], [400, { type: 'create refused', code: 'invalid_charge' }], [1_000, opened('open-2')], [60_000, 'nothing']],
  'create answer lost, found': [[0, opened()], [900, { type: 'create unanswered' }], [2_000, found(charge('a'))], [2_300, codeRead]],
  'create answer lost, not found, first comes late': [
    [0, opened()], [900, { type: 'create unanswered' }], [2_000, found()], [2_400, created('b')], [2_500, created('a')], [2_600, codeRead], [3_000, askedAfter('ask-1', 'b')],
  ],
  'create answer lost, found by a later look': [
    [0, opened()], [900, { type: 'create unanswered' }], [2_000, { type: 'find unanswered' }], [5_000, found(charge('a'))], [5_300, codeRead],
  ],
  'two creates lost': [
    [0, opened()], [900, { type: 'create unanswered' }], [2_000, found()], [3_000, { type: 'create unanswered' }], [4_100, found()], [9_000, 'nothing'],
  ],
  'two found': [[0, opened()], [900, { type: 'create unanswered' }], [2_000, found(charge('a'), charge('b'))], [2_300, codeRead]],
  'two found, the second is paid': [[0, askedAfter()], [500, found(charge('a'), paidCharge('b'))]],
  'two found, the second is paid, the first is shown': [[0, askedAfter('ask-1', 'a')], [500, found(charge('a'), paidCharge('b'))]],
  'two found, both are paid, the second is shown': [[0, askedAfter('ask-1', 'b')], [500, found(paidCharge('a'), paidCharge('b'))]],
  'two found, the first has ended': [[0, opened()], [900, { type: 'create unanswered' }], [2_000, found(expiredCharge('a'), charge('b'))], [2_300, codeRead]],
  'cancelled while it is created': [[0, opened()], [200, closeAsked()], [400, created('a')], [700, read(expiredCharge('a'))]],
  'cancelled while its create is refused': [[0, opened()], [200, closeAsked()], [400, { type: 'create refused', code: 'invalid_charge' }]],
  'cancelled while its create is in doubt': [[0, opened()], [200, closeAsked()], [900, { type: 'create unanswered' }], [2_000, found()]],
  'close of an unknown sale': [[0, closeAsked()], [300, found()], [400, opened('open-late')], [30_000, 'nothing']],
  'close of an unknown sale that has a charge': [[0, closeAsked()], [300, found(charge('a'))], [600, read(expiredCharge('a'))], [700, opened('open-late')]],
  'question after an unknown sale that was paid': [[0, askedAfter()], [300, found(paidCharge('a'))]],
  'code unreadable': [
    [0, opened()], [400, created('a')], [700, { type: 'code unreadable', because: 'two codes' }], [1_000, read(expiredCharge('a'))],
  ],
  'code comes late': [[0, opened()], [400, created('a')], [700, { type: 'code unanswered' }], [3_600, codeRead]],
  'code comes after cancel': [[0, opened()], [400, created('a')], [500, closeAsked()], [600, codeRead], [900, read(expiredCharge('a'))]],
  'wrong amount': [
    [0, opened()], [400, created('a', { amountMinor: 250_000 })], [1_000, askedAfter()], [60_000, swept(charge('a', { amountMinor: 250_000 }))],
  ],
  'wrong currency': [[0, opened()], [400, created('a', { currency: 'SGD' })]],
  'wrong livemode': [[0, opened()], [400, created('a', { livemode: true })]],
  'wrong amount when it is read': [...offered, [2_000, read(paidCharge('a', { amountMinor: 1 }))], [2_500, askedAfter('ask-1', 'a')]],
  'asked again and again': [...offered, [1_000, askedAfter('ask-1', 'a')], [1_100, askedAfter(null)], [2_000, read(paidCharge('a'))], [2_100, askedAfter('ask-2', 'a')]],
  'restart while creating': [[0, opened()], [300, 'restarted'], [600, found(charge('a'))], [900, codeRead]],
  'restart while creating, nothing was created': [[0, opened()], [300, 'restarted'], [600, found()], [900, created('b')]],
  'restart while offered': [...offered, [1_000, 'restarted'], [1_200, read(paidCharge('a'))]],
  'restart before the code was read': [[0, opened()], [400, created('a')], [500, 'restarted'], [900, codeRead]],
  'restart while closing': [...offered, [1_000, closeAsked('close-1', 'a')], [1_100, 'restarted'], [1_400, { type: 'expire refused' }], [1_600, read(expiredCharge('a'))]],
  'restart after the lease': [...offered, [1_000, 'nothing'], [900_000, 'restarted'], [900_300, read(charge('a'))], [900_700, read(expiredCharge('a'))]],
  'restart after the end': [...offered, [1_200, read(paidCharge('a'))], [2_000, 'restarted'], [3_000, askedAfter('ask-1', 'a')]],

  // A gateway whose records may be an old backup.
  'a gateway that has just started looks first, and creates when there is nothing': [
    [0, 'restarted'], [30_000, opened()], [30_300, found()], [30_700, created('a', { expiresAt: moment(150_300) })], [31_000, codeRead],
  ],
  'a gateway that has just started looks first, and offers what is there': [[0, 'restarted'], [89_999, opened()], [90_300, found(charge('a'))], [90_700, codeRead]],
  'a gateway that has run for a while creates at once': [[0, 'restarted'], [90_000, opened()]],
  'the terminal shows another charge than the first found': [
    [0, opened()], [900, { type: 'create unanswered' }], [2_000, found(charge('a'))], [2_300, codeRead],
    [10_000, askedAfter('ask-1', 'b')], [10_300, found(charge('a'), charge('b'))], [10_600, codeRead],
  ],
  'the terminal closes another charge than the one that is bound': [
    [0, opened()], [400, created('a')], [700, codeRead], [1_500, swept(paidCharge('c'))],
    [10_000, closeAsked('close-1', 'b')], [10_300, found(charge('a'), charge('b'))], [10_600, read(expiredCharge('b'))],
  ],
  'the terminal shows a charge whose money is on its way back': [
    [0, opened()], [400, created('b')], [700, codeRead], [2_000, swept(paidCharge('a'))], [2_300, askedAfter('ask-1', 'a')],
    [2_600, found(paidCharge('a'), charge('b'))], [2_900, listed('a')], [3_400, made('r')],
  ],
  'what the terminal shows is no charge of the sale': [[0, closeAsked('close-1', 'z')], [300, found(charge('a'))], [600, read(expiredCharge('a'))]],
  'what the terminal shows was closed without a charge': [
    [0, closeAsked()], [300, found()], [700, closeAsked('close-2', 'b')], [1_000, found(paidCharge('b'))],
  ],
  'what the terminal shows was closed under another charge': [
    [0, closeAsked()], [300, found(charge('a'))], [600, read(expiredCharge('a'))],
    [700, closeAsked('close-2', 'b')], [1_000, found(charge('a'), paidCharge('b'))],
  ],
  'the terminal forgot': [...offered, [5_000, forgot], [5_300, read(expiredCharge('a'))], [5_400, forgot]],
  'the terminal forgot a sale that was paid': [...offered, [2_000, read(paidCharge('a'))], [3_000, forgot]],
  'the terminal forgot while the charge was made': [[0, opened()], [300, forgot], [400, created('a')], [700, read(expiredCharge('a'))]],
  'the sweeper sees a sale nobody knows, pending': [
    [0, swept(charge('a'))], [300, found(charge('a'))], [600, codeRead], [150_000, 'nothing'], [150_300, read(expiredCharge('a'))],
  ],
  'the sweeper sees a sale nobody knows, and finds none': [[0, swept(charge('a'))], [300, found()], [60_000, swept(charge('a'))]],
  'the sweeper sees a sale nobody knows, paid': [[0, swept(paidCharge('a'))], [300, found(paidCharge('a'))], [60_000, swept(paidCharge('a'))]],
  'the sweeper sees a sale nobody knows, expired': [[0, swept(expiredCharge('a'))], [60_000, 'nothing']],
  'the clock is set back before a restart': [...offered, [-86_400, 'restarted'], [63_599, 'nothing'], [63_600, 'nothing']],

  // Goods that may not have come out.
  'goods in doubt': [...offered, [2_000, read(paidCharge('a'))], [3_000, goodsInDoubt()], [4_000, hint]],
  'goods in doubt of a sale nobody knows': [[0, goodsInDoubt()], [300, found(paidCharge('a'))], [400, goodsInDoubt('a', 'undelivered-2')]],
  'goods in doubt of a sale nobody knows, and none is found': [[0, goodsInDoubt('z')], [300, found()], [9_000, opened('open-late')]],
  'goods in doubt while older records still look': [
    [0, opened()], [900, { type: 'create unanswered' }], [1_500, goodsInDoubt('b')], [2_000, found(charge('a'), paidCharge('b'))],
  ],
  'goods in doubt while older records still wait for the code': [
    [0, opened()], [400, created('a')], [500, goodsInDoubt()], [700, codeRead], [800, { type: 'expire refused' }], [1_000, read(paidCharge('a'))],
  ],
  'goods in doubt while older records still offer the code': [
    ...offered, [5_000, goodsInDoubt()], [5_300, { type: 'expire refused' }], [5_500, read(paidCharge('a'))],
  ],
  'goods in doubt while older records offer another': [...offered, [5_000, goodsInDoubt('b')], [5_300, found(charge('a'), paidCharge('b'))]],
  'goods in doubt of a sale that was closed': [...closed, [5_000, goodsInDoubt()]],
  'goods in doubt of a sale that was closed under another charge': [...closed, [5_000, goodsInDoubt('b')], [5_300, found(expiredCharge('a'), paidCharge('b'))]],
  'goods in doubt of a sale that only a person decides': [...offered, [2_000, read(paidCharge('a', { amountMinor: 1 }))], [5_000, goodsInDoubt()]],

  // Money that must go back.
  'paid late, and voided': [
    ...late, [9_400, listed('a')], [9_900, made('r')], [10_000, hint], [10_100, read(paidCharge('a', { refundedMinor: 2500 }))],
    [11_000, askedAfter('ask-9', 'a')],
  ],
  'paid late, and refunded': [...late, [9_400, listed('a')], [9_900, made('r', 2500, false)]],
  'paid late, seen by the sweeper alone': [...closed, [69_000, swept(paidCharge('a'))], [69_300, listed('a')], [69_800, made('r')]],
  'refund answer lost, found': [...late, [9_400, listed('a')], [19_400, { type: 'refund unanswered', charge: 'a' }], [26_000, listed('a', refund('r'))]],
  'refund answer lost, and nothing there': [
    ...late, [9_400, listed('a')], [19_400, { type: 'refund unanswered', charge: 'a' }], [26_000, listed('a')], [26_500, made('r')],
  ],
  'refund never answered at all': [...late, [9_400, listed('a')], [99_400, 'nothing'], [99_800, listed('a', refund('r'))]],
  'refunds cannot be listed': [
    ...late, [10_000, { type: 'refunds unanswered', charge: 'a' }], [15_999, 'nothing'], [16_000, 'nothing'], [16_400, listed('a')], [16_900, made('r')],
  ],
  'a part went back at the desk': [...late, [9_400, listed('a', refund('desk', 1_000, false))], [9_900, made('r', 1_500, false)]],
  'a part of what was asked went back': [
    ...late, [9_400, listed('a')], [9_900, made('r', 2_000, false)], [10_200, listed('a', refund('r', 2_000, false))], [10_600, made('s', 500, false)],
  ],
  'refund refused, since it had gone back': [...late, [9_400, listed('a')], [9_900, refused], [16_000, listed('a', refund('r'))]],
  'refund refused again and again': [
    ...late, ...[9_400, 16_000, 29_000, 54_000, 103_000, 200_000].flatMap((at): readonly Line[] => [[at, listed('a')], [at + 400, refused]]),
    [900_000, 'nothing'], [1_000_000, swept(paidCharge('a', { refundedMinor: 2500 }))], [1_000_300, listed('a', refund('desk'))],
  ],
  'a method that cannot be refunded': [
    [0, { ...opened(), order: { ...order, method: 'promptpay' } } as Event], ...offered.slice(1), ...late.slice(offered.length),
    [60_000, swept(paidCharge('a'))], [70_000, 'restarted'], [900_000, 'nothing'],
  ],
  'an orphan is paid beside the charge that is shown': [
    ...offered, [1_500, swept(paidCharge('b'))], [6_000, listed('b')], [9_000, read(paidCharge('a'))],
    [9_300, { type: 'refund made', charge: 'b', refund: refund('r') }],
  ],
  'paid twice': [
    ...offered, [2_000, read(paidCharge('a'))], [60_000, swept(paidCharge('a'))], [60_001, swept(paidCharge('b'))], [60_300, listed('b')],
    [60_800, { type: 'refund made', charge: 'b', refund: refund('r') }],
  ],
  'a paid sale goes back at the desk': [
    ...offered, [2_000, read(paidCharge('a'))], [60_000, swept(paidCharge('a', { refundedMinor: 1_000 }))],
    [60_300, listed('a', refund('r', 1_000, false))],
    ...Array.from({ length: 10 }, (_, look): Line => [120_000 + look * 60_000, swept(paidCharge('a', { refundedMinor: 1_000 }))]),
    [800_000, swept(paidCharge('a', { refundedMinor: 2_500 }))], [800_300, listed('a', refund('r', 1_000, false), refund('s', 1_500, false))],
  ],
  'all of it went back before it was read': [
    ...offered, [2_000, read(paidCharge('a', { refundedMinor: 2_500 }))], [2_300, listed('a', refund('desk'))],
  ],
  'a part of it went back before it was read': [
    ...offered, [2_000, read(paidCharge('a', { refundedMinor: 1_000 }))], [2_300, listed('a', refund('desk', 1_000, false))],
    [60_000, swept(paidCharge('a', { refundedMinor: 1_000 }))], [120_000, swept(paidCharge('a', { refundedMinor: 2_500 }))],
    [120_300, listed('a', refund('desk', 1_000, false), refund('rest', 1_500))],
  ],
  'a dispute': [...offered, [2_000, read(paidCharge('a'))], [3_600_000, { type: 'dispute seen', charge: 'a' }]],
  'restart while refunds are listed': [...late, [9_300, 'restarted'], [9_600, listed('a')], [10_000, made('r')]],
  'restart while a refund is on its way': [...late, [9_400, listed('a')], [9_500, 'restarted'], [9_900, listed('a', refund('r'))]],
  'restart with money that has gone back': [...late, [9_400, listed('a')], [9_900, made('r')], [20_000, 'restarted'], [900_000, 'nothing']],
  'restart of a sale that is open while an orphan goes back': [
    ...offered, [1_500, swept(paidCharge('b'))], [1_600, 'restarted'], [1_900, listed('b')], [2_000, read(charge('a'))],
    [2_300, { type: 'refund made', charge: 'b', refund: refund('r') }], [2_500, read(paidCharge('a'))],
  ],
}

describe('golden stories of one charge', () => {
  test.each(Object.entries(stories))('%s', (title, lines) => {
    const file = join(folder, `${title.replace(/[^a-z]+/g, '-')}.txt`)
    const { transcript } = play(lines)
    if (process.env['UPDATE'] === '1') writeFileSync(file, transcript)
    expect(existsSync(file), `${file} (UPDATE=1 writes it)`).toBe(true)
    expect(transcript).toBe(readFileSync(file, 'utf8'))
  })

  test('every transcript belongs to a story', () => {
    const expected = Object.keys(stories).map((title) => `${title.replace(/[^a-z]+/g, '-')}.txt`)
    expect(readdirSync(folder).sort()).toEqual(expected.sort())
  })
})

const outcomes = (words: readonly Word[]): readonly string[] => words.map((word) => {
  switch (word.type) {
    case 'sale.offer':    return `offer ${word.charge}`
    case 'sale.verdict':  return `${word.ending.outcome} ${'reason' in word.ending ? word.ending.reason : ''}`.trim()
    case 'sale.reversed': return `reversed ${word.amountMinor} of ${word.charge}, ${word.voided ? 'voided' : 'refunded'}`
  }
})

describe('what a terminal is told', () => {
  test('a code, once its image was read, bound to the sale it was asked for', () => {
    expect(play(offered).words).toEqual([
      { type: 'sale.offer', re: 'open-1', order, charge: 'a', payload: CODE, expiresAt: moment(120_000) },
    ])
  })

  test('paid, with the moment the API gave', () => {
    const { words } = play([...offered, [2_000, read(paidCharge('a'))]])
    expect(words.at(-1)).toEqual({ type: 'sale.verdict', re: null, order, charge: 'a', ending: { outcome: 'paid', paidAt: moment(20_000) } })
  })

  test('the countdown ends with the charge, or with our own lifetime when the API gives it longer', () => {
    const until = (expiresAt: string | undefined): string | undefined =>
      play([[0, opened()], [400, created('a', { expiresAt })], [700, codeRead]]).words.flatMap((word) => ('expiresAt' in word ? [word.expiresAt] : []))[0]
    expect(until(moment(60_000))).toBe(moment(60_000))
    expect(until(moment(86_400_000))).toBe(moment(120_400))
    expect(until(undefined)).toBe(moment(120_400))
  })

  test('an unpaid verdict always has a reason, even when the API names an empty one', () => {
    const { words } = play([...offered, [2_000, read(failedCharge('a', ''))]])
    expect(outcomes(words)).toEqual(['offer a', 'unpaid failed_processing'])
  })

  test.each(['pending', 'held_by_the_bank', 'authorized'])('nothing, while the charge is %s', (status) => {
    const { words, state } = play([...offered, [2_000, read(charge('a', { status }))]])
    expect(outcomes(words)).toEqual(['offer a'])
    expect(state.phase).toBe('bound')
  })

  test.each([{ status: 'successful', paid: false }, { status: 'pending', paid: true }])('not paid for %j', (seen) => {
    const { words } = play([...offered, [2_000, read(charge('a', seen))]])
    expect(outcomes(words)).toEqual(['offer a'])
  })

  test('nothing of another charge that was read by mistake', () => {
    expect(outcomes(play([...offered, [2_000, read(paidCharge('z'))]]).words)).toEqual(['offer a'])
  })

  test('one word for a hello in the middle, and the request before it is still answered', () => {
    const { words } = play([[0, opened()], [100, askedAfter(null)], [400, created('a')], [700, codeRead]])
    expect(words.map(({ re }) => re)).toEqual(['open-1'])
  })
})

describe('goods in doubt', () => {
  const phases: Readonly<Record<string, readonly Line[]>> = {
    'none': [], 'intent, creating': [[0, opened()]], 'intent, finding': [[0, askedAfter()]], 'bound': offered.slice(0, 2), 'offered': offered,
    'closing': [...offered, [1_000, closeAsked('close-1', 'a')]], 'paid': [...offered, [1_000, read(paidCharge('a'))]], 'closed': closed,
    'exception': [...offered, [1_000, read(charge('a', { livemode: true }))]],
  }

  test.each(Object.entries(phases))('reach a person at once, whatever our records say: %s', (_, lines) => {
    const { state } = play(lines)
    const { concerns } = play([[1_400, goodsInDoubt()]], state)
    const concern = {
      key: `undelivered ${order.sale}`, charge: 'a', amountMinor: 2_500, currency: 'THB',
      reason: 'paid, and the terminal does not know whether the goods came out',
    }
    expect(concerns).toEqual([concern])
    expect(play([[1_400, goodsInDoubt()], [1_500, goodsInDoubt('a', 'undelivered-2')]], state).concerns).toEqual([concern, concern])
  })

  test.each(Object.entries(phases))('are answered by a verdict under that request, and by no code: %s', (_, lines) => {
    const { state } = play(lines)
    const { words } = play([
      [1_400, goodsInDoubt()], [1_450, found(paidCharge('a'))], [1_500, created('a')], [1_600, codeRead], [1_700, { type: 'expire refused' }], [1_900, read(paidCharge('a'))],
    ], state)
    expect(words.filter(({ re }) => re === 'undelivered-1').map(({ type }) => type)).toEqual(['sale.verdict'])
    expect(words.map(({ type }) => type)).not.toContain('sale.offer')
  })

  test('of a sale whose records were lost ask for both: whether they came out, and whether they were given', () => {
    const { concerns, words } = play([[0, goodsInDoubt()], [300, found(paidCharge('a'))]])
    expect(concerns.map(({ key }) => key)).toEqual([`undelivered ${order.sale}`, 'recovered a'])
    expect(outcomes(words)).toEqual(['paid'])
  })

  test('move no money, and change nothing that was said', () => {
    const paid: readonly Line[] = [...offered, [2_000, read(paidCharge('a'))]]
    const { state } = play(paid)
    const after = play([[3_000, goodsInDoubt()]], state)
    expect(after).toMatchObject({ state, effects: [], entries: [] })
    expect(after.words).toEqual([{ type: 'sale.verdict', re: 'undelivered-1', order, charge: 'a', ending: { outcome: 'paid', paidAt: moment(20_000) } }])
  })
})

describe('a list of charges that comes late', () => {
  const lost: readonly Line[] = [[0, opened()], [900, { type: 'create unanswered' }], [2_000, found()]]

  test('does not end a sale whose second create is on its way', () => {
    // Two looks were under way; the second answer is older than the create that the first one led to.
    const { state, words } = play([...lost, [2_100, found()], [2_500, created('b')], [2_800, codeRead]])
    expect(outcomes(words)).toEqual(['offer b'])
    expect(state.phase).toBe('bound')
  })

  test('has its other charges closed when one is bound already', () => {
    const { effects } = play([...lost, [2_500, created('b')], [2_600, found(charge('a'), charge('b'))]])
    expect(effects.filter(({ do: what }) => what === 'expire orphan')).toEqual([{ do: 'expire orphan', charge: 'a' }])
  })

  test('has its charge closed when the sale was closed without one', () => {
    const { effects, words } = play([[0, opened()], [200, closeAsked()], [900, { type: 'create unanswered' }], [2_000, found()], [2_100, found(charge('a'))]])
    expect(outcomes(words)).toEqual(['unpaid cancelled'])
    expect(effects.at(-1)).toEqual({ do: 'expire orphan', charge: 'a' })
  })
})

describe('charges of a sale that nobody knows are looked for', () => {
  const mintedAgo = (ms: number): string => {
    const hex = (START - ms).toString(16).padStart(12, '0')
    return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000001`
  }
  test.each<[text: string, mintedAgoMs: number, sinceMs: number]>([
    ['since an hour before the terminal says it minted it', 600_000, -4_200_000],
    ['since an hour ago, when the terminal\'s clock is a little ahead', -1_800_000, -3_600_000],
    ['for a day, when its clock is far ahead', -7_200_000, -93_600_000],
    ['for a day, when its clock stands still', 100_000_000, -93_600_000],
  ])('%s', (_, mintedAgoMs, sinceMs) => {
    const asked: Event = { type: 'sale asked after', terminal: 'T-1', order: { ...order, sale: mintedAgo(mintedAgoMs) }, request: 'ask-1', showing: null }
    expect(play([[0, asked]]).effects).toMatchObject([{ do: 'find charges', since: START + sinceMs }])
  })
})

describe('money that came for a sale that had ended', () => {
  test('goes back by itself, is booked as late and as refunded, and changes nothing that was said', () => {
    const { state, words, entries } = play([...late, [9_400, listed('a')], [9_900, made('r')], [10_000, askedAfter('ask-9', 'a')]])
    expect(state).toMatchObject({ phase: 'closed', reversals: [{ charge: 'a', phase: 'reversed', voided: true }] })
    expect(entries).toEqual([
      {
        key: 'late payment a', sale: order.sale, currency: 'THB',
        lines: [{ account: 'receivable', minor: 2456 }, { account: 'fees', minor: 44 }, { account: 'late', minor: -2500 }],
      },
      { key: 'refund r', sale: order.sale, currency: 'THB', lines: [{ account: 'late', minor: 2500 }, { account: 'receivable', minor: -2500 }] },
    ])
    expect(outcomes(words)).toEqual(['offer a', 'unpaid cancelled', 'reversed 2500 of a, voided', 'unpaid cancelled'])
  })

  test('waits for refunds without end when nobody answers, ever more slowly, and a person is told once', () => {
    const hour = 3_600_000
    const silence = Array.from({ length: 400 }, (_, look): Line => [10_000 + look * hour / 10, { type: 'refunds unanswered', charge: 'a' }])
    const { state, concerns } = play([...late, ...silence])
    expect(deadline(state)).toBe(START + 10_000 + 399 * hour / 10 + LIST_RETRY_MS_MAX)
    expect(concerns.map(({ key }) => key)).toEqual(['not reversed yet a'])
  })

  test('is not listed again before the first list could have come: a late one would speak of the past, and a second refund be sent', () => {
    const lists = (untilMs: number): number => play([...late, [untilMs, 'nothing']]).effects.filter((effect) => effect.do === 'list refunds').length
    expect([lists(99_199), lists(99_200)]).toEqual([1, 2])
  })

  test('is asked for again only as often as the API may change its mind, and then a person must look', () => {
    const { effects, concerns } = play([...late, ...Array.from({ length: 30 }, (_, look): readonly Line[] => [
      [1_000_000 + look * 1_000_000, listed('a')], [1_000_400 + look * 1_000_000, refused],
    ]).flat()])
    expect(effects.filter((effect) => effect.do === 'refund charge')).toHaveLength(6)
    expect(concerns).toEqual([{
      key: 'not reversed a', charge: 'a', amountMinor: 2500, currency: 'THB',
      reason: 'paid after the sale had ended (cancelled); the payment API refuses the refund: failed_refund',
    }])
  })

  test('that a charge of the wrong amount brought is not refunded by itself, and booked for what it is', () => {
    const { state, effects, entries } = play([...offered, [2_000, read(paidCharge('a', { amountMinor: 1, currency: 'SGD', feeMinor: 0, feeVatMinor: 0 }))]])
    expect(state.phase).toBe('exception')
    expect(effects.map((effect) => effect.do)).toEqual(['create charge', 'read code'])
    expect(entries).toMatchObject([{ currency: 'SGD', lines: [{ minor: 1 }, { minor: 0 }, { minor: -1 }] }])
  })

  test.each([{ status: 'reversed', paid: true }, { status: 'successful', paid: false }])('is none when the charge is %j', (seen) => {
    const { state, effects } = play(closed)
    expect(play([[9_000, swept(charge('a', seen))]], state)).toMatchObject({ state, effects: [], entries: [] })
    expect(effects.at(-1)).toEqual({ do: 'expire charge', charge: 'a' })
  })

  test('that went back stays as it was said, whatever is listed later', () => {
    const { state } = play([...late, [9_400, listed('a')], [9_900, made('r')]])
    const again = play([[20_000, listed('a', refund('r'))], [20_001, refused], [20_002, { type: 'refund unanswered', charge: 'a' }], [900_000, 'nothing']], state)
    expect(again).toMatchObject({ state, effects: [], words: [] })
  })

  test('in another currency goes back, at the desk, in that currency', () => {
    const { entries } = play([
      ...offered, [2_000, read(paidCharge('a', { currency: 'SGD' }))], [60_000, swept(paidCharge('a', { currency: 'SGD', refundedMinor: 2_500 }))],
      [60_300, listed('a', refund('desk'))],
    ])
    expect(entries.map(({ key, currency }) => `${key} ${currency}`)).toEqual(['late payment a SGD', 'refund desk SGD'])
  })

  test('a charge of the wrong amount that can still be paid is closed when it is found out', () => {
    const { effects } = play([...offered, [2_000, read(charge('a', { amountMinor: 1 }))]])
    expect(effects.at(-1)).toEqual({ do: 'expire orphan', charge: 'a' })
  })

  test.each(['none', 'intent', 'bound'] as const)('is nothing that a lost answer about refunds could bring up: %s', (phase) => {
    const begun = { none: [], intent: offered.slice(0, 1), bound: offered }[phase]
    const { state } = play(begun)
    for (const answer of [listed('a', refund('r')), made('r'), refused]) {
      const { entries, effects, state: after } = play([[2_600, answer]], state)
      expect({ entries, effects, after }).toEqual({ entries: [], effects: [], after: state })
    }
  })
})

describe('whatever happens, in any order', () => {
  const moves = fc.tuple(
    fc.constantFrom<Move>('open', 'open', 'open', 'ask', 'close', 'sweeper'), fc.array(fc.constantFrom<Move>(...MOVES), { maxLength: 120, size: 'max' }),
  ).map(([first, more]) => [first, ...more])
  const chances = fc.infiniteStream(fc.nat(1_000_000))

  test('an evening with lost words, late answers, restarts, backups and customers keeps every promise, ends, and is in the books', async () => {
    await fc.assert(fc.asyncProperty(moves, chances, async (script, chance) => {
      const { broken, story, ledger, truth } = evening(script, chance)
      expect(broken, story.join('\n')).toEqual([])
      const replayed = await replay(ledger)
      const minor = (of: Account): number => (replayed.ok ? replayed.balances.find(({ account }) => account === of)?.minor ?? 0 : NaN)
      expect({ receivableMinor: minor('receivable'), feesMinor: minor('fees'), lateMinor: minor('late'), refundsMinor: minor('refunds') }, story.join('\n'))
        .toEqual(truth)
    }), { numRuns: 5_000 })
  })

  test('any event in any phase, with anything in it, gives at most one offered charge, one ending and one payment of the sale', () => {
    const seen = fc.record({
      id: fc.constantFrom('a', 'b'), status: fc.constantFrom('pending', 'successful', 'failed', 'expired', 'reversed', 'odd'), paid: fc.boolean(),
      amountMinor: fc.constantFrom(2500, 2500, 2500, 1), livemode: fc.constantFrom(false, false, false, true),
      refundedMinor: fc.constantFrom(0, 0, 1_000, 2_500),
    }).map((changed) => charge(changed.id, changed))
    const refunds = fc.uniqueArray(fc.record({ id: fc.constantFrom('r', 's'), amountMinor: fc.constantFrom(1_000, 1_500, 2_500), voided: fc.boolean() }), {
      maxLength: 2, selector: ({ id }) => id,
    })
    const event: fc.Arbitrary<Event | 'restarted'> = fc.oneof(
      seen.map((it): Event => ({ type: 'charge created', charge: it })), seen.map(read), seen.map(swept),
      fc.uniqueArray(seen, { maxLength: 2, selector: ({ id }) => id }).map((all) => found(...all)),
      fc.tuple(fc.constantFrom('a', 'b'), refunds).map(([id, all]) => listed(id, ...all)),
      fc.constantFrom<Event | 'restarted'>(
        opened(), askedAfter(), askedAfter(null), closeAsked(), { ...goodsInDoubt(), showing: null } as Event, codeRead, hint, forgot, 'restarted', { type: 'create refused', code: 'no' },
        { type: 'create unanswered' }, { type: 'find unanswered' }, { type: 'code unreadable', because: 'odd' }, { type: 'code unanswered' },
        { type: 'expire refused' }, { type: 'charge unanswered' }, made('r'), made('s', 1_500), refused,
        { type: 'refunds unanswered', charge: 'a' }, { type: 'refund unanswered', charge: 'b' }, { type: 'dispute seen', charge: 'a' },
      ),
    )
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(10_000), event), { maxLength: 40, size: 'max' }), (script) => {
      let atMs = 0
      const lines = script.map(([pauseMs, what]): Line => { atMs += pauseMs; return [atMs, what] })
      const { words, entries, effects, transcript } = play(lines)
      const verdicts = words.flatMap((word) => (word.type === 'sale.verdict' ? [word] : []))
      const keys = new Set(entries.map(({ key }) => key))
      expect(new Set(words.flatMap((word) => (word.type === 'sale.offer' ? [word.charge] : []))).size, transcript).toBeLessThanOrEqual(1)
      expect(new Set(verdicts.map(({ ending }) => JSON.stringify(ending))).size, transcript).toBeLessThanOrEqual(1)
      expect(verdicts.every(({ ending }) => ending.outcome === 'paid' || ending.reason !== ''), transcript).toBe(true)
      expect([...keys].filter((key) => key.startsWith('sale paid ')).length, transcript).toBeLessThanOrEqual(1)
      for (const id of ['a', 'b']) expect(keys.has(`sale paid ${id}`) && keys.has(`late payment ${id}`), transcript).toBe(false)
      for (const { lines: posted } of entries) expect(posted.reduce((sum, { minor }) => sum + minor, 0)).toBe(0)
      expect(effects.every((effect) => effect.do !== 'refund charge' || (effect.amountMinor > 0 && effect.amountMinor <= 2_500)), transcript).toBe(true)
      const firstVerdict = words.findIndex(({ type }) => type === 'sale.verdict')
      if (firstVerdict >= 0) expect(words.slice(firstVerdict).every(({ type }) => type !== 'sale.offer'), transcript).toBe(true)
    }), { numRuns: 3_000 })
  })

  test('the story counts from the same moment everywhere', () => {
    expect(play([[0, opened()]]).state).toMatchObject({ since: START, retryAt: START + 6_000 + terms.pollMs })
  })
})
