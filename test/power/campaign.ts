/**
 * Every scene, once for every fault: first a rehearsal without one, in which the writes are counted, then the same again
 * with a fault in one of them, a few at a time; after each the program comes back without faults, and when all are done
 * the auditor compares the books.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { audit } from './audit.js'
import { closeTheBooks, openedBy } from './facts.js'
import { openPremises, type Premises } from './premises.js'
import type { Life } from './program.js'
import type { Report } from './report.js'
import {
  gatewayComesBack, isLinkUp, playGateway, playTerminal, READY_MS, type Scene, SCENES, type Stage, terminalComesBack,
} from './scenes.js'
import { type Fault, inWords } from './tracer.js'

export interface Campaign {
  readonly folder: string
  readonly report: Report
  /** So many at a time. */
  readonly lanes: number
  /** The faults for the writes of a trace. */
  readonly faultsIn: (traceFile: string) => readonly Fault[]
  /** Looks at what a fault has left behind, before anything starts again. */
  readonly judge: (run: Run) => Promise<void>
  /** Told when all is well again, and how long the program took to be ready. */
  readonly back: (run: Run, readyMs: number) => void
}

export interface Run {
  readonly who: 'terminal' | 'gateway'
  readonly scene: Scene
  readonly fault: Fault
  readonly stage: Stage
  /** The life that met the fault; it is over. */
  readonly life: Life
  readonly words: string
}

const SHOP = { broker: 'embedded', codeLifetimeSeconds: 60 } as const

/** Each fault has a terminal of its own, with an empty disk; all of them have one gateway and one bank. */
export async function failTerminals({ folder, report, lanes, faultsIn, judge, back }: Campaign): Promise<void> {
  const plan: { readonly scene: Scene; readonly fault: Fault }[] = []
  await inShop({ folder: join(folder, 'rehearsal'), terminals: SCENES.length, report }, async ({ premises }) => {
    for (const [index, scene] of SCENES.entries()) {
      const stage = stageOf(premises, index)
      await playTerminal(scene, stage, undefined)
      await terminalComesBack(stage, `the rehearsal of ${scene}`, report)
      plan.push(...faultsIn(stage.trace).map((fault) => ({ scene, fault })))
    }
  })
  await inShop({ folder: join(folder, 'shop'), terminals: plan.length, report }, async ({ premises, note }) => {
    await inLanes([...plan.entries()], Array.from({ length: lanes }), async ([index, { scene, fault }]) => {
      const stage = stageOf(premises, index)
      const words = `terminal, ${scene}, ${inWords(fault)}`
      note(stage.terminal.name, words)
      const run: Run = { who: 'terminal', scene, fault, stage, words, life: await playTerminal(scene, stage, fault) }
      await judge(run)
      back(run, await terminalComesBack(stage, words, report))
    })
  })
}

/** Each lane has a shop of its own, whose gateway meets one fault after another, and whose database lives through it all. */
export async function failGateways({ folder, report, lanes, faultsIn, judge, back }: Campaign): Promise<void> {
  const options = Array.from({ length: lanes }, (_, lane) => join(folder, `gateway-${lane}`))
    .map((own) => ({ folder: own, databaseFolder: join(own, 'database'), terminals: 1, report }))
  await inShops(options, async (shops) => {
    const [first] = shops
    for (const { premises } of shops) await stageOf(premises, 0).terminal.program.start().until(isLinkUp, READY_MS)
    if (first === undefined) return
    const rehearsal = stageOf(first.premises, 0)
    for (const scene of SCENES) {
      await playGateway(scene, rehearsal, undefined)
      await gatewayComesBack(scene, rehearsal, `the rehearsal of ${scene}`, report)
      await inLanes(faultsIn(rehearsal.trace), shops, async (fault, { premises, note }) => {
        rmSync(join(premises.folder, 'empty'), { recursive: true, force: true })
        mkdirSync(join(premises.folder, 'empty'))
        const stage = stageOf(premises, 0)
        const words = `gateway, ${scene}, ${inWords(fault)}`
        const before = openedBy(premises.terminals).length
        const run: Run = { who: 'gateway', scene, fault, stage, words, life: await playGateway(scene, stage, fault) }
        await judge(run)
        back(run, await gatewayComesBack(scene, stage, words, report))
        for (const { sale } of openedBy(premises.terminals).slice(before)) note(sale, words)
      })
    }
  })
}

// -- Shops ----------------------------------------------------------------------------------------------------------

export interface Shop {
  readonly premises: Premises
  /** What was done to a terminal or a sale, to be said with whatever the auditor finds about it. */
  note(about: string, words: string): void
}

export interface ShopOptions {
  readonly folder: string
  readonly terminals: number
  readonly databaseFolder?: string
  readonly journalFolderOf?: (terminal: number) => string
  readonly report: Report
}

/** A shop that is open; in the end the auditor compares its books. */
export const inShop = (options: ShopOptions, work: (shop: Shop) => Promise<void>): Promise<void> =>
  inShops([options], async ([shop]) => { if (shop !== undefined) await work(shop) })

export async function inShops(options: readonly ShopOptions[], work: (shops: readonly Shop[]) => Promise<void>): Promise<void> {
  const open: (Shop & { readonly notes: ReadonlyMap<string, string>; readonly report: Report })[] = []
  try {
    for (const { report, ...shop } of options) {
      const notes = new Map<string, string>()
      const { folder, databaseFolder = folder } = shop
      for (const needed of [databaseFolder, join(folder, 'empty')]) mkdirSync(needed, { recursive: true })
      const premises = await openPremises({ ...SHOP, ...shop })
      open.push({ premises, notes, report, note: (about, words) => { notes.set(about, words) } })
      await premises.sandbox.start().until(({ msg }) => msg === 'sandbox ready', READY_MS)
      await premises.gateway.start().until(({ msg }) => msg === 'gateway ready', READY_MS)
    }
    await work(open)
    for (const { premises, notes, report } of open) {
      for (const { invariant, text } of audit(await closeTheBooks(premises))) {
        const about = [...notes].find(([name]) => new RegExp(`${name}(?![0-9])`).test(text))
        report.violation(invariant, about === undefined ? text : `${text} (${about[1]})`)
      }
    }
  } finally {
    await Promise.all(open.map(({ premises }) => premises.close()))
  }
}

export function stageOf(premises: Premises, index: number): Stage {
  const terminal = premises.terminals[index]
  if (terminal === undefined) throw new Error(`there is no terminal ${index} in ${premises.folder}`)
  return { premises, terminal, trace: join(premises.folder, `${terminal.name}.trace`) }
}

/** So many of them at most, from the first to the last of them evenly. */
export const atMost = <T>(items: readonly T[], most: number): readonly T[] => (items.length <= most ? items
  : items.filter((_, index) => Math.floor(index * most / items.length) !== Math.floor((index - 1) * most / items.length)))

/** A few at a time, each worker with what is its own. */
export async function inLanes<Item, Own>(
  items: readonly Item[], lanes: readonly Own[], work: (item: Item, own: Own) => Promise<void>,
): Promise<void> {
  const waiting = [...items]
  await Promise.all(lanes.map(async (own) => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item, own)
  }))
}
