/**
 * Panel and lamps: the latest view wins, and no code reaches the panel that was not read back, from the very bits that
 * go to it, as the offered text. It decides nothing about a sale; it says when one's code could not be shown, and whether the
 * panel can be relied upon: one that is late with a picture, or does not answer while nothing is drawn, cannot.
 */
import type { Logger } from 'pino'
import { DriverError, type Frame, type Hardware, type LampPattern, type Refresh } from '../drivers/driver.js'
import type { Clock } from './clock.js'
import { blankFrame, type Renderer } from './render.js'
import type { View } from './view.js'

export interface DisplayTools {
  readonly hardware: Pick<Hardware, 'panel' | 'lamps'>
  readonly renderer: Renderer
  readonly clock: Clock
  readonly log: Logger
}

const PANEL_RETRY_MS = 2_000
/** A panel may die between two sales, and the next must not begin on it. */
const PANEL_CHECK_MS = 60_000
const PANEL_USUAL_MS = 10_000
/** Until it draws again: whatever a broken wire makes it say. */
const COMPLAINTS_MAX = 10

export interface Display {
  show(view: View, sale: string | undefined): void
  blank(): Promise<void>
  faulty(): boolean
  codeFault(): boolean
}

export interface DisplayEvents {
  /** The picture stands on the panel now. */
  readonly drawn: (view: View, sale: string | undefined) => void
  readonly codeNotShown: (sale: string) => void
  /** Health changed: ask for a new view. */
  readonly changed: () => void
}

interface Wanted {
  readonly view: View
  readonly key: string
  readonly sale: string | undefined
}

export function createDisplay({ hardware: { panel, lamps }, renderer, clock, log }: DisplayTools, events: DisplayEvents): Display {
  let wanted: Wanted | undefined
  /** What stands on the panel; undefined when nobody can know. */
  let shown: Wanted | undefined
  let lampsShown: LampPattern | undefined
  let drawing: Promise<void> | undefined
  let panelFault = false
  let codeFault = false
  let retryAt = 0
  let callOffCheck = (): void => undefined
  /** Each said once, not at every try: a panel may be missing for days. */
  const complaints = new Set<string>()

  async function drawLatest(): Promise<void> {
    while (wanted !== undefined && wanted.key !== shown?.key) {
      const drawn = wanted
      try {
        if (await drawOne(drawn)) shown = drawn
      } catch (error) {
        complain(error)
        shown = undefined // It may have failed before, after, or halfway.
        retryLater()
        // The picture that failed may be an earlier one: the code that waits behind it is not shown either.
        const sale = wanted?.sale ?? drawn.sale
        if (sale !== undefined) events.codeNotShown(sale)
        return
      }
    }
  }

  /** False when this picture was no longer wanted by the time it could have been drawn. Throws when it is not visible. */
  async function drawOne({ view, key, sale }: Wanted): Promise<boolean> {
    const frame = view.screen === 'scan to pay' ? await renderCode(view, sale) : renderer.render(view)
    if (frame === undefined) {
      codeFault = true
      if (sale !== undefined) events.codeNotShown(sale)
      return true // Dealt with, though not drawn: this code is never tried again.
    }
    if (view.screen === 'scan to pay' && wanted?.key !== key) return false // The sale may have ended meanwhile: no code after its end.
    await watched(() => panel.draw(frame, refreshBetween(shown?.view, view)), 'has not drawn')
    if (view.screen === 'scan to pay') log.info({ sale }, 'code shown')
    setPanelFault(false)
    events.drawn(view, sale)
    return true
  }

  /** A picture that reads back; with the brand's mark if it can be. */
  async function renderCode(view: Extract<View, { screen: 'scan to pay' }>, sale: string | undefined): Promise<Frame | undefined> {
    for (const way of [renderer, renderer.unmarked]) {
      if (way === undefined) continue
      const frame = way.render(view)
      const reading = await way.readBack(frame, view.payload)
      if (reading === 'matches') return frame
      const plan = way.plan(view.payload)
      log.error({ sale, why: plan.fits ? reading : plan.text, mark: way.unmarked !== undefined }, 'code does not read back')
    }
    return undefined
  }

  /** A fault as soon as it takes unusually long; what comes of it in the end is the caller's. */
  async function watched(ask: () => Promise<void>, complaint: string): Promise<void> {
    const { usualMs = PANEL_USUAL_MS } = panel
    const callOff = clock.alarm(clock.now() + usualMs, () => {
      complain(new DriverError('PANEL_TIMEOUT', `the panel ${complaint} for ${usualMs} ms`))
      setPanelFault(true)
    })
    try {
      await ask()
    } finally {
      callOff()
    }
  }

  /** Asks a panel that stands still from time to time; one that does not answer is drawn anew until it does. */
  function checkLater(): void {
    callOffCheck()
    if (panel.check !== undefined) callOffCheck = clock.alarm(clock.now() + PANEL_CHECK_MS, () => void checkPanel())
  }

  async function checkPanel(): Promise<void> {
    const standing = shown
    try {
      await watched(async () => panel.check?.(), 'has not answered')
    } catch (error) {
      if (shown !== standing || drawing !== undefined) return // Something is drawn: that says more, and asks again.
      complain(error)
      shown = undefined
      retryLater()
      return
    }
    if (shown !== standing || drawing !== undefined) return
    setPanelFault(false) // It was late.
    checkLater()
  }

  function complain(error: unknown): void {
    const complaint = String(error)
    if (complaints.has(complaint) || complaints.size >= COMPLAINTS_MAX) return
    complaints.add(complaint)
    log.error({ error }, 'panel fault')
  }

  function retryLater(): void {
    retryAt = clock.now() + PANEL_RETRY_MS
    clock.alarm(retryAt, start)
    setPanelFault(true)
  }

  function setPanelFault(fault: boolean): void {
    if (panelFault === fault) return
    panelFault = fault
    if (!fault) {
      complaints.clear()
      log.info('panel draws again')
    }
    events.changed()
  }

  function start(): void {
    if (drawing !== undefined || wanted === undefined || wanted.key === shown?.key || clock.now() < retryAt) return
    callOffCheck()
    drawing = drawLatest().finally(() => {
      drawing = undefined
      start() // Asked for while the last one was ending.
      if (drawing === undefined && shown !== undefined) checkLater()
    })
  }

  return {
    show(view, sale) {
      if (view.lamps !== lampsShown) lamps.show(view.lamps)
      lampsShown = view.lamps
      wanted = { view, key: JSON.stringify(view), sale }
      start()
    },
    async blank() {
      wanted = undefined
      callOffCheck()
      await drawing
      shown = undefined
      lamps.show('off')
      lampsShown = 'off'
      try {
        await panel.draw(blankFrame(panel.size))
        panelFault = false
      } catch (error) {
        log.error({ error }, 'panel could not be blanked')
        panelFault = true
      }
    },
    faulty: () => panelFault,
    codeFault: () => codeFault,
  }
}

/**
 * Ghosts of e-ink can still be scanned: a code comes clean, and is swept away. The first screen comes clean too, since it
 * stays for hours.
 */
function refreshBetween(last: View | undefined, next: View): Refresh {
  if (last === undefined || (isIdle(next) && !isIdle(last))) return 'clean'
  if (codeOf(last) === codeOf(next)) return 'quick'
  return codeOf(next) === '' ? 'swept' : 'clean'
}

const codeOf = (view: View): string => (view.screen === 'scan to pay' ? view.payload : '')

const isIdle = (view: View): boolean => view.screen === 'enter amount' && view.digits === ''
