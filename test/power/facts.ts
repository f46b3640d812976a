/** What the auditor wants to know, read off real programs: their logs, the bank, the books, the panels. */
import type { Facts, Word } from './audit.js'
import type { Premises, Terminal } from './premises.js'
import type { LogRecord } from './program.js'

/** Sales that a terminal said it had journalled. */
export const openedBy = (terminals: readonly Terminal[]): Facts['opened'] =>
  terminals.flatMap(({ name, program: { records } }) => records.filter(isOpening)
    .map(({ fields }) => ({ terminal: name, sale: String(fields['sale']) })))

/** How sales ended, in the words of their terminal, every time it said so. */
export const wordsOf = (terminals: readonly Terminal[]): readonly Word[] =>
  terminals.flatMap(({ name, program: { records } }) => records.filter(({ msg }) => msg === 'sale ended').map(({ fields }) => ({
    terminal: name, sale: String(fields['sale']), charge: fields['charge'] === null ? null : String(fields['charge']),
    outcome: (fields['ending'] as { outcome: string }).outcome,
  })))

export const isOpening = ({ msg, fields: { from, to } }: LogRecord): boolean =>
  msg === 'sale step' && to === 'opening' && from !== 'opening'

/** Sales of these terminals that have no last word yet. */
export function unsettled(terminals: readonly Terminal[]): readonly string[] {
  const ended = new Set(wordsOf(terminals).map(({ sale }) => sale))
  return openedBy(terminals).map(({ sale }) => sale).filter((sale) => !ended.has(sale))
}

/** Ends the terminals and the gateway as their owner would, and reads what all of them say. */
export async function closeTheBooks(premises: Premises, answers: Facts['answers'] = new Map()): Promise<Facts> {
  const { terminals, gateway } = premises
  await Promise.all(terminals.map(async ({ program }) => { await program.life?.kill('SIGTERM') }))
  await gateway.life?.kill('SIGTERM')
  return {
    charges: await premises.charges(), ...await premises.books(), ledgerFault: await premises.verifyLedger(),
    opened: openedBy(terminals), words: wordsOf(terminals), answers,
    codes: await Promise.all(terminals.map(async ({ name, look }) => ({ terminal: name, code: await look() }))),
  }
}
