/**
 * Disks that fail, under the terminal and under the gateway. In every scene one write in the middle is answered with EIO
 * or ENOSPC (strace); and the whole disk, a real ext4, is full, turns read-only or is gone. The terminal must take its
 * code off the panel, say why in its log and end with an error, or be none the worse; the gateway must not say what it
 * could not write. When the disk is mended everything must settle, and nothing that was journalled or said may be lost.
 *
 *   node dist/test/power/disk-faults.js [--every 8] [--most N] [--lanes 3] [--only terminal|gateway] [--keep]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { breakGateways, breakTerminals } from './broken-disks.js'
import { atMost, type Campaign, failGateways, failTerminals } from './campaign.js'
import { openScratch } from './disk.js'
import { createJudge, type Judge } from './disk-judge.js'
import { lacking, withOwnMounts } from './machine.js'
import { createReport, type Report } from './report.js'
import { type Fault, wasInjected, writesIn } from './tracer.js'

/** EIO at every so-manieth write of a scene, ENOSPC at half as many of those that need room. */
function faultsIn(trace: string, every: number): readonly Fault[] {
  const writes = writesIn(trace)
  const growing = writes.filter(({ call }) => call === 'pwrite64' || call === 'ftruncate')
  return [
    ...writes.filter((_, index) => index % every === every >> 1).map((write) => ({ ...write, what: 'EIO' as const })),
    ...growing.filter((_, index) => index % (2 * every) === every).map((write) => ({ ...write, what: 'ENOSPC' as const })),
  ]
}

/** One write that fails. */
async function failWrites(campaign: Omit<Campaign, 'judge' | 'back'>, who: readonly Programs[], judge: Judge): Promise<void> {
  let met = 0, missed = 0
  const whole: Campaign = {
    ...campaign,
    async judge({ who: program, fault, life, stage, words }) {
      if (wasInjected(stage.trace)) met++
      else missed++
      await judge[program](life, stage, `${program}, ${fault.what} once`, words)
    },
    back: () => undefined,
  }
  if (who.includes('terminal')) await failTerminals(whole)
  if (who.includes('gateway')) await failGateways(whole)
  if (met <= missed) campaign.report.violation('B1', `of ${met + missed} faults only ${met} were met`)
}

type Programs = 'terminal' | 'gateway'

interface Task {
  readonly folder: string
  /** Every so-manieth write fails. */
  readonly every: number
  /** Faults in a scene, and broken disks of a program. */
  readonly most: number
  readonly lanes: number
  readonly who: readonly Programs[]
  readonly report: Report
}

async function failDisks({ folder, every, most, lanes, who, report }: Task): Promise<void> {
  const judge = createJudge(report)
  const noTracer = lacking(['strace'])
  const plan = (trace: string): readonly Fault[] => atMost(faultsIn(trace, every), most)
  if (noTracer === undefined) await failWrites({ folder, report, lanes, faultsIn: plan }, who, judge)
  else report.notRun('one write that fails', noTracer)
  if (noMounts === undefined) {
    const scratch = await openScratch(1_024)
    if (who.includes('terminal')) await breakTerminals({ folder, report, lanes, most, scratch, judge })
    if (who.includes('gateway')) await breakGateways({ folder, report, lanes, most, scratch, judge })
    } else report.notRun('a whole disk that fails', noMounts)
  judge.tell()
}

const { values } = parseArgs({
  options: {
    every: { type: 'string', default: '8' }, most: { type: 'string', default: 'Infinity' },
    lanes: { type: 'string', default: '3' }, only: { type: 'string' }, keep: { type: 'boolean', default: false },
  },
})
const report = createReport('disks that fail')
const noMounts = lacking(['mounts'])
if (noMounts === undefined) await withOwnMounts()
const folder = mkdtempSync(join(tmpdir(), 'plinth-disks-'))
const who = (['terminal', 'gateway'] as const).filter((one) => values.only === undefined || values.only === one)
await failDisks({ folder, every: Number(values.every), most: Number(values.most), lanes: Number(values.lanes), who, report })
if (values.keep) console.log(`kept: ${folder}`)
else rmSync(folder, { recursive: true, force: true })
report.end()
