import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { boardOf, openInput, openOpenDrain, openOutput, openSafeOutput } from '../../../drivers/linux/gpio.js'
import { createGpioKernel, errno, sysfs } from './gpio-kernel.js'

/** A board whose header begins at 512, as found by its label. */
async function board() {
  const kernel = createGpioKernel()
  const root = await sysfs({ name: 'gpiochip512', label: 'pinctrl-bcm2711', base: 512, lines: 58 })
  return { kernel, options: { root, onoff: kernel.onoff } }
}

const RELAY = { pin: 17, activeLow: false }
const RELAY_AT_LOW = { pin: 17, activeLow: true }
const failing = (message: string): Error => expect.objectContaining({ name: 'DriverError', code: 'GPIO_FAILED', message }) as Error

describe('an output', () => {
  test('has its level from the first moment, is driven, and is given back once', async () => {
    const { kernel, options } = await board()
    const output = await openOutput(17, 1, options)
    output.set(0)
    output.set(1)
    output.close()
    output.close()
    expect(kernel.line(529)).toMatchObject({ seen: [1, 0, 1], exported: false })
    await openOutput(18, 0, options)
    expect(kernel.line(530)).toMatchObject({ seen: [0], exported: true })
  })
})

describe('the number of a line', () => {
  test.each([0, 450, 512, 571, 970])('is counted from the base of its chip, %i', async (base) => {
    const kernel = createGpioKernel()
    const root = await sysfs({ name: `gpiochip${base}`, label: 'pinctrl-rp1', base, lines: 54 })
    await openOutput(17, 1, { root, onoff: kernel.onoff })
    expect(kernel.line(base + 17)).toMatchObject({ exported: true, seen: [1] })
  })
})

describe('an output that must be safe', () => {
  test.each([
    ['on at high', RELAY, [0, 1, 0, 1, 0]],
    ['on at low', RELAY_AT_LOW, [1, 0, 1, 0, 1]],
  ])('and is %s is off at first, and off before it is given back', async (_, wire, seen) => {
    const { kernel, options } = await board()
    const output = await openSafeOutput(wire, options)
    output.set(true)
    output.set(false)
    output.set(true)
    output.close()
    output.close()
    expect(kernel.line(529)).toMatchObject({ seen, exported: false })
  })

  test.each([['on at high', RELAY, [0, 1, 0]], ['on at low', RELAY_AT_LOW, [1, 0, 1]]])(
    'and is %s drops at once after a crash that left it on, and is never on again by itself', async (_, wire, seen) => {
      const { kernel, options } = await board()
      const before = await openSafeOutput(wire, options)
      before.set(true)
      kernel.kill()
      const after = await openSafeOutput(wire, options)
      expect(kernel.line(529).seen).toEqual(seen)
      after.set(true)
      expect(kernel.line(529).seen).toEqual([...seen, seen[1]])
    })

  test('is what its profile says also on a line that something else had turned upside down', async () => {
    const { kernel, options } = await board()
    Object.assign(kernel.line(529), { exported: true, direction: 'out', activeLow: true })
    const output = await openSafeOutput(RELAY, options)
    output.set(true)
    expect(kernel.line(529)).toMatchObject({ seen: [0, 1], activeLow: false })
  })

  test('is taken anew when an earlier run left the line as an input that is watched', async () => {
    const { kernel, options } = await board()
    Object.assign(kernel.line(529), { exported: true, direction: 'in', edge: 'both' })
    const output = await openSafeOutput(RELAY, options)
    output.set(true)
    expect(kernel.line(529).seen).toEqual([0, 1])
  })

  test('is refused when it does not turn', async () => {
    const { kernel, options } = await board()
    Object.assign(kernel.line(529), { exported: true, direction: 'in' })
    kernel.line(529).faults.set('direction', errno('EIO'))
    await expect(openSafeOutput(RELAY, options)).rejects.toMatchObject({ code: 'GPIO_FAILED', message: 'GPIO 17 (line 529) cannot be opened (EIO: something)' })
  })

  test('is given back even if it cannot be driven to off, and says so', async () => {
    const { kernel, options } = await board()
    const output = await openSafeOutput(RELAY, options)
    kernel.line(529).faults.set('value', errno('EIO'))
    expect(() => output.close()).toThrow(failing('GPIO 17 (line 529) could not be driven to its last level (EIO)'))
    expect(kernel.line(529).exported).toBe(false)
    expect(() => output.close()).not.toThrow()
  })
})

describe('an input', () => {
  test('tells its level', async () => {
    const { kernel, options } = await board()
    const input = await openInput(24, options)
    expect(input.level()).toBe(0)
    kernel.pull(536, 1)
    expect(input.level()).toBe(1)
    input.close()
    expect(kernel.line(536)).toMatchObject({ exported: false, seen: ['in'] })
  })

  test('calls whoever watches it, at both edges, until it is closed', async () => {
    const { kernel, options } = await board()
    const input = await openInput(24, options)
    const seen: (0 | 1)[] = []
    expect(input.watch(() => { seen.push(input.level()) })).toBe(true)
    for (const level of [1, 0, 1] as const) kernel.pull(536, level)
    expect(seen).toEqual([1, 0, 1])
    input.close()
    kernel.pull(536, 0)
    expect(seen).toEqual([1, 0, 1])
  })

  test('tells of a pulse that is over before anybody has looked', async () => {
    const { kernel, options } = await board()
    const input = await openInput(24, options)
    const changed = vi.fn()
    input.watch(changed)
    kernel.pull(536, 0)
    expect(changed).toHaveBeenCalledTimes(1)
  })

  test('has one watcher, the last', async () => {
    const { kernel, options } = await board()
    const input = await openInput(24, options)
    const [first, second] = [vi.fn(), vi.fn()]
    input.watch(first)
    input.watch(second)
    kernel.pull(536, 1)
    expect([first.mock.calls.length, second.mock.calls.length]).toEqual([0, 1])
  })

  test.each([['ENOENT', 1], ['EIO', 1], ['EACCES', 1_000]])('says when its kernel tells no edges: %s, tried %i times', async (code, tries) => {
    const { kernel, options } = await board()
    const { faults } = kernel.line(536)
    faults.set('edge', errno(code))
    const input = await openInput(24, options)
    const looks = vi.spyOn(faults, 'get')
    expect(input.watch(() => undefined)).toBe(false)
    expect(looks).toHaveBeenCalledTimes(tries)
    expect(input.level()).toBe(0)
  })

  test('waits for the rights to its edges, which udev may give a moment later than the others', async () => {
    const { kernel, options } = await board()
    const input = await openInput(24, options)
    const { faults } = kernel.line(536)
    let looked = 0
    vi.spyOn(faults, 'get').mockImplementation((file) => (file === 'edge' && ++looked < 20 ? errno('EACCES') : undefined))
    expect(input.watch(() => undefined)).toBe(true)
  })

  test('of a chip that was pulled out calls once, says so when it is read, and is quiet', async () => {
    const { kernel, options } = await board()
    const input = await openInput(24, options)
    const changed = vi.fn()
    input.watch(changed)
    kernel.line(536).faults.set('value', errno('ENODEV'))
    kernel.pull(536, 1)
    kernel.pull(536, 0)
    expect(changed).toHaveBeenCalledTimes(1)
    expect(() => input.level()).toThrow(failing('GPIO 24 (line 536) could not be read (ENODEV)'))
  })

  test('is turned back when an earlier run left it as an output', async () => {
    const { kernel, options } = await board()
    Object.assign(kernel.line(536), { exported: true, direction: 'out' })
    await openInput(24, options)
    expect(kernel.line(536).direction).toBe('in')
  })
})

describe('a line that is pulled low or let go', () => {
  test('is never driven high, and is let go at first and at last', async () => {
    const { kernel, options } = await board()
    const column = await openOpenDrain(5, options)
    column.pullLow()
    column.letGo()
    column.pullLow()
    column.close()
    column.close()
    expect(kernel.line(517)).toMatchObject({ seen: ['in', 0, 'in', 0, 'in'], exported: false })
  })

  test('is let go when a crash left it pulled', async () => {
    const { kernel, options } = await board()
    const before = await openOpenDrain(5, options)
    before.pullLow()
    kernel.kill()
    await openOpenDrain(5, options)
    expect(kernel.line(517).seen).toEqual(['in', 0, 'in'])
  })
})

describe('a line that cannot be had or used', () => {
  test.each([
    ['EBUSY', {}, 'GPIO 17 (line 529) is taken by the kernel (an overlay of config.txt) or by another program: free it, or wire another one'],
    ['EINVAL', {}, 'GPIO 17 (line 529) is not given out by this kernel: wire another one'],
    ['EINVAL', { base: 600 }, 'GPIO 17 (line 617) is not a line of this kernel: gpio.base 600 of the profile is wrong'],
    ['EACCES', {}, 'GPIO 17 (line 529) is not permitted: the user of this program must be in the group gpio (just after boot, udev may not have given it the line yet)'],
    ['EPERM', {}, 'GPIO 17 (line 529) is not permitted: the user of this program must be in the group gpio (just after boot, udev may not have given it the line yet)'],
    ['ENOENT', { base: 600 }, 'GPIO 17 (line 617) cannot be opened: this kernel has no such line in sysfs'],
    ['ENODEV', {}, 'GPIO 17 (line 529) cannot be opened (ENODEV: something)'],
  ])('says why: %s, %o', async (code, base, message) => {
    const { kernel, options } = await board()
    const cause = errno(code)
    for (const number of [529, 617]) kernel.line(number).faults.set('export', cause)
    for (const open of [() => openInput(17, { ...options, ...base }), () => openSafeOutput(RELAY, { ...options, ...base })]) {
      await expect(open()).rejects.toMatchObject({ name: 'DriverError', code: 'GPIO_FAILED', message, cause })
    }
  })

  test('can be had a moment later, when udev was late', async () => {
    const { kernel, options } = await board()
    kernel.line(529).faults.set('value', errno('EACCES'))
    await expect(openSafeOutput(RELAY, options)).rejects.toMatchObject({ message: expect.stringContaining('group gpio') as string })
    kernel.line(529).faults.clear()
    const output = await openSafeOutput(RELAY, options)
    output.set(true)
    expect(kernel.line(529).seen).toEqual([0, 1])
  })

  test('is told by name when it fails later', async () => {
    const { kernel, options } = await board()
    const output = await openSafeOutput(RELAY, options)
    const column = await openOpenDrain(5, options)
    kernel.line(529).faults.set('value', errno('EIO'))
    kernel.line(517).faults.set('direction', errno('EIO'))
    expect(() => output.set(true)).toThrow(failing('GPIO 17 (line 529) could not be driven (EIO)'))
    expect(() => column.pullLow()).toThrow(failing('GPIO 5 (line 517) could not be driven (EIO)'))
  })

  test('is not touched any more once it is closed', async () => {
    const { options } = await board()
    const [output, input, column] = [await openSafeOutput(RELAY, options), await openInput(24, options), await openOpenDrain(5, options)]
    for (const line of [output, input, column]) line.close()
    expect(() => output.set(true)).toThrow(failing('GPIO 17 (line 529) could not be driven: it is closed'))
    expect(() => input.level()).toThrow(failing('GPIO 24 (line 536) could not be read: it is closed'))
    expect(() => input.watch(() => undefined)).toThrow(failing('GPIO 24 (line 536) could not be watched: it is closed'))
    expect(() => column.pullLow()).toThrow(failing('GPIO 5 (line 517) could not be driven: it is closed'))
  })

  test('that no kernel has is refused by onoff itself, and said in our words', async () => {
    await expect(openOutput(17, 1, { base: 1_000_000 })).rejects.toMatchObject({
      name: 'DriverError', code: 'GPIO_FAILED', message: expect.stringMatching(/^GPIO 17 \(line 1000017\) (cannot be opened|is not)/) as string,
    })
  })

  test('is not looked for where the header has none', async () => {
    const { options } = await board()
    await expect(openInput(58, options)).rejects.toMatchObject({ code: 'GPIO_FAILED', message: 'there is no GPIO 58 to use: 2 to 57 are' })
  })
})

describe('a kernel that counts lines by chip', () => {
  /** Lines that root has exported, as a program that is not root needs them. */
  async function chip(...offsets: readonly number[]) {
    const root = await sysfs({ name: 'chip0', label: 'pinctrl-rp1', lines: 54 })
    for (const offset of offsets) {
      await mkdir(join(root, 'chip0', `gpio${offset}`))
      await writeFile(join(root, 'chip0', `gpio${offset}`, 'direction'), 'in\n')
      await writeFile(join(root, 'chip0', `gpio${offset}`, 'value'), '0\n')
    }
    const file = (path: string): Promise<string> => readFile(join(root, 'chip0', path), 'utf8')
    return { root, file, board: boardOf({ root, onoff: () => Promise.reject(new Error('no numbers here')) }) }
  }

  test('gives outputs, inputs and columns of the same promise, without onoff', async () => {
    const { root, file, board } = await chip(17, 24, 5)
    const output = await board.openSafeOutput(RELAY_AT_LOW)
    expect(await file('gpio17/direction')).toBe('high')
    output.set(true)
    expect(await file('gpio17/value')).toBe('0\n')
    output.close()
    expect([await file('gpio17/value'), await file('unexport')]).toEqual(['1\n', '17'])

    const input = await board.openInput(24)
    expect([await file('gpio24/direction'), input.watch(() => undefined), input.level()]).toEqual(['in', false, 0])
    await writeFile(join(root, 'chip0', 'gpio24', 'value'), '1\n')
    expect(input.level()).toBe(1)

    const column = await board.openOpenDrain(5)
    column.pullLow()
    expect(await file('gpio5/direction')).toBe('low')
    column.close()
    expect([await file('gpio5/direction'), await file('unexport')]).toEqual(['in', '5'])
    input.close()
  })

  test('names a line by its chip when it fails', async () => {
    const { board } = await chip()
    await expect(board.openInput(17)).rejects.toMatchObject({
      code: 'GPIO_FAILED', message: 'GPIO 17 (of pinctrl-rp1) cannot be opened: this kernel has no such line in sysfs',
    })
  })
})
