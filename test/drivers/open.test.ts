import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { monotonicClock } from '../../device/clock.js'
import type { Input } from '../../drivers/driver.js'
import { disputedSize, openHardware, type HardwareTools } from '../../drivers/open.js'
import { type Rotation, uprightSize } from '../../drivers/panel/eink-chip.js'
import { SSD16XX_MODELS } from '../../drivers/panel/ssd16xx.js'
import { UC81XX_MODELS } from '../../drivers/panel/uc81xx.js'
import { EINK_MODELS, Profile } from '../../firmware-config/schema.js'
import { blankFrame } from '../../device/render.js'
import { plugRegister } from './ecr/pty.js'

let folder: string
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'plinth-open-')) })
afterEach(() => rmSync(folder, { recursive: true }))

const said: string[] = []
beforeEach(() => { said.length = 0 })

const tools = (stdin = new PassThrough()): HardwareTools => ({
  log: pino({}, { write: (line) => { said.push(line) } }), stdin, interrupt: () => undefined,
  now: () => performance.now(), alarm: (at, ring) => monotonicClock.alarm(at, ring), random: () => 0.5,
})

const panel = () => ({ driver: 'png', directory: join(folder, 'pictures'), widthPx: 128, heightPx: 64, pitchMm: 0.2 })

describe('the hardware of a profile', () => {
  test('of a laptop is a panel in a folder, keys from stdin and lamps in the log', async () => {
    const stdin = new PassThrough()
    const hardware = await openHardware(Profile.parse({ panel: panel(), keypad: { driver: 'stdin' }, lamps: { driver: 'log' } }), tools(stdin))
    expect(hardware.panel.size).toEqual({ widthPx: 128, heightPx: 64, pitchMm: 0.2 })
    expect(hardware.sources.map(({ kind }) => kind)).toEqual(['keypad'])

    hardware.lamps.show('ready')
    expect(said.map((line) => JSON.parse(line) as unknown)).toContainEqual(expect.objectContaining({ msg: 'lamps', pattern: 'ready' }))

    const inputs: Input[] = []
    await hardware.sources[0]?.source.start((input) => inputs.push(input))
    stdin.write('7')
    await expect.poll(() => inputs).toEqual([{ type: 'digit pressed', digit: '7' }])
    await hardware.close()
    stdin.write('8')
    hardware.lamps.show('paid')
    expect(inputs).toHaveLength(1)
    expect(said.join('')).not.toContain('paid')
  })

  test('of a stand with keys and a register tells which is which', async () => {
    const register = await plugRegister(join(folder, 'register'))
    const profile = Profile.parse({ panel: panel(), keypad: { driver: 'stdin' }, register: { driver: 'line', path: register.path, baud: 1200 } })
    const hardware = await openHardware(profile, tools())
    expect(hardware.sources.map(({ kind }) => kind)).toEqual(['keypad', 'register'])

    const inputs: Input[] = []
    const source = hardware.sources.find(({ kind }) => kind === 'register')?.source
    await source?.start((input) => inputs.push(input))
    await register.send('9.00\r\n')
    await expect.poll(() => inputs).toEqual([{ type: 'amount asked', amount: '9.00' }])
    await hardware.close()
    await expect(source?.answer({ answer: 'no', reason: 'x' })).rejects.toMatchObject({ code: 'REGISTER_CLOSED' })
    await register.unplug()
  })

  test('of a box without keys, register and lamps is a panel', async () => {
    const hardware = await openHardware(Profile.parse({ panel: panel() }), tools())
    expect(hardware.sources).toEqual([])
    expect(hardware.lamps.show('ready')).toBeUndefined()
    await hardware.close()
    await expect(hardware.close()).resolves.toBeUndefined()
  })

  test('on a bench that nobody named cannot be opened', async () => {
    const profile = Profile.parse({ panel: { driver: 'bench', widthPx: 128, heightPx: 64, pitchMm: 0.2 } })
    await expect(openHardware(profile, tools())).rejects.toMatchObject({ code: 'BENCH_UNREACHABLE' })
  })
})

describe('a panel that is not there, or is another than the profile says', () => {
  const size = { widthPx: 400, heightPx: 300, pitchMm: 0.212 }
  const eink = { driver: 'eink', model: 'waveshare-4in2-v2', spi: '/dev/spidev99.9', ...size }

  test.each([
    ['e-ink without its bus', eink, 'PANEL_OPEN_FAILED', '/dev/spidev99.9'],
    ['e-ink mounted otherwise', { ...eink, rotation: 90 }, 'PANEL_WRONG_SIZE',
      'the profile says 400 x 300 dots, 0.212 mm apart; waveshare-4in2-v2 at rotation 90 has 300 x 400, 0.212 mm apart'],
    ['an LCD without its framebuffer', { driver: 'framebuffer', device: 'not-there', ...size }, 'PANEL_OPEN_FAILED', 'framebuffer'],
  ])('is the fault of the picture, and the box starts all the same: %s', async (_, profile, code, words) => {
    const { panel, close } = await openHardware(Profile.parse({ panel: profile }), tools())
    expect(panel.size).toEqual(size)
    for (const time of ['once', 'again']) {
      await expect(panel.draw(blankFrame(size)), time).rejects.toMatchObject({ name: 'DriverError', code, message: expect.stringContaining(words) as string })
    }
    await close()
  })
})

describe('the models of e-ink panels', () => {
  const models = [...SSD16XX_MODELS, ...UC81XX_MODELS]
  const rotations: readonly Rotation[] = [0, 90, 180, 270]
  const panelOf = (changes: object) => Profile.parse({ panel: { driver: 'eink', ...changes } }).panel

  test('have the same names in the configuration as in the drivers', () => {
    expect(models.map(({ name }) => name).sort()).toEqual([...EINK_MODELS].sort())
  })

  test.each(models)('$name is taken with its own size, and with no other', async (model) => {
    for (const rotation of rotations) {
      const size = uprightSize(model, rotation)
      const profile = { model: model.name, rotation, ...size }
      expect(await disputedSize(panelOf(profile))).toBeUndefined()
      expect(await disputedSize(panelOf({ ...profile, pitchMm: size.pitchMm * 1.04 }))).toBeUndefined() // As makers round.
      for (const wrong of [{ widthPx: size.widthPx + 1 }, { heightPx: size.heightPx - 1 }, { pitchMm: size.pitchMm * 1.1 }, { pitchMm: size.pitchMm * 0.9 }]) {
        expect(await disputedSize(panelOf({ ...profile, ...wrong }))).toContain(`${model.name} at rotation ${rotation} has ${size.widthPx} x ${size.heightPx}, ${size.pitchMm} mm apart`)
      }
    }
  })

  test('a panel whose driver has no table is believed', async () => {
    expect(await disputedSize(Profile.parse({ panel: panel() }).panel)).toBeUndefined()
  })
})
