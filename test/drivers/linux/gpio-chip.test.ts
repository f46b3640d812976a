import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { headerChip, refuseForeignLine } from '../../../drivers/linux/gpio-chip.js'
import { type ChipFiles, emptyTree, sysfs } from './gpio-kernel.js'

const expander = (base: number): ChipFiles => ({ name: `gpiochip${base}`, label: 'raspberrypi-exp-gpio', base, lines: 8 })
const power: ChipFiles = { name: 'gpiochip512', label: 'gpio-brcmstb@107d508500', base: 512, lines: 32 }
const pi3 = (base: number): ChipFiles => ({ name: `gpiochip${base}`, label: 'pinctrl-bcm2835', base, lines: 54 })
const pi4: ChipFiles = { name: 'gpiochip512', label: 'pinctrl-bcm2711', base: 512, lines: 58 }
const pi5 = (base: number): ChipFiles => ({ name: `gpiochip${base}`, label: 'pinctrl-rp1', base, lines: 54 })

describe('the chip of the header', () => {
  test.each([
    ['a Pi 3 of kernel 6.12', [pi3(512), expander(566)], 512],
    ['a Pi 3 of kernel 6.1, where an expander stands before it', [expander(450), pi3(458)], 458],
    ['a Pi 4', [pi4, expander(504)], 512],
    ['a Pi 5 of kernel 6.6', [power, pi5(571)], 571],
    ['a Pi 5 of kernel 6.1', [power, pi5(399)], 399],
    ['a kernel that counts down', [pi3(970)], 970],
    ['an old kernel, where chips begin at 0', [pi3(0)], 0],
    ['a folder that is named otherwise than its base', [{ ...pi3(522), name: 'gpiochip7' }], 522],
    ['another maker, by the one large chip', [power, { name: 'gpiochip0', label: 'rockchip-gpio', base: 100, lines: 64 }], 100],
    ['a kernel with both ways, by number', [pi3(512), { name: 'chip0', label: 'pinctrl-bcm2835', lines: 54 }], 512],
  ])('is found on %s', async (_, chips, base) => {
    expect(await headerChip({ root: await sysfs(...chips) })).toMatchObject({ base })
  })

  test('is found on a kernel that counts lines by chip only', async () => {
    const root = await sysfs({ name: 'chip0', label: 'raspberrypi-exp-gpio', lines: 8 }, { name: 'chip11', label: 'pinctrl-rp1', lines: 54 })
    expect(await headerChip({ root })).toEqual({ label: 'pinctrl-rp1', lines: 54, base: undefined, folder: join(root, 'chip11') })
  })

  test('is the one that the owner named, however small', async () => {
    expect(await headerChip({ chip: 'mcp23017', root: await sysfs(pi3(512), { name: 'gpiochip600', label: 'mcp23017', base: 600, lines: 16 }) }))
      .toMatchObject({ base: 600, lines: 16 })
  })

  test('is not looked up when the owner set its base', async () => {
    for (const base of [0, 600]) {
      expect(await headerChip({ base, chip: 'any', root: '/nowhere' })).toMatchObject({ base, lines: 54 })
    }
  })

  test.each([
    ['two chips that could be it', [pi3(512), pi5(571)], undefined,
      'several GPIO chips in ROOT could be the header\'s: pinctrl-bcm2835 (base 512, 54 lines), pinctrl-rp1 (base 571, 54 lines); ' +
      'set gpio.chip or gpio.base of the profile'],
    ['two of the name that the owner gave', [{ ...power, base: 1 }, { ...power, name: 'gpiochip600', base: 600 }], power.label,
      `several GPIO chips in ROOT could be labelled ${power.label}: ${power.label} (base 1, 32 lines), ${power.label} (base 600, 32 lines); ` +
      'set gpio.base of the profile'],
    ['none of the name that the owner gave, though a Pi\'s is there', [pi3(512)], 'mcp23017',
      'none of the GPIO chips in ROOT is labelled mcp23017: pinctrl-bcm2835 (base 512, 54 lines); set gpio.chip of the profile'],
    ['only small chips', [expander(504)], undefined,
      'none of the GPIO chips in ROOT is the header\'s: raspberrypi-exp-gpio (base 504, 8 lines); set gpio.chip of the profile'],
    ['only small chips, counted by chip', [{ name: 'chip3', label: 'gpio-fan', lines: 4 }], undefined,
      'none of the GPIO chips in ROOT is the header\'s: gpio-fan (4 lines); set gpio.chip of the profile'],
    ['no chips at all', [], undefined, 'this machine has no GPIO: there is no chip in ROOT'],
  ])('is not guessed from %s', async (_, chips, chip, message) => {
    const root = await sysfs(...chips)
    await expect(headerChip({ root, chip })).rejects.toMatchObject({ name: 'DriverError', code: 'GPIO_FAILED', message: message.replace('ROOT', root) })
  })

  test('is not there on a machine without GPIO', async () => {
    const root = join(await emptyTree(), 'gpio')
    await expect(headerChip({ root })).rejects.toMatchObject({
      code: 'GPIO_FAILED', message: `this machine has no GPIO: ${root} cannot be listed (ENOENT)`,
    })
  })

  test('is not taken when it cannot say its base', async () => {
    const root = await sysfs(pi3(512))
    await writeFile(join(root, 'gpiochip512', 'base'), 'many\n')
    await expect(headerChip({ root })).rejects.toMatchObject({ code: 'GPIO_FAILED', message: `${root}/gpiochip512/base is 'many', which is no number` })
    await rm(join(root, 'gpiochip512', 'base'))
    await expect(headerChip({ root })).rejects.toMatchObject({ code: 'GPIO_FAILED', message: `${root}/gpiochip512/base cannot be read (ENOENT)` })
  })

  test('has the lines that it says, but for those of a HAT\'s memory', async () => {
    const chip = await headerChip({ root: await sysfs(pi3(512)) })
    for (const bcm of [-1, 0, 1, 54, 2.5, NaN]) {
      expect(() => refuseForeignLine(bcm, chip)).toThrow(expect.objectContaining({
        code: 'GPIO_FAILED', message: `there is no GPIO ${bcm} to use: 2 to 53 are`,
      }) as Error)
    }
    for (const bcm of [2, 27, 53]) expect(() => refuseForeignLine(bcm, chip)).not.toThrow()
  })
})
