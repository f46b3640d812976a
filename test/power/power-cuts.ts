/**
 * Power cuts. A writer in a process of its own acknowledges what it wrote; its disk loses power; what is found on the
 * disk afterwards must hold every acknowledged record, and must never look damaged. Four kinds of cut:
 *
 *   stopped      the writer is stopped between two system calls, and what had reached the device is looked at
 *   in a write   the file system is shut down at a random moment, in the middle of whatever is being written
 *   recovering   the same again, while the next life opens the file; and 'first opening', on an empty disk
 *   unsynced     the first two, with a writer that does not wait for the medium: it must be caught
 *
 *   node dist/test/power/power-cuts.js [--cuts 200] [--seed N]
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Posted, replay } from '../../cloud/ledger.js'
import { openStore, type Store } from '../../cloud/store.js'
import { openJournal } from '../../device/journal.js'
import { type Chance, createChance } from './chance.js'
import { type Disk, openScratch, raiseAxe, type Scratch } from './disk.js'
import { DIES_WITH_ITS_PARENT, lacking, withOwnMounts } from './machine.js'
import { createReport, type Report } from './report.js'
import { countOf, type Kind, recordOf, requestOf, saleOf, sealedOf } from './writer.js'

const WRITER = fileURLToPath(new URL('writer.js', import.meta.url))
const DISK_MEGABYTES = 64
/** A disk that lived through so many lives is replaced: its file would grow for ever. */
const LIVES_A_DISK = 8
const COPIES_A_LIFE = 2
/** The copies, one in a write, one in the recovery after it, one on an empty disk. */
const CUTS_A_LIFE = COPIES_A_LIFE + 3
/** Long enough for SQLite to bring its log home once or twice. */
const LIFE_MS_MAX = 250
/** From 'opening' on the file is open within a few milliseconds. */
const RECOVERY_MS_MAX = 8

type Cut = 'stopped' | 'in a write' | 'recovering' | 'first opening'
type How = 'synced' | 'unsynced'

interface Tally { cuts: number; lost: number; most: number; damaged: number; early: number }

async function cutEverything(cuts: number, seed: number, report: Report): Promise<void> {
  const scratch = await openScratch(1_024)
  const kinds: readonly Kind[] = ['journal', 'store']
  await Promise.all(kinds.map(async (kind, lane) => {
    const chance = createChance(seed + lane)
    const synced = createLine(kind, 'synced', scratch, chance, report)
    const lives = Math.ceil(cuts / kinds.length / CUTS_A_LIFE)
    for (let life = 0; life < lives; life++) await synced.live()
    tell(report, kind, 'synced', synced.tallies)
    const unsynced = createLine(kind, 'unsynced', scratch, chance, report)
    for (let life = 0; life < Math.max(3, lives / 5); life++) await unsynced.live()
    tell(report, kind, 'unsynced', unsynced.tallies)
  }))
}

function tell(to: Report, kind: Kind, how: How, tallies: ReadonlyMap<Cut, Tally>): void {
  for (const [cut, { cuts, lost, most, damaged, early }] of tallies) {
    const what = how === 'synced' ? `${kind}, ${cut}` : `${kind}, ${cut}, unsynced on purpose`
    to.row(what, {
      cuts, 'records, at most': most, 'cuts that lost some': lost, damaged,
      ...(cut === 'recovering' || cut === 'first opening' ? { 'cut before it was open': early } : {}),
    })
    if (how === 'unsynced' && (lost + damaged) * 2 < cuts) {
      to.violation('B1', `${what}: only ${lost + damaged} of ${cuts} cuts have caught it, so the others prove nothing`)
    }
    if (most === 0 && cut !== 'first opening') to.violation('B1', `${what}: nothing was acknowledged before these cuts`)
  }
}

interface Line { readonly tallies: ReadonlyMap<Cut, Tally>; live(): Promise<void> }

/** One writer after another on the same file, each of which ends with its power cut. */
function createLine(kind: Kind, how: How, scratch: Scratch, chance: Chance, report: Report): Line {
  const tallies = new Map<Cut, Tally>()
  const name = `${kind}-${how}`
  const saidFile = join(scratch.folder, `${name}.said`)
  let disk: Disk | undefined
  let lives = 0
  let acknowledged = NOTHING

  function tallyOf(cut: Cut): Tally {
    const tally = tallies.get(cut) ?? { cuts: 0, lost: 0, most: 0, damaged: 0, early: 0 }
    tallies.set(cut, tally)
    return tally
  }

  /** Opens what a cut has left, as the next life of the program would. */
  async function look(on: Disk | undefined, cut: Cut, acknowledged: Acknowledged): Promise<void> {
    const at = await on?.mount()
    if (at === undefined) return
    const file = join(at.folder, 'records.sqlite')
    const found = await (kind === 'journal' ? findInJournal(file, acknowledged) : findInStore(file, acknowledged))
    const tally = tallyOf(cut)
    tally.cuts++
    tally.most = Math.max(tally.most, acknowledged.count)
    if (found.lost !== undefined) tally.lost++
    if (found.damaged !== undefined) tally.damaged++
    await at.unmount()
    if (how === 'unsynced') return
    if (found.lost !== undefined) report.violation('P1', `${kind}, cut ${cut}: ${found.lost}`)
    if (found.damaged !== undefined) report.violation('P3', `${kind}, cut ${cut}, on an honest medium: ${found.damaged}`)
  }

  async function copies(writer: Writer): Promise<void> {
    for (let copy = 0; copy < COPIES_A_LIFE; copy++) {
      await pause(chance.between(1, LIFE_MS_MAX / (COPIES_A_LIFE + 1)))
      await writer.stop()
      acknowledged = merge(acknowledged, writer.acknowledged())
      const copied = await disk?.copy(`${name}.copy`)
      writer.goOn()
      await look(copied, 'stopped', acknowledged)
    }
  }

  /** Opens the file, and loses power meanwhile. */
  async function cutTheOpening(on: Disk, cut: Cut): Promise<Acknowledged> {
    const at = await on.mount()
    const axe = await raiseAxe(at, saidFile)
    const reader = startWriter(kind, join(at.folder, 'records.sqlite'), 'recovering', saidFile)
    await reader.said('opening')
    const saidBytes = await axe.fell(chance.next() * RECOVERY_MS_MAX)
    await reader.kill()
    if (!reader.hasSaid('open ', saidBytes)) tallyOf(cut).early++
    await at.unmount()
    return reader.acknowledged(saidBytes)
  }

  return {
    tallies,
    async live() {
      if (disk === undefined || lives++ % LIVES_A_DISK === 0 || how === 'unsynced') {
        disk = await scratch.makeDisk(`${name}.image`, DISK_MEGABYTES)
        acknowledged = NOTHING
      }
      const at = await disk.mount()
      const axe = await raiseAxe(at, saidFile)
      const writer = startWriter(kind, join(at.folder, 'records.sqlite'), how, saidFile)
      await writer.said('open ')
      await copies(writer)
      const saidBytes = await axe.fell(chance.next() * LIFE_MS_MAX / (COPIES_A_LIFE + 1))
      await writer.kill()
      acknowledged = merge(acknowledged, writer.acknowledged(saidBytes))
      await at.unmount()

      await look(await disk.copy(`${name}.copy`), 'in a write', acknowledged)
      if (how === 'unsynced') return
      acknowledged = merge(acknowledged, await cutTheOpening(disk, 'recovering'))
      await look(await disk.copy(`${name}.copy`), 'recovering', acknowledged)
      const empty = await scratch.makeDisk(`${name}.empty`, DISK_MEGABYTES)
      await look(empty, 'first opening', await cutTheOpening(empty, 'first opening'))
    },
  }
}

interface Acknowledged {
  readonly count: number
  readonly epoch: number
  /** Said at all, also when the power had gone: only what comes after the next one was written by nobody. */
  readonly said: number
}

const NOTHING: Acknowledged = { count: 0, epoch: 0, said: 0 }

const merge = (a: Acknowledged, b: Acknowledged): Acknowledged =>
  ({ count: Math.max(a.count, b.count), epoch: Math.max(a.epoch, b.epoch), said: Math.max(a.said, b.said) })

interface Found { readonly lost?: string; readonly damaged?: string }

async function findInJournal(file: string, { count, epoch, said }: Acknowledged): Promise<Found> {
  try {
    const journal = openJournal(file, Date.now())
    const last = journal.last()
    journal.close()
    if (journal.damaged !== undefined) return { damaged: journal.damaged }
    const found = last.phase === 'presenting' ? last.offer.counter : 0
    if (found < count) return { lost: `record ${count} was acknowledged, ${found} is the last one there` }
    if (found > said + 1) return { damaged: `record ${found} is there, nobody wrote it` }
    if (found > 0 && JSON.stringify(last) !== JSON.stringify(recordOf(found))) {
      return { damaged: `record ${found} is not as it was written` }
    }
    if (journal.epoch <= epoch) return { lost: `boot ${epoch} was, this one is ${journal.epoch}` }
    return {}
  } catch (error) {
    return { damaged: String(error) }
  }
}

async function findInStore(file: string, acknowledged: Acknowledged): Promise<Found> {
  try {
    const store = await openStore(file)
    try {
      return await findCommits(store, acknowledged)
    } finally {
      await store.close()
    }
  } catch (error) {
    return { damaged: String(error) }
  }
}

/** Every acknowledged commit, and of one that was not acknowledged all of it or nothing. */
async function findCommits(store: Store, { count, said }: Acknowledged): Promise<Found> {
  const entries: Posted[] = []
  for await (const entry of store.entries()) entries.push(entry)
  const chain = await replay(entries)
  if (!chain.ok) return { damaged: `ledger entry ${chain.seq} ${chain.fault}` }
  const posted = new Set(entries.map(({ sale }) => countOf(sale)))
  for (let one = 1; one <= count; one++) {
    if (!posted.has(one)) return { lost: `commit ${one} of ${count} acknowledged ones is not in the ledger` }
  }
  const beyond = Math.max(0, ...posted)
  if (beyond > said + 1) return { damaged: `commit ${beyond} is there, nobody made it` }
  for (let one = Math.max(count, 1); one <= said + 1; one++) {
    const parts = [
      posted.has(one),
      (await store.sale(saleOf(one)))?.phase === 'paid',
      (await store.reply('T-1', requestOf(one)))?.sealed === sealedOf(one),
      await store.counter() >= one,
    ]
    if (parts.some((part) => part !== posted.has(one))) return { damaged: `commit ${one} is there in part: ${parts.join(', ')}` }
  }
  return {}
}

interface Writer {
  /** Resolves when it said a line that begins so. */
  said(beginning: string): Promise<void>
  hasSaid(beginning: string, bytes: number): boolean
  /** In the first so many bytes of what it said. */
  acknowledged(bytes?: number): Acknowledged
  /** Resolves when not one of its threads runs any more. */
  stop(): Promise<void>
  goOn(): void
  kill(): Promise<void>
}

/** What it says goes to a file beside the disk: it is there the moment it was said. */
function startWriter(kind: Kind, file: string, how: How | 'recovering', saidFile: string): Writer {
  const said = openSync(saidFile, 'w')
  const command = [...DIES_WITH_ITS_PARENT, process.execPath, WRITER, kind, file, how]
  const writer = spawn('setpriv', command, { stdio: ['ignore', said, 'ignore'] })
  closeSync(said)
  const gone = once(writer, 'exit')
  const lines = (bytes?: number): readonly string[] => readFileSync(saidFile, 'latin1').slice(0, bytes).split('\n').slice(0, -1)
  return {
    async said(beginning) {
      while (!lines().some((line) => line.startsWith(beginning))) {
        if (writer.exitCode !== null) throw new Error(`the writer ended before it said "${beginning}"`)
        await pause(1)
      }
    },
    hasSaid: (beginning, bytes) => lines(bytes).some((line) => line.startsWith(beginning)),
    acknowledged: (bytes) => ({
      count: lastNumber(lines(bytes)),
      epoch: Number(lines(bytes).find((line) => line.startsWith('open '))?.slice('open '.length) ?? 0),
      said: lastNumber(lines()),
    }),
    async stop() {
      writer.kill('SIGSTOP')
      while (!isStopped(writer)) await pause(1)
    },
    goOn: () => { writer.kill('SIGCONT') },
    async kill() {
      writer.kill('SIGKILL')
      await gone
    },
  }
}

const lastNumber = (lines: readonly string[]): number => Number(lines.findLast((line) => /^[0-9]+$/.test(line)) ?? 0)

function isStopped({ pid }: ChildProcess): boolean {
  const tasks = `/proc/${pid}/task`
  return readdirSync(tasks).every((task) => /\) [Tt] /.test(readFileSync(join(tasks, task, 'stat'), 'latin1')))
}

const { values } = parseArgs({ options: { cuts: { type: 'string', default: '200' }, seed: { type: 'string' } } })
const seed = Number(values.seed ?? Date.now() % 1_000_000)
const report = createReport(`power cuts (seed ${seed})`)
const missing = lacking(['mounts'])
if (missing === undefined) {
  await withOwnMounts()
  await cutEverything(Number(values.cuts), seed, report)
} else report.notRun('power cuts', missing)
report.end()
