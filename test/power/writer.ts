/**
 * A program that writes what must not be lost, and says so: `journal` records as the terminal does, `store` commits as
 * the gateway does, and each is acknowledged on standard output only after the call has returned. It numbers what it
 * writes, and goes on from where the last life of the same file ended.
 *
 *   node writer.js journal|store <file> synced|unsynced|recovering
 *
 * `unsynced` writes the same without waiting for the medium: the mistake that a cut must show. `recovering` opens the
 * file, says so, and writes nothing.
 */
import Database from 'better-sqlite3'
import fs, { writeSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import type { Commit } from '../../cloud/store.js'
import { openStore } from '../../cloud/store.js'
import { openJournal } from '../../device/journal.js'
import type { Recorded } from '../../device/sale.js'

export type Kind = 'journal' | 'store'

const SALE = '0195f0a0-0000-7000-8000-'
const nonce = '0123456789abcdef0123456789abcdef'

/** The sale of a number, in which the number can be read. */
export const saleOf = (count: number): string => `${SALE}${count.toString(16).padStart(12, '0')}`
export const countOf = (sale: string): number => Number.parseInt(sale.slice(SALE.length), 16)

export const recordOf = (count: number): Recorded => ({
  phase: 'presenting',
  sale: { id: saleOf(count), nonce, amount: { minor: 2_500, currency: 'THB' }, method: 'alipayplus_mpm', askedBy: 'keypad' },
  offer: { charge: `chrg_${count}`, payload: `https://qr.example/${'x'.repeat(200)}`, counter: count },
})

/** A sale that was paid: its state, its ledger entry, and the answer to the terminal's request. */
export function commitOf(count: number): Commit {
  const sale = saleOf(count), charge = `chrg_${count}`, terminal = 'T-1'
  return {
    sale,
    state: {
      phase: 'paid', terminal, charge, paidAt: '2026-03-01T12:00:00Z', refundedMinor: 0, asked: null, reversals: [],
      order: { sale, nonce, amountMinor: 2_500, currency: 'THB', method: 'alipayplus_mpm' },
    },
    deadline: undefined,
    entries: [{
      key: `sale paid ${charge}`, sale, currency: 'THB',
      lines: [{ account: 'receivable', minor: 2_500 }, { account: 'sales', minor: -2_500 }],
    }],
    concerns: [],
    words: [{ topic: `plinth/1/${terminal}/dn/sale`, terminal, re: requestOf(count), counter: count, sealed: sealedOf(count) }],
    event: 'written',
    at: count,
  }
}
export const requestOf = (count: number): string => `${saleOf(count)}.open`
export const sealedOf = (count: number): string => `word ${count} ${'y'.repeat(500)}`

const say = (line: string): void => { writeSync(1, `${line}\n`) }

/** The very code of the product; only that nothing waits for the medium. */
function withoutSync(): void {
  fs.fdatasyncSync = () => undefined
  fs.fsyncSync = () => undefined
  syncBuiltinESMExports()
  const prototype = Database.prototype
  const { exec } = prototype
  prototype.exec = function (this: Database.Database, sql: string) {
    const done = exec.call(this, sql.replace(/synchronous *= *(FULL|EXTRA|NORMAL)/gi, 'synchronous = OFF'))
    if (/synchronous/i.test(sql) && this.pragma('synchronous', { simple: true }) !== 0) throw new Error('the writer still syncs')
    return done
  }
}

async function writeJournal(file: string, onlyOpen: boolean): Promise<void> {
  say('opening')
  const journal = openJournal(file, Date.now())
  say(`open ${journal.epoch}`)
  if (onlyOpen) return say('done')
  const last = journal.last()
  for (let count = last.phase === 'presenting' ? last.offer.counter + 1 : 1; ; count++) {
    journal.record(recordOf(count), count)
    say(String(count))
  }
}

async function writeStore(file: string, onlyOpen: boolean): Promise<void> {
  say('opening')
  const store = await openStore(file)
  await store.own()
  say('open 0')
  if (onlyOpen) return say('done')
  for (let count = await store.counter() + 1; ; count++) {
    await store.commit(commitOf(count))
    say(String(count))
  }
}

if (process.argv[1] === import.meta.filename) {
  const [, , kind, file = '', how] = process.argv
  if (how === 'unsynced') withoutSync()
  await (kind === 'journal' ? writeJournal : writeStore)(file, how === 'recovering')
}
