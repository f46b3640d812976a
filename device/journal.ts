/**
 * The crash-safe record of one terminal: what the sale was when power went away. SQLite in WAL mode with
 * synchronous=FULL: when `record` returns, the record is on the medium. It is written before any effect of a step.
 *
 * Corrupt is not empty: a damaged journal is kept aside and a new one begun. That is safe, because a sale that was open
 * in it is closed by the gateway's lease; the damage is reported, never hidden.
 */
import Database from 'better-sqlite3'
import { existsSync, renameSync } from 'node:fs'
import type { Recorded } from './sale.js'

export interface Journal {
  /** Counts the openings of this journal, from 1: each boot has a larger one. */
  readonly epoch: number
  /** Where a damaged predecessor was kept, if there was one. */
  readonly damaged: string | undefined
  /** What was recorded last. */
  last(): Recorded
  /** Throws when the medium did not take it; then nothing may leave this process. */
  record(recorded: Recorded, wallMs: number): void
  close(): void
}

/** Newer programs raise it; an older program refuses a newer journal instead of misreading it. */
const FORMAT = 1
/** About five records a sale: two thousand sales. */
const RECORDS_KEPT = 10_000

export function openJournal(file: string, wallMs: number): Journal {
  try {
    return open(file, undefined)
  } catch (error) {
    if (!isDamage(error) || !existsSync(file)) throw error
    const aside = `${file}.damaged-${wallMs}`
    for (const suffix of ['', '-wal', '-shm']) {
      if (existsSync(file + suffix)) renameSync(file + suffix, aside + suffix)
    }
    return open(file, aside)
  }
}

function open(file: string, damaged: string | undefined): Journal {
  const db = new Database(file)
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  const health: unknown = db.pragma('quick_check', { simple: true })
  if (health !== 'ok') {
    db.close()
    throw new JournalDamaged(`${file}: ${String(health)}`)
  }
  const format = Number(db.pragma('user_version', { simple: true }))
  if (format > FORMAT) throw new Error(`the journal ${file} was written by a newer program (format ${format}, this one knows ${FORMAT})`)
  db.exec(`
    CREATE TABLE IF NOT EXISTS record (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, record TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS boot (epoch INTEGER PRIMARY KEY);
  `)
  db.pragma(`user_version = ${FORMAT}`)
  const epoch = Number(db.prepare('INSERT INTO boot DEFAULT VALUES').run().lastInsertRowid)
  db.prepare('DELETE FROM boot WHERE epoch < ?').run(epoch)
  db.prepare('DELETE FROM record WHERE seq <= (SELECT max(seq) FROM record) - ?').run(RECORDS_KEPT)

  const insert = db.prepare('INSERT INTO record (at, record) VALUES (?, ?)')
  const newest = db.prepare('SELECT record FROM record ORDER BY seq DESC LIMIT 1').pluck()

  return {
    epoch,
    damaged,
    last() {
      const json = newest.get()
      return typeof json === 'string' ? readRecord(json) : { phase: 'idle' }
    },
    record(recorded, wallMs) {
      insert.run(wallMs, JSON.stringify(recorded))
    },
    close: () => { db.close() },
  }
}

class JournalDamaged extends Error {
  override readonly name = 'JournalDamaged'
  readonly code = 'SQLITE_CORRUPT'
}

function isDamage(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false
  return String(error.code).startsWith('SQLITE_CORRUPT') || error.code === 'SQLITE_NOTADB'
}

/** Only this file writes this column, and only from a Recorded: the cast restores what JSON forgot. */
const readRecord = (json: string): Recorded => JSON.parse(json) as Recorded
