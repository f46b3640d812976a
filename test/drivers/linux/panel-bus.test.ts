import { describe, expect, test } from 'vitest'
import type { OpenGpio } from '../../../drivers/linux/gpio-onoff.js'
import { openPanelBus, type OpenSpi, type PanelWires } from '../../../drivers/linux/panel-bus.js'
import { panelClock } from '../../../drivers/linux/panel-clock.js'
import { createFakeClock } from '../../fakes/clock.js'

const WIRES: PanelWires = { spi: { bus: 0, chipSelect: 0 }, pins: { reset: 17, dc: 25, busy: 24 } }
const NAMES: Readonly<Record<number, string>> = { 517: 'RST', 525: 'D/C', 524: 'BUSY', 518: 'PWR' }

interface Bench {
  /** Everything that happened on the wires, in order. */
  readonly seen: string[]
  readonly sent: Buffer[]
  readonly tools: { readonly gpio: { readonly base: number, readonly onoff: () => Promise<OpenGpio> }, readonly openSpi: OpenSpi }
  busy: 0 | 1
  failure: Error | undefined
  silent: boolean
}

/** The far ends of the wires; lines are numbered from 500. `refused` cannot be opened. */
function bench(refused?: string): Bench {
  const seen: string[] = []
  const sent: Buffer[] = []
  const Line: OpenGpio = class {
    readonly #name: string
    constructor(line: number, direction: 'in' | 'high' | 'low') {
      this.#name = NAMES[line] ?? String(line)
      if (this.#name === refused) throw Object.assign(new Error('EBUSY'), { code: 'EBUSY' })
      seen.push(`${this.#name} ${direction}`)
    }

    readSync() { return made.busy }
    writeSync(level: 0 | 1) { seen.push(`${this.#name} ${level}`) }
    setDirection() { return }
    setActiveLow() { return }
    setEdge() { return }
    watch() { return }
    unwatchAll() { return }
    unexport() { seen.push(`${this.#name} given back`) }
  }
  const openSpi: OpenSpi = (bus, chipSelect, { mode, maxSpeedHz }) => {
    seen.push(`SPI ${bus}.${chipSelect} mode ${mode} at ${maxSpeedHz}`)
    const device: Awaited<ReturnType<OpenSpi>> = {
      transfer(message, done) {
        for (const { byteLength, sendBuffer = Buffer.alloc(0) } of message) {
          seen.push(`SPI ${byteLength}`)
          sent.push(Buffer.from(sendBuffer))
        }
        if (!made.silent) setImmediate(() => done(made.failure, message))
        return device as never
      },
      close(done) {
        seen.push('SPI closed')
        done(undefined)
      },
    }
    return Promise.resolve(device)
  }
  const made: Bench = { seen, sent, tools: { gpio: { base: 500, onoff: () => Promise.resolve(Line) }, openSpi }, busy: 0, failure: undefined, silent: false }
  return made
}

describe('the wires of a panel', () => {
  test('open at mode 0 and 4 MHz, with the panel not held', async () => {
    const { seen, tools } = bench()
    await openPanelBus(WIRES, tools)
    expect(seen).toEqual(['SPI 0.0 mode 0 at 4000000', 'BUSY in', 'D/C low', 'RST high'])
  })

  test('a command goes out with D/C low, its data with D/C high', async () => {
    const { seen, sent, tools } = bench()
    const bus = await openPanelBus(WIRES, tools)
    seen.length = 0
    await bus.command(0x01, Uint8Array.of(0xf9, 0, 0))
    await bus.command(0x20)
    expect(seen).toEqual(['D/C 0', 'SPI 1', 'D/C 1', 'SPI 3', 'D/C 0', 'SPI 1'])
    expect(Buffer.concat(sent)).toEqual(Buffer.from([0x01, 0xf9, 0, 0, 0x20]))
  })

  test.each([
    [4_095, [4_095]], [4_096, [4_096]], [4_097, [4_096, 1]], [15_000, [4_096, 4_096, 4_096, 2_712]],
  ])('%i bytes go out in pieces of at most 4096, every byte once and in order', async (bytes, pieces) => {
    const { sent, tools } = bench()
    const bus = await openPanelBus(WIRES, tools)
    const whole = Uint8Array.from({ length: bytes + 10 }, (_, at) => (at * 31) & 0xff)
    await bus.command(0x24, whole.subarray(5, 5 + bytes))
    expect(sent.slice(1).map(({ length }) => length)).toEqual(pieces)
    expect(Buffer.concat(sent.slice(1)).equals(whole.subarray(5, 5 + bytes))).toBe(true)
  })

  test('RST is low while the panel is held, and BUSY is told as it is', async () => {
    const made = bench()
    const bus = await openPanelBus(WIRES, made.tools)
    made.seen.length = 0
    await bus.hold(true)
    await bus.hold(false)
    expect(made.seen).toEqual(['RST 0', 'RST 1'])
    expect(await bus.busy()).toBe(0)
    made.busy = 1
    expect(await bus.busy()).toBe(1)
  })

  test('a panel with a supply line gets its supply first, and loses it last of all', async () => {
    const { seen, tools } = bench()
    const bus = await openPanelBus({ ...WIRES, pins: { ...WIRES.pins, power: 18 } }, tools)
    expect(seen.slice(1)).toEqual(['BUSY in', 'PWR high', 'D/C low', 'RST high'])
    seen.length = 0
    await bus.close()
    await bus.close()
    expect(seen).toEqual(['RST 0', 'D/C 0', 'PWR 0', 'RST given back', 'D/C given back', 'PWR given back', 'BUSY given back', 'SPI closed'])
  })

  test('a panel without one stays out of reset when everything is given back', async () => {
    const { seen, tools } = bench()
    const bus = await openPanelBus(WIRES, tools)
    seen.length = 0
    await bus.close()
    expect(seen).toEqual(['RST given back', 'D/C given back', 'BUSY given back', 'SPI closed'])
  })

  test('a transfer that fails is told by the name of the device', async () => {
    const made = bench()
    const bus = await openPanelBus(WIRES, made.tools)
    made.failure = new Error('EIO, Input/output error')
    await expect(bus.command(0x12)).rejects.toMatchObject({
      name: 'DriverError', code: 'PANEL_WRITE_FAILED', message: '/dev/spidev0.0 did not take 1 bytes (EIO, Input/output error)', cause: made.failure,
    })
  })

  test('a transfer that never ends is given up', async () => {
    const made = bench()
    const bus = await openPanelBus(WIRES, made.tools)
    made.silent = true
    await expect(bus.command(0x12)).rejects.toMatchObject({ code: 'PANEL_WRITE_FAILED', message: '/dev/spidev0.0 did not take 1 bytes (no answer in 1000 ms)' })
  })

  test('when a pin is taken, what was open already is given back', async () => {
    const { seen, tools } = bench('RST')
    await expect(openPanelBus(WIRES, tools)).rejects.toMatchObject({ code: 'GPIO_FAILED', message: expect.stringContaining('GPIO 17 (line 517) is taken') as string })
    expect(seen.slice(-3)).toEqual(['D/C given back', 'BUSY given back', 'SPI closed'])
  })

  test.each([
    ['ENOENT', 'is not there: put dtparam=spi=on into config.txt and start again'],
    ['EACCES', 'is not permitted: the user of this program must be in the group spi'],
    ['EBUSY', 'is taken by another program'],
    ['EMFILE', 'cannot be opened (EMFILE)'],
  ])('SPI that cannot be opened says what to do: %s', async (code, message) => {
    const openSpi = () => Promise.reject(Object.assign(new Error(code), { code }))
    await expect(openPanelBus({ ...WIRES, spi: { bus: 1, chipSelect: 2 } }, { openSpi })).rejects.toMatchObject({
      code: 'PANEL_OPEN_FAILED', message: `/dev/spidev1.2 ${message}`,
    })
  })

  test('a bus that no machine has is refused by spi-device itself, and said in our words', async () => {
    await expect(openPanelBus({ ...WIRES, spi: { bus: 250, chipSelect: 0 } })).rejects.toMatchObject({
      name: 'DriverError', code: 'PANEL_OPEN_FAILED', message: '/dev/spidev250.0 is not there: put dtparam=spi=on into config.txt and start again',
    })
  })

  test('when the board has no such lines, SPI is closed again', async () => {
    const { seen, tools } = bench()
    await expect(openPanelBus(WIRES, { openSpi: tools.openSpi, gpio: { base: 1_000_000 } })).rejects.toMatchObject({ code: 'GPIO_FAILED' })
    expect(seen.at(-1)).toBe('SPI closed')
  })
})

describe('time for a panel', () => {
  test('a reset is not made longer by whatever else the program does, and longer pauses let it work', async () => {
    const clock = panelClock(createFakeClock())
    let worked = false
    setImmediate(() => { worked = true })
    await clock.pause(2)
    expect(worked).toBe(false)
    await clock.pause(10)
    expect(worked).toBe(true)
  })
})
