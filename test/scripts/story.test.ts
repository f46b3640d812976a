import { describe, expect, test } from 'vitest'
import { createStory } from '../../scripts/story.js'
import type { LogRecord, ProgramName } from '../../scripts/workbench.js'

const record = (program: ProgramName, msg: string, fields: LogRecord['fields'] = {}): LogRecord => ({ program, msg, fields, time: 1_000 })

/** 'Terminal -> Panel: text (tone)' for each record that says something. */
function told(...records: readonly LogRecord[]): readonly string[] {
  const story = createStory()
  return records.map(story).flatMap((line) => (line === undefined ? [] : [`${line.from} -> ${line.to}: ${line.text} (${line.tone})`]))
}

const paid = { outcome: 'paid', paidAt: '2026-01-01T00:00:00.000Z' }
const expired = { outcome: 'unpaid', reason: 'expired' }
const sale = 'sale-1'

describe('the story', () => {
  test('is in the colour of money only where money came', () => {
    expect(told(
      record('sandbox', 'charge completed', { charge: 'chrg_1', status: 'successful', failureCode: null }),
      record('sandbox', 'charge completed', { charge: 'chrg_2', status: 'failed', failureCode: 'payment_rejected' }),
      record('terminal', 'sale ended', { ending: paid }),
      record('terminal', 'sale ended', { ending: expired }),
    )).toEqual([
      'Omise sandbox -> Gateway: chrg_1 is successful (money)',
      'Omise sandbox -> Gateway: chrg_2 is failed (payment_rejected) (warning)',
      'Terminal -> Customer: PAID; the lamps say so too (money)',
      'Terminal -> Customer: NOT PAID (expired); the lamps say so too (warning)',
    ])
  })

  test('tells of a code once, however often it is drawn while its time runs', () => {
    const code = (id: string) => record('terminal', 'code shown', { sale: id })
    expect(told(code(sale), code(sale), code('sale-2'), code('sale-2'))).toHaveLength(2)
  })

  test('tells an offer and a verdict from the same one said again', () => {
    const step = (event: string, from: string, to: string, words: readonly string[], more = {}) =>
      record('gateway', 'charge step', { event, from, to, words, charge: 'chrg_1', ...more })
    expect(told(
      step('code read', 'bound', 'bound', ['sale.offer']),
      step('sale asked', 'bound', 'bound', ['sale.offer']),
      step('charge read', 'bound', 'closed', ['sale.verdict'], { ending: expired }),
      step('close asked', 'closed', 'closed', ['sale.verdict'], { ending: expired }),
    )).toEqual([
      'Gateway -> Terminal: signed offer of chrg_1 with the code\'s text (plain)',
      'Gateway -> Terminal: nothing new: the same signed offer again (plain)',
      'Gateway -> Terminal: signed verdict: NOT PAID (expired) (plain)',
      'Gateway -> Terminal: signed verdict, once more: NOT PAID (expired) (plain)',
    ])
  })

  test.each([
    ['deadline reached', 'presenting', 'its code ran out'],
    ['deadline reached', 'opening', 'no offer came'],
    ['cancel pressed', 'presenting', 'Cancel was pressed'],
    ['restarted', 'idle', 'the terminal was away'],
    ['code not shown', 'presenting', 'its code could not be shown'],
  ])('says why a sale is in doubt: %s while %s', (event, from, because) => {
    expect(told(record('terminal', 'sale step', { event, from, to: 'resolving', reference: 'ABC123' })))
      .toEqual([`Terminal -> Gateway: please close sale ABC123: ${because}; the panel says "checking" (warning)`])
  })

  test('says nothing of what says nothing to a reader', () => {
    expect(told(record('gateway', 'asked omise'), record('terminal', 'sale step', { from: 'settled', to: 'idle' }))).toEqual([])
  })
})
