/**
 * The machine the gateway runs on: its database with its backups, its clock that may be wrong -- and on it, one process
 * after another, the real shell of cloud/ with its real effects, its real sweeper and its real store.
 */
import Database from 'better-sqlite3'
import { type ChargeEffects, createChargeEffects } from '../../cloud/charge-effects.js'
import type { Terms } from '../../cloud/charge.js'
import { createGateway, type Gateway } from '../../cloud/gateway.js'
import type { Omise } from '../../cloud/omise.js'
import { type Commit, type Store, storeOn } from '../../cloud/store.js'
import { createSweeper, type Sweeper } from '../../cloud/sweeper.js'
import type { Hint } from '../../cloud/webhook.js'
import { UpMessage } from '../../device/protocol/wire.js'
import type { Dice } from './dice.js'
import type { Engine, Life } from './engine.js'
import type { Faults } from './faults.js'
import type { Network } from './network.js'
import { keyOf, nameOf, openerOf, sealOf } from './toy-seal.js'

export interface HostPlan {
  readonly terms: Terms
  readonly sweepMs: number
  readonly sendExpiresAt: boolean
}

/** What it may wrap for a lie that the oracle must find. */
export interface HostBend {
  readonly effects?: (effects: ChargeEffects) => ChargeEffects
  readonly store?: (store: Store) => Store
  readonly omise?: (omise: Omise) => Omise
}

export interface HostOptions {
  readonly engine: Engine
  readonly faults: Faults
  readonly chance: Dice
  readonly network: Network
  readonly client: (life: Life) => Omise
  readonly epoch: number
  readonly plan: HostPlan
  readonly terminals: readonly string[]
  readonly keepsBackups: boolean
  readonly witness: {
    committed(commit: Commit): void
    /** Its records are those of an earlier moment. */
    restored(age: number): void
  }
  readonly bend: HostBend
}

export interface Host {
  start(): Promise<void>
  hint(hint: Hint): void
  kill(downMs: number): void
  /** Somebody starts a second one on the same database; it has the connection to the broker from then on. */
  startAnother(): void
  /** Gives up what it has for the oldest backup that is no older than this. */
  restore(maxAgeMs: number, downMs: number): void
  jump(ms: number): void
  /** Somebody sets its clock right. */
  setClock(): void
  /** The right time, and a process. */
  heal(): void
  /** An operator has looked, and makes a terminal known anew that was frozen. False when it was not. */
  thaw(terminal: string): Promise<boolean>
  /** For the oracle: what the gateway would read if it looked now. */
  store(): Store
  close(): void
}

const BACKUP_EVERY_MS = 600_000
const BACKUPS_KEPT = 8

export function createHost(options: HostOptions): Host {
  const { engine, faults, chance, network, client, epoch, plan, terminals, keepsBackups, witness, bend } = options
  const backups: { readonly at: number; readonly bytes: Buffer }[] = []
  /** Databases and stores live as long as the world: Node 24.19 and later abort when a statement is collected. */
  const kept: Database.Database[] = []
  const stores: Store[] = []
  let db = keep(new Database(':memory:'))
  let life: Life | undefined
  let running: { readonly gateway: Gateway; readonly sweeper: Sweeper } | undefined
  let offset = 0
  let starts = 0

  function keep(fresh: Database.Database): Database.Database {
    kept.push(fresh)
    return fresh
  }

  const open = (): Store => {
    const store = storeOn(db)
    stores.push(store)
    return store
  }

  /** The store as one process sees it: it ends with the process, perhaps between a commit and whatever follows it. */
  function storeFor(mine: Life): Store {
    const real = open()
    const never = new Promise<never>(() => undefined)
    const guarded = Object.fromEntries(Object.entries(real).map(([name, work]) =>
      // Every method of a store has this shape; what it returns goes through untouched.
      [name, (...told: unknown[]): unknown => (mine.alive ? (work as (...told: unknown[]) => unknown)(...told) : never)])) as unknown as Store
    return {
      ...guarded,
      async commit(commit) {
        if (!mine.alive) return never
        await real.commit(commit)
        witness.committed(commit)
        if (faults.strikes('gateway killed after a commit', 'gateway') === undefined) return
        if (mine === life) kill(chance.between(500, 10_000))
        else mine.alive = false
        await never
      },
    }
  }

  function boot(): void {
    if (life !== undefined) return
    const mine: Life = { name: `gateway#${++starts}`, alive: true }
    life = mine
    engine.note('gateway', 'boots', starts)
    const log = engine.log('gateway')
    const clock = {
      now: () => epoch + engine.now() + offset,
      // As setTimeout: a wait, that no change of the clock makes longer or shorter.
      alarm: (at: number, ring: () => void) => engine.after(Math.max(0, at - (epoch + engine.now() + offset)), 'gateway alarm', ring, mine),
    }
    const store = storeFor(mine)
    const bent = bend.store?.(store) ?? store
    const omise = bend.omise?.(client(mine)) ?? client(mine)
    const effects = createChargeEffects({
      omise, sendExpiresAt: plan.sendExpiresAt, log,
      codes: { warm: () => Promise.resolve(true), read: () => Promise.reject(new Error('codes come as text here')), close: () => Promise.resolve() },
    })
    const gateway = createGateway({
      store: bent, effects: bend.effects?.(effects) ?? effects, link: network.gatewayLink(mine), seal: sealOf('gateway'),
      createOpener: (key) => Promise.resolve(openerOf(UpMessage, [nameOf(key)])),
      terms: plan.terms, clock, log,
      fatal() {
        if (mine === life) kill(2_000)
        else mine.alive = false // Another one works on the database now.
      },
    })
    const sweeper = createSweeper({ omise, gateway, store: bent, clock, everyMs: plan.sweepMs, log })
    gateway.start().then(() => {
      if (!mine.alive) return
      sweeper.start()
      running = { gateway, sweeper }
    }, (error: unknown) => {
      engine.note('gateway', 'did not start', String(error))
      if (mine === life) kill(2_000)
    })
  }

  function kill(downMs: number): void {
    if (life === undefined) return
    engine.note('gateway', 'is killed')
    life.alive = false
    life = undefined
    running = undefined
    network.gatewayGone()
    engine.after(downMs, 'gateway restarts', boot)
  }

  function setClock(): void {
    offset = 0
    engine.note('gateway', 'clock is right')
  }

  function backUp(): void {
    backups.push({ at: engine.now(), bytes: db.serialize() })
    if (backups.length > BACKUPS_KEPT) backups.shift()
    engine.after(BACKUP_EVERY_MS, 'backup', backUp)
  }

  /** For whoever looks from outside. */
  let outside = open()
  const enrol = (id: string): Promise<void> => outside.addTerminal({ id, key: keyOf(id), passwordHash: '' }, epoch + engine.now())

  return {
    async thaw(terminal) {
      const isFrozen = (await outside.terminal(terminal))?.frozen != null
      if (isFrozen) await enrol(terminal)
      return isFrozen
    },
    async start() {
      for (const id of terminals) await enrol(id)
      if (keepsBackups) backUp()
      boot()
    },
    hint(hint) {
      const now = running
      // As main.ts has it; nobody hears a webhook while the process is away.
      now?.gateway.hint(hint)
        .then((known) => (known || hint.charge === undefined ? undefined : now.sweeper.lookAt(hint.charge)))
        .catch((error: unknown) => engine.note('gateway', 'webhook hint failed', String(error)))
    },
    kill,
    startAnother() {
      if (life === undefined) return
      life = undefined
      boot()
    },
    restore(maxAgeMs, downMs) {
      const backup = backups.find(({ at }) => at >= engine.now() - maxAgeMs)
      if (backup === undefined) return
      kill(downMs)
      engine.note('gateway', 'restored from a backup', engine.now() - backup.at)
      db = keep(new Database(backup.bytes))
      outside = open()
      witness.restored(engine.now() - backup.at)
    },
    jump(ms) {
      offset += Math.round(ms)
      engine.note('gateway', 'clock jumps', Math.round(ms))
    },
    setClock,
    heal() {
      setClock()
      engine.after(1_000, 'gateway restarts', boot)
    },
    store: () => outside,
    close() { for (const it of kept) it.close() },
  }
}
