/**
 * What the gateway must not forget: terminals, sales and their history, the ledger, exceptions, and words not yet said.
 * One SQLite file. `commit` writes a sale's new state, its ledger entries, exceptions and words together, or none of them.
 *
 * One gateway works on it at a time. Whoever owns it holds the lock of a second file, which the system frees with its
 * process; and it has a number that the next owner raises, so that one which lost its lock can commit nothing any more.
 */
import Database from 'better-sqlite3'
import { PublicKeyJson } from '../device/protocol/seal.js'
import { referenceOf } from '../device/protocol/wire.js'
import type { State } from './charge.js'
import { type Account, type Balance, chain, type DayClose, EMPTY, type Entry, type Head, type Line, type Posted } from './ledger.js'
import type { Concern } from './reversal.js'

export interface Terminal {
  readonly id: string
  readonly key: PublicKeyJson
  /** SHA-256 of the broker password, hexadecimal. The password is 256 random bits, so a slow hash would add nothing. */
  readonly passwordHash: string
  /** Why it may start no sale: somebody must look at it. */
  readonly frozen: string | null
}

/** What a terminal's hellos told of its starts; two that take turns are two boxes with one identity. */
export interface Boots {
  readonly epoch: number
  readonly boot: string
  readonly previous: string | null
  /** How often the previous one came back of late, and when it did last. */
  readonly returns: number
  readonly returnedAt: number
}

/** A sealed word on its way to a terminal. `re` names the request it answers, if any. */
export interface Outgoing {
  readonly topic: string
  readonly terminal: string
  readonly re: string | null
  readonly counter: number
  readonly sealed: string
}

export interface Commit {
  readonly sale: string
  readonly state: Exclude<State, { phase: 'none' }>
  /** Milliseconds since 1970, or undefined when the sale waits for nothing. */
  readonly deadline: number | undefined
  readonly entries: readonly Entry[]
  readonly concerns: readonly Concern[]
  readonly words: readonly Outgoing[]
  /** What led here, for the story of the sale. */
  readonly event: string
  readonly at: number
}

export interface Waiting {
  readonly seq: number
  readonly topic: string
  readonly sealed: string
}

/** One step of a sale, as it was committed. */
export interface Told {
  readonly at: number
  readonly event: string
  readonly phase: string
  /** The state after it, without codes that can be paid. */
  readonly state: State
  /** Ledger entries it posted and words it said. */
  readonly posted: readonly string[]
  readonly said: readonly string[]
}

/** An exception: money that a person must look at. It is never deleted; resolving it takes a note. */
export interface Exception extends Concern {
  readonly id: number
  readonly sale: string
  readonly terminal: string
  readonly openedAt: number
  readonly resolution: Resolution | null
}

export interface Resolution {
  /** What becomes of held money: it is ours after all, it went back by other means, or neither is so. */
  readonly decision: 'kept' | 'returned' | 'none'
  readonly note: string
  readonly at: number
}

export interface SaleRow {
  readonly sale: string
  readonly terminal: string
  readonly openedAt: number
  readonly changedAt: number
  readonly state: Exclude<State, { phase: 'none' }>
}

export interface ClosedDay extends DayClose {
  readonly day: string
  readonly throughSeq: number
  readonly closedAt: number
}

export interface Store {
  /** Becomes the one gateway that works on it; throws STORE_IN_USE while another does. Commits are fenced from here on. */
  own(): Promise<void>
  /** Enrolled anew it is thawed, and its past starts are forgotten. */
  addTerminal(terminal: Omit<Terminal, 'frozen'>, at: number): Promise<void>
  terminal(id: string): Promise<Terminal | undefined>
  boots(terminal: string): Promise<Boots | undefined>
  rememberBoots(terminal: string, boots: Boots): Promise<void>
  freeze(terminal: string, reason: string): Promise<void>
  sale(id: string): Promise<State | undefined>
  saleOfCharge(charge: string): Promise<string | undefined>
  /** Sales that wait for something, with when. */
  openSales(): Promise<readonly { readonly sale: string; readonly deadline: number }[]>
  /** Those of one terminal. */
  openSalesOf(terminal: string): Promise<readonly string[]>
  saleRow(id: string): Promise<SaleRow | undefined>
  latestSaleOf(terminal: string): Promise<string | undefined>
  salesByReference(reference: string): Promise<readonly SaleRow[]>
  /** References that are so but for the characters where the pattern has `_`. */
  referencesLike(pattern: string): Promise<readonly string[]>
  /** The sale to which money of this charge was posted, or about which a person was told, bound to it or not. */
  saleWithMoneyOf(charge: string): Promise<string | undefined>
  /** Sales that were opened, or had money posted, in this time; the end is not part of it. */
  salesMoved(start: number, end: number): Promise<readonly SaleRow[]>
  history(sale: string): Promise<readonly Told[]>
  /** The very bytes a request was answered with. */
  reply(terminal: string, request: string): Promise<{ readonly topic: string; readonly sealed: string } | undefined>
  commit(commit: Commit): Promise<void>
  /** Words committed and not yet said, oldest first. */
  outbox(limit: number): Promise<readonly Waiting[]>
  said(throughSeq: number): Promise<void>
  /** The largest counter ever put on a word. */
  counter(): Promise<number>
  /** Entries of one sale. */
  ledger(sale: string): Promise<readonly Posted[]>
  /** The whole chain, or what follows an entry, a page at a time. */
  entries(afterSeq?: number): AsyncIterable<Posted>
  /** What the commits added up, to be compared with a replay. */
  balances(): Promise<readonly Balance[]>
  head(): Promise<Head>
  /** What the histories say was posted, whether it is in the ledger or not, with the sale. */
  postedBySales(): Promise<readonly { readonly sale: string; readonly key: string }[]>
  exceptions(which: 'open' | 'all'): Promise<readonly Exception[]>
  exception(id: number): Promise<Exception | undefined>
  /** False when it was resolved before. The entry, if any, is posted with it. */
  resolve(id: number, resolution: Resolution, entry: Entry | undefined): Promise<boolean>
  lastClose(terminal: string, currency: string): Promise<ClosedDay | undefined>
  closedDays(day?: string): Promise<readonly ClosedDay[]>
  closeDay(closes: readonly ClosedDay[]): Promise<void>
  /** Where a reader of a list stopped. */
  mark(name: string): Promise<string | undefined>
  setMark(name: string, value: string): Promise<void>
  /** Forgets answers older than this; a terminal has long stopped asking for them. */
  prune(before: number): Promise<void>
  /** What is read inside is of one moment; what is written is written together, while no other process writes. */
  together<T>(work: () => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** The store as a reader has it. */
export type Books = Pick<Store,
  'sale' | 'saleOfCharge' | 'saleRow' | 'salesByReference' | 'referencesLike' | 'saleWithMoneyOf' | 'salesMoved' | 'history' | 'ledger' | 'entries'
  | 'balances' | 'head' | 'postedBySales' | 'exceptions' | 'exception' | 'lastClose' | 'closedDays' | 'mark' | 'together' | 'close'>

/** One script a version; `user_version` counts those that were run. A released script is never changed. */
const MIGRATIONS: readonly string[] = [`
  CREATE TABLE terminal (
    id TEXT PRIMARY KEY, key TEXT NOT NULL, password_hash TEXT NOT NULL, enrolled_at INTEGER NOT NULL, frozen TEXT, boots TEXT
  ) STRICT;
  CREATE TABLE sale (
    id TEXT PRIMARY KEY, terminal TEXT NOT NULL, reference TEXT NOT NULL, charge TEXT, phase TEXT NOT NULL, state TEXT NOT NULL,
    deadline INTEGER, opened_at INTEGER NOT NULL, changed_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX sale_charge ON sale (charge);
  CREATE INDEX sale_reference ON sale (reference);
  CREATE INDEX sale_terminal ON sale (terminal, opened_at);
  CREATE INDEX sale_opened ON sale (opened_at);
  CREATE INDEX sale_deadline ON sale (deadline) WHERE deadline IS NOT NULL;
  CREATE TABLE history (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, sale TEXT NOT NULL, at INTEGER NOT NULL, event TEXT NOT NULL, phase TEXT NOT NULL,
    state TEXT NOT NULL, posted TEXT NOT NULL, said TEXT NOT NULL
  ) STRICT;
  CREATE INDEX history_sale ON history (sale);

  CREATE TABLE ledger (
    seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, sale TEXT NOT NULL, terminal TEXT NOT NULL, currency TEXT NOT NULL,
    at INTEGER NOT NULL, lines TEXT NOT NULL, hash TEXT NOT NULL
  ) STRICT;
  CREATE INDEX ledger_sale ON ledger (sale);
  CREATE INDEX ledger_at ON ledger (at);
  CREATE TRIGGER ledger_is_not_changed BEFORE UPDATE ON ledger BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER ledger_is_not_shortened BEFORE DELETE ON ledger BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
  CREATE TABLE balance (
    terminal TEXT NOT NULL, currency TEXT NOT NULL, account TEXT NOT NULL, minor INTEGER NOT NULL, PRIMARY KEY (terminal, currency, account)
  ) STRICT;
  CREATE TABLE day_close (
    day TEXT NOT NULL, terminal TEXT NOT NULL, currency TEXT NOT NULL, through_seq INTEGER NOT NULL, closed_at INTEGER NOT NULL,
    figures TEXT NOT NULL, PRIMARY KEY (day, terminal, currency)
  ) STRICT;
  CREATE TABLE exception (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, sale TEXT NOT NULL, terminal TEXT NOT NULL, charge TEXT,
    amount_minor INTEGER NOT NULL, currency TEXT NOT NULL, reason TEXT NOT NULL, opened_at INTEGER NOT NULL,
    decision TEXT, note TEXT, resolved_at INTEGER
  ) STRICT;
  CREATE TRIGGER exception_stays BEFORE DELETE ON exception BEGIN SELECT raise(ABORT, 'an exception is resolved, never deleted'); END;

  CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, sealed TEXT NOT NULL) STRICT;
  CREATE TABLE reply (
    terminal TEXT NOT NULL, request TEXT NOT NULL, topic TEXT NOT NULL, sealed TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (terminal, request)
  ) STRICT;
  CREATE INDEX reply_at ON reply (at);
  CREATE TABLE counter (one INTEGER PRIMARY KEY CHECK (one = 1), value INTEGER NOT NULL) STRICT;
  INSERT INTO counter VALUES (1, 0);
  CREATE TABLE owner (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL) STRICT;
  INSERT INTO owner VALUES (1, 0);
  CREATE TABLE mark (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
`]

/** Broken: the medium failed, so what is read from now on need not be what was written. Only a new start makes it right. */
export type StoreErrorCode = 'STORE_IN_USE' | 'STORE_FENCED' | 'STORE_BROKEN'

export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code: StoreErrorCode

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

export function openStore(file: string): Promise<Store> {
  return Promise.resolve().then(() => openFile(file))
}

function openFile(file: string): Store {
  return opened(file, () => {
    const db = new Database(file)
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000')
    return storeOn(db, () => lockFile(`${file}-owner`))
  })
}

/** Opened so, nothing can change the file: for looking into the books, also while a gateway works on them, and into copies. */
export function readStore(file: string): Promise<Books> {
  return Promise.resolve().then(() => opened(file, () => storeOn(new Database(file, { readonly: true, fileMustExist: true, timeout: 5_000 }))))
}

function opened<T>(file: string, open: () => T): T {
  try {
    return open()
  } catch (cause) {
    throw new Error(`the database ${file} cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

/** An open transaction on a file of its own: readers of the database are not disturbed, and no death leaves it locked. */
function lockFile(file: string): () => void {
  const lock = new Database(file, { timeout: 0 })
  try {
    lock.exec('BEGIN EXCLUSIVE')
    return () => lock.close()
  } catch (error) {
    lock.close()
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('SQLITE_BUSY')) {
      throw new StoreError('STORE_IN_USE', `another gateway works on this database (it holds ${file})`)
    }
    throw error
  }
}

/** Returns what must not be collected: Node 24.19 and later abort when a statement of this library is. */
function migrate(db: Database.Database): object {
  const userVersion = db.prepare<[], number>('PRAGMA user_version').pluck()
  const version = (): number => userVersion.get() ?? 0
  if (version() > MIGRATIONS.length) {
    throw new Error(`a newer gateway wrote it (version ${version()}, this one knows ${MIGRATIONS.length})`)
  }
  if (db.readonly) {
    if (version() === MIGRATIONS.length) return userVersion
    throw new Error(`no gateway of this version has worked on it yet (it is of version ${version()}, not ${MIGRATIONS.length})`)
  }
  db.transaction(() => {
    for (const script of MIGRATIONS.slice(version())) db.exec(script)
    db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`)
  }).immediate()
  return userVersion
}

interface TerminalRow { id: string; key: string; password_hash: string; frozen: string | null }
interface Said { topic: string; sealed: string }

/** SQLite answers at once; the promise is for stores that do not. `lock` returns what frees it. */
export function storeOn(db: Database.Database, lock: () => () => void = () => () => undefined): Store {
  const kept = new Set([migrate(db)])
  let free: (() => void) | undefined
  let ours: number | undefined
  const ledger = ledgerOn(db)
  const write = writerOf(db, ledger.post, () => ours)
  const takeOwner = db.prepare<[], number>('UPDATE owner SET number = number + 1 RETURNING number').pluck()
  const putTerminal = db.prepare<[string, string, string, number]>(`INSERT INTO terminal (id, key, password_hash, enrolled_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET key = excluded.key, password_hash = excluded.password_hash, enrolled_at = excluded.enrolled_at,
      frozen = NULL, boots = NULL`)
  const terminal = db.prepare<[string], TerminalRow>('SELECT id, key, password_hash, frozen FROM terminal WHERE id = ?')
  const boots = db.prepare<[string], string | null>('SELECT boots FROM terminal WHERE id = ?').pluck()
  const putBoots = db.prepare<[string, string]>('UPDATE terminal SET boots = ? WHERE id = ?')
  const freeze = db.prepare<[string, string]>('UPDATE terminal SET frozen = ? WHERE id = ?')
  const sale = db.prepare<[string], string>('SELECT state FROM sale WHERE id = ?').pluck()
  const saleOfCharge = db.prepare<[string], string>('SELECT id FROM sale WHERE charge = ?').pluck()
  const openSales = db.prepare<[], { sale: string; deadline: number }>(
    'SELECT id AS sale, deadline FROM sale WHERE deadline IS NOT NULL')
  const openSalesOf = db.prepare<[string], string>('SELECT id FROM sale WHERE deadline IS NOT NULL AND terminal = ?').pluck()
  const saleRow = db.prepare<[string], SaleJson>(`${SALE_ROW} WHERE id = ?`)
  // In the order they came in: our clock may have been ahead for a while, and theirs as well.
  const latestSaleOf = db.prepare<[string], string>('SELECT id FROM sale WHERE terminal = ? ORDER BY rowid DESC LIMIT 1').pluck()
  const byReference = db.prepare<[string], SaleJson>(`${SALE_ROW} WHERE reference = ? ORDER BY opened_at`)
  const like = db.prepare<[string], string>('SELECT DISTINCT reference FROM sale WHERE reference LIKE ? ORDER BY reference LIMIT 10').pluck()
  const withMoney = db.prepare<[string, string, string], string>(`SELECT sale FROM ledger WHERE key IN ('sale paid ' || ?, 'late payment ' || ?)
    UNION SELECT sale FROM exception WHERE charge = ?`).pluck()
  const moved = db.prepare<[number, number, number, number], SaleJson>(`${SALE_ROW} WHERE opened_at >= ? AND opened_at < ?
    OR id IN (SELECT sale FROM ledger WHERE at >= ? AND at < ?) ORDER BY opened_at`)
  const history = db.prepare<[string], HistoryRow>('SELECT at, event, phase, state, posted, said FROM history WHERE sale = ? ORDER BY seq')
  const postedBySales = db.prepare<[], { sale: string; key: string }>(
    `SELECT sale, value AS key FROM history, json_each(history.posted) WHERE posted <> '[]' ORDER BY seq`)
  const reply = db.prepare<[string, string], Said>('SELECT topic, sealed FROM reply WHERE terminal = ? AND request = ?')
  const outbox = db.prepare<[number], Waiting>('SELECT seq, topic, sealed FROM outbox ORDER BY seq LIMIT ?')
  const said = db.prepare<[number]>('DELETE FROM outbox WHERE seq <= ?')
  const counter = db.prepare<[], number>('SELECT value FROM counter').pluck()
  const prune = db.prepare<[number]>('DELETE FROM reply WHERE at < ?')
  const mark = db.prepare<[string], string>('SELECT value FROM mark WHERE name = ?').pluck()
  const putMark = db.prepare<[string, string]>('INSERT INTO mark VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value')

  // A broken statement is a rejection.
  const answer = <T>(work: () => T): Promise<T> => Promise.resolve().then(work).catch((error: unknown) => { throw broken(error) ?? error })
  return {
    own: () => answer(() => {
      free = lock()
      ours = takeOwner.get()
    }),
    addTerminal: ({ id, key, passwordHash }, at) => answer(() => { putTerminal.run(id, JSON.stringify(key), passwordHash, at) }),
    terminal: (id) => answer(() => {
      const row = terminal.get(id)
      return row && { id: row.id, key: PublicKeyJson.parse(JSON.parse(row.key)), passwordHash: row.password_hash, frozen: row.frozen }
    }),
    boots: (id) => answer(() => {
      const json = boots.get(id)
      return typeof json === 'string' ? JSON.parse(json) as Boots : undefined // Only `rememberBoots` writes this column.
    }),
    rememberBoots: (id, seen) => answer(() => { putBoots.run(JSON.stringify(seen), id) }),
    freeze: (id, reason) => answer(() => { freeze.run(reason, id) }),
    sale: (id) => answer(() => {
      const json = sale.get(id)
      return json === undefined ? undefined : readState(json)
    }),
    saleOfCharge: (charge) => answer(() => saleOfCharge.get(charge)),
    openSales: () => answer(() => openSales.all()),
    openSalesOf: (terminal) => answer(() => openSalesOf.all(terminal)),
    saleRow: (id) => answer(() => {
      const row = saleRow.get(id)
      return row && saleRowOf(row)
    }),
    latestSaleOf: (terminal) => answer(() => latestSaleOf.get(terminal)),
    salesByReference: (reference) => answer(() => byReference.all(reference).map(saleRowOf)),
    referencesLike: (pattern) => answer(() => like.all(pattern)),
    saleWithMoneyOf: (charge) => answer(() => withMoney.get(charge, charge, charge)),
    salesMoved: (start, end) => answer(() => moved.all(start, end, start, end).map(saleRowOf)),
    history: (sale) => answer(() => history.all(sale).map((row) => ({
      at: row.at, event: row.event, phase: row.phase, state: readState(row.state),
      posted: JSON.parse(row.posted) as readonly string[], said: JSON.parse(row.said) as readonly string[],
    }))),
    reply: (terminal, request) => answer(() => reply.get(terminal, request)),
    commit: (commit) => answer(() => { write(commit) }),
    outbox: (limit) => answer(() => outbox.all(limit)),
    said: (throughSeq) => answer(() => { said.run(throughSeq) }),
    counter: () => answer(() => counter.get() ?? 0),
    ledger: (sale) => answer(() => ledger.of(sale)),
    entries: ledger.entries,
    balances: () => answer(ledger.balances),
    head: () => answer(ledger.head),
    postedBySales: () => answer(() => postedBySales.all()),
    ...exceptionsOn(db, ledger.post, answer),
    ...closesOn(db, answer),
    mark: (name) => answer(() => mark.get(name)),
    setMark: (name, value) => answer(() => { putMark.run(name, value) }),
    prune: (before) => answer(() => { prune.run(before) }),
    async together(work) {
      db.exec(db.readonly ? 'BEGIN' : 'BEGIN IMMEDIATE')
      try {
        const done = await work()
        db.exec('COMMIT')
        return done
      } catch (error) {
        if (db.inTransaction) db.exec('ROLLBACK') // A full disk has rolled back by itself.
        throw error
      }
    },
    close: () => answer(() => {
      db.close()
      free?.()
      kept.clear()
    }),
  }
}

const SALE_ROW = 'SELECT id, terminal, opened_at, changed_at, state FROM sale'

interface SaleJson { id: string; terminal: string; opened_at: number; changed_at: number; state: string }

const saleRowOf = ({ id, terminal, opened_at: openedAt, changed_at: changedAt, state }: SaleJson): SaleRow =>
  ({ sale: id, terminal, openedAt, changedAt, state: JSON.parse(state) as SaleRow['state'] }) // A sale that has not begun has no row.

/** A full disk is not among them: that one heals by itself. */
function broken(error: unknown): StoreError | undefined {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (!/^SQLITE_(IOERR|CORRUPT|NOTADB|READONLY|CANTOPEN)/.test(code)) return undefined
  return new StoreError('STORE_BROKEN', `the database cannot be trusted any more (${code})`, { cause: error })
}

interface HistoryRow { at: number; event: string; phase: string; state: string; posted: string; said: string }

type Answer = <T>(work: () => T) => Promise<T>
type Post = (entry: Entry, terminal: string, at: number) => void

/** Everything of one step, or nothing of it. */
function writerOf(db: Database.Database, post: Post, ours: () => number | undefined): (commit: Commit) => void {
  const owner = db.prepare<[], number>('SELECT number FROM owner').pluck()
  const putSale = db.prepare(`INSERT INTO sale VALUES (@sale, @terminal, @reference, @charge, @phase, @state, @deadline, @at, @at)
    ON CONFLICT (id) DO UPDATE SET charge = @charge, phase = @phase, state = @state, deadline = @deadline, changed_at = @at`)
  const tell = db.prepare(`INSERT INTO history (sale, at, event, phase, state, posted, said)
    VALUES (@sale, @at, @event, @phase, @state, @posted, @said)`)
  const open = db.prepare(`INSERT INTO exception (key, sale, terminal, charge, amount_minor, currency, reason, opened_at)
    VALUES (@key, @sale, @terminal, @charge, @amountMinor, @currency, @reason, @at) ON CONFLICT DO NOTHING`)
  const putWord = db.prepare('INSERT INTO outbox (topic, sealed) VALUES (?, ?)')
  const putReply = db.prepare('INSERT INTO reply VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING')
  const raise = db.prepare('UPDATE counter SET value = max(value, ?)')

  return db.transaction(({ sale, state, deadline, entries, concerns, words, event, at }: Commit) => {
    const number = ours()
    if (number !== undefined && owner.get() !== number) {
      throw new StoreError('STORE_FENCED', 'another gateway works on this database now')
    }
    const { phase, terminal } = state
    const charge = state.phase === 'intent' ? null : state.charge
    putSale.run({ sale, terminal, reference: referenceOf(sale), charge, phase, state: JSON.stringify(state), deadline: deadline ?? null, at })
    for (const entry of entries) post(entry, terminal, at)
    for (const concern of concerns) open.run({ ...concern, sale, terminal, at })
    for (const word of words) {
      putWord.run(word.topic, word.sealed)
      if (word.re !== null) putReply.run(word.terminal, word.re, word.topic, word.sealed, at)
      raise.run(word.counter)
    }
    tell.run({
      sale, at, event, phase, state: JSON.stringify(withoutCode(state)),
      posted: JSON.stringify(entries.map(({ key }) => key)), said: JSON.stringify(words.map(({ topic, re }) => `${topic.split('/').at(-1) ?? ''} ${re ?? ''}`.trim())),
    })
  }).immediate
}

/** A story is read by many; the code that can be paid is not part of it. */
const withoutCode = (state: Commit['state']): Commit['state'] => (state.phase === 'bound' ? { ...state, payload: undefined } : state)

interface LedgerRow { seq: number; key: string; sale: string; terminal: string; currency: string; at: number; lines: string; hash: string }

const LEDGER_PAGE = 1_000

function ledgerOn(db: Database.Database) {
  const columns = 'SELECT seq, key, sale, terminal, currency, at, lines, hash FROM ledger'
  const of = db.prepare<[string], LedgerRow>(`${columns} WHERE sale = ? ORDER BY seq`)
  const after = db.prepare<[number], LedgerRow>(`${columns} WHERE seq > ? ORDER BY seq LIMIT ${LEDGER_PAGE}`)
  const head = db.prepare<[], Head>('SELECT seq, at, hash FROM ledger ORDER BY seq DESC LIMIT 1')
  const known = db.prepare<[string], number>('SELECT 1 FROM ledger WHERE key = ?').pluck()
  const append = db.prepare('INSERT INTO ledger VALUES (@seq, @key, @sale, @terminal, @currency, @at, @lines, @hash)')
  const add = db.prepare<[string, string, string, number]>(`INSERT INTO balance VALUES (?, ?, ?, ?)
    ON CONFLICT (terminal, currency, account) DO UPDATE SET minor = minor + excluded.minor`)
  const balances = db.prepare<[], Balance>('SELECT terminal, currency, account, minor FROM balance ORDER BY terminal, currency, account')
  const posted = (row: LedgerRow): Posted => ({ ...row, lines: JSON.parse(row.lines) as readonly Line[] })

  return {
    /** Inside a transaction of the caller's. Posted before: it stays as it is. */
    post(entry: Entry, terminal: string, at: number): void {
      if (known.get(entry.key) !== undefined) return
      const next = chain(head.get() ?? EMPTY, entry, terminal, at)
      append.run({ ...next, lines: JSON.stringify(next.lines) })
      for (const { account, minor } of next.lines) add.run(terminal, next.currency, account satisfies Account, minor)
    },
    of: (sale: string): readonly Posted[] => of.all(sale).map(posted),
    async *entries(afterSeq = 0): AsyncGenerator<Posted> {
      for (let page = after.all(afterSeq); page.length > 0; page = after.all(page.at(-1)?.seq ?? 0)) {
        yield* page.map(posted)
        await Promise.resolve() // Others may work between two pages.
      }
    },
    balances: (): readonly Balance[] => balances.all(),
    head: (): Head => head.get() ?? EMPTY,
  }
}

interface ExceptionRow {
  id: number; key: string; sale: string; terminal: string; charge: string | null; amount_minor: number; currency: string
  reason: string; opened_at: number; decision: Resolution['decision'] | null; note: string | null; resolved_at: number | null
}

function exceptionsOn(db: Database.Database, post: Post, answer: Answer): Pick<Store, 'exceptions' | 'exception' | 'resolve'> {
  const all = db.prepare<[], ExceptionRow>('SELECT * FROM exception ORDER BY id')
  const open = db.prepare<[], ExceptionRow>('SELECT * FROM exception WHERE resolved_at IS NULL ORDER BY id')
  const one = db.prepare<[number], ExceptionRow>('SELECT * FROM exception WHERE id = ?')
  const close = db.prepare<[string, string, number, number]>(
    'UPDATE exception SET decision = ?, note = ?, resolved_at = ? WHERE id = ? AND resolved_at IS NULL')
  const resolve = db.transaction((id: number, { decision, note, at }: Resolution, entry: Entry | undefined): boolean => {
    const row = one.get(id)
    if (row === undefined || close.run(decision, note, at, id).changes === 0) return false
    if (entry !== undefined) post(entry, row.terminal, at)
    return true
  })
  return {
    exceptions: (which) => answer(() => (which === 'open' ? open : all).all().map(exceptionOf)),
    exception: (id) => answer(() => {
      const row = one.get(id)
      return row && exceptionOf(row)
    }),
    resolve: (id, resolution, entry) => answer(() => resolve.immediate(id, resolution, entry)),
  }
}

function exceptionOf({ amount_minor: amountMinor, opened_at: openedAt, decision, note, resolved_at: at, ...row }: ExceptionRow): Exception {
  const resolution = decision === null || note === null || at === null ? null : { decision, note, at }
  return { ...row, amountMinor, openedAt, resolution }
}

interface CloseRow { day: string; terminal: string; currency: string; through_seq: number; closed_at: number; figures: string }

function closesOn(db: Database.Database, answer: Answer): Pick<Store, 'lastClose' | 'closedDays' | 'closeDay'> {
  const last = db.prepare<[string, string], CloseRow>(
    'SELECT * FROM day_close WHERE terminal = ? AND currency = ? ORDER BY through_seq DESC LIMIT 1')
  const all = db.prepare<[], CloseRow>('SELECT * FROM day_close ORDER BY day, terminal, currency')
  const of = db.prepare<[string], CloseRow>('SELECT * FROM day_close WHERE day = ? ORDER BY terminal, currency')
  const put = db.prepare('INSERT INTO day_close VALUES (@day, @terminal, @currency, @throughSeq, @closedAt, @figures)')
  const putAll = db.transaction((closes: readonly ClosedDay[]) => {
    for (const { day, throughSeq, closedAt, ...figures } of closes) {
      put.run({ day, terminal: figures.terminal, currency: figures.currency, throughSeq, closedAt, figures: JSON.stringify(figures) })
    }
  })
  return {
    lastClose: (terminal, currency) => answer(() => {
      const row = last.get(terminal, currency)
      return row && closedDayOf(row)
    }),
    closedDays: (day) => answer(() => (day === undefined ? all.all() : of.all(day)).map(closedDayOf)),
    closeDay: (closes) => answer(() => { putAll.immediate(closes) }),
  }
}

const closedDayOf = ({ day, through_seq: throughSeq, closed_at: closedAt, figures }: CloseRow): ClosedDay =>
  ({ ...(JSON.parse(figures) as DayClose), day, throughSeq, closedAt })

/** Only this file writes these columns, and only from a State: the cast restores what JSON forgot. */
const readState = (json: string): State => JSON.parse(json) as State
