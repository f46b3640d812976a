/**
 * A keypad on USB that comes and goes: found, opened, read, and looked for again when it is lost.
 *
 *   keypad ── node-hid ──reports── hid-report.ts ──moves of keys── key-guard.ts ──inputs──> terminal
 *
 * Taken from the kernel (exclusive) its keys reach nothing else; otherwise the kernel types them on the console as well. While
 * there is none it looks when a device file changes, a few times since permissions come late, and else every few seconds.
 */
import type { Logger } from 'pino'
import { type AmountSource, DriverError, type Input, type PartReport } from '../driver.js'
import { type Hid, type HidHandle, loadHid } from './hid.js'
import { readReport, reportStart, type ReportFormat } from './hid-report.js'
import { guardDeadline, guardFault, guardMove, guardStart, type KeyMove } from './key-guard.js'
import { chooseKeypad, describeKeypad, type KeypadFound, type KeypadInterface, listKeypads, type WantedKeypad } from './usb-keypads.js'
import { createUsbTree, type UsbTree, watchUsb } from './usb-tree.js'

export interface UsbKeypadOptions {
  readonly device: WantedKeypad
  readonly exclusive: boolean
  readonly report: PartReport
  readonly log: Logger
  /** Milliseconds on a clock that never goes backwards. */
  readonly now: () => number
  /** Calls once, no earlier than `at`; the returned function calls it off. */
  readonly alarm: (at: number, ring: () => void) => () => void
  readonly hid?: () => Promise<Hid>
  readonly tree?: UsbTree
  /** Calls back when something was plugged in or out; the returned function ends that. */
  readonly watch?: (changed: () => void) => () => void
}

/** While there is no keypad, and nothing is plugged in or out. */
export const LOOK_AGAIN_MS = 5_000
/** After something was: udev gives permissions a moment later. */
export const EAGER_LOOKS = 5
export const EAGER_MS = 200
/** A keypad that was lost sooner than that is not looked for eagerly: it would be opened and lost without end. */
const LASTING_MS = 5_000
/** What node-hid does takes this long at most, or is given up. */
const LIMIT_MS = 5_000

export function createUsbKeypad(options: UsbKeypadOptions): AmountSource {
  let session: Session | undefined
  return {
    async start(deliver) {
      if (session !== undefined) throw new DriverError('KEYPAD_OPEN_FAILED', 'the USB keypad is already started')
      session = beginSession(options, deliver)
      await session.looked
    },
    answer: () => Promise.resolve(), // Nobody is at the other end of a keypad.
    async stop() {
      const last = session
      session = undefined
      await last?.stop()
    },
  }
}

interface Session {
  /** The first look is over, whatever it found. */
  readonly looked: Promise<void>
  stop(): Promise<void>
}

/** From start to stop. */
function beginSession(options: UsbKeypadOptions, deliver: (input: Input) => void): Session {
  const { device, exclusive, log, now, alarm, report, tree = createUsbTree() } = options
  const patience = createPatience(options)
  const library = options.hid ?? (() => loadHid(exclusive))
  let stopped = false
  let opened: Opened | undefined
  let busy: Promise<void> | undefined
  let next: { readonly at: number; readonly callOff: () => void } | undefined
  let eagerLooks = 0
  let warned = false

  const tell = reporter(report)
  const keys = createKeys({ now, alarm, deliver, changed: tell })

  async function look(): Promise<void> {
    try {
      if (patience.exhausted()) throw failure('USB does not answer: plug the keypad out and in again, or restart the box')
      const found = await patience.within(library().then((hid) => listKeypads(hid, tree)), 'the list of USB devices')
      const choice = chooseKeypad(device, found)
      if ('fault' in choice) throw failure(choice.fault)
      if (!stopped) await open(await library(), choice.keypad)
    } catch (error) {
      if (stopped) return
      tell(sentenceOf(error))
      lookIn(eagerLooks > 0 ? EAGER_MS : LOOK_AGAIN_MS)
      eagerLooks = Math.max(0, eagerLooks - 1)
    }
  }

  async function open(hid: Hid, keypad: KeypadFound): Promise<void> {
    const at = now()
    const taken = await openKeypad({ hid, tree, keypad, exclusive, patience, log })
    const mine: Opened = { keypad, openedAt: at, handles: taken.map(({ handle }) => handle) }
    if (stopped) return close(mine)
    opened = mine
    // Listening comes last: from here on keys are delivered.
    for (const { handle, part } of taken) {
      handle.on('error', (error) => { if (opened === mine) lose(mine, error) })
      if (part.keys !== undefined) listen(mine, handle, part.keys)
    }
    log.info({ keypad: describeKeypad(keypad), exclusive }, 'keypad open')
    if (!exclusive && !warned) log.warn(NOT_EXCLUSIVE)
    warned = true
    tell(undefined)
  }

  function listen(mine: Opened, handle: HidHandle, format: ReportFormat): void {
    let state = reportStart(format)
    let puzzled = false
    handle.on('data', (bytes) => {
      const read = readReport(state, bytes)
      state = read.state
      if (!read.understood && !puzzled) log.info({ keypad: describeKeypad(mine.keypad), bytes: bytes.length }, 'report that is not of keys')
      puzzled ||= !read.understood
      // It may have been lost or stopped, also by the move before.
      for (const move of read.moves) if (opened === mine) keys.move(move)
    })
  }

  function lose(mine: Opened, error: unknown): void {
    opened = undefined
    keys.reset()
    log.warn({ keypad: describeKeypad(mine.keypad), err: error }, 'keypad lost')
    tell(`keypad ${describeKeypad(mine.keypad)} is gone: plug it in again`)
    eagerLooks = now() - mine.openedAt >= LASTING_MS ? EAGER_LOOKS : 0
    run(() => close(mine))
    lookIn(eagerLooks > 0 ? EAGER_MS : LOOK_AGAIN_MS)
  }

  async function close({ handles }: Opened): Promise<void> {
    await Promise.all(handles.map((handle) => patience.within(handle.close(), 'closing the keypad').catch((error: unknown) => {
      log.warn({ err: error }, 'keypad did not close')
    })))
  }

  /** One thing at a time: a keypad that is still being closed cannot be opened. */
  function run(task: () => Promise<void>): void {
    const mine: Promise<void> = (busy ?? Promise.resolve()).then(task).finally(() => { if (busy === mine) busy = undefined })
    busy = mine
  }

  /** Looks that are due later give way. */
  function lookIn(ms: number): void {
    const at = now() + ms
    if (next !== undefined && next.at <= at) return
    next?.callOff()
    next = {
      at,
      callOff: alarm(at, () => {
        next = undefined
        run(() => (stopped || opened !== undefined ? Promise.resolve() : look()))
      }),
    }
  }

  const unwatch = (options.watch ?? ((changed) => watchUsb(exclusive ? 'usb' : 'hidraw', changed)))(() => {
    eagerLooks = EAGER_LOOKS
    lookIn(EAGER_MS)
  })
  run(look)

  return {
    looked: busy ?? Promise.resolve(),
    async stop() {
      stopped = true
      next?.callOff()
      unwatch()
      keys.reset()
      const last = opened
      opened = undefined
      if (last !== undefined) run(() => close(last))
      await busy
    },
  }
}

interface Opened {
  readonly keypad: KeypadFound
  readonly openedAt: number
  readonly handles: readonly HidHandle[]
}

const NOT_EXCLUSIVE = 'the kernel types the keys of this keypad on the console too: keep logins off it (systemctl mask getty@tty1) ' +
  'and the console off the panel (fbcon=map:9), or set exclusive where the keypad is on USB'

/** Says a thing once, and says at first that nothing is wrong. */
function reporter(report: PartReport): PartReport {
  let said: { readonly fault: string | undefined } | undefined
  return (fault) => {
    if (said !== undefined && said.fault === fault) return
    said = { fault }
    report(fault)
  }
}

/*-- Keys and their guard --*/

interface KeysOptions extends Pick<UsbKeypadOptions, 'now' | 'alarm'> {
  readonly deliver: (input: Input) => void
  readonly changed: PartReport
}

function createKeys({ now, alarm, deliver, changed }: KeysOptions) {
  let state = guardStart
  let ringing: { readonly at: number; readonly callOff: () => void } | undefined

  /** An alarm that is due earlier is left: it looks again by itself. A flood sets none. */
  function look(at: number): void {
    changed(guardFault(state, at))
    const deadline = guardDeadline(state, at)
    if (deadline === undefined || (ringing !== undefined && ringing.at <= deadline)) return
    ringing?.callOff()
    ringing = {
      at: deadline,
      callOff: alarm(deadline, () => {
        ringing = undefined
        look(now())
      }),
    }
  }

  return {
    move(move: KeyMove): void {
      const at = now()
      const guarded = guardMove(state, move, at)
      state = guarded.state
      guarded.inputs.forEach(deliver)
      look(at)
    },
    /** No key is down any more. */
    reset(): void {
      state = guardStart
      ringing?.callOff()
      ringing = undefined
    },
  }
}

/*-- Opening --*/

interface Opening {
  readonly hid: Hid
  readonly tree: UsbTree
  readonly keypad: KeypadFound
  readonly exclusive: boolean
  readonly patience: Patience
  readonly log: Logger
}

interface Taken {
  readonly part: KeypadInterface
  readonly handle: HidHandle
}

/**
 * Every interface with keys must open. Exclusive takes the others, too: what Sleep and Power do there is for nobody to press; but a
 * keypad is one without them.
 */
async function openKeypad({ hid, tree, keypad, exclusive, patience, log }: Opening): Promise<readonly Taken[]> {
  const taken: Taken[] = []
  const parts = keypad.interfaces.filter(({ keys }) => exclusive || keys !== undefined)
  for (const part of parts) {
    try {
      const opening = hid.open(part.path)
      taken.push({ part, handle: await patience.within(opening, `opening ${part.path}`, (late) => late.close()) })
    } catch (error) {
      const fault = await openFailure(error, tree, keypad, part)
      if (part.keys === undefined && !patience.exhausted()) {
        log.warn({ err: fault }, 'a part of the keypad could not be taken')
        continue
      }
      // The first failure is what is told.
      await Promise.all(taken.map(({ handle }) => patience.within(handle.close(), 'closing the keypad').catch(() => undefined)))
      throw fault
    }
  }
  return taken
}

/** node-hid says the same of a device that is gone and of one that is not permitted. */
async function openFailure(error: unknown, tree: UsbTree, keypad: KeypadFound, { file }: KeypadInterface): Promise<DriverError> {
  const name = `keypad ${describeKeypad(keypad)}`
  const access = file === undefined ? 'permitted' : await tree.accessTo(file)
  switch (access) {
    case 'refused':
      return failure(`${name} is there, but this program may not open ${file}: its user must be in the group plugdev, ` +
        'and 60-plinth.rules must be in /usr/lib/udev/rules.d when it is plugged in', error)
    case 'gone':
      return failure(`${name} went away while it was opened: plug it in again`, error)
    case 'permitted':
      return failure(`${name} cannot be opened (${sentenceOf(error)}): another program may be using it`, error)
  }
}

const failure = (message: string, cause?: unknown): DriverError => new DriverError('KEYPAD_OPEN_FAILED', message, cause)

const sentenceOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/*-- Time --*/

interface Patience {
  /** Rejects after LIMIT_MS. What comes of it later goes to `late`. */
  within<T>(work: Promise<T>, what: string, late?: (result: T) => Promise<void>): Promise<T>
  /** Something has not ended yet that was given up: each holds one of the few threads that do such work. */
  exhausted(): boolean
}

function createPatience({ now, alarm }: Pick<UsbKeypadOptions, 'now' | 'alarm'>): Patience {
  let overdue = 0
  return {
    exhausted: () => overdue > 0,
    within: (work, what, late) => new Promise((resolve, reject) => {
      let gaveUp = false
      const callOff = alarm(now() + LIMIT_MS, () => {
        gaveUp = true
        overdue++
        reject(failure(`${what} took longer than ${LIMIT_MS} ms`))
      })
      const ended = (): void => {
        callOff()
        if (gaveUp) overdue--
      }
      work.then((result) => {
        ended()
        if (!gaveUp) resolve(result)
        else void late?.(result).catch(() => undefined) // It was given up: nobody is left to tell.
      }, (error: unknown) => {
        ended()
        reject(error instanceof Error ? error : new Error(String(error)))
      })
    }),
  }
}
