/** What any journal promises a terminal that loses its power at any moment. */
import { describe, expect, test } from 'vitest'
import type { Journal } from '../../device/journal.js'
import type { Recorded } from '../../device/sale.js'

const sale = {
  id: '01931e7c-0000-7000-8000-000000000001', nonce: '0'.repeat(32), amount: { minor: 2_500, currency: 'THB' }, method: 'alipayplus_mpm',
  askedBy: 'register',
} as const
const offer = { charge: 'chrg_1', payload: 'https://order.example/1', counter: 7 }
const verdict = { ending: { outcome: 'paid', paidAt: '2026-01-01T00:00:00Z' }, charge: 'chrg_1' } as const
const evening: readonly Recorded[] = [
  { phase: 'opening', sale }, { phase: 'presenting', sale, offer }, { phase: 'resolving', sale, doubt: 'restarted', offer },
  { phase: 'settled', sale, verdict, told: false }, { phase: 'settled', sale, verdict, told: true }, { phase: 'idle' },
]

export interface JournalUnderTest {
  /** As a new process does, on what the last one left. */
  open(): Journal
  /** The log that stands on the medium is no journal any more; or nothing on it is. */
  damage(what: 'log' | 'everything'): void
}

export function journalConformance(name: string, prepare: () => JournalUnderTest): void {
  describe(`${name}, as every journal,`, () => {
    test('begins idle', () => {
      const journal = prepare().open()
      expect(journal.last()).toEqual({ phase: 'idle' })
      expect(journal.damaged).toBeUndefined()
      journal.close()
    })

    test('gives back what was recorded last, in this life and in the next', () => {
      const medium = prepare()
      for (const recorded of evening) {
        const journal = medium.open()
        journal.record(recorded, 1)
        expect(journal.last()).toEqual(recorded)
        journal.close()
        const next = medium.open()
        expect(next.last()).toEqual(recorded)
        next.close()
      }
    })

    test('knows each boot by a larger number', () => {
      const medium = prepare()
      const epochs = [1, 2, 3].map(() => {
        const journal = medium.open()
        journal.close()
        return journal.epoch
      })
      expect(epochs).toEqual([1, 2, 3])
    })

    test('knows whether it remembers anything of earlier boots', () => {
      const medium = prepare()
      for (const [forgot, recorded] of [[true, undefined], [true, evening[0]], [false, undefined]] as const) {
        const journal = medium.open()
        expect(journal.forgot).toBe(forgot)
        if (recorded !== undefined) journal.record(recorded, 1)
        journal.close()
      }
    })

    test.each([['log', evening[1], false], ['everything', { phase: 'idle' }, true]] as const)(
      'whose %s is damaged is kept aside and said to be so, once', (what, remembered, forgot) => {
        const medium = prepare()
        const journal = medium.open()
        journal.record({ phase: 'presenting', sale, offer }, 1)
        journal.close()
        medium.damage(what)
        const fresh = medium.open()
        expect(fresh.damaged).toBeDefined()
        expect(fresh.forgot).toBe(forgot)
        expect(fresh.last()).toEqual(remembered)
        fresh.record({ phase: 'opening', sale }, 2)
        fresh.close()
        const after = medium.open()
        expect(after.damaged).toBeUndefined()
        expect(after.last()).toEqual({ phase: 'opening', sale })
        after.close()
      })
  })
}
