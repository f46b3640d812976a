/**
 * A terminal's disk, and the journal on it behind the same promise as device/journal.ts. The disk outlives the process;
 * what an unlucky cut, a worn card or a thief does to it is done here.
 */
import type { Journal } from '../../device/journal.js'
import type { Recorded } from '../../device/sale.js'

/** What becomes of one record: written; or refused with an error, or cut short by the power -- each with or without being kept. */
export type Writing = 'written' | 'refused' | 'refused but kept' | 'cut' | 'cut but kept'

export interface DiskOptions {
  /** Asked before each record. */
  readonly writing: (recorded: Recorded) => Writing
  /** Called in the middle of a record: nobody will take its answer. */
  readonly cutPower: () => void
  /** A record is on the medium. */
  readonly written: (recorded: Recorded) => void
}

export interface Disk {
  /** As openJournal does; `isAlive` says whether the process that opened it still runs. */
  open(isAlive: () => boolean): Journal
  /** What stands on it now. */
  last(): Recorded
  /** The newest acknowledged records are gone: the card had only said that it wrote them. */
  forget(records: number): void
  wipe(): void
  /** The next opening finds its log damaged and keeps it aside; with `everything` the copy of the newest record is gone too. */
  damage(what: 'log' | 'everything'): void
  copyTo(other: Disk): void
  /** For copyTo only. */
  restore(records: readonly string[], boots: number): void
}

const RECORDS_KEPT = 8

class WriteFailed extends Error {
  override readonly name = 'WriteFailed'
  readonly code = 'SQLITE_IOERR_FSYNC'
}

export function createDisk({ writing, cutPower, written }: DiskOptions): Disk {
  let records: string[] = []
  let boots = 0
  let damaged: 'log' | 'everything' | undefined

  const last = (): Recorded => {
    const json = records.at(-1)
    // Only this file writes it, and only from a Recorded.
    return json === undefined ? { phase: 'idle' } : JSON.parse(json) as Recorded
  }
  const keep = (recorded: Recorded): void => {
    records.push(JSON.stringify(recorded))
    if (records.length > RECORDS_KEPT) records.shift()
    written(recorded)
  }

  const disk: Disk = {
    last,
    open(isAlive) {
      const aside = damaged === undefined ? undefined : 'journal.damaged'
      if (damaged === 'everything') disk.wipe()
      damaged = undefined
      boots++
      return {
        epoch: boots,
        damaged: aside,
        forgot: records.length === 0,
        last,
        record(recorded) {
          if (!isAlive()) return
          switch (writing(recorded)) {
            case 'written': return keep(recorded)
            case 'cut': return cutPower()
            case 'cut but kept':
              keep(recorded)
              return cutPower()
            case 'refused': throw new WriteFailed('disk I/O error')
            case 'refused but kept':
              keep(recorded)
              throw new WriteFailed('disk I/O error')
          }
        },
        close: () => undefined,
      }
    },
    forget(count) { records = records.slice(0, -count || undefined) },
    wipe() {
      records = []
      boots = 0
    },
    damage(what) { damaged = what },
    copyTo: (other) => other.restore(records, boots),
    restore(from, bootsBefore) {
      records = [...from]
      boots = bootsBefore
    },
  }
  return disk
}
