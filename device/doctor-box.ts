/**
 * What the terminal needs of its box beside hardware: a clock that is not absurd, and a folder for its journal that is its own,
 * has room, and has what it is given on the medium soon.
 */
import { access, mkdtemp, open, rm, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { bad, type Finding, good, type Probe, sentenceOf, unsure } from '../drivers/finding.js'

const QUICK_MS = 5_000
const DISK_MS = 30_000

// -- Clock --------------------------------------------------------------------------------------------------------------

export interface TimeTold {
  /** Milliseconds since 1970. */
  readonly wallMs: number
  /** systemd's mark of a clock that was set by a time server since the start. */
  readonly synchronised: boolean
}

const YEAR_MIN = 2026
const YEAR_MAX = 2100

export function clockFinding({ wallMs, synchronised }: TimeTold): Finding {
  const year = new Date(wallMs).getUTCFullYear()
  const says = `it is ${new Date(wallMs).toISOString().slice(0, 19)}Z`
  const fix = 'sudo timedatectl set-ntp true, and let UDP port 123 out; a board without a battery has no time before that'
  if (!(year >= YEAR_MIN && year <= YEAR_MAX)) return bad('clock', `${says}, which it is not`, fix)
  return synchronised ? good('clock', `${says}, by a time server`) : unsure('clock', `${says}; nothing says that a time server set it`, fix)
}

export const clockProbe = (wallMs: () => number, root = '/'): Probe => ({
  check: 'clock', limitMs: QUICK_MS,
  run: async () => [clockFinding({
    wallMs: wallMs(), synchronised: await access(join(root, 'run/systemd/timesync/synchronized')).then(() => true, () => false),
  })],
})

// -- Disk ---------------------------------------------------------------------------------------------------------------

/** What is asked of the medium under the journal. */
export interface Disk {
  /** How long each of some small writes took to be on it, in milliseconds. */
  syncsMs(folder: string): Promise<readonly number[]>
  freeBytes(folder: string): Promise<number>
}

const SYNCS = 15
const SYNC_MS_GOOD = 50
const SYNC_MS_MAX = 1_000
const FREE_MB = 200
const FREE_MB_MIN = 20

export const diskProbe = (journal: string, disk: Disk): Probe => ({
  check: 'disk', limitMs: DISK_MS,
  async run() {
    const folder = dirname(journal)
    const measured = await disk.syncsMs(folder).then((times) => syncFinding(times, folder), (error: unknown) =>
      bad('disk sync', `the journal's folder ${folder} takes no file: ${sentenceOf(error)}`, 'give it to the terminal\'s user, and mount the medium writable'))
    return [measured, freeFinding(await disk.freeBytes(folder), folder)]
  },
})

function syncFinding(times: readonly number[], folder: string): Finding {
  const median = times.toSorted((a, b) => a - b)[times.length >> 1] ?? Infinity
  const says = `a write is on the medium of ${folder} in ${median.toFixed(1)} ms (median of ${times.length})`
  const fix = 'every step of a sale waits for it: take a better card (A2 or industrial), or put the journal on a USB SSD'
  return median <= SYNC_MS_GOOD ? good('disk sync', says) : median <= SYNC_MS_MAX ? unsure('disk sync', says, fix) : bad('disk sync', says, fix)
}

function freeFinding(bytes: number, folder: string): Finding {
  const mb = bytes / 1e6
  const says = `${mb.toFixed(0)} MB are free in ${folder}`
  const fix = `make room: at least ${FREE_MB} MB (journalctl --vacuum-size=50M, old pictures, old logs)`
  return mb >= FREE_MB ? good('disk space', says) : mb >= FREE_MB_MIN ? unsure('disk space', says, fix) : bad('disk space', says, fix)
}

export const realDisk: Disk = {
  async syncsMs(folder) {
    const own = await mkdtemp(join(folder, '.doctor-'))
    try {
      const file = await open(join(own, 'sync'), 'w')
      try {
        const times: number[] = []
        for (let write = 0; write < SYNCS; write++) {
          const from = performance.now()
          await file.write(Buffer.alloc(512, write), 0, 512, write * 512)
          await file.datasync()
          times.push(performance.now() - from)
        }
        return times
      } finally {
        await file.close()
      }
    } finally {
      await rm(own, { recursive: true, force: true })
    }
  },
  async freeBytes(folder) {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  },
}

/** Root would make files there that the terminal could not open: then nothing is made. */
export async function isOthersFolder(journal: string, uid: number): Promise<boolean> {
  const owner = await stat(dirname(journal)).then((folder) => folder.uid, () => uid)
  return uid === 0 && owner !== 0
}
