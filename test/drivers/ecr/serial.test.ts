import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { AmountSource, Answer, Input } from '../../../drivers/driver.js'
import { createSerialRegister, type SerialTimes } from '../../../drivers/ecr/serial.js'
import { amountSourceConformance } from '../../conformance/amount-source.js'
import { plugRegister, type PtyRegister } from './pty.js'

const PAID: Answer = { answer: 'ok', amount: '150.00', sale: '01931e7c-aaaa', charge: 'chrg_test_1' }
const QUICK: Partial<SerialTimes> = { settleMs: 5, watchMs: 20, reopenMsMin: 5, reopenMsMax: 20 }

let folder: string
let path: string
const ends: (() => Promise<void>)[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plinth-register-'))
  path = join(folder, 'register')
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
  rmSync(folder, { recursive: true })
})

interface Desk {
  readonly source: AmountSource
  readonly inputs: Input[]
  readonly said: string[]
}

function terminalOn(devicePath: string, times: Partial<SerialTimes> = QUICK): Desk {
  const said: string[] = []
  const log = pino({}, { write: (line) => { said.push(line) } })
  const source = createSerialRegister({ path: devicePath, baud: 9600, log, now: () => performance.now(), random: () => 0.5, times })
  ends.push(() => source.stop())
  return { source, inputs: [], said }
}

const start = ({ source, inputs }: Desk): Promise<void> => source.start((input) => inputs.push(input))

async function plug(at = path): Promise<PtyRegister> {
  const register = await plugRegister(at)
  ends.push(() => register.unplug())
  return register
}

const asked = (amount: string): Input => ({ type: 'amount asked', amount })
const soon = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 10_000, interval: 5 })

describe('a register on a serial line', () => {
  amountSourceConformance(async () => {
    const register = await plugRegister(join(folder, 'conforming'))
    return {
      source: terminalOn(register.path).source,
      ask: async () => {
        await register.send('150.00\r\nCANCEL\r\n2.50\r\n')
        return [asked('150.00'), { type: 'cancel pressed' }, asked('2.50')]
      },
      settle: async () => { await sleep(100) },
      close: () => register.unplug(),
    }
  })

  test('asks for an amount and is told how the sale ended', async () => {
    const register = await plug()
    const desk = terminalOn(path)
    await start(desk)
    await register.send('150.00\r\n')
    await soon(() => expect(desk.inputs).toEqual([asked('150.00')]))
    await desk.source.answer(PAID)
    await desk.source.answer({ answer: 'no', reason: 'payment expired' })
    await soon(() => expect(register.heard()).toBe('OK 150.00 01931e7c-aaaa chrg_test_1\r\nNO payment expired\r\n'))
  })

  test('hears two answers that were given at once as two lines, one after the other', async () => {
    const register = await plugRegister(path)
    ends.push(() => register.unplug())
    const { source } = terminalOn(path)
    await source.start(() => undefined)
    await Promise.all([source.answer({ answer: 'no', reason: 'busy' }), source.answer(PAID)])
    await vi.waitFor(() => expect(register.heard()).toBe('NO busy\r\nOK 150.00 01931e7c-aaaa chrg_test_1\r\n'))
  })

  test('may send one byte at a time, as a slow line does', async () => {
    const register = await plug()
    const desk = terminalOn(path)
    await start(desk)
    for (const byte of '150.00\r\n') {
      await register.send(byte)
      await sleep(1)
    }
    await soon(() => expect(desk.inputs).toEqual([asked('150.00')]))
  })

  test('that was in the middle of a line when the terminal opened it has not asked for the rest of it', async () => {
    const register = await plug()
    const desk = terminalOn(path, { ...QUICK, settleMs: 300 })
    const started = start(desk)
    await soon(() => expect(desk.said.join('')).toContain('modem signals')) // The port is open and not believed yet.
    await register.send('50.0')
    await started
    await register.send('0\r\n7.00\r\n')
    await soon(() => expect(desk.inputs).toEqual([asked('7.00')]))
  })

  test('without modem signals, as every pty, is a warning and no failure', async () => {
    await plug()
    const desk = terminalOn(path)
    await start(desk)
    const warnings = desk.said.filter((line) => line.includes('modem signals'))
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('"level":40')
  })
})

describe('a register that is not there', () => {
  test('cannot be opened, and the terminal is told so with a code', async () => {
    const { source } = terminalOn(path)
    await expect(source.start(() => undefined)).rejects.toMatchObject({
      name: 'DriverError', code: 'REGISTER_OPEN_FAILED', message: expect.stringContaining(path),
    })
    await expect(source.answer(PAID)).rejects.toMatchObject({ code: 'REGISTER_CLOSED' })
  })

  test('may come later: starting again opens it', async () => {
    const desk = terminalOn(path)
    await expect(start(desk)).rejects.toMatchObject({ code: 'REGISTER_OPEN_FAILED' })
    const register = await plug()
    await start(desk)
    await register.send('1.00\r\n')
    await soon(() => expect(desk.inputs).toEqual([asked('1.00')]))
  })

  test('is opened once: a second start is refused', async () => {
    await plug()
    const desk = terminalOn(path)
    await start(desk)
    await expect(start(desk)).rejects.toMatchObject({ code: 'REGISTER_OPEN_FAILED' })
  })
})

describe('a register whose cable is pulled', () => {
  test('gets no answer and says so; plugged in again it is served again', async () => {
    const desk = terminalOn(path)
    const first = await plug()
    await start(desk)
    await first.unplug()
    await soon(() => expect(desk.said.join('')).toContain('register line lost'))
    await expect(desk.source.answer(PAID)).rejects.toMatchObject({ code: 'REGISTER_CLOSED' })

    const second = await plug()
    await soon(() => expect(desk.said.filter((line) => line.includes('register line open'))).toHaveLength(2))
    await second.send('3.00\r\n')
    await soon(() => expect(desk.inputs).toEqual([asked('3.00')]))
    await desk.source.answer(PAID)
    await soon(() => expect(second.heard()).toBe('OK 150.00 01931e7c-aaaa chrg_test_1\r\n'))
  })

  test('in the middle of an amount has not asked for the half that came', async () => {
    const desk = terminalOn(path)
    const first = await plug()
    await start(desk)
    await first.send('1')
    await sleep(30)
    await first.unplug()
    await soon(() => expect(desk.said.join('')).toContain('register line lost'))
    const second = await plug()
    await soon(() => expect(desk.said.filter((line) => line.includes('register line open'))).toHaveLength(2))
    await second.send('50.00\r\n')
    await soon(() => expect(desk.inputs).toEqual([asked('50.00')]))
  })

  test('does not fill the log while it stays away', async () => {
    const desk = terminalOn(path)
    const register = await plug()
    await start(desk)
    await register.unplug()
    await soon(() => expect(desk.said.join('')).toContain('not back yet'))
    const lines = desk.said.length
    await sleep(150)
    expect(desk.said.length).toBe(lines)
  })

  test('is noticed when another device got its name, although the old one is silent and not closed', async () => {
    const [old, other] = [await plug(join(folder, 'old')), await plug(join(folder, 'other'))]
    symlinkSync(old.path, path)
    const desk = terminalOn(path)
    await start(desk)
    rmSync(path)
    symlinkSync(other.path, path)
    await soon(() => expect(desk.said.filter((line) => line.includes('register line open'))).toHaveLength(2))
    await old.send('1.00\r\n')
    await other.send('2.00\r\n')
    await soon(() => expect(desk.inputs).toEqual([asked('2.00')]))
  })

  test('stays closed once the terminal has stopped', async () => {
    const desk = terminalOn(path)
    const register = await plug()
    await start(desk)
    await register.unplug()
    await soon(() => expect(desk.said.join('')).toContain('register line lost'))
    await desk.source.stop()
    const again = await plug()
    await again.send('1.00\r\n')
    await sleep(150)
    expect(desk.inputs).toEqual([])
    await expect(desk.source.answer(PAID)).rejects.toMatchObject({ code: 'REGISTER_CLOSED' })
  })
})

describe('a register that takes nothing from its line', () => {
  test('fails the answer in time; what it hears afterwards is never two answers in one line', async () => {
    const register = await plug()
    const desk = terminalOn(path, { ...QUICK, writeMs: 300 })
    await start(desk)
    register.freeze()
    let failure: unknown
    // Sixty bytes a line: the pty takes 4095 and so cuts the last one.
    for (let answers = 0; answers < 1_000 && failure === undefined; answers++) {
      failure = await desk.source.answer({ answer: 'no', reason: `unheard ${'x'.repeat(47)}` }).then(() => undefined, (error: unknown) => error)
    }
    expect(failure).toMatchObject({ code: 'REGISTER_WRITE_FAILED' })

    register.goOn()
    await soon(() => expect(desk.said.filter((line) => line.includes('register line open'))).toHaveLength(2))
    await desk.source.answer(PAID)
    await soon(() => expect(register.heard()).toContain('chrg_test_1\r\n'))
    expect(register.heard().split('\r\n').at(-2)).toBe('OK 150.00 01931e7c-aaaa chrg_test_1')
  })
})
