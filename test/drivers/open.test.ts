import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Input } from '../../drivers/driver.js'
import { openHardware, type HardwareTools } from '../../drivers/open.js'
import { Profile } from '../../firmware-config/schema.js'
import { plugRegister } from './ecr/pty.js'

let folder: string
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'plinth-open-')) })
afterEach(() => rmSync(folder, { recursive: true }))

const said: string[] = []
beforeEach(() => { said.length = 0 })

const tools = (stdin = new PassThrough()): HardwareTools => ({
  log: pino({}, { write: (line) => { said.push(line) } }), stdin, interrupt: () => undefined, now: () => performance.now(), random: () => 0.5,
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
