/**
 * The crash-safe record of one terminal: what the sale was when power went away. SQLite in WAL mode with
 * synchronous=FULL: when `record` returns, the record is on the medium. It is written before any effect of a step.
 *
 *   journal.sqlite         the records, each with a hash of itself
 *   journal.sqlite.newest  the newest record once more: SQLite takes a damaged log for a shorter one, and an older
 *                          record that came back unnoticed could tell or release twice
 *   journal.sqlite.lock    held while this process lives, so that no two terminals work on one journal
 *
 * Corrupt is not empty: a damaged journal is kept aside, reported, and a new one begun with the newest record; where both
 * copies are lost, idle. That is safe, because a sale that was open is closed by the gateway, which hears that the
 * terminal names it no more, and else by its lease. Nothing here can show that both were set back together, or the log
 * and the copy damaged at once: then it is the gateway, asked again, that knows how the sale went on.
 */
import Database from 'better-sqlite3'
import { createHash } from 'node:crypto'
import { accessSync, closeSync, constants, existsSync, fdatasyncSync, openSync, readFileSync, renameSync, truncateSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Recorded } from './sale.js'

export interface Journal {
  /** Counts the openings of this journal, from 1: each boot has a larger one. */
  readonly epoch: number
  /** Where a damaged predecessor was kept, if there was one. */
  readonly damaged: string | undefined
  /** Nothing of earlier boots is known: a first start, or all of it was lost. */
  readonly forgot: boolean
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

/** A journal that is ours and was not looked at yet. */
export interface JournalClaim {
  open(wallMs: number): Journal
}

/** Quick, and reads nothing of it: whoever has the journal has the panel, and blanks that first. */
export function claimJournal(file: string): JournalClaim {
  if (!existsSync(dirname(file))) throw new JournalError('JOURNAL_NO_FOLDER', `the journal ${file} has no folder to be in`)
  const unlock = lock(file)
  return {
    open(wallMs) {
      try {
        return openOrBegin(file, wallMs, unlock)
      } catch (error) {
        unlock()
        throw error
      }
    },
  }
}

export const openJournal = (file: string, wallMs: number): Journal => claimJournal(file).open(wallMs)

function openOrBegin(file: string, wallMs: number, unlock: () => void): Journal {
  const mark = readMark(file)
  // Node 24.19 and later abort when a statement of this library is collected, so each lives as long as the journal.
  const kept = new Set<unknown>()
  try {
    return begin(file, { ...check(file, mark, kept), damaged: undefined, unlock, kept })
  } catch (error) {
    if (!isDamage(error, file)) throw error
    const newest = mark?.seq === 0 ? undefined : mark
    return begin(file, { newest, epochs: mark?.epoch ?? 0, damaged: setAside(file, wallMs), unlock, kept })
  }
}

interface Found {
  /** In the journal already, unless that one is damaged. */
  readonly newest: Row | undefined
  /** The largest number that a boot had. */
  readonly epochs: number
}

interface Opening extends Found {
  readonly damaged: string | undefined
  readonly unlock: () => void
  /** Statements that must live as long as the journal. */
  readonly kept: Set<unknown>
}

function begin(file: string, opening: Opening): Journal {
  const db = new Database(file)
  try {
    return beginOn(db, file, opening)
  } catch (error) {
    db.close() // An open handle would later tidy up after itself by name, and take the new journal's files with it.
    throw error
  }
}

function beginOn(db: Database.Database, file: string, { newest, epochs, damaged, unlock, kept }: Opening): Journal {
  db.exec(`
    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    BEGIN;
    CREATE TABLE IF NOT EXISTS record (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, record TEXT NOT NULL, sum TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS boot (epoch INTEGER PRIMARY KEY);
    PRAGMA user_version = ${FORMAT};
    COMMIT;
  `)
  const epoch = epochs + 1
  const boot = db.prepare('INSERT INTO boot (epoch) VALUES (?)')
  const forgetBoots = db.prepare('DELETE FROM boot WHERE epoch < ?')
  boot.run(epoch)
  forgetBoots.run(epoch)

  const insert = db.prepare<Row>('INSERT INTO record (seq, at, record, sum) VALUES (@seq, @at, @record, @sum)')
  const forget = db.prepare('DELETE FROM record WHERE seq <= ?')
  const append = db.transaction((row: Row) => {
    insert.run(row)
    forget.run(row.seq - RECORDS_KEPT)
  })
  if (newest !== undefined && damaged !== undefined) insert.run(newest)
  let { seq } = newest ?? NO_RECORD
  // Only this file writes records, and only from a Recorded: the cast restores what JSON forgot.
  let last = JSON.parse((newest ?? NO_RECORD).record) as Recorded
  const marker = openMarker(file)
  marker.write({ format: FORMAT, epoch, ...newest ?? NO_RECORD })

  for (const statement of [boot, forgetBoots, insert, forget]) kept.add(statement)

  return {
    epoch,
    damaged,
    forgot: newest === undefined,
    last: () => last,
    record(recorded, wallMs) {
      const row = seal({ seq: seq + 1, at: wallMs, record: JSON.stringify(recorded) })
      append(row)
      marker.write({ format: FORMAT, epoch, ...row }) // Second, so that it is never ahead.
      seq = row.seq
      last = recorded
    },
    close() {
      db.close()
      marker.close()
      unlock()
      kept.clear()
    },
  }
}

// -- Is it as it was written? -----------------------------------------------------------------------------------------

/** Reads all of it and changes nothing: what is damaged is evidence. */
function check(file: string, mark: Mark | undefined, kept: Set<unknown>): Found {
  const nothing = { newest: undefined, epochs: mark?.epoch ?? 0 }
  const acknowledged = mark?.seq ?? 0
  const gone = () => new JournalDamaged(`${file}: record ${acknowledged} was acknowledged and is gone`)
  if (!existsSync(file)) {
    if (acknowledged > 0) throw gone()
    return nothing
  }
  // Power went while SQLite made its first pages: nothing was acknowledged yet, and SQLite itself undoes the half of it.
  if (acknowledged === 0 && existsSync(`${file}-journal`)) return nothing
  const db = new Database(file, { readonly: true })
  try {
    const quickCheck = db.prepare<[], string>('PRAGMA quick_check').pluck()
    kept.add(quickCheck)
    const health = quickCheck.get()
    if (health !== 'ok') throw new JournalDamaged(`${file}: ${String(health)}`)
    const userVersion = db.prepare<[], number>('PRAGMA user_version').pluck()
    kept.add(userVersion)
    refuseNewer(file, userVersion.get() ?? 0, mark)
    const tables = db.prepare<[], number>("SELECT count(*) FROM sqlite_master WHERE name = 'record'").pluck()
    kept.add(tables)
    if (tables.get() === 0) {
      if (acknowledged > 0) throw gone()
      return nothing // Power went before the first table was there.
    }
    const rows = db.prepare<[], Row>('SELECT seq, at, record, sum FROM record ORDER BY seq')
    kept.add(rows)
    let newest: Row | undefined
    let found = acknowledged === 0
    for (const row of rows.iterate()) {
      if (seal(row).sum !== row.sum) throw new JournalDamaged(`${file}: record ${row.seq} is not as it was written`)
      if (row.seq === acknowledged && row.sum === mark?.sum) found = true
      newest = row
    }
    if (!found) throw gone()
    const epochs = db.prepare<[], number | null>('SELECT max(epoch) FROM boot').pluck()
    kept.add(epochs)
    return { newest, epochs: Math.max(epochs.get() ?? 0, nothing.epochs) }
  } finally {
    db.close()
  }
}

function refuseNewer(file: string, format: number, mark: Mark | undefined): void {
  const newest = Math.max(format, mark?.format ?? 0)
  if (newest <= FORMAT) return
  // A newer program says it in both places.
  if (mark !== undefined && mark.format <= FORMAT) throw new JournalDamaged(`${file}: format ${format}, which nobody wrote`)
  throw new JournalError('JOURNAL_TOO_NEW', `the journal ${file} was written by a newer program (format ${newest}, this one knows ${FORMAT})`)
}

// -- Records --------------------------------------------------------------------------------------------------------

interface Row {
  readonly seq: number
  readonly at: number
  readonly record: string
  readonly sum: string
}

/** SQLite checks the shape of its pages, not what stands in them: a flipped bit could be an amount, or a record's place. */
const seal = ({ seq, at, record }: Omit<Row, 'sum'>): Row => ({ seq, at, record, sum: sha256(`${seq} ${at} ${record}`) })

const NO_RECORD: Row = { seq: 0, at: 0, record: JSON.stringify({ phase: 'idle' } satisfies Recorded), sum: '' }

/** Out of the way, under a name that is free. The copy of the newest record stays, until the new journal holds it. */
function setAside(file: string, wallMs: number): string {
  let aside = `${file}.damaged-${wallMs}`
  for (let more = 1; existsSync(aside); more++) aside = `${file}.damaged-${wallMs}-${more}`
  for (const suffix of ['', '-wal', '-shm', '-journal']) {
    if (existsSync(file + suffix)) renameSync(file + suffix, aside + suffix)
  }
  return aside
}

// -- The newest record, once more -------------------------------------------------------------------------------------

/** Its `seq` is 0 before the first record. */
interface Mark extends Row {
  readonly format: number
  readonly epoch: number
}

/** Always written whole and in place, so that no disk is too full for it. Half of one that power cut says nothing: its hash is wrong. */
const MARK_BYTES = 2_048

function readMark(file: string): Mark | undefined {
  if (!existsSync(`${file}.newest`)) return undefined
  const [line = ''] = readFileSync(`${file}.newest`, 'utf8').split('\n', 1)
  const [sum = '', text = ''] = [line.slice(0, 64), line.slice(65)]
  return sha256(text) === sum ? JSON.parse(text) as Mark : undefined // Written by openMarker, to the letter.
}

function openMarker(file: string): { write(mark: Mark): void; close(): void } {
  const fd = openSync(`${file}.newest`, constants.O_RDWR | constants.O_CREAT, 0o600)
  return {
    write(mark) {
      const text = JSON.stringify(mark)
      const bytes = Buffer.from(`${sha256(text)} ${text}\n`.padEnd(MARK_BYTES))
      if (writeSync(fd, bytes, 0, bytes.length, 0) !== bytes.length) throw new Error(`${file}.newest took only a part of the record`)
      fdatasyncSync(fd)
    },
    close: () => closeSync(fd),
  }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

// -- One terminal a journal -------------------------------------------------------------------------------------------

/** The kernel gives the lock back however this process ends. The file is a SQLite database that never gets any content. */
function lock(file: string): () => void {
  const name = `${file}.lock`
  const db = new Database(name, { timeout: 0 })
  try {
    db.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    if (codeOf(error) === 'SQLITE_BUSY') {
      throw new JournalError('JOURNAL_IN_USE', `the journal ${file} is in use: another terminal is running on it`)
    }
    if (codeOf(error) !== 'SQLITE_NOTADB') throw error
    truncateSync(name) // Nobody writes into it: a damaged medium did.
    return lock(file)
  }
  return () => db.close()
}

// -- Errors -----------------------------------------------------------------------------------------------------------

class JournalDamaged extends Error {
  override readonly name = 'JournalDamaged'
  readonly code = 'SQLITE_CORRUPT'
}

/** Stable codes, so that a person can look them up. */
class JournalError extends Error {
  override readonly name = 'JournalError'
  readonly code: 'JOURNAL_TOO_NEW' | 'JOURNAL_NO_FOLDER' | 'JOURNAL_IN_USE'

  constructor(code: JournalError['code'], message: string) {
    super(message)
    this.code = code
  }
}

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '')

/** What SQLite says when a file's content is at fault, not the medium and not our right to it. */
function isDamage(error: unknown, file: string): boolean {
  const code = codeOf(error)
  if (/^SQLITE_(CORRUPT|NOTADB|ERROR|TOOBIG|MISMATCH|CONSTRAINT|FORMAT)/.test(code)) return true
  return code.startsWith('SQLITE_READONLY') && isWritable(file) // A flipped bit in its header says that only newer programs may write.
}

function isWritable(file: string): boolean {
  try {
    accessSync(file, constants.W_OK)
    accessSync(dirname(file), constants.W_OK)
    return true
  } catch {
    return false
  }
}
