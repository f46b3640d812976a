/**
 * The shell of every e-ink panel: takes pictures, decides how the glass takes them on, runs the chip's steps on the wires.
 * It promises what Panel promises, and to the glass: the first picture after power, sleep or a fault drives every dot,
 * ghosts are cleaned in time, and high voltage is off a few seconds after the last picture.
 *
 *   draw ──> one waiting picture, the newest ──> full | fast | partial ──> steps ──> PanelBus
 *
 * It knows no register: those are the chip's. Every wait is bounded, and whatever fails is tried once more from reset.
 */
import type { Logger } from 'pino'
import { DriverError, type Frame, type Panel, type PanelSize, type Refresh, refuseWrongSize, strideBytes } from '../driver.js'
import {
  type EinkChip, type EinkModel, type NativePicture, type NativeWindow, type PanelBus, type PanelClock, type Rotation, type Step,
  uprightSize,
} from './eink-chip.js'
import { overtake, type Waiting } from './latest.js'

export interface EinkPanelOptions {
  readonly model: EinkModel
  readonly rotation: Rotation
  readonly bus: PanelBus
  readonly clock: PanelClock
  readonly log: Logger
}

/** Each partial refresh leaves a little of what was there before. */
const PARTIALS_MAX = 10
const FULL_EVERY_MS = 3_600_000
/** What stands for hours burns in: once a day every dot is moved both ways. */
const SCRUB_EVERY_MS = 24 * 3_600_000
/** A scrub hides the picture for some ten seconds; after so long without a new one no sale is on the panel. */
const SCRUB_QUIET_MS = 600_000
const SLEEP_AFTER_MS = 3_000
const USUAL_MS_MIN = 10_000

/** Touches no wire before the first picture. */
export function openEinkPanel({ model, rotation, bus, clock, log }: EinkPanelOptions): Panel {
  const { chip, name, fullMs } = model
  const size = uprightSize(model, rotation)
  let waiting: Waiting | undefined
  /** Undefined: nobody can know. */
  let glass: Glass | undefined
  let controller: 'unknown' | 'failed' | 'awake' | 'asleep' = 'unknown'
  /** It has done something to its end since a failure was last warned of: one that is torn off for days is no news. */
  let hasWorked = false
  /** The last picture that was asked for, once it stands there. */
  let standing: NativePicture | undefined
  let scrubbedAt = clock.now()
  /** Since then no picture was driven, nor tried. */
  let quietSince = clock.now()
  /** What failed with nobody there to hear of it. */
  let unheard: Error | undefined
  let working = false
  let worked: Promise<void> = Promise.resolve()
  let callOffRest = (): void => undefined
  let closed: Promise<void> | undefined

  /** One thing at a time; never rejects. */
  async function work(job?: () => Promise<void>): Promise<void> {
    working = true
    callOffRest()
    await job?.().catch((error: unknown) => {
      unheard = error instanceof Error ? error : new DriverError('PANEL_WRITE_FAILED', `${name} failed between pictures`, error)
      log.error({ panel: name, err: error }, 'panel fault between pictures')
    })
    while (waiting !== undefined) {
      const { frame, refresh, settle } = waiting
      waiting = undefined
      await show(frame, refresh).then(() => settle(), settle)
    }
    working = false
    if (closed === undefined) rest()
  }

  function begin(job?: () => Promise<void>): void {
    if (!working) worked = work(job)
  }

  async function show(frame: Frame, refresh: Refresh): Promise<void> {
    const picture = toNative(frame, model, rotation)
    standing = undefined
    unheard = undefined
    await drive(picture, refresh)
    standing = picture
  }

  const drive = (picture: NativePicture, refresh: Refresh): Promise<void> => twice(async () => {
    quietSince = clock.now()
    const plan = planRefresh({ picture, refresh, glass, now: clock.now() }, chip)
    if (plan.way === 'none') return
    await wake()
    const busyMoved = await runSteps(plan.steps, { model, bus, clock }, REFRESH_MS_MIN)
    if (!busyMoved) throw new DriverError('PANEL_TIMEOUT', `${name}: BUSY never moved during a ${plan.way} refresh; is the panel connected?`)
    const now = clock.now()
    glass = glass !== undefined && plan.way === 'partial'
      ? { ...glass, picture, partials: glass.partials + 1 }
      : { picture, remembered: true, partials: 0, fullAt: plan.way === 'full' ? now : glass?.fullAt ?? now }
  })

  async function wake(): Promise<void> {
    if (controller === 'awake') return
    await runSteps(chip.wake(), { model, bus, clock }, REFRESH_MS_MIN)
    controller = 'awake'
  }

  /** From reset, whatever it was doing: a cable that came loose and was pushed in again has left a controller without power. */
  async function probe(): Promise<void> {
    controller = 'unknown'
    await wake()
    const busyMoved = await runSteps(chip.probe(), { model, bus, clock }, PROBE_MS_MIN)
    if (!busyMoved) throw new DriverError('PANEL_TIMEOUT', `${name}: BUSY never moved when the voltage was switched on; is the panel connected?`)
    await sleep()
  }

  async function sleep(): Promise<void> {
    await wake()
    await runSteps(chip.sleep(), { model, bus, clock }, REFRESH_MS_MIN)
    controller = 'asleep'
    if (glass !== undefined) glass = { ...glass, remembered: chip.remembersAsleep ?? false }
  }

  /** White, black, white, and the picture again. A picture that comes meanwhile ends it. */
  async function scrub(): Promise<void> {
    const white = toNative(filled(size, 0), model, rotation)
    const black = toNative(filled(size, 0xff), model, rotation)
    for (const picture of [white, black, white, standing ?? white]) {
      if (waiting !== undefined) {
        glass = undefined
        return
      }
      await drive(picture, 'clean')
    }
    scrubbedAt = clock.now()
    log.info({ panel: name }, 'panel scrubbed')
  }

  /** Nothing waits: the controller sleeps soon, and some night the glass is scrubbed. */
  function rest(): void {
    const now = clock.now()
    if (controller === 'awake') {
      callOffRest = clock.alarm?.(now + SLEEP_AFTER_MS, () => begin(() => twice(sleep))) ?? callOffRest
    } else if (standing !== undefined) {
      const at = Math.max(scrubbedAt + SCRUB_EVERY_MS, quietSince + SCRUB_QUIET_MS)
      callOffRest = clock.alarm?.(at, () => begin(scrub)) ?? callOffRest
    }
  }

  /** Whatever fails is tried once more from reset; after a second failure the next picture begins there. */
  async function twice(task: () => Promise<void>): Promise<void> {
    const once = (): Promise<void> => task().catch((error: unknown) => {
      controller = 'failed'
      glass = undefined
      throw error
    })
    await once().catch((error: unknown) => {
      log[hasWorked ? 'warn' : 'debug']({ panel: name, err: error }, 'panel failed, tried again from reset')
      hasWorked = false
      return once()
    })
    hasWorked = true
  }

  /**
   * Asleep, if it listens. One that has failed, twice most likely, would only let wait whoever heard of it: a reset takes
   * the high voltage off as well, and takes no time.
   */
  async function letGo(): Promise<void> {
    if (controller === 'failed') await runSteps(chip.wake().filter(({ step }) => step === 'reset'), { model, bus, clock }, REFRESH_MS_MIN)
    else if (controller !== 'asleep') await twice(sleep)
  }

  async function shutDown(): Promise<void> {
    callOffRest()
    await worked
    await letGo().catch((error: unknown) => log[hasWorked ? 'error' : 'debug']({ panel: name, err: error }, 'panel could not be put to sleep'))
    await bus.close()
  }

  return {
    size,
    usualMs: Math.max(USUAL_MS_MIN, 2 * fullMs + 2_000), // One of a scrub, and its own.
    async draw(frame, refresh = 'clean') {
      if (closed !== undefined) throw new DriverError('PANEL_WRITE_FAILED', `${name} is closed`)
      refuseWrongSize(frame, size)
      waiting = overtake(waiting, frame, refresh)
      const { ended } = waiting
      begin()
      await ended
    },
    async check() {
      if (closed !== undefined) throw new DriverError('PANEL_WRITE_FAILED', `${name} is closed`)
      if (working) return // What it is at says more, to whoever asked for it.
      if (unheard !== undefined) throw unheard
      await new Promise<void>((resolve, reject) => { begin(() => twice(probe).then(resolve, reject)) })
    },
    close() {
      closed ??= shutDown()
      return closed
    },
  }
}

/** What is known of the glass. */
interface Glass {
  readonly picture: NativePicture
  /** The controller still holds the picture, and can compare with it. */
  readonly remembered: boolean
  readonly partials: number
  readonly fullAt: number
}

interface Wish {
  readonly picture: NativePicture
  readonly refresh: Refresh
  readonly glass: Glass | undefined
  readonly now: number
}

type Plan =
  | { readonly way: 'none' }
  | { readonly way: 'partial' | 'fast' | 'full'; readonly steps: readonly Step[] }

function planRefresh({ picture, refresh, glass, now }: Wish, chip: EinkChip): Plan {
  const full = (): Plan => ({ way: 'full', steps: chip.full(picture) })
  if (glass === undefined || refresh === 'clean') return full()
  const window = changedWindow(glass.picture, picture)
  if (window === undefined && refresh === 'quick') return { way: 'none' }
  if (now - glass.fullAt >= FULL_EVERY_MS) return full()
  if (window !== undefined && refresh === 'quick' && chip.partial && glass.remembered) {
    return glass.partials >= PARTIALS_MAX ? full() : { way: 'partial', steps: chip.partialRefresh(glass.picture, picture, window) }
  }
  return chip.fast === undefined ? full() : { way: 'fast', steps: chip.fast(picture) }
}

/** The smallest window that holds every dot that differs, in whole bytes across; undefined when none does. */
function changedWindow(old: NativePicture, { widthPx, heightPx, bits }: NativePicture): NativeWindow | undefined {
  const stride = strideBytes(widthPx)
  let left = stride
  let right = -1
  let top = heightPx
  let bottom = -1
  for (let at = 0; at < bits.length; at++) {
    if (bits[at] === old.bits[at]) continue
    const column = at % stride
    const row = (at - column) / stride
    left = Math.min(left, column)
    right = Math.max(right, column)
    top = Math.min(top, row)
    bottom = row
  }
  if (bottom < 0) return undefined
  return { x: left * 8, y: top, widthPx: (right - left + 1) * 8, heightPx: bottom - top + 1 }
}

const BUSY_POLL_MS = 10
/** No glass takes a picture on in less than this: if BUSY was looked at before and has not moved, nothing is connected. */
const REFRESH_MS_MIN = 200
/** High voltage takes about 100 ms to rise and 40 to 140 ms to fall (GxEPD2). */
const PROBE_MS_MIN = 30

type Wires = Pick<EinkPanelOptions, 'model' | 'bus' | 'clock'>

/** Tells whether BUSY moved, as far as it can be known: what these steps do takes at least `leastMs`. */
async function runSteps(steps: readonly Step[], { model, bus, clock }: Wires, leastMs: number): Promise<boolean> {
  const { name, chip: { busyLevel } } = model
  let busyMoved = false
  let commandAt = clock.now()

  async function awaitIdle(withinMs: number, what: string): Promise<void> {
    const since = clock.now()
    if (since - commandAt > leastMs) busyMoved = true // This process was held up: it may well have moved.
    for (;;) {
      const asked = clock.now() // Before the look: after a long hold-up there is always one more.
      if (await onWires(`${name} BUSY could not be read`, () => bus.busy()) !== busyLevel) return
      busyMoved = true
      if (asked - since >= withinMs) throw new DriverError('PANEL_TIMEOUT', `${name} is still busy after ${withinMs} ms of ${what}`)
      await clock.pause(BUSY_POLL_MS)
    }
  }

  for (const one of steps) {
    switch (one.step) {
      case 'reset':
        await onWires(`${name} could not be reset`, async () => {
          await bus.hold(false)
          await bus.hold(true)
          await clock.pause(one.lowMs)
          await bus.hold(false)
        })
        await clock.pause(one.afterMs)
        break
      case 'command':
        commandAt = clock.now()
        await onWires(`${name} did not take command 0x${one.command.toString(16).padStart(2, '0')}`, () => bus.command(one.command, one.data))
        break
      case 'pause':
        await clock.pause(one.ms)
        break
      case 'await idle':
        await awaitIdle(one.withinMs, one.what)
        break
    }
  }
  return busyMoved
}

/** The wires speak in DriverErrors; anything else is still no reason to fall silent. */
async function onWires<T>(failure: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (error) {
    if (error instanceof DriverError) throw error
    throw new DriverError('PANEL_WRITE_FAILED', failure, error)
  }
}

const filled = ({ widthPx, heightPx }: PanelSize, byte: number): Frame =>
  ({ widthPx, heightPx, bits: new Uint8Array(strideBytes(widthPx) * heightPx).fill(byte) })

/**
 * The picture as the controller stores it: turned as the panel is mounted, 1 is white, columns without glass white too.
 * The frame must have the model's upright size.
 */
export function toNative(frame: Frame, { native, visibleWidthPx }: EinkModel, rotation: Rotation): NativePicture {
  const stride = strideBytes(native.widthPx)
  const bits = new Uint8Array(stride * native.heightPx).fill(0xff)
  const { origin, right, down } = turned(rotation, visibleWidthPx - 1, native.heightPx - 1)
  const frameStride = strideBytes(frame.widthPx)
  for (let y = 0; y < frame.heightPx; y++) {
    for (let column = 0; column < frameStride; column++) {
      const dark = frame.bits[y * frameStride + column] ?? 0
      if (dark === 0) continue // Most of a picture is white.
      const end = Math.min(column * 8 + 8, frame.widthPx)
      for (let x = column * 8; x < end; x++) {
        if ((dark & (0x80 >> (x & 7))) === 0) continue
        const nativeX = origin.x + x * right.x + y * down.x
        const at = (origin.y + x * right.y + y * down.y) * stride + (nativeX >> 3)
        bits[at] = (bits[at] ?? 0) & ~(0x80 >> (nativeX & 7))
      }
    }
  }
  return { widthPx: native.widthPx, heightPx: native.heightPx, bits }
}

interface Turn {
  /** Where the upper left dot of the upright picture goes, and one step to its right, and one step down. */
  readonly origin: { readonly x: number; readonly y: number }
  readonly right: { readonly x: number; readonly y: number }
  readonly down: { readonly x: number; readonly y: number }
}

function turned(rotation: Rotation, lastX: number, lastY: number): Turn {
  switch (rotation) {
    case 0: return { origin: { x: 0, y: 0 }, right: { x: 1, y: 0 }, down: { x: 0, y: 1 } }
    case 90: return { origin: { x: lastX, y: 0 }, right: { x: 0, y: 1 }, down: { x: -1, y: 0 } }
    case 180: return { origin: { x: lastX, y: lastY }, right: { x: -1, y: 0 }, down: { x: 0, y: -1 } }
    case 270: return { origin: { x: 0, y: lastY }, right: { x: 0, y: -1 }, down: { x: 1, y: 0 } }
  }
}
