import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ACCOUNTS, type Balance, chain, closeOfDay, decidedByHand, EMPTY, type Entry, latePayment, type Posted, refunded, replay, salePaid,
} from '../../cloud/ledger.js'
import { order, START } from './charge-story.js'

const taken = { id: 'chrg_a', amountMinor: 150_000, currency: 'THB', feeMinor: 2_475, feeVatMinor: 173 }

describe('an entry', () => {
  test('of a paid sale: what the API owes us, what it cost, what was sold', () => {
    expect(salePaid(order, taken)).toEqual({
      key: 'sale paid chrg_a', sale: order.sale, currency: 'THB',
      lines: [{ account: 'receivable', minor: 147_352 }, { account: 'fees', minor: 2_648 }, { account: 'sales', minor: -150_000 }],
    })
  })

  test('of money that came too late stands apart from sales: it is not ours', () => {
    expect(latePayment(order, taken)).toEqual({
      key: 'late payment chrg_a', sale: order.sale, currency: 'THB',
      lines: [{ account: 'receivable', minor: 147_352 }, { account: 'fees', minor: 2_648 }, { account: 'late', minor: -150_000 }],
    })
  })

  test.each([['sale', 'refunds'], ['late money', 'late']] as const)('of a refund of a %s is taken from %s, and the API owes us that much less', (of, account) => {
    expect(refunded(order, of, 'THB', { id: 'rfnd_a', amountMinor: 2_500 })).toEqual({
      key: 'refund rfnd_a', sale: order.sale, currency: 'THB', lines: [{ account, minor: 2_500 }, { account: 'receivable', minor: -2_500 }],
    })
  })

  test.each([['kept', 'sales'], ['returned', 'outside']] as const)('of money that a person %s leaves nothing of it in late', (what, account) => {
    const decided = decidedByHand(what, { concern: 'not reversed chrg_a', sale: order.sale, currency: 'THB', amountMinor: 150_000 })
    expect(decided.lines).toEqual([{ account: 'late', minor: 150_000 }, { account, minor: -150_000 }])
    expect(decided.key).toBe(`${what} by hand not reversed chrg_a`)
  })

  test('sums to zero in whole minor units, whatever it is about', () => {
    const charge = fc.record({
      id: fc.string(), currency: fc.constant('THB'), amountMinor: fc.integer({ min: 1, max: 999_999_999 }),
      feeMinor: fc.nat(999_999_999), feeVatMinor: fc.nat(999_999_999),
    })
    fc.assert(fc.property(charge, fc.constantFrom(salePaid, latePayment), (seen, post) => {
      const { lines } = post(order, seen)
      expect(lines.reduce((sum, { minor }) => sum + minor, 0)).toBe(0)
      expect(lines.every(({ minor }) => Number.isSafeInteger(minor))).toBe(true)
    }))
  })

  test.each([0.5, NaN, 2 ** 53])('is not made of a fee of %d, which is no money', (feeMinor) => {
    expect(() => salePaid(order, { ...taken, feeMinor })).toThrow('is not in whole minor units')
  })

  test('of one charge has a key of its own', () => {
    const keys = [salePaid(order, taken), salePaid(order, { ...taken, id: 'chrg_b' }), latePayment(order, taken), refunded(order, 'sale', 'THB', taken)]
    expect(new Set(keys.map(({ key }) => key)).size).toBe(4)
  })
})

/* -- Any ledger: a day of some terminals, in two currencies ------------------------------------------------------------ */

interface Happened {
  readonly what: 'paid' | 'late' | 'refund' | 'late refund' | 'kept'
  readonly terminal: string
  readonly currency: string
  readonly amountMinor: number
  readonly pauseMs: number
}

const happened = fc.record<Happened>({
  what: fc.constantFrom('paid', 'late', 'refund', 'late refund', 'kept'), terminal: fc.constantFrom('T-1', 'T-2', 'T-10'),
  currency: fc.constantFrom('THB', 'SGD'), amountMinor: fc.integer({ min: 1, max: 999_999_999 }), pauseMs: fc.integer({ min: -5_000, max: 5_000 }),
})

function entryOf({ what, currency, amountMinor }: Happened, index: number): Entry {
  const of = { ...order, sale: `sale-${index}` }
  const charge = { id: `c${index}`, currency, amountMinor, feeMinor: Math.floor(amountMinor / 50), feeVatMinor: 1 }
  switch (what) {
    case 'paid':        return salePaid(of, charge)
    case 'late':        return latePayment(of, charge)
    case 'refund':      return refunded(of, 'sale', currency, charge)
    case 'late refund': return refunded(of, 'late money', currency, charge)
    case 'kept':        return decidedByHand('kept', { concern: `c${index}`, sale: of.sale, currency, amountMinor })
  }
}

function ledgerOf(day: readonly Happened[]): readonly Posted[] {
  const posted: Posted[] = []
  let at = START
  day.forEach((it, index) => {
    at += it.pauseMs // Wall clocks go back, too.
    posted.push(chain(posted.at(-1) ?? EMPTY, entryOf(it, index), it.terminal, at))
  })
  return posted
}

const ledgers = (minLength: number) => fc.array(happened, { minLength, maxLength: 12 }).map(ledgerOf)
const shortened = ({ minor, ...of }: Balance): string => `${of.terminal} ${of.currency} ${of.account} ${minor}`

describe('a replay of the ledger', () => {
  test('gives the sums of its lines, by terminal, currency and account', async () => {
    await fc.assert(fc.asyncProperty(ledgers(0), async (ledger) => {
      const replayed = await replay(ledger)
      const sums = new Map<string, number>()
      for (const { terminal, currency, lines } of ledger) {
        for (const { account, minor } of lines) sums.set(`${terminal} ${currency} ${account}`, (sums.get(`${terminal} ${currency} ${account}`) ?? 0) + minor)
      }
      expect(replayed.ok && replayed.balances.map(shortened).sort()).toEqual([...sums].map(([of, minor]) => `${of} ${minor}`).sort())
      expect(replayed.ok && replayed.head).toEqual(ledger.length === 0 ? EMPTY : { seq: ledger.length, at: ledger.at(-1)?.at, hash: ledger.at(-1)?.hash })
      expect(replayed.ok && replayed.balances.reduce((sum, { minor }) => sum + minor, 0)).toBe(0)
    }))
  })

  test('has every entry dated no earlier than the one before it, whatever the clock did', () => {
    fc.assert(fc.property(ledgers(2), (ledger) => {
      expect(ledger.map(({ at }) => at)).toEqual([...ledger.map(({ at }) => at)].sort((a, b) => a - b))
    }))
  })

  const other = (value: unknown): unknown => (typeof value === 'number' ? value + 1 : `${String(value)}'`)

  test('finds any field of any entry that was changed, and says where', async () => {
    const fields = ['seq', 'key', 'sale', 'terminal', 'currency', 'at', 'hash'] as const
    await fc.assert(fc.asyncProperty(ledgers(1), fc.nat(), fc.constantFrom(...fields), async (ledger, where, field) => {
      const at = where % ledger.length
      const replayed = await replay(ledger.map((it, index) => (index === at ? { ...it, [field]: other(it[field]) } : it)))
      // A hash that was changed is found there, or by the entry that follows it.
      expect(replayed.ok).toBe(false)
      expect(!replayed.ok && [at + 1, at + 2]).toContain(replayed.ok ? 0 : replayed.seq)
    }))
  })

  test('finds any line that was changed, added, left out or moved, even when the lines still sum to zero', async () => {
    await fc.assert(fc.asyncProperty(ledgers(1), fc.nat(), fc.nat(4), async (ledger, where, how) => {
      const at = where % ledger.length
      const tampered = ledger.map((it, index) => (index === at ? { ...it, lines: tamperedLines(it.lines, how) } : it))
      expect(await replay(tampered)).toEqual({ ok: false, seq: at + 1, fault: 'is not as it was written' })
    }))
  })

  function tamperedLines(lines: Entry['lines'], how: number): Entry['lines'] {
    const [first, second, ...rest] = lines
    if (first === undefined || second === undefined) throw new Error('an entry has two lines at least')
    switch (how) {
      case 0:  return [{ ...first, minor: first.minor + 1 }, { ...second, minor: second.minor - 1 }, ...rest]
      case 1:  return [...lines, { account: 'outside', minor: 0 }]
      case 2:  return lines.slice(1)
      case 3:  return [second, first, ...rest]
      default: return [{ ...first, account: ACCOUNTS[(ACCOUNTS.indexOf(first.account) + 1) % ACCOUNTS.length] ?? 'outside' }, second, ...rest]
    }
  }

  test('finds an entry that was written anew with a hash of its own: whoever does that must write anew all that follow', async () => {
    await fc.assert(fc.asyncProperty(ledgers(2), fc.nat(), async (ledger, where) => {
      const at = where % (ledger.length - 1)
      const written = ledger[at]
      if (written === undefined) throw new Error('nothing there')
      const anew = chain(ledger[at - 1] ?? EMPTY, { ...written, key: `${written.key}'` }, written.terminal, written.at)
      expect(await replay(ledger.map((it, index) => (index === at ? anew : it)))).toEqual({ ok: false, seq: at + 2, fault: 'is not as it was written' })
    }))
  })

  test('finds any entry that was taken out, unless it was the last', async () => {
    await fc.assert(fc.asyncProperty(ledgers(2), fc.nat(), async (ledger, where) => {
      const at = where % (ledger.length - 1)
      expect((await replay(ledger.filter((_, index) => index !== at))).ok).toBe(false)
    }))
  })

  test('finds any two entries that changed places', async () => {
    await fc.assert(fc.asyncProperty(ledgers(2), fc.nat(), fc.nat(), async (ledger, one, two) => {
      const a = one % ledger.length
      const b = (a + 1 + two % (ledger.length - 1)) % ledger.length
      const swapped = ledger.map((it, index) => ledger[index === a ? b : index === b ? a : index] ?? it)
      expect((await replay(swapped)).ok).toBe(false)
    }))
  })

  test('finds what was chained anew with a lie in it: a sum, a second posting, a second payment of one sale', async () => {
    const head = chain(EMPTY, salePaid(order, taken), 'T-1', START)
    const lies: readonly [Entry, string][] = [
      [{ ...salePaid(order, { ...taken, id: 'chrg_b' }), lines: [{ account: 'sales', minor: -1 }] }, 'does not sum to zero: -1'],
      [{ ...latePayment(order, taken), lines: [{ account: 'late', minor: 0.5 }, { account: 'sales', minor: -0.5 }] }, 'is not in whole minor units'],
      [latePayment(order, { ...taken, id: 'a' }), 'is a second "late payment a"'],
      [salePaid(order, { ...taken, id: 'chrg_b' }), `is a second payment posted as sale ${order.sale}`],
    ]
    for (const [lie, fault] of lies) {
      const first = chain(head, latePayment(order, { ...taken, id: 'a' }), 'T-1', START)
      const next = chain(first, lie, 'T-1', START)
      expect(await replay([head, first, next])).toEqual({ ok: false, seq: 3, fault })
    }
    const apart = chain({ ...head, seq: 2 }, latePayment(order, taken), 'T-1', START)
    expect(await replay([head, apart])).toEqual({ ok: false, seq: 3, fault: 'follows entry 1' })
    const dated = chain({ ...head, at: START - 1 }, latePayment(order, taken), 'T-1', START - 1)
    expect(await replay([head, dated])).toEqual({ ok: false, seq: 2, fault: 'is dated before the entry it follows' })
  })
})

describe('the closes of a day', () => {
  test('have a line for each terminal and currency, with what was sold, given back, paid in fees and is owed', () => {
    const ledger = ledgerOf([
      { what: 'paid', terminal: 'T-2', currency: 'THB', amountMinor: 2_500, pauseMs: 0 },
      { what: 'paid', terminal: 'T-1', currency: 'THB', amountMinor: 10_000, pauseMs: 0 },
      { what: 'paid', terminal: 'T-1', currency: 'THB', amountMinor: 5_000, pauseMs: 0 },
      { what: 'refund', terminal: 'T-1', currency: 'THB', amountMinor: 1_000, pauseMs: 0 },
      { what: 'late', terminal: 'T-1', currency: 'THB', amountMinor: 2_000, pauseMs: 0 },
      { what: 'late refund', terminal: 'T-1', currency: 'THB', amountMinor: 1_500, pauseMs: 0 },
    ])
    expect(closeOfDay(ledger)).toEqual([
      {
        terminal: 'T-1', currency: 'THB', sales: 2, salesMinor: 15_000, refundsMinor: 1_000, feesMinor: 200 + 1 + 100 + 1 + 40 + 1,
        lateMinor: 2_000, reversedMinor: 1_500, receivableMinor: 15_000 + 2_000 - 343 - 1_000 - 1_500,
      },
      {
        terminal: 'T-2', currency: 'THB', sales: 1, salesMinor: 2_500, refundsMinor: 0, feesMinor: 51,
        lateMinor: 0, reversedMinor: 0, receivableMinor: 2_449,
      },
    ])
  })

  test('cut the ledger into pieces that add up to its balances, wherever they cut', async () => {
    await fc.assert(fc.asyncProperty(ledgers(0), fc.array(fc.nat(12)), async (ledger, cuts) => {
      const edges = [0, ...[...new Set(cuts)].sort((a, b) => a - b), ledger.length].filter((edge) => edge <= ledger.length)
      const closes = edges.slice(1).flatMap((edge, index) => closeOfDay(ledger.slice(edges[index], edge)))
      const replayed = await replay(ledger)
      for (const { terminal, currency, account, minor } of replayed.ok ? replayed.balances : []) {
        const sum = closes.filter((close) => close.terminal === terminal && close.currency === currency).reduce((total, close) => total + {
          receivable: close.receivableMinor, sales: -close.salesMinor, refunds: close.refundsMinor, fees: close.feesMinor,
          late: close.reversedMinor - close.lateMinor, outside: 0,
        }[account], 0)
        expect(`${terminal} ${currency} ${account} ${sum}`).toBe(`${terminal} ${currency} ${account} ${minor}`)
      }
      expect(closes.reduce((sum, { sales }) => sum + sales, 0)).toBe(ledger.filter(({ key }) => key.startsWith('sale paid')).length)
    }))
  })
})
