import fc from 'fast-check'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { deadline, type Event, LOOKS_MAX, type Word } from '../../cloud/charge.js'
import { evening, type Move, MOVES } from './charge-evening.js'
import {
  askedAfter, charge, closeAsked, CODE, codeRead, created, expiredCharge, failedCharge, type Line, moment, opened, order, paidCharge, play,
  read, START, terms,
} from './charge-story.js'

const folder = join(import.meta.dirname, 'charge.transcripts')
const hint: Event = { type: 'hint received' }
const find = (...charges: Extract<Event, { type: 'charges found' }>['charges']): Event => ({ type: 'charges found', charges })

/** The usual beginning: asked, created, offered. */
const offered: readonly Line[] = [[0, opened()], [400, created('a')], [700, codeRead]]

const stories: Readonly<Record<string, readonly Line[]>> = {
  'paid, told by a webhook': [...offered, [1_900, hint], [2_000, read(paidCharge('a'))], [9_000, 'nothing']],
  'paid, found by polling': [...offered, [2_750, read(charge('a'))], [5_300, read(charge('a'))], [8_200, read(paidCharge('a'))], [60_000, 'nothing']],
  'rejected by the wallet': [...offered, [2_000, hint], [2_100, read(failedCharge('a', 'payment_rejected'))]],
  'insufficient fund': [...offered, [2_000, hint], [2_100, read(failedCharge('a', 'insufficient_fund'))]],
  'failed processing': [...offered, [2_000, hint], [2_100, read(failedCharge('a', 'failed_processing'))]],
  'payment expired': [...offered, [2_000, hint], [2_100, read(failedCharge('a', 'payment_expired'))]],
  'a failure code nobody knows': [...offered, [2_000, hint], [2_100, read(failedCharge('a', 'wallet_on_holiday'))]],
  'a failure without a code': [...offered, [2_000, read(charge('a', { status: 'failed' }))]],
  'cancelled': [...offered, [1_000, closeAsked()], [1_300, read(expiredCharge('a'))], [30_000, 'nothing']],
  'cancel loses the race': [...offered, [1_000, closeAsked()], [1_300, { type: 'expire refused' }], [1_500, read(paidCharge('a'))]],
  'cancelled while the API is away': [
    ...offered, [1_000, closeAsked()], [1_900, { type: 'charge unanswered' }], [4_900, { type: 'charge unanswered' }], [7_300, read(expiredCharge('a'))],
  ],
  'expired, said by the terminal': [
    ...offered, [2_600, read(charge('a'))],
    [119_000, { type: 'close asked', terminal: 'T-1', order, request: 'close-1', reason: 'expired' }], [119_300, read(expiredCharge('a'))],
  ],
  'lease of a silent terminal': [...offered, [149_999, 'nothing'], [150_000, 'nothing'], [150_400, read(expiredCharge('a'))], [200_000, 'nothing']],
  'silent terminal, paid in the last second': [...offered, [150_000, 'nothing'], [150_100, { type: 'expire refused' }], [150_200, read(paidCharge('a'))]],
  'asked after its code ended': [...offered, [121_000, askedAfter('ask-9')], [121_300, read(expiredCharge('a'))]],
  'outside the limits of its method': [[0, { ...opened(), order: { ...order, amountMinor: 1_999 } } as Event], [5_000, opened('open-2')]],
  'create refused': [[0, opened()], [400, { type: 'create refused', code: 'invalid_charge' }], [1_000, opened('open-2')], [60_000, 'nothing']],
  'create answer lost, found': [[0, opened()], [900, { type: 'create unanswered' }], [2_000, find(charge('a'))], [2_300, codeRead]],
  'create answer lost, not found, first comes late': [
    [0, opened()], [900, { type: 'create unanswered' }], [2_000, find()], [2_400, created('b')], [2_500, created('a')], [2_600, codeRead], [3_000, askedAfter()],
  ],
  'create answer lost, found by a later look': [
    [0, opened()], [900, { type: 'create unanswered' }], [2_000, { type: 'find unanswered' }], [5_000, find(charge('a'))], [5_300, codeRead],
  ],
  'two creates lost': [
    [0, opened()], [900, { type: 'create unanswered' }], [2_000, find()], [3_000, { type: 'create unanswered' }], [4_100, find()], [9_000, 'nothing'],
  ],
  'two found': [[0, opened()], [900, { type: 'create unanswered' }], [2_000, find(charge('a'), charge('b'))], [2_300, codeRead]],
  'two found, the second is paid': [[0, askedAfter()], [500, find(charge('a'), paidCharge('b'))]],
  'cancelled while it is created': [[0, opened()], [200, closeAsked()], [400, created('a')], [700, read(expiredCharge('a'))]],
  'cancelled while its create is in doubt': [[0, opened()], [200, closeAsked()], [900, { type: 'create unanswered' }], [2_000, find()]],
  'close of an unknown sale': [[0, closeAsked()], [300, find()], [400, opened('open-late')], [30_000, 'nothing']],
  'close of an unknown sale that has a charge': [[0, closeAsked()], [300, find(charge('a'))], [600, read(expiredCharge('a'))], [700, opened('open-late')]],
  'question after an unknown sale that was paid': [[0, askedAfter()], [300, find(paidCharge('a'))]],
  'code unreadable': [
    [0, opened()], [400, created('a')], [700, { type: 'code unreadable', because: 'two codes' }], [1_000, read(expiredCharge('a'))],
  ],
  'code comes late': [[0, opened()], [400, created('a')], [700, { type: 'code unanswered' }], [3_600, codeRead]],
  'code comes after cancel': [[0, opened()], [400, created('a')], [500, closeAsked()], [600, codeRead], [900, read(expiredCharge('a'))]],
  'wrong amount': [[0, opened()], [400, created('a', { amountMinor: 250_000 })], [1_000, askedAfter()]],
  'wrong currency': [[0, opened()], [400, created('a', { currency: 'SGD' })]],
  'wrong livemode': [[0, opened()], [400, created('a', { livemode: true })]],
  'wrong amount when it is read': [...offered, [2_000, read(paidCharge('a', { amountMinor: 1 }))], [2_500, askedAfter()]],
  'paid after it was closed': [
    ...offered, [1_000, closeAsked()], [1_300, read(expiredCharge('a'))], [9_000, hint], [9_200, read(paidCharge('a'))],
    [9_900, hint], [9_950, read(paidCharge('a'))], [10_000, askedAfter()],
  ],
  'asked again and again': [...offered, [1_000, askedAfter('ask-1')], [1_100, askedAfter(null)], [2_000, read(paidCharge('a'))], [2_100, askedAfter('ask-2')]],
  'restart while creating': [[0, opened()], [300, 'restarted'], [600, find(charge('a'))], [900, codeRead]],
  'restart while creating, nothing was created': [[0, opened()], [300, 'restarted'], [600, find()], [900, created('b')]],
  'restart while offered': [...offered, [1_000, 'restarted'], [1_200, read(paidCharge('a'))]],
  'restart before the code was read': [[0, opened()], [400, created('a')], [500, 'restarted'], [900, codeRead]],
  'restart while closing': [...offered, [1_000, closeAsked()], [1_100, 'restarted'], [1_400, { type: 'expire refused' }], [1_600, read(expiredCharge('a'))]],
  'restart after the lease': [...offered, [1_000, 'nothing'], [900_000, 'restarted'], [900_300, read(charge('a'))], [900_700, read(expiredCharge('a'))]],
  'restart after the end': [...offered, [1_200, read(paidCharge('a'))], [2_000, 'restarted'], [3_000, askedAfter()]],
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

const outcomes = (words: readonly Word[]): readonly string[] => words.map((word) =>
  word.type === 'sale.offer' ? `offer ${word.charge}` : `${word.ending.outcome} ${'reason' in word.ending ? word.ending.reason : ''}`.trim())

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

describe('a list of charges that comes late', () => {
  const lost: readonly Line[] = [[0, opened()], [900, { type: 'create unanswered' }], [2_000, find()]]

  test('does not end a sale whose second create is on its way', () => {
    // Two looks were under way; the second answer is older than the create that the first one led to.
    const { state, words } = play([...lost, [2_100, find()], [2_500, created('b')], [2_800, codeRead]])
    expect(outcomes(words)).toEqual(['offer b'])
    expect(state.phase).toBe('bound')
  })

  test('has its other charges closed when one is bound already', () => {
    const { effects } = play([...lost, [2_500, created('b')], [2_600, find(charge('a'), charge('b'))]])
    expect(effects.filter(({ do: what }) => what === 'expire orphan')).toEqual([{ do: 'expire orphan', charge: 'a' }])
  })

  test('has its charge closed when the sale was closed without one', () => {
    const { effects, words } = play([[0, opened()], [200, closeAsked()], [900, { type: 'create unanswered' }], [2_000, find()], [2_100, find(charge('a'))]])
    expect(outcomes(words)).toEqual(['unpaid cancelled'])
    expect(effects.at(-1)).toEqual({ do: 'expire orphan', charge: 'a' })
  })
})

describe('money that came for a sale that had ended', () => {
  const closedSale: readonly Line[] = [...offered, [1_000, closeAsked()], [1_300, read(expiredCharge('a'))]]

  test('is posted as late, once, and a person must look', () => {
    const { state, entries } = play([...closedSale, [9_000, hint], [9_100, read(paidCharge('a'))], [9_200, read(paidCharge('a'))]])
    expect(state).toMatchObject({ phase: 'exception', reason: 'paid after it was closed (cancelled)' })
    expect(entries).toEqual([{
      key: 'late payment a', sale: order.sale, currency: 'THB',
      lines: [{ account: 'receivable', minor: 2456 }, { account: 'fees', minor: 44 }, { account: 'late', minor: -2500 }],
    }])
  })

  test('is found although the API could not be read when the hint came: it is read again, and not only once', () => {
    const unanswered: Event = { type: 'charge unanswered' }
    const early = play([...closedSale, [9_000, hint], [9_100, unanswered], [12_500, unanswered], [18_500, unanswered]])
    expect(early.effects.filter((effect) => effect.do === 'read charge')).toHaveLength(3)
    const { state, entries } = play([[30_000, read(paidCharge('a'))]], early.state)
    expect(state).toMatchObject({ phase: 'exception', reason: 'paid after it was closed (cancelled)' })
    expect(entries).toHaveLength(1)
  })

  test('is looked for after a restart too, and no more once the charge was read', () => {
    const asleep = play([...closedSale, [9_000, hint]])
    const awake = play([[60_000, 'restarted'], [60_001, 'nothing'], [60_100, read(expiredCharge('a'))], [90_000_000, 'nothing']], asleep.state)
    expect(awake.effects).toEqual([{ do: 'read charge', charge: 'a' }])
    expect(deadline(awake.state)).toBeUndefined()
  })

  test('is not looked for without end when nobody ever answers', () => {
    const { state, effects } = play([...closedSale, [9_000, hint], [90_000_000, 'nothing']])
    expect(effects.filter((effect) => effect.do === 'read charge')).toHaveLength(LOOKS_MAX)
    expect(deadline(state)).toBeUndefined()
  })

  test('does not change what the terminal was told', () => {
    const { words } = play([...closedSale, [9_100, read(paidCharge('a'))], [9_300, askedAfter('ask-9')]])
    expect(outcomes(words)).toEqual(['offer a', 'unpaid cancelled', 'unpaid cancelled'])
  })

  test('money that went back before we read the charge is not said to be paid', () => {
    const { state, words, entries } = play([...offered, [2_000, read(paidCharge('a', { refundedMinor: 2500 }))]])
    expect(state).toMatchObject({ phase: 'exception', reason: 'paid, and 2500 of it went back before it was read' })
    expect(outcomes(words)).toEqual(['offer a', 'unpaid needs attention'])
    expect(entries).toEqual([])
  })

  test('a charge of the wrong amount that can still be paid is closed when it is found out', () => {
    const { effects } = play([...offered, [2_000, read(charge('a', { amountMinor: 1 }))]])
    expect(effects.at(-1)).toEqual({ do: 'expire orphan', charge: 'a' })
  })
})

describe('whatever happens, in any order', () => {
  const moves = fc.tuple(
    fc.constantFrom<Move>('open', 'open', 'open', 'ask', 'close'), fc.array(fc.constantFrom<Move>(...MOVES), { maxLength: 120, size: 'max' }),
  ).map(([first, more]) => [first, ...more])
  const chances = fc.infiniteStream(fc.nat(1_000_000))

  test('an evening with lost words, late answers, restarts and customers keeps every promise, and ends', () => {
    fc.assert(fc.property(moves, chances, (script, chance) => {
      const { broken, story } = evening(script, chance)
      expect(broken, story.join('\n')).toEqual([])
    }), { numRuns: 3_000 })
  })

  test('any event in any phase, with anything in it, gives at most one offered charge and one ending', () => {
    const seen = fc.record({
      id: fc.constantFrom('a', 'b'), status: fc.constantFrom('pending', 'successful', 'failed', 'expired', 'reversed', 'odd'), paid: fc.boolean(),
      amountMinor: fc.constantFrom(2500, 2500, 2500, 1), livemode: fc.constantFrom(false, false, false, true),
    }).map((changed) => charge(changed.id, changed))
    const event: fc.Arbitrary<Event | 'restarted'> = fc.oneof(
      seen.map((it): Event => ({ type: 'charge created', charge: it })), seen.map(read), fc.uniqueArray(seen, { maxLength: 2, selector: ({ id }) => id }).map((all) => find(...all)),
      fc.constantFrom<Event | 'restarted'>(
        opened(), askedAfter(), askedAfter(null), closeAsked(), codeRead, hint, 'restarted', { type: 'create refused', code: 'no' },
        { type: 'create unanswered' }, { type: 'find unanswered' }, { type: 'code unreadable', because: 'odd' }, { type: 'code unanswered' },
        { type: 'expire refused' }, { type: 'charge unanswered' },
      ),
    )
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(10_000), event), { maxLength: 40, size: 'max' }), (script) => {
      let atMs = 0
      const lines = script.map(([pauseMs, what]): Line => { atMs += pauseMs; return [atMs, what] })
      const { words, entries, transcript } = play(lines)
      const offers = new Set(words.flatMap((word) => (word.type === 'sale.offer' ? [word.charge] : [])))
      const endings = new Set(words.flatMap((word) => (word.type === 'sale.verdict' ? [JSON.stringify(word.ending)] : [])))
      expect(offers.size, transcript).toBeLessThanOrEqual(1)
      expect(endings.size, transcript).toBeLessThanOrEqual(1)
      expect(words.every((word) => word.type === 'sale.offer' || word.ending.outcome === 'paid' || word.ending.reason !== ''), transcript).toBe(true)
      expect(new Set(entries.map(({ key }) => key)).size, transcript).toBe(entries.length)
      for (const { lines: posted } of entries) expect(posted.reduce((sum, { minor }) => sum + minor, 0)).toBe(0)
      const firstVerdict = words.findIndex(({ type }) => type === 'sale.verdict')
      if (firstVerdict >= 0) expect(words.slice(firstVerdict).every(({ type }) => type === 'sale.verdict'), transcript).toBe(true)
    }), { numRuns: 3_000 })
  })

  test('the story counts from the same moment everywhere', () => {
    expect(play([[0, opened()]]).state).toMatchObject({ since: START, retryAt: START + 6_000 + terms.pollMs })
  })
})
