/**
 * A panel that may come and go: opened when a picture is to be drawn, closed when one could not be, and opened anew for
 * the next. So a missing cable, a late permission or a wrong size is a fault that the terminal shows and settles its sales
 * under, instead of a program that does not start.
 */
import { DriverError, type Frame, type Panel, type PanelSize, refuseWrongSize } from '../driver.js'

/** `open` ends within its own time. Its errors are those of the picture that wanted the panel. */
export function createReplugPanel(size: PanelSize, open: () => Promise<Panel>): Panel {
  let opening: Promise<Panel> | undefined
  /** The last one that broke, on its way out: its wires are not free before. */
  let closing: Promise<void> = Promise.resolve()
  let closed = false

  function opened(): Promise<Panel> {
    opening ??= closing.then(open)
    return opening
  }

  async function use(task: (panel: Panel) => Promise<void> | undefined): Promise<void> {
    const mine = opened()
    try {
      await task(await mine)
    } catch (error) {
      await drop(mine)
      throw error
    }
  }

  function refuseWhenClosed(): void {
    if (closed) throw new DriverError('PANEL_WRITE_FAILED', 'panel is closed')
  }

  /** Only the one that failed: a newer picture may have opened it again meanwhile. */
  async function drop(failed: Promise<Panel>): Promise<void> {
    if (opening !== failed) return
    opening = undefined
    closing = failed.then((panel) => panel.close()).catch(() => undefined) // It is broken: that it does not close adds nothing.
    await closing
  }

  return {
    size,
    async draw(frame, refresh) {
      refuseWhenClosed()
      refuseWrongSize(frame, size) // Says nothing about the panel.
      const own: Frame = { ...frame, bits: new Uint8Array(frame.bits) } // Opening takes time, and its owner may go on with it.
      await use((panel) => panel.draw(own, refresh))
    },
    async check() {
      refuseWhenClosed()
      await use((panel) => panel.check?.())
    },
    async close() {
      closed = true
      const last = opening
      opening = undefined
      await last?.then((panel) => panel.close(), () => undefined)
      await closing
    },
  }
}
