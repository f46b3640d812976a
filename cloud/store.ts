/**
 * What the gateway must not forget: terminals, sales, the ledger, and words not yet said. One SQLite file.
 * `commit` writes a sale's new state, its ledger lines and its words together, or none of them.
 */
import Database from 'better-sqlite3'
import { Kysely, type Migration, Migrator, sql, SqliteDialect, type Transaction } from 'kysely'
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

interface Tables {
  terminal: { id: string; key: string; password_hash: string; enrolled_at: number }
  sale: { id: string; terminal: string; charge: string | null; phase: string; state: string; deadline: number | null; opened_at: number; changed_at: number }
  ledger: { key: string; account: string; minor: number; currency: string; sale: string; terminal: string; at: number }
  outbox: { seq?: number; topic: string; sealed: string }
  reply: { terminal: string; request: string; topic: string; sealed: string; at: number }
  counter: { one: 1; value: number }
}

const migrations: Record<string, Migration> = {
  '001 first tables': {
    async up(db: Kysely<Tables>) {
      const text = 'text', integer = 'integer'
      await db.schema.createTable('terminal').addColumn('id', text, (c) => c.primaryKey())
        .addColumn('key', text, (c) => c.notNull()).addColumn('password_hash', text, (c) => c.notNull())
        .addColumn('enrolled_at', integer, (c) => c.notNull()).execute()
      await db.schema.createTable('sale').addColumn('id', text, (c) => c.primaryKey())
        .addColumn('terminal', text, (c) => c.notNull()).addColumn('charge', text)
        .addColumn('phase', text, (c) => c.notNull()).addColumn('state', text, (c) => c.notNull())
        .addColumn('deadline', integer).addColumn('opened_at', integer, (c) => c.notNull())
        .addColumn('changed_at', integer, (c) => c.notNull()).execute()
      await db.schema.createIndex('sale_charge').on('sale').column('charge').execute()
      await db.schema.createIndex('sale_deadline').on('sale').column('deadline').execute()
      await db.schema.createTable('ledger').addColumn('key', text, (c) => c.notNull())
        .addColumn('account', text, (c) => c.notNull()).addColumn('minor', integer, (c) => c.notNull())
        .addColumn('currency', text, (c) => c.notNull()).addColumn('sale', text, (c) => c.notNull())
        .addColumn('terminal', text, (c) => c.notNull()).addColumn('at', integer, (c) => c.notNull())
        .addPrimaryKeyConstraint('ledger_once', ['key', 'account']).execute()
      await db.schema.createTable('outbox').addColumn('seq', integer, (c) => c.primaryKey().autoIncrement())
        .addColumn('topic', text, (c) => c.notNull()).addColumn('sealed', text, (c) => c.notNull()).execute()
      await db.schema.createTable('reply').addColumn('terminal', text, (c) => c.notNull())
        .addColumn('request', text, (c) => c.notNull()).addColumn('topic', text, (c) => c.notNull())
        .addColumn('sealed', text, (c) => c.notNull()).addColumn('at', integer, (c) => c.notNull())
        .addPrimaryKeyConstraint('reply_once', ['terminal', 'request']).execute()
      await db.schema.createTable('counter').addColumn('one', integer, (c) => c.primaryKey())
        .addColumn('value', integer, (c) => c.notNull()).execute()
      await db.insertInto('counter').values({ one: 1, value: 0 }).execute()
    },
  },
}

export async function openStore(file: string): Promise<Store> {
  const sqlite = openFile(file)
  const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: sqlite }) })
  const { error } = await new Migrator({ db, provider: { getMigrations: () => Promise.resolve(migrations) } }).migrateToLatest()
  if (error !== undefined) throw new Error(`the database ${file} could not be brought up to date`, { cause: error })
  return createStore(db)
}

function openFile(file: string): Database.Database {
  try {
    const sqlite = new Database(file)
    sqlite.pragma('journal_mode = WAL')
    sqlite.pragma('synchronous = FULL')
    sqlite.pragma('busy_timeout = 5000')
    return sqlite
  } catch (cause) {
    throw new Error(`the database ${file} cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

function createStore(db: Kysely<Tables>): Store {
  return {
    async addTerminal({ id, key, passwordHash }, at) {
      const row = { id, key: JSON.stringify(key), password_hash: passwordHash, enrolled_at: at }
      await db.insertInto('terminal').values(row).onConflict((oc) => oc.column('id').doUpdateSet(row)).execute()
    },
    async terminal(id) {
      const row = await db.selectFrom('terminal').selectAll().where('id', '=', id).executeTakeFirst()
      return row && { id, key: PublicKeyJson.parse(JSON.parse(row.key)), passwordHash: row.password_hash }
    },
    async sale(id) {
      const row = await db.selectFrom('sale').select('state').where('id', '=', id).executeTakeFirst()
      return row && readState(row.state)
    },
    async saleOfCharge(charge) {
      return (await db.selectFrom('sale').select('id').where('charge', '=', charge).executeTakeFirst())?.id
    },
    async openSales() {
      const rows = await db.selectFrom('sale').select(['id', 'deadline']).where('deadline', 'is not', null).execute()
      return rows.flatMap(({ id, deadline }) => (deadline === null ? [] : [{ sale: id, deadline }]))
    },
    reply: (terminal, request) =>
      db.selectFrom('reply').select(['topic', 'sealed']).where('terminal', '=', terminal).where('request', '=', request).executeTakeFirst(),
    commit: (commit) => db.transaction().execute((tx) => write(tx, commit)),
    async outbox(limit) {
      const rows = await db.selectFrom('outbox').selectAll().orderBy('seq').limit(limit).execute()
      return rows.flatMap(({ seq, topic, sealed }) => (seq === undefined ? [] : [{ seq, topic, sealed }]))
    },
    async said(throughSeq) {
      await db.deleteFrom('outbox').where('seq', '<=', throughSeq).execute()
    },
    async counter() {
      return (await db.selectFrom('counter').select('value').executeTakeFirst())?.value ?? 0
    },
    async ledger(sale) {
      const all = db.selectFrom('ledger').select(['key', 'account', 'minor', 'currency', 'sale']).orderBy('at')
      const rows = await (sale === undefined ? all : all.where('sale', '=', sale)).execute()
      return rows.map((row) => ({ ...row, account: row.account as Line['account'] })) // Only Line accounts are ever written.
    },
    async prune(before) {
      await db.deleteFrom('reply').where('at', '<', before).execute()
    },
    close: () => db.destroy(),
  }
}

async function write(tx: Transaction<Tables>, { sale, state, deadline, entries, words, at }: Commit): Promise<void> {
  const now = {
    phase: state.phase, state: JSON.stringify(state), deadline: deadline ?? null, changed_at: at,
    charge: state.phase === 'intent' ? null : state.charge,
  }
  await tx.insertInto('sale').values({ id: sale, terminal: state.terminal, opened_at: at, ...now })
    .onConflict((oc) => oc.column('id').doUpdateSet(now)).execute()
  for (const { key, currency, lines } of entries) {
    await tx.insertInto('ledger')
      .values(lines.map((line) => ({ key, ...line, currency, sale, terminal: state.terminal, at })))
      .onConflict((oc) => oc.columns(['key', 'account']).doNothing()).execute()
  }
  for (const { topic, sealed, terminal, re, counter } of words) {
    await tx.insertInto('outbox').values({ topic, sealed }).execute()
    if (re !== null) {
      await tx.insertInto('reply').values({ terminal, request: re, topic, sealed, at })
        .onConflict((oc) => oc.columns(['terminal', 'request']).doNothing()).execute()
    }
    await tx.updateTable('counter').set({ value: sql`max(value, ${counter})` }).execute()
  }
}

/** Only this file writes this column, and only from a State: the cast restores what JSON forgot. */
const readState = (json: string): State => JSON.parse(json) as State
