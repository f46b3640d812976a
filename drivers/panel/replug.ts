/**
 * A panel that may come and go: opened when a picture is to be drawn, closed when one could not be, and opened anew for
 * the next. So a missing cable, a late permission or a wrong size is a fault that the terminal shows and settles its sales
 * under, instead of a program that does not start.
 */
import { DriverError, type Panel, type PanelSize, refuseWrongSize } from '../driver.js'

/** `open` ends within its own time. Its errors are those of the picture that wanted the panel. */
export function createReplugPanel(size: PanelSize, open: () => Promise<Panel>): Panel {
  let opening: Promise<Panel> | undefined
  let closed = false

  function opened(): Promise<Panel> {
    opening ??= open()
    return opening
  }

  /** Only the one that failed: a newer picture may have opened it again meanwhile. */
  async function drop(failed: Promise<Panel>): Promise<void> {
    if (opening !== failed) return
    opening = undefined
    await failed.then((panel) => panel.close()).catch(() => undefined) // It is broken: that it does not close adds nothing.
  }

  return {
    size,
    async draw(frame, refresh) {
      if (closed) throw new DriverError('PANEL_WRITE_FAILED', 'panel is closed')
      refuseWrongSize(frame, size) // Says nothing about the panel.
      const mine = opened()
      try {
        await (await mine).draw(frame, refresh)
      } catch (error) {
        await drop(mine)
        throw error
      }
    },
    async close() {
      closed = true
      const last = opening
      opening = undefined
      await last?.then((panel) => panel.close(), () => undefined)
    },
  }
}
