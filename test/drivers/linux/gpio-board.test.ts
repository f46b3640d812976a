/** What drivers may count on of a board, held by the real one over onoff and by the fake that stands in for it in their tests. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { type Board, boardOf } from '../../../drivers/linux/gpio.js'
import { createFakeBoard } from '../../fakes/gpio.js'
import { createGpioKernel, emptyTree, errno } from './gpio-kernel.js'

interface World {
  readonly board: Board
  press(pin: number, level: 0 | 1): void
  /** The levels that it was driven to; a line let go is 1, since it is pulled up. */
  driven(pin: number): readonly number[]
  lose(pin: number): void
}

const worlds: Record<string, () => Promise<World>> = {
  async 'the kernel\'s board'() {
    const kernel = createGpioKernel()
    const leds = await emptyTree()
    await mkdir(join(leds, 'lamp'))
    for (const file of ['brightness', 'max_brightness']) await writeFile(join(leds, 'lamp', file), '255\n')
    return {
      board: boardOf({ base: 512, onoff: kernel.onoff, leds }),
      press: (pin, level) => kernel.pull(512 + pin, level),
      driven: (pin) => kernel.line(512 + pin).seen.map((level) => (level === 'in' ? 1 : level)),
      lose: (pin) => { for (const file of ['value', 'direction'] as const) kernel.line(512 + pin).faults.set(file, errno('EIO')) },
    }
  },
  async 'the fake board'() {
    const { gpio, press, history, fail } = createFakeBoard()
    return { board: gpio, press, driven: history, lose: (pin) => fail(pin, 'it is gone') }
  },
}

describe.each(Object.entries(worlds))('%s', (_, open) => {
  test.each([[false, [0, 1, 0]], [true, [1, 0, 1]]])('has outputs that are off at first and at last (on at low: %s)', async (activeLow, levels) => {
    const { board, driven } = await open()
    const output = await board.openSafeOutput({ pin: 17, activeLow })
    output.set(true)
    output.set(true)
    output.close()
    output.close()
    expect(driven(17)).toEqual(levels)
    const light = await board.openLight({ pin: 18, activeLow })
    light.set(0.1)
    light.close()
    expect(driven(18)).toEqual(levels)
  })

  test('has columns that are let go, pulled, and let go at last', async () => {
    const { board, driven } = await open()
    const column = await board.openOpenDrain(5)
    column.pullLow()
    column.letGo()
    column.pullLow()
    column.close()
    expect(driven(5)).toEqual([1, 0, 1, 0, 1])
  })

  test('has inputs that tell every change, and only until they are closed', async () => {
    const { board, press } = await open()
    press(24, 0)
    const input = await board.openInput(24)
    const seen: number[] = []
    expect(input.watch(() => { seen.push(input.level()) })).toBe(true)
    for (const level of [1, 0] as const) press(24, level)
    input.close()
    press(24, 1)
    expect(seen).toEqual([1, 0])
  })

  test('has lights of the kernel\'s, by name', async () => {
    const { board } = await open()
    const light = await board.openLight({ led: 'lamp' })
    expect(light.dimmable).toBe(true)
    light.set(0.5)
    light.close()
    expect(() => light.set(1)).toThrow(expect.objectContaining({ name: 'DriverError' }) as Error)
  })

  test('fails with GPIO_FAILED once a line is lost or closed, and can be closed then', async () => {
    const failed = expect.objectContaining({ name: 'DriverError', code: 'GPIO_FAILED' }) as Error
    const { board, lose } = await open()
    const [input, column, output] = [await board.openInput(24), await board.openOpenDrain(5), await board.openSafeOutput({ pin: 17, activeLow: false })]
    const uses = [() => { input.level() }, () => column.pullLow(), () => output.set(true)]
    for (const pin of [24, 5, 17]) lose(pin)
    for (const use of uses) expect(use).toThrow(failed)
    expect(() => output.close()).toThrow(failed)
    expect(() => column.close()).toThrow(failed)
    input.close()
    for (const line of [output, column, input]) expect(() => line.close()).not.toThrow()
    for (const use of uses) expect(use).toThrow(failed)
    await expect(board.openInput(24)).rejects.toEqual(failed)
  })
})

describe('the fake board', () => {
  test('gives a line to one at a time, and knows whether somebody has it', async () => {
    const { gpio, held } = createFakeBoard()
    const first = await gpio.openInput(24)
    await expect(gpio.openSafeOutput({ pin: 24, activeLow: false })).rejects.toMatchObject({ code: 'GPIO_FAILED' })
    expect(held(24)).toBe(true)
    first.close()
    expect(held(24)).toBe(false)
    await gpio.openInput(24)
  })

  test('can be a kernel that tells no edges, and a part that comes back', async () => {
    const { gpio, fail, press, level } = createFakeBoard({ edges: false })
    fail(24, 'it is gone')
    await expect(gpio.openInput(24)).rejects.toMatchObject({ message: 'it is gone' })
    fail(24, undefined)
    const input = await gpio.openInput(24)
    const changed = vi.fn()
    expect(input.watch(changed)).toBe(false)
    press(24, 0)
    expect([changed.mock.calls.length, input.level(), level(24)]).toEqual([0, 0, 0])
  })
})
