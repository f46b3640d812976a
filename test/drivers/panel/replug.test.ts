/** A panel that may come and go. */
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { DriverError, type Panel } from '../../../drivers/driver.js'
import { createReplugPanel } from '../../../drivers/panel/replug.js'
import { blankFrame } from '../../../device/render.js'
import { panelConformance } from '../../conformance/panel.js'
import { createFakePanel, PANEL_SIZE } from '../../fakes/panel.js'

panelConformance('a panel that may come and go', (size) => {
  const behind = createFakePanel(undefined, size)
  return Promise.resolve({
    panel: createReplugPanel(size, () => Promise.resolve(behind)),
    visible: () => Promise.resolve(behind.visible() ?? blankFrame(size)),
  })
})

const frame = blankFrame(PANEL_SIZE)
const absent = new DriverError('PANEL_OPEN_FAILED', 'there is no /dev/fb0')

describe('a panel that is not there yet', () => {
  test('fails the picture with what stands in its way, and shows the next one once it is plugged in', async () => {
    const behind = createFakePanel()
    let plugged = false
    const panel = createReplugPanel(PANEL_SIZE, () => (plugged ? Promise.resolve(behind) : Promise.reject(absent)))
    await expect(panel.draw(frame)).rejects.toBe(absent)
    plugged = true
    await panel.draw(frame)
    expect(behind.drawn).toHaveLength(1)
  })

  test('is not opened before there is a picture', () => {
    let opened = 0
    createReplugPanel(PANEL_SIZE, () => {
      opened++
      return Promise.reject(absent)
    })
    expect(opened).toBe(0)
  })

  test('closes although it never opened', async () => {
    const panel = createReplugPanel(PANEL_SIZE, () => Promise.reject(absent))
    await expect(panel.draw(frame)).rejects.toBe(absent)
    await expect(panel.close()).resolves.toBeUndefined()
  })
})

describe('a panel that breaks', () => {
  test('is closed, and opened anew for the next picture', async () => {
    const opened: Panel[] = []
    const closed: Panel[] = []
    const panel = createReplugPanel(PANEL_SIZE, () => {
      const behind = createFakePanel()
      if (opened.length === 0) behind.failNext(1)
      opened.push(behind)
      return Promise.resolve({ ...behind, close: () => { closed.push(behind); return behind.close() } })
    })
    await expect(panel.draw(frame)).rejects.toMatchObject({ code: 'PANEL_TIMEOUT' })
    expect(closed).toEqual([opened[0]])
    await panel.draw(frame)
    expect(opened).toHaveLength(2)
  })

  test('stays open when only a picture was wrong', async () => {
    let opened = 0
    const behind = createFakePanel()
    const panel = createReplugPanel(PANEL_SIZE, () => {
      opened++
      return Promise.resolve(behind)
    })
    await expect(panel.draw(blankFrame({ ...PANEL_SIZE, widthPx: 64 }))).rejects.toMatchObject({ code: 'PANEL_WRONG_SIZE' })
    await panel.draw(frame)
    expect(opened).toBe(1)
  })

  test('that is opened with another size than the profile says stays a fault, and is tried again', async () => {
    let opened = 0
    const panel = createReplugPanel(PANEL_SIZE, () => {
      opened++
      return Promise.reject(new DriverError('PANEL_WRONG_SIZE', 'the profile says 400 x 300, the panel is 300 x 400'))
    })
    await expect(panel.draw(frame)).rejects.toMatchObject({ code: 'PANEL_WRONG_SIZE' })
    await expect(panel.draw(frame)).rejects.toMatchObject({ code: 'PANEL_WRONG_SIZE' })
    expect(opened).toBe(2)
  })

  test('is not opened while it still closes: its wires are taken until then', async () => {
    const order: string[] = []
    let release: () => void = () => undefined
    const panel = createReplugPanel(PANEL_SIZE, () => {
      const behind = createFakePanel()
      if (order.length === 0) behind.failNext(1)
      order.push('open')
      return Promise.resolve({
        ...behind,
        close: async () => {
          order.push('closing')
          await new Promise<void>((resolve) => { release = resolve })
          order.push('closed')
        },
      })
    })
    const failed = panel.draw(frame).catch((error: unknown) => error)
    await expect.poll(() => order).toEqual(['open', 'closing'])
    const next = panel.draw(frame) // Of somebody who did not wait for the first one to end.
    await turn()
    expect(order).toEqual(['open', 'closing'])
    release()
    expect(await failed).toMatchObject({ code: 'PANEL_TIMEOUT' })
    await next
    expect(order).toEqual(['open', 'closing', 'closed', 'open'])
    const closing = panel.close()
    await expect.poll(() => order.length).toBe(5)
    release()
    await closing
  })
})

describe('a panel that is asked whether it answers', () => {
  test('is the one behind it that says so', async () => {
    let answers = true
    let opened = 0
    const panel = createReplugPanel(PANEL_SIZE, () => {
      opened++
      const check = (): Promise<void> => (answers ? Promise.resolve() : Promise.reject(absent))
      return Promise.resolve({ ...createFakePanel(), check })
    })
    await panel.draw(frame)
    await expect(panel.check?.()).resolves.toBeUndefined()
    answers = false
    await expect(panel.check?.()).rejects.toBe(absent)
    answers = true
    await panel.draw(frame)
    expect(opened).toBe(2)
  })

  test('cannot be asked where the one behind it cannot', async () => {
    const panel = createReplugPanel(PANEL_SIZE, () => Promise.resolve(createFakePanel()))
    await expect(panel.check?.()).resolves.toBeUndefined()
  })
})
