/**
 * What the sandbox remembers, in SQLite: every acknowledged change is on disk (WAL, synchronous=FULL), so a power cut at
 * any moment loses nothing that was answered. Objects are kept as JSON beside the few columns that are searched.
 */
import Database from 'better-sqlite3'
import type { ChargeRecord, DeliveryRecord, EventRecord, Moment, RefundRecord, SourceRecord } from './objects.js'
import type { Page } from './requests.js'

/** What one step changes, all of it or nothing. */
export interface Change {
  readonly source?: SourceRecord
  readonly charge?: ChargeRecord
  readonly refund?: RefundRecord
  readonly event?: EventRecord
}

export interface Listed<T> {
  readonly data: readonly T[]
  readonly total: number
}

export interface State {
  commit(change: Change): void
  recordDelivery(delivery: DeliveryRecord): void
  source(id: string): SourceRecord | undefined
  charge(id: string): ChargeRecord | undefined
  chargeOfPayload(payload: string): ChargeRecord | undefined
  /** Pending charges whose time is up, the oldest first, at most 100. */
  due(now: Moment): readonly ChargeRecord[]
  /** When the next pending charge expires. */
  nextExpiry(): Moment | undefined
  refunds(charge: string): readonly RefundRecord[]
  event(id: string): EventRecord | undefined
  deliveries(event: string): readonly DeliveryRecord[]
  listCharges(page: Page): Listed<ChargeRecord>
  listRefunds(page: Page, charge?: string): Listed<RefundRecord>
  listEvents(page: Page, charge?: string): Listed<EventRecord>
  setting(name: 'webhook uri'): string | undefined
  changeSetting(name: 'webhook uri', value: string): void
  close(): void
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS sources    (seq INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, json TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS charges    (seq INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, charge TEXT NOT NULL,
                                         created_at INTEGER NOT NULL, status TEXT NOT NULL, expires_at INTEGER NOT NULL,
                                         payload TEXT UNIQUE NOT NULL, json TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS refunds    (seq INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, charge TEXT NOT NULL,
                                         created_at INTEGER NOT NULL, json TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS events     (seq INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, charge TEXT NOT NULL,
                                         created_at INTEGER NOT NULL, json TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS deliveries (seq INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, event TEXT NOT NULL,
                                         json TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS settings   (name TEXT PRIMARY KEY, value TEXT NOT NULL);
  CREATE INDEX IF NOT EXISTS charges_pending    ON charges (expires_at) WHERE status = 'pending';
  CREATE INDEX IF NOT EXISTS charges_created    ON charges (created_at);
  CREATE INDEX IF NOT EXISTS refunds_charge     ON refunds (charge);
  CREATE INDEX IF NOT EXISTS events_charge      ON events (charge);
  CREATE INDEX IF NOT EXISTS events_created     ON events (created_at);
  CREATE INDEX IF NOT EXISTS deliveries_event   ON deliveries (event);
  PRAGMA user_version = 1;
`

const DUE_MAX = 100

/** `file` may be ':memory:'. Throws when it is not a database of this sandbox. */
export function openState(file: string): State {
  const db = new Database(file, { timeout: 2_000 })
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  const userVersion = db.prepare<[], number>('PRAGMA user_version').pluck()
  const kept = new Set<unknown>([userVersion]) // Node 24.19 and later abort when a statement of this library is collected.
  const version = userVersion.get()
  if (version !== 0 && version !== 1) throw new Error(`${file} was written by another version of the sandbox (${String(version)})`)
  db.exec(SCHEMA)

  // The rows below were written by this file, so their JSON is what it was.
  const one = <T>(sql: string) => {
    const statement = db.prepare<[string], { json: string }>(sql)
    return (key: string): T | undefined => {
      const row = statement.get(key)
      return row === undefined ? undefined : (JSON.parse(row.json) as T)
    }
  }
  const all = <T>(sql: string) => {
    const statement = db.prepare<[string | number], { json: string }>(sql)
    return (key: string | number): readonly T[] => statement.all(key).map(({ json }) => JSON.parse(json) as T)
  }
  const putSource = db.prepare('INSERT INTO sources (id, json) VALUES (@id, @json) ON CONFLICT (id) DO UPDATE SET json = @json')
  const putCharge = db.prepare(`INSERT INTO charges (id, charge, created_at, status, expires_at, payload, json)
    VALUES (@id, @id, @createdAt, @status, @expiresAt, @payload, @json)
    ON CONFLICT (id) DO UPDATE SET status = @status, expires_at = @expiresAt, json = @json`)
  const putRefund = db.prepare('INSERT INTO refunds (id, charge, created_at, json) VALUES (@id, @charge, @createdAt, @json)')
  const putEvent = db.prepare('INSERT INTO events (id, charge, created_at, json) VALUES (@id, @charge, @createdAt, @json)')
  const putDelivery = db.prepare('INSERT INTO deliveries (id, event, json) VALUES (@id, @event, @json)')
  const putSetting = db.prepare('INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value')
  const settingOf = db.prepare<[string], { value: string }>('SELECT value FROM settings WHERE name = ?')
  const nextExpiry = db.prepare<[], { at: number | null }>("SELECT MIN(expires_at) AS at FROM charges WHERE status = 'pending'")

  const commit = db.transaction(({ source, charge, refund, event }: Change) => {
    if (source !== undefined) putSource.run({ id: source.id, json: JSON.stringify(source) })
    if (charge !== undefined) {
      const { id, createdAt, expiresAt, payload, state } = charge
      putCharge.run({ id, createdAt, expiresAt, payload, status: state.status, json: JSON.stringify(charge) })
    }
    if (refund !== undefined) putRefund.run({ ...dated(refund), json: JSON.stringify(refund) })
    if (event !== undefined) putEvent.run({ ...dated(event), json: JSON.stringify(event) })
  })

  return {
    commit: (change) => commit.immediate(change),
    recordDelivery: (delivery) =>
      void putDelivery.run({ id: delivery.id, event: delivery.event, json: JSON.stringify(delivery) }),
    source: one('SELECT json FROM sources WHERE id = ?'),
    charge: one('SELECT json FROM charges WHERE id = ?'),
    chargeOfPayload: one('SELECT json FROM charges WHERE payload = ?'),
    due: all(`SELECT json FROM charges WHERE status = 'pending' AND expires_at <= ? ORDER BY expires_at LIMIT ${DUE_MAX}`),
    nextExpiry: () => nextExpiry.get()?.at ?? undefined,
    refunds: all('SELECT json FROM refunds WHERE charge = ? ORDER BY seq'),
    event: one('SELECT json FROM events WHERE id = ?'),
    deliveries: all('SELECT json FROM deliveries WHERE event = ? ORDER BY seq'),
    listCharges: listOf(db, 'charges'),
    listRefunds: listOf(db, 'refunds'),
    listEvents: listOf(db, 'events'),
    setting: (name) => settingOf.get(name)?.value,
    changeSetting: (name, value) => void putSetting.run(name, value),
    close() {
      db.close()
      kept.clear()
    },
  }
}

const dated = ({ id, charge, createdAt }: RefundRecord | EventRecord) => ({ id, charge, createdAt })

/** A page of one table in the order of creation; `from` and `to` are whole seconds as the API shows them, both inclusive. */
function listOf<T>(db: Database.Database, table: 'charges' | 'refunds' | 'events') {
  const where = 'created_at >= @from AND created_at < @until AND (@charge IS NULL OR charge = @charge)'
  const count = db.prepare<[object], { total: number }>(`SELECT COUNT(*) AS total FROM ${table} WHERE ${where}`)
  const rows = (direction: 'ASC' | 'DESC') =>
    db.prepare<[object], { json: string }>(`SELECT json FROM ${table} WHERE ${where} ORDER BY seq ${direction} LIMIT @limit OFFSET @offset`)
  const inOrder = { chronological: rows('ASC'), reverse_chronological: rows('DESC') }
  return (page: Page, charge?: string): Listed<T> => {
    const wanted = {
      from: Math.floor(page.from / 1_000) * 1_000,
      until: Math.floor(page.to / 1_000) * 1_000 + 1_000,
      charge: charge ?? null,
    }
    const found = inOrder[page.order].all({ ...wanted, limit: page.limit, offset: page.offset })
    return { data: found.map(({ json }) => JSON.parse(json) as T), total: count.get(wanted)?.total ?? 0 }
  }
}
