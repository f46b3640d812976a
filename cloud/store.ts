/**
 * What the gateway must not forget: terminals, sales, the ledger, and words not yet said. One SQLite file.
 * `commit` writes a sale's new state, its ledger lines and its words together, or none of them.
 */
import Database from 'better-sqlite3'
import { PublicKeyJson } from '../device/protocol/seal.js'
import type { State } from './charge.js'
import type { Entry, Line } from './ledger.js'

export interface Terminal {
  readonly id: string
  readonly key: PublicKeyJson
  /** SHA-256 of the broker password, hexadecimal. The password is 256 random bits, so a slow hash would add nothing. */
  readonly passwordHash: string
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
  readonly words: readonly Outgoing[]
  readonly at: number
}

export interface Waiting {
  readonly seq: number
  readonly topic: string
  readonly sealed: string
}

export interface PostedLine extends Line {
  readonly key: string
  readonly sale: string
  readonly currency: string
}

export interface Store {
  addTerminal(terminal: Terminal, at: number): Promise<void>
  terminal(id: string): Promise<Terminal | undefined>
  sale(id: string): Promise<State | undefined>
  saleOfCharge(charge: string): Promise<string | undefined>
  /** Sales that wait for something, with when. */
  openSales(): Promise<readonly { readonly sale: string; readonly deadline: number }[]>
  /** How many of them are a terminal's. */
  openSalesOf(terminal: string): Promise<number>
  /** The very bytes a request was answered with. */
  reply(terminal: string, request: string): Promise<{ readonly topic: string; readonly sealed: string } | undefined>
  commit(commit: Commit): Promise<void>
  /** Words committed and not yet said, oldest first. */
  outbox(limit: number): Promise<readonly Waiting[]>
  said(throughSeq: number): Promise<void>
  /** The largest counter ever put on a word. */
  counter(): Promise<number>
  ledger(sale?: string): Promise<readonly PostedLine[]>
  /** Forgets answers older than this; a terminal has long stopped asking for them. */
  prune(before: number): Promise<void>
  close(): Promise<void>
}

/** One script a version; `user_version` counts those that were run. A released script is never changed. */
const MIGRATIONS: readonly string[] = [`
  CREATE TABLE terminal (id TEXT PRIMARY KEY, key TEXT NOT NULL, password_hash TEXT NOT NULL, enrolled_at INTEGER NOT NULL) STRICT;
  CREATE TABLE sale (
    id TEXT PRIMARY KEY, terminal TEXT NOT NULL, charge TEXT, phase TEXT NOT NULL, state TEXT NOT NULL, deadline INTEGER,
    opened_at INTEGER NOT NULL, changed_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX sale_charge ON sale (charge);
  CREATE INDEX sale_deadline ON sale (deadline) WHERE deadline IS NOT NULL;
  CREATE TABLE ledger (
    key TEXT NOT NULL, account TEXT NOT NULL, minor INTEGER NOT NULL, currency TEXT NOT NULL,
    sale TEXT NOT NULL, terminal TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (key, account)
  ) STRICT;
  CREATE INDEX ledger_sale ON ledger (sale);
  CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, sealed TEXT NOT NULL) STRICT;
  CREATE TABLE reply (
    terminal TEXT NOT NULL, request TEXT NOT NULL, topic TEXT NOT NULL, sealed TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (terminal, request)
  ) STRICT;
  CREATE INDEX reply_at ON reply (at);
  CREATE TABLE counter (one INTEGER PRIMARY KEY CHECK (one = 1), value INTEGER NOT NULL) STRICT;
  INSERT INTO counter VALUES (1, 0);
`]

export function openStore(file: string): Promise<Store> {
  return Promise.resolve().then(() => openFile(file))
}

function openFile(file: string): Store {
  try {
    const db = new Database(file)
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000')
    return createStore(db, migrate(db))
  } catch (cause) {
    throw new Error(`the database ${file} cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

/** Returns what must not be collected: Node 24.19 and later abort when a statement of this library is. */
function migrate(db: Database.Database): object {
  const userVersion = db.prepare<[], number>('PRAGMA user_version').pluck()
  const version = (): number => userVersion.get() ?? 0
  if (version() > MIGRATIONS.length) {
    throw new Error(`a newer gateway wrote it (version ${version()}, this one knows ${MIGRATIONS.length})`)
  }
  db.transaction(() => {
    for (const script of MIGRATIONS.slice(version())) db.exec(script)
    db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`)
  }).immediate()
  return userVersion
}

interface TerminalRow { id: string; key: string; password_hash: string }
interface Said { topic: string; sealed: string }

/** SQLite answers at once; the promise is for stores that do not. */
function createStore(db: Database.Database, keep: object): Store {
  const kept = new Set([keep])
  const write = writerOf(db)
  const putTerminal = db.prepare<[string, string, string, number]>(`INSERT INTO terminal VALUES (?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET key = excluded.key, password_hash = excluded.password_hash, enrolled_at = excluded.enrolled_at`)
  const terminal = db.prepare<[string], TerminalRow>('SELECT id, key, password_hash FROM terminal WHERE id = ?')
  const sale = db.prepare<[string], string>('SELECT state FROM sale WHERE id = ?').pluck()
  const saleOfCharge = db.prepare<[string], string>('SELECT id FROM sale WHERE charge = ?').pluck()
  const openSales = db.prepare<[], { sale: string; deadline: number }>(
    'SELECT id AS sale, deadline FROM sale WHERE deadline IS NOT NULL')
  const openSalesOf = db.prepare<[string], number>(
    'SELECT count(*) FROM sale WHERE deadline IS NOT NULL AND terminal = ?').pluck()
  const reply = db.prepare<[string, string], Said>('SELECT topic, sealed FROM reply WHERE terminal = ? AND request = ?')
  const outbox = db.prepare<[number], Waiting>('SELECT seq, topic, sealed FROM outbox ORDER BY seq LIMIT ?')
  const said = db.prepare<[number]>('DELETE FROM outbox WHERE seq <= ?')
  const counter = db.prepare<[], number>('SELECT value FROM counter').pluck()
  const lines = 'SELECT key, account, minor, currency, sale FROM ledger'
  const ledger = db.prepare<[], PostedLine>(`${lines} ORDER BY at, rowid`)
  const ledgerOf = db.prepare<[string], PostedLine>(`${lines} WHERE sale = ? ORDER BY at, rowid`)
  const prune = db.prepare<[number]>('DELETE FROM reply WHERE at < ?')

  const answer = <T>(work: () => T): Promise<T> => Promise.resolve().then(work) // A broken statement is a rejection.
  return {
    addTerminal: ({ id, key, passwordHash }, at) => answer(() => { putTerminal.run(id, JSON.stringify(key), passwordHash, at) }),
    terminal: (id) => answer(() => {
      const row = terminal.get(id)
      return row && { id: row.id, key: PublicKeyJson.parse(JSON.parse(row.key)), passwordHash: row.password_hash }
    }),
    sale: (id) => answer(() => {
      const json = sale.get(id)
      return json === undefined ? undefined : readState(json)
    }),
    saleOfCharge: (charge) => answer(() => saleOfCharge.get(charge)),
    openSales: () => answer(() => openSales.all()),
    openSalesOf: (terminal) => answer(() => openSalesOf.get(terminal) ?? 0),
    reply: (terminal, request) => answer(() => reply.get(terminal, request)),
    commit: (commit) => answer(() => { write(commit) }),
    outbox: (limit) => answer(() => outbox.all(limit)),
    said: (throughSeq) => answer(() => { said.run(throughSeq) }),
    counter: () => answer(() => counter.get() ?? 0),
    ledger: (sale) => answer(() => (sale === undefined ? ledger.all() : ledgerOf.all(sale))),
    prune: (before) => answer(() => { prune.run(before) }),
    close: () => answer(() => {
      db.close()
      kept.clear()
    }),
  }
}

/** Everything of one step, or nothing of it. */
function writerOf(db: Database.Database): (commit: Commit) => void {
  const putSale = db.prepare(`INSERT INTO sale VALUES (@sale, @terminal, @charge, @phase, @state, @deadline, @at, @at)
    ON CONFLICT (id) DO UPDATE SET charge = @charge, phase = @phase, state = @state, deadline = @deadline, changed_at = @at`)
  const post = db.prepare(`INSERT INTO ledger VALUES (@key, @account, @minor, @currency, @sale, @terminal, @at)
    ON CONFLICT DO NOTHING`)
  const putWord = db.prepare('INSERT INTO outbox (topic, sealed) VALUES (?, ?)')
  const putReply = db.prepare('INSERT INTO reply VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING')
  const raise = db.prepare('UPDATE counter SET value = max(value, ?)')

  return db.transaction(({ sale, state, deadline, entries, words, at }: Commit) => {
    const { phase, terminal } = state
    const charge = state.phase === 'intent' ? null : state.charge
    putSale.run({ sale, terminal, charge, phase, state: JSON.stringify(state), deadline: deadline ?? null, at })
    for (const { key, currency, lines } of entries) {
      for (const line of lines) post.run({ key, ...line, currency, sale, terminal, at })
    }
    for (const word of words) {
      putWord.run(word.topic, word.sealed)
      if (word.re !== null) putReply.run(word.terminal, word.re, word.topic, word.sealed, at)
      raise.run(word.counter)
    }
  }).immediate
}

/** Only this file writes this column, and only from a State: the cast restores what JSON forgot. */
const readState = (json: string): State => JSON.parse(json) as State
