import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { openInput, openOutput, type OpenGpio, sysfsNumber } from '../../../drivers/linux/gpio.js'

interface Chip {
  readonly name: string
  readonly label: string
  readonly base: number
  readonly lines: number
}

const trees: string[] = []
afterEach(async () => {
  for (const tree of trees.splice(0)) await rm(tree, { recursive: true, force: true })
})

/** The files a kernel would offer for these chips. */
async function board(...chips: readonly Chip[]): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'plinth-gpio-'))
  trees.push(root)
  await writeFile(join(root, 'export'), '')
  for (const { name, label, base, lines } of chips) {
    await mkdir(join(root, name))
    await writeFile(join(root, name, 'label'), `${label}\n`)
    await writeFile(join(root, name, 'base'), `${base}\n`)
    await writeFile(join(root, name, 'ngpio'), `${lines}\n`)
  }
  return root
}

const expander: Chip = { name: 'gpiochip504', label: 'raspberrypi-exp-gpio', base: 504, lines: 8 }
const power: Chip = { name: 'gpiochip512', label: 'gpio-brcmstb@107d508500', base: 512, lines: 32 }
const pi3: Chip = { name: 'gpiochip512', label: 'pinctrl-bcm2835', base: 512, lines: 54 }
const pi4: Chip = { name: 'gpiochip512', label: 'pinctrl-bcm2711', base: 512, lines: 58 }
const pi5 = (base: number): Chip => ({ name: `gpiochip${base}`, label: 'pinctrl-rp1', base, lines: 54 })

describe('the number of a line in sysfs', () => {
  test.each([
    ['a Pi 3', [expander, pi3], 512 + 17],
    ['a Pi 4', [pi4, expander], 512 + 17],
    ['a Pi 5 of kernel 6.6', [power, pi5(571)], 571 + 17],
    ['a Pi 5 of kernel 6.1', [power, pi5(399)], 399 + 17],
    ['an old kernel, where chips begin at 0', [{ ...pi3, name: 'gpiochip0', base: 0 }], 17],
    ['a folder that is named otherwise than its base', [{ ...pi3, name: 'gpiochip7', base: 522 }], 522 + 17],
    ['another maker, by the one large chip', [power, { name: 'gpiochip0', label: 'rockchip-gpio', base: 100, lines: 64 }], 100 + 17],
  ])('of %s', async (_, chips, number) => {
    expect(await sysfsNumber(17, { root: await board(...chips) })).toBe(number)
  })

  test('is counted from the base that the owner set, without looking', async () => {
    expect(await sysfsNumber(17, { base: 600, root: '/nowhere' })).toBe(617)
  })

  test.each([
    ['two chips that could be it', [pi3, pi5(571)],
      'several GPIO chips in ROOT could be the header\'s: pinctrl-bcm2835 (base 512, 54 lines), pinctrl-rp1 (base 571, 54 lines); set its base'],
    ['only small chips', [expander],
      'none of the GPIO chips in ROOT is the header\'s: raspberrypi-exp-gpio (base 504, 8 lines); set its base'],
    ['no chips at all', [], 'none of the GPIO chips in ROOT is the header\'s: there are none; set its base'],
  ])('is not guessed from %s', async (_, chips, message) => {
    const root = await board(...chips)
    await expect(sysfsNumber(17, { root })).rejects.toMatchObject({ name: 'DriverError', code: 'GPIO_FAILED', message: message.replace('ROOT', root) })
  })

  test('is not there on a kernel that offers GPIO by chip only', async () => {
    const root = await board()
    await mkdir(join(root, 'chip0'))
    await expect(sysfsNumber(17, { root })).rejects.toMatchObject({
      code: 'GPIO_FAILED', message: expect.stringMatching(/^this kernel offers GPIO by chip only .*CONFIG_GPIO_SYSFS_LEGACY$/) as string,
    })
  })

  test('is not there on a machine without GPIO', async () => {
    await expect(sysfsNumber(17, { root: '/nowhere/gpio' })).rejects.toMatchObject({
      code: 'GPIO_FAILED', message: 'this machine has no GPIO: /nowhere/gpio cannot be listed (ENOENT)',
    })
  })

  test('is not taken from a chip that cannot say its base', async () => {
    const root = await board(pi3)
    await writeFile(join(root, pi3.name, 'base'), 'many\n')
    await expect(sysfsNumber(17, { root })).rejects.toMatchObject({ code: 'GPIO_FAILED', message: `${root}/gpiochip512 has base 'many' and ngpio '54'` })
    await rm(join(root, pi3.name, 'base'))
    await expect(sysfsNumber(17, { root })).rejects.toMatchObject({ code: 'GPIO_FAILED', message: `${root}/gpiochip512/base cannot be read (ENOENT)` })
  })

  test.each([-1, 0, 1, 54, 2.5, NaN])('%d is refused: it is no line of the header, or the EEPROM of a HAT', async (bcm) => {
    await expect(sysfsNumber(bcm, { root: await board(pi3) })).rejects.toMatchObject({ code: 'GPIO_FAILED' })
    await expect(sysfsNumber(bcm, { base: 512 })).rejects.toMatchObject({ code: 'GPIO_FAILED' })
  })
})

interface FakeLine {
  readonly line: number
  readonly asked: string
  level: 0 | 1
  exported: boolean
}

/** What onoff does, without a kernel. */
function fakeOnoff({ opening, direction, using }: { opening?: Error, direction?: 'in' | 'out', using?: Error } = {}) {
  const lines: FakeLine[] = []
  const Line: OpenGpio = class {
    readonly #line: FakeLine
    constructor(line: number, asked: 'in' | 'high' | 'low') {
      if (opening !== undefined) throw opening
      this.#line = { line, asked, level: asked === 'high' ? 1 : 0, exported: true }
      lines.push(this.#line)
    }

    readSync() {
      if (using !== undefined) throw using
      return this.#line.level
    }

    writeSync(level: 0 | 1) {
      if (using !== undefined) throw using
      this.#line.level = level
    }

    direction() { return direction ?? (this.#line.asked === 'in' ? 'in' : 'out') }
    unexport() { this.#line.exported = false }
  }
  return { lines, options: { base: 512, onoff: () => Promise.resolve(Line) } }
}

const errno = (code: string): Error => Object.assign(new Error(`${code}: something`), { code })

describe('a line', () => {
  test('is an output at its level from the first moment, is driven, and is given back once', async () => {
    const { lines, options } = fakeOnoff()
    const output = await openOutput(17, 1, options)
    expect(lines).toEqual([{ line: 529, asked: 'high', level: 1, exported: true }])
    output.set(0)
    expect(lines[0]?.level).toBe(0)
    output.close()
    output.close()
    expect(lines[0]?.exported).toBe(false)
    await openOutput(18, 0, options)
    expect(lines[1]).toMatchObject({ line: 530, asked: 'low' })
  })

  test('is an input that tells its level', async () => {
    const { lines, options } = fakeOnoff()
    const input = await openInput(24, options)
    expect([lines[0]?.asked, input.level()]).toEqual(['in', 0])
    lines[0]!.level = 1
    expect(input.level()).toBe(1)
    input.close()
    expect(lines[0]?.exported).toBe(false)
  })

  test.each([
    [errno('EBUSY'), 'GPIO 17 (line 529) is taken by the kernel or another program: free it, or wire another one'],
    [errno('EINVAL'), 'GPIO 17 (line 529) is not a line of this kernel: the base is wrong'],
    [errno('EACCES'), 'GPIO 17 (line 529) is not permitted: the user of this program must be in the group gpio'],
    [errno('EPERM'), 'GPIO 17 (line 529) is not permitted: the user of this program must be in the group gpio'],
    [errno('ENOENT'), 'GPIO 17 (line 529) cannot be opened: this kernel has no GPIO in sysfs'],
    [new Error('the sky fell'), 'GPIO 17 (line 529) cannot be opened (the sky fell)'],
  ])('that cannot be had says why: %s', async (opening, message) => {
    const { options } = fakeOnoff({ opening })
    await expect(openOutput(17, 1, options)).rejects.toMatchObject({ code: 'GPIO_FAILED', message, cause: opening })
    await expect(openInput(17, options)).rejects.toMatchObject({ code: 'GPIO_FAILED', message })
  })

  test.each(['in', 'out'] as const)('left behind as %s by an earlier run, and not to be turned, is given back and refused', async (direction) => {
    const { lines, options } = fakeOnoff({ direction })
    const opening = direction === 'in' ? openOutput(17, 1, options) : openInput(17, options)
    await expect(opening).rejects.toMatchObject({ code: 'GPIO_FAILED', message: 'GPIO 17 (line 529) cannot be opened (it keeps its direction)' })
    expect(lines[0]?.exported).toBe(false)
  })

  test('that fails later is told by name', async () => {
    const { options } = fakeOnoff({ using: errno('EIO') })
    const output = await openOutput(17, 1, options)
    const input = await openInput(24, options)
    expect(() => output.set(1)).toThrow(expect.objectContaining({ code: 'GPIO_FAILED', message: 'GPIO 17 (line 529) could not be driven (EIO)' }))
    expect(() => input.level()).toThrow(expect.objectContaining({ code: 'GPIO_FAILED', message: 'GPIO 24 (line 536) could not be read (EIO)' }))
  })

  test('that no kernel has is refused by onoff itself, and said in our words', async () => {
    await expect(openOutput(17, 1, { base: 1_000_000 })).rejects.toMatchObject({
      name: 'DriverError', code: 'GPIO_FAILED', message: expect.stringMatching(/^GPIO 17 \(line 1000017\) (cannot be opened|is not)/) as string,
    })
  })
})
