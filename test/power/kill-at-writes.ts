/**
 * SIGKILL at every write. The real terminal is killed at each system call by which it changes its journal, in turn: while
 * it boots on an empty disk, while it makes a sale and stops, while it comes back to a sale that was cut off. The same
 * for the gateway and its database. After each kill everything starts again without faults, and must settle: nothing
 * that was journalled or said is lost, and terminal, ledger, bank and panel agree.
 *
 *   node dist/test/power/kill-at-writes.js [--every 1] [--most N] [--lanes 3] [--only terminal|gateway] [--keep]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { atMost, type Campaign, failGateways, failTerminals, type Run } from './campaign.js'
import { lacking } from './machine.js'
import { createReport, quantile, type Report } from './report.js'
import { type Fault, writesIn } from './tracer.js'

/** At every sync and right after it, where one state of the file ends and the next begins; of the others every so-manieth. */
const killsIn = (trace: string, every: number): readonly Fault[] => writesIn(trace)
  .filter(({ call }, index, all) => isSync(call) || isSync(all[index - 1]?.call) || index % every === 0)
  .map((write) => ({ ...write, what: 'SIGKILL' }))

const isSync = (call: string | undefined): boolean => call === 'fsync' || call === 'fdatasync'

interface Task {
  readonly folder: string
  /** Of the writes between two syncs, every so-manieth. */
  readonly every: number
  /** Kills in a scene. */
  readonly most: number
  readonly lanes: number
  readonly only: string | undefined
  readonly report: Report
}

interface Tally { kills: number; ranThrough: number; readonly readyMs: number[] }

async function killAtWrites({ folder, every, most, lanes, only, report }: Task): Promise<void> {
  const tallies = new Map<string, Tally>()
  const tallyOf = ({ who, scene }: Run): Tally => {
    const tally = tallies.get(`${who}, ${scene}`) ?? { kills: 0, ranThrough: 0, readyMs: [] }
    tallies.set(`${who}, ${scene}`, tally)
    return tally
  }
  const campaign: Campaign = {
    folder, report, lanes,
    faultsIn: (trace) => atMost(killsIn(trace, every), most),
    async judge(run) {
      if ((await run.life.ended).signal === 'SIGKILL') tallyOf(run).kills++
      else tallyOf(run).ranThrough++ // It wrote less than in the rehearsal.
    },
    back: (run, readyMs) => { tallyOf(run).readyMs.push(readyMs) },
  }
  if (only !== 'gateway') await failTerminals(campaign)
  if (only !== 'terminal') await failGateways(campaign)
  for (const [what, { kills, ranThrough, readyMs }] of tallies) {
    if (kills <= ranThrough) report.violation('B1', `${what}: killed ${kills} times, and ran through ${ranThrough} times`)
    const times = { 'ready again, median ms': quantile(readyMs, 0.5), 'at most ms': quantile(readyMs, 1) }
    report.row(what, { kills, 'ran through': ranThrough, ...times })
  }
}

const { values } = parseArgs({
  options: {
    every: { type: 'string', default: '1' }, most: { type: 'string', default: 'Infinity' },
    lanes: { type: 'string', default: '3' }, only: { type: 'string' }, keep: { type: 'boolean', default: false },
  },
})
const report = createReport('SIGKILL at every write')
const missing = lacking(['strace'])
if (missing === undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'plinth-writes-'))
  const { every, most, lanes, only } = values
  await killAtWrites({ folder, every: Number(every), most: Number(most), lanes: Number(lanes), only, report })
  if (values.keep) console.log(`kept: ${folder}`)
  else rmSync(folder, { recursive: true, force: true })
} else report.notRun('SIGKILL at every write', missing)
report.end()
