import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { driveSafe, openLight } from '../../../drivers/linux/led.js'
import { createGpioKernel, emptyTree, errno } from './gpio-kernel.js'

/** A light of the kernel's, lit, and blinking for a trigger unless said. */
async function led(name: string, { max = '255\n', trigger = 'none [heartbeat] mmc0\n' }: { max?: string, trigger?: string | undefined } = {}) {
  const leds = await emptyTree()
  const folder = join(leds, name)
  await mkdir(folder)
  await writeFile(join(folder, 'max_brightness'), max)
  await writeFile(join(folder, 'brightness'), '1\n')
  if (trigger !== '') await writeFile(join(folder, 'trigger'), trigger)
  const file = (which: string): Promise<string> => readFile(join(folder, which), 'utf8')
  return { leds, folder, file }
}

const lamp = (message: string): Error => expect.objectContaining({ name: 'DriverError', code: 'LAMP_FAILED', message }) as Error

describe('a light that the kernel drives', () => {
  test('is taken from its trigger, and is off at first and at last', async () => {
    const { leds, file } = await led('pay-ok')
    const light = await openLight({ led: 'pay-ok' }, { leds })
    expect([await file('trigger'), await file('brightness'), light.dimmable]).toEqual(['none', '0', true])
    light.set(1)
    light.close()
    light.close()
    expect([await file('trigger'), await file('brightness')]).toEqual(['none', '0'])
  })

  test.each([
    [0, '0'], [1, '255'], [0.5, '128'], [0.0001, '1'], [7, '255'], [-1, '0'], [NaN, '0'],
  ])('at brightness %d of 255 steps is at step %s: what is on can be seen', async (brightness, step) => {
    const { leds, file } = await led('pay-ok')
    const light = await openLight({ led: 'pay-ok' }, { leds })
    light.set(brightness)
    expect(await file('brightness')).toBe(step)
  })

  test('without brightness is on or off', async () => {
    const { leds, file } = await led('pay-ok', { max: '1\n' })
    const light = await openLight({ led: 'pay-ok' }, { leds })
    expect(light.dimmable).toBe(false)
    light.set(0.1)
    expect(await file('brightness')).toBe('1')
  })

  test.each([
    ['that no trigger has is left to none', '[none] heartbeat\n'], ['of a kernel without triggers is taken as it is', ''],
  ])('%s', async (_, trigger) => {
    const { leds, folder, file } = await led('pay-ok', { trigger })
    const light = await openLight({ led: 'pay-ok' }, { leds })
    light.set(1)
    expect(await file('brightness')).toBe('255')
    if (trigger === '') await expect(file('trigger')).rejects.toThrow()
    else expect(await readFile(join(folder, 'trigger'), 'utf8')).toBe(trigger)
  })

  test('that is not there says how it comes to be', async () => {
    const leds = await emptyTree()
    await expect(openLight({ led: 'pay-ok' }, { leds })).rejects.toThrow(
      lamp(`light pay-ok is not there: put dtoverlay=gpio-led with its label into config.txt, so that there is ${leds}/pay-ok`))
  })

  test('that says no brightness is refused', async () => {
    const { leds } = await led('pay-ok', { max: 'much\n' })
    await expect(openLight({ led: 'pay-ok' }, { leds })).rejects.toThrow(lamp('light pay-ok has a max_brightness of NaN'))
  })

  test('that is gone, or closed, is told by its name', async () => {
    const { leds, folder } = await led('pay-ok')
    const light = await openLight({ led: 'pay-ok' }, { leds })
    await rm(folder, { recursive: true })
    expect(() => light.set(1)).toThrow(lamp('light pay-ok could not be set (ENOENT)'))
    expect(() => light.close()).toThrow(lamp('light pay-ok could not be set (ENOENT)'))
    expect(() => light.close()).not.toThrow()
    expect(() => light.set(1)).toThrow(lamp('light pay-ok could not be set: it is closed'))
  })
})

describe('a light on a line of the header', () => {
  test('is off at first and at last, and on at any brightness', async () => {
    const kernel = createGpioKernel()
    const light = await openLight({ pin: 17, activeLow: true }, { base: 512, onoff: kernel.onoff })
    light.set(0.2)
    light.set(1)
    light.set(0)
    light.set(1)
    light.close()
    expect(light.dimmable).toBe(false)
    expect(kernel.line(529)).toMatchObject({ seen: [1, 0, 1, 0, 1], exported: false })
  })
})

describe('after a crash', () => {
  test('every output is driven to off and given back, whatever the others say', async () => {
    const kernel = createGpioKernel()
    const { leds, file } = await led('pay-ok')
    const before = await openLight({ pin: 17, activeLow: false }, { base: 512, onoff: kernel.onoff })
    before.set(1)
    kernel.kill()
    kernel.line(530).faults.set('export', errno('EBUSY'))
    const failures = await driveSafe([
      { pin: 18, activeLow: false }, { led: 'gone' }, { pin: 17, activeLow: false }, { pin: 19, activeLow: true }, { led: 'pay-ok' },
    ], { base: 512, onoff: kernel.onoff, leds })
    expect(failures).toEqual([
      expect.stringMatching(/^GPIO 18 \(line 530\) is taken /), expect.stringMatching(/^light gone is not there: /),
    ])
    expect(kernel.line(529)).toMatchObject({ seen: [0, 1, 0], exported: false })
    expect(kernel.line(531)).toMatchObject({ seen: [1], exported: false })
    expect(await file('brightness')).toBe('0')
  })

  test('a box without outputs has nothing to fail', async () => {
    expect(await driveSafe([], { root: '/nowhere' })).toEqual([])
  })
})
