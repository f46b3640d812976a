/** Whole disks, real ext4 on a loop device, that are full, turn read-only or are gone, at four moments of a sale. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { atMost, inLanes, inShop, inShops, stageOf } from './campaign.js'
import { raiseAxe, type Scratch } from './disk.js'
import type { Judge } from './disk-judge.js'
import { openedBy, unsettled } from './facts.js'
import { comesTrue, ERROR, eventually, type Life } from './program.js'
import type { Report } from './report.js'
import { gatewayComesBack, isLinkUp, payOnce, READY_MS, type Stage, stop, terminalComesBack } from './scenes.js'

const BREAKS = ['full', 'read-only', 'gone'] as const
type Break = (typeof BREAKS)[number]

const MOMENTS = ['before it starts', 'before the sale', 'before the payment', 'before the cancel'] as const
type Moment = (typeof MOMENTS)[number]

interface Case { readonly how: Break; readonly moment: Moment }
const CASES: readonly Case[] = BREAKS.flatMap((how) => MOMENTS.map((moment) => ({ how, moment })))

interface Task {
  readonly folder: string
  readonly report: Report
  readonly lanes: number
  readonly most: number
  readonly scratch: Scratch
  readonly judge: Judge
}

const DISK_MEGABYTES = 8
/** How long a program is watched on its broken disk. */
const BROKEN_MS = 5_000

/** Each case has a terminal of its own, with its journal on a disk of its own. */
export async function breakTerminals({ folder, report, lanes, most, scratch, judge }: Task): Promise<void> {
  const disks: FaultyDisk[] = []
  const cases = atMost(CASES, most)
  for (const index of cases.keys()) disks.push(await openFaultyDisk(scratch, `terminal-${index}`))
  const journalFolderOf = (terminal: number): string => disks[terminal]?.folder ?? folder
  const options = { folder: join(folder, 'disks'), terminals: cases.length, report, journalFolderOf }
  await inShop(options, async ({ premises, note }) => {
    await inLanes([...cases.entries()], Array.from({ length: lanes }), async ([index, { how, moment }]) => {
      const stage = stageOf(premises, index), disk = disks[index]
      if (disk === undefined) return
      const words = `terminal, disk ${how} ${moment}`
      note(stage.terminal.name, words)
      const life = await breakUnderTerminal(stage, disk, { how, moment })
      await Promise.race([life.ended, pause(BROKEN_MS)])
      await stop(life)
      await judge.terminal(life, stage, `terminal, disk ${how}`, words)
      await disk.mend()
      await terminalComesBack(stage, words, report)
    })
  })
}

/** Resolves with the life on the broken disk, after somebody wanted something of it. */
async function breakUnderTerminal({ premises, terminal }: Stage, disk: FaultyDisk, { how, moment }: Case): Promise<Life> {
  const life = terminal.program.start()
  await life.until(isLinkUp, READY_MS)
  if (moment === 'before the sale') {
    await disk.break(how)
    life.type('2500\n')
    return life
  }
  life.type('2500\n')
  const payload = await eventually(() => terminal.look(), READY_MS)
  switch (moment) {
    case 'before it starts': {
      await life.kill('SIGKILL')
      await disk.break(how)
      const next = terminal.program.start()
      await next.until(isLinkUp, READY_MS)
      return next
    }
    case 'before the payment':
      await disk.break(how)
      await premises.pay(payload ?? '', 'paid')
      return life
    case 'before the cancel':
      await disk.break(how)
      life.type('x')
      return life
  }
}

/** Each lane has a shop of its own, with its database on a disk of its own. */
export async function breakGateways({ folder, report, lanes, most, scratch, judge }: Task): Promise<void> {
  const disks: FaultyDisk[] = []
  for (let lane = 0; lane < lanes; lane++) disks.push(await openFaultyDisk(scratch, `gateway-${lane}`))
  const options = disks.map(({ folder: databaseFolder }, lane) =>
    ({ folder: join(folder, `disk-${lane}`), databaseFolder, terminals: 1, report }))
  await inShops(options, async (shops) => {
    for (const { premises } of shops) await stageOf(premises, 0).terminal.program.start().until(isLinkUp, READY_MS)
    await inLanes(atMost(CASES, most), [...shops.entries()], async ({ how, moment }, [lane, { premises, note }]) => {
      const disk = disks[lane]
      if (disk === undefined) return
      const stage = stageOf(premises, 0)
      const words = `gateway, disk ${how} ${moment}`
      const before = openedBy(premises.terminals).length
      const life = await breakUnderGateway(stage, disk, { how, moment })
      await Promise.race([life.ended, pause(BROKEN_MS)])
      if (life.alive() && !life.records.some(({ level }) => level >= ERROR)) {
        report.violation('F4', `it goes on and says nothing of its disk: ${words}`)
      }
      if (life.alive() && how === 'full') { // Somebody makes room, and it goes on by itself.
        await disk.mend()
        const customer = payOnce(premises, stage.terminal)
        if (!await comesTrue(() => unsettled(premises.terminals).length === 0, READY_MS)) {
          report.violation('I10', `room was made, and the sale does not end: ${words}`)
        }
        customer.leave()
      }
      await stop(life)
      await judge.gateway(life, stage, `gateway, disk ${how}`, words)
      await disk.mend()
      await gatewayComesBack('a sale, and stop', stage, words, report)
      for (const { sale } of openedBy(premises.terminals).slice(before)) note(sale, words)
    })
  })
}

async function breakUnderGateway({ premises, terminal }: Stage, disk: FaultyDisk, { how, moment }: Case): Promise<Life> {
  const life = premises.gateway.life ?? premises.gateway.start()
  if (moment === 'before the sale') await disk.break(how)
  const before = openedBy([terminal]).length
  await eventually(async () => {
    terminal.program.life?.type('\nc2500\n')
    await pause(500)
    return openedBy([terminal]).length > before || undefined
  }, READY_MS)
  if (moment === 'before the sale') return life
  const payload = await eventually(() => terminal.look(), READY_MS)
  switch (moment) {
    case 'before it starts': {
      await life.kill('SIGKILL')
      await disk.break(how)
      const next = premises.gateway.start()
      await next.until(({ msg }) => msg === 'gateway ready', READY_MS)
      return next
    }
    case 'before the payment':
      await disk.break(how)
      await premises.pay(payload ?? '', 'paid')
      return life
    case 'before the cancel':
      await disk.break(how)
      terminal.program.life?.type('x')
      return life
  }
}

interface FaultyDisk {
  readonly folder: string
  break(how: Break): Promise<void>
  /** Nobody may have a file of it open, unless it was only full. */
  mend(): Promise<void>
}

async function openFaultyDisk(scratch: Scratch, name: string): Promise<FaultyDisk> {
  const disk = await scratch.makeDisk(`${name}.image`, DISK_MEGABYTES)
  const folder = join(scratch.folder, name)
  let at = await disk.mount(folder)
  const filler = join(folder, 'filler')
  let broken: Break | undefined
  return {
    folder,
    async break(how) {
      broken = how
      switch (how) {
        case 'full':
          fill(filler)
          break
        case 'read-only':
          await at.remount('abort')
          break
        case 'gone':
          await (await raiseAxe(at, '/dev/null')).fell(0)
          break
      }
    },
    async mend() {
      if (broken === 'full') rmSync(filler)
      else if (broken !== undefined) {
        await at.unmount()
        at = await disk.mount(folder)
      }
      broken = undefined
    },
  }
}

/** To the last byte. */
function fill(file: string): void {
  for (let bytes = 65_536; bytes >= 1;) {
    try {
      writeFileSync(file, Buffer.alloc(bytes), { flag: 'a' })
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'ENOSPC') throw error
      bytes >>= 1
    }
  }
}
