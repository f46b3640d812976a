// A box whose panel is not there, or not what its profile says: lamps, log and register tell so, nothing is sold, and the
// program lives on. The machine that runs the tests has neither an SPI bus nor such a framebuffer.
import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Profile } from '../../firmware-config/schema.js'
import { createShop, openPtyPair, type PtyPair, type Shop } from './shop.js'

vi.setConfig({ testTimeout: 120_000 })

let line: PtyPair
let shop: Shop | undefined
beforeEach(async () => { line = await openPtyPair() })
afterEach(async () => {
  await shop?.close()
  line.close()
})

/** The terminal of this panel, with a register on its line. */
async function openShopWith(panel: object): Promise<Shop> {
  const profile = Profile.parse({ panel, keypad: { driver: 'stdin' }, lamps: { driver: 'log' }, register: { driver: 'line', path: line.terminalEnd } })
  shop = await createShop({ profile: () => profile })
  await shop.open()
  return shop
}

async function askByRegister(amount: string): Promise<string> {
  const file = await open(line.registerEnd, 'r+')
  try {
    await file.write(`${amount}\r\n`)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(256))
    return buffer.toString('latin1', 0, bytesRead)
  } finally {
    await file.close()
  }
}

const PANELS: readonly (readonly [string, object, string, string])[] = [
  ['on a bus that is not there', { driver: 'eink', model: 'waveshare-4in2-v2', spi: '/dev/spidev9.9', widthPx: 400, heightPx: 300, pitchMm: 0.212 },
    'PANEL_OPEN_FAILED', '/dev/spidev9.9 is not there: put dtparam=spi=on into config.txt and start again'],
  ['of a framebuffer that is not there', { driver: 'framebuffer', device: 'no-such-panel', widthPx: 480, heightPx: 320, pitchMm: 0.153 },
    'PANEL_OPEN_FAILED', existsSync('/sys/class/graphics/fb0') ? 'there is no framebuffer no-such-panel' : 'this machine has no framebuffer'],
]

it.each(PANELS)('a terminal with a panel %s says so on lamps, log and register, sells nothing, and lives on', async (_, panel, code, message) => {
  const { until, records, terminal, charges } = await openShopWith(panel)
  await until(({ msg, fields }) => msg === 'lamps' && fields['pattern'] === 'out of service')
  expect(await askByRegister('25.00')).toBe('NO terminal not ready: panel fault\r\n')
  terminal.type('2500\n')

  const faults = () => records.filter(({ msg }) => msg === 'panel fault')
  const [fault] = faults()
  expect(JSON.stringify(fault?.fields)).toContain(code)
  expect(JSON.stringify(fault?.fields)).toContain(message)
  await pause(7_000) // Three more tries.
  expect(faults()).toHaveLength(1) // Said once, not at every try.
  expect(await askByRegister('30.00')).toBe('NO terminal not ready: panel fault\r\n')
  expect(await charges()).toEqual([])
  await terminal.kill('SIGTERM')
  expect(records.filter(({ program, msg }) => program === 'terminal' && msg === 'terminal did not stop cleanly')).toEqual([])
})

it('a terminal whose e-ink is mounted in another way than its profile says does not start, and says both sizes', async () => {
  const panel = { driver: 'eink', model: 'waveshare-2in13-v4', rotation: 90, widthPx: 122, heightPx: 250, pitchMm: 0.194 }
  await expect(openShopWith(panel)).rejects.toThrow(
    /ended \(2\): profile\.panel: .*the profile says 122 x 250 dots, 0\.194 mm apart; waveshare-2in13-v4 at rotation 90 has 250 x 122/)
})
