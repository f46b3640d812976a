/** Panels: one that is a framebuffer, looked at from outside; and e-ink on the SPI bus, put onto emulated glass there. */
import assert from 'node:assert/strict'
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { openPanelBus } from '../../../../drivers/linux/panel-bus.js'
import { panelClock } from '../../../../drivers/linux/panel-clock.js'
import { openEinkPanel } from '../../../../drivers/panel/eink.js'
import { openFramebufferPanel } from '../../../../drivers/panel/framebuffer.js'
import { SSD16XX_MODELS } from '../../../../drivers/panel/ssd16xx.js'
import type { Wire } from '../../outside.js'
import type { SimulatedBoard } from '../board.js'
import { alarm, type Check, driverCheck, eventually, LOG, now } from '../check.js'
import { codePicture } from '../picture.js'

export const LCD = { widthPx: 800, heightPx: 480, pitchMm: 0.135 } as const
const CODE = 'https://example.com/a-code-on-a-real-kernel?amount=2500'
const EINK = 'waveshare-4in2-v2'
const PINS = { reset: 17, dc: 25, busy: 24, power: 18 } as const

export const panelChecks: readonly Check[] = [
  driverCheck('a code on the framebuffer is read off the panel from outside', async ({ outside }) => {
    const panel = await openFramebufferPanel({ device: '/dev/fb0', rotation: 0, size: LCD, log: LOG })
    await panel.draw(codePicture(CODE, LCD))
    await eventually('the code', async () => (await outside.look()).code, (code) => code === CODE)
    await panel.close()
  }),

  driverCheck('neither the kernel\'s console nor its cursor draws over the picture', async ({ outside }) => {
    const panel = await openFramebufferPanel({ device: '/dev/fb0', rotation: 0, size: LCD, log: LOG })
    await panel.draw(codePicture(CODE, LCD))
    const before = await eventually('the code', () => outside.look(), ({ code }) => code === CODE)
    writeFileSync('/dev/tty0', '\x1b[2J\x1b[H\x1b[?25hlogin: \x1b[5mterminal\x1b[0m\n'.repeat(20))
    writeFileSync('/dev/kmsg', '<1>the kernel has something urgent to say\n')
    await outside.press(['a', 'b', 'c', 'ret'])
    await pause(CURSOR_MS)
    assert.deepEqual(await outside.look(), before)
    await panel.close()
  }),

  driverCheck('an e-ink panel on the SPI bus shows the code that was drawn', async ({ board, outside }) => {
    const model = SSD16XX_MODELS.find(({ name }) => name === EINK)
    assert.ok(model !== undefined)
    const glass = connectGlass(board)
    try {
      const bus = await openPanelBus({ spi: { bus: 0, chipSelect: 0 }, pins: PINS })
      const panel = openEinkPanel({ model, rotation: 0, bus, log: LOG, clock: panelClock({ now, alarm }) })
      await panel.draw(codePicture(CODE, panel.size))
      const wires = glass.wires()
      await panel.close()
      assert.equal(await outside.readGlass({ model: EINK, wires }), CODE)
    } finally {
      glass.end()
    }
  }),
]

/** A cursor blinks five times a second. */
const CURSOR_MS = 500
const BUSY_MS = 100
/** As module/plinth-spi.c lays it out. */
const HEADER_BYTES = 24
const RECORDS_BYTES = 1 << 20
/** SSD1680, 8.2: master activation, from when on BUSY is high. */
const ACTIVATE = 0x20

/** Listens to the bus and to the reset line, and raises BUSY as glass does that takes a picture on. */
function connectGlass(board: SimulatedBoard): { wires(): readonly Wire[]; end(): void } {
  writeFileSync('/sys/module/plinth_spi/parameters/dc', String(board.base + PINS.dc))
  board.pull(PINS.busy, 0)
  const trace = board.trace([PINS.reset])
  const heard: { readonly at: number; readonly wire: Wire }[] = []
  const recorder = openSync('/dev/plinth-spi', 'r')
  const records = Buffer.alloc(RECORDS_BYTES)

  const listen = setInterval(() => {
    const bytes = readSync(recorder, records)
    for (let at = 0; at < bytes;) {
      const from = at + HEADER_BYTES, to = from + records.readUInt32LE(at)
      const dc = records.readUInt8(at + 16) === 0 ? 0 : 1
      heard.push({ at: Number(records.readBigUInt64LE(at + 8)) / 1e6, wire: { dc, bytes: records.toString('base64', from, to) } })
      if (dc === 0 && records[from] === ACTIVATE) work()
      at = to
    }
  }, 2)

  function work(): void {
    board.pull(PINS.busy, 1)
    setTimeout(() => { board.pull(PINS.busy, 0) }, BUSY_MS)
  }

  return {
    wires() {
      const resets = trace.edges().flatMap(({ what, at }) => (what === 0 || what === 1 ? [{ at, wire: { reset: what } }] : []))
      return [...heard, ...resets].toSorted((a, b) => a.at - b.at).map(({ wire }) => wire)
    },
    end() {
      clearInterval(listen)
      closeSync(recorder)
    },
  }
}
