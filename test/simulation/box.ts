/**
 * One terminal as it stands on a counter: power, disk, panel, lamps, a keypad or a register's cable -- and in it, one
 * process after another, the real shell of device/ with its real display, its real link and its real sale.
 */
import { type CloudLink, createCloudLink } from '../../device/cloud-link.js'
import type { PaymentMethodName } from '../../device/protocol/payment-method.js'
import { DownMessage } from '../../device/protocol/wire.js'
import { blankFrame, type Renderer } from '../../device/render.js'
import type { Recorded, ReleaseTerms } from '../../device/sale.js'
import { createTerminal, type Terminal } from '../../device/terminal.js'
import type { View } from '../../device/view.js'
import { type Answer, DriverError, type Frame, type Input, type LampPattern, type PanelSize, type Release } from '../../drivers/driver.js'
import { noParts } from '../../drivers/parts.js'
import type { Dice } from './dice.js'
import { createDisk, type Disk } from './disk.js'
import type { Engine, Life } from './engine.js'
import type { Faults } from './faults.js'
import type { Network, WireEnd } from './network.js'
import { openerOf, sealOf } from './toy-seal.js'

export type Picture = View | 'blank'

/** What a box is made of; the same in every run of a seed. */
export interface BoxPlan {
  readonly terminal: string
  readonly kind: 'keypad' | 'register'
  readonly method: PaymentMethodName
  /** Keeps its picture without power, as e-ink does. */
  readonly bistable: boolean
  readonly drawMs: readonly [number, number]
  /** It sells few things: one sale looks like the next. */
  readonly fewPrices: boolean
  /** Mean time between two customers. */
  readonly gapMs: number
  /** It lets goods out by itself. */
  readonly release?: { readonly pulses: ReleaseTerms['pulses']; readonly takesMs: readonly [number, number] } | undefined
}

/** What the all-seeing oracle, and the people at the counter, are told. */
export interface BoxWitness {
  booted(box: Box): void
  /** The process does something that anybody outside could notice. */
  acted(box: Box, what: 'draws' | 'records' | 'connects' | 'answers' | 'lets goods out'): void
  letOut(box: Box, pulses: number): void
  /** The terminal was told that what it let out last came out. */
  delivered(box: Box): void
  recorded(box: Box, recorded: Recorded): void
  drew(box: Box, picture: Picture): void
  /** The panel will hang until it times out. */
  drawFails(box: Box, untilMs: number): void
  lit(box: Box, pattern: LampPattern): void
  answered(box: Box, answer: Answer): void
  heard(box: Box, topic: string, sealed: string): void
  /** Its connection to the broker is no more. */
  disconnected(box: Box): void
  /** `knows`: it can tell that something is missing. */
  lostMemory(box: Box, knows: boolean): void
}

export interface Box {
  readonly name: string
  readonly plan: BoxPlan
  readonly wire: WireEnd
  readonly disk: Disk
  /** Only while a process runs. */
  readonly life: () => Life | undefined
  readonly powered: () => boolean
  /** What can be seen of it; a panel without power shows its last picture, or none. */
  readonly picture: () => Picture
  readonly terminal: () => Terminal | undefined
  /** Somebody presses a key, or the register sends a line. */
  give(input: Input): void
  plug(isPlugged: boolean): void
  powerOn(): void
  powerOff(): void
  kill(downMs: number): void
  /** Not part of the world any more. */
  retire(): void
  heard(life: Life, topic: string, sealed: string): void
}

/** A box stands between these two: what it may wrap for a lie that the oracle must find. */
export interface BoxBend {
  readonly link?: (link: CloudLink) => CloudLink
  readonly renderer?: (renderer: Renderer) => Renderer
  readonly release?: (release: Release) => Release
}

export interface BoxOptions {
  readonly name: string
  readonly plan: BoxPlan
  readonly engine: Engine
  readonly faults: Faults
  readonly chance: Dice
  /** A stream of its own: boxes that let nothing out do what they did before. */
  readonly goods: Dice
  readonly network: Network
  readonly epoch: number
  readonly witness: BoxWitness
  readonly bend: BoxBend
}

const SIZE: PanelSize = { widthPx: 64, heightPx: 64, pitchMm: 0.2 }
const BLANK = blankFrame(SIZE)
const PANEL_TIMEOUT_MS = 5_000
/** By then the terminal counts its goods as in doubt. */
export const WITHIN_MS = 5_000
/** systemd's RestartSec, and the start of a process. */
const RESTART_MS: readonly [number, number] = [2_000, 5_000]
const BOOT_MS: readonly [number, number] = [4_000, 15_000]

export function createBox({ name, plan, engine, faults, chance, goods, network, epoch, witness, bend }: BoxOptions): Box {
  const wire = network.addWire(name)
  let powered = false
  let retired = false
  let life: Life | undefined
  let terminal: Terminal | undefined
  let boots = 0
  let picture: Picture = 'blank'
  let deliver: ((input: Input) => void) | undefined
  let plugged = true
  let cutNow = false

  const disk = createDisk({
    writing() {
      witness.acted(box, 'records')
      const cut = faults.strikes('power cut while recording', name)
      if (cut !== undefined) return cut < 0.5 ? 'cut' : 'cut but kept'
      const failed = faults.strikes('write failed', name)
      if (failed !== undefined) return failed < 0.5 ? 'refused' : 'refused but kept'
      return 'written'
    },
    cutPower() {
      cutNow = true
      box.powerOff()
      engine.after(chance.between(3_000, 30_000), 'power is back', () => box.powerOn())
    },
    written: (recorded) => witness.recorded(box, recorded),
  })

  // -- Hardware ----------------------------------------------------------------------------------------------------

  function show(next: Picture): void {
    picture = next
    engine.note(name, 'picture', next === 'blank' ? 'blank' : next.screen)
    witness.drew(box, next)
  }

  function draw(mine: Life, frame: Frame): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!mine.alive) return
      witness.acted(box, 'draws')
      const failed = faults.strikes('draw failed', name)
      const ms = failed === undefined ? chance.between(plan.drawMs[0], plan.drawMs[1]) : PANEL_TIMEOUT_MS
      const halfDone = chance.chance(0.5)
      if (failed !== undefined) witness.drawFails(box, engine.now() + ms)
      engine.after(ms, 'drawn', () => {
        if (!powered) return
        if (!mine.alive) { // The process ended in the middle of it; the panel may have had all it needs.
          if (halfDone && life === undefined && failed === undefined) show(read(frame))
          return
        }
        if (failed === undefined || failed < 0.5) show(read(frame))
        if (failed === undefined) return resolve()
        return reject(new DriverError('PANEL_TIMEOUT', `panel busy for ${PANEL_TIMEOUT_MS} ms`))
      })
    })
  }

  function answer(mine: Life, text: Answer): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!mine.alive) return
      witness.acted(box, 'answers')
      if (plan.kind === 'keypad') return resolve()
      engine.after(chance.between(2, 40), 'answer', () => {
        if (!plugged || !powered) {
          engine.after(1, 'answer not sent', () => reject(new DriverError('REGISTER_CLOSED', 'register is not connected')), mine)
          return
        }
        engine.note(name, 'answered', JSON.stringify(text))
        witness.answered(box, text)
        engine.after(chance.between(1, 20), 'answer sent', resolve, mine)
      }, mine)
    })
  }

  /** The driver takes its time, may not know how it went, may say nothing at all -- and the power may go in the middle of it. */
  const releaseOf = (mine: Life, [leastMs, mostMs]: readonly [number, number]): Release => ({
    release: (pulses) => new Promise((resolve) => {
      if (!mine.alive) return
      witness.acted(box, 'lets goods out')
      witness.letOut(box, pulses)
      const ms = goods.between(leastMs, mostMs)
      const cut = faults.strikes('power cut while goods come out', name)
      if (cut !== undefined) {
        engine.after(cut * ms, 'power cut while goods come out', () => {
          box.powerOff()
          engine.after(goods.between(3_000, 60_000), 'power is back', () => box.powerOn())
        }, mine)
      }
      const unknown = faults.strikes('delivery unknown', name)
      if (faults.strikes('release silent', name) !== undefined) return
      engine.after(ms, 'goods are out', () => {
        if (unknown === undefined) witness.delivered(box)
        resolve(unknown === undefined ? { delivery: 'delivered' } : { delivery: 'unknown', why: 'the sensor saw nothing' })
      }, mine)
    }),
    close: () => Promise.resolve(),
  })

  const renderer: Renderer = {
    render(view) {
      const bent = view.screen === 'scan to pay' && faults.strikes('picture bent', name) !== undefined
      return write(bent ? { ...view, payload: `${view.payload.slice(0, -1)}?` } : view)
    },
    readBack(frame, payload) {
      const view = read(frame)
      if (view === 'blank' || view.screen !== 'scan to pay') return Promise.resolve('unreadable')
      return Promise.resolve(view.payload === payload ? 'matches' : 'another payload')
    },
    blank: () => BLANK,
    plan: () => ({ fits: false, refused: 'too fine for this panel', text: 'a simulated panel draws no codes' }),
  }

  // -- The process -------------------------------------------------------------------------------------------------

  function boot(): void {
    if (!powered || retired || life !== undefined) return
    boots++
    const mine: Life = { name: `${name}#${boots}`, alive: true }
    life = mine
    cutNow = false
    engine.note(name, 'boots', boots)
    witness.booted(box)
    const bornAt = engine.now() - 150 // The clock counts from the start of the process.
    const clock = {
      now: () => engine.now() - bornAt,
      alarm: (at: number, ring: () => void) => engine.at(Math.ceil(at + bornAt), 'alarm', ring, mine),
    }
    const log = engine.log(name)
    const journal = disk.open(() => mine.alive)
    const link = createCloudLink({
      terminal: plan.terminal, transport: network.transport(plan.terminal, wire, mine, {
        opened: () => witness.acted(box, 'connects'), closed: () => witness.disconnected(box),
      }),
      seal: sealOf(plan.terminal), open: openerOf(DownMessage, ['gateway']),
      epoch: journal.epoch, software: 'simulated', configHash: 'simulated', boot: chance.hex(32),
      forgot: journal.forgot,
      openSales() { // As main.ts has it.
        const last = journal.last()
        return last.phase === 'idle' || last.phase === 'settled' ? [] : [last.sale.id]
      },
      clock, random: chance.next, log,
    })
    const { release } = plan
    const driver = release === undefined ? undefined : releaseOf(mine, release.takesMs)
    const shell = createTerminal({
      hardware: {
        release: driver === undefined ? undefined : bend.release?.(driver) ?? driver,
        sources: [{
          kind: plan.kind, part: plan.kind,
          source: {
            start(to) {
              deliver = (input) => { if (mine.alive) to(input) }
              return Promise.resolve()
            },
            answer: (text) => answer(mine, text),
            stop: () => Promise.resolve(),
          },
        }],
        panel: { size: SIZE, draw: (frame) => draw(mine, frame), close: () => Promise.resolve() },
        parts: noParts,
        lamps: {
          show(pattern) { if (mine.alive) witness.lit(box, pattern) },
          close: () => Promise.resolve(),
        },
      },
      journal,
      link: bend.link?.(link) ?? link,
      renderer: bend.renderer?.(renderer) ?? renderer,
      terms: {
        currency: 'THB', method: plan.method, release: release === undefined ? undefined : { pulses: release.pulses, withinMs: WITHIN_MS },
      },
      clock, log,
      wallMs: () => epoch + engine.now(),
      mint: { id: () => mintId(epoch + engine.now(), chance), nonce: () => chance.hex(32) },
      fatal: () => { if (mine.alive) box.kill(chance.between(...RESTART_MS)) },
    })
    terminal = shell
    shell.start().catch((error: unknown) => {
      engine.note(name, 'did not start', String(error))
      if (mine.alive) box.kill(chance.between(...RESTART_MS))
    })
  }

  function endProcess(how: 'killed' | 'unplugged'): void {
    if (life === undefined) return
    life.alive = false
    network.abandon(life, how)
    life = undefined
    terminal = undefined
    deliver = undefined
  }

  const box: Box = {
    name, plan, wire, disk,
    life: () => life,
    powered: () => powered,
    picture: () => picture,
    terminal: () => terminal,
    give(input) { if (plugged) deliver?.(input) },
    plug(isPlugged) { plugged = isPlugged },
    powerOn() {
      if (powered || retired) return
      powered = true
      engine.after(chance.between(...BOOT_MS), 'boot', boot)
    },
    powerOff() {
      if (!powered) return
      powered = false
      engine.note(name, 'loses its power', cutNow ? 'in the middle of a record' : '')
      endProcess('unplugged')
      if (!plan.bistable) show('blank')
    },
    kill(downMs) {
      engine.note(name, 'is killed')
      endProcess('killed')
      engine.after(downMs, 'restart', boot)
    },
    retire() {
      retired = true
      box.powerOff()
    },
    heard(who, topic, sealed) { if (who === life) witness.heard(box, topic, sealed) },
  }
  return box
}

/** A picture says what it shows in plain bytes; a blank one is all zeroes, as a real one is. */
const write = (view: View): Frame => ({ ...SIZE, bits: Buffer.from(JSON.stringify(view)) })
const read = ({ bits }: Frame): Picture => (bits[0] === 0 ? 'blank' : JSON.parse(Buffer.from(bits).toString()) as View)

/** UUIDv7 from the world's time and chance. */
function mintId(atMs: number, chance: Dice): string {
  const time = atMs.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${chance.hex(3)}-8${chance.hex(3)}-${chance.hex(12)}`
}
