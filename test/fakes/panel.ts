/** A panel that remembers what it showed, draws when it is let, and breaks when it is told to. */
import { DriverError, type Frame, type Panel, type PanelSize, type Refresh, strideBytes } from '../../drivers/driver.js'

export interface FakePanel extends Panel {
  /** Every picture that became visible, oldest first. */
  readonly drawn: readonly Frame[]
  /** How each of them was to take the place of the last. */
  readonly refreshes: readonly Refresh[]
  /** The picture that can be seen now. */
  visible(): Frame | undefined
  /** From now on pictures wait until they are let through, one at a time. */
  hold(): void
  letOne(): void
  letAll(): void
  /** How many of the next pictures fail; Infinity for a dead panel. */
  failNext(count: number): void
}

export const PANEL_SIZE: PanelSize = { widthPx: 400, heightPx: 300, pitchMm: 0.212 }

/** `onDraw` hears of each picture the moment it is asked for. */
export function createFakePanel(onDraw: () => void = () => undefined, size: PanelSize = PANEL_SIZE): FakePanel {
  const drawn: Frame[] = []
  const refreshes: Refresh[] = []
  let held = false
  let failures = 0
  let waiting: (() => void)[] = []
  let closed = false

  return {
    size,
    drawn,
    refreshes,
    visible: () => drawn.at(-1),
    hold() { held = true },
    letOne() { waiting.shift()?.() },
    letAll() {
      held = false
      for (const go of waiting) go()
      waiting = []
    },
    failNext(count) { failures = count },
    async draw({ widthPx, heightPx, bits }, refresh = 'clean') {
      onDraw()
      if (closed) throw new DriverError('PANEL_WRITE_FAILED', 'panel is closed')
      if (widthPx !== size.widthPx || heightPx !== size.heightPx || bits.length !== strideBytes(widthPx) * heightPx) {
        throw new DriverError('PANEL_WRONG_SIZE', `picture of ${widthPx} x ${heightPx} on a panel of ${size.widthPx} x ${size.heightPx}`)
      }
      const frame: Frame = { widthPx, heightPx, bits: bits.slice() }
      if (held) await new Promise<void>((resolve) => { waiting.push(resolve) })
      if (failures > 0) {
        failures--
        throw new DriverError('PANEL_TIMEOUT', 'panel busy for 5000 ms')
      }
      drawn.push(frame)
      refreshes.push(refresh)
    },
    close() {
      closed = true
      return Promise.resolve()
    },
  }
}

/** Nothing dark anywhere. */
export const isBlank = (frame: Frame | undefined): boolean => frame !== undefined && frame.bits.every((byte) => byte === 0)
