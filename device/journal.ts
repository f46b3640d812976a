/**
 * The crash-safe record of one terminal: what the sale was when power went away. SQLite in WAL mode with
 * synchronous=FULL: when `record` returns, the record is on the medium. It is written before any effect of a step.
 *
 * Corrupt is not empty: a damaged journal is kept aside and a new one begun. That is safe, because a sale that was open
 * in it is closed by the gateway's lease; the damage is reported, never hidden.
 */
import Database from 'better-sqlite3'
import { createHash } from 'node:crypto'
import { existsSync, renameSync } from 'node:fs'
import { dirname } from 'node:path'
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
  if (!existsSync(dirname(file))) throw new JournalError('JOURNAL_NO_FOLDER', `the journal ${file} has no folder to be in`)
  const db = new Database(file)
  try {
    return begin(db, file, damaged)
  } catch (error) {
    db.close() // An open handle would later tidy up after itself by name, and take the new journal's files with it.
    throw error
  }
}

function begin(db: Database.Database, file: string, damaged: string | undefined): Journal {
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  const quickCheck = db.prepare<[], string>('PRAGMA quick_check').pluck()
  const health = quickCheck.get()
  if (health !== 'ok') throw new JournalDamaged(`${file}: ${String(health)}`)
  const userVersion = db.prepare<[], number>('PRAGMA user_version').pluck()
  const format = userVersion.get() ?? 0
  if (format > FORMAT) {
    throw new JournalError('JOURNAL_TOO_NEW', `the journal ${file} was written by a newer program (format ${format}, this one knows ${FORMAT})`)
  }
  db.exec(`
    CREATE TABLE IF NOT EXISTS record (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, record TEXT NOT NULL, sum TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS boot (epoch INTEGER PRIMARY KEY);
  `)
  if (format !== FORMAT) db.exec(`PRAGMA user_version = ${FORMAT}`)
  const newest = db.prepare<[], Row>('SELECT record, sum FROM record ORDER BY seq DESC LIMIT 1')
  readRow(newest.get(), file)
  const boot = db.prepare('INSERT INTO boot DEFAULT VALUES')
  const epoch = Number(boot.run().lastInsertRowid)
  const forgetBoots = db.prepare('DELETE FROM boot WHERE epoch < ?')
  forgetBoots.run(epoch)

  const insert = db.prepare('INSERT INTO record (at, record, sum) VALUES (?, ?, ?)')
  const forget = db.prepare('DELETE FROM record WHERE seq <= ?')
  const append = db.transaction((json: string, wallMs: number) => {
    forget.run(Number(insert.run(wallMs, json, sumOf(json)).lastInsertRowid) - RECORDS_KEPT)
  })

  // Node 24.19 and later abort when a statement of this library is collected, so each lives as long as the journal.
  const kept = new Set<unknown>([quickCheck, userVersion, boot, forgetBoots])

  return {
    epoch,
    damaged,
    last: () => readRow(newest.get(), file),
    record: (recorded, wallMs) => append(JSON.stringify(recorded), wallMs),
    close: () => {
      db.close()
      kept.clear()
    },
  }
}

interface Row {
  readonly record: string
  readonly sum: string
}

/** SQLite checks the shape of its pages, not what stands in them: a flipped bit could be an amount. */
function readRow(row: Row | undefined, file: string): Recorded {
  if (row === undefined) return { phase: 'idle' }
  if (sumOf(row.record) !== row.sum) throw new JournalDamaged(`${file}: the newest record is not as it was written`)
  // Only this file writes this column, and only from a Recorded: the cast restores what JSON forgot.
  return JSON.parse(row.record) as Recorded
}

const sumOf = (json: string): string => createHash('sha256').update(json).digest('hex')

class JournalDamaged extends Error {
  override readonly name = 'JournalDamaged'
  readonly code = 'SQLITE_CORRUPT'
}

/** Stable codes, so that a person can look them up. */
class JournalError extends Error {
  override readonly name = 'JournalError'
  readonly code: 'JOURNAL_TOO_NEW' | 'JOURNAL_NO_FOLDER'

  constructor(code: JournalError['code'], message: string) {
    super(message)
    this.code = code
  }
}

function isDamage(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false
  return String(error.code).startsWith('SQLITE_CORRUPT') || error.code === 'SQLITE_NOTADB'
}
