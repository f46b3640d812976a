import { describe, expect, test } from 'vitest'
import { audit, type Facts } from './audit.js'

const OK = 'OK 25.00 sale-1 chrg_1'
const line = (account: string, minor: number) => ({ account, minor })

/** An evening at two counters: one sale paid at a register, one not paid, one paid too late and given back. */
const evening: Facts = {
  charges: [
    { id: 'chrg_1', sale: 'sale-1', status: 'successful', amount: 2_500, refunded_amount: 0 },
    { id: 'chrg_2', sale: 'sale-2', status: 'expired', amount: 4_000, refunded_amount: 0 },
    { id: 'chrg_3', sale: 'sale-3', status: 'successful', amount: 6_000, refunded_amount: 6_000 },
  ],
  entries: [
    { key: 'sale paid chrg_1', sale: 'sale-1', lines: [line('receivable', 2_400), line('fees', 100), line('sales', -2_500)] },
    { key: 'late payment chrg_3', sale: 'sale-3', lines: [line('receivable', 6_000), line('late', -6_000)] },
    { key: 'refund rfnd_1', sale: 'sale-3', lines: [line('late', 6_000), line('receivable', -6_000)] },
  ],
  ledgerFault: undefined,
  open: [],
  exceptions: [],
  opened: [{ terminal: 'T-1', sale: 'sale-1' }, { terminal: 'T-2', sale: 'sale-2' }, { terminal: 'T-2', sale: 'sale-3' }],
  words: [
    { terminal: 'T-1', sale: 'sale-1', outcome: 'paid', charge: 'chrg_1' },
    { terminal: 'T-2', sale: 'sale-2', outcome: 'unpaid', charge: 'chrg_2' },
    { terminal: 'T-2', sale: 'sale-3', outcome: 'unpaid', charge: 'chrg_3' },
  ],
  codes: [{ terminal: 'T-1', code: undefined }, { terminal: 'T-2', code: undefined }],
  answers: new Map([['T-1', ['NO busy with another sale', OK]]]),
}

const [paid, closed, reversed] = evening.charges
const [entry, late, refund] = evening.entries
const [word, ...otherWords] = evening.words
/** As the bank shows it before it went back. */
const kept = { ...reversed!, refunded_amount: 0 }

const planted: readonly (readonly [what: string, changed: Partial<Facts>, said: readonly string[]])[] = [
  ['a charge that can still be paid', { charges: [paid!, { ...closed!, status: 'pending' }, reversed!] }, ['I4']],
  ['a sale the gateway still waits for', { open: ['sale-2'] }, ['I10']],
  ['a code left on a panel', { codes: [{ terminal: 'T-1', code: 'https://qr.example/1' }] }, ['D1']],
  ['a terminal that changed its word', { words: [...evening.words, { ...word!, outcome: 'unpaid' }] }, ['R1']],
  ['a sale that was forgotten', { opened: [...evening.opened, { terminal: 'T-1', sale: 'sale-4' }] }, ['I10']],
  ['a customer who paid twice', { charges: [...evening.charges, { ...paid!, id: 'chrg_4' }] }, ['I2', 'I9']],
  ['PAID without money', { charges: [{ ...paid!, status: 'expired' }, closed!, reversed!] }, ['I4', 'I9', 'R1']],
  ['PAID with another charge', { words: [{ ...word!, charge: 'chrg_9' }, ...otherWords] }, ['I2']],
  ['late money that was kept', { charges: [paid!, closed!, kept], entries: [entry!, late!] }, ['I5']],
  ['a payment nobody was told of', { words: otherWords }, ['I5']],
  ['a payment that is not in the ledger', { entries: [late!, refund!] }, ['I9']],
  ['a payment posted with another amount', { entries: [{ ...entry!, lines: late!.lines }, late!, refund!] }, ['I9']],
  ['an entry that does not sum to zero', { entries: [{ ...entry!, lines: entry!.lines.slice(1) }, late!, refund!] }, ['I9']],
  ['an entry without money', { charges: [closed!, reversed!], words: otherWords, answers: new Map(), opened: [] }, ['I9']],
  ['a refund that is not in the ledger', { entries: [entry!, late!] }, ['I9']],
  ['a ledger that does not verify', { ledgerFault: 'entry 2 is not as it was written' }, ['I9']],
  ['an entry that is there twice', { entries: [...evening.entries, entry!] }, ['I9']],
  ['a register that heard OK for nothing', { answers: new Map([['T-1', [OK, 'OK 40.00 sale-2 chrg_2']]]) }, ['R1']],
  ['a register that heard another amount', { answers: new Map([['T-1', ['OK 52.00 sale-1 chrg_1']]]) }, ['R1']],
  ['a register that never heard', { answers: new Map([['T-1', ['NO expired']]]) }, ['R1']],
]

describe('the auditor', () => {
  test('has nothing to say of an evening on which all agree', () => {
    expect(audit(evening)).toEqual([])
  })

  test('leaves late money to the person who was asked to look at it', () => {
    const exceptions = [{ sale: 'sale-3', charge: 'chrg_3' }]
    expect(audit({ ...evening, charges: [paid!, closed!, kept], entries: [entry!, late!], exceptions })).toEqual([])
  })

  test.each(planted)('finds %s', (_what, changed, said) => {
    expect([...new Set(audit({ ...evening, ...changed }).map(({ invariant }) => invariant))].sort()).toEqual([...said].sort())
  })
})
